#include "node/config_reload.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "runtime/run_task.hpp"
#include "runtime/task_group.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::node {
namespace {

using runtime::awaitable;

class ConfigReloadTest : public ::testing::Test {
 protected:
  awaitable<Result<>> apply(Config before, Config after) {
    before_ = std::move(before);
    after_ = std::move(after);
    ++applied_;
    if (held_) {
      applying_->notify();
      co_await go_on_->wait_until(kNever);
    }
    if (throws_) throw std::runtime_error("expected by the test");
    co_return refusal_ ? Result<>(fail(*refusal_)) : Result<>();
  }
  /// On the pool.
  Result<LoadedConfig> load() {
    ++loaded_;
    return parse_config(text_, "c.yaml");
  }
  Result<Reloaded> reload(std::string text) {
    text_ = std::move(text);
    return runtime::run_task(runtime_, reload_.reload());
  }
  Effective shown(std::string_view key) {
    for (const Effective& one : reload_.effective()) {
      if (one.key == key) return one;
    }
    return {};
  }
  awaitable<void> reload_once() { co_await reload_.reload(); }
  awaitable<void> reload_twice() {
    held_ = true;
    runtime::TaskGroup tasks(runtime_, 2);
    EXPECT_TRUE(tasks.spawn(reload_once()));
    EXPECT_TRUE(tasks.spawn(reload_once()));
    co_await applying_->wait_until(kNever);
    // The pool has one thread: a second reading would have been through before this.
    co_await runtime::run(runtime_.pool(), [] { return true; });
    EXPECT_EQ(loaded_, 1) << "the second one waits for the first";
    EXPECT_EQ(told_.size(), 0u);
    go_on_->notify();
    co_await tasks.drain(kNever);
  }

  runtime::RealRuntime runtime_{{.pool_threads = 1}};
  std::string text_;
  std::optional<Error> refusal_;
  Config before_;
  Config after_;
  int applied_ = 0;
  std::atomic<int> loaded_ = 0;
  bool held_ = false;  ///< apply() tells applying_ and waits for go_on_.
  bool throws_ = false;
  std::unique_ptr<runtime::Signal> applying_ = runtime_.make_signal();
  std::unique_ptr<runtime::Signal> go_on_ = runtime_.make_signal();
  std::vector<Result<Reloaded>> told_;
  ConfigReload reload_{
      runtime_, LoadedConfig{}, [this] { return load(); },
      [this](Config before, Config after) { return apply(std::move(before), std::move(after)); },
      [this](const Result<Reloaded>& reloaded) { told_.push_back(reloaded); }};
};

TEST_F(ConfigReloadTest, WhatHasChangedIsAppliedAndSaid) {
  const auto reloaded = reload("mdns: {enabled: false}\np2p: {measure: off}\n");
  ASSERT_TRUE(reloaded) << reloaded.error().message();
  EXPECT_EQ(reloaded_text(*reloaded),
            "configuration reloaded: p2p.measure local -> off; mdns.enabled true -> false");
  EXPECT_TRUE(before_.mdns_enabled);
  EXPECT_FALSE(after_.mdns_enabled);
  EXPECT_FALSE(reload_.in_force().mdns_enabled);
  EXPECT_EQ(shown("mdns.enabled").origin, "c.yaml:1");
  ASSERT_EQ(told_.size(), 1u);
  const auto same = reload("mdns: {enabled: false}\np2p: {measure: off}\n# more\n");
  EXPECT_EQ(reloaded_text(*same), "configuration reloaded: nothing has changed");
  EXPECT_EQ(applied_, 1) << "nothing to apply";
  EXPECT_EQ(reloaded_text(*reload("# all defaults\n")),
            "configuration reloaded: p2p.measure off -> local; mdns.enabled false -> true");
  EXPECT_EQ(shown("mdns.enabled").origin, "default");
}

TEST_F(ConfigReloadTest, WhatNeedsARestartIsSaidAndNotInForce) {
  const auto reloaded = reload(
      "limits: {transfers: 9}\np2p: {listen_addresses: [/memory/1]}\nmdns: {interval: 1m}\n");
  ASSERT_TRUE(reloaded);
  EXPECT_EQ(reloaded_text(*reloaded),
            "configuration reloaded: mdns.interval 20s -> 1m; p2p.listen_addresses, "
            "limits.transfers take effect after a restart");
  EXPECT_EQ(after_.transfers_max, 4u);
  EXPECT_EQ(reload_.in_force().transfers_max, 4u);
  EXPECT_EQ(shown("limits.transfers").value, "4");
  EXPECT_EQ(shown("limits.transfers").origin, "default");
  EXPECT_EQ(shown("limits.transfers").pending, "9");
  EXPECT_EQ(shown("mdns.interval").pending, "");
  EXPECT_FALSE(reload("# none\n")->after_restart.size() > 0) << "taken back before any restart";
}

TEST_F(ConfigReloadTest, ABadFileLeavesTheOldSettingsInForceAndSaysWhere) {
  ASSERT_TRUE(reload("mdns: {enabled: false}\n"));
  const auto refused = reload("mdns: {enabled: false}\nbeacon: {intervall: 1s}\n");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(),
            "c.yaml:2:10: unknown key 'intervall'; did you mean 'interval'?");
  ASSERT_TRUE(reload_.problem());
  EXPECT_EQ(reload_.problem()->message(), refused.error().message());
  EXPECT_FALSE(reload_.in_force().mdns_enabled);
  EXPECT_EQ(applied_, 1);
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_FALSE(told_[1]);
  ASSERT_TRUE(reload("mdns: {enabled: true}\n"));
  EXPECT_FALSE(reload_.problem()) << "it is right again";
  EXPECT_TRUE(reload_.in_force().mdns_enabled);
}

TEST_F(ConfigReloadTest, AFileThatIsGoneOrEmptyChangesNothing) {
  EXPECT_TRUE(reload("")) << "there was none before either";
  ASSERT_TRUE(reload("mdns: {enabled: false}\n"));
  const auto refused = reload("");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(reload_.in_force().mdns_enabled);
  EXPECT_EQ(shown("mdns.enabled").origin, "c.yaml:1");
  EXPECT_TRUE(reload_.problem());
  EXPECT_FALSE(reload("")) << "nor does looking twice";
  EXPECT_EQ(applied_, 1);
  ASSERT_TRUE(reload("# all defaults\n"));
  EXPECT_FALSE(reload_.problem());
  EXPECT_TRUE(reload_.in_force().mdns_enabled);
}

TEST_F(ConfigReloadTest, AReadingThatEndsByAnExceptionLeavesTheWayFree) {
  throws_ = true;
  EXPECT_THROW(reload("mdns: {enabled: false}\n"), std::runtime_error);
  throws_ = false;
  EXPECT_TRUE(reload("mdns: {enabled: true}\n"));
}

TEST_F(ConfigReloadTest, WhatCannotBeAppliedIsAnErrorAndTheRestIsInForce) {
  refusal_ = Error(ErrorCode::kConflict, "mdns: UDP port 5353 is in use");
  const auto refused = reload("mdns: {interval: 1m}\n");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kConflict);
  EXPECT_EQ(refused.error().message(),
            "the configuration is in force, but for one thing: mdns: UDP port 5353 is in use");
  EXPECT_EQ(reload_.in_force().mdns_interval, 1min);
  EXPECT_FALSE(reload_.problem()) << "the file is right";
}

TEST_F(ConfigReloadTest, TwoAtATimeFollowEachOther) {
  text_ = "mdns: {interval: 1m}\n";
  runtime::run_task(runtime_, reload_twice());
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_TRUE(told_[0]->anything());
  EXPECT_FALSE(told_[1]->anything());
  EXPECT_EQ(applied_, 1);
}

}  // namespace
}  // namespace warren::node
