// Reputation, and the bans that come of it.

#include "peers/reputation.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "peers/test_support.hpp"

namespace warren::peers {
namespace {

using namespace testing;
using resources::Prefix;
using std::chrono::hours;

constexpr auto kLie = ReputationEvent::kFailedVerification;

// Reports lies until a ban is the answer.
std::optional<WallTime> make_banned(Fixture& f, const PeerId& id) {
  for (int i = 0; i < 100; ++i) {
    if (const auto until = f.book.report(id, kLie, f.now)) return until;
  }
  return std::nullopt;
}

TEST(Reputation, UpdatesChangesScore) {
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  EXPECT_EQ(f.book.score(peer(1), f.now), 0.5);
  f.book.report(peer(1), ReputationEvent::kVerifiedChunk, f.now);
  f.book.report(peer(1), ReputationEvent::kUsefulAnswer, f.now);
  EXPECT_NEAR(f.book.score(peer(1), f.now), 0.512, 1e-9);
  f.book.report(peer(1), ReputationEvent::kFailedVerification, f.now);
  f.book.report(peer(1), ReputationEvent::kMalformedMessage, f.now);
  f.book.report(peer(1), ReputationEvent::kTimeout, f.now);
  f.book.report(peer(1), ReputationEvent::kDisconnect, f.now);
  EXPECT_NEAR(f.book.score(peer(1), f.now), 0.512 - 0.165, 1e-9);
  EXPECT_EQ(f.book.score(peer(2), f.now), 0.5) << "unknown";
  EXPECT_FALSE(f.book.report(peer(2), kLie, f.now)) << "unknown";
}

TEST(Reputation, StaysBetweenZeroAndOneAndDriftsBackToTheMiddle) {
  const ReputationConfig config;
  Reputation good, bad;
  for (int i = 0; i < 10'000; ++i) {
    good.apply(ReputationEvent::kUsefulAnswer, config, kNow);
    bad.apply(kLie, config, kNow);
  }
  EXPECT_EQ(good.score(config, kNow), 1.0);
  EXPECT_EQ(bad.score(config, kNow), 0.0);
  EXPECT_NEAR(good.score(config, kNow + config.half_life), 0.75, 1e-9);
  EXPECT_NEAR(bad.score(config, kNow + 2 * config.half_life), 0.375, 1e-9);
  EXPECT_NEAR(good.score(config, WallTime::max()), 0.5, 1e-9);
  EXPECT_EQ(good.score(config, kNow - hours(1)), 1.0) << "a clock that runs backwards";
  EXPECT_EQ(good.score(config, WallTime::min()), 1.0);
}

TEST(Reputation, ATimeSetBackDoesNotPassTwice) {
  const ReputationConfig config;
  Reputation one;
  one.apply(kLie, config, kNow);
  one.apply(ReputationEvent::kTimeout, config, kNow - hours(24 * 30));
  EXPECT_EQ(one.at(), kNow);
  EXPECT_NEAR(one.score(config, kNow), 0.39, 1e-9);
}

TEST(Reputation, RestoresWhateverWasStored) {
  const ReputationConfig config;
  EXPECT_EQ(Reputation::restore(7.0, kNow).score(config, kNow), 1.0);
  EXPECT_EQ(Reputation::restore(-7.0, kNow).score(config, kNow), 0.0);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Reputation::restore(nan, kNow).score(config, kNow), 0.5);
  EXPECT_FALSE(Reputation::restore(nan, kNow).raw_score());
}

TEST(Reputation, BadPeersAreBanned) {
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  int lies = 0;
  std::optional<WallTime> until;
  while (!until && lies < 100) {
    until = f.book.report(peer(1), kLie, f.now);
    ++lies;
  }
  EXPECT_EQ(lies, 4) << "0.5 - 4 * 0.1 is below 0.2";
  EXPECT_EQ(until, f.now + 10min);
  EXPECT_TRUE(f.book.is_banned(peer(1), f.now));
  EXPECT_FALSE(f.book.report(peer(1), kLie, f.now)) << "it is banned already";
  ASSERT_EQ(f.book.bans(f.now).size(), 1u);
  EXPECT_EQ(f.book.bans(f.now)[0].reason, "failed verification");
  EXPECT_EQ(f.learn(peer(1), {quic(20, 1, 1, 2)}), 0u) << "nothing is taken of a banned peer";
  f.now += 10min;
  EXPECT_FALSE(f.book.is_banned(peer(1), f.now));
  EXPECT_TRUE(f.book.bans(f.now).empty());
  f.book.check_invariants();
}

TEST(Reputation, EachBanIsTwiceAsLongUntilThePeerWasGoodForLong) {
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  Duration expected = 10min;
  for (int i = 0; i < 15; ++i) {
    const auto until = make_banned(f, peer(1));
    ASSERT_TRUE(until) << i;
    EXPECT_EQ(*until - f.now, expected) << i;
    expected = std::min<Duration>(expected * 2, hours(24 * 7));
    f.now = *until;
  }
  EXPECT_EQ(expected, hours(24 * 7));
  f.now += hours(24 * 7) + 1s;
  EXPECT_EQ(*make_banned(f, peer(1)) - f.now, 10min) << "long ago is forgotten";
}

TEST(Reputation, GoodNewsAfterABanAreNoReasonForTheNext) {
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  f.now = *make_banned(f, peer(1));
  EXPECT_FALSE(f.book.report(peer(1), ReputationEvent::kVerifiedChunk, f.now));
  EXPECT_TRUE(f.book.report(peer(1), ReputationEvent::kTimeout, f.now));
}

TEST(Bans, PinnedAndKeptPeersAreNeverBannedByEvents) {
  Fixture f;
  ASSERT_TRUE(f.book.pin(peer(1), f.now));
  ASSERT_TRUE(f.book.keep(peer(2), quic(20, 1, 1, 1), f.now));
  EXPECT_FALSE(make_banned(f, peer(1)));
  EXPECT_FALSE(make_banned(f, peer(2)));
  EXPECT_EQ(f.book.score(peer(1), f.now), 0.0);
  EXPECT_TRUE(f.book.ban(peer(1), f.now + 1h, "by hand", f.now));
  EXPECT_TRUE(f.book.is_banned(peer(1), f.now));
}

TEST(Bans, APersonBansAndLifts) {
  Fixture f;
  ASSERT_TRUE(f.book.ban(peer(1), WallTime::max(), "spam", f.now)) << "also one not known";
  EXPECT_TRUE(f.book.is_banned(peer(1), WallTime::max() - 1ns));
  EXPECT_EQ(f.book.keep(peer(1), std::nullopt, f.now).error().code(), ErrorCode::kConflict);
  ASSERT_TRUE(f.book.unban(peer(1), f.now));
  EXPECT_FALSE(f.book.is_banned(peer(1), f.now));
  EXPECT_EQ(f.book.unban(peer(1), f.now).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(f.book.ban(peer(0), WallTime::max(), "", f.now).error().code(),
            ErrorCode::kInvalidArgument);

  f.learn(peer(2), {quic(20, 1, 1, 1)});
  ASSERT_TRUE(make_banned(f, peer(2)));
  ASSERT_TRUE(f.book.unban(peer(2), f.now));
  EXPECT_EQ(f.book.score(peer(2), f.now), 0.5) << "forgiven";
  EXPECT_EQ(*make_banned(f, peer(2)) - f.now, 10min);
}

TEST(Bans, ABanOutlivesWhatElseIsKnownOfThePeer) {
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  ASSERT_TRUE(f.book.ban(peer(1), f.now + hours(24 * 365), "x", f.now));
  ASSERT_TRUE(f.book.remove(peer(1)));
  EXPECT_TRUE(f.book.is_banned(peer(1), f.now));
  f.book.connected(peer(1), std::nullopt, f.now);
  EXPECT_EQ(f.book.find(peer(1))->banned_until, f.now + hours(24 * 365));
  f.book.check_invariants();
}

TEST(Bans, OfPrefixesNeverHaveLoopbackInThem) {
  Fixture f;
  for (const char* text : {"127.0.0.1", "127.0.0.0/8", "0.0.0.0/0", "126.0.0.0/7", "::1", "::/0",
                           "::/96", "127.5.0.0/16"}) {
    const auto banned = f.book.ban(*Prefix::parse(text), WallTime::max(), "", f.now);
    ASSERT_FALSE(banned) << text;
    EXPECT_EQ(banned.error().code(), ErrorCode::kInvalidArgument);
  }
  ASSERT_TRUE(f.book.ban(*Prefix::parse("198.51.100.0/24"), f.now + 1h, "", f.now));
  ASSERT_TRUE(f.book.ban(*Prefix::parse("2001:db8::/32"), f.now + 1h, "", f.now));
  EXPECT_TRUE(f.book.is_banned(IpAddress::v4(198, 51, 100, 7), f.now));
  EXPECT_FALSE(f.book.is_banned(IpAddress::v4(198, 51, 101, 7), f.now));
  EXPECT_TRUE(f.book.is_banned(*IpAddress::parse("2001:db8:1::1"), f.now));
  EXPECT_FALSE(f.book.is_banned(IpAddress::v4(127, 0, 0, 1), f.now));
  EXPECT_FALSE(f.book.is_banned(IpAddress::v4(198, 51, 100, 7), f.now + 1h));
  EXPECT_EQ(f.learn(peer(1), {quic(198, 51, 100, 7)}), 0u);
  ASSERT_TRUE(f.book.unban(*Prefix::parse("198.51.100.0/24")));
  EXPECT_EQ(f.book.unban(*Prefix::parse("198.51.100.0/24")).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(f.learn(peer(1), {quic(198, 51, 100, 7)}), 1u);
  f.book.check_invariants();
}

TEST(Bans, SeveralBadPeersOfOneAddressBanTheAddress) {
  Fixture f;
  for (unsigned i = 1; i <= 4; ++i) {
    EXPECT_FALSE(f.book.is_banned(IpAddress::v4(20, 1, 1, 1), f.now));
    f.book.connected(peer(i), std::nullopt, f.now, quic(20, 1, 1, 1, 50'000 + i));
    ASSERT_TRUE(make_banned(f, peer(i)));
    f.now += 1min;
  }
  EXPECT_TRUE(f.book.is_banned(IpAddress::v4(20, 1, 1, 1), f.now));
  EXPECT_FALSE(f.book.is_banned(IpAddress::v4(20, 1, 1, 2), f.now));
  f.now += 10min;
  EXPECT_FALSE(f.book.is_banned(IpAddress::v4(20, 1, 1, 1), f.now));
  f.book.check_invariants();
}

TEST(Bans, NobodyCanHaveAnAddressBannedByClaimingIt) {
  Fixture f;
  for (unsigned i = 1; i <= 20; ++i) {
    f.learn(peer(i), {quic(20, 1, 1, 1)}, Origin::kInbound);  // What it says of itself.
    f.book.connected(peer(i), std::nullopt, f.now, quic(66, 1, i, 1, 50'000));
    ASSERT_TRUE(make_banned(f, peer(i)));
  }
  EXPECT_FALSE(f.book.is_banned(IpAddress::v4(20, 1, 1, 1), f.now));
}

TEST(Bans, OfAddressesByEventsSpareLoopbackAndKeptPeersAndArePrivatelyShort) {
  Fixture f;
  const auto four_bad = [&](unsigned first, const Multiaddr& from) {
    // Each has a past elsewhere, so that its next ban is a long one.
    for (unsigned i = first; i < first + 4; ++i) {
      f.book.connected(peer(i), std::nullopt, f.now, quic(66, i % 256, i / 256, 1));
      for (int again = 0; again < 3; ++again) f.now = *make_banned(f, peer(i));
    }
    for (unsigned i = first; i < first + 4; ++i) {
      f.book.connected(peer(i), std::nullopt, f.now, from);
      ASSERT_TRUE(make_banned(f, peer(i)));
    }
  };
  four_bad(100, quic(127, 0, 0, 1));
  EXPECT_TRUE(f.book.prefix_bans().empty());
  ASSERT_TRUE(f.book.keep(peer(1), quic(30, 1, 1, 1), f.now));
  four_bad(200, quic(30, 1, 1, 1, 999));
  EXPECT_TRUE(f.book.prefix_bans().empty());
  four_bad(300, quic(192, 168, 1, 5));
  ASSERT_TRUE(f.book.is_banned(IpAddress::v4(192, 168, 1, 5), f.now));
  EXPECT_LE(f.book.prefix_bans().begin()->second.until, f.now + 10min);
  EXPECT_EQ(f.book.find(peer(303))->banned_until, f.now + 80min);
  four_bad(400, address("/ip6/2001:db8:1:2::7/udp/4001/quic-v1"));
  EXPECT_TRUE(f.book.is_banned(*IpAddress::parse("2001:db8:1:2:ffff::1"), f.now));
  EXPECT_FALSE(f.book.is_banned(*IpAddress::parse("2001:db8:1:3::7"), f.now));
  f.book.check_invariants();
}

TEST(Bans, EventsNeverShortenWhatAPersonSaidNorTakeItOver) {
  for (const Duration length : {Duration(1min), Duration(1h)}) {
    Fixture f;
    const Prefix prefix = *Prefix::parse("192.168.1.5/32");
    const WallTime until = f.now + length;
    ASSERT_TRUE(f.book.ban(prefix, until, "by hand", f.now));
    for (unsigned i = 1; i <= 4; ++i) {
      f.book.connected(peer(i), std::nullopt, f.now, quic(192, 168, 1, 5, 50'000 + i));
      ASSERT_TRUE(make_banned(f, peer(i)));
    }
    const Ban& now = f.book.prefix_bans().at(prefix);
    EXPECT_EQ(now.until, std::max(until, f.now + 10min));
    EXPECT_TRUE(now.by_person);
    EXPECT_EQ(now.reason, "by hand");
    f.book.check_invariants();
  }
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  ASSERT_TRUE(f.book.ban(peer(1), f.now + 1min, "by hand", f.now));
  EXPECT_FALSE(make_banned(f, peer(1)));
  EXPECT_EQ(f.book.peer_bans().at(peer(1)).until, f.now + 1min);
  EXPECT_TRUE(f.book.peer_bans().at(peer(1)).by_person);
}

TEST(Bans, OfAddressesByEventsSparePinnedPeersThatAreConnectedFromThere) {
  for (const bool kept : {true, false}) {
    Fixture f;
    f.book.connected(peer(50), std::nullopt, f.now, quic(20, 1, 1, 1, 40'000));
    ASSERT_TRUE(kept ? f.book.keep(peer(50), std::nullopt, f.now) : f.book.pin(peer(50), f.now));
    for (unsigned i = 1; i <= 4; ++i) {
      f.book.connected(peer(i), std::nullopt, f.now, quic(20, 1, 1, 1, 50'000 + i));
      ASSERT_TRUE(make_banned(f, peer(i)));
    }
    EXPECT_TRUE(f.book.prefix_bans().empty());
    f.book.disconnected(peer(50), 1, 1, f.now);
    for (unsigned i = 5; i <= 8; ++i) {
      f.book.connected(peer(i), std::nullopt, f.now, quic(20, 1, 1, 1, 50'000 + i));
      ASSERT_TRUE(make_banned(f, peer(i)));
    }
    EXPECT_FALSE(f.book.prefix_bans().empty());
  }
}

TEST(Bans, AreBoundedAndThoseOfPersonsGoLast) {
  limits::Peers limits;
  limits.bans_max = 100;
  Fixture f(limits);
  for (unsigned i = 0; i < 50; ++i) {
    ASSERT_TRUE(f.book.ban(peer(1 + i), WallTime::max(), "", f.now));
  }
  for (unsigned i = 0; i < 300; ++i) {
    const PeerId id = peer(1'000 + i);
    f.book.connected(id, std::nullopt, f.now);
    ASSERT_TRUE(make_banned(f, id));
    f.now += 1s;
    f.book.check_invariants();
  }
  EXPECT_EQ(f.book.bans(f.now).size(), 100u);
  for (unsigned i = 0; i < 50; ++i) EXPECT_TRUE(f.book.is_banned(peer(1 + i), f.now));
  for (unsigned i = 50; i < 100; ++i) {
    ASSERT_TRUE(f.book.ban(peer(1 + i), WallTime::max(), "", f.now)) << i;
  }
  const auto refused = f.book.ban(peer(500), WallTime::max(), "", f.now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kLimited);
  f.book.check_invariants();
}

TEST(NetworkGroup, IsAPartOfTheNetworkAndAllOfTheLocalOneIsOne) {
  EXPECT_EQ(network_group(quic(198, 51, 100, 1)).to_string(), "198.51.0.0/16");
  EXPECT_EQ(network_group(quic(198, 51, 7, 9)), network_group(quic(198, 51, 100, 1)));
  EXPECT_EQ(network_group(address("/ip6/2001:db8:1::1/tcp/1")).to_string(), "2001:db8::/32");
  EXPECT_EQ(network_group(address("/ip6/fd00::1/tcp/1")).to_string(), "local");
  EXPECT_EQ(network_group(address("/ip6zone/eth0/ip6/fe80::1/tcp/1")).to_string(), "local");
  EXPECT_EQ(network_group(quic(10, 1, 2, 3)), network_group(quic(127, 0, 0, 1)));
  EXPECT_EQ(network_group(address("/dns4/a.example/tcp/1")),
            network_group(address("/dns4/a.example/tcp/2")));
  EXPECT_NE(network_group(address("/dns4/a.example/tcp/1")),
            network_group(address("/dns4/b.example/tcp/1")));
  EXPECT_EQ(network_group(Multiaddr::memory(65'535)).kind, NetworkGroup::Kind::kLocal);
  EXPECT_EQ(network_group(Multiaddr::memory(65'536)), network_group(Multiaddr::memory(131'071)));
  EXPECT_NE(network_group(Multiaddr::memory(65'536)), network_group(Multiaddr::memory(131'072)));
  const auto relayed = quic(198, 51, 100, 1).with_peer(peer(1)).to_string() + "/p2p-circuit";
  EXPECT_EQ(network_group(address(relayed)).to_string(), "198.51.0.0/16");
}

}  // namespace
}  // namespace warren::peers
