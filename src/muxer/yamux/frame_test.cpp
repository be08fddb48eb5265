#include "muxer/yamux/frame.hpp"

#include <gtest/gtest.h>

namespace warren::muxer::yamux {
namespace {

using Raw = std::array<std::uint8_t, kHeaderBytes>;

TEST(YamuxFrame, IsTwelveBytesBigEndian) {
  const Header header{.type = Type::kWindowUpdate,
                      .flags = kSyn | kRst,
                      .stream = 0x01020304,
                      .length = 0xa0b0c0d0};
  EXPECT_EQ(header.encode(), (Raw{0, 1, 0, 9, 1, 2, 3, 4, 0xa0, 0xb0, 0xc0, 0xd0}));
}

TEST(YamuxFrame, EveryTypeAndEveryUnionOfFlagsComesBack) {
  for (std::uint8_t type = 0; type <= 3; ++type) {
    for (std::uint16_t flags = 0; flags <= kAllFlags; ++flags) {
      const Header header{.type = static_cast<Type>(type),
                          .flags = flags,
                          .stream = 0x7fff'ffff,
                          .length = 0xffff'ffff};
      const auto back = Header::decode(header.encode());
      ASSERT_TRUE(back);
      EXPECT_EQ(back->type, header.type);
      EXPECT_EQ(back->flags, flags);
      EXPECT_EQ(back->stream, header.stream);
      EXPECT_EQ(back->length, header.length);
      EXPECT_EQ(back->has(kFin), (flags & 4) != 0);
    }
  }
}

TEST(YamuxFrame, RefusesOtherVersionsTypesAndFlags) {
  for (unsigned value = 1; value <= 255; ++value) {
    const auto byte = static_cast<std::uint8_t>(value);
    EXPECT_FALSE(Header::decode(Raw{byte})) << "version " << value;
    EXPECT_EQ(Header::decode(Raw{0, byte}).has_value(), value <= 3) << "type " << value;
    EXPECT_FALSE(Header::decode(Raw{0, 0, byte})) << "flags, high byte " << value;
    EXPECT_EQ(Header::decode(Raw{0, 0, 0, byte}).has_value(), value <= 15) << "flags " << value;
  }
  EXPECT_EQ(Header::decode(Raw{1}).error().code(), ErrorCode::kMalformed);
}

}  // namespace
}  // namespace warren::muxer::yamux
