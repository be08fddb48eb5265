// Time as the book of peers sees it: what gets old, and clocks that are wrong.

#include <gtest/gtest.h>

#include "peers/peer_book.hpp"
#include "peers/test_support.hpp"

namespace warren::peers {
namespace {

using namespace testing;

TEST(Ageing, AClockThatRunsBackwardsBreaksNothing) {
  Fixture f;
  for (const WallTime now : {kNow, WallTime{}, WallTime::min(), WallTime::max(), kNow}) {
    f.now = now;
    f.learn(peer(1), {quic(20, 1, 1, 1)});
    f.book.connected(peer(1), quic(20, 1, 1, 1), now);
    f.book.report(peer(1), ReputationEvent::kFailedVerification, now);
    f.book.dial_failed(peer(1), std::vector{quic(20, 1, 1, 1)}, now);
    f.book.disconnected(peer(1), 1, 1, now);
    f.book.prune(now);
    f.book.check_invariants();
  }
}

std::vector<Peer> copy_of(const PeerBook& book) {
  std::vector<Peer> peers;
  for (const auto& [id, known] : book.all()) peers.push_back(known);
  return peers;
}

TEST(Ageing, AStartBeforeTheClockIsSetForgetsNobody) {
  Fixture before;
  const auto far = quic(20, 1, 1, 1), at = quic(21, 1, 1, 1);
  before.learn(peer(1), {far});
  before.book.connected(peer(2), at, kNow);
  before.book.disconnected(peer(2), 1, 1, kNow);
  const std::string stored = dump(before.book);

  Fixture f;
  f.now = WallTime{} + 1min;
  f.book.restore(copy_of(before.book), {}, {}, f.now);
  EXPECT_EQ(dump(f.book), stored);
  EXPECT_FALSE(f.book.has_changes());
  EXPECT_EQ(f.book.prune(f.now), 0u);
  // What happens meanwhile is not of 1970, and makes nobody a friend of half a century.
  f.book.connected(peer(2), at, f.now);
  EXPECT_EQ(f.book.find(peer(2))->addresses.at(0).last_success, kNow);
  f.learn(peer(3), {quic(22, 1, 1, 1)});
  f.book.connected(peer(3), quic(22, 1, 1, 1), f.now);
  EXPECT_EQ(f.book.find(peer(3))->first_success, WallTime{});
  f.now += std::chrono::hours(1);
  EXPECT_EQ(f.book.prune(f.now), 0u);
  f.book.check_invariants();

  f.now = kNow + std::chrono::hours(24 * 10);  // The time is known.
  f.book.heard(peer(3), f.now);
  EXPECT_EQ(f.book.find(peer(3))->first_success, f.now);
  f.book.disconnected(peer(2), 1, 1, f.now);
  f.book.disconnected(peer(3), 1, 1, f.now);
  EXPECT_EQ(f.book.prune(f.now), 0u);
  EXPECT_EQ(f.book.all().size(), 3u);
  EXPECT_TRUE(has_address(f.book.find(peer(1))->addresses, far));
  EXPECT_TRUE(has_address(f.book.find(peer(3))->addresses, quic(22, 1, 1, 1)));
  f.now += std::chrono::hours(24 * 31);
  EXPECT_EQ(f.book.prune(f.now), 3u) << "from now on time passes";
}

TEST(Ageing, WhatWasRestoredAgesFromWhenItWasLastHeardOf) {
  Fixture before;
  before.learn(peer(1), {quic(20, 1, 1, 1)});
  before.book.connected(peer(2), quic(21, 1, 1, 1), kNow);
  before.book.disconnected(peer(2), 1, 1, kNow);
  ASSERT_TRUE(before.book.keep(peer(3), quic(22, 1, 1, 1), kNow));
  const auto day = std::chrono::hours(24);
  for (const auto& [days, gone] : {std::pair(0, 0u), std::pair(29, 0u), std::pair(30, 0u),
                                   std::pair(31, 2u), std::pair(365, 2u)}) {
    Fixture f;
    f.now = kNow + days * day;
    f.book.restore(copy_of(before.book), {}, {}, f.now);
    EXPECT_EQ(f.book.all().size(), 3u) << days << ": reading forgets nobody";
    EXPECT_EQ(f.book.prune(f.now), gone) << days;
    EXPECT_NE(f.book.find(peer(3)), nullptr) << "a person keeps it";
    f.book.check_invariants();
  }
}

TEST(Ageing, AClockThatWasNeverSetProvesNobody) {
  Fixture f;
  f.now = WallTime{} + 1min;
  f.book.connected(peer(1), quic(20, 1, 1, 1), f.now);
  EXPECT_TRUE(f.book.find(peer(1))->proven());
  EXPECT_EQ(f.book.find(peer(1))->first_success, WallTime{});
  f.book.heard(peer(1), kNow);
  EXPECT_EQ(f.book.find(peer(1))->first_success, kNow);
}

TEST(Ageing, NoTimeThatNoClockCanHaveShownStopsTheAgeing) {
  Fixture before;
  before.learn(peer(1), {quic(20, 1, 1, 1)});
  std::vector<Peer> stored = copy_of(before.book);
  stored.at(0).last_seen = WallTime::max();
  stored.at(0).addresses.at(0).learnt = kNow + std::chrono::hours(24 * 365 * 40);
  Fixture f;
  f.book.restore(std::move(stored), {}, {}, kNow);
  EXPECT_EQ(f.book.find(peer(1))->last_seen, kNow);
  EXPECT_EQ(f.book.prune(kNow + std::chrono::hours(24 * 31)), 1u);
}

}  // namespace
}  // namespace warren::peers
