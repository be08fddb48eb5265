#include "transport/quic/library_memory.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

namespace warren::transport::quic {
namespace {

struct Library {
  std::size_t most = 1'000;
  LibraryMemory memory{[this](std::size_t bytes) { return bytes <= most; }};
  const ngtcp2_mem& calls = *memory.functions();
  void* allocate(std::size_t size) { return calls.malloc(size, calls.user_data); }
  void release(void* block) { calls.free(block, calls.user_data); }
};

TEST(LibraryMemory, CountsWhatIsHeldAndNothingAfterwards) {
  Library library;
  void* const a = library.allocate(100);
  void* const b = library.calls.calloc(10, 10, library.calls.user_data);
  ASSERT_TRUE(a != nullptr && b != nullptr);
  EXPECT_GE(library.memory.bytes(), 200u);
  EXPECT_EQ(static_cast<const char*>(b)[99], 0);
  std::memset(a, 7, 100);
  void* const c = library.calls.realloc(a, 300, library.calls.user_data);
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(static_cast<const char*>(c)[99], 7);
  library.release(b);
  library.release(c);
  library.release(nullptr);
  EXPECT_EQ(library.memory.bytes(), 0u);
  EXPECT_GE(library.memory.peak_bytes(), 400u);
}

TEST(LibraryMemory, RefusesWhatIsBeyondTheLimitAndWhatOverflows) {
  Library library;
  void* const a = library.allocate(900);
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(library.allocate(100), nullptr);
  EXPECT_EQ(library.memory.refused(), 1u);
  EXPECT_EQ(library.calls.realloc(a, 950, library.calls.user_data), nullptr) << "a stays";
  EXPECT_EQ(library.allocate(std::numeric_limits<std::size_t>::max()), nullptr);
  EXPECT_EQ(
      library.calls.calloc(std::numeric_limits<std::size_t>::max(), 2, library.calls.user_data),
      nullptr);
  library.release(a);
  EXPECT_EQ(library.memory.bytes(), 0u);
}

}  // namespace
}  // namespace warren::transport::quic
