#pragma once
// What ngtcp2 holds for one connection, counted to the byte and bounded. A peer decides how much
// that is: gaps in streams, ids to retire, answers that wait. The library bounds some of it; this
// bounds all of it.

#include <cstddef>
#include <functional>

#include "transport/quic/ngtcp2_compat.hpp"

namespace warren::transport::quic {

class LibraryMemory {
 public:
  /// `more`: may the library hold `bytes` in all? It must not call the library.
  explicit LibraryMemory(std::function<bool(std::size_t bytes)> more);
  LibraryMemory(const LibraryMemory&) = delete;
  LibraryMemory& operator=(const LibraryMemory&) = delete;

  /// For the library; must outlive what it makes.
  const ngtcp2_mem* functions() const { return &functions_; }
  std::size_t bytes() const { return bytes_; }
  std::size_t peak_bytes() const { return peak_bytes_; }
  /// Asked for and not given: the library then gives the connection up.
  std::size_t refused() const { return refused_; }

 private:
  void* allocate(std::size_t size);
  void release(void* block);
  void* resize(void* block, std::size_t size);

  ngtcp2_mem functions_{};
  std::function<bool(std::size_t)> more_;
  std::size_t bytes_ = 0;
  std::size_t peak_bytes_ = 0;
  std::size_t refused_ = 0;
};

}  // namespace warren::transport::quic
