#include "runtime/task_group.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"

namespace warren::runtime {
namespace {

/// Begins by way of the executor: co_spawn alone would run the task's first part inside spawn(),
/// in the middle of whatever the caller is changing.
awaitable<void> begin_later(asio::any_io_executor executor, awaitable<void> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await asio::post(executor, asio::use_awaitable);
  co_await std::move(task);
}

}  // namespace

TaskGroup::TaskGroup(Runtime& runtime, std::size_t tasks_max)
    : executor_(runtime.executor()), tasks_max_(tasks_max), idle_(runtime.make_signal()) {}

bool TaskGroup::spawn(awaitable<void> task) {
  if (closed_ || tasks_.size() >= tasks_max_) return false;
  const auto entry = tasks_.emplace(tasks_.end());
  auto on_done = [this, entry](std::exception_ptr error) {
    if (error) {
      ++failed_count_;
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& thrown) {
        log::error("task", "a task ended by an exception: {}", thrown.what());
      }
    }
    tasks_.erase(entry);
    if (tasks_.empty()) idle_->notify();
  };
  asio::co_spawn(executor_, begin_later(executor_, std::move(task)),
                 asio::bind_cancellation_slot(entry->slot(), std::move(on_done)));
  return true;
}

void TaskGroup::cancel() {
  closed_ = true;
  // A task may finish, and erase its own entry, inside emit().
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    (it++)->emit(asio::cancellation_type::terminal);
  }
}

awaitable<bool> TaskGroup::drain(TimePoint deadline) {
  while (!tasks_.empty()) {
    const Wake wake = co_await idle_->wait_until(deadline);
    if (wake != Wake::kNotified) co_return tasks_.empty();
  }
  co_return true;
}

awaitable<void> TaskGroup::join() {
  cancel();
  if (tasks_.empty()) co_return;
  // A task of its own without a cancellation slot: in a cancelled caller the wait would return at
  // once, again and again, and the tasks would never get their turn.
  co_await asio::co_spawn(
      executor_, wait_idle(),
      asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable));
}

awaitable<void> TaskGroup::wait_idle() {
  while (!tasks_.empty()) {
    co_await idle_->wait_until(kNever);
  }
}

}  // namespace warren::runtime
