#include "transport/quic/library_memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/check.hpp"

namespace warren::transport::quic {
namespace {

// In front of every block stands its size; so much room keeps the block aligned.
constexpr std::size_t kHeaderBytes = alignof(std::max_align_t);
static_assert(kHeaderBytes >= sizeof(std::size_t));

std::size_t size_of(const void* block) {
  std::size_t size = 0;
  std::memcpy(&size, static_cast<const std::uint8_t*>(block) - kHeaderBytes, sizeof size);
  return size;
}

LibraryMemory& self(void* user_data) { return *static_cast<LibraryMemory*>(user_data); }

}  // namespace

LibraryMemory::LibraryMemory(std::function<bool(std::size_t bytes)> more) : more_(std::move(more)) {
  functions_.user_data = this;
  functions_.malloc = [](std::size_t size, void* of) { return self(of).allocate(size); };
  functions_.free = [](void* block, void* of) { self(of).release(block); };
  functions_.calloc = [](std::size_t count, std::size_t size, void* of) -> void* {
    if (size != 0 && count > std::numeric_limits<std::size_t>::max() / size) return nullptr;
    void* const block = self(of).allocate(count * size);
    if (block != nullptr) std::memset(block, 0, count * size);
    return block;
  };
  functions_.realloc = [](void* block, std::size_t size, void* of) {
    return self(of).resize(block, size);
  };
}

void* LibraryMemory::allocate(std::size_t size) {
  const std::size_t whole = size + kHeaderBytes;
  if (whole < size || !more_(bytes_ + whole)) {
    ++refused_;
    return nullptr;
  }
  void* const raw = std::malloc(whole);
  if (raw == nullptr) return nullptr;
  std::memcpy(raw, &whole, sizeof whole);
  bytes_ += whole;
  peak_bytes_ = std::max(peak_bytes_, bytes_);
  return static_cast<std::uint8_t*>(raw) + kHeaderBytes;
}

void LibraryMemory::release(void* block) {
  if (block == nullptr) return;
  const std::size_t whole = size_of(block);
  WARREN_CHECK(whole <= bytes_);
  bytes_ -= whole;
  std::free(static_cast<std::uint8_t*>(block) - kHeaderBytes);
}

void* LibraryMemory::resize(void* block, std::size_t size) {
  void* const moved = allocate(size);
  if (moved == nullptr || block == nullptr) return moved;
  std::memcpy(moved, block, std::min(size, size_of(block) - kHeaderBytes));
  release(block);
  return moved;
}

}  // namespace warren::transport::quic
