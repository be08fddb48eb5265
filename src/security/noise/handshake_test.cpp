#include "security/noise/handshake.hpp"

#include <gtest/gtest.h>

#include "security/noise/test_support.hpp"

namespace warren::security::noise {
namespace {

constexpr std::uint8_t kDialler = 11;
constexpr std::uint8_t kListener = 22;

Handshake dialler(std::optional<PeerId> expected = {},
                  std::vector<std::string> muxers = {"/yamux/1.0.0"}) {
  return Handshake(Role::kInitiator, credentials_from(kDialler, std::move(muxers)),
                   std::move(expected), random_from(100));
}
Handshake listener(std::optional<PeerId> expected = {},
                   std::vector<std::string> muxers = {"/yamux/1.0.0"}) {
  return Handshake(Role::kResponder, credentials_from(kListener, std::move(muxers)),
                   std::move(expected), random_from(200));
}

/// The three messages with their lengths; the same each time, since the randomness has a seed.
std::vector<Bytes> transcript() {
  Handshake one = dialler();
  Handshake two = listener();
  std::vector<Bytes> messages;
  messages.push_back(one.take_output());
  EXPECT_TRUE(two.feed(messages[0]));
  messages.push_back(two.take_output());
  EXPECT_TRUE(one.feed(messages[1]));
  messages.push_back(one.take_output());
  EXPECT_TRUE(two.feed(messages[2]));
  EXPECT_TRUE(one.done() && two.done());
  return messages;
}

Bytes framed(BytesView message) {
  Bytes out = {static_cast<std::uint8_t>(message.size() >> 8),
               static_cast<std::uint8_t>(message.size())};
  append(out, message);
  return out;
}

TEST(NoiseHandshake, BothSidesLearnWhoTheOtherIsAndCanTalk) {
  Handshake one = dialler(peer_id_from(kListener));
  Handshake two = listener();
  ASSERT_TRUE(two.feed(one.take_output()));
  ASSERT_TRUE(one.feed(two.take_output()));
  ASSERT_TRUE(one.done() && !two.done());
  ASSERT_TRUE(two.feed(one.take_output()));
  ASSERT_TRUE(two.done());
  EXPECT_EQ(one.wants(), 0u);
  EXPECT_EQ(two.wants(), 0u);
  auto at_dialler = one.take_outcome();
  auto at_listener = two.take_outcome();
  EXPECT_EQ(at_dialler.remote, peer_id_from(kListener));
  EXPECT_EQ(at_listener.remote, peer_id_from(kDialler));
  EXPECT_EQ(at_dialler.remote_key, identity_from(kListener).public_key());
  EXPECT_EQ(at_listener.remote_key, identity_from(kDialler).public_key());
  EXPECT_EQ(at_dialler.muxer, "/yamux/1.0.0");
  EXPECT_EQ(at_listener.muxer, "/yamux/1.0.0");
  const BytesView text = as_bytes("hello");
  Bytes frame(text.size() + kFrameOverheadBytes);
  ASSERT_TRUE(at_dialler.channel.seal({&text, 1}, frame));
  EXPECT_EQ(as_text((*at_listener.channel.open(frame))->plaintext), "hello");
  ASSERT_TRUE(at_listener.channel.seal({&text, 1}, frame));
  EXPECT_EQ(as_text((*at_dialler.channel.open(frame))->plaintext), "hello");
}

TEST(NoiseHandshake, TheFirstMessageIsAKeyWithoutAPayload) {
  const Bytes first = transcript()[0];
  ASSERT_EQ(first.size(), 34u);
  EXPECT_EQ(first[0], 0);
  EXPECT_EQ(first[1], 32);
}

TEST(NoiseHandshake, TakesNoByteBehindItsLastMessage) {
  const auto messages = transcript();
  Handshake two = listener();
  ASSERT_TRUE(two.feed(messages[0]));
  Bytes more = messages[2];
  append(more, as_bytes("frames of the channel"));
  const auto taken = two.feed(more);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, messages[2].size());
  EXPECT_TRUE(two.done());
  EXPECT_EQ(*two.feed(as_bytes("x")), 0u);
}

TEST(NoiseHandshake, MessagesMayBeCutAnywhere) {
  const auto messages = transcript();
  Bytes to_listener = messages[0];
  append(to_listener, messages[2]);
  for (std::size_t cut = 0; cut < to_listener.size(); ++cut) {
    Handshake two = listener();
    EXPECT_EQ(*two.feed(BytesView(to_listener).first(cut)), cut);
    ASSERT_FALSE(two.done()) << cut;
    EXPECT_GT(two.wants(), 0u);
    EXPECT_LE(two.wants(), to_listener.size() - cut) << "it wants bytes of somebody else";
    EXPECT_TRUE(two.feed(BytesView(to_listener).subspan(cut)));
    EXPECT_TRUE(two.done()) << cut;
  }
  for (std::size_t cut = 0; cut < messages[1].size(); ++cut) {
    Handshake one = dialler();
    (void)one.take_output();
    ASSERT_TRUE(one.feed(BytesView(messages[1]).first(cut)));
    ASSERT_FALSE(one.done()) << cut;
    EXPECT_LE(one.wants(), messages[1].size() - cut);
    EXPECT_TRUE(one.take_output().empty());
    ASSERT_TRUE(one.feed(BytesView(messages[1]).subspan(cut)));
    EXPECT_EQ(one.take_output(), messages[2]);
  }
}

TEST(NoiseHandshake, EveryChangedBitOfTheSecondAndThirdMessageIsRefused) {
  const auto messages = transcript();
  for (const std::size_t number : {1u, 2u}) {
    const Bytes& good = messages[number];
    for (std::size_t at = 2; at < good.size(); ++at) {
      Bytes bad = good;
      bad[at] = static_cast<std::uint8_t>(bad[at] ^ (1u << at % 8));
      Handshake side = number == 1 ? dialler() : listener();
      if (number == 2) ASSERT_TRUE(side.feed(messages[0]));
      (void)side.take_output();
      const auto taken = side.feed(bad);
      ASSERT_FALSE(taken) << "message " << number + 1 << ", byte " << at;
      EXPECT_EQ(taken.error().code(), ErrorCode::kIntegrity);
      EXPECT_FALSE(side.done());
      EXPECT_EQ(side.wants(), 0u);
      EXPECT_TRUE(side.take_output().empty());
    }
  }
}

TEST(NoiseHandshake, AChangedFirstMessageShowsInTheSecond) {
  const Bytes good = transcript()[0];
  for (std::size_t at = 2; at < good.size(); ++at) {
    for (const unsigned bit : {1u, 128u}) {
      Bytes bad = good;
      bad[at] = static_cast<std::uint8_t>(bad[at] ^ bit);
      Handshake one = dialler();
      (void)one.take_output();
      Handshake two = listener();
      ASSERT_TRUE(two.feed(bad));
      EXPECT_FALSE(one.feed(two.take_output())) << at;
    }
  }
}

TEST(NoiseHandshake, WrongLengthsAreRefusedAtOnce) {
  for (const unsigned length : {0u, 1u, 31u, 33u, 48u, 8'192u, 65'535u}) {
    Handshake two = listener();
    const auto taken =
        two.feed(Bytes{static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)});
    ASSERT_FALSE(taken) << length;
    EXPECT_EQ(taken.error().code(), ErrorCode::kMalformed);
  }
  for (const unsigned length : {0u, 8'193u, 65'535u}) {
    Handshake one = dialler();
    const auto taken =
        one.feed(Bytes{static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)});
    ASSERT_FALSE(taken) << length;
    EXPECT_EQ(taken.error().code(), length == 0 ? ErrorCode::kMalformed : ErrorCode::kTooLarge);
  }
  // Whole frames that are too short for what they must hold, and one byte less or more.
  const auto messages = transcript();
  for (std::size_t size = 1; size < 100; ++size) {
    Handshake one = dialler();
    EXPECT_FALSE(one.feed(framed(BytesView(messages[1]).subspan(2, size)))) << size;
    Handshake two = listener();
    ASSERT_TRUE(two.feed(messages[0]));
    EXPECT_FALSE(two.feed(framed(BytesView(messages[2]).subspan(2, size)))) << size;
  }
  Handshake one = dialler();
  Bytes longer = to_bytes(BytesView(messages[1]).subspan(2));
  longer.push_back(0);
  EXPECT_FALSE(one.feed(framed(longer)));
}

TEST(NoiseHandshake, AnotherPeerThanTheOneDialledIsRefusedBeforeWeShowOurselves) {
  Handshake one = dialler(peer_id_from(99));
  Handshake two = listener();
  ASSERT_TRUE(two.feed(one.take_output()));
  const auto taken = one.feed(two.take_output());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), ErrorCode::kIntegrity);
  EXPECT_NE(taken.error().message().find(peer_id_from(99).to_string()), std::string::npos);
  EXPECT_NE(taken.error().message().find(peer_id_from(kListener).to_string()), std::string::npos);
  EXPECT_TRUE(one.take_output().empty());
  EXPECT_FALSE(one.done());
}

TEST(NoiseHandshake, AListenerMayExpectAPeerToo) {
  for (const std::uint8_t expected : {kDialler, std::uint8_t{99}}) {
    Handshake one = dialler();
    Handshake two = listener(peer_id_from(expected));
    ASSERT_TRUE(two.feed(one.take_output()));
    ASSERT_TRUE(one.feed(two.take_output()));
    EXPECT_EQ(two.feed(one.take_output()).has_value(), expected == kDialler);
  }
}

// A responder made by hand, whose payload the test chooses.
Result<std::size_t> answer_with(Handshake& one, BytesView payload, const KeyPair& static_key) {
  XxPattern evil(false, {}, static_key, KeyPair::generate(random_from(7)));
  EXPECT_TRUE(evil.read(BytesView(one.take_output()).subspan(2)));
  return one.feed(framed(*evil.write(payload)));
}

TEST(NoiseHandshake, APeerMustHaveSignedTheStaticKeyThatItUses) {
  const auto theirs = KeyPair::generate(random_from(1));
  const auto stolen = KeyPair::generate(random_from(2));
  const Bytes payload = make_payload(identity_from(kListener), stolen.public_bytes(), {});
  {
    Handshake one = dialler();
    const auto taken = answer_with(one, payload, theirs);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code(), ErrorCode::kIntegrity);
  }
  {
    Handshake one = dialler();
    EXPECT_FALSE(answer_with(one, {}, theirs));
  }
  {
    Handshake one = dialler();
    EXPECT_FALSE(answer_with(one, as_bytes("no protobuf"), theirs));
  }
  Handshake one = dialler();
  EXPECT_TRUE(answer_with(one, payload, stolen));
}

TEST(NoiseHandshake, KeysThatMakeAKnownSecretAreRefused) {
  Handshake two = listener();
  const auto taken = two.feed(framed(Bytes(32)));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), ErrorCode::kIntegrity);
  Handshake one = dialler();
  EXPECT_EQ(one.feed(framed(Bytes(200))).error().code(), ErrorCode::kIntegrity);
}

TEST(NoiseHandshake, TheFirstOfTheDiallersMuxersThatBothHaveIsTaken) {
  const std::vector<std::string> none;
  const std::vector<std::string> yamux = {"/yamux/1.0.0"};
  const std::vector<std::string> a_then_b = {"/a", "/b"};
  const std::vector<std::string> b_then_a = {"/c", "/b", "/a"};
  const auto agreed = [](const auto& ours, const auto& theirs) {
    Handshake one = dialler({}, ours);
    Handshake two = listener({}, theirs);
    EXPECT_TRUE(two.feed(one.take_output()));
    EXPECT_TRUE(one.feed(two.take_output()));
    EXPECT_TRUE(two.feed(one.take_output()));
    const std::string muxer = one.take_outcome().muxer;
    EXPECT_EQ(two.take_outcome().muxer, muxer);
    return muxer;
  };
  EXPECT_EQ(agreed(yamux, yamux), "/yamux/1.0.0");
  EXPECT_EQ(agreed(none, yamux), "");
  EXPECT_EQ(agreed(yamux, none), "");
  EXPECT_EQ(agreed(yamux, a_then_b), "");
  EXPECT_EQ(agreed(a_then_b, b_then_a), "/a");
  EXPECT_EQ(agreed(b_then_a, a_then_b), "/b");
}

TEST(NoiseHandshake, EphemeralKeysDifferFromOneToTheNext) {
  const auto random = random_from(5);
  const auto credentials = credentials_from(kDialler);
  Handshake one(Role::kInitiator, credentials, {}, random);
  Handshake two(Role::kInitiator, credentials, {}, random);
  EXPECT_NE(one.take_output(), two.take_output());
}

}  // namespace
}  // namespace warren::security::noise
