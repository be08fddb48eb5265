#include "content/murmur3.hpp"

#include <gtest/gtest.h>

namespace warren::content {
namespace {

// Source: the reference implementation in SMHasher, first half of MurmurHash3_x64_128, seed 0.
TEST(Murmur3, GivesTheReferenceValues) {
  EXPECT_EQ(murmur3_x64_64({}), 0u);
  EXPECT_EQ(murmur3_x64_64(as_bytes("hello")), 0xCBD8'A7B3'41BD'9B02u);
  EXPECT_EQ(murmur3_x64_64(as_bytes("hello, world")), 0x342F'AC62'3A5E'BC8Eu);
  EXPECT_EQ(murmur3_x64_64(as_bytes("19 Jan 2038 at 3:14:07 AM")), 0xB89E'5988'B737'AFFCu);
  EXPECT_EQ(murmur3_x64_64(as_bytes("The quick brown fox jumps over the lazy dog.")),
            0xCD99'481F'9EE9'02C9u);
}

}  // namespace
}  // namespace warren::content
