#include "discovery/exchange/exchange_machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "discovery/exchange/records_for_test.hpp"

namespace warren::discovery {
namespace {

using fakes::peer;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class ExchangeMachineTest : public testing::Test {
 protected:
  std::vector<PeerId> next(bool wants = false) { return machine.next(candidates, wants, now); }
  void end_all(const std::vector<PeerId>& peers) {
    for (const PeerId& one : peers) machine.ended(one);
  }
  void add(std::uint32_t n, bool well_chosen) { candidates.push_back({peer(n), well_chosen}); }

  std::mt19937_64 rng{42};
  TimePoint now{};
  ExchangeMachine machine{{}, rng, now};
  std::vector<ExchangeCandidate> candidates;
};

TEST_F(ExchangeMachineTest, TheFirstPeerIsAskedAsSoonAsItIsThere) {
  EXPECT_THAT(next(), IsEmpty());
  add(1, true);
  now += 3s;
  machine.look_again(now);
  EXPECT_EQ(machine.next_wake(), now + 1s);
  now += 1s;
  EXPECT_THAT(next(), ElementsAre(peer(1)));
}

TEST_F(ExchangeMachineTest, OnePeerIsAskedEveryFiveMinutesAtTheStartMoreOften) {
  for (std::uint32_t n = 1; n <= 30; ++n) add(n, true);
  std::vector<TimePoint> asked;
  while (now < TimePoint{} + 4h) {
    for (const PeerId& one : next()) {
      asked.push_back(now);
      machine.ended(one);
    }
    ASSERT_GT(machine.next_wake(), now);
    now = machine.next_wake();
  }
  ASSERT_GT(asked.size(), 35u);
  Duration interval = 10s;
  for (std::size_t i = 1; i < asked.size(); ++i) {
    EXPECT_GE(asked[i] - asked[i - 1], interval);
    EXPECT_LE(asked[i] - asked[i - 1], interval + interval / 5 + 10s);
    interval = std::min<Duration>(2 * interval, 5min);
  }
}

TEST_F(ExchangeMachineTest, TheSamePeerIsNeverAskedMoreOftenThanEveryTenMinutes) {
  add(1, true);
  std::vector<TimePoint> asked;
  while (now < TimePoint{} + 4h) {
    machine.ask_now(now);
    for (const PeerId& one : next(true)) {
      asked.push_back(now);
      machine.ended(one);
    }
    now = machine.next_wake();
  }
  ASSERT_GT(asked.size(), 20u);
  for (std::size_t i = 1; i < asked.size(); ++i) EXPECT_GE(asked[i] - asked[i - 1], 10min);
}

TEST_F(ExchangeMachineTest, ThreeAreAskedAtOnceWhenPeersAreWanted) {
  for (std::uint32_t n = 1; n <= 8; ++n) add(n, n % 2 == 0);
  const auto first = next(true);
  EXPECT_THAT(first, SizeIs(3));
  EXPECT_THAT(next(true), IsEmpty());
  EXPECT_FALSE(machine.wants_candidates(true, now));
  machine.ended(first[0]);
  EXPECT_THAT(next(true), SizeIs(1));
  EXPECT_EQ(machine.in_progress(), 3u);
}

TEST_F(ExchangeMachineTest, PeersThatWeDialledAreAskedFirst) {
  for (int round = 0; round < 50; ++round) {
    ExchangeMachine fresh({}, rng, now);
    candidates.clear();
    for (std::uint32_t n = 1; n <= 9; ++n) add(n, n == 4 || n == 7);
    const auto asked = fresh.next(candidates, true, now);
    ASSERT_THAT(asked, SizeIs(3));
    EXPECT_THAT(std::vector(asked.begin(), asked.begin() + 2),
                testing::UnorderedElementsAre(peer(4), peer(7)));
  }
}

TEST_F(ExchangeMachineTest, ThePeersAreChosenAtRandom) {
  for (std::uint32_t n = 1; n <= 9; ++n) add(n, true);
  std::set<PeerId> seen;
  for (int round = 0; round < 100; ++round) {
    seen.insert(ExchangeMachine({}, rng, now).next(candidates, false, now).front());
  }
  EXPECT_THAT(seen, SizeIs(9));
}

TEST_F(ExchangeMachineTest, WhenNothingIsDueNoCandidatesAreNeeded) {
  add(1, true);
  end_all(next());
  now += 9s;
  EXPECT_FALSE(machine.wants_candidates(false, now));
  EXPECT_TRUE(machine.wants_candidates(true, now));
  machine.ask_now(now);
  EXPECT_TRUE(machine.wants_candidates(false, now));
}

TEST_F(ExchangeMachineTest, WhomWeHaveJustChosenIsAskedAtOnce) {
  add(1, true);
  end_all(next());
  add(2, true);
  add(3, false);
  now += 3s;
  EXPECT_THAT(next(), IsEmpty()) << "the regular question is not due";
  machine.look_again(now);
  EXPECT_TRUE(machine.wants_candidates(false, now));
  const auto asked = next();
  EXPECT_THAT(asked, ElementsAre(peer(2))) << "and nobody who came by himself";
  end_all(asked);
  machine.look_again(now);
  EXPECT_THAT(next(), IsEmpty());
  now += 10s;
  EXPECT_THAT(next(), ElementsAre(peer(3))) << "the regular question is as it was";
}

TEST_F(ExchangeMachineTest, ItWakesEveryTenSecondsAndNotMore) {
  add(1, true);
  std::size_t wakes = 0;
  while (now < TimePoint{} + 1h) {
    end_all(next(wakes % 2 == 0));
    now = machine.next_wake();
    ++wakes;
  }
  EXPECT_LE(wakes, 361u);
}

TEST_F(ExchangeMachineTest, WhoWasAskedLongAgoIsForgottenInABoundedTable) {
  machine.check_invariants();
  ExchangeMachine small({.asked_max = 4}, rng, now);
  for (std::uint32_t n = 1; n <= 50; ++n) {
    candidates = {{peer(n), true}};
    for (const PeerId& one : small.next(candidates, true, now)) small.ended(one);
    small.check_invariants();
    now += 1s;
  }
}

TEST_F(ExchangeMachineTest, APeerThatIsListedTwiceIsAskedOnce) {
  candidates = {{peer(1), true}, {peer(1), true}, {peer(1), false}};
  EXPECT_THAT(next(true), ElementsAre(peer(1)));
}

}  // namespace
}  // namespace warren::discovery
