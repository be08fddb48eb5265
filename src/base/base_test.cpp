#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "base/endpoint.hpp"
#include "base/varint.hpp"

namespace warren {
namespace {

TEST(Uvarint, WritesWhatTheSpecificationShows) {
  // multiformats/unsigned-varint, README: examples.
  const std::vector<std::pair<std::uint64_t, Bytes>> cases = {
      {1, {0x01}},         {127, {0x7f}},       {128, {0x80, 0x01}},
      {255, {0xff, 0x01}}, {300, {0xac, 0x02}}, {16384, {0x80, 0x80, 0x01}}};
  for (const auto& [value, bytes] : cases) {
    Bytes out;
    append_uvarint(out, value);
    EXPECT_EQ(out, bytes);
    EXPECT_EQ(uvarint_size(value), bytes.size());
    const auto read = read_uvarint(bytes);
    ASSERT_TRUE(read && *read);
    EXPECT_EQ((*read)->value, value);
    EXPECT_EQ((*read)->size, bytes.size());
  }
}

TEST(Uvarint, RefusesWhatIsNotMinimalOrTooLong) {
  EXPECT_FALSE(read_uvarint(Bytes{0x81, 0x00}));
  EXPECT_FALSE(read_uvarint(Bytes(10, 0x80)));
  EXPECT_FALSE(read_uvarint(Bytes{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}));
}

TEST(Uvarint, AsksForMoreWhenCutOff) {
  const auto read = read_uvarint(Bytes{0x80});
  ASSERT_TRUE(read);
  EXPECT_FALSE(*read);
  EXPECT_FALSE(read_whole_uvarint(Bytes{0x80}));
}

TEST(IpAddress, ParsesPrintsAndNormalisesMapped) {
  EXPECT_EQ(IpAddress::parse("192.0.2.1")->to_string(), "192.0.2.1");
  EXPECT_EQ(IpAddress::parse("2001:DB8::1")->to_string(), "2001:db8::1");
  EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.1")->to_string(), "192.0.2.1");
  EXPECT_FALSE(IpAddress::parse("192.0.2"));
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0x", 9)));
}

TEST(IpAddress, KnowsItsScope) {
  EXPECT_TRUE(IpAddress::parse("127.0.0.9")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("fe80::1")->is_link_local());
  EXPECT_TRUE(IpAddress::parse("100.64.0.1")->is_private());
  EXPECT_TRUE(IpAddress::parse("172.31.0.1")->is_private());
  EXPECT_FALSE(IpAddress::parse("172.32.0.1")->is_private());
  EXPECT_FALSE(IpAddress::parse("192.0.2.1")->is_private());
  EXPECT_TRUE(IpAddress().is_unspecified());
}

TEST(SharedBytes, SliceKeepsTheOwnerAlive) {
  SharedBytes slice;
  {
    const SharedBytes whole(Bytes{1, 2, 3, 4, 5});
    slice = whole.slice(1, 3);
  }
  EXPECT_EQ(to_bytes(slice.view()), (Bytes{2, 3, 4}));
}

}  // namespace
}  // namespace warren
