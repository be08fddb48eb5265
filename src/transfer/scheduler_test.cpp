#include "transfer/scheduler.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <set>

namespace warren::transfer {
namespace {

constexpr std::uint32_t kMiB = 1u << 20;

std::shared_ptr<const content::Tree> tree_of(std::size_t leaves, std::uint32_t leaf_bytes = kMiB) {
  auto tree = std::make_shared<content::Tree>();
  tree->leaves.assign(leaves, {Digest{}, leaf_bytes});
  tree->bytes_total = std::uint64_t{leaves} * leaf_bytes;
  return tree;
}

template <class T>
std::vector<T> only(const std::vector<SchedulerAction>& actions) {
  std::vector<T> found;
  for (const SchedulerAction& action : actions) {
    if (const T* wanted = std::get_if<T>(&action)) found.push_back(*wanted);
  }
  return found;
}

std::vector<actions::Ask> asks(const std::vector<SchedulerAction>& all) {
  return only<actions::Ask>(all);
}

// A scheduler, its clock, and what it has asked for.
class Bench {
 public:
  explicit Bench(std::size_t leaves, SchedulerConfig config = {}, std::uint32_t leaf_bytes = kMiB)
      : scheduler(tree_of(leaves, leaf_bytes), LeafSet(leaves), config) {}

  std::vector<SchedulerAction> give(const SchedulerEvent& event) {
    auto out = scheduler.handle(event, now);
    scheduler.check_invariants();
    for (const auto& ask : asks(out)) open[ask.request] = ask;
    return out;
  }
  void add(SourceId id, std::uint32_t requests_max = 2) {
    give(events::SourceAdded{id, requests_max, std::nullopt, 0});
  }
  void add_partial(SourceId id, std::set<std::uint64_t> leaves, std::uint32_t requests_max = 2) {
    LeafSet set(scheduler.done().size());
    for (const std::uint64_t leaf : leaves) set.add(leaf);
    give(events::SourceAdded{id, requests_max, set, 0});
  }
  std::vector<actions::Ask> asked_of(SourceId id) const {
    std::vector<actions::Ask> found;
    for (const auto& [request, ask] : open) {
      if (ask.source == id) found.push_back(ask);
    }
    return found;
  }
  // Delivers everything that was asked.
  void deliver(const actions::Ask& ask) {
    give(events::Arrived{ask.request, std::uint64_t{ask.count} * kMiB});
    give(events::Verified{ask.request, ask.first, ask.count});
    give(events::Ended{ask.request, false});
    open.erase(ask.request);
  }

  Scheduler scheduler;
  TimePoint now{};
  std::map<RequestId, actions::Ask> open;
};

// All are done at first, and a few are wanted at a time.
TEST(Scheduler, WhatIsWantedAgainIsAskedForAgainAndNothingElse) {
  Scheduler scheduler(tree_of(100), LeafSet(100, true));
  TimePoint now{};
  const auto give = [&](const SchedulerEvent& event) {
    auto out = scheduler.handle(event, now);
    scheduler.check_invariants();
    return out;
  };
  EXPECT_TRUE(asks(give(events::SourceAdded{1, 2, std::nullopt, 0})).empty());
  EXPECT_EQ(scheduler.state(), Scheduler::State::kComplete);
  const auto first = asks(give(events::Wanted{60, 2}));
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].first, 60u);
  EXPECT_EQ(first[1].first, 61u);
  give(events::Verified{first[0].request, 60, 1});
  give(events::Ended{first[0].request, false});
  // 61 is not wanted any more: the request for it is broken off.
  const auto over = only<actions::Abandon>(give(events::Verified{0, 61, 1}));
  ASSERT_EQ(over.size(), 1u);
  EXPECT_EQ(over[0].request, first[1].request);
  EXPECT_EQ(scheduler.state(), Scheduler::State::kComplete);
  const auto again = asks(give(events::Wanted{60, 1}));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].first, 60u);
  EXPECT_TRUE(asks(give(events::Wanted{60, 1})).empty()) << "it is asked for";
  EXPECT_TRUE(asks(give(events::Wanted{90, 11})).empty()) << "there are not so many";
}

TEST(Scheduler, AsksOneSourceForEverythingInOrder) {
  Bench bench(100);
  bench.add(1, 4);
  std::uint64_t next = 0;
  while (bench.scheduler.state() != Scheduler::State::kComplete) {
    ASSERT_FALSE(bench.open.empty());
    const actions::Ask first = bench.open.begin()->second;
    EXPECT_EQ(first.first, next);
    next += first.count;
    bench.now += 10ms;
    bench.deliver(first);
  }
  EXPECT_EQ(next, 100u);
  EXPECT_EQ(bench.scheduler.bytes_done(), 100u * kMiB);
  EXPECT_EQ(bench.scheduler.retries(), 0u);
}

TEST(Scheduler, DoesNotAskForWhatIsThere) {
  LeafSet done(10);
  for (const std::uint64_t leaf : {0u, 1u, 2u, 5u, 9u}) done.add(leaf);
  Scheduler scheduler(tree_of(10), done);
  std::set<std::uint64_t> asked;
  for (const auto& ask : asks(scheduler.handle(events::SourceAdded{1, 20, std::nullopt, 0}, {}))) {
    for (std::uint64_t i = 0; i < ask.count; ++i) EXPECT_TRUE(asked.insert(ask.first + i).second);
  }
  EXPECT_EQ(asked, (std::set<std::uint64_t>{3, 4, 6, 7, 8}));
}

TEST(Scheduler, OfNothingIsCompleteAtOnce) {
  Bench bench(0);
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kComplete);
}

TEST(Scheduler, SplitsWorkOverTwoSources) {
  Bench bench(64);
  bench.add(1);
  bench.add(2);
  EXPECT_EQ(bench.asked_of(1).size(), 2u);
  EXPECT_EQ(bench.asked_of(2).size(), 2u);
}

TEST(Scheduler, AsksAFasterSourceForMoreAtOnce) {
  Bench bench(4000);
  bench.add(1, 1);
  bench.add(2, 1);
  for (int round = 0; round < 20; ++round) {
    const auto fast = bench.asked_of(1).front();
    bench.now += 250ms;
    bench.give(events::Arrived{bench.asked_of(2).front().request, 100'000});
    bench.deliver(fast);
  }
  EXPECT_GT(bench.scheduler.rate(1), 10 * bench.scheduler.rate(2));
  bench.deliver(bench.asked_of(2).front());
  EXPECT_LT(bench.asked_of(2).front().count, bench.asked_of(1).front().count);
}

TEST(Scheduler, TakesTheRarestFirst) {
  Bench bench(8);
  bench.add_partial(1, {0, 1, 2, 3, 4, 5}, 1);
  bench.open.clear();
  bench.give(events::SourceRemoved{1});
  bench.add_partial(2, {0, 1, 2, 3, 4, 5, 6, 7}, 1);
  bench.give(events::SourceRemoved{2});
  bench.open.clear();
  // Source 3 keeps the first ones common; only source 4 has 6 and 7.
  bench.add_partial(3, {0, 1, 2, 3, 4, 5}, 1);
  bench.open.clear();
  bench.add(4, 1);
  ASSERT_EQ(bench.asked_of(4).size(), 1u);
  EXPECT_GE(bench.asked_of(4).front().first, 6u);
}

TEST(Scheduler, NodesThatFetchTheSameBeginAtDifferentPlaces) {
  std::set<std::uint64_t> firsts;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SchedulerConfig config;
    config.seed = seed * 0x9e3779b97f4a7c15;
    Bench bench(1000, config);
    bench.add_partial(2, {});
    bench.add(1, 8);
    const auto asked = bench.asked_of(1);
    ASSERT_EQ(asked.size(), 1u) << "the others will have the rest";
    firsts.insert(asked.front().first);
  }
  EXPECT_GT(firsts.size(), 6u);
}

TEST(Scheduler, BeginsElsewhereAlsoBeforeTheOthersHaveParts) {
  Bench bench(1000);
  bench.give(events::Company{3, 10});
  bench.add(1, 8);
  const auto asked = bench.asked_of(1);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked.front().first, 300u);
  EXPECT_EQ(asked.front().count, 1u);
  while (bench.scheduler.state() != Scheduler::State::kComplete) {
    ASSERT_FALSE(bench.open.empty());
    bench.now += 10ms;
    bench.deliver(bench.open.begin()->second);
  }
}

TEST(Scheduler, SparesASeedWhatAnotherNodeHasMeanwhile) {
  Bench bench(8);
  bench.add_partial(2, {});
  bench.add(1, 8);
  ASSERT_EQ(bench.asked_of(1).size(), 1u);
  const actions::Ask waiting = bench.asked_of(1).front();
  LeafSet held(8);
  held.add(waiting.first);
  const auto actions = bench.scheduler.handle(events::LeavesHeld{2, held}, bench.now);
  const auto* abandon = std::get_if<actions::Abandon>(&actions.front());
  ASSERT_NE(abandon, nullptr);
  EXPECT_EQ(abandon->request, waiting.request);
  EXPECT_FALSE(abandon->stalled);
  for (const actions::Ask& ask : asks(actions)) {
    EXPECT_EQ(ask.source == 2, ask.first == waiting.first) << "each of the one that is to give it";
  }
}

TEST(Scheduler, AsksForOneThingAtATimeWhileOthersComeFirst) {
  Bench bench(100);
  bench.give(events::Yield{true});
  bench.add(1, 8);
  bench.add(2, 8);
  ASSERT_EQ(bench.open.size(), 1u);
  EXPECT_EQ(bench.open.begin()->second.count, 1u);
  bench.deliver(bench.open.begin()->second);
  EXPECT_EQ(bench.open.size(), 1u);
  bench.give(events::Yield{false});
  EXPECT_GT(bench.open.size(), 8u);
}

TEST(Scheduler, AsksForWhatASourceHasSince) {
  Bench bench(4);
  bench.add_partial(1, {});
  EXPECT_TRUE(bench.open.empty());
  EXPECT_TRUE(bench.scheduler.gives_nothing(1));
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kStarved);
  LeafSet some(4);
  some.add(2);
  bench.give(events::LeavesHeld{1, some});
  ASSERT_EQ(bench.asked_of(1).size(), 1u);
  EXPECT_EQ(bench.asked_of(1).front().first, 2u);
  EXPECT_FALSE(bench.scheduler.gives_nothing(1));
  bench.give(events::LeavesHeld{1, std::nullopt});
  while (!bench.open.empty()) bench.deliver(bench.open.begin()->second);
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kComplete);
}

TEST(Scheduler, FindsTheOneLeafOfAMillionThatASourceHas) {
  constexpr std::size_t kLeaves = 1'000'003;
  for (const std::uint64_t leaf : {std::uint64_t{0}, std::uint64_t{777'777}, kLeaves - 1}) {
    Scheduler scheduler(tree_of(kLeaves), LeafSet(kLeaves));
    LeafSet set(kLeaves);
    set.add(leaf);
    static_cast<void>(scheduler.handle(events::SourceAdded{1, 8, LeafSet(kLeaves), 0}, {}));
    const auto asked = asks(scheduler.handle(events::SourceAdded{2, 8, set, 0}, {}));
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked.front().first, leaf);
    EXPECT_EQ(asked.front().count, 1u);
  }
}

TEST(Scheduler, GivesALeafThatIsMissingToAnotherSource) {
  Bench bench(4);
  bench.add(1, 1);
  const auto ask = bench.asked_of(1).front();
  bench.give(events::Missing{ask.request, 0, 1});
  bench.give(events::Verified{ask.request, 1, ask.count - 1});
  bench.give(events::Ended{ask.request, false});
  bench.open.clear();
  while (!bench.open.empty()) bench.deliver(bench.open.begin()->second);
  EXPECT_EQ(bench.scheduler.first_unavailable(), 0u);
  bench.add(2, 1);
  ASSERT_FALSE(bench.asked_of(2).empty());
  EXPECT_EQ(bench.asked_of(2).front().first, 0u);
}

TEST(Scheduler, IsStarvedWhenNoSourceHasTheRest) {
  Bench bench(2);
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kStarved);
  bench.add_partial(1, {0}, 1);
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kWorking);
  bench.deliver(bench.asked_of(1).front());
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kStarved);
  EXPECT_EQ(bench.scheduler.first_unavailable(), 1u);
}

TEST(Scheduler, DemotesALiarAndAsksTheOtherForTheLeaf) {
  Bench bench(40);
  bench.add(1, 1);
  bench.add(2, 1);
  const auto lie = bench.asked_of(1).front();
  bench.give(events::Bad{lie.request, lie.first});
  EXPECT_TRUE(bench.scheduler.demoted(1));
  bench.give(events::Ended{lie.request, false});
  bench.open.erase(lie.request);
  EXPECT_TRUE(bench.asked_of(1).empty()) << "the liar is asked though another one has it all";
  bench.deliver(bench.asked_of(2).front());
  EXPECT_EQ(bench.asked_of(2).front().first, lie.first);
}

TEST(Scheduler, BansALiarAndIsDefeatedWhenNoneIsLeft) {
  Bench bench(40);
  bench.add(1, 1);
  std::vector<SchedulerAction> last;
  for (int i = 0; i < 3; ++i) {
    const auto ask = bench.asked_of(1).front();
    last = bench.give(events::Bad{ask.request, ask.first});
    bench.give(events::Ended{ask.request, false});
    bench.open.erase(ask.request);
  }
  EXPECT_EQ(only<actions::Ban>(last).size(), 1u);
  EXPECT_FALSE(bench.scheduler.has_source(1));
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kDefeated);
  bench.add(2, 1);
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kWorking);
}

TEST(Scheduler, AsksElsewhereWhenASourceStalls) {
  Bench bench(4);
  bench.add(1, 1);
  bench.now += 5s;
  bench.add(2, 4);
  bench.now += 5s;
  const auto out = bench.give(events::TimerFired{});
  const auto abandoned = only<actions::Abandon>(out);
  ASSERT_EQ(abandoned.size(), 1u);
  EXPECT_TRUE(abandoned.front().stalled);
  EXPECT_EQ(abandoned.front().source, 1u);
  std::set<std::uint64_t> leaves;
  for (const auto& ask : bench.asked_of(2)) {
    for (std::uint64_t i = 0; i < ask.count; ++i) leaves.insert(ask.first + i);
  }
  EXPECT_TRUE(leaves.contains(0));
}

TEST(Scheduler, LeavesABrokenSourceAloneLongerEachTime) {
  Bench bench(4);
  bench.add(1, 1);
  Duration last{};
  for (int i = 0; i < 5; ++i) {
    const auto ask = bench.asked_of(1).front();
    bench.open.clear();
    const TimePoint broken_at = bench.now;
    EXPECT_TRUE(asks(bench.give(events::Ended{ask.request, true})).empty());
    while (bench.open.empty()) {
      bench.now += 100ms;
      bench.give(events::TimerFired{});
      ASSERT_LT(bench.now - broken_at, 100s);
    }
    EXPECT_GT(bench.now - broken_at, last);
    last = bench.now - broken_at;
  }
  EXPECT_EQ(last, 16s);
}

TEST(Scheduler, DoublesASlowRequestAtTheEndAndDropsTheLoser) {
  Bench bench(2);
  bench.add(1, 1);
  bench.add(2, 1);
  // Each has one; source 1 delivers, source 2 has been silent for too long.
  bench.now += 1s;
  const auto slow = bench.asked_of(2).front();
  bench.deliver(bench.asked_of(1).front());
  ASSERT_EQ(bench.asked_of(1).size(), 1u);
  EXPECT_EQ(bench.asked_of(1).front().first, slow.first);
  const auto again = bench.asked_of(1).front();
  const auto out = bench.give(events::Verified{again.request, again.first, again.count});
  const auto abandoned = only<actions::Abandon>(out);
  ASSERT_EQ(abandoned.size(), 1u);
  EXPECT_EQ(abandoned.front().request, slow.request);
  EXPECT_FALSE(abandoned.front().stalled);
  EXPECT_EQ(bench.scheduler.state(), Scheduler::State::kComplete);
}

TEST(Scheduler, BoundsRequestsOfSmallFilesByCount) {
  SchedulerConfig config;
  config.request_leaves_max = 100;
  Bench bench(1000, config, 10);
  bench.add(1, 1);
  EXPECT_EQ(bench.asked_of(1).front().count, 100u);
}

// ------------------------------------------------------------------------------- properties

// Any events in any order: no table disagrees, nothing verified is asked for again.
RC_GTEST_PROP(SchedulerProperty, HoldsItsInvariantsUnderAnyEvents, ()) {
  const auto leaves = *rc::gen::inRange<std::size_t>(1, 60);
  SchedulerConfig config;
  config.request_bytes_min = 3;
  config.request_bytes_max = 40;
  Scheduler scheduler(tree_of(leaves, 4), LeafSet(leaves), config);
  TimePoint now{};
  std::vector<actions::Ask> known;
  const auto steps = *rc::gen::inRange(1, 80);
  for (int i = 0; i < steps; ++i) {
    now += std::chrono::milliseconds(*rc::gen::inRange(0, 4'000));
    const auto source = static_cast<SourceId>(*rc::gen::inRange(1, 5));
    actions::Ask ask;
    if (!known.empty()) ask = known[*rc::gen::inRange<std::size_t>(0, known.size())];
    const std::uint64_t leaf = ask.first + *rc::gen::inRange<std::uint64_t>(0, ask.count + 1);
    const std::uint64_t count = *rc::gen::inRange<std::uint64_t>(0, ask.count + 2);
    SchedulerEvent event = events::TimerFired{};
    switch (*rc::gen::inRange(0, 11)) {
      case 8: {
        const auto bits = *rc::gen::container<Bytes>(8, rc::gen::arbitrary<std::uint8_t>());
        event = events::LeavesHeld{source, LeafSet::from_bytes(bits, leaves)};
        if (*rc::gen::arbitrary<bool>()) event = events::LeavesHeld{source, std::nullopt};
        break;
      }
      case 9:
        event = events::Company{*rc::gen::inRange<std::uint64_t>(0, 9),
                                *rc::gen::inRange<std::uint64_t>(0, 9)};
        break;
      case 0: {
        std::optional<LeafSet> some;
        if (*rc::gen::arbitrary<bool>()) {
          some = LeafSet::from_bytes(
              *rc::gen::container<Bytes>(8, rc::gen::arbitrary<std::uint8_t>()), leaves);
        }
        event = events::SourceAdded{source, static_cast<std::uint32_t>(*rc::gen::inRange(0, 4)),
                                    some, static_cast<std::uint32_t>(*rc::gen::inRange(0, 4))};
        break;
      }
      case 1: event = events::SourceRemoved{source}; break;
      case 2: event = events::Arrived{ask.request, count * 4}; break;
      case 3: event = events::Verified{ask.request, leaf, count}; break;
      case 4: event = events::Bad{ask.request, leaf}; break;
      case 5: event = events::Missing{ask.request, leaf, count}; break;
      case 6: event = events::Dropped{ask.request, leaf, count}; break;
      case 7: event = events::Ended{ask.request, *rc::gen::arbitrary<bool>()}; break;
      default: break;
    }
    for (const auto& asked : asks(scheduler.handle(event, now))) {
      known.push_back(asked);
      for (std::uint64_t l = asked.first; l < asked.first + asked.count; ++l) {
        RC_ASSERT(!scheduler.done().contains(l));
      }
    }
    scheduler.check_invariants();
  }
}

// Sources that lie, stall, break, miss leaves and vanish, and one that is honest: it completes.
RC_GTEST_PROP(SchedulerProperty, CompletesWhileOneHonestSourceIsLeft, ()) {
  const auto leaves = *rc::gen::inRange<std::size_t>(1, 200);
  SchedulerConfig config;
  config.request_bytes_min = 8;
  config.request_bytes_max = 64;
  Scheduler scheduler(tree_of(leaves, 4), LeafSet(leaves), config);
  TimePoint now{};
  TimePoint timer = kNever;
  std::vector<actions::Ask> open;
  const auto take = [&](const std::vector<SchedulerAction>& out) {
    for (const SchedulerAction& action : out) {
      if (const auto* ask = std::get_if<actions::Ask>(&action)) open.push_back(*ask);
      if (const auto* set = std::get_if<actions::SetTimer>(&action)) timer = set->at;
      if (const auto* gone = std::get_if<actions::Abandon>(&action)) {
        std::erase_if(open, [&](const auto& ask) { return ask.request == gone->request; });
      }
      if (const auto* ban = std::get_if<actions::Ban>(&action)) {
        std::erase_if(open, [&](const auto& ask) { return ask.source == ban->source; });
      }
    }
  };
  constexpr SourceId kHonest = 1;
  for (SourceId id = kHonest; id <= 4; ++id) {
    take(scheduler.handle(events::SourceAdded{id, 2, std::nullopt, 0}, now));
  }
  int steps = 0;
  while (scheduler.state() != Scheduler::State::kComplete) {
    RC_ASSERT(++steps < 20'000);
    RC_ASSERT(scheduler.has_source(kHonest));
    std::optional<actions::Ask> next;
    for (const auto& ask : open) {
      const bool stalls = ask.source == 4 && ask.request % 2 == 0;
      if (!stalls && (!next || *rc::gen::arbitrary<bool>())) next = ask;
    }
    if (!next) {
      RC_ASSERT(timer != kNever);
      now = std::max(now, timer);
      timer = kNever;
      take(scheduler.handle(events::TimerFired{}, now));
      continue;
    }
    const actions::Ask ask = *next;
    now += 1ms;
    std::erase_if(open, [&](const auto& other) { return other.request == ask.request; });
    take(scheduler.handle(events::Arrived{ask.request, ask.count * 4}, now));
    const bool misses = ask.source == 3;
    const bool lies = ask.source == 2;
    if (lies) {
      take(scheduler.handle(events::Bad{ask.request, ask.first}, now));
    } else if (misses) {
      take(scheduler.handle(events::Missing{ask.request, ask.first, 1}, now));
    } else {
      take(scheduler.handle(events::Verified{ask.request, ask.first, ask.count}, now));
    }
    take(scheduler.handle(events::Ended{ask.request, ask.source == 4}, now));
    scheduler.check_invariants();
  }
  RC_ASSERT(scheduler.bytes_done() == leaves * 4);
}

}  // namespace
}  // namespace warren::transfer
