// Signal, sleep and cancellation, on the machine and in the simulated world.

#include "runtime/cancellation.hpp"
#include "runtime/task_group.hpp"
#include "runtime/test_stages.hpp"

namespace warren::runtime {
namespace {

template <class Stage>
class SignalTest : public ::testing::Test {
 public:
  Stage stage;
};
TYPED_TEST_SUITE(SignalTest, BothStages, StageNames);

awaitable<Wake> notified_before(Runtime& runtime) {
  const auto signal = runtime.make_signal();
  signal->notify();
  signal->notify();  // Two are one: the event resets itself.
  const Wake first = co_await signal->wait_until(kNever);
  EXPECT_EQ(first, Wake::kNotified);
  co_return co_await signal->wait_until(runtime.now() + 1ms);
}

TYPED_TEST(SignalTest, NotificationWithoutWaiterIsKeptOnce) {
  EXPECT_EQ(this->stage.run(notified_before(this->stage.a())), Wake::kTimedOut);
}

awaitable<void> notify_later(Runtime& runtime, Signal& signal, std::vector<int>* order) {
  co_await runtime.sleep_for(1ms);
  order->push_back(1);
  signal.notify();
  order->push_back(2);  // The waiter does not run inside notify().
}

awaitable<Wake> wait_for_other(Runtime& runtime, std::vector<int>* order) {
  const auto signal = runtime.make_signal();
  TaskGroup tasks(runtime, 1);
  EXPECT_TRUE(tasks.spawn(notify_later(runtime, *signal, order)));
  const Wake wake = co_await signal->wait_until(kNever);
  order->push_back(3);
  co_await tasks.join();
  co_return wake;
}

TYPED_TEST(SignalTest, WakesTheWaiterButNeverInline) {
  std::vector<int> order;
  EXPECT_EQ(this->stage.run(wait_for_other(this->stage.a(), &order)), Wake::kNotified);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

awaitable<Duration> timed_wait(Runtime& runtime, Duration wait) {
  const auto signal = runtime.make_signal();
  const TimePoint begin = runtime.now();
  const Wake wake = co_await signal->wait_until(begin + wait);
  EXPECT_EQ(wake, Wake::kTimedOut);
  co_return runtime.now() - begin;
}

TYPED_TEST(SignalTest, TimesOutNotBeforeItsDeadline) {
  EXPECT_GE(this->stage.run(timed_wait(this->stage.a(), 3ms)), 3ms);
  EXPECT_GE(this->stage.run(timed_wait(this->stage.a(), -3ms)), 0ms);  // Past: at once.
}

// What a task that is cancelled while it waits sees, and what is left of a notification.
struct Seen {
  std::vector<Wake> wakes;
  bool left = false;
};

awaitable<void> wait_thrice(Signal& signal, Seen* seen) {
  for (int i = 0; i < 3; ++i) {
    const Wake wake = co_await signal.wait_until(kNever);
    seen->wakes.push_back(wake);
  }
  seen->left = true;
}

awaitable<Wake> cancel_waiter(Runtime& runtime, Seen* seen) {
  const auto signal = runtime.make_signal();
  TaskGroup tasks(runtime, 1);
  EXPECT_TRUE(tasks.spawn(wait_thrice(*signal, seen)));
  co_await runtime.sleep_for(1ms);
  tasks.cancel();
  signal->notify();
  co_await tasks.join();
  // The notification came when nobody waited any more, or nobody may take it: it is kept.
  co_return co_await signal->wait_until(runtime.now() + 1ms);
}

TYPED_TEST(SignalTest, CancelledWaitReturnsAtOnceAndSoDoesEachLaterOne) {
  Seen seen;
  const Wake kept = this->stage.run(cancel_waiter(this->stage.a(), &seen));
  EXPECT_TRUE(seen.left);
  ASSERT_EQ(seen.wakes.size(), 3u);
  EXPECT_EQ(seen.wakes[1], Wake::kCancelled);
  EXPECT_EQ(seen.wakes[2], Wake::kCancelled);
  // Taken by the first wait or kept for the next, but not lost.
  EXPECT_NE(seen.wakes[0] == Wake::kNotified, kept == Wake::kNotified);
}

awaitable<void> busy_then_wait(Runtime& runtime, Signal& go, Result<>* slept) {
  // The request to stop comes while this task is between two waits.
  co_await go.wait_until(kNever);
  *slept = co_await runtime.sleep_for(std::chrono::hours(1));
}

awaitable<void> cancel_between(Runtime& runtime, Result<>* slept) {
  const auto go = runtime.make_signal();
  TaskGroup tasks(runtime, 1);
  EXPECT_TRUE(tasks.spawn(busy_then_wait(runtime, *go, slept)));
  co_await runtime.sleep_for(1ms);
  go->notify();    // The task is now on its way ...
  tasks.cancel();  // ... and no operation waits that Asio could tell.
  co_await tasks.join();
}

TYPED_TEST(SignalTest, CancellationBetweenTwoWaitsIsNotLost) {
  Result<> slept;
  this->stage.run(cancel_between(this->stage.a(), &slept));
  ASSERT_FALSE(slept);
  EXPECT_EQ(slept.error().code(), ErrorCode::kCancelled);
}

awaitable<void> sleep_and_note(Runtime& runtime, Duration time, int number,
                               std::vector<int>* order) {
  co_await runtime.sleep_for(time);
  order->push_back(number);
}

awaitable<std::vector<int>> sleep_in_order(Runtime& runtime) {
  std::vector<int> order;
  TaskGroup tasks(runtime, 3);
  EXPECT_TRUE(tasks.spawn(sleep_and_note(runtime, 9ms, 3, &order)));
  EXPECT_TRUE(tasks.spawn(sleep_and_note(runtime, 1ms, 1, &order)));
  EXPECT_TRUE(tasks.spawn(sleep_and_note(runtime, 5ms, 2, &order)));
  co_await runtime.sleep_for(15ms);
  co_await tasks.join();
  co_return order;
}

TYPED_TEST(SignalTest, SleepersWakeInTheOrderOfTheirTimes) {
  EXPECT_EQ(this->stage.run(sleep_in_order(this->stage.a())), (std::vector<int>{1, 2, 3}));
}

}  // namespace
}  // namespace warren::runtime
