#include "embed/begin_get.hpp"

#include <gtest/gtest.h>

#include "crypto/identity.hpp"
#include "embed/core.hpp"
#include "node/testing/temporary_directory.hpp"

namespace warren::embed {
namespace {

using transfer::TransferId;

class BeginGetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto paths = node::paths_under(folder_.path());
    ASSERT_TRUE(paths);
    ASSERT_TRUE(node::make_directories(*paths));
    node::MachineOptions options{.paths = *paths, .config = {}, .adjust = {}};
    options.config.mdns_enabled = options.config.beacon_enabled = false;
    options.adjust = [](node::NodeOptions& made) { made.listen.clear(); };
    const auto identity = crypto::load_or_create_identity(paths->identity_file());
    ASSERT_TRUE(identity);
    auto lock = node::InstanceLock::acquire(paths->state_dir);
    ASSERT_TRUE(lock);
    auto core = Core::make(options, *identity, *std::move(lock));
    ASSERT_TRUE(core);
    core_ = *std::move(core);
    ASSERT_TRUE(core_->start(20s));
  }
  void TearDown() override {
    if (core_) ASSERT_TRUE(core_->stop(20s));
  }

  /// Begins with what nobody has, with `time` left.
  Result<TransferId> begin(Duration time) {
    return core_->run<TransferId>(20s, [time](node::Node& node, TimePoint) {
      return begin_get(&node,
                       {.what = "nobody-has-this",
                        .directory = {},
                        .library = {},
                        .save_as = {},
                        .from = {},
                        .wait = 1h},
                       node.runtime().now() + time);
    });
  }
  std::vector<transfer::State> states() {
    const auto listed = core_->look<std::vector<transfer::Progress>>(
        [](node::Node& node) -> Result<std::vector<transfer::Progress>> {
          return node.transfers().list();
        });
    EXPECT_TRUE(listed);
    std::vector<transfer::State> all;
    for (const transfer::Progress& one : *listed) all.push_back(one.state);
    return all;
  }

  node::testing::TemporaryDirectory folder_;
  std::unique_ptr<Core> core_;
};

TEST_F(BeginGetTest, InTimeTheTransferGoesOn) {
  EXPECT_TRUE(begin(20s));
  EXPECT_EQ(states(), (std::vector{transfer::State::kActive}));
}

TEST_F(BeginGetTest, WhatBeganTooLateIsPaused) {
  const auto late = begin(0s);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kTimedOut);
  EXPECT_EQ(states(), (std::vector{transfer::State::kPaused}));
}

}  // namespace
}  // namespace warren::embed
