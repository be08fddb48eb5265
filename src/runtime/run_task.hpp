#pragma once
// Runs one coroutine to its end from code that is not a coroutine: main() and tests.

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "runtime/real_runtime.hpp"

namespace warren::runtime {

/// What became of a root task. On the heap: the task may outlive whoever waits for it.
template <class T>
struct TaskOutcome {
  bool done = false;
  std::exception_ptr error;
  std::conditional_t<std::is_void_v<T>, std::monostate, std::optional<T>> value;

  /// Once done: the value, or the task's exception thrown.
  T get() {
    if (error) std::rethrow_exception(error);
    if constexpr (!std::is_void_v<T>) return std::move(*value);
  }
};

namespace detail {
template <class T>
awaitable<void> store_outcome(awaitable<T> task, std::shared_ptr<TaskOutcome<T>> outcome) {
  co_await asio::this_coro::throw_if_cancelled(false);
  if constexpr (std::is_void_v<T>) {
    co_await std::move(task);
  } else {
    T value = co_await std::move(task);
    outcome->value.emplace(std::move(value));
  }
}
}  // namespace detail

/// Starts `task` as a root task on `executor`; `on_done` runs there when it has ended.
template <class T, class OnDone>
std::shared_ptr<TaskOutcome<T>> start_task(asio::any_io_executor executor, awaitable<T> task,
                                           OnDone on_done) {
  auto outcome = std::make_shared<TaskOutcome<T>>();
  asio::co_spawn(executor, detail::store_outcome(std::move(task), outcome),
                 [outcome, on_done = std::move(on_done)](std::exception_ptr error) mutable {
                   outcome->error = error;
                   outcome->done = true;
                   on_done();
                 });
  return outcome;
}

/// Runs `task` and, until it ends, everything else on the runtime. Throws what the task throws.
template <class T>
T run_task(RealRuntime& runtime, awaitable<T> task) {
  const auto outcome =
      start_task(runtime.executor(), std::move(task), [&runtime] { runtime.stop(); });
  runtime.context().restart();
  runtime.run();
  return outcome->get();
}

}  // namespace warren::runtime
