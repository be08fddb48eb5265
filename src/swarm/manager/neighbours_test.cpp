// Peers on the local network: dialled as soon as they are heard of, and kept where something is
// shared.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/manager/connection_manager.hpp"
#include "swarm/manager/rig_for_test.hpp"

namespace warren::swarm {
namespace {

using ::testing::Each;
using ::testing::Ge;
using ::testing::IsEmpty;
using testing::peer_id;
using testing::Rig;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

/// Four peers and two more are held, eight at most.
ManagerConfig small() {
  ManagerConfig config;
  config.target_peers = 4;
  config.max_peers = 8;
  config.outbound_min = 0;
  config.group_share_max = 1;
  config.feeler_interval = 1'000h;
  return config;
}

class Neighbours : public ::testing::Test {
 protected:
  explicit Neighbours(ManagerConfig config = small()) : rig(config, 1, kSelf) {}
  static constexpr std::uint32_t kSelf = 0;

  void hear(std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t i = from; i <= to; ++i) rig.learn(i, 0, peers::Origin::kBeacon);
  }
  /// All that is connected from then on shares something with us.
  Rig::Done run_sharing(Duration time) {
    Rig::Done all;
    for (Duration passed{}; passed < time; passed += 100ms) {
      for (const Rig::Done& done : {rig.settle(), rig.run(100ms)}) {
        all.dialled.insert(all.dialled.end(), done.dialled.begin(), done.dialled.end());
        all.closed.insert(all.closed.end(), done.closed.begin(), done.closed.end());
        for (const std::uint32_t peer : done.dialled)
          rig.manager().set_neighbour(peer_id(peer), true);
      }
    }
    return all;
  }
  Rig rig;
};

TEST_F(Neighbours, AllOfALanThatShareSomethingAreFoundAndKept) {
  hear(1, 40);
  EXPECT_THAT(run_sharing(10s).dialled, SizeIs(40)) << "far more than the target, and than max";
  const Rig::Done later = run_sharing(5min);
  EXPECT_THAT(later.closed, IsEmpty());
  EXPECT_EQ(rig.manager().counts().connected, 40u);
  EXPECT_EQ(rig.manager().counts().neighbours, 40u);
}

TEST_F(Neighbours, WhereNothingIsSharedTheTargetHolds) {
  hear(1, 40);
  const Rig::Done done = rig.run(1h);
  EXPECT_THAT(done.dialled, SizeIs(4));
  EXPECT_EQ(rig.manager().counts().connected, 4u);
}

TEST_F(Neighbours, WhoStopsSharingIsOneOfMany) {
  hear(1, 12);
  run_sharing(10s);
  for (std::uint32_t i = 1; i <= 12; ++i) rig.manager().set_neighbour(peer_id(i), false);
  rig.run(1min);
  EXPECT_EQ(rig.manager().counts().neighbours, 0u);
  EXPECT_LE(rig.manager().counts().connected, 6u);
}

TEST_F(Neighbours, TheyLeaveThePlacesToOthers) {
  hear(1, 10);
  run_sharing(10s);
  for (std::uint32_t i = 21; i <= 24; ++i) rig.learn(i, i);
  EXPECT_THAT(rig.run(1min).dialled, UnorderedElementsAre(21, 22, 23, 24));
  // One of the eight places stays free for one that is chosen.
  for (std::uint32_t i = 31; i <= 33; ++i) rig.inbound(i, i);
  EXPECT_TRUE(rig.next().closed.empty()) << "seven that count, and ten neighbours";
  EXPECT_EQ(rig.manager().counts().connected, 17u);
}

TEST_F(Neighbours, OneThatIsHeardOfIsDialledByWhoHasEnoughPeers) {
  for (std::uint32_t i = 1; i <= 6; ++i) rig.inbound(i, i);
  rig.run(1min);
  ASSERT_GE(rig.manager().counts().connected, 4u);
  hear(11, 13);
  rig.pass(1s);
  const Rig::Done done = rig.settle();
  EXPECT_THAT(done.dialled, SizeIs(1)) << "a quarter of the target";
  rig.manager().set_neighbour(peer_id(done.dialled.front()), true);
  EXPECT_THAT(rig.settle().dialled, SizeIs(1)) << "the first is a neighbour now";
}

TEST_F(Neighbours, LookingForThemDialsNobodyElse) {
  for (std::uint32_t i = 1; i <= 4; ++i) rig.prove(i, i, 24h);
  for (std::uint32_t i = 5; i <= 8; ++i) rig.inbound(i, i);
  rig.run(1min);
  const std::size_t chosen = rig.manager().counts().outbound;
  hear(11, 13);
  rig.pass(1s);
  EXPECT_THAT(rig.settle().dialled, Each(Ge(11u)));
  EXPECT_EQ(rig.manager().counts().outbound, chosen + 1);
}

TEST_F(Neighbours, AllConnectionsAreAboutThemToo) {
  ManagerConfig config = small();
  config.high_water = 12;
  config.low_water = 11;
  rig.manager().configure(config);
  hear(1, 9);
  run_sharing(10s);
  for (std::uint32_t i = 21; i <= 24; ++i) rig.inbound(i, i);
  rig.run(1min);
  EXPECT_EQ(rig.manager().counts().neighbours, 9u);
  EXPECT_EQ(rig.manager().counts().connected, 11u);
}

TEST_F(Neighbours, OneWhoIsToldToGoStaysWhenItTurnsOutToShare) {
  for (std::uint32_t i = 1; i <= 8; ++i) rig.inbound(i, i);
  rig.inbound(9);
  // The worst one is to go: let it be the newcomer, which has just said what it has.
  ASSERT_FALSE(rig.manager().next(rig.now()).empty());
  rig.manager().set_neighbour(peer_id(9), true);
  EXPECT_FALSE(rig.manager().confirm_closing(peer_id(9), rig.now()));
}

TEST_F(Neighbours, WhoSharesNothingIsVisitedEverMoreSeldom) {
  for (std::uint32_t i = 1; i <= 6; ++i) rig.inbound(i, i);
  rig.run(1min);
  hear(11, 11);
  const Rig::Done hour = rig.run(1h);
  EXPECT_THAT(hour.dialled, Each(11u));
  EXPECT_THAT(hour.dialled, SizeIs(::testing::AllOf(Ge(1u), ::testing::Le(20u))));
}

TEST_F(Neighbours, SoManyAndNoMore) {
  ManagerConfig config = small();
  config.neighbours_max = 5;
  rig.manager().configure(config);
  for (std::uint32_t i = 1; i <= 8; ++i) rig.inbound(i);
  for (std::uint32_t i = 1; i <= 8; ++i) rig.manager().set_neighbour(peer_id(i), true);
  rig.next();
  EXPECT_EQ(rig.manager().counts().neighbours, 5u);
  // One goes: the next one that shares takes its place.
  rig.disconnect(1);
  rig.next();
  EXPECT_EQ(rig.manager().counts().neighbours, 5u);
  config.neighbours_max = 2;
  rig.manager().configure(config);
  rig.run(1min);
  EXPECT_EQ(rig.manager().counts().neighbours, 2u);
  EXPECT_LE(rig.manager().counts().connected, 8u) << "two neighbours, and four with two more";
}

TEST_F(Neighbours, WhoWasSentAwayForWantOfRoomMayComeSoon) {
  hear(1, 1);
  rig.next();
  EXPECT_EQ(rig.manager().stay_away(peer_id(1)), small().left_alone_near);
  EXPECT_EQ(rig.manager().stay_away(peer_id(2)), small().left_alone);
}

}  // namespace
}  // namespace warren::swarm
