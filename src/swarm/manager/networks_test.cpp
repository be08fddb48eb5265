// Diversity: how many of those that are chosen, and of those that come in, may be of one network.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/manager/rig_for_test.hpp"

namespace warren::swarm {
namespace {

using testing::address;
using ::testing::Contains;
using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Not;
using testing::Rig;
using ::testing::SizeIs;

TEST(Networks, NeverMoreThanAShareInOneNetwork) {
  Rig rig;  // 16 x 0.125: two.
  for (std::uint32_t i = 31; i <= 34; ++i) rig.learn(i, i, peers::Origin::kBootstrap);
  for (std::uint32_t i = 1; i <= 30; ++i) rig.learn(i, 1, peers::Origin::kBootstrap);
  rig.settle();
  const auto groups = rig.manager().outbound_groups();
  EXPECT_EQ(groups.at(peers::network_group(address(1, 1))), 2u);
  EXPECT_EQ(rig.manager().counts().connected, 6u);
}

TEST(Networks, TheLocalNetworkIsNotCounted) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 30; ++i) rig.learn(i, 0, peers::Origin::kMdns);
  rig.run(1s);
  EXPECT_EQ(rig.manager().counts().connected, 16u);
}

TEST(Networks, SurplusOfOneNetworkGoesFirst) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 40; ++i) rig.learn(i, i);
  for (std::uint32_t i = 101; i <= 105; ++i) rig.inbound(i, 100);
  rig.run(29s);
  for (std::uint32_t i = 201; i <= 203; ++i) rig.inbound(i, i);
  const Rig::Done done = rig.run(5min);
  EXPECT_THAT(done.closed, Not(IsEmpty()));
  // Three of the five are more than their network's share; newer ones of other networks stay.
  EXPECT_THAT(done.closed, Each(Le(105u)));
}

TEST(Networks, AFloodFromOneNetworkDoesNotLockOthersOut) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 100; ++i) {
    rig.inbound(i, 1);
    rig.next();
  }
  rig.inbound(500, 5);
  const Rig::Done done = rig.next();
  EXPECT_THAT(done.closed, SizeIs(1));
  EXPECT_THAT(done.closed, Each(Le(100u)));
}

/// 100 peers in each of 20 networks; and 20 above 10,000, each in a network of its own.
void learn_dense(Rig& rig) {
  for (std::uint32_t i = 0; i < 2'000; ++i) rig.learn(100 + i, 1 + i % 20);
  for (std::uint32_t i = 1; i <= 20; ++i) rig.learn(10'000 + i, 1'000 + i);
}

TEST(Networks, TheDensestNetworksHaveHalfOfTheChosenAtMost) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rig rig({}, seed);
    learn_dense(rig);
    const Rig::Done done = rig.settle();
    ASSERT_THAT(done.dialled, SizeIs(16));
    EXPECT_LE(std::ranges::count_if(done.dialled, [](auto i) { return i < 10'000; }), 8);
  }
}

TEST(Networks, WhereNobodyElseAnswersTheDensestNetworksServe) {
  Rig rig;
  learn_dense(rig);
  Rig::Done done = rig.next();
  for (int rounds = 0; !done.nothing() && rounds < 1'000; ++rounds) {
    for (const std::uint32_t i : done.dialled) rig.answer(i, i < 10'000);
    done = rig.next();
  }
  EXPECT_EQ(rig.manager().counts().connected, 16u);
}

TEST(Networks, WhenOthersAnswerAgainTheyComeBesidesTheDensestNetworks) {
  Rig rig;
  learn_dense(rig);
  Rig::Done done = rig.next();
  for (int rounds = 0; !done.nothing() && rounds < 1'000; ++rounds) {
    for (const std::uint32_t i : done.dialled) rig.answer(i, i < 10'000);
    done = rig.next();
  }
  rig.run(1h);
  std::size_t others = 0;
  std::size_t all = 0;
  for (const auto& [group, count] : rig.manager().outbound_groups()) {
    all += count;
    if (group >= peers::network_group(address(1'000, 1))) others += count;
  }
  EXPECT_GE(2 * others, all);
}

TEST(Networks, WhenOthersGoTheDensestNetworksGiveUpWhatIsTooMuch) {
  Rig rig;
  learn_dense(rig);
  rig.settle();
  for (std::uint32_t i = 50'001; i <= 50'016; ++i) rig.inbound(i, 2'000 + i % 1'000);
  rig.next();
  for (std::uint32_t i = 1; i <= 20; ++i) rig.disconnect(10'000 + i);
  rig.next();
  const auto groups = rig.manager().outbound_groups();
  std::size_t dense = 0;
  for (const auto& [group, count] : groups) dense += count;
  EXPECT_LE(dense, 2u) << "half of the four that it chooses itself at least";
}

TEST(Networks, NewcomersOfTheDensestNetworksMakeWayFirst) {
  Rig rig;
  learn_dense(rig);
  for (std::uint32_t i = 0; i < 10; ++i) rig.inbound(100 + i, 1 + i);
  rig.pass(10min);
  rig.next();
  for (std::uint32_t i = 50'001; i <= 50'018; ++i) rig.inbound(i, 2'000 + i % 1'000);
  const Rig::Done done = rig.run(1min);
  for (std::uint32_t i = 0; i < 10; ++i) EXPECT_THAT(done.closed, Contains(100 + i));
}

TEST(Networks, OfFewNetworksNoneIsTooDense) {
  Rig rig;
  for (std::uint32_t i = 1; i <= 200; ++i) rig.learn(i, 1 + i % 8);
  EXPECT_THAT(rig.settle().dialled, SizeIs(16));
}

TEST(Networks, ManyAddressesInOneNetworkGiveNoMoreChances) {
  // 1,000 peers in 4 networks, 16 in networks of their own.
  std::size_t of_crowd = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    ManagerConfig config;
    config.group_share_max = 1;
    config.target_peers = 5;
    Rig rig(config, seed);
    for (std::uint32_t i = 2001; i <= 2016; ++i) rig.learn(i, i);
    for (std::uint32_t i = 1; i <= 1000; ++i) rig.learn(i, 1 + i % 4);
    const Rig::Done done = rig.settle();
    of_crowd += static_cast<std::size_t>(
        std::ranges::count_if(done.dialled, [](auto i) { return i <= 1000; }));
  }
  EXPECT_LT(of_crowd, 35u) << "of 100; a fifth is fair";
}

}  // namespace
}  // namespace warren::swarm
