#include "wire/frame.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "multiformats/test_hex.hpp"

namespace warren::wire {
namespace {

using multiformats::from_hex;

TEST(Frame, IsTheLengthAndTheMessage) {
  EXPECT_EQ(to_hex(encode_frame(as_bytes("hello"))), "0568656c6c6f");
  EXPECT_EQ(to_hex(encode_frame({})), "00");
  // Source: libp2p specs, connections/README.md: the first message of multistream-select.
  EXPECT_EQ(to_hex(encode_frame(as_bytes("/multistream/1.0.0\n"))),
            "132f6d756c746973747265616d2f312e302e300a");
  const Bytes long_frame = encode_frame(Bytes(300, 7));
  EXPECT_EQ(to_hex(BytesView(long_frame).first(3)), "ac0207");
  EXPECT_EQ(long_frame.size(), 302u);
}

TEST(FrameDecoder, NeverTakesAByteOfWhatFollows) {
  FrameDecoder decoder(100);
  const Bytes stream = from_hex("0568656c6c6fffff");
  EXPECT_EQ(decoder.push(stream), 6u);
  EXPECT_EQ(decoder.wanted(), 0u);
  EXPECT_EQ(decoder.push(from_hex("ff")), 0u) << "until the message is taken";
  EXPECT_EQ(decoder.take(), to_bytes("hello"));
  EXPECT_EQ(decoder.take(), std::nullopt);
}

TEST(FrameDecoder, SaysHowMuchMayBeRead) {
  FrameDecoder decoder(1000);
  EXPECT_EQ(decoder.wanted(), 1u);
  EXPECT_FALSE(decoder.is_midway());
  EXPECT_EQ(decoder.push(from_hex("ac")), 1u);
  EXPECT_TRUE(decoder.is_midway());
  EXPECT_EQ(decoder.wanted(), 1u);
  EXPECT_EQ(decoder.push(from_hex("02")), 1u);
  EXPECT_EQ(decoder.wanted(), 300u);
  EXPECT_EQ(decoder.push(Bytes(299, 7)), 299u);
  EXPECT_EQ(decoder.take(), std::nullopt);
  EXPECT_EQ(decoder.wanted(), 1u);
  EXPECT_EQ(decoder.push(Bytes(5, 7)), 1u);
  EXPECT_EQ(decoder.take(), Bytes(300, 7));
  EXPECT_FALSE(decoder.is_midway());
}

TEST(FrameDecoder, TakesEmptyMessages) {
  FrameDecoder decoder(0);
  EXPECT_EQ(decoder.push(from_hex("0000")), 1u);
  EXPECT_EQ(decoder.take(), Bytes{});
  EXPECT_EQ(decoder.push(from_hex("00")), 1u);
  EXPECT_EQ(decoder.take(), Bytes{});
}

TEST(FrameDecoder, RefusesALengthAboveItsLimitBeforeTheMessage) {
  FrameDecoder at_limit(300);
  EXPECT_EQ(at_limit.push(from_hex("ac02")), 2u);
  FrameDecoder above(299);
  const auto refused = above.push(from_hex("ac02"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kTooLarge);
  EXPECT_NE(refused.error().message().find("300"), std::string::npos);
  EXPECT_NE(refused.error().message().find("299"), std::string::npos);
  // It stays refused.
  EXPECT_FALSE(above.push(from_hex("01")));
  EXPECT_EQ(above.take(), std::nullopt);
}

TEST(FrameDecoder, TakesNoMemoryOnTheWordOfTheSender) {
  // 2^62 bytes announced and allowed: nothing but the first piece may be reserved.
  FrameDecoder decoder(std::size_t{1} << 62);
  EXPECT_EQ(decoder.push(from_hex("808080808080808040")), 9u);
  EXPECT_EQ(decoder.wanted(), std::size_t{1} << 62);
  EXPECT_EQ(decoder.push(Bytes(1000, 1)), 1000u);
}

TEST(FrameDecoder, RefusesLengthsThatAreNoUvarint) {
  for (const char* hex : {"8000", "ffffffffffffffffff", "ff00"}) {
    FrameDecoder decoder(1 << 20);
    const auto refused = decoder.push(from_hex(hex));
    ASSERT_FALSE(refused) << hex;
    EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed) << hex;
  }
}

RC_GTEST_PROP(FrameDecoder, GivesBackWhatWasEncodedWhateverThePieces,
              (const std::vector<Bytes>& messages)) {
  Bytes stream;
  for (const Bytes& message : messages) append_frame(stream, message);
  FrameDecoder decoder(1000);
  std::vector<Bytes> decoded;
  for (BytesView rest = stream; !rest.empty();) {
    const auto piece = *rc::gen::inRange<std::size_t>(1, rest.size() + 1);
    const auto taken = decoder.push(rest.first(piece));
    RC_ASSERT(taken.has_value());
    RC_ASSERT(*taken > 0u);
    rest = rest.subspan(*taken);
    if (auto message = decoder.take()) decoded.push_back(std::move(*message));
  }
  RC_ASSERT(decoded == messages);
  RC_ASSERT(!decoder.is_midway());
}

}  // namespace
}  // namespace warren::wire
