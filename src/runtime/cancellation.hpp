#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

namespace warren::runtime {

/// Runs `task` so that a cancelled operation in it returns an error instead of throwing from the
/// await after it, which is Asio's default.
template <class T>
boost::asio::awaitable<T> errors_as_values(boost::asio::awaitable<T> task) {
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  co_return co_await std::move(task);
}

/// Whether this task was asked to stop. Asio tells only the operation that waits at that moment;
/// every waiting operation of a Runtime asks this first, so that a request that came in between
/// is not lost: once cancelled, each further wait returns at once.
inline boost::asio::awaitable<bool> cancelled() {
  const auto state = co_await boost::asio::this_coro::cancellation_state;
  co_return state.cancelled() != boost::asio::cancellation_type::none;
}

}  // namespace warren::runtime
