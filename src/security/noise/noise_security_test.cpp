#include "security/noise/noise_security.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "security/noise/test_support.hpp"

namespace warren::security::noise {
namespace {

std::unique_ptr<SecurityProtocol> protocol_of(std::uint8_t seed,
                                              std::vector<std::string> muxers = {"/yamux/1.0.0"}) {
  return make_noise_security(credentials_from(seed, std::move(muxers)), random_from(100u + seed));
}

/// Carries what `from` says to `to`, `step` bytes at a time; gives back what `to` did not take.
Result<Bytes> carry(SecureHandshake& from, SecureHandshake& to, std::size_t step) {
  const Bytes bytes = from.take_output();
  BytesView left = bytes;
  while (!left.empty() && !to.done()) {
    const BytesView piece = left.first(std::min(step, left.size()));
    WARREN_TRY(const std::size_t taken, to.feed(piece));
    left = left.subspan(taken);
  }
  return to_bytes(left);
}

struct Pair {
  SecureHandshake::Outcome dialler;
  SecureHandshake::Outcome listener;
};

Pair connect(std::size_t step) {
  const auto dialler = protocol_of(1)->start(Side::kDialler, peer_id_from(2));
  const auto listener = protocol_of(2)->start(Side::kListener, std::nullopt);
  for (int turn = 0; turn < 3 && !(dialler->done() && listener->done()); ++turn) {
    EXPECT_TRUE(carry(*dialler, *listener, step));
    EXPECT_TRUE(carry(*listener, *dialler, step));
  }
  EXPECT_TRUE(dialler->done() && listener->done());
  EXPECT_EQ(dialler->wants(), 0u);
  return {dialler->take_outcome(), listener->take_outcome()};
}

Bytes seal(SecureChannel& channel, std::span<const BytesView> parts) {
  std::size_t count = 0;
  for (const BytesView part : parts) count += part.size();
  Bytes out(channel.sealed_bytes_max(count) + 7);
  out.resize(channel.seal(parts, out).value());
  return out;
}

TEST(NoiseSecurity, ProvesBothPeersAndAgreesOnTheMuxerInsideTheHandshake) {
  EXPECT_EQ(protocol_of(1)->name(), "/noise");
  for (const std::size_t step : {1u, 7u, 10'000u}) {
    const Pair pair = connect(step);
    EXPECT_EQ(pair.dialler.remote, peer_id_from(2));
    EXPECT_EQ(pair.listener.remote, peer_id_from(1));
    EXPECT_TRUE(pair.listener.remote_key == identity_from(1).public_key());
    EXPECT_EQ(pair.dialler.muxer, "/yamux/1.0.0");
    EXPECT_EQ(pair.listener.muxer, "/yamux/1.0.0");
  }
}

TEST(NoiseSecurity, PartsOfOneSealComeOutAsOneFrame) {
  const Pair pair = connect(10'000);
  const Bytes body(pair.dialler.channel->bulk_bytes() - 3, 9);
  const BytesView parts[] = {as_bytes("abc"), body};
  Bytes frame = seal(*pair.dialler.channel, parts);
  EXPECT_EQ(frame.size(), pair.dialler.channel->frame_bytes_max());
  EXPECT_EQ(frame.size(), pair.dialler.channel->sealed_bytes_max(3 + body.size()));
  frame.push_back(0);  // The next frame's first byte.
  const auto opened = pair.listener.channel->open(frame).value();
  EXPECT_EQ(opened.taken, frame.size() - 1);
  EXPECT_EQ(as_text(opened.plaintext.first(3)), "abc");
  EXPECT_TRUE(std::ranges::equal(opened.plaintext.subspan(3), body));
  EXPECT_FALSE(opened.end);
  EXPECT_FALSE(pair.listener.channel->has_goodbye());
  EXPECT_TRUE(pair.listener.channel->close().empty());
}

TEST(NoiseSecurity, AFrameThatIsNotWholeTakesNothing) {
  const Pair pair = connect(10'000);
  const BytesView parts[] = {as_bytes("hello")};
  Bytes frame = seal(*pair.listener.channel, parts);
  for (std::size_t cut = 0; cut < frame.size(); ++cut) {
    const auto opened = pair.dialler.channel->open(MutableBytes(frame).first(cut)).value();
    EXPECT_EQ(opened.taken, 0u) << cut;
  }
  EXPECT_EQ(as_text(pair.dialler.channel->open(frame).value().plaintext), "hello");
}

TEST(NoiseSecurity, AWrongTagEndsTheChannelInBothDirections) {
  const Pair pair = connect(10'000);
  const BytesView parts[] = {as_bytes("hello")};
  Bytes frame = seal(*pair.dialler.channel, parts);
  frame.back() ^= 1;
  SecureChannel& channel = *pair.listener.channel;
  EXPECT_EQ(channel.open(frame).error().code(), ErrorCode::kIntegrity);
  EXPECT_FALSE(channel.open(frame));
  Bytes out(100);
  EXPECT_FALSE(channel.seal(parts, out));
}

TEST(NoiseSecurity, AnotherPeerThanTheDialledOneIsRefusedNamingBoth) {
  const auto dialler = protocol_of(1)->start(Side::kDialler, peer_id_from(3));
  const auto listener = protocol_of(2)->start(Side::kListener, std::nullopt);
  ASSERT_TRUE(carry(*dialler, *listener, 1'000));
  const auto refused = carry(*listener, *dialler, 1'000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kIntegrity);
  EXPECT_NE(refused.error().message().find(peer_id_from(3).to_string()), std::string::npos);
  EXPECT_NE(refused.error().message().find(peer_id_from(2).to_string()), std::string::npos);
  EXPECT_TRUE(dialler->take_output().empty());  // The listener learns nothing of the dialler.
}

TEST(NoiseSecurity, WithoutAMuxerInCommonNoneIsAgreedOn) {
  const auto dialler = protocol_of(1, {})->start(Side::kDialler, std::nullopt);
  const auto listener = protocol_of(2)->start(Side::kListener, std::nullopt);
  for (int turn = 0; turn < 2; ++turn) {
    ASSERT_TRUE(carry(*dialler, *listener, 1'000));
    ASSERT_TRUE(carry(*listener, *dialler, 1'000));
  }
  EXPECT_EQ(dialler->take_outcome().muxer, "");
  EXPECT_EQ(listener->take_outcome().muxer, "");
}

}  // namespace
}  // namespace warren::security::noise
