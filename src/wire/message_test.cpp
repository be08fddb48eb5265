#include "wire/message.hpp"

#include <gtest/gtest.h>

#include "multiformats/test_hex.hpp"
#include "proto/envelope.pb.h"
#include "proto/peer_record.pb.h"

namespace warren::wire {
namespace {

using multiformats::from_hex;

template <class Message>
ErrorCode refusal(BytesView bytes, ParseLimits limits = {}) {
  const auto parsed = parse<Message>(bytes, "test message", limits);
  EXPECT_FALSE(parsed) << "accepted " << to_hex(bytes);
  if (parsed) return ErrorCode::kInternal;
  EXPECT_TRUE(parsed.error().message().starts_with("test message: "));
  return parsed.error().code();
}

TEST(Message, ReadsWhatItWrites) {
  proto::PeerRecord record;
  record.set_peer_id("abc");
  record.set_seq(300);
  record.add_addresses()->set_multiaddr("xy");
  const Bytes bytes = serialize(record);
  EXPECT_EQ(to_hex(bytes), "0a0361626310ac021a040a027879");
  const auto parsed = parse<proto::PeerRecord>(bytes, "record");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->seq(), 300u);
  EXPECT_EQ(parsed->addresses(0).multiaddr(), "xy");
  EXPECT_EQ(to_hex(serialize_frame(record)), "0e" + to_hex(bytes));
}

TEST(Message, NothingIsAMessageWithoutFields) {
  EXPECT_TRUE(parse<proto::PeerRecord>({}, "record"));
  EXPECT_TRUE(serialize(proto::PeerRecord{}).empty());
  EXPECT_EQ(to_hex(serialize_frame(proto::PeerRecord{})), "00");
}

TEST(Message, SkipsUnknownFieldsAndTakesTheLastOfASingleOne) {
  // seq 1, field 99 as varint, 64 bit, bytes, 32 bit; seq 2.
  const auto parsed = parse<proto::PeerRecord>(
      from_hex("1001980605990601020304050607089a060261629d06010203041002"), "record");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->seq(), 2u);
}

TEST(Message, RefusesBrokenBytes) {
  for (const char* hex :
       {"0a", "0a05616263", "10", "10ffffffffffffffffffff01", "00", "0001", "0b", "0c",
        "0a0361626310ac021a040a05", "1aff", "07", "0affffffff0f", "1a020a05"}) {
    EXPECT_EQ(refusal<proto::PeerRecord>(from_hex(hex)), ErrorCode::kMalformed) << hex;
  }
}

TEST(Message, BoundsBytesAndFieldsBeforeBuildingAnything) {
  EXPECT_EQ(refusal<proto::PeerRecord>(Bytes(11, 0), {.bytes_max = 10}), ErrorCode::kTooLarge);
  Bytes empty_addresses;
  for (int i = 0; i < 5; ++i) append(empty_addresses, from_hex("1a00"));
  EXPECT_TRUE(parse<proto::PeerRecord>(empty_addresses, "record", {.fields_max = 5}));
  EXPECT_EQ(refusal<proto::PeerRecord>(empty_addresses, {.fields_max = 4}), ErrorCode::kTooLarge);
}

TEST(Message, BoundsDepth) {
  EXPECT_TRUE(parse<proto::PeerRecord>(from_hex("1a020a00"), "record", {.depth_max = 1}));
  EXPECT_EQ(refusal<proto::PeerRecord>(from_hex("1a020a00"), {.depth_max = 0}),
            ErrorCode::kMalformed);
}

}  // namespace
}  // namespace warren::wire
