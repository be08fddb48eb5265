#include "catalog/subscriber.hpp"

#include <gtest/gtest.h>

#include "catalog/listings_for_test.hpp"

namespace warren::catalog {
namespace {

using fakes::listing;

SetDigest digest_of(const std::vector<Listing>& listings) {
  SetDigest digest;
  for (const Listing& each : listings) digest.add(library::digest_of(each));
  return digest;
}

class SubscriberTest : public testing::Test {
 protected:
  void begin(const Summary& have, const Summary& has) {
    subscriber.emplace(have);
    EXPECT_TRUE(subscriber->handle(HelloAck{{}, has}));
  }
  /// What comes of `message`: one of these.
  template <class T>
  std::optional<T> give(Message message) {
    auto action = subscriber->handle(std::move(message));
    subscriber->check_invariants();
    EXPECT_TRUE(action);
    if (!action || !action->has_value()) return std::nullopt;
    auto* const wanted = std::get_if<T>(&**action);
    return wanted != nullptr ? std::optional(std::move(*wanted)) : std::nullopt;
  }
  bool is_ignored(Message message) {
    const auto action = subscriber->handle(std::move(message));
    return action && !action->has_value();
  }
  bool asks_for_snapshot(Message message) {
    const auto sent = give<Subscriber::Send>(std::move(message));
    return sent && std::holds_alternative<SnapshotRequest>(sent->message);
  }
  bool is_violation(Message message) {
    const auto action = subscriber->handle(std::move(message));
    return !action && action.error().code() == ErrorCode::kMalformed;
  }
  static DeltaPart delta(std::uint64_t from, std::uint64_t to) {
    return {{7, to}, from, 0, true, {listing("a")}, {}, {}, {}};
  }

  const Summary known{{7, 5}, digest_of({listing("k")}), 1};
  const Summary theirs{{7, 8}, digest_of({listing("a"), listing("k")}), 2};
  std::optional<Subscriber> subscriber;
};

TEST_F(SubscriberTest, EqualSetsTakeTheRevisionAndSayNothing) {
  subscriber.emplace(known);
  EXPECT_TRUE(subscriber->is_midway());
  const auto adopt = give<Subscriber::Adopt>(HelloAck{{}, {{9, 2}, known.digest, 1}});
  ASSERT_TRUE(adopt);
  EXPECT_EQ(adopt->revision, (Revision{9, 2}));
  EXPECT_FALSE(subscriber->adopted(adopt->revision));
  EXPECT_EQ(subscriber->known().revision, (Revision{9, 2}));
  EXPECT_FALSE(subscriber->is_midway());
}

TEST_F(SubscriberTest, WhatIsKnownAlreadyIsIgnoredAndAcknowledged) {
  begin(known, theirs);
  const auto sent = give<Subscriber::Send>(delta(3, 5));
  ASSERT_TRUE(sent);
  EXPECT_TRUE(sent->message == Message(AnnounceAck{known.revision}));
  EXPECT_EQ(subscriber->known(), known);
}

TEST_F(SubscriberTest, ADeltaThatJoinsOrOverlapsIsStoredThenAcknowledged) {
  begin(known, theirs);
  const auto write = give<Subscriber::Write>(delta(4, 8));
  ASSERT_TRUE(write);
  EXPECT_TRUE(write->write.first && write->write.last && !write->write.snapshot);
  const auto reply = subscriber->stored({{{7, 8}, {}, 2}, true});
  ASSERT_TRUE(reply && reply->has_value());
  EXPECT_TRUE(**reply == Message(AnnounceAck{{7, 8}}));
}

TEST_F(SubscriberTest, AGapOrAnotherEpochAsksForASnapshotOnce) {
  begin(known, theirs);
  EXPECT_TRUE(asks_for_snapshot(delta(6, 8)));
  EXPECT_TRUE(is_ignored(delta(6, 8)));
  EXPECT_TRUE(subscriber->is_midway());
  DeltaPart other = delta(5, 8);
  other.to.epoch = 8;
  begin(known, theirs);
  EXPECT_TRUE(asks_for_snapshot(other));
  EXPECT_TRUE(give<Subscriber::Write>(SnapshotPart{{8, 8}, 0, true, {listing("a")}, {}}));
}

TEST_F(SubscriberTest, PartsInAnotherOrderAreAGap) {
  begin(known, theirs);
  SnapshotPart part{{7, 8}, 0, false, {listing("a")}, {}};
  EXPECT_TRUE(give<Subscriber::Write>(part));
  ASSERT_TRUE(subscriber->stored({known, true}));
  part.part = 2;
  EXPECT_TRUE(asks_for_snapshot(part));
  begin(known, theirs);
  DeltaPart second = delta(5, 8);
  second.part = 1;
  EXPECT_TRUE(asks_for_snapshot(second));
}

TEST_F(SubscriberTest, AWrongDigestAsksForASnapshotAndIsAViolationTheSecondTime) {
  begin(known, theirs);
  DeltaPart wrong = delta(5, 8);
  wrong.digest = SetDigest{};
  EXPECT_TRUE(give<Subscriber::Write>(wrong));
  const auto first = subscriber->stored({known, false});
  ASSERT_TRUE(first && first->has_value());
  EXPECT_TRUE(std::holds_alternative<SnapshotRequest>(**first));
  // A snapshot without a digest proves nothing.
  EXPECT_TRUE(give<Subscriber::Write>(SnapshotPart{{7, 6}, 0, true, {}, {}}));
  EXPECT_TRUE(subscriber->stored({{{7, 6}, {}, 0}, true}));
  DeltaPart again = delta(6, 8);
  again.digest = SetDigest{};
  EXPECT_TRUE(give<Subscriber::Write>(again));
  const auto second = subscriber->stored({{{7, 6}, {}, 0}, false});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kMalformed);
}

TEST_F(SubscriberTest, GapsWithoutEndAreAViolation) {
  begin(known, theirs);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(asks_for_snapshot(delta(6, 8)));
    EXPECT_TRUE(give<Subscriber::Write>(SnapshotPart{{7, 8}, 0, false, {}, {}}));
    ASSERT_TRUE(subscriber->stored({known, true}));
  }
  EXPECT_TRUE(is_violation(delta(6, 8)));
}

TEST_F(SubscriberTest, WhatAPublisherMayNotSayIsAViolation) {
  subscriber.emplace(known);
  EXPECT_TRUE(is_violation(delta(5, 8))) << "before its HelloAck";
  begin(known, theirs);
  EXPECT_TRUE(is_violation(HelloAck{}));
  EXPECT_TRUE(is_violation(Hello{}));
  EXPECT_TRUE(is_violation(AnnounceAck{}));
  EXPECT_TRUE(is_violation(QueryResult{}));
}

}  // namespace
}  // namespace warren::catalog
