#include "security/noise/channel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace warren::security::noise {
namespace {

Secret key_of(std::uint8_t byte) {
  Secret key;
  std::ranges::fill(key.bytes(), byte);
  return key;
}

struct Pair {
  Channel one{CipherState(key_of(1)), CipherState(key_of(2))};
  Channel two{CipherState(key_of(2)), CipherState(key_of(1))};
};

Bytes seal(auto&& channel, std::vector<BytesView> parts) {
  std::size_t size = kFrameOverheadBytes;
  for (const BytesView part : parts) size += part.size();
  Bytes out(size);
  EXPECT_TRUE(channel.seal(parts, out));
  return out;
}
Bytes seal(auto&& channel, std::string_view text) {
  return seal(channel, std::vector{as_bytes(text)});
}

TEST(NoiseChannel, CarriesFramesBothWays) {
  Pair pair;
  Bytes wire = seal(pair.one, "first");
  append(wire, seal(pair.one, ""));
  append(wire, seal(pair.one, "third"));
  MutableBytes rest(wire);
  for (const std::string_view text : {"first", "", "third"}) {
    const auto opened = pair.two.open(rest);
    ASSERT_TRUE(opened && *opened);
    EXPECT_EQ(as_text((*opened)->plaintext), text);
    EXPECT_EQ((*opened)->frame_bytes, text.size() + 18);
    rest = rest.subspan((*opened)->frame_bytes);
  }
  EXPECT_TRUE(rest.empty());
  Bytes back = seal(pair.two, "back");
  EXPECT_EQ(as_text((*pair.one.open(back))->plaintext), "back");
}

TEST(NoiseChannel, SeveralPartsMakeOneFrameAndMayLieInPlace) {
  const std::string body(3'000, 'b');
  const std::string head = "twelve bytes";
  const Bytes expected = seal(Pair().one, head + body);
  EXPECT_EQ(seal(Pair().one, {as_bytes(head), {}, as_bytes(body)}), expected);
  Bytes in_place(expected.size());
  std::memcpy(&in_place[2], head.data(), head.size());
  std::memcpy(&in_place[14], body.data(), body.size());
  const BytesView whole = BytesView(in_place).subspan(2, 3'012);
  const BytesView parts[] = {whole.first(12), whole.subspan(12)};
  ASSERT_TRUE(Pair().one.seal(parts, in_place));
  EXPECT_EQ(in_place, expected);
}

TEST(NoiseChannel, TheLargestFrameHas65519BytesOfPlaintext) {
  Pair pair;
  std::string text(kPlaintextBytesMax, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 >> 3);
  Bytes frame = seal(pair.one, text);
  ASSERT_EQ(frame.size(), 65'537u);
  EXPECT_EQ(frame[0], 0xff);
  EXPECT_EQ(frame[1], 0xff);
  EXPECT_EQ(as_text((*pair.two.open(frame))->plaintext), text);
}

TEST(NoiseChannel, AFrameThatIsCutAnywhereIsNotWholeYet) {
  Pair pair;
  Bytes frame = seal(pair.one, "some text");
  for (std::size_t cut = 0; cut < frame.size(); ++cut) {
    const auto opened = pair.two.open(MutableBytes(frame).first(cut));
    ASSERT_TRUE(opened) << cut;
    EXPECT_FALSE(*opened) << cut;
  }
  EXPECT_EQ(as_text((*pair.two.open(frame))->plaintext), "some text");
}

TEST(NoiseChannel, EveryChangedBitEndsTheChannel) {
  const Bytes good = seal(Pair().one, "some text");
  for (std::size_t bit = 16; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ (1u << bit % 8));
    Pair pair;
    const auto opened = pair.two.open(bad);
    ASSERT_FALSE(opened) << bit;
    EXPECT_EQ(opened.error().code(), ErrorCode::kIntegrity);
    EXPECT_TRUE(std::ranges::all_of(BytesView(bad).subspan(2, 9), [](auto b) { return b == 0; }))
        << "plaintext that nobody signed was left";
    Bytes fine = good;
    EXPECT_FALSE(pair.two.open(fine)) << "the channel goes on after a lost frame";
  }
}

TEST(NoiseChannel, LengthsWithoutRoomForATagAreRefusedBeforeTheRestComes) {
  for (std::uint8_t length = 0; length < 16; ++length) {
    Bytes start = {0, length};
    const auto opened = Pair().two.open(start);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), ErrorCode::kMalformed);
  }
  Bytes start = {0, 16};
  EXPECT_TRUE(Pair().two.open(start));
  // A length that is one too small or too large fails by its tag.
  for (const int change : {-1, 1}) {
    Pair pair;
    Bytes frame = seal(pair.one, "some text");
    frame[1] = static_cast<std::uint8_t>(frame[1] + change);
    frame.push_back(0);
    EXPECT_FALSE(pair.two.open(frame));
  }
}

TEST(NoiseChannel, FramesThatAreRepeatedLeftOutOrSentBackAreRefused) {
  {
    Pair pair;
    Bytes frame = seal(pair.one, "a");
    Bytes again = frame;
    ASSERT_TRUE(pair.two.open(frame));
    EXPECT_FALSE(pair.two.open(again));
  }
  {
    Pair pair;
    (void)seal(pair.one, "left out");
    Bytes frame = seal(pair.one, "b");
    EXPECT_FALSE(pair.two.open(frame));
  }
  Pair pair;
  Bytes frame = seal(pair.one, "mirrored");
  EXPECT_FALSE(pair.one.open(frame));
}

TEST(NoiseChannel, TheLastNonceIsNotUsed) {
  Channel one(CipherState(key_of(1), UINT64_MAX - 1), CipherState(key_of(2)));
  Channel two(CipherState(key_of(2)), CipherState(key_of(1), UINT64_MAX - 1));
  Bytes frame = seal(one, "the last");
  Bytes spare = frame;
  EXPECT_EQ(as_text((*two.open(frame))->plaintext), "the last");
  Bytes out(20);
  const Bytes text(2);
  const BytesView part = text;
  EXPECT_EQ(one.seal({&part, 1}, out).error().code(), ErrorCode::kClosed);
  EXPECT_EQ(out, Bytes(20));
  EXPECT_EQ(two.open(spare).error().code(), ErrorCode::kClosed);
}

}  // namespace
}  // namespace warren::security::noise
