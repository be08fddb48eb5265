#include "transfer/buffer_pool.hpp"

#include <gtest/gtest.h>

#include "runtime/task_group.hpp"
#include "sim/world.hpp"

namespace warren::transfer {
namespace {

awaitable<void> hold(BufferPool& pool, std::vector<Buffer>& out) {
  auto buffer = co_await pool.acquire(kNever);
  if (buffer) out.push_back(std::move(*buffer));
}

// Gives back what is held, and cancels who was notified of it before it runs.
awaitable<void> release_and_cancel(std::vector<Buffer>& held, runtime::TaskGroup& doomed) {
  held.clear();
  doomed.cancel();
  co_return;
}

awaitable<Result<Buffer>> acquire_within(runtime::Runtime& runtime, BufferPool& pool,
                                         Duration duration) {
  return pool.acquire(runtime.now() + duration);
}

class BufferPoolTest : public ::testing::Test {
 protected:
  sim::World world{sim::seed_from_env(1)};
  std::unique_ptr<runtime::Runtime> runtime = world.make_runtime(1);
};

TEST_F(BufferPoolTest, GivesAlignedBuffersAndMakesTheNextOneWait) {
  BufferPool pool(*runtime, 5'000, 2);
  Buffer first = sim::run(world, pool.acquire(kNever)).value();
  const Buffer second = sim::run(world, pool.acquire(kNever)).value();
  EXPECT_EQ(first.bytes().size(), 5'000u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first.bytes().data()) % 4096, 0u);
  EXPECT_NE(first.bytes().data(), second.bytes().data());
  const auto late = sim::run(world, acquire_within(*runtime, pool, 1s));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kTimedOut);
  first = Buffer();
  EXPECT_TRUE(sim::run(world, acquire_within(*runtime, pool, 1s)));
  EXPECT_EQ(pool.in_use(), 1u);
}

TEST_F(BufferPoolTest, WakesEveryWaiterWhenSeveralComeBackAtOnce) {
  BufferPool pool(*runtime, 10, 3);
  std::vector<Buffer> held;
  std::vector<Buffer> later;
  runtime::TaskGroup tasks(*runtime, 10);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(tasks.spawn(hold(pool, held)));
  world.run_for(1ms);
  ASSERT_EQ(held.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(tasks.spawn(hold(pool, later)));
  world.run_for(1ms);
  EXPECT_EQ(later.size(), 0u);
  held.clear();
  world.run_for(1ms);
  EXPECT_EQ(later.size(), 3u);
  EXPECT_EQ(pool.in_use(), 3u);
  sim::run(world, tasks.join());
}

TEST_F(BufferPoolTest, DoesNotLoseAPlaceToACancelledWaiter) {
  BufferPool pool(*runtime, 10, 1);
  std::vector<Buffer> held;
  std::vector<Buffer> never;
  std::vector<Buffer> later;
  runtime::TaskGroup first(*runtime, 10);
  runtime::TaskGroup doomed(*runtime, 10);
  EXPECT_TRUE(first.spawn(hold(pool, held)));
  world.run_for(1ms);
  EXPECT_TRUE(doomed.spawn(hold(pool, never)));
  EXPECT_TRUE(first.spawn(hold(pool, later)));
  world.run_for(1ms);
  sim::run(world, release_and_cancel(held, doomed));
  world.run_for(1ms);
  EXPECT_EQ(never.size() + later.size(), 1u);
  never.clear();
  world.run_for(1ms);
  EXPECT_EQ(later.size(), 1u);
  sim::run(world, doomed.join());
  sim::run(world, first.join());
}

TEST_F(BufferPoolTest, BuffersOutliveIt) {
  auto pool = std::make_unique<BufferPool>(*runtime, 10, 1);
  Buffer buffer = sim::run(world, pool->acquire(kNever)).value();
  pool.reset();
  buffer.bytes()[9] = 1;
}

}  // namespace
}  // namespace warren::transfer
