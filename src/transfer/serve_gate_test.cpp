#include "transfer/serve_gate.hpp"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "runtime/task_group.hpp"
#include "sim/world.hpp"

namespace warren::transfer {
namespace {

constexpr std::uint64_t kChunk = 512u << 10;  // Two of them are as much as goes at once.

class ServeGateTest : public testing::Test {
 protected:
  ~ServeGateTest() override {
    gate_.close();
    sim::run(world_, tasks_.join());
  }

  awaitable<void> enter(int who, int peer, std::uint64_t bytes, std::uint32_t given) {
    auto place = co_await gate_.enter(peer_of(peer), bytes, given, world_.now() + 2min);
    if (place) {
      order_.push_back(who);
      inside_[who] = std::move(*place);
    } else {
      errors_.push_back(place.error().code());
    }
  }
  std::shared_ptr<ServeGate::Peer> peer_of(int peer) {
    auto& known = peers_[peer];
    if (!known) known = std::make_shared<ServeGate::Peer>();
    return known;
  }
  // `who` of `peer` wants `bytes`.
  void ask(int who, int peer, std::uint64_t bytes = kChunk, std::uint32_t given = 0) {
    ASSERT_TRUE(tasks_.spawn(enter(who, peer, bytes, given)));
    world_.run_for(1ms);
  }
  void leave(int who) {
    ASSERT_EQ(inside_.erase(who), 1u) << who << " was not let in";
    world_.run_for(1ms);
  }

  sim::World world_{1};
  std::unique_ptr<runtime::Runtime> runtime_ = world_.make_runtime(1);
  ServeGate gate_{*runtime_, 32};
  std::map<int, std::shared_ptr<ServeGate::Peer>> peers_;
  std::map<int, ServeGate::Place> inside_;
  std::vector<int> order_;
  std::vector<ErrorCode> errors_;
  runtime::TaskGroup tasks_{*runtime_, 256};
};

TEST_F(ServeGateTest, APeerAloneGetsHalfOfAllPlaces) {
  for (int who = 0; who < 20; ++who) ask(who, 1);
  EXPECT_EQ(inside_.size(), 16u);
  EXPECT_TRUE(gate_.is_full(*peer_of(1)));
  leave(0);
  EXPECT_EQ(inside_.size(), 16u);
  EXPECT_TRUE(inside_.contains(16));
}

TEST_F(ServeGateTest, OfManyPeersFewAreServedAtATime) {
  for (int who = 0; who < 20; ++who) ask(who, who);
  // The first came alone.
  EXPECT_EQ(order_, (std::vector<int>{0, 1}));
  leave(0);
  leave(1);
  EXPECT_EQ(inside_.size(), 2u);
}

TEST_F(ServeGateTest, WhatWasGivenLessOftenGoesFirstAndPeersTakeTurns) {
  ask(0, 0, 2 * kChunk);
  ask(1, 1, kChunk, 3);
  ask(2, 2, kChunk, 1);
  ask(3, 0, kChunk, 0);  // Its peer has something under way.
  ask(4, 4, kChunk, 2);
  EXPECT_EQ(order_, (std::vector<int>{0}));
  leave(0);
  EXPECT_EQ(order_, (std::vector<int>{0, 3, 2}));
  leave(2);
  ASSERT_GE(order_.size(), 4u);
  EXPECT_EQ(order_[3], 4);
}

TEST_F(ServeGateTest, WhoWaitsLongGoesBeforeWhatIsRare) {
  const TimePoint began = world_.now();
  ask(0, 0, 2 * kChunk);
  ask(1, 1, kChunk, 200);
  for (int step = 2; step < 40 && !inside_.contains(1); ++step) {
    ask(step, step, 2 * kChunk, 0);
    world_.run_for(1s);
    const int last = order_.back();
    if (inside_.contains(last)) leave(last);
  }
  EXPECT_TRUE(inside_.contains(1));
  EXPECT_LT(world_.now() - began, 7s);
}

TEST_F(ServeGateTest, ThoseThatTakeNothingDoNotKeepTheOthersOut) {
  for (int who = 0; who < 2; ++who) ask(who, who);
  ask(2, 2);
  EXPECT_FALSE(inside_.contains(2));
  const TimePoint before = world_.now();
  ASSERT_TRUE(world_.run_until([&] { return inside_.contains(2); }, 1min));
  EXPECT_LE(world_.now() - before, 3s);
}

TEST_F(ServeGateTest, AFastNetworkHasMoreUnderWay) {
  int next = 0;
  for (int who = 0; who < 40; ++who) ask(next++, who);
  for (int round = 0; round < 100; ++round) {  // 100 MiB a second and more.
    world_.run_for(10ms);
    const auto inside = std::exchange(inside_, {});
    for (std::size_t i = 0; i < inside.size(); ++i) ask(next++, static_cast<int>(i));
  }
  world_.run_for(1ms);
  EXPECT_GT(inside_.size(), 8u);
}

TEST_F(ServeGateTest, ClosingEndsAllWaits) {
  for (int who = 0; who < 6; ++who) ask(who, who);
  gate_.close();
  world_.run_for(1ms);
  EXPECT_EQ(errors_, std::vector<ErrorCode>(4, ErrorCode::kCancelled));
}

}  // namespace
}  // namespace warren::transfer
