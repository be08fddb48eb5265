#include "transfer/rate_limit.hpp"

#include <gtest/gtest.h>

#include "runtime/task_group.hpp"
#include "sim/world.hpp"

namespace warren::transfer {
namespace {

constexpr std::uint64_t kKiB = 1u << 10;

class RateLimitTest : public testing::Test {
 protected:
  ~RateLimitTest() override { sim::run(world_, tasks_.join()); }

  awaitable<void> take_for_ever(Priority priority, std::uint64_t* taken) {
    for (;;) {
      const std::uint64_t piece = limit_.piece_bytes();
      const Result<> may = co_await limit_.take(piece, priority, kNever);
      if (!may) co_return;
      *taken += piece;
      const auto slept = co_await runtime_->sleep_for(1ms);  // Without a bound nothing waits.
      if (!slept) co_return;
    }
  }
  void begin(Priority priority, std::uint64_t* taken) {
    ASSERT_TRUE(tasks_.spawn(take_for_ever(priority, taken)));
  }
  std::uint64_t in(Duration time, const std::uint64_t& taken) {
    const std::uint64_t before = taken;
    world_.run_for(time);
    return taken - before;
  }

  sim::World world_{1};
  std::unique_ptr<runtime::Runtime> runtime_ = world_.make_runtime(1);
  RateLimit limit_{*runtime_, 100 * kKiB};
  std::uint64_t user_ = 0;
  std::uint64_t other_ = 0;
  std::uint64_t background_ = 0;
  runtime::TaskGroup tasks_{*runtime_, 8};
};

TEST_F(RateLimitTest, KeepsItsRate) {
  begin(Priority::kUser, &user_);
  EXPECT_NEAR(static_cast<double>(in(20s, user_)), 2000 * kKiB, 60 * kKiB);
}

TEST_F(RateLimitTest, AChangeIsFeltWithinASecond) {
  limit_.set(1 * kKiB);
  begin(Priority::kUser, &user_);
  world_.run_for(1s);
  limit_.set(1000 * kKiB);
  EXPECT_GT(in(1s, user_), 700 * kKiB);
  limit_.set(100 * kKiB);
  world_.run_for(1s);
  EXPECT_LT(in(1s, user_), 150 * kKiB);
  limit_.set(0);
  EXPECT_GT(in(1s, user_), 100'000 * kKiB);
}

TEST_F(RateLimitTest, SharesEvenlyAmongEqualsAndLetsTheBackgroundWait) {
  begin(Priority::kBackground, &background_);
  begin(Priority::kUser, &user_);
  begin(Priority::kUser, &other_);
  world_.run_for(10s);
  EXPECT_NEAR(static_cast<double>(user_), static_cast<double>(other_), 60 * kKiB);
  EXPECT_GT(user_ + other_, 8 * background_);
}

TEST_F(RateLimitTest, WhoWaitsTooLongTakesNothing) {
  ASSERT_TRUE(sim::run(world_, limit_.take(1000 * kKiB, Priority::kUser, kNever)));
  const TimePoint deadline = world_.now() + 1s;
  const Result<> late = sim::run(world_, limit_.take(kKiB, Priority::kUser, deadline));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kTimedOut);
  EXPECT_EQ(world_.now(), deadline);
}

}  // namespace
}  // namespace warren::transfer
