#pragma once
// Chunk buffers of one size, reused, with a bound on how many there are: what makes a slow disk
// or a slow peer slow the other end down in place of filling memory.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "runtime/runtime.hpp"
#include "runtime/wait_list.hpp"

namespace warren::transfer {

using runtime::awaitable;

class BufferPool;

/// One buffer, returned to its pool when destroyed. Core thread; its bytes may be used on another
/// thread while it lives.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { release(); }
  Buffer(Buffer&& other) noexcept = default;
  Buffer& operator=(Buffer&& other) noexcept;

  /// All of it; page-aligned.
  MutableBytes bytes() const noexcept;
  explicit operator bool() const noexcept { return memory_ != nullptr; }

 private:
  friend class BufferPool;
  struct FreeMemory {
    void operator()(std::uint8_t* memory) const noexcept;
  };
  using Memory = std::unique_ptr<std::uint8_t[], FreeMemory>;
  struct Shared;

  Buffer(std::shared_ptr<Shared> shared, Memory memory);
  void release() noexcept;

  std::shared_ptr<Shared> shared_;
  Memory memory_;
};

/// Core thread only. Buffers may outlive it; `runtime` outlives both.
class BufferPool {
 public:
  BufferPool(runtime::Runtime& runtime, std::size_t buffer_bytes, std::size_t buffers_max);

  /// A buffer with arbitrary content; waits while all are in use, in the order of the callers.
  /// Errors: kTimedOut, kCancelled. Cancel: safe.
  awaitable<Result<Buffer>> acquire(TimePoint deadline);
  std::size_t buffer_bytes() const noexcept;
  std::size_t in_use() const noexcept;
  /// Gives the memory of the unused buffers back to the system.
  void trim();

 private:
  std::shared_ptr<Buffer::Shared> shared_;
};

}  // namespace warren::transfer
