#include "runtime/task_group.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "runtime/cancellation.hpp"

namespace warren::runtime {

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
    if (closed_ && tasks_.empty()) idle_->notify();
  };
  asio::co_spawn(executor_, errors_as_values(std::move(task)),
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

awaitable<void> TaskGroup::join() {
  cancel();
  while (!tasks_.empty()) {
    co_await idle_->wait_until(kNever);
  }
}

}  // namespace warren::runtime
