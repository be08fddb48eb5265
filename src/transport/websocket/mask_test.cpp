#include "transport/websocket/mask.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace warren::transport::websocket {
namespace {

constexpr MaskKey kKey = {0x37, 0xfa, 0x21, 0x3d};

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return bytes;
}

Bytes masked(BytesView from, std::size_t phase) {
  Bytes to(from.size());
  for (std::size_t i = 0; i < to.size(); ++i) {
    to[i] = static_cast<std::uint8_t>(from[i] ^ kKey[(phase + i) % 4]);
  }
  return to;
}

// Source: RFC 6455, section 5.7: a masked "Hello".
TEST(Mask, MakesTheExampleOfTheStandard) {
  Bytes out(5);
  mask_into(out, as_bytes("Hello"), kKey, 0);
  EXPECT_EQ(to_hex(out), "7f9f4d5158");
}

TEST(Mask, IsTheSameAsByteByByteForEverySizeAndPhase) {
  const Bytes text = pattern(300);
  for (std::size_t size = 0; size <= text.size(); ++size) {
    for (std::size_t phase = 0; phase < 4; ++phase) {
      Bytes out(size);
      mask_into(out, BytesView(text).first(size), kKey, phase);
      ASSERT_EQ(out, masked(BytesView(text).first(size), phase)) << size << " " << phase;
    }
  }
}

TEST(Mask, MovesBytesForwardInTheSameMemory) {
  for (std::size_t distance = 0; distance <= 80; ++distance) {
    Bytes memory(distance);
    const Bytes text = pattern(1'000);
    append(memory, text);
    mask_into(MutableBytes(memory).first(text.size()), BytesView(memory).subspan(distance), kKey,
              3);
    memory.resize(text.size());
    ASSERT_EQ(memory, masked(text, 3)) << distance;
  }
}

}  // namespace
}  // namespace warren::transport::websocket
