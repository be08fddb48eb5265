#include "swarm/manager/connection_manager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/manager/operations_for_test.hpp"
#include "swarm/manager/rig_for_test.hpp"

namespace warren::swarm {
namespace {

using testing::address;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Le;
using ::testing::Not;
using testing::peer_id;
using testing::Rig;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Kind = DialPeer::Kind;

ManagerConfig small(std::size_t target, std::size_t max) {
  ManagerConfig config;
  config.target_peers = target;
  config.max_peers = max;
  config.group_share_max = 1;
  return config;
}

TEST(ConnectionManager, ProfilesAreAsTheSystemsNameThem) {
  EXPECT_EQ(ManagerConfig::of(Profile::kMinimal).max_peers, 8u);
  EXPECT_EQ(ManagerConfig::of(Profile::kStandard).target_peers, 16u);
  EXPECT_EQ(ManagerConfig::of(Profile::kStandard).max_peers, 32u);
  EXPECT_EQ(ManagerConfig::of(Profile::kBridge).max_peers, 128u);
  EXPECT_EQ(profile_name(Profile::kBridge), "bridge");
}

TEST(ConnectionManager, DialsUntilTheTargetIsReached) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 40; ++i) rig.learn(i, i);
  EXPECT_THAT(rig.next().dialled, SizeIs(8)) << "dials in progress at a time";
  for (std::uint32_t i = 1; i <= 40; ++i) rig.answer(i, true);
  rig.settle();
}

TEST(ConnectionManager, HoldsExactlyTheTarget) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 40; ++i) rig.learn(i, i);
  EXPECT_THAT(rig.settle().dialled, SizeIs(16));
  EXPECT_EQ(rig.manager().counts().connected, 16u);
  EXPECT_EQ(rig.manager().counts().outbound, 16u);
  EXPECT_FALSE(rig.manager().wants_peers(rig.now()));
}

TEST(ConnectionManager, WantsPeersWhenNobodyIsLeft) {
  Rig rig;
  EXPECT_THAT(rig.next().dialled, IsEmpty());
  EXPECT_TRUE(rig.manager().wants_peers(rig.now()));
  rig.learn(1, 1);
  EXPECT_THAT(rig.next().dialled, ElementsAre(1));
}

TEST(ConnectionManager, ALostPeerIsReplacedAtOnce) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 40; ++i) rig.learn(i, i);
  const Rig::Done first = rig.settle();
  rig.pass(1min);
  rig.settle();
  rig.disconnect(first.dialled[3]);
  const Rig::Done then = rig.next();
  ASSERT_THAT(then.dialled, SizeIs(1));
  EXPECT_NE(then.dialled[0], first.dialled[3]);
}

TEST(ConnectionManager, ALostPeerIsTriedAgainWithGrowingWaits) {
  ManagerConfig config = small(1, 8);
  config.feeler_interval = 24h;
  Rig rig(config);
  rig.learn(1, 1);
  rig.settle();
  rig.pass(1min);
  rig.disconnect(1);
  EXPECT_THAT(rig.next().dialled, IsEmpty());
  Duration expected = 5s;
  for (int i = 0; i < 9; ++i) {
    const TimePoint start = rig.now().steady;
    while (rig.next().dialled.empty()) rig.pass(rig.manager().next_wake() - rig.now().steady);
    const Duration wait = rig.now().steady - start;
    EXPECT_GE(wait, expected * 8 / 10 - 1ms);
    EXPECT_LE(wait, expected * 12 / 10 + 1ms);
    expected = std::min<Duration>(expected * 2, 5min);
    rig.answer(1, false);
  }
}

TEST(ConnectionManager, MaxOfTwoAgainstFiveGivesExactlyTwo) {
  ManagerConfig config;
  config.max_peers = 2;
  Rig rig(config);
  std::size_t most = 0;
  for (std::uint32_t i = 1; i <= 5; ++i) rig.learn(i, 0, peers::Origin::kMdns);
  for (int round = 0; round < 20; ++round) {
    const Rig::Done done = rig.next();
    most = std::max(most, rig.manager().counts().connected + rig.manager().counts().dials);
    for (const std::uint32_t peer : done.dialled) rig.answer(peer);
    for (std::uint32_t i = 1; i <= 5; ++i) rig.inbound(i);
    rig.next();
    EXPECT_EQ(rig.manager().counts().connected, 2u);
    rig.pass(17s);
  }
  EXPECT_EQ(most, 2u);
}

TEST(ConnectionManager, KeptPeersAreDialledAboveEveryLimit) {
  Rig rig(small(2, 2));
  for (std::uint32_t i = 1; i <= 2; ++i) rig.inbound(i, i);
  rig.next();
  ASSERT_TRUE(rig.book().keep(peer_id(9), address(9, 9), rig.now().civil));
  rig.manager().book_changed(peer_id(9));
  const Rig::Done done = rig.next();
  EXPECT_THAT(done.dialled, ElementsAre(9));
  EXPECT_THAT(done.kinds, ElementsAre(Kind::kKept));
  rig.answer(9);
  rig.pass(1h);
  EXPECT_TRUE(rig.next().closed.empty());
  EXPECT_EQ(rig.manager().counts().connected, 3u);
  EXPECT_EQ(rig.manager().counts().protected_peers, 1u);
  rig.disconnect(9);
  rig.next();
  rig.pass(6s + 1s);
  EXPECT_THAT(rig.next().dialled, Contains(9u));
}

TEST(ConnectionManager, KeptPeersComeFirst) {
  ManagerConfig config;
  config.dials_max = 1;
  Rig rig(config);
  for (std::uint32_t i = 1; i <= 20; ++i) rig.learn(i, i);
  ASSERT_TRUE(rig.book().keep(peer_id(30), address(30, 30), rig.now().civil));
  rig.manager().book_changed();
  EXPECT_THAT(rig.next().dialled, ElementsAre(30));
}

TEST(ConnectionManager, AnchorsAreMarkedAndDialledFirstAfterARestart) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 30; ++i) rig.learn(i, i);
  rig.run(10min);
  std::vector<peers::Peer> kept;
  std::set<std::uint32_t> anchors;
  std::set<peers::NetworkGroup> networks;
  for (const auto& [id, peer] : rig.book().all()) {
    kept.push_back(peer);
    if (!peer.anchor) continue;
    anchors.insert(rig.number_of(id));
    networks.insert(peers::network_group(peer.addresses.front().address));
  }
  ASSERT_EQ(anchors.size(), 2u);
  EXPECT_EQ(networks.size(), 2u);

  Rig again({}, 7);
  again.book().restore(kept, {}, {}, again.now().civil);
  const Rig::Done first = again.next();
  ASSERT_GE(first.dialled.size(), 2u);
  EXPECT_EQ((std::set<std::uint32_t>{first.dialled[0], first.dialled[1]}), anchors);
  EXPECT_EQ(first.kinds[0], Kind::kAnchor);
  EXPECT_EQ(first.kinds[1], Kind::kAnchor);
}

TEST(ConnectionManager, AnchorsStayWhenTheNetworkGoes) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 4; ++i) rig.learn(i, i);
  rig.run(5min);
  for (std::uint32_t i = 1; i <= 4; ++i) rig.disconnect(i);
  rig.pass(10min);
  rig.next();
  std::size_t anchors = 0;
  for (const auto& [id, peer] : rig.book().all()) anchors += peer.anchor ? 1 : 0;
  EXPECT_EQ(anchors, 2u);
}

TEST(ConnectionManager, LocalPeersAreDialledAsSoonAsHeardOf) {
  ManagerConfig config;
  config.dials_max = 1;
  Rig rig(config);
  for (std::uint32_t i = 1; i <= 20; ++i) rig.learn(i, i);
  rig.learn(21, 0, peers::Origin::kBeacon);
  EXPECT_THAT(rig.next().dialled, ElementsAre(21));
}

TEST(ConnectionManager, TheLargerPeerGivesTheOtherAHeadStart) {
  Rig rig({}, 1, 50);
  rig.next();
  rig.learn(51, 0, peers::Origin::kMdns);
  EXPECT_THAT(rig.next().dialled, ElementsAre(51)) << "we are the smaller one";
  rig.learn(49, 0, peers::Origin::kMdns);
  EXPECT_THAT(rig.next().dialled, IsEmpty());
  EXPECT_EQ(rig.manager().next_wake(), rig.now().steady + 500ms);
  rig.pass(500ms);
  EXPECT_THAT(rig.next().dialled, ElementsAre(49));
}

TEST(ConnectionManager, BannedPeersAreNeitherDialledNorKept) {
  Rig rig;
  rig.learn(1, 1);
  rig.learn(2, 2);
  ASSERT_TRUE(rig.book().ban(peer_id(1), WallTime::max(), "test", rig.now().civil));
  rig.manager().book_changed();
  EXPECT_THAT(rig.next().dialled, ElementsAre(2));
  rig.answer(2);
  ASSERT_TRUE(rig.book().ban(peer_id(2), WallTime::max(), "test", rig.now().civil));
  rig.manager().book_changed(peer_id(2));
  const Rig::Done done = rig.next();
  EXPECT_THAT(done.closed, ElementsAre(2));
  EXPECT_THAT(done.why, ElementsAre(LetGo::kBanned));
  rig.inbound(1, 1);
  EXPECT_THAT(rig.next().closed, ElementsAre(1));
}

TEST(ConnectionManager, PeersInABannedPrefixGo) {
  Rig rig;
  const auto prefix = resources::Prefix::parse("198.51.100.0/24");
  ASSERT_TRUE(prefix);
  const Multiaddr inside = *Multiaddr::parse("/ip4/198.51.100.7/udp/4001/quic-v1");
  rig.manager().connected(peer_id(1), false, inside, rig.now());
  EXPECT_TRUE(rig.next().closed.empty());
  ASSERT_TRUE(rig.book().ban(*prefix, WallTime::max(), "test", rig.now().civil));
  rig.manager().book_changed();
  EXPECT_THAT(rig.next().closed, ElementsAre(1));
}

TEST(ConnectionManager, ChoosesSomeItselfAlthoughEnoughCameIn) {
  Rig rig;  // Target 16: four of its own.
  for (std::uint32_t i = 1; i <= 16; ++i) rig.inbound(i, i);
  rig.next();
  for (std::uint32_t i = 101; i <= 120; ++i) rig.learn(i, i);
  EXPECT_THAT(rig.settle().dialled, SizeIs(4));
  EXPECT_EQ(rig.manager().counts().connected, 20u);
  const Rig::Done later = rig.run(40s);
  EXPECT_EQ(rig.manager().counts().connected, 18u);
  EXPECT_EQ(rig.manager().counts().outbound, 4u);
  EXPECT_THAT(later.closed, Each(Le(16u))) << "inbound before outbound";
  EXPECT_THAT(later.why, Each(LetGo::kFull));
}

TEST(ConnectionManager, RoomForOwnChoicesIsKeptUnderAFlood) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 200; ++i) {
    rig.inbound(i, i);
    rig.next();
    EXPECT_LE(rig.manager().counts().connected, 28u);
  }
  for (std::uint32_t i = 1001; i <= 1020; ++i) rig.learn(i, i);
  EXPECT_THAT(rig.next().dialled, SizeIs(4));
}

TEST(ConnectionManager, SurplusGoesAfterItsGraceWorstFirst) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 40; ++i) rig.learn(i, i);
  rig.settle();
  for (std::uint32_t i = 101; i <= 105; ++i) rig.inbound(i, i);
  EXPECT_TRUE(rig.next().closed.empty()) << "newcomers have their grace";
  rig.manager().was_useful(peer_id(103), 1u << 30, rig.now());
  rig.manager().was_useful(peer_id(104), 1u << 24, rig.now());
  const Rig::Done done = rig.run(31s);
  EXPECT_THAT(done.closed, UnorderedElementsAre(101, 102, 105));
  EXPECT_EQ(rig.manager().counts().connected, 18u);
}

TEST(ConnectionManager, ProtectedPeersAreNeverLetGo) {
  Rig rig(small(2, 3));
  for (std::uint32_t i = 1; i <= 3; ++i) rig.inbound(i, i);
  for (std::uint32_t i = 1; i <= 3; ++i) rig.manager().protect(peer_id(i));
  rig.manager().protect(peer_id(1));
  for (std::uint32_t i = 4; i <= 6; ++i) rig.inbound(i, i);
  EXPECT_TRUE(rig.next().closed.empty()) << "protected ones do not count against max_peers";
  EXPECT_THAT(rig.run(10min).closed, AllOf(Not(IsEmpty()), Each(Ge(4u))));
  const std::size_t before = rig.manager().counts().connected;
  rig.manager().unprotect(peer_id(1));
  rig.run(1min);
  EXPECT_EQ(rig.manager().counts().connected, before) << "the other protection holds";
}

TEST(ConnectionManager, PinnedPeersAreNeverLetGo) {
  Rig rig(small(1, 1));
  ASSERT_TRUE(rig.book().pin(peer_id(1), rig.now().civil));
  rig.inbound(1, 1);
  rig.inbound(2, 2);
  EXPECT_TRUE(rig.next().closed.empty());
  rig.inbound(3, 3);
  EXPECT_THAT(rig.next().closed, ElementsAre(3));
}

TEST(ConnectionManager, AboveTheMostANewcomerTakesThePlaceOfAWorseOne) {
  ManagerConfig config = small(4, 4);
  config.surplus_max = 10;
  config.outbound_min = 0;
  Rig rig(config);
  for (std::uint32_t i = 1; i <= 4; ++i) rig.inbound(i, i);
  for (int i = 0; i < 4; ++i) {
    rig.book().report(peer_id(2), peers::ReputationEvent::kMalformedMessage, rig.now().civil);
  }
  rig.pass(20s);
  rig.inbound(5, 5);
  EXPECT_THAT(rig.next().closed, ElementsAre(5)) << "grace of the others is not over";
  rig.pass(20s);
  rig.inbound(6, 6);
  const Rig::Done done = rig.next();
  EXPECT_THAT(done.closed, ElementsAre(2));
  EXPECT_THAT(done.why, ElementsAre(LetGo::kReplaced));
  rig.inbound(7, 7);
  const Rig::Done none = rig.next();
  EXPECT_THAT(none.closed, ElementsAre(7)) << "nobody is worse than it";
  EXPECT_THAT(none.why, ElementsAre(LetGo::kFull));
}

TEST(ConnectionManager, HalfOfTheChosenAreThoseProvenForLongest) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 200; ++i) rig.learn(i, i);
  for (std::uint32_t i = 301; i <= 400; ++i) rig.prove(i, i, 1h);
  for (std::uint32_t i = 501; i <= 512; ++i) rig.prove(i, i, 24h * (i - 500));
  const Rig::Done done = rig.settle();
  ASSERT_THAT(done.dialled, SizeIs(16));
  const auto old = std::ranges::count_if(done.dialled, [](auto i) { return i > 500; });
  EXPECT_GE(old, 8);
  const auto fresh = std::ranges::count_if(done.dialled, [](auto i) { return i <= 200; });
  EXPECT_GE(fresh, 1) << "a coin decides between proven and new ones";
}

TEST(ConnectionManager, FeelersTryNewAddressesAndAreClosedAtOnce) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 40; ++i) rig.learn(i, i);
  rig.settle();
  rig.pass(3min);
  const Rig::Done done = rig.next();
  ASSERT_THAT(done.kinds, ElementsAre(Kind::kFeeler));
  const std::uint32_t feeler = done.dialled[0];
  rig.answer(feeler);
  const Rig::Done then = rig.next();
  EXPECT_THAT(then.closed, ElementsAre(feeler));
  EXPECT_THAT(then.why, ElementsAre(LetGo::kFeeler));
  EXPECT_TRUE(rig.book().find(peer_id(feeler))->proven());
}

TEST(ConnectionManager, AFeelerStaysWhenAPeerIsMissing) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 17; ++i) rig.learn(i, i);
  const Rig::Done first = rig.settle();
  rig.pass(3min);
  const Rig::Done done = rig.next();
  ASSERT_THAT(done.kinds, ElementsAre(Kind::kFeeler));
  rig.disconnect(first.dialled[0]);
  rig.answer(done.dialled[0]);
  EXPECT_TRUE(rig.next().closed.empty());
  EXPECT_EQ(rig.manager().counts().connected, 16u);
}

TEST(ConnectionManager, AboveTheHighWaterItGoesDownToTheLow) {
  ManagerConfig config;
  config.max_peers = 1000;
  config.surplus_max = 1000;
  config.high_water = 40;
  config.low_water = 20;
  Rig rig(config);
  for (std::uint32_t i = 1; i <= 40; ++i) rig.inbound(i, i);
  rig.run(31s);
  EXPECT_EQ(rig.manager().counts().connected, 40u);
  rig.inbound(41, 41);
  rig.run(31s);
  EXPECT_EQ(rig.manager().counts().connected, 20u);
}

TEST(ConnectionManager, WhoSaidGoodbyeIsLeftAlone) {
  ManagerConfig config = small(1, 4);
  config.feeler_interval = 24h;
  Rig rig(config);
  rig.learn(1, 1);
  rig.settle();
  rig.pass(1min);
  rig.manager().said_goodbye(peer_id(1), 3min, rig.now());
  rig.disconnect(1);
  EXPECT_TRUE(rig.next().nothing());
  rig.pass(3min - 1ms);
  EXPECT_TRUE(rig.next().nothing());
  rig.pass(1ms);
  EXPECT_THAT(rig.next().dialled, ElementsAre(1));
}

TEST(ConnectionManager, AGoodbyeHoldsForAnHourAtMost) {
  ManagerConfig config = small(1, 4);
  config.feeler_interval = 24h * 300;
  Rig rig(config);
  rig.learn(1, 1);
  rig.settle();
  rig.manager().said_goodbye(peer_id(1), 24h * 365, rig.now());
  rig.disconnect(1);
  rig.next();
  rig.pass(30min);
  rig.next();
  EXPECT_EQ(rig.manager().next_wake(), rig.now().steady + 30min);
}

TEST(ConnectionManager, WhomAPersonDisconnectedIsLeftAlone) {
  ManagerConfig config = small(1, 4);
  config.feeler_interval = 24h;
  Rig rig(config);
  rig.learn(1, 1);
  rig.settle();
  rig.manager().leave(peer_id(1), rig.now());
  rig.disconnect(1);
  EXPECT_TRUE(rig.next().nothing());
  rig.pass(9min);
  EXPECT_TRUE(rig.next().nothing());
  rig.manager().retry_now(rig.now());
  EXPECT_TRUE(rig.next().nothing()) << "that the network came back is not what the person meant";
  rig.manager().come_back(peer_id(1));
  EXPECT_THAT(rig.next().dialled, ElementsAre(1));
}

TEST(ConnectionManager, WhoComesAnewOrIsNeededMeanwhileIsNotClosed) {
  Rig rig(small(1, 1));
  rig.learn(1, 1);
  rig.settle();
  rig.inbound(2, 2);
  const auto actions = rig.manager().next(rig.now());
  ASSERT_EQ(actions.size(), 1u);
  const PeerId guest = std::get<ClosePeer>(actions.front()).peer;
  EXPECT_TRUE(rig.manager().confirm_closing(guest, rig.now()));
  rig.manager().protect(guest);
  EXPECT_FALSE(rig.manager().confirm_closing(guest, rig.now())) << "a transfer began";
  rig.manager().unprotect(guest);
  EXPECT_FALSE(rig.manager().confirm_closing(guest, rig.now())) << "it stays until next() says so";
  EXPECT_FALSE(rig.manager().confirm_closing(peer_id(9), rig.now())) << "nobody";
}

TEST(ConnectionManager, ADialThatCouldNotBeTriedSaysNothingOfThePeer) {
  Rig rig(small(1, 4));
  rig.learn(1, 1);
  ASSERT_THAT(rig.next().dialled, ElementsAre(1));
  rig.manager().dial_not_tried(peer_id(1), rig.now());
  EXPECT_TRUE(rig.next().nothing()) << "it is not asked for again in the same moment";
  EXPECT_EQ(rig.book().find(peer_id(1))->failures, 0u);
  rig.pass(2s);
  EXPECT_THAT(rig.next().dialled, ElementsAre(1));
}

TEST(ConnectionManager, ANetworkThatComesBackIsDialledInSmallBatches) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 16; ++i) rig.learn(i, i);
  rig.settle();
  rig.pass(1min);
  for (std::uint32_t i = 1; i <= 16; ++i) rig.disconnect(i);
  EXPECT_TRUE(rig.next().nothing());
  rig.manager().retry_now(rig.now());
  EXPECT_THAT(rig.next().dialled, SizeIs(8));
  EXPECT_THAT(rig.next().dialled, IsEmpty());
}

TEST(ConnectionManager, NewLimitsHoldAtOnce) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 40; ++i) rig.learn(i, i);
  rig.settle();
  ManagerConfig config;
  config.max_peers = 5;
  rig.manager().configure(config);
  EXPECT_THAT(rig.next().closed, SizeIs(11));
  EXPECT_EQ(rig.manager().counts().connected, 5u);
}

TEST(ConnectionManager, AChosenPeerThatWasLostIsTriedAgainThoughThereAreEnough) {
  ManagerConfig config;
  config.feeler_interval = 24h;
  Rig rig(config);
  for (std::uint32_t i = 1; i <= 40; ++i) rig.learn(i, i);
  const Rig::Done first = rig.settle();
  rig.pass(1min);
  const std::uint32_t lost = first.dialled[5];
  rig.disconnect(lost);
  rig.settle();
  EXPECT_EQ(rig.manager().counts().connected, 16u);
  const Rig::Done later = rig.run(10s);
  EXPECT_THAT(later.dialled, ElementsAre(lost));
  EXPECT_EQ(rig.manager().counts().connected, 17u) << "within the surplus";
}

TEST(ConnectionManager, NothingToDoCostsNothing) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 4000; ++i) rig.learn(i, 1 + i % 200);
  rig.settle();
  const TimePoint wake = rig.manager().next_wake();
  for (int i = 0; i < 1'000'000; ++i) {
    ASSERT_TRUE(rig.manager().next(rig.now()).empty());
  }
  EXPECT_EQ(rig.manager().next_wake(), wake);
}

TEST(ConnectionManager, ScoreRisesWithUseUptimeNearnessAndReputation) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 5; ++i) rig.inbound(i, i);
  const auto score = [&](std::uint32_t i) { return rig.manager().score(peer_id(i), rig.now()); };
  const double plain = score(1);
  rig.manager().was_useful(peer_id(2), 100u << 20, rig.now());
  EXPECT_GT(score(2), plain);
  rig.book().measured(peer_id(3), 2ms, rig.now().civil);
  EXPECT_GT(score(3), plain);
  rig.book().measured(peer_id(4), 400ms, rig.now().civil);
  EXPECT_LT(score(4), plain);
  rig.book().report(peer_id(5), peers::ReputationEvent::kFailedVerification, rig.now().civil);
  EXPECT_LT(score(5), plain);
  const double useful = score(2);
  rig.pass(20min);
  EXPECT_GT(score(1), plain) << "it stayed";
  rig.pass(24h * 10);
  EXPECT_LT(score(2) - score(1), useful - plain) << "what it gave long ago counts less";
  EXPECT_EQ(rig.manager().score(peer_id(99), rig.now()), 0);
}

TEST(ConnectionManager, HoldsItsPromisesInAnyOrderOfEvents) {
  std::mt19937_64 rng(1);
  for (int run = 0; run < 500; ++run) {
    Bytes input(400);
    for (std::uint8_t& byte : input) byte = static_cast<std::uint8_t>(rng());
    testing::Operations(input).run();
  }
}

}  // namespace
}  // namespace warren::swarm
