// TaskGroup and with_deadline, on the machine and in the simulated world.

#include "runtime/task_group.hpp"

#include <stdexcept>

#include "base/log.hpp"
#include "runtime/deadline.hpp"
#include "runtime/test_stages.hpp"

namespace warren::runtime {
namespace {

template <class Stage>
class TaskGroupTest : public ::testing::Test {
 public:
  Stage stage;
};
TYPED_TEST_SUITE(TaskGroupTest, BothStages, StageNames);

awaitable<void> sleep_until_stopped(Runtime& runtime, int* stopped) {
  for (;;) {
    const auto slept = co_await runtime.sleep_for(std::chrono::hours(1));
    if (!slept) break;
  }
  ++*stopped;
}

awaitable<int> fill_and_join(Runtime& runtime) {
  int stopped = 0;
  TaskGroup tasks(runtime, 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(tasks.spawn(sleep_until_stopped(runtime, &stopped)));
  EXPECT_FALSE(tasks.spawn(sleep_until_stopped(runtime, &stopped)));
  EXPECT_EQ(tasks.size(), 3u);
  co_await runtime.sleep_for(1ms);
  co_await tasks.join();
  EXPECT_EQ(tasks.size(), 0u);
  EXPECT_FALSE(tasks.spawn(sleep_until_stopped(runtime, &stopped)));
  co_return stopped;
}

TYPED_TEST(TaskGroupTest, RefusesBeyondItsBoundAndJoinStopsAll) {
  EXPECT_EQ(this->stage.run(fill_and_join(this->stage.a())), 3);
}

awaitable<int> join_before_start(Runtime& runtime) {
  int stopped = 0;
  TaskGroup tasks(runtime, 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(tasks.spawn(sleep_until_stopped(runtime, &stopped)));
  co_await tasks.join();  // Nothing waited in between: the tasks are yet to begin.
  co_return stopped;
}

TYPED_TEST(TaskGroupTest, JoinStopsTasksThatHaveNotBegun) {
  EXPECT_EQ(this->stage.run(join_before_start(this->stage.a())), 3);
}

awaitable<void> throwing(Runtime& runtime) {
  co_await runtime.sleep_for(1ms);
  throw std::runtime_error("expected by the test");
}

awaitable<std::size_t> count_failures(Runtime& runtime) {
  TaskGroup tasks(runtime, 2);
  EXPECT_TRUE(tasks.spawn(throwing(runtime)));
  co_await tasks.drain(kNever);
  EXPECT_EQ(tasks.size(), 0u);
  co_return tasks.failed_count();
}

TYPED_TEST(TaskGroupTest, CountsTasksThatEndByAnException) {
  log::set_level(log::Level::kOff);
  EXPECT_EQ(this->stage.run(count_failures(this->stage.a())), 1u);
  log::set_level(log::Level::kWarn);
}

// An owner that is itself cancelled must still wait until its own tasks have left.
awaitable<void> owner(Runtime& runtime, int* stopped, bool* joined) {
  TaskGroup inner(runtime, 2);
  EXPECT_TRUE(inner.spawn(sleep_until_stopped(runtime, stopped)));
  EXPECT_TRUE(inner.spawn(sleep_until_stopped(runtime, stopped)));
  co_await runtime.sleep_for(std::chrono::hours(1));
  co_await inner.join();
  *joined = true;
}

awaitable<bool> cancel_owner(Runtime& runtime, int* stopped) {
  bool joined = false;
  TaskGroup outer(runtime, 1);
  EXPECT_TRUE(outer.spawn(owner(runtime, stopped, &joined)));
  co_await runtime.sleep_for(1ms);
  co_await outer.join();
  EXPECT_EQ(outer.failed_count(), 0u);
  co_return joined;
}

TYPED_TEST(TaskGroupTest, JoinInsideACancelledTaskWaitsToo) {
  int stopped = 0;
  EXPECT_TRUE(this->stage.run(cancel_owner(this->stage.a(), &stopped)));
  EXPECT_EQ(stopped, 2);
}

awaitable<void> spawn_more(Runtime& runtime, TaskGroup& tasks, int depth, int* ran) {
  ++*ran;
  if (depth > 0) EXPECT_TRUE(tasks.spawn(spawn_more(runtime, tasks, depth - 1, ran)));
  co_return;
}

awaitable<int> nested(Runtime& runtime) {
  int ran = 0;
  TaskGroup tasks(runtime, 4);
  EXPECT_TRUE(tasks.spawn(spawn_more(runtime, tasks, 100, &ran)));
  co_await tasks.drain(kNever);
  co_return ran;
}

TYPED_TEST(TaskGroupTest, ATaskMaySpawnIntoItsOwnGroup) {
  EXPECT_EQ(this->stage.run(nested(this->stage.a())), 101);
}

awaitable<void> wait_for(Signal& go, int* ended) {
  const Wake wake = co_await go.wait_until(kNever);
  if (wake == Wake::kNotified) ++*ended;
}

awaitable<void> drained(Runtime& runtime) {
  int ended = 0;
  const auto go = runtime.make_signal();
  TaskGroup tasks(runtime, 1);
  const bool empty = co_await tasks.drain(kNever);
  EXPECT_TRUE(empty);
  EXPECT_TRUE(tasks.spawn(wait_for(*go, &ended)));
  const bool early = co_await tasks.drain(runtime.now() + 1ms);
  EXPECT_FALSE(early);
  EXPECT_EQ(tasks.size(), 1u) << "nobody was asked to stop";
  go->notify();
  const bool late = co_await tasks.drain(kNever);
  EXPECT_TRUE(late);
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(tasks.spawn(wait_for(*go, &ended))) << "others may come";
  co_await tasks.join();
  EXPECT_EQ(ended, 1);
}

TYPED_TEST(TaskGroupTest, DrainWaitsForTasksAndStopsNone) {
  this->stage.run(drained(this->stage.a()));
}

// ------------------------------------------------------------------------------- with_deadline

awaitable<Result<int>> answer_after(Runtime& runtime, Duration time, int* finished) {
  WARREN_CO_TRY_VOID(co_await runtime.sleep_for(time));
  ++*finished;
  co_return 5;
}

awaitable<void> race(Runtime& runtime) {
  int finished = 0;
  const Result<int> early =
      co_await with_deadline(runtime, runtime.now() + 10s, answer_after(runtime, 1ms, &finished));
  EXPECT_TRUE(early);
  EXPECT_EQ(early.value_or(0), 5);
  const Result<int> late =
      co_await with_deadline(runtime, runtime.now() + 1ms, answer_after(runtime, 10s, &finished));
  EXPECT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kTimedOut);
  EXPECT_EQ(finished, 1);
}

TYPED_TEST(TaskGroupTest, DeadlineGivesTheResultOrTimesOut) {
  this->stage.run(race(this->stage.a()));
}

awaitable<void> wait_long(Runtime& runtime, Result<int>* got) {
  int finished = 0;
  *got =
      co_await with_deadline(runtime, runtime.now() + 100s, answer_after(runtime, 50s, &finished));
}

awaitable<void> cancel_race(Runtime& runtime, Result<int>* got) {
  TaskGroup tasks(runtime, 1);
  EXPECT_TRUE(tasks.spawn(wait_long(runtime, got)));
  co_await runtime.sleep_for(1ms);
  co_await tasks.join();
}

TYPED_TEST(TaskGroupTest, CancellingADeadlineIsNotATimeout) {
  Result<int> got = 0;
  this->stage.run(cancel_race(this->stage.a(), &got));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace warren::runtime
