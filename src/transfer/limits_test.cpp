// Limits on bytes a second, priorities, and what is told of a transfer that does not move.

#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr BandwidthLimits kNone{};

BandwidthLimits up(std::uint64_t rate) { return {rate, 0, false}; }
BandwidthLimits down(std::uint64_t rate) { return {0, rate, false}; }

class LimitsTest : public testing::Test {
 protected:
  LimitsTest() {
    write_file(net_.path() / "large", random_text(64 * kMiB, 1));
    write_file(net_.path() / "other", random_text(16 * kMiB, 2));
    large_ = seed_->share(net_.path() / "large", "large");
    other_ = seed_->share(net_.path() / "other", "other");
    getter_->connect(*seed_);
  }
  TransferId begin(const Cid& root, Priority priority = Priority::kUser) {
    GetRequest request;
    request.root = root;
    request.priority = priority;
    return getter_->start_get(std::move(request));
  }
  Progress progress(TransferId id) { return *getter_->manager().progress(id); }
  // Bytes that came in that time.
  std::uint64_t in(Duration time, TransferId id) {
    const std::uint64_t before = progress(id).bytes_done;
    net_.world.run_for(time);
    return progress(id).bytes_done - before;
  }
  void expect_limited(TransferId id, TestNode& at, BandwidthLimits faster) {
    net_.world.run_for(2s);
    // Four chunks come at a time.
    EXPECT_NEAR(static_cast<double>(in(5s, id)), 20.0 * kMiB, 5.0 * kMiB);
    at.manager().set_bandwidth(faster);
    net_.world.run_for(1s);
    EXPECT_EQ(progress(id).state, State::kCompleted) << "the change counts within a second";
    EXPECT_EQ(difference(net_.path() / "large", getter_->got() / "large"), "");
  }

  TestNet net_;
  std::unique_ptr<TestNode> seed_ = net_.node(1);
  std::unique_ptr<TestNode> getter_ = net_.node(2);
  Cid large_;
  Cid other_;
};

TEST_F(LimitsTest, SendingKeepsToItsLimit) {
  seed_->manager().set_bandwidth(up(4 * kMiB));
  expect_limited(begin(large_), *seed_, kNone);
}

TEST_F(LimitsTest, ReceivingKeepsToItsLimit) {
  getter_->manager().set_bandwidth(down(4 * kMiB));
  expect_limited(begin(large_), *getter_, kNone);
}

TEST_F(LimitsTest, TheLocalNetworkIsLeftOut) {
  getter_->manager().set_bandwidth({1, 1, true});
  seed_->manager().set_bandwidth({1, 1, true});
  const TransferId id = begin(large_);
  net_.world.run_for(1s);
  EXPECT_EQ(progress(id).state, State::kCompleted);
}

TEST_F(LimitsTest, AVerySlowLimitIsNoFaultOfTheSource) {
  getter_->manager().set_bandwidth(down(40u << 10));
  const TransferId id = begin(large_);
  EXPECT_TRUE(net_.world.run_until([&] { return progress(id).reason == stuck::kRateLimit; }, 1min))
      << "four chunks take 102 s";
  net_.world.run_for(20s);
  const Progress now = progress(id);
  EXPECT_EQ(now.state, State::kActive);
  ASSERT_EQ(now.peers.size(), 1u);
  EXPECT_EQ(now.peers.front().errors, 0u);
}

TEST_F(LimitsTest, TheBackgroundGivesWay) {
  net_.world.link.bytes_per_second = 4 * kMiB;
  const TransferId behind = begin(other_, Priority::kBackground);
  net_.world.run_for(1s);
  EXPECT_GT(progress(behind).bytes_done, 0u);
  const TransferId wanted = begin(large_);
  net_.world.run_for(3s);
  const std::uint64_t to_wanted = in(1s, wanted);
  const std::uint64_t before = progress(behind).bytes_done;
  net_.world.run_for(1s);
  EXPECT_GT(to_wanted, 2 * (progress(behind).bytes_done - before));
  EXPECT_EQ(getter_->wait(wanted).state, State::kCompleted);
  EXPECT_EQ(getter_->wait(behind).state, State::kCompleted);
}

TEST_F(LimitsTest, WhatAPersonWantsDoesNotWaitForTheBackground) {
  net_.world.link.bytes_per_second = kMiB;
  std::vector<TransferId> behind;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "b" + std::to_string(i);
    write_file(net_.path() / name, random_text(8 * kMiB, static_cast<std::uint64_t>(i) + 10));
    behind.push_back(begin(seed_->share(net_.path() / name, name), Priority::kBackground));
  }
  net_.world.run_for(1s);
  EXPECT_EQ(progress(behind.back()).phase, Phase::kQueued);
  const TransferId wanted = begin(large_);
  net_.world.run_for(1s);
  EXPECT_NE(progress(wanted).phase, Phase::kQueued);
}

TEST_F(LimitsTest, SaysWhyNothingComes) {
  GetRequest request;
  request.root = Cid{Codec::kDagPb, {}};
  request.root->digest.bytes[0] = 1;
  const TransferId nobody = getter_->start_get(request);
  net_.world.run_for(5s);
  EXPECT_EQ(progress(nobody).reason, "");
  net_.world.run_for(6s);
  EXPECT_EQ(progress(nobody).reason, stuck::kNoPeer);
  getter_->wait(nobody);
  EXPECT_EQ(progress(nobody).reason, stuck::kNoPeer);

  write_file(getter_->got() / "large", "something else");
  EXPECT_EQ(getter_->wait(begin(large_)).reason, stuck::kConflict);
}

}  // namespace
}  // namespace warren::transfer
