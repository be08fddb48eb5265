#pragma once
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "runtime/cancellation.hpp"
#include "runtime/runtime.hpp"

namespace warren::runtime {

/// Runs `op`; cancels it and fails with kTimedOut once `deadline` has passed. For whole exchanges;
/// a single read or write takes its deadline as a parameter, which is cheaper.
/// Cancel: as safe as `op`; fails with kCancelled.
template <class T>
awaitable<Result<T>> with_deadline(Runtime& runtime, TimePoint deadline, awaitable<Result<T>> op) {
  if (co_await cancelled()) co_return fail(ErrorCode::kCancelled, "cancelled");
  using namespace asio::experimental::awaitable_operators;
  auto race = errors_as_values(std::move(op)) || errors_as_values(runtime.sleep_until(deadline));
  auto winner = co_await std::move(race);
  if (winner.index() == 0) co_return std::get<0>(std::move(winner));
  const Result<>& slept = std::get<1>(winner);
  if (!slept) co_return fail(slept.error());
  co_return fail(ErrorCode::kTimedOut, "the deadline passed");
}

}  // namespace warren::runtime
