// A follower and a publisher that reckon what the one lacks of the other, with everything that may
// happen to them: whatever it was, both end with the same, and it is the truth.

#include "catalog/need_exchange.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/check.hpp"
#include "catalog/listings_for_test.hpp"

namespace warren::catalog {
namespace {

using fakes::entry;
using fakes::listing;
using Compared = NeedAnswer::Compared;
using Ids = std::vector<std::string>;

class Pair {
 public:
  Pair() { set_.restore({++epoch_, 1}, 1, {}); }

  // ------------------------------------------------------------------- what happens to the two

  void put(unsigned which, unsigned version) {
    const std::string id = id_of(which);
    const auto* before = set_.find(id);
    Listing made = listing(id, std::to_string(version), which % 2 == 0 ? "even" : "odd");
    if (version == 0) {
      made.root.reset();
      made.availability = library::Availability::kHashing;
    }
    const bool hidden = which % 5 == 0;
    set_.apply({entry(std::move(made), before != nullptr ? before->rule
                                       : hidden          ? fakes::kLanRule
                                                         : fakes::kAnyoneRule)},
               {});
  }
  void remove(unsigned which) {
    if (set_.find(id_of(which)) != nullptr) set_.apply({}, {id_of(which)});
  }
  void change_rule(unsigned which) {
    const auto* before = set_.find(id_of(which));
    if (before == nullptr) return;
    const bool hidden = before->rule == fakes::kLanRule;
    set_.begin_epoch(++epoch_, {{id_of(which), hidden ? fakes::kAnyoneRule : fakes::kLanRule}});
  }
  void want(const std::string& topic, bool wanted) {
    if (wanted) {
      topics_.insert(topic);
    } else {
      topics_.erase(topic);
    }
    exchange.changed(now);
  }
  /// The follower has it now, as it knows it.
  void fetch(unsigned which) {
    for (const Listing& each : told_) {
      if (each.id == id_of(which) && each.root) held_[each.id] = each;
    }
    exchange.changed(now);
  }
  void lose(unsigned which) {
    held_.erase(id_of(which));
    exchange.changed(now);
  }
  /// The publisher's set comes to the follower, as a delta does.
  void tell() {
    told_ = set_.page(visitor_, "", 1'000);
    acknowledged_ = set_.summary(visitor_).digest;
    exchange.changed(now);
  }
  /// And what the follower lists of it to the publisher.
  void tell_back() {
    listed_.clear();
    if (lists_) listed_ = held_;
  }
  void keep_to_itself(bool hidden) { lists_ = !hidden; }
  void reconnect() {
    exchange = NeedExchange(true, now, exchange.not_before());
    at_publisher = {};
  }

  // --------------------------------------------------------------------------- what they do then

  /// Time goes on, with every report that is due. `lost`: no answer comes.
  void pass(Duration time, bool lost = false) {
    const TimePoint end = now + time;
    while (exchange.next() <= end) {
      now = std::max(now, exchange.next());
      report(lost);
      exchange.check_invariants();
    }
    now = end;
  }
  void report(bool lost) {
    exchange.begin(now);
    NeedBuilder builder;
    for (const Listing& each : told_) builder.add(each, claim(each));
    if (change_while_reckoning) std::exchange(change_while_reckoning, {})();
    if (!exchange.reckoned(builder, Duration{}, now)) return;
    ++reports;
    WARREN_CHECK(!last_report_ || now - *last_report_ >= 2s);  // As limits::Catalog allows.
    last_report_ = now;
    if (change_on_the_way) std::exchange(change_on_the_way, {})();
    const NeedAnswer answer = answer_to(*exchange.report());
    if (answer.compared != Compared::kNotYet) {
      const Need& reported = exchange.report()->need;
      at_publisher.saw(agrees(reported, answer), differing_ids(reported, answer), now);
    }
    for (const auto& ids : {answer.need.ids, answer.differing}) {
      for (const std::string& id : ids) WARREN_CHECK(set_.find(visitor_, id));
    }
    there = answer.need;
    if (lost) {
      exchange.failed(now);
    } else {
      exchange.answered(answer, now);
    }
  }
  /// As the driver does.
  NeedAnswer answer_to(const NeedReport& report) const {
    NeedAnswer answer;
    const Summary summary = set_.summary(visitor_);
    if (busy || summary.digest != acknowledged_) return answer;
    if (summary.digest != report.listed || summary.count != report.count) {
      answer.compared = Compared::kOtherSet;
      return answer;
    }
    NeedJudge judge(report);
    for (const Listing& own : set_.page(visitor_, "", 1'000)) {
      const auto theirs = listed_.find(own.id);
      judge.add(own, theirs == listed_.end() ? nullptr : &theirs->second);
    }
    return std::move(judge).finish();
  }
  Claim claim(const Listing& each) const {
    if (!topics_.contains(each.topic)) return {};
    if (lies.contains(each.id)) return {Claim::Kind::kHeld, Reason::kNone, 0};
    const auto here = held_.find(each.id);
    const bool held = here != held_.end() && here->second.root == each.root;
    return {held ? Claim::Kind::kHeld : Claim::Kind::kMissing, Reason::kNone, 0};
  }
  /// What is missing, as one who sees both knows.
  Need truth() const {
    Need need;
    for (const Listing& each : set_.page(visitor_, "", 1'000)) {
      if (each.root && claim(each).kind == Claim::Kind::kMissing) need.add(each);
    }
    return need;
  }
  /// Nothing goes wrong any more.
  void settle() {
    busy = false;
    change_on_the_way = {};
    tell();
    tell_back();
    pass(1min);
  }
  bool agree() const {
    return exchange.state() == NeedExchange::State::kResting && exchange.is_compared() &&
           !exchange.disagreement().since() && !at_publisher.since();
  }

  NeedExchange exchange{true, {}};
  Disagreement at_publisher;
  Need there;  ///< As the publisher reckons it.
  TimePoint now{};
  int reports = 0;
  std::set<std::string> lies;  ///< The follower says that it has these.
  bool busy = false;           ///< The publisher does not compare now.
  std::function<void()> change_while_reckoning;
  std::function<void()> change_on_the_way;  ///< Before the report is there.

 private:
  static std::string id_of(unsigned which) { return "entry-" + std::to_string(which); }

  peers::Visitor visitor_ = fakes::visitor(2);
  library::LibrarySet set_;
  std::uint64_t epoch_ = 0;
  std::set<std::string> topics_{"even"};
  std::vector<Listing> told_;              ///< At the follower.
  library::SetDigest acknowledged_;        ///< Of that.
  std::map<std::string, Listing> held_;    ///< There too.
  std::map<std::string, Listing> listed_;  ///< Of that, what the publisher knows.
  bool lists_ = true;
  std::optional<TimePoint> last_report_;
};

RC_GTEST_PROP(NeedExchange, WhateverHappenedBothEndWithTheTruth, ()) {
  Pair pair;
  const int steps = *rc::gen::inRange(0, 60);
  for (int step = 0; step < steps; ++step) {
    const unsigned which = *rc::gen::inRange(0u, 12u);
    switch (*rc::gen::inRange(0, 16)) {
      case 0:
      case 1: pair.put(which, *rc::gen::inRange(0u, 4u)); break;
      case 2: pair.remove(which); break;
      case 3: pair.change_rule(which); break;
      case 4: pair.want("even", *rc::gen::arbitrary<bool>()); break;
      case 5: pair.want("odd", *rc::gen::arbitrary<bool>()); break;
      case 6:
      case 7: pair.fetch(which); break;
      case 8: pair.lose(which); break;
      case 9: pair.tell(); break;
      case 10: pair.tell_back(); break;
      case 11: pair.keep_to_itself(*rc::gen::arbitrary<bool>()); break;
      case 12: pair.reconnect(); break;
      case 13: {
        const unsigned version = *rc::gen::inRange(0u, 4u);
        pair.change_on_the_way = [&pair, which, version] {
          pair.put(which, version);
          pair.tell();
        };
        break;
      }
      case 14: pair.busy = *rc::gen::arbitrary<bool>(); break;
      default: {
        const auto seconds = std::chrono::seconds(*rc::gen::inRange(0, 100));
        pair.pass(seconds, *rc::gen::arbitrary<bool>());
      }
    }
  }
  pair.settle();
  RC_ASSERT(pair.agree());
  RC_ASSERT(pair.exchange.report()->need == pair.truth());
  RC_ASSERT(pair.there == pair.truth());
  const int before = pair.reports;
  pair.pass(10min);
  RC_ASSERT(pair.reports <= before + 1);  // The reason, once.
}

class NeedExchangeTest : public testing::Test {
 protected:
  NeedExchangeTest() {
    for (unsigned i = 0; i < 4; ++i) pair.put(2 * i + 2, 1);
    pair.settle();
  }
  Pair pair;
};

TEST_F(NeedExchangeTest, OneExchangeAfterAChangeBothSayTheSame) {
  EXPECT_TRUE(pair.agree());
  EXPECT_EQ(pair.exchange.report()->need.count, 4u);
  const int before = pair.reports;
  pair.fetch(2);
  pair.tell_back();
  pair.pass(3s + 500ms);
  EXPECT_EQ(pair.reports, before + 1);
  EXPECT_TRUE(pair.agree());
  EXPECT_EQ(pair.there.count, 3u);
}

TEST_F(NeedExchangeTest, ManyChangesAreFewReports) {
  const int before = pair.reports;
  for (int i = 0; i < 111; ++i) {
    pair.fetch(2);
    pair.pass(100ms);
    pair.lose(2);
    pair.tell_back();
    pair.pass(170ms);
  }
  EXPECT_LE(pair.reports, before + 11) << "in 30 s";
  EXPECT_GE(pair.reports, before + 3);
}

TEST_F(NeedExchangeTest, WhatChangesWhileItIsReckonedIsReportedAfterwards) {
  for (unsigned i = 2; i <= 8; i += 2) pair.fetch(i);
  pair.tell_back();
  pair.pass(20s);
  ASSERT_EQ(pair.there.count, 0u) << "nothing is missing that would be looked at again";
  pair.change_while_reckoning = [this] {
    pair.lose(2);
    pair.tell_back();
  };
  pair.want("odd", true);
  pair.pass(20s);
  EXPECT_TRUE(pair.agree());
  EXPECT_EQ(pair.there.count, 1u);
  EXPECT_EQ(pair.there, pair.truth());
}

TEST_F(NeedExchangeTest, ADifferenceIsAnErrorAfterAMinuteAndNotBefore) {
  // It says that it has a version, and lists another one.
  pair.fetch(2);
  pair.tell_back();
  pair.pass(10s);
  pair.put(2, 2);
  pair.lies.insert("entry-2");
  pair.tell();
  pair.pass(4s);
  ASSERT_TRUE(pair.exchange.disagreement().since());
  ASSERT_TRUE(pair.at_publisher.since());
  EXPECT_EQ(pair.exchange.disagreement().ids(), (Ids{"entry-2"}));
  const TimePoint since = *pair.exchange.disagreement().since();
  pair.pass(since + 60s - pair.now);
  EXPECT_FALSE(pair.exchange.disagreement().lasts());
  EXPECT_FALSE(pair.at_publisher.lasts());
  EXPECT_FALSE(pair.exchange.disagreement().is_news());
  pair.pass(1s);
  EXPECT_TRUE(pair.exchange.disagreement().lasts());
  EXPECT_TRUE(pair.at_publisher.lasts());
  EXPECT_EQ(pair.at_publisher.ids(), (Ids{"entry-2"}));
  EXPECT_TRUE(pair.exchange.disagreement().is_news());
  EXPECT_FALSE(pair.exchange.disagreement().is_news()) << "told once";
  // And it is gone with the next comparison once it is none.
  pair.lies.clear();
  pair.pass(20s);
  EXPECT_TRUE(pair.agree());
}

TEST_F(NeedExchangeTest, ADifferenceThatGoesBeforeIsNone) {
  pair.fetch(2);
  pair.tell_back();
  pair.put(2, 2);
  pair.lies.insert("entry-2");
  pair.tell();
  pair.pass(50s);
  ASSERT_TRUE(pair.exchange.disagreement().since());
  pair.lies.clear();
  pair.pass(20s);
  EXPECT_TRUE(pair.agree());
  pair.lies.insert("entry-2");
  pair.exchange.changed(pair.now);
  pair.pass(30s);
  EXPECT_FALSE(pair.exchange.disagreement().lasts()) << "it began anew";
}

TEST_F(NeedExchangeTest, WhatDoesNotMoveForTenSecondsHasAReason) {
  pair.lose(2);
  pair.pass(60s);
  EXPECT_EQ(pair.exchange.report()->reason, Reason::kTurn) << "nothing else is known";
  pair.fetch(2);
  pair.tell_back();
  pair.pass(5s);
  EXPECT_EQ(pair.exchange.report()->reason, Reason::kNone) << "something came";
  pair.pass(10s);
  EXPECT_NE(pair.exchange.report()->reason, Reason::kNone);
  pair.want("even", false);
  pair.pass(5s);
  EXPECT_EQ(pair.exchange.report()->reason, Reason::kNone) << "nothing is wanted";
}

TEST_F(NeedExchangeTest, ThatOfWhatMovesHasNone) {
  NeedExchange exchange(false, {});
  TimePoint now{};
  for (std::uint64_t done = 0; done < 20; ++done) {
    now += 5s;
    NeedBuilder builder;
    builder.add(listing("a"), {Claim::Kind::kMissing, Reason::kRateLimit, done});
    exchange.begin(now);
    EXPECT_FALSE(exchange.reckoned(builder, {}, now)) << "the publisher does not compare";
    EXPECT_EQ(exchange.report()->reason, Reason::kNone);
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_LE(exchange.next(), now + 5s);
    now += 5s;
    NeedBuilder builder;
    builder.add(listing("a"), {Claim::Kind::kMissing, Reason::kRateLimit, 19});
    exchange.begin(now);
    exchange.reckoned(builder, {}, now);
  }
  EXPECT_EQ(exchange.report()->reason, Reason::kRateLimit);
}

TEST_F(NeedExchangeTest, AnotherSetThanWasAcknowledgedDiffersWithoutIds) {
  NeedExchange exchange(true, {});
  exchange.begin({});
  ASSERT_TRUE(exchange.reckoned({}, {}, TimePoint{} + 1s));
  exchange.answered({Compared::kOtherSet, {}, {}}, TimePoint{} + 1s);
  ASSERT_TRUE(exchange.disagreement().since());
  EXPECT_TRUE(exchange.disagreement().ids().empty());
}

TEST_F(NeedExchangeTest, ALargeSetIsReckonedLessOften) {
  NeedExchange exchange(false, {});
  NeedBuilder builder;
  builder.add(listing("a"), {Claim::Kind::kMissing, Reason::kNone, 0});
  exchange.begin({});
  exchange.reckoned(builder, 1s, TimePoint{} + 1s);
  exchange.changed(TimePoint{} + 1s);
  EXPECT_GE(exchange.next(), TimePoint{} + 21s);
}

TEST_F(NeedExchangeTest, WhatWasReckonedInVainTookItsTimeToo) {
  NeedExchange exchange(true, {});
  exchange.begin({});
  exchange.not_reckoned(2s, TimePoint{} + 2s);
  EXPECT_EQ(exchange.next(), TimePoint{} + 42s);
  exchange.begin(exchange.next());
  exchange.not_reckoned(1h, TimePoint{} + 2h);
  EXPECT_EQ(exchange.next(), TimePoint{} + 2h + 60s) << "and no longer";
}

TEST_F(NeedExchangeTest, ANewSubscriptionKeepsTheGapOfTheOneBefore) {
  NeedExchange ended_while_reckoning(true, {});
  ended_while_reckoning.begin(TimePoint{} + 1s);
  const NeedExchange renewed(true, TimePoint{} + 2s, ended_while_reckoning.not_before());
  EXPECT_EQ(renewed.next(), TimePoint{} + 4s);
  NeedExchange ended_while_asking(true, {});
  ended_while_asking.begin(TimePoint{} + 1s);
  ASSERT_TRUE(ended_while_asking.reckoned({}, 1s, TimePoint{} + 2s));
  const NeedExchange another(true, TimePoint{} + 2s, ended_while_asking.not_before());
  EXPECT_EQ(another.next(), TimePoint{} + 22s);
}

TEST_F(NeedExchangeTest, ADifferenceAfterWhichNothingIsComparedIsNoError) {
  const auto set_changes = [this] {
    pair.put(2, 2);
    pair.tell();
  };
  pair.change_on_the_way = set_changes;
  pair.fetch(2);
  for (int i = 0; i < 10 && !pair.exchange.disagreement().since(); ++i) pair.pass(500ms);
  ASSERT_TRUE(pair.exchange.disagreement().since()) << "the report was of another set";
  ASSERT_TRUE(pair.at_publisher.since());
  pair.busy = true;
  pair.pass(10min);
  EXPECT_FALSE(pair.exchange.disagreement().lasts());
  EXPECT_FALSE(pair.at_publisher.lasts());
  EXPECT_FALSE(pair.exchange.disagreement().is_news());
  pair.busy = false;
  pair.pass(30s);
  EXPECT_TRUE(pair.agree());
}

TEST(WorkPace, ATwentiethOfTheTimeAndTheFirstSecondAtOnce) {
  WorkPace pace;
  TimePoint now = TimePoint{} + 1h;
  const auto work_for = [&](Duration time) {
    Duration worked{};
    const TimePoint end = now + time;
    while (now < end) {
      now = std::max(now, pace.next());
      now += 100ms;
      worked += 100ms;
      pace.took(100ms, now);
    }
    return worked;
  };
  EXPECT_LE(pace.next(), now);
  for (int i = 0; i < 10; ++i) {
    EXPECT_LE(pace.next(), now) << "small ones do not wait for each other";
    pace.took(100ms, now);
  }
  pace.took(100ms, now);
  EXPECT_EQ(pace.next(), now + 2s);
  EXPECT_LE(work_for(10min), 32s);
  EXPECT_GE(work_for(10min), 28s);
  now += 1min;
  pace.took(1s, now);
  EXPECT_LE(pace.next(), now) << "what was long ago counts no more";
  pace.took(1h, now);
  EXPECT_EQ(pace.next(), now + 10min) << "no longer";
}

}  // namespace
}  // namespace warren::catalog
