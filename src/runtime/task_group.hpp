#pragma once
// Structured ownership of background coroutines.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstddef>
#include <list>
#include <memory>

#include "base/check.hpp"
#include "runtime/runtime.hpp"

namespace warren::runtime {

/// Owns the background coroutines of one object. Declare it as the LAST member, so it is destroyed
/// first. `co_await join()` before destruction; the destructor aborts if a task is still running.
class TaskGroup {
 public:
  TaskGroup(Runtime& runtime, std::size_t tasks_max);
  ~TaskGroup() { WARREN_CHECK(tasks_.empty()); }
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts `task`, by way of the executor: never inline. Returns false, and drops it unstarted,
  /// when `tasks_max` tasks already run or cancel() was called: the caller must shed the load.
  [[nodiscard]] bool spawn(awaitable<void> task);
  /// Asks every task to stop at its next suspension point. Returns at once; spawn() then refuses.
  void cancel();
  /// Waits until no task is left, without asking any to stop. False: `deadline` passed, or the
  /// caller was cancelled. One caller at a time, counting those of join().
  awaitable<bool> drain(TimePoint deadline);
  /// Cancels, then waits until the last task has left. Cancel: ignored, so that it may be called
  /// from a task that is being cancelled itself. One caller at a time; never a task of this group.
  awaitable<void> join();
  std::size_t size() const noexcept { return tasks_.size(); }
  /// Tasks that ended by an exception since construction. Must stay 0.
  std::size_t failed_count() const noexcept { return failed_count_; }

 private:
  awaitable<void> wait_idle();

  asio::any_io_executor executor_;
  std::size_t tasks_max_;
  std::size_t failed_count_ = 0;
  bool closed_ = false;
  std::list<asio::cancellation_signal> tasks_;
  std::unique_ptr<Signal> idle_;
};

}  // namespace warren::runtime
