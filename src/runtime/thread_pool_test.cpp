// The worker pool, on the machine and in the simulated world.

#include "runtime/thread_pool.hpp"

#include <atomic>
#include <thread>

#include "runtime/task_group.hpp"
#include "runtime/test_stages.hpp"

namespace warren::runtime {
namespace {

template <class Stage>
class WorkerPoolTest : public ::testing::Test {
 public:
  Stage stage;
};
TYPED_TEST_SUITE(WorkerPoolTest, BothStages, StageNames);

awaitable<int> square(Runtime& runtime, int number) {
  co_return co_await run(runtime.pool(), [number] { return number * number; });
}

TYPED_TEST(WorkerPoolTest, GivesTheResultBack) {
  EXPECT_EQ(this->stage.run(square(this->stage.a(), 12)), 144);
}

awaitable<void> square_into(Runtime& runtime, int number, std::thread::id core, int* sum) {
  const int squared = co_await square(runtime, number);
  EXPECT_EQ(std::this_thread::get_id(), core);  // So that *sum needs no lock.
  *sum += squared;
}

awaitable<int> sum_of_squares(Runtime& runtime, int count) {
  int sum = 0;
  TaskGroup tasks(runtime, 1'000);
  const auto core = std::this_thread::get_id();
  for (int i = 1; i <= count; ++i) EXPECT_TRUE(tasks.spawn(square_into(runtime, i, core, &sum)));
  co_await tasks.drain(kNever);
  EXPECT_EQ(tasks.failed_count(), 0u);
  co_return sum;
}

TYPED_TEST(WorkerPoolTest, ManyJobsComeBackOnTheCoreThread) {
  EXPECT_EQ(this->stage.run(sum_of_squares(this->stage.a(), 500)), 500 * 501 * 1'001 / 6);
}

awaitable<void> work_on_frame(Runtime& runtime, int* last) {
  // The work refers to this frame: cancelling must not free it while the work runs.
  std::vector<int> local(10'000, 7);
  const int sum = co_await run(runtime.pool(), [&local] {
    int total = 0;
    for (const int value : local) total += value;
    return total;
  });
  *last = sum;
}

awaitable<int> cancel_worker(Runtime& runtime) {
  int last = 0;
  TaskGroup tasks(runtime, 1);
  EXPECT_TRUE(tasks.spawn(work_on_frame(runtime, &last)));
  co_await asio::post(runtime.executor(), asio::use_awaitable);
  co_await tasks.join();
  co_return last;
}

TYPED_TEST(WorkerPoolTest, CancellingWaitsForTheWork) {
  EXPECT_EQ(this->stage.run(cancel_worker(this->stage.a())), 70'000);
}

TEST(ThreadPool, WorkRunsOnAnotherThread) {
  RealStage stage;
  const auto core = std::this_thread::get_id();
  struct Where {
    static awaitable<std::thread::id> find(Runtime& runtime) {
      co_return co_await run(runtime.pool(), [] { return std::this_thread::get_id(); });
    }
  };
  EXPECT_NE(stage.run(Where::find(stage.a())), core);
}

TEST(ThreadPool, DestructionWithWorkQueuedDropsItAndJoins) {
  std::atomic<int> ran = 0;
  asio::io_context context;
  {
    const auto pool = make_thread_pool(context.get_executor(), 1);
    EXPECT_EQ(pool->threads(), 1u);
    for (int i = 0; i < 1'000; ++i) {
      pool->submit([&ran] { ++ran; }, [] {});
    }
  }
  const int after = ran;
  EXPECT_LE(after, 1'000);
  context.run();
  EXPECT_EQ(ran, after);  // No thread is left that could run more.
}

}  // namespace
}  // namespace warren::runtime
