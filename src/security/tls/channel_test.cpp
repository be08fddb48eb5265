#include "security/tls/channel.hpp"

#include <gtest/gtest.h>

#include <random>

#include "security/tls/handshake.hpp"
#include "security/tls/test_raw_peer.hpp"

namespace warren::security {
namespace {

using tls::kBulkBytes;
using tls::kRecordOverheadBytes;
using tls::kRecordPlainBytesMax;

struct Pair {
  std::unique_ptr<SecureChannel> a;  ///< The dialler's.
  std::unique_ptr<SecureChannel> b;
};

Pair make_pair_of_channels() {
  const auto a = protocol_of(1);
  const auto b = protocol_of(2);
  const auto dialler = a->start(Side::kDialler, peer_of(2));
  const auto listener = b->start(Side::kListener, std::nullopt);
  (void)play(*dialler, *listener);
  return {dialler->take_outcome().channel, listener->take_outcome().channel};
}

/// A channel of ours, in the given role, and another program's TLS.
struct Mixed {
  explicit Mixed(Side ours, const RawPeer::Settings& settings = {},
                 std::uint64_t records_per_key = tls::kRecordsPerKey)
      : peer(ours == Side::kDialler ? Side::kListener : Side::kDialler, Recipe{}, settings) {
    const auto context =
        tls::Context::create(identity(2), {"/yamux/1.0.0"}, [] { return kNow; }).value();
    tls::Handshake handshake(context, ours, std::nullopt, records_per_key);
    const auto result = play(handshake, peer);
    WARREN_CHECK(result && handshake.done());
    channel = handshake.take_outcome().channel;
  }
  RawPeer peer;
  std::unique_ptr<SecureChannel> channel;
};

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = 9;
  for (std::uint8_t& byte : bytes) {
    state = state * 1'664'525u + 1'013'904'223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

TEST(TlsChannel, CarriesEverySizeBothWays) {
  Pair pair = make_pair_of_channels();
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{2}, std::size_t{100}, kRecordPlainBytesMax - 1,
        kRecordPlainBytesMax, kRecordPlainBytesMax + 1, std::size_t{40'000}, kBulkBytes - 1,
        kBulkBytes}) {
    const Bytes text = pattern(size);
    for (const bool forth : {true, false}) {
      SecureChannel& from = forth ? *pair.a : *pair.b;
      SecureChannel& to = forth ? *pair.b : *pair.a;
      Bytes bytes = sealed(from, text);
      EXPECT_LE(bytes.size(), from.sealed_bytes_max(size));
      EXPECT_EQ(opened(to, bytes).value(), text) << size;
      EXPECT_TRUE(bytes.empty());
    }
  }
}

TEST(TlsChannel, MakesNothingOfNothing) {
  Pair pair = make_pair_of_channels();
  EXPECT_TRUE(sealed(*pair.a, Bytes{}).empty());
  Bytes none;
  const auto opened_none = pair.b->open(none);
  ASSERT_TRUE(opened_none);
  EXPECT_EQ(opened_none->taken, 0u);
}

TEST(TlsChannel, FillsItsRecordsHoweverTheTextIsCut) {
  Pair pair = make_pair_of_channels();
  const Bytes text = pattern(kBulkBytes);
  // A header of a muxer before its body: four full records all the same.
  const BytesView parts[] = {BytesView(text).first(12), BytesView(text).subspan(12)};
  EXPECT_EQ(sealed(*pair.a, parts).size(), 4 * (kRecordPlainBytesMax + kRecordOverheadBytes));
}

TEST(TlsChannel, CarriesPartsOfAnySizes) {
  Pair pair = make_pair_of_channels();
  std::mt19937 random(3);
  const Bytes text = pattern(kBulkBytes);
  for (int round = 0; round < 200; ++round) {
    const std::size_t total = random() % (kBulkBytes + 1);
    std::vector<BytesView> parts;
    for (std::size_t at = 0; at < total;) {
      std::size_t size = random() % 3 == 0 ? random() % 20 : random() % (kBulkBytes / 2);
      size = std::min(size, total - at);
      parts.push_back(BytesView(text).subspan(at, size));
      at += size;
    }
    Bytes bytes = sealed(*pair.a, parts);
    const std::size_t records = (total + kRecordPlainBytesMax - 1) / kRecordPlainBytesMax;
    ASSERT_EQ(bytes.size(), total + records * kRecordOverheadBytes);
    ASSERT_EQ(opened(*pair.b, bytes).value(), to_bytes(BytesView(text).first(total)));
  }
}

TEST(TlsChannel, WaitsForWholeRecordsWhateverTheCut) {
  Pair pair = make_pair_of_channels();
  Bytes all = sealed(*pair.a, as_bytes("one"));
  append(all, sealed(*pair.a, as_bytes("two")));
  Bytes come;
  Bytes text;
  for (const std::uint8_t byte : all) {
    come.push_back(byte);
    append(text, opened(*pair.b, come).value());
  }
  EXPECT_EQ(as_text(text), "onetwo");
  EXPECT_TRUE(come.empty());
}

TEST(TlsChannel, OpensSeveralRecordsAsOnePiece) {
  Pair pair = make_pair_of_channels();
  const Bytes text = pattern(kBulkBytes);
  Bytes bytes = sealed(*pair.a, text);
  append(bytes, sealed(*pair.a, as_bytes("next")));
  const auto first = pair.b->open(bytes);
  ASSERT_TRUE(first);
  EXPECT_EQ(to_bytes(first->plaintext), text);
  const auto second = pair.b->open(MutableBytes(bytes).subspan(first->taken));
  ASSERT_TRUE(second);
  EXPECT_EQ(as_text(second->plaintext), "next");
}

TEST(TlsChannel, SeesEveryFlippedBitAndGivesNoWrongText) {
  const Bytes text = pattern(300);
  for (std::size_t bit = 0;; bit += 29) {
    Pair pair = make_pair_of_channels();
    Bytes bytes = sealed(*pair.a, text);
    append(bytes, sealed(*pair.a, text));
    if (bit >= bytes.size() * 8) break;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ 1u << bit % 8);
    Bytes got;
    const auto first = pair.b->open(bytes);
    if (first) {
      got = to_bytes(first->plaintext);
      const auto second = pair.b->open(MutableBytes(bytes).subspan(first->taken));
      EXPECT_TRUE(!second || second->taken == 0) << "bit " << bit;
    }
    EXPECT_TRUE(got.empty() || got == text) << "bit " << bit;
    EXPECT_NE(got.size(), 2 * text.size());
  }
}

TEST(TlsChannel, TellsThePeerOfABrokenRecordAndStaysFailed) {
  Pair pair = make_pair_of_channels();
  Bytes bytes = sealed(*pair.a, as_bytes("text"));
  Bytes good = sealed(*pair.a, as_bytes("more"));
  bytes.back() ^= 1;
  const auto broken = pair.b->open(bytes);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code(), ErrorCode::kIntegrity);
  Bytes alert = pair.b->take_output();
  const auto told = pair.a->open(alert);
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code(), ErrorCode::kReset) << told.error().message();
  EXPECT_FALSE(pair.b->open(good));
  Bytes out(pair.b->sealed_bytes_max(1));
  const BytesView parts[] = {as_bytes("x")};
  EXPECT_FALSE(pair.b->seal(parts, out));
  EXPECT_TRUE(pair.b->close().empty());
}

TEST(TlsChannel, GivesWhatCameBeforeABrokenRecord) {
  Pair pair = make_pair_of_channels();
  Bytes bytes = sealed(*pair.a, as_bytes("good"));
  const std::size_t whole = bytes.size();
  append(bytes, sealed(*pair.a, as_bytes("bad")));
  bytes.back() ^= 1;
  const auto first = pair.b->open(bytes);
  ASSERT_TRUE(first);
  EXPECT_EQ(as_text(first->plaintext), "good");
  EXPECT_EQ(first->taken, whole);
  EXPECT_FALSE(pair.b->open(MutableBytes(bytes).subspan(whole)));
}

TEST(TlsChannel, RefusesRecordsThatAreRepeatedSwappedOrLost) {
  for (int what = 0; what < 3; ++what) {
    Pair pair = make_pair_of_channels();
    Bytes one = sealed(*pair.a, as_bytes("one"));
    Bytes two = sealed(*pair.a, as_bytes("two"));
    if (what == 0) {
      Bytes copy = one;
      EXPECT_TRUE(pair.b->open(copy));
      EXPECT_FALSE(pair.b->open(one));
    } else {
      EXPECT_FALSE(pair.b->open(two));
    }
  }
}

TEST(TlsChannel, RefusesWhatNoRecordCanBe) {
  const auto code_for = [](Bytes header) {
    Pair pair = make_pair_of_channels();
    const auto result = pair.b->open(header);
    return result ? ErrorCode::kClosed : result.error().code();
  };
  EXPECT_EQ(code_for({23, 3, 3, 0x41, 0x01}), ErrorCode::kTooLarge);
  EXPECT_EQ(code_for({23, 3, 3, 0xff, 0xff}), ErrorCode::kTooLarge);
  EXPECT_EQ(code_for({24, 3, 3, 0, 1}), ErrorCode::kMalformed);
  EXPECT_EQ(code_for({'G', 'E', 'T', ' ', '/'}), ErrorCode::kMalformed);
  EXPECT_EQ(code_for({23, 2, 0, 0, 1}), ErrorCode::kMalformed);
  EXPECT_EQ(code_for({23, 3, 3, 0x41, 0x00}), ErrorCode::kClosed) << "largest: it may come";
}

TEST(TlsChannel, SaysGoodbyeAndKnowsTheEnd) {
  Pair pair = make_pair_of_channels();
  EXPECT_TRUE(pair.a->has_goodbye());
  Bytes bytes = sealed(*pair.a, as_bytes("last"));
  append(bytes, pair.a->close());
  const auto end = pair.b->open(bytes);
  ASSERT_TRUE(end);
  EXPECT_EQ(as_text(end->plaintext), "last");
  EXPECT_TRUE(end->end);
  EXPECT_TRUE(pair.a->close().empty()) << "once";
  Bytes out(pair.a->sealed_bytes_max(1));
  const BytesView parts[] = {as_bytes("x")};
  const auto late = pair.a->seal(parts, out);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kClosed);
  // The other direction is still open, and what follows a goodbye is not looked at.
  Bytes back = sealed(*pair.b, as_bytes("yes"));
  EXPECT_EQ(as_text(opened(*pair.a, back).value()), "yes");
  Bytes junk(100, 1);
  const auto after = pair.b->open(junk);
  ASSERT_TRUE(after);
  EXPECT_TRUE(after->end && after->plaintext.empty());
  EXPECT_EQ(after->taken, junk.size());
}

TEST(TlsChannel, TalksToAnotherProgramInBothRoles) {
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    Mixed mixed(ours);
    const Bytes text = pattern(50'000);
    mixed.peer.feed(sealed(*mixed.channel, text));
    EXPECT_EQ(mixed.peer.advance(), text);
    mixed.peer.write(text);
    Bytes bytes = mixed.peer.take_output();
    EXPECT_EQ(opened(*mixed.channel, bytes).value(), text);
  }
}

TEST(TlsChannel, FollowsAndAnswersChangesOfTheKey) {
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    Mixed mixed(ours);
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(::SSL_key_update(mixed.peer.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
      mixed.peer.write(as_bytes("new key"));
      Bytes bytes = mixed.peer.take_output();
      EXPECT_EQ(as_text(opened(*mixed.channel, bytes).value()), "new key");
      // The answer goes before what is sealed next, and fits.
      const Bytes text = pattern(kBulkBytes);
      const Bytes answer = sealed(*mixed.channel, text);
      EXPECT_GT(answer.size(), text.size() + 4 * kRecordOverheadBytes);
      mixed.peer.feed(answer);
      EXPECT_EQ(mixed.peer.advance(), text);
      const Bytes next = sealed(*mixed.channel, text);
      EXPECT_EQ(next.size(), text.size() + 4 * kRecordOverheadBytes);
      mixed.peer.feed(next);
      EXPECT_EQ(mixed.peer.advance(), text);
    }
  }
}

TEST(TlsChannel, ChangesItsOwnKeyInTime) {
  Mixed mixed(Side::kDialler, {}, 4);
  int with_change = 0;
  for (int i = 0; i < 20; ++i) {
    const Bytes bytes = sealed(*mixed.channel, as_bytes("text"));
    EXPECT_LE(bytes.size(), mixed.channel->sealed_bytes_max(4));
    with_change += bytes.size() > 4 + kRecordOverheadBytes ? 1 : 0;
    mixed.peer.feed(bytes);
    EXPECT_EQ(as_text(mixed.peer.advance()), "text");
  }
  EXPECT_EQ(with_change, 4);
}

TEST(TlsChannel, RefusesAFloodOfChangedKeys) {
  Mixed mixed(Side::kListener);
  Result<Bytes> result;
  int count = 0;
  for (; count < 100 && result; ++count) {
    ::SSL_key_update(mixed.peer.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED);
    ::SSL_do_handshake(mixed.peer.ssl());
    Bytes bytes = mixed.peer.take_output();
    result = opened(*mixed.channel, bytes);
  }
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kTooLarge) << result.error().message();
  EXPECT_EQ(count, 33);
}

TEST(TlsChannel, IgnoresTicketsButNoFloodOfThem) {
  const auto tickets = [](std::size_t count) {
    return [count](SSL_CTX* context) { ::SSL_CTX_set_num_tickets(context, count); };
  };
  Mixed usual(Side::kDialler, tickets(4));
  usual.peer.write(as_bytes("text"));
  Bytes bytes = usual.peer.take_output();
  EXPECT_EQ(as_text(opened(*usual.channel, bytes).value()), "text");

  Mixed flood(Side::kDialler, tickets(0));
  Result<Bytes> result;
  for (int i = 0; i < 100 && result; ++i) {
    ::SSL_new_session_ticket(flood.peer.ssl());
    ::SSL_do_handshake(flood.peer.ssl());
    bytes = flood.peer.take_output();
    ASSERT_FALSE(bytes.empty());
    result = opened(*flood.channel, bytes);
  }
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kTooLarge) << result.error().message();
}

TEST(TlsChannel, KeepsToTheSmallRecordsThatADiallerAsksFor) {
  for (const std::uint8_t asked : {std::uint8_t{TLSEXT_max_fragment_length_512},
                                   std::uint8_t{TLSEXT_max_fragment_length_4096}}) {
    Mixed mixed(Side::kListener, [asked](SSL_CTX* context) {
      ::SSL_CTX_set_tlsext_max_fragment_length(context, asked);
    });
    const std::size_t record = std::size_t{256} << asked;
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{513}, std::size_t{20'000}, kBulkBytes}) {
      const Bytes text = pattern(size);
      const BytesView parts[] = {BytesView(text).first(size / 5),
                                 BytesView(text).subspan(size / 5)};
      const Bytes bytes = sealed(*mixed.channel, parts);
      EXPECT_EQ(bytes.size(), size + (size + record - 1) / record * kRecordOverheadBytes);
      EXPECT_LE(bytes.size(), mixed.channel->sealed_bytes_max(size));
      mixed.peer.feed(bytes);
      EXPECT_EQ(mixed.peer.advance(), text);
    }
  }
}

TEST(TlsChannel, TakesPaddedRecords) {
  Mixed mixed(Side::kListener,
              [](SSL_CTX* context) { ::SSL_CTX_set_block_padding(context, 16'000); });
  mixed.peer.write(as_bytes("x"));
  Bytes bytes = mixed.peer.take_output();
  EXPECT_GT(bytes.size(), 16'000u);
  EXPECT_EQ(as_text(opened(*mixed.channel, bytes).value()), "x");
}

}  // namespace
}  // namespace warren::security
