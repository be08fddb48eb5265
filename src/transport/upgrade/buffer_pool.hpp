#pragma once
// Large buffers that the connections of one transport take turns in using: a connection that has
// nothing to send or to receive holds none. Internal to the module.

#include <cstddef>
#include <memory>
#include <vector>

#include "base/bytes.hpp"

namespace warren::transport {

/// A buffer with room for `size` bytes whose contents are not initialised.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size)
      : bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(size)), size_(size) {}

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  MutableBytes bytes() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_ = 0;
};

class BufferPool {
 public:
  /// Four frames of Noise, or of TLS, and a little. Larger ones cost more cache misses, smaller
  /// ones more system calls.
  static constexpr std::size_t kBufferBytes = (256u << 10) + 4096;

  Buffer take() {
    if (free_.empty()) return Buffer(kBufferBytes);
    Buffer buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }
  void give(Buffer buffer) {
    if (free_.size() < kFreeMax && buffer.size() == kBufferBytes)
      free_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t kFreeMax = 8;
  std::vector<Buffer> free_;
};

}  // namespace warren::transport
