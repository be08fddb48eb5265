// What two whole nodes say of what the one lacks of the other, over the simulated network.

#include <gtest/gtest.h>

#include <algorithm>

#include "catalog/catalog_nodes_for_test.hpp"

namespace warren::catalog {
namespace {

using fakes::CatalogNode;
using fakes::listing;
using fakes::say;
using Kind = Claim::Kind;
using State = SyncDirection::State;

class CatalogNeedsTest : public fakes::CatalogNodesTest {
 protected:
  CatalogNeedsTest() : a(add()), b(add()) {}
  /// b wants all of it and has what it lists itself, as a node does.
  void want_all(Reason reason = Reason::kNone) {
    b.claim = [this, reason](const Listing& each) -> Claim {
      const auto* here = b.set.find(each.id);
      const bool held = here != nullptr && here->listing.root == each.root;
      return {held ? Kind::kHeld : Kind::kMissing, held ? Reason::kNone : reason, 0};
    };
    b.service->wants_changed();
  }
  SyncDirection at_b() { return direction(b, a, &PeerSync::here); }
  SyncDirection at_a() { return direction(a, b, &PeerSync::there); }
  SyncDirection direction(CatalogNode& node, const CatalogNode& other,
                          SyncDirection PeerSync::* which) {
    for (const PeerSync& sync : node.service->sync()) {
      if (sync.peer == other.id) return sync.*which;
    }
    return {};
  }
  bool both_are(State state, std::uint64_t missing, Duration within = 10s) {
    const auto is = [&](const SyncDirection& each) {
      return each.state == state && each.need.count == missing;
    };
    return world.run_until([&] { return is(at_a()) && is(at_b()); }, within);
  }
  /// Once the answer is there.
  bool both_agree() {
    return world.run_until([&] { return at_a().compared && at_b().compared; }, 1s);
  }

  CatalogNode& a;
  CatalogNode& b;
};

TEST_F(CatalogNeedsTest, BothEndsShowTheSameFromTheAnnouncementToTheEnd) {
  want_all();
  a.put("one");
  a.put("two");
  connect(a, b);
  ASSERT_TRUE(both_are(State::kSyncing, 2));
  EXPECT_EQ(at_a().need, at_b().need);
  EXPECT_EQ(at_a().need.ids, (Ids{"one", "two"}));
  EXPECT_TRUE(both_agree());
  b.put("one");
  ASSERT_TRUE(both_are(State::kSyncing, 1));
  b.put("two");
  ASSERT_TRUE(both_are(State::kUpToDate, 0));
  EXPECT_TRUE(both_agree());
  // Another version is missing again, and one that went is not.
  a.put("one", fakes::kAnyoneRule, "2");
  ASSERT_TRUE(both_are(State::kSyncing, 1));
  EXPECT_EQ(at_a().need.ids, (Ids{"one"}));
  b.put("one", fakes::kAnyoneRule, "2");
  a.set.apply({}, {"two"});
  ASSERT_TRUE(both_are(State::kUpToDate, 0));
  // The other way nothing was wanted.
  const auto is_up_to_date = [](const SyncDirection& each) {
    return each.state == State::kUpToDate && each.compared && each.need.count == 0;
  };
  EXPECT_TRUE(world.run_until(
      [&] {
        return is_up_to_date(direction(a, b, &PeerSync::here)) &&
               is_up_to_date(direction(b, a, &PeerSync::there));
      },
      10s));
}

TEST_F(CatalogNeedsTest, WhatDoesNotComeHasAReasonAtBothEnds) {
  want_all(Reason::kDiskFull);
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(both_are(State::kSyncing, 1));
  ASSERT_TRUE(both_are(State::kWaiting, 1, 15s));
  EXPECT_EQ(at_a().reason, Reason::kDiskFull);
  EXPECT_EQ(at_b().reason, Reason::kDiskFull);
  ASSERT_EQ(at_b().items.size(), 1u);
  EXPECT_EQ(at_b().items[0].reason, Reason::kDiskFull);
}

TEST_F(CatalogNeedsTest, WhatAPeerMayNotSeeIsInNoNumber) {
  want_all();
  a.put("open");
  a.put("secret", {peers::Access::kTrusted, {}});
  connect(a, b);
  ASSERT_TRUE(both_are(State::kSyncing, 1));
  EXPECT_EQ(at_a().need.ids, (Ids{"open"}));
  EXPECT_EQ(at_a().need.bytes, listing("open").bytes);
  a.trusted.insert(b.id);
  a.service->peer_changed(b.id);
  ASSERT_TRUE(both_are(State::kSyncing, 2));
  a.trusted.clear();
  a.service->peer_changed(b.id);
  ASSERT_TRUE(both_are(State::kSyncing, 1));
}

TEST_F(CatalogNeedsTest, WhatAFollowerKeepsToItselfCountsAsItSays) {
  want_all();
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(both_are(State::kSyncing, 1));
  b.put("one", {peers::Access::kTrusted, {}});
  ASSERT_TRUE(both_are(State::kUpToDate, 0));
  EXPECT_TRUE(both_agree());
}

TEST_F(CatalogNeedsTest, ALieIsReportedAtBothEndsAfterAMinuteAndNotBefore) {
  b.claim = [](const Listing&) { return Claim{Kind::kHeld, Reason::kNone, 0}; };
  a.put("one", fakes::kAnyoneRule, "2");
  a.put("two");
  b.put("one", fakes::kAnyoneRule, "1");
  connect(a, b);
  ASSERT_TRUE(world.run_until([&] { return at_a().differs_for && at_b().differs_for; }, 10s));
  EXPECT_EQ(at_a().need.ids, (Ids{"one"})) << "what it lists itself is another version";
  EXPECT_FALSE(at_a().compared || at_b().compared);
  const Duration rest = 60s - std::max(*at_a().differs_for, *at_b().differs_for);
  world.run_for(rest - 1s);
  EXPECT_NE(at_a().state, State::kDiffers);
  EXPECT_NE(at_b().state, State::kDiffers);
  world.run_for(3s);
  EXPECT_EQ(at_a().state, State::kDiffers);
  EXPECT_EQ(at_b().state, State::kDiffers);
  EXPECT_EQ(at_a().differing, (Ids{"one"}));
  EXPECT_EQ(at_b().differing, (Ids{"one"}));
  want_all();
  ASSERT_TRUE(both_are(State::kSyncing, 2, 30s)) << "the truth ends it";
}

TEST_F(CatalogNeedsTest, NothingIsKnownOfThoseThatAreGone) {
  want_all();
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(both_are(State::kSyncing, 1));
  a.swarm->disconnect(b.id);
  world.run_for(1s);
  EXPECT_TRUE(a.service->sync().empty());
  EXPECT_TRUE(b.service->sync().empty());
  connect(a, b);
  EXPECT_TRUE(both_are(State::kSyncing, 1));
}

TEST_F(CatalogNeedsTest, NothingIsSaidWhileNothingChangesAndFewTimesWhileMuchDoes) {
  want_all();
  a.put("one");
  b.put("one");
  connect(a, b);
  ASSERT_TRUE(both_are(State::kUpToDate, 0));
  world.run_for(10s);
  const std::uint64_t before = world.counters().stream_bytes_sent;
  world.run_for(1h);
  EXPECT_EQ(world.counters().stream_bytes_sent, before);
  const std::uint64_t reports = b.service->counters().reports;
  for (int i = 0; i < 300; ++i) {
    a.put("one", fakes::kAnyoneRule, std::to_string(i));
    world.run_for(100ms);
  }
  EXPECT_LE(b.service->counters().reports - reports, 12u) << "in 30 s";
}

TEST_F(CatalogNeedsTest, AReportWithoutASubscriptionIsNotCompared) {
  a.put("one");
  ASSERT_TRUE(sim::run(world, b.swarm->connect(a.address.with_peer(a.id), kNever)));
  const auto answer = sim::run(world, say(b, a.id, encode_message(NeedReport{})));
  ASSERT_TRUE(answer) << answer.error().message();
  const auto message = decode_message(*answer, {});
  ASSERT_TRUE(message && std::holds_alternative<NeedAnswer>(*message));
  EXPECT_EQ(std::get<NeedAnswer>(*message), NeedAnswer{});
  EXPECT_EQ(at_a().state, State::kUnknown);
}

TEST_F(CatalogNeedsTest, ReportsOfAnotherSetDifferAndTooManyAreRefused) {
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(comes_to(b, {"one"}));
  world.run_for(10s);
  NeedReport report;
  report.count = 7;
  report.listed.bytes[0] = 1;
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    const auto answer = sim::run(world, say(b, a.id, encode_message(report)));
    ASSERT_TRUE(answer);
    const auto message = decode_message(*answer, {});
    ASSERT_TRUE(message);
    if (std::holds_alternative<Refusal>(*message)) {
      ++refused;
    } else {
      EXPECT_EQ(std::get<NeedAnswer>(*message).compared, NeedAnswer::Compared::kOtherSet);
    }
  }
  EXPECT_GE(refused, 5);
  EXPECT_TRUE(at_a().differs_for.has_value());
  EXPECT_TRUE(a.reports.empty()) << "it spoils what is said of itself, and nothing else";
}

TEST_F(CatalogNeedsTest, ReckoningForManyTakesATwentiethOfTheTimeAndEachHasItsTurn) {
  want_all();
  b.reckoning_time = 1s;
  std::vector<CatalogNode*> publishers{&a, &add(), &add(), &add()};
  for (CatalogNode* publisher : publishers) {
    publisher->put("of " + publisher->id.to_string());
    connect(b, *publisher);
  }
  const auto is_known = [&](CatalogNode* publisher) {
    return direction(b, *publisher, &PeerSync::here).need.count == 1 &&
           direction(*publisher, b, &PeerSync::there).need.count == 1;
  };
  ASSERT_TRUE(world.run_until([&] { return std::ranges::all_of(publishers, is_known); }, 2min));
  const int before = b.reckonings;
  const std::uint64_t reports = b.service->counters().reports;
  world.run_for(10min);
  EXPECT_LE(b.reckonings - before, 31) << "of 1 s each";
  EXPECT_GE(b.reckonings - before, 25);
  EXPECT_GE(b.service->counters().reports - reports, 4u) << "each has its reason";
}

TEST_F(CatalogNeedsTest, ASubscriptionThatIsRenewedAgainAndAgainIsNotReckonedMoreOften) {
  want_all();
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(both_are(State::kSyncing, 1));
  const int before = b.reckonings;
  const std::uint64_t subscriptions = b.service->counters().subscriptions;
  for (int i = 0; i < 60; ++i) {
    if (!a.trusted.erase(b.id)) a.trusted.insert(b.id);
    a.service->peer_changed(b.id);
    world.run_for(1s);
  }
  EXPECT_GE(b.service->counters().subscriptions - subscriptions, 50u);
  EXPECT_LE(b.reckonings - before, 21) << "in 60 s";
  EXPECT_TRUE(both_are(State::kWaiting, 1, 20s));
}

TEST_F(CatalogNeedsTest, AWalkEndsWithItsSubscription) {
  CatalogOptions options;
  options.limits.page_entries_max = 1;
  CatalogNode& publisher = add(options);
  CatalogNode& follower = add(options);
  std::vector<library::PublishedEntry> many;
  for (int i = 0; i < 1'000; ++i) many.push_back(fakes::entry(listing(std::to_string(i))));
  publisher.set.apply(std::move(many), {});
  int seen = 0;
  follower.claim = [&seen](const Listing&) -> Claim {
    ++seen;
    return {Kind::kMissing, Reason::kNone, 0};
  };
  connect(follower, publisher);
  ASSERT_TRUE(world.run_until([&] { return seen >= 500; }, 1min));
  follower.swarm->disconnect(publisher.id);
  world.run_for(10s);
  EXPECT_LT(seen, 900);
}

TEST_F(CatalogNeedsTest, JudgingTakesATwentiethOfTheTimeAndIsPutOffBeyond) {
  CatalogOptions options;
  options.limits.page_entries_max = 1;  // So it takes 50 us an entry.
  CatalogNode& publisher = add(options);
  CatalogNode& follower = add(options);
  constexpr int kEntries = 6'000;
  std::vector<library::PublishedEntry> many;
  for (int i = 0; i < kEntries; ++i) {
    many.push_back(fakes::entry(listing("entry-" + std::to_string(i))));
  }
  follower.set.apply(many, {});
  publisher.set.apply(std::move(many), {});
  connect(follower, publisher);
  const auto has_all = [&](CatalogNode& node, const CatalogNode& other) {
    const CatalogPeer known = peer_of(node, other);
    return known.complete && known.theirs.count == kEntries;
  };
  for (int i = 0; i < 60 && !has_all(publisher, follower); ++i) world.run_for(1s);
  ASSERT_TRUE(has_all(publisher, follower) && has_all(follower, publisher));
  NeedBuilder builder;
  for (const Listing& each : publisher.set.page(fakes::visitor(2), "", kEntries)) {
    builder.add(each, {Kind::kHeld, Reason::kNone, 0});
  }
  const Bytes report = encode_message(builder.report());
  int compared = 0;
  int put_off = 0;
  const TimePoint begun = world.now();
  for (int i = 0; i < 30; ++i) {
    const auto answer = sim::run(world, say(follower, publisher.id, report));
    ASSERT_TRUE(answer) << answer.error().message();
    const auto message = decode_message(*answer, {});
    ASSERT_TRUE(message && std::holds_alternative<NeedAnswer>(*message));
    const auto how = std::get<NeedAnswer>(*message).compared;
    ++(how == NeedAnswer::Compared::kSameSet ? compared : put_off);
    world.run_for(2s);
  }
  EXPECT_LE(compared, 14) << "0.3 s each in " << (world.now() - begun) / 1s << " s, 1 s at once";
  EXPECT_GE(compared, 8);
  EXPECT_EQ(compared + put_off, 30);
  EXPECT_FALSE(direction(publisher, follower, &PeerSync::there).differs_for);
}

TEST_F(CatalogNeedsTest, ThousandsOfEntriesAreComparedPageByPage) {
  want_all();
  std::vector<library::PublishedEntry> many;
  for (int i = 0; i < 2'500; ++i) {
    const Listing each = listing("entry-" + std::to_string(i));
    many.push_back(fakes::entry(each));
    if (i % 2 == 0) b.set.apply({fakes::entry(each)}, {});
  }
  a.set.apply(std::move(many), {});
  connect(a, b);
  ASSERT_TRUE(both_are(State::kSyncing, 1'250, 20s));
  EXPECT_EQ(at_a().need, at_b().need);
  EXPECT_TRUE(world.run_until([&] { return at_a().compared && at_b().compared; }, 20s));
}

}  // namespace
}  // namespace warren::catalog
