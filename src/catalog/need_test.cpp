#include "catalog/need.hpp"

#include <gtest/gtest.h>

#include "catalog/listings_for_test.hpp"

namespace warren::catalog {
namespace {

using fakes::listing;
using Kind = Claim::Kind;
using Ids = std::vector<std::string>;

const Claim kHeld{Kind::kHeld, Reason::kNone, 0};
const Claim kMissing{Kind::kMissing, Reason::kNone, 0};

struct Item {
  Listing own;                    ///< What the publisher lists.
  Claim claim{};                  ///< What the follower thinks of it.
  std::optional<Listing> theirs;  ///< What the follower lists to the publisher.
};

NeedReport report_of(const std::vector<Item>& items) {
  NeedBuilder builder;
  for (const Item& item : items) builder.add(item.own, item.claim);
  return builder.report();
}

NeedAnswer judged(const NeedReport& report, const std::vector<Item>& items) {
  NeedJudge judge(report);
  for (const Item& item : items) judge.add(item.own, item.theirs ? &*item.theirs : nullptr);
  return std::move(judge).finish();
}

TEST(Need, BothReckonTheSameOfTheSameEntries) {
  const std::vector<Item> items{{listing("a"), kMissing, {}},
                                {listing("b"), {}, {}},
                                {listing("c"), kHeld, listing("c")},
                                {listing("d", "2"), kMissing, listing("d", "1")},
                                {listing("e"), kHeld, {}}};
  const NeedReport report = report_of(items);
  EXPECT_EQ(report.count, 5u);
  EXPECT_EQ(report.need.count, 2u);
  EXPECT_EQ(report.need.bytes, listing("a").bytes + listing("d", "2").bytes);
  EXPECT_EQ(report.need.ids, (Ids{"a", "d"}));
  SetDigest listed;
  for (const Item& item : items) listed.add(library::digest_of(item.own));
  EXPECT_EQ(report.listed, listed);
  const NeedAnswer answer = judged(report, items);
  EXPECT_TRUE(agrees(report.need, answer));
  EXPECT_EQ(answer.need, report.need);
}

TEST(Need, WhoWantsNothingSaysSoWithoutLookingAtTheEntries) {
  const std::vector<Item> items{{listing("a"), {}, {}}, {listing("b"), {}, listing("b", "2")}};
  const NeedReport report = report_of(items);
  EXPECT_EQ(NeedBuilder(report.listed, report.count).report(), report);
  EXPECT_FALSE(report.wanted.any());
  EXPECT_TRUE(agrees(report.need, judged(report, items)));
}

TEST(Need, WhatTheFollowerListsItselfSpeaksAgainstWhatItReports) {
  std::vector<Item> items{{listing("a"), kMissing, listing("a")},
                          {listing("b", "2"), kHeld, listing("b", "1")},
                          {listing("c"), kHeld, listing("c")}};
  const NeedReport report = report_of(items);
  NeedAnswer answer = judged(report, items);
  EXPECT_FALSE(agrees(report.need, answer));
  EXPECT_EQ(differing_ids(report.need, answer), (Ids{"a", "b"}));
  EXPECT_EQ(answer.need.ids, (Ids{"b"})) << "in the publisher's reckoning";
  // What is still being read there, or fetched, says nothing.
  items[0].theirs->availability = library::Availability::kHashing;
  items[0].theirs->root.reset();
  items[1].theirs->availability = library::Availability::kDownloading;
  EXPECT_TRUE(agrees(report.need, judged(report, items)));
}

TEST(Need, WhatHasNoRootYetIsNotMissing) {
  Listing hashing = listing("a");
  hashing.root.reset();
  hashing.availability = library::Availability::kHashing;
  const std::vector<Item> items{{hashing, kMissing, {}}};
  const NeedReport report = report_of(items);
  EXPECT_EQ(report.need, Need{});
  EXPECT_FALSE(report.wanted.at(0));
  EXPECT_TRUE(agrees(report.need, judged(report, items)));
  // One that says so all the same is not believed.
  NeedReport hostile;
  hostile.count = 1;
  hostile.wanted.push(true);
  hostile.missing.push(true);
  const NeedAnswer answer = judged(hostile, items);
  EXPECT_EQ(answer.need.count, 0u);
  EXPECT_EQ(answer.differing, (Ids{"a"}));
}

TEST(Need, NumbersThatAreNotThoseOfTheBitsDiffer) {
  const std::vector<Item> items{{listing("a"), kMissing, {}}, {listing("b"), kHeld, {}}};
  for (int what = 0; what < 3; ++what) {
    NeedReport report = report_of(items);
    if (what == 0) ++report.need.count;
    if (what == 1) ++report.need.bytes;
    if (what == 2) report.need.digest.add(need_digest_of(listing("b")));
    report.need.ids = {"a", "zebra"};
    const NeedAnswer answer = judged(report, items);
    EXPECT_FALSE(agrees(report.need, answer)) << what;
    EXPECT_EQ(differing_ids(report.need, answer), (Ids{"zebra"}));
  }
}

TEST(Need, NoMoreIdsAreNamedThanAMessageHas) {
  std::vector<Item> items;
  for (int i = 1000; i < 1100; ++i) items.push_back({listing(std::to_string(i)), kHeld, {}});
  for (Item& item : items) item.theirs = listing(item.own.id, "another");
  const NeedReport report = report_of(items);
  const NeedAnswer answer = judged(report, items);
  EXPECT_EQ(answer.need.count, 100u);
  EXPECT_EQ(answer.need.ids.size(), kNeedIdsMax);
  EXPECT_EQ(answer.differing.size(), kNeedIdsMax);
}

TEST(Need, TheDigestTellsIdsAndRootsApart) {
  EXPECT_NE(need_digest_of(listing("a", "1")), need_digest_of(listing("a", "2")));
  Listing other = listing("a");
  other.id = "b";
  EXPECT_NE(need_digest_of(listing("a")), need_digest_of(other));
  other.id = "a";
  other.name = other.topic = "another";
  EXPECT_EQ(need_digest_of(listing("a")), need_digest_of(other)) << "the content is the same";
}

TEST(Need, TheReasonIsThatOfTheFirstThatHasOne) {
  NeedBuilder builder;
  builder.add(listing("a"), {Kind::kHeld, Reason::kBusy, 7});
  builder.add(listing("b"), kMissing);
  EXPECT_EQ(builder.reason(), Reason::kNone);
  builder.add(listing("c"), {Kind::kMissing, Reason::kDiskFull, 10});
  builder.add(listing("d"), {Kind::kMissing, Reason::kPermission, 5});
  EXPECT_EQ(builder.reason(), Reason::kDiskFull);
  EXPECT_EQ(builder.bytes_done(), 15u);
  ASSERT_EQ(builder.items().size(), 3u);
  EXPECT_EQ(builder.items()[2].reason, Reason::kPermission);
}

}  // namespace
}  // namespace warren::catalog
