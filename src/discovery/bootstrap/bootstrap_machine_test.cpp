#include "discovery/bootstrap/bootstrap_machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "discovery/bootstrap/entries_for_test.hpp"

namespace warren::discovery {
namespace {

using State = BootstrapEntry::State;
using fakes::address;
using fakes::peer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class BootstrapMachineTest : public testing::Test {
 protected:
  BootstrapMachine make(const std::vector<Multiaddr>& list) {
    BootstrapMachine machine(peer(9), times, limits, rng);
    machine.replace(list, now);
    return machine;
  }
  std::vector<Multiaddr> next(BootstrapMachine& machine) {
    return machine.next(
        connected.size() + others, [this](const PeerId& id) { return connected.contains(id); },
        now);
  }
  void answer(BootstrapMachine& machine, const Multiaddr& at, const PeerId& who) {
    ASSERT_TRUE(machine.dial_ended(at, who, now));
    connected.insert(who);
  }
  void refuse(BootstrapMachine& machine, const Multiaddr& at, ErrorCode code = ErrorCode::kTimedOut,
              std::string text = "no answer") {
    ASSERT_FALSE(machine.dial_ended(at, fail(code, std::move(text)), now));
  }
  /// Lets every dial fail until `end`; returns when each began, in seconds.
  std::vector<double> dials_until(BootstrapMachine& machine, TimePoint end) {
    std::vector<double> at;
    while (now < end) {
      for (const Multiaddr& entry : next(machine)) {
        at.push_back(std::chrono::duration<double>(now.time_since_epoch()).count());
        refuse(machine, entry);
      }
      EXPECT_GT(machine.next_wake(), now) << "it would never rest";
      now = machine.next_wake();
    }
    return at;
  }

  BootstrapTimes times;
  limits::Bootstrap limits;
  std::mt19937_64 rng{42};
  TimePoint now{};
  std::set<PeerId> connected;
  std::size_t others = 0;  ///< Connected peers that stand in no list.
  Multiaddr one = address("/ip4/192.0.2.1/udp/4001/quic-v1");
  Multiaddr two = address("/dns4/boot.example/tcp/4001").with_peer(peer(2));
  Multiaddr three = address("/dnsaddr/boot.example");
};

TEST_F(BootstrapMachineTest, EveryEntryIsDialledAtTheStartAlsoWhenPeersAreThere) {
  BootstrapMachine machine = make({one, two, three});
  others = 5;
  EXPECT_THAT(next(machine), ElementsAre(one, two, three));
  EXPECT_THAT(next(machine), IsEmpty()) << "they are being dialled";
  answer(machine, one, peer(1));
  answer(machine, two, peer(2));
  answer(machine, three, peer(3));
  EXPECT_EQ(machine.summary(), "3 of 3 reachable");
  EXPECT_EQ(machine.next_wake(), now + 10s);
}

TEST_F(BootstrapMachineTest, WithoutAListThereIsNothingToDo) {
  BootstrapMachine machine = make({});
  EXPECT_THAT(next(machine), IsEmpty());
  EXPECT_EQ(machine.next_wake(), kNever);
  EXPECT_EQ(machine.summary(), "no list configured");
}

TEST_F(BootstrapMachineTest, AFailedEntryIsDialledAgainAfterFiveSecondsDoublingToAnHour) {
  BootstrapMachine machine = make({one});
  const std::vector<double> at = dials_until(machine, TimePoint{} + 12h);
  ASSERT_GT(at.size(), 12u);
  double wait = 5;
  for (std::size_t i = 1; i < at.size(); ++i) {
    const double gap = at[i] - at[i - 1];
    EXPECT_GE(gap, std::min(wait, 3000.0)) << i;
    EXPECT_LE(gap, std::min(wait * 1.2, 3600.0)) << i;
    wait = std::min(wait * 2, 3600.0);
  }
}

TEST_F(BootstrapMachineTest, TheJitterSpreadsNodesThatStartTogether) {
  std::set<TimePoint> wakes;
  for (int i = 0; i < 20; ++i) {
    BootstrapMachine machine = make({one});
    ASSERT_THAT(next(machine), ElementsAre(one));
    refuse(machine, one);
    wakes.insert(machine.next_wake());
  }
  EXPECT_GT(wakes.size(), 15u);
}

TEST_F(BootstrapMachineTest, ASuccessResetsTheWait) {
  BootstrapMachine machine = make({one});
  dials_until(machine, TimePoint{} + 1h);
  now = std::max(now, machine.entries().front().next_try);
  ASSERT_THAT(next(machine), ElementsAre(one));
  answer(machine, one, peer(1));
  now += 1h;
  ASSERT_THAT(next(machine), IsEmpty());
  connected.clear();
  EXPECT_THAT(next(machine), ElementsAre(one)) << "lost after an hour: at once";
  refuse(machine, one);
  EXPECT_LE(machine.entries().front().next_try, now + 6s);
}

TEST_F(BootstrapMachineTest, WhoHasEnoughPeersDoesNotSeekALostOneAgain) {
  BootstrapMachine machine = make({one});
  ASSERT_THAT(next(machine), ElementsAre(one));
  answer(machine, one, peer(1));
  ASSERT_THAT(next(machine), IsEmpty());
  connected.clear();
  others = 16;
  now += 1h;
  EXPECT_THAT(next(machine), IsEmpty());
  others = 15;
  now = machine.next_wake();
  EXPECT_THAT(next(machine), ElementsAre(one));
}

TEST_F(BootstrapMachineTest, APeerThatClosesAtOnceIsDialledMoreAndMoreSeldom) {
  BootstrapMachine machine = make({one});
  others = 3;
  std::size_t dials = 0;
  const TimePoint end = now + 24h;
  while (now < end) {
    for (const Multiaddr& at : next(machine)) {
      ++dials;
      answer(machine, at, peer(1));
      connected.clear();
    }
    now = machine.next_wake();
  }
  EXPECT_LT(dials, 40u);
  EXPECT_GT(dials, 20u);
}

TEST_F(BootstrapMachineTest, WithEnoughPeersAnEntryThatNeverAnsweredIsLeftAlone) {
  BootstrapMachine machine = make({one});
  others = 1;
  ASSERT_THAT(next(machine), ElementsAre(one));
  refuse(machine, one);
  now += 2h;
  EXPECT_THAT(next(machine), IsEmpty());
  others = 0;
  now += 10s;
  EXPECT_THAT(next(machine), ElementsAre(one)) << "too few peers";
}

TEST_F(BootstrapMachineTest, AfterALossAllThatAreNotConnectedAreDialled) {
  BootstrapMachine machine = make({one, two, three});
  others = 5;
  ASSERT_EQ(next(machine).size(), 3u);
  answer(machine, one, peer(1));
  answer(machine, two, peer(2));
  refuse(machine, three);
  now += 1h;
  ASSERT_THAT(next(machine), IsEmpty());
  connected.erase(peer(2));
  EXPECT_THAT(next(machine), ElementsAre(two, three));
  EXPECT_EQ(machine.summary(), "1 of 3 reachable (1 being dialled, 1 timed out)");
}

TEST_F(BootstrapMachineTest, ALossIsSeenWithinTenSeconds) {
  BootstrapMachine machine = make({one});
  ASSERT_EQ(next(machine).size(), 1u);
  answer(machine, one, peer(1));
  for (int i = 0; i < 100; ++i) {
    next(machine);
    ASSERT_LE(machine.next_wake(), now + 10s);
    ASSERT_GT(machine.next_wake(), now);
    now = machine.next_wake();
  }
}

TEST_F(BootstrapMachineTest, APeerThatIsConnectedAlreadyIsNotDialled) {
  BootstrapMachine machine = make({two});
  connected.insert(peer(2));
  EXPECT_THAT(next(machine), IsEmpty());
  EXPECT_EQ(machine.summary(), "1 of 1 reachable");
}

TEST_F(BootstrapMachineTest, AnotherPeerThanTheOneInTheListIsAnErrorThatNamesBoth) {
  BootstrapMachine machine = make({two});
  ASSERT_EQ(next(machine).size(), 1u);
  const auto answered = machine.dial_ended(two, peer(7), now);
  ASSERT_FALSE(answered);
  EXPECT_EQ(answered.error().code(), ErrorCode::kIntegrity);
  EXPECT_THAT(answered.error().message(), HasSubstr(peer(7).to_string()));
  EXPECT_THAT(answered.error().message(), HasSubstr(peer(2).to_string()));
  EXPECT_EQ(machine.summary(), "0 of 1 reachable (1 wrong peer id)");
}

TEST_F(BootstrapMachineTest, TheSummaryCountsWhatWentWrong) {
  BootstrapMachine machine = make({one, two, three});
  EXPECT_EQ(machine.summary(), "0 of 3 reachable (3 not tried yet)");
  ASSERT_EQ(next(machine).size(), 3u);
  EXPECT_EQ(machine.summary(), "0 of 3 reachable (3 being dialled)");
  refuse(machine, one, ErrorCode::kUnreachable, "connect: Connection refused");
  refuse(machine, two);
  refuse(machine, three);
  EXPECT_EQ(machine.summary(), "0 of 3 reachable (2 timed out, 1 refused)");
}

TEST_F(BootstrapMachineTest, RetryNowDialsWhatIsNotConnectedWhateverFailedBefore) {
  BootstrapMachine machine = make({one, three});
  others = 4;
  ASSERT_EQ(next(machine).size(), 2u);
  answer(machine, one, peer(1));
  refuse(machine, three);
  now += 5s;
  machine.retry_now(now);
  EXPECT_LE(machine.next_wake(), now);
  EXPECT_THAT(next(machine), ElementsAre(three));
  machine.retry_now(now);
  EXPECT_THAT(next(machine), IsEmpty()) << "it is being dialled";
}

TEST_F(BootstrapMachineTest, RetryNowAgainAndAgainDialsOnceInTheRetryInterval) {
  BootstrapMachine machine = make({one});
  std::vector<TimePoint> dials;
  for (int i = 0; i < 600; ++i) {
    for (const Multiaddr& at : next(machine)) {
      dials.push_back(now);
      refuse(machine, at);
    }
    machine.retry_now(now);
    now += 100ms;
  }
  EXPECT_EQ(dials.size(), 12u);
  for (std::size_t i = 1; i < dials.size(); ++i) EXPECT_GE(dials[i] - dials[i - 1], 5s) << i;
}

TEST_F(BootstrapMachineTest, AfterRetryNowTheBackOffGoesOnWhereItWas) {
  BootstrapMachine machine = make({one});
  dials_until(machine, TimePoint{} + 3h);
  const std::uint32_t failures = machine.entries().front().failures;
  ASSERT_GT(failures, 8u);
  now = std::min(now, machine.entries().front().next_try - 10min);
  machine.retry_now(now);
  ASSERT_THAT(next(machine), ElementsAre(one));
  refuse(machine, one);
  EXPECT_EQ(machine.entries().front().failures, failures + 1);
  EXPECT_GE(machine.entries().front().next_try, now + 50min);
}

TEST_F(BootstrapMachineTest, RetryNowForgetsNoPeerThatClosesAtOnce) {
  BootstrapMachine machine = make({one});
  others = 3;
  for (int i = 0; i < 8; ++i) {
    ASSERT_THAT(next(machine), ElementsAre(one));
    answer(machine, one, peer(1));
    connected.clear();
    ASSERT_THAT(next(machine), IsEmpty());
    now += 5s;
    machine.retry_now(now);
  }
  ASSERT_THAT(next(machine), ElementsAre(one));
  answer(machine, one, peer(1));
  connected.clear();
  next(machine);
  EXPECT_GE(machine.entries().front().next_try, now + 15min) << "as after nine failures";
}

TEST_F(BootstrapMachineTest, ANewListKeepsWhatIsKnownOfTheOldOne) {
  BootstrapMachine machine = make({one, two});
  ASSERT_EQ(next(machine).size(), 2u);
  answer(machine, one, peer(1));
  others = 5;
  machine.replace({three, one}, now);
  EXPECT_LE(machine.next_wake(), now);
  EXPECT_THAT(next(machine), ElementsAre(three)) << "new ones are dialled however many peers";
  refuse(machine, two);  // Its dial was still in progress.
  ASSERT_EQ(machine.entries().size(), 2u);
  EXPECT_EQ(machine.entries()[1].state, State::kConnected);
  machine.replace({}, now);
  EXPECT_EQ(machine.summary(), "no list configured");
  refuse(machine, three);
  EXPECT_EQ(machine.dials(), 0u);
}

TEST_F(BootstrapMachineTest, EntriesTwiceEntriesOfOurselvesAndTooManyAreLeftOut) {
  limits.entries_max = 3;
  BootstrapMachine machine = make({one, one, address("/ip4/192.0.2.9/tcp/1").with_peer(peer(9)),
                                   two, three, address("/ip4/192.0.2.77/tcp/1")});
  EXPECT_THAT(next(machine), ElementsAre(one, two, three));
}

TEST_F(BootstrapMachineTest, NoMoreDialsThanAllowedAreInProgress) {
  limits.dials_max = 2;
  BootstrapMachine machine = make({one, two, three});
  EXPECT_THAT(next(machine), ElementsAre(one, two));
  EXPECT_THAT(next(machine), IsEmpty());
  EXPECT_EQ(machine.next_wake(), now + 10s) << "an end of a dial wakes it";
  refuse(machine, one);
  EXPECT_THAT(next(machine), ElementsAre(three));
}

/// Any order of events keeps the invariants, which the machine checks itself.
TEST_F(BootstrapMachineTest, AnyOrderOfEventsIsTaken) {
  const std::vector<Multiaddr> all = {one, two, three, address("/memory/70000")};
  BootstrapMachine machine = make(all);
  std::vector<Multiaddr> dialling;
  for (int i = 0; i < 20'000; ++i) {
    now += Duration(static_cast<Duration::rep>(rng() % 20'000'000'000));
    switch (rng() % 6) {
      case 0: {
        std::vector<Multiaddr> list;
        for (const Multiaddr& entry : all) {
          if (rng() % 2 == 0) list.push_back(entry);
        }
        machine.replace(list, now);
        break;
      }
      case 1: machine.retry_now(now); break;
      case 2: connected.clear(); break;
      case 3: connected.insert(peer(static_cast<std::uint8_t>(rng() % 4))); break;
      case 4:
        if (!dialling.empty()) {
          const Multiaddr at = dialling.back();
          dialling.pop_back();
          Result<PeerId> answered = peer(static_cast<std::uint8_t>(rng() % 4));
          if (rng() % 2 == 0) answered = fail(ErrorCode::kTimedOut, "no answer");
          machine.dial_ended(at, std::move(answered), now);
        }
        break;
      default:
        for (const Multiaddr& at : next(machine)) dialling.push_back(at);
        break;
    }
    machine.check_invariants();
  }
}

}  // namespace
}  // namespace warren::discovery
