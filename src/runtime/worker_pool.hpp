#pragma once
// Slow work off the core thread: `co_await run(pool, f)` runs f on a pool thread and comes back.

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace warren::runtime {

namespace asio = boost::asio;

class WorkerPool {
 public:
  virtual ~WorkerPool() = default;
  /// Runs `work` on a pool thread, in order of submission as threads come free, then posts `done`
  /// to the core executor. Neither may throw. `work` must touch nothing that the core thread does.
  virtual void submit(std::move_only_function<void()> work,
                      std::move_only_function<void()> done) = 0;
  virtual std::size_t threads() const = 0;
};

/// Runs `f` on the pool and gives its result back on the core thread. T must not be void.
/// Cancel: ignored; the call returns when f has run, so that f may refer to the caller's frame.
template <class F, class T = std::invoke_result_t<F&>>
asio::awaitable<T> run(WorkerPool& pool, F f) {
  static_assert(!std::is_void_v<T>, "return a Result<> instead of void");
  std::optional<T> result;
  auto initiate = [&pool, &f, &result](auto handler) {
    pool.submit([&f, &result] { result.emplace(f()); },
                [handler = std::move(handler)]() mutable { std::move(handler)(); });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate,
                                                                       asio::use_awaitable);
  co_return std::move(*result);
}

}  // namespace warren::runtime
