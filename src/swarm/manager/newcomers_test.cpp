// Who makes way for a newcomer in calm times, and what it counts for to have been proven for long.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/manager/connection_manager.hpp"
#include "swarm/manager/rig_for_test.hpp"

namespace warren::swarm {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using testing::peer_id;
using testing::Rig;
using ::testing::SizeIs;

/// Four peers and two more are held; nobody is dialled.
ManagerConfig four() {
  ManagerConfig config;
  config.target_peers = 4;
  config.max_peers = 32;
  config.outbound_min = 0;
  config.group_share_max = 1;
  config.feeler_interval = 1'000h;
  return config;
}

class CalmTimes : public ::testing::Test {
 protected:
  /// Six that came in one after the other, as many as there may be.
  void SetUp() override {
    for (std::uint32_t i = 1; i <= 6; ++i) {
      rig.inbound(i, i);
      rig.pass(10s);
    }
    rig.pass(1min);
    ASSERT_TRUE(rig.next().nothing());
  }
  Rig rig{four()};
};

TEST_F(CalmTimes, SomebodyMakesWayForANewcomerAtOnce) {
  rig.inbound(7, 7);
  const Rig::Done done = rig.next();
  EXPECT_THAT(done.closed, ElementsAre(6)) << "the one that was there for the shortest time";
  EXPECT_THAT(done.why, ElementsAre(LetGo::kReplaced));
  EXPECT_TRUE(rig.run(10min).closed.empty());
}

TEST_F(CalmTimes, TwoNewcomersAreCalmAndThreeAreNot) {
  rig.inbound(7, 7);
  rig.inbound(8, 8);
  EXPECT_THAT(rig.next().closed, SizeIs(2));
  rig.pass(1min);
  for (std::uint32_t i = 11; i <= 13; ++i) rig.inbound(i, i);
  EXPECT_THAT(rig.next().closed, IsEmpty()) << "all of them have their grace";
  const Rig::Done then = rig.run(1min);
  EXPECT_THAT(then.closed, SizeIs(3));
  EXPECT_THAT(then.why, Contains(LetGo::kFull));
  EXPECT_EQ(rig.manager().counts().connected, 6u);
}

TEST(CalmRule, AQuarterOfTheTargetIsCalm) {
  ManagerConfig config = four();
  config.target_peers = 16;
  Rig rig(config);
  for (std::uint32_t i = 1; i <= 18; ++i) rig.inbound(i, i);
  rig.run(1min);
  for (std::uint32_t i = 19; i <= 22; ++i) rig.inbound(i, i);
  EXPECT_THAT(rig.next().closed, SizeIs(4));
  rig.pass(1min);
  for (std::uint32_t i = 23; i <= 27; ++i) rig.inbound(i, i);
  EXPECT_THAT(rig.next().closed, IsEmpty()) << "all of them have their grace";
}

TEST_F(CalmTimes, NewcomersThatComeAgainAndAgainNeverPushOutTheOlderHalf) {
  std::size_t left = 0;
  for (std::uint32_t i = 7; i <= 206; ++i) {
    rig.inbound(i, i);
    const Rig::Done done = rig.run(40s);
    EXPECT_THAT(done.closed, Each(Ge(5u))) << i;
    left += done.closed.size();
  }
  EXPECT_EQ(left, 200u);
}

TEST_F(CalmTimes, NobodyMakesWayForOneThatMisbehaved) {
  rig.learn(7, 7);
  rig.book().report(peer_id(7), peers::ReputationEvent::kMalformedMessage, rig.now().civil);
  rig.inbound(7, 7);
  EXPECT_THAT(rig.next().closed, IsEmpty());
  EXPECT_THAT(rig.run(1min).closed, ElementsAre(7));
}

TEST_F(CalmTimes, NobodyMakesWayWithinItsGrace) {
  rig.inbound(7, 7);
  ASSERT_THAT(rig.next().closed, ElementsAre(6));
  rig.inbound(8, 8);
  EXPECT_THAT(rig.next().closed, ElementsAre(5)) << "7 is younger, but has just come";
}

TEST_F(CalmTimes, ProtectedPeersDoNotMakeWay) {
  for (const std::uint32_t i : {5u, 6u}) rig.manager().protect(peer_id(i));
  rig.inbound(7, 7);
  EXPECT_THAT(rig.next().closed, ElementsAre(4)) << "of the younger half of the others";
}

TEST(CalmRule, ThoseThatWeChoseDoNotMakeWay) {
  ManagerConfig config = four();
  config.outbound_min = 4;
  Rig rig(config);
  for (std::uint32_t i = 1; i <= 4; ++i) rig.learn(i, i);
  rig.settle();
  for (std::uint32_t i = 5; i <= 6; ++i) rig.inbound(i, i);
  rig.run(1min);
  ASSERT_EQ(rig.manager().counts().connected, 6u);
  for (std::uint32_t i = 7; i <= 26; ++i) {
    rig.inbound(i, i);
    EXPECT_THAT(rig.run(40s).closed, Each(Ge(5u)));
  }
  EXPECT_EQ(rig.manager().counts().outbound, 4u);
}

// ------------------------------------------------------------------------------------ veterans

/// 40 peers, of which the one with the smaller number was proven a day earlier; all of them came in
/// at the same moment.
class VeteranRanks : public ::testing::Test {
 protected:
  static ManagerConfig config() {
    ManagerConfig all = four();
    all.max_peers = 64;
    all.surplus_max = 64;
    return all;
  }
  void SetUp() override {
    for (std::uint32_t i = 1; i <= 40; ++i) rig.prove(i, i, 24h * (100 - i));
  }
  void connect_all() {
    for (std::uint32_t i = 1; i <= 40; ++i) rig.inbound(i, i);
    rig.inbound(99, 99);
    rig.next();
  }
  double score(std::uint32_t number) { return rig.manager().score(peer_id(number), rig.now()); }

  Rig rig{config()};
};

TEST_F(VeteranRanks, TwiceTheTargetAreVeteransAndEachFurtherDoublingCountsLess) {
  connect_all();
  const double nothing = score(99);
  // The target is 4: ranks end with number 8, 16 and 32; the fourth would with 64.
  for (const auto& [first, last, more] :
       {std::tuple(1u, 8u, 2.0), std::tuple(9u, 16u, 1.5), std::tuple(17u, 32u, 1.0)}) {
    EXPECT_NEAR(score(first) - nothing, more, 1e-9) << first;
    EXPECT_NEAR(score(last) - nothing, more, 1e-9) << last;
  }
  EXPECT_LT(score(33), score(32));
  EXPECT_GE(score(33), nothing);
}

TEST_F(VeteranRanks, BeingThereForLongIsNotBeingAVeteran) {
  rig.inbound(99, 99);
  rig.run(24h);
  rig.inbound(1, 1);
  rig.next();
  EXPECT_GT(score(1), score(99)) << "a day of uptime is worth less than an old acquaintance";
}

TEST_F(VeteranRanks, OneThatDidNotAnswerGivesItsPlaceToTheNext) {
  const Rig::Done first = rig.next();
  ASSERT_THAT(first.dialled, SizeIs(4));
  ASSERT_THAT(first.dialled, Contains(::testing::Le(8u)));
  std::uint32_t failed = 0;
  for (const std::uint32_t i : first.dialled) {
    const bool veteran = i <= 8 && failed == 0;
    if (veteran) failed = i;
    rig.answer(i, !veteran);
  }
  rig.pass(31s);
  rig.next();
  rig.inbound(9, 9);
  rig.inbound(99, 99);
  rig.next();
  EXPECT_NEAR(score(9) - score(99), 2.0, 1e-9);
}

TEST_F(VeteranRanks, AmongThoseThatWeChoseVeteransGoLast) {
  ManagerConfig many = config();
  many.target_peers = 16;
  rig.manager().configure(many);
  const Rig::Done chosen = rig.settle();
  ASSERT_THAT(chosen.dialled, SizeIs(16));
  rig.pass(1min);
  ManagerConfig few = four();
  few.surplus_max = 0;
  few.target_peers = 4;
  few.veteran_share = 0;
  rig.manager().configure(few);
  const Rig::Done done = rig.run(1min);
  EXPECT_EQ(rig.manager().counts().outbound, 4u);
  const auto veteran = [](std::uint32_t i) { return i <= 8; };
  const auto were = std::ranges::count_if(chosen.dialled, veteran);
  ASSERT_GE(were, 4);
  const auto first_veteran = std::ranges::find_if(done.closed, veteran);
  EXPECT_EQ(std::ranges::find_if_not(first_veteran, done.closed.end(), veteran), done.closed.end())
      << "once a veteran has gone, only veterans are left";
}

}  // namespace
}  // namespace warren::swarm
