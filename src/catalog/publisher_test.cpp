#include "catalog/publisher.hpp"

#include <gtest/gtest.h>

#include "catalog/listings_for_test.hpp"

namespace warren::catalog {
namespace {

using fakes::entry;
using fakes::listing;

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() { set.restore({7, 1}, 1, {}); }
  void put(const std::string& id, const peers::AccessRule& rule = fakes::kAnyoneRule,
           const std::string& version = "1") {
    set.apply({entry(listing(id, version), rule)}, {});
  }
  Publisher publisher(const Summary& known = {}, bool on_lan = false) {
    return Publisher(set, fakes::visitor(2, on_lan), known, limits);
  }
  /// The next message, which must be one of these.
  template <class T>
  T next(Publisher& publisher) {
    const auto message = publisher.next();
    publisher.check_invariants();
    EXPECT_TRUE(message && std::holds_alternative<T>(*message));
    return message && std::holds_alternative<T>(*message) ? std::get<T>(*message) : T{};
  }
  static void acknowledge(Publisher& publisher, Revision revision) {
    EXPECT_TRUE(publisher.handle(AnnounceAck{revision}));
  }
  /// One to whom all has been told.
  Publisher current(bool on_lan = false) {
    return publisher(set.summary(fakes::visitor(2, on_lan)), on_lan);
  }

  limits::Catalog limits;
  library::LibrarySet set;
};

TEST_F(PublisherTest, EqualSetsEndIt) {
  put("a");
  Publisher same = current();
  EXPECT_FALSE(same.next());
  EXPECT_TRUE(same.is_current());
  EXPECT_EQ(same.acknowledged(), set.revision());
}

TEST_F(PublisherTest, OneThatKnowsNothingGetsASnapshot) {
  put("a");
  put("b");
  put("hidden", fakes::kLanRule);
  Publisher one = publisher();
  const auto part = next<SnapshotPart>(one);
  EXPECT_TRUE(part.last);
  EXPECT_EQ(part.revision, set.revision());
  ASSERT_EQ(part.entries.size(), 2u);
  EXPECT_EQ(part.digest, set.summary(fakes::visitor(2)).digest);
  EXPECT_FALSE(one.next()) << "not before it is acknowledged";
  acknowledge(one, set.revision());
  EXPECT_FALSE(one.next());
  EXPECT_TRUE(one.is_current());
}

TEST_F(PublisherTest, ASnapshotGoesInPagesOfBothLimits) {
  limits.page_entries_max = 10;
  for (int i = 0; i < 25; ++i) put("entry-" + std::to_string(i));
  Publisher by_count = publisher();
  EXPECT_EQ(next<SnapshotPart>(by_count).entries.size(), 10u);
  EXPECT_EQ(next<SnapshotPart>(by_count).part, 1u);
  EXPECT_TRUE(next<SnapshotPart>(by_count).last);
  limits.page_bytes_max = 3 * message_bytes_of(listing("entry-10"));
  Publisher by_bytes = publisher();
  EXPECT_EQ(next<SnapshotPart>(by_bytes).entries.size(), 3u);
}

TEST_F(PublisherTest, ChangesThatComeWhileOneIsUnderWayAreToldTogether) {
  Publisher one = current();
  put("a");
  const auto first = next<DeltaPart>(one);
  EXPECT_EQ(first.added.size(), 1u);
  put("b");
  put("c");
  put("b", fakes::kAnyoneRule, "2");
  EXPECT_FALSE(one.next());
  acknowledge(one, first.to);
  const auto second = next<DeltaPart>(one);
  EXPECT_EQ(second.from, first.to.number);
  EXPECT_EQ(second.to, set.revision());
  EXPECT_EQ(second.added.size(), 2u);
  EXPECT_TRUE(second.last);
}

TEST_F(PublisherTest, WhatTheVisitorDoesNotSeeIsNotEvenHintedAt) {
  Publisher one = current();
  put("hidden", fakes::kLanRule);
  EXPECT_FALSE(one.next());
  set.apply({}, {"hidden"});
  EXPECT_FALSE(one.next());
  Publisher on_lan = current(true);
  put("hidden", fakes::kLanRule);
  EXPECT_EQ(next<DeltaPart>(on_lan).added.size(), 1u);
}

TEST_F(PublisherTest, NewRulesBeginASnapshotAlsoInTheMiddleOfADelta) {
  limits.page_entries_max = 2;
  Publisher one = current();
  std::vector<library::PublishedEntry> many;
  for (const char* id : {"a", "b", "c", "d"}) many.push_back(entry(listing(id)));
  set.apply(std::move(many), {});
  const auto first = next<DeltaPart>(one);
  EXPECT_FALSE(first.last);
  std::map<std::string, peers::AccessRule> rules;
  rules["c"] = rules["d"] = fakes::kLanRule;
  set.begin_epoch(8, rules);
  const auto part = next<SnapshotPart>(one);
  EXPECT_EQ(part.part, 0u);
  EXPECT_TRUE(part.last);
  EXPECT_EQ(part.entries.size(), 2u) << "a and b";
}

TEST_F(PublisherTest, NewRulesInTheMiddleOfASnapshotBeginItAgain) {
  limits.page_entries_max = 1;
  for (const char* id : {"a", "b", "c"}) put(id);
  Publisher one = publisher();
  EXPECT_EQ(next<SnapshotPart>(one).entries.front().id, "a");
  std::map<std::string, peers::AccessRule> rules;
  rules["a"] = rules["b"] = fakes::kLanRule;
  set.begin_epoch(8, rules);
  const auto again = next<SnapshotPart>(one);
  EXPECT_EQ(again.part, 0u);
  EXPECT_EQ(again.revision.epoch, 8u);
  EXPECT_EQ(again.entries.front().id, "c");
  EXPECT_TRUE(again.last);
}

TEST_F(PublisherTest, AnEpochThatChangesNothingForTheVisitorCostsASummary) {
  put("a");
  Publisher one = current();
  set.begin_epoch(8, {});
  const auto summary = next<SummaryMessage>(one);
  EXPECT_EQ(summary.summary.revision, set.revision());
  EXPECT_FALSE(one.next());
  acknowledge(one, set.revision());
  put("b");
  EXPECT_EQ(next<DeltaPart>(one).added.size(), 1u);
}

TEST_F(PublisherTest, ChangesDuringASnapshotFollowAsADelta) {
  limits.page_entries_max = 1;
  for (const char* id : {"b", "c"}) put(id);
  Publisher one = publisher();
  const auto first = next<SnapshotPart>(one);
  put("a");
  set.apply({}, {"b"});
  const auto last = next<SnapshotPart>(one);
  ASSERT_TRUE(last.last);
  EXPECT_FALSE(last.digest) << "what has been told is of no one revision";
  acknowledge(one, first.revision);
  DeltaPart delta = next<DeltaPart>(one);
  EXPECT_EQ(delta.from, first.revision.number);
  EXPECT_FALSE(delta.digest);
  acknowledge(one, delta.to);
  delta = next<DeltaPart>(one);
  EXPECT_EQ(delta.digest, set.summary(fakes::visitor(2)).digest);
}

TEST_F(PublisherTest, ARevisionThatNeverWasMeansASnapshot) {
  put("a");
  Summary known;
  known.revision = {7, 100};
  known.digest.add(library::digest_of(listing("z")));
  Publisher one = publisher(known);
  EXPECT_EQ(next<SnapshotPart>(one).entries.size(), 1u);
}

TEST_F(PublisherTest, ASnapshotRequestIsAnsweredAndWrongWordsAreNot) {
  put("a");
  Publisher one = current();
  EXPECT_TRUE(one.handle(SnapshotRequest{}));
  EXPECT_FALSE(one.is_current());
  EXPECT_EQ(next<SnapshotPart>(one).entries.size(), 1u);
  acknowledge(one, {7, 77});
  EXPECT_FALSE(one.next()) << "another revision was not sent";
  const auto refused = one.handle(Hello{});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed);
}

}  // namespace
}  // namespace warren::catalog
