#include "protocols/heartbeat_machine.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "swarm/fakes_for_test.hpp"

namespace warren::protocols {
namespace {

using swarm::fakes::peer;
using Verdict = HeartbeatMachine::Verdict;

class HeartbeatMachineTest : public testing::Test {
 protected:
  /// Goes on to the next check of anyone, and makes it.
  Verdict next_check(std::uint64_t received) {
    now = std::max(now, machine.next_wake());
    const auto due = machine.next_due(now);
    EXPECT_TRUE(due);
    return machine.check(*due, received, now);
  }

  std::mt19937_64 rng{42};
  HeartbeatMachine machine{{}, rng};
  TimePoint now{};
  PeerId a = peer(1);
};

TEST_F(HeartbeatMachineTest, WithoutPeersItNeverWakes) {
  EXPECT_EQ(machine.next_wake(), kNever);
  EXPECT_FALSE(machine.next_due(now + 24h));
}

TEST_F(HeartbeatMachineTest, APeerThatWasHeardOfIsNotPinged) {
  machine.watch(a, 0, now);
  for (std::uint64_t bytes = 1; bytes < 100; ++bytes) {
    EXPECT_EQ(next_check(bytes), Verdict::kLeave);
    EXPECT_LE(machine.next_wake(), now + 30s);
    EXPECT_GE(machine.next_wake(), now + 27s);
  }
  EXPECT_EQ(machine.stats().pings, 0u);
}

TEST_F(HeartbeatMachineTest, AQuietPeerIsPingedEveryThirtySeconds) {
  machine.watch(a, 7, now);
  ASSERT_EQ(next_check(7), Verdict::kPing);
  EXPECT_LE(now, TimePoint{} + 30s);
  EXPECT_EQ(machine.next_wake(), kNever) << "while the ping is under way";
  std::uint64_t bytes = 7;
  for (int i = 0; i < 100; ++i) {
    const TimePoint before = now;
    machine.answered(a, bytes += 32, now);
    ASSERT_EQ(next_check(bytes), Verdict::kPing);
    EXPECT_LE(now - before, 30s);
    EXPECT_GE(now - before, 27s);
  }
}

TEST_F(HeartbeatMachineTest, OneMissIsRepeatedAtOnceAndTheSecondIsTheEnd) {
  machine.watch(a, 0, now);
  ASSERT_EQ(next_check(0), Verdict::kPing);
  EXPECT_EQ(machine.missed(a, 0, now + 10s), Verdict::kPing);
  EXPECT_EQ(machine.missed(a, 0, now + 20s), Verdict::kDead);
  EXPECT_EQ(machine.stats().dead, 1u);
  EXPECT_EQ(machine.next_wake(), kNever);
  machine.check_invariants();
}

TEST_F(HeartbeatMachineTest, AnAnswerToTheSecondPingIsLife) {
  machine.watch(a, 0, now);
  ASSERT_EQ(next_check(0), Verdict::kPing);
  ASSERT_EQ(machine.missed(a, 0, now + 10s), Verdict::kPing);
  machine.answered(a, 32, now + 11s);
  ASSERT_EQ(next_check(32), Verdict::kPing);
  EXPECT_EQ(machine.missed(a, 32, now + 10s), Verdict::kPing) << "misses count in a row";
}

TEST_F(HeartbeatMachineTest, APeerThatSendsButAnswersNoPingLives) {
  machine.watch(a, 0, now);
  ASSERT_EQ(next_check(0), Verdict::kPing);
  EXPECT_EQ(machine.missed(a, 1'000, now + 10s), Verdict::kLeave);
  ASSERT_EQ(next_check(1'000), Verdict::kPing);
  ASSERT_EQ(machine.missed(a, 1'100, now), Verdict::kPing) << "no more than negotiating takes";
  EXPECT_EQ(machine.missed(a, 2'000, now), Verdict::kLeave);
  EXPECT_EQ(machine.stats().dead, 0u);
}

TEST_F(HeartbeatMachineTest, APeerWithoutPingIsLeftToItsTransport) {
  machine.watch(a, 0, now);
  ASSERT_EQ(next_check(0), Verdict::kPing);
  machine.refused(a, 20, true, now);
  EXPECT_EQ(machine.next_wake(), kNever);
  machine.watch(a, 0, now);
  EXPECT_NE(machine.next_wake(), kNever) << "another connection, another try";
}

TEST_F(HeartbeatMachineTest, ThreeRefusalsInARowAreEnough) {
  machine.watch(a, 0, now);
  std::uint64_t bytes = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(next_check(bytes), Verdict::kPing) << i;
    machine.refused(a, bytes += 9, false, now);
  }
  EXPECT_EQ(machine.next_wake(), kNever);
}

TEST_F(HeartbeatMachineTest, FourHundredPeersOfOneMomentAreSpreadOverTheInterval) {
  machine = HeartbeatMachine({.pings_max = 400}, rng);
  for (std::uint8_t i = 0; i < 200; ++i) {
    machine.watch(peer(i), 0, now);
    Bytes key = {0x08, 0x01, 0x12, 0x20};
    key.resize(36, i);
    key.back() ^= 1;
    machine.watch(PeerId::from_public_key(key), 0, now);
  }
  std::vector<std::size_t> per_second(31);
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(next_check(0), Verdict::kPing);
    const auto second = static_cast<std::size_t>(now.time_since_epoch() / 1s);
    ASSERT_LT(second, per_second.size());
    ++per_second[second];
  }
  EXPECT_LE(*std::ranges::max_element(per_second), 48u);
}

TEST_F(HeartbeatMachineTest, NoMorePingsThanAllowedAreInProgress) {
  machine = HeartbeatMachine({.pings_max = 2}, rng);
  for (std::uint8_t i = 1; i <= 5; ++i) machine.watch(peer(i), 0, now);
  now += 30s;
  std::vector<PeerId> pinged;
  while (const auto due = machine.next_due(now)) {
    if (machine.check(*due, 0, now) == Verdict::kPing) pinged.push_back(*due);
  }
  ASSERT_EQ(pinged.size(), 2u);
  EXPECT_EQ(machine.next_wake(), now + 1s);
  machine.answered(pinged[0], 32, now);
  now += 1s;
  while (const auto due = machine.next_due(now)) {
    if (machine.check(*due, 0, now) == Verdict::kPing) pinged.push_back(*due);
  }
  EXPECT_EQ(pinged.size(), 3u);
  machine.check_invariants();
}

TEST_F(HeartbeatMachineTest, AForgottenPeerIsNeverDue) {
  machine.watch(a, 0, now);
  ASSERT_EQ(next_check(0), Verdict::kPing);
  machine.forget(a);
  EXPECT_EQ(machine.next_wake(), kNever);
  EXPECT_EQ(machine.pings_in_progress(), 0u);
  machine.answered(a, 32, now);
  EXPECT_EQ(machine.missed(a, 0, now), Verdict::kLeave);
  EXPECT_EQ(machine.next_wake(), kNever);
  machine.check_invariants();
}

TEST_F(HeartbeatMachineTest, AnyOrderOfEventsIsTaken) {
  machine = HeartbeatMachine({.pings_max = 3}, rng);
  for (int i = 0; i < 50'000; ++i) {
    now += Duration(static_cast<Duration::rep>(rng() % 5'000'000'000));
    const PeerId some = peer(static_cast<std::uint8_t>(rng() % 8));
    const std::uint64_t bytes = rng() % 3;
    switch (rng() % 8) {
      case 0: machine.watch(some, bytes, now); break;
      case 1: machine.forget(some); break;
      case 2: machine.answered(some, bytes, now); break;
      case 3: machine.missed(some, bytes, now); break;
      case 4: machine.refused(some, bytes, rng() % 2 == 0, now); break;
      case 5: machine.put_off(some, now); break;
      default:
        if (const auto due = machine.next_due(now)) machine.check(*due, bytes, now);
        break;
    }
    machine.check_invariants();
  }
}

}  // namespace
}  // namespace warren::protocols
