#include "cli/session.hpp"

#include <signal.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "runtime/cancellation.hpp"
#include "runtime/run_task.hpp"

namespace warren::cli {
namespace {

namespace asio = boost::asio;
using runtime::awaitable;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
/// Silence that a person should not have to wonder about. Source: quality statement CL-8.
constexpr Duration kSilenceMax = 1s;

/// Waits for a signal that ends the call; tells `status_wanted`, which outlives it, of the other.
awaitable<int> next_signal(asio::signal_set& signals, const std::function<void()>& status_wanted) {
  for (;;) {
    const auto [error, number] = co_await signals.async_wait(kToken);
    if (error) co_return 0;
    if (number != SIGUSR1) co_return number;
    if (status_wanted) status_wanted();
  }
}

}  // namespace

struct Session::Impl {
  Impl() : runtime({.pool_threads = 1}), signals(runtime.executor(), SIGINT, SIGTERM, SIGUSR1) {}

  awaitable<Result<>> pass_time(Output& output, std::optional<double> timeout, bool quiet) {
    const TimePoint begun = runtime.now();
    TimePoint end = kNever;
    if (timeout) {
      end = begun + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*timeout));
    }
    if (!quiet && end > begun + kSilenceMax) {
      const auto slept = co_await runtime.sleep_until(begun + kSilenceMax);
      if (!slept) co_return slept;
      if (!heard) output.note("still waiting for the answer of the daemon");
    }
    co_return co_await runtime.sleep_until(end);
  }

  runtime::RealRuntime runtime;
  asio::signal_set signals;
  bool heard = false;
};

Session::Session(Output& output, node::Paths paths, std::optional<double> timeout)
    : output_(output), paths_(std::move(paths)), timeout_(timeout) {}

Session::~Session() = default;

namespace {

using Outcome = std::variant<Result<api::Json>, int, Result<>>;

/// The three race; the losers are cancelled.
awaitable<Outcome> race(awaitable<Result<api::Json>> call, awaitable<int> stopped,
                        awaitable<Result<>> time_passed) {
  using namespace asio::experimental::awaitable_operators;
  auto first = runtime::errors_as_values(std::move(call)) ||
               runtime::errors_as_values(std::move(stopped)) ||
               runtime::errors_as_values(std::move(time_passed));
  co_return co_await std::move(first);
}

}  // namespace

Result<api::Json> Session::call(api::Call call, api::OnLine on_line, bool quiet) {
  if (!impl_) impl_ = std::make_unique<Impl>();
  Impl& impl = *impl_;
  impl.heard = false;
  api::OnLine listener = [&impl, &on_line](const api::Json& line) {
    impl.heard = true;
    if (on_line) on_line(line);
  };
  Outcome outcome = runtime::run_task(
      impl.runtime,
      race(api::call(impl.runtime, paths_.socket(), std::move(call), listener),
           next_signal(impl.signals, status_wanted_), impl.pass_time(output_, timeout_, quiet)));
  if (auto* answer = std::get_if<0>(&outcome)) return std::move(*answer);
  if (const int* number = std::get_if<1>(&outcome)) {
    stopped_by_ = *number;
    return fail(ErrorCode::kCancelled, *number == SIGTERM ? "terminated" : "interrupted");
  }
  timed_out_ = true;
  return fail(ErrorCode::kTimedOut, "the time given with --timeout has passed");
}

ExitCode Session::failure(const Error& error, std::string_view item) {
  if (stopped_by_ == SIGTERM) {
    return output_.failure(error, ExitCode::kTerminated, "terminated", item);
  }
  if (stopped_by_ != 0) {
    return output_.failure(error, ExitCode::kInterrupted, "interrupted", item);
  }
  if (timed_out_) return output_.failure(error, ExitCode::kTimedOut, "timed_out", item);
  return output_.failure(error, item);
}

ExitCode ask(Invocation& invocation, api::Call call, std::string_view item,
             const std::function<void(const api::Json&)>& show) {
  const auto answer = invocation.session.call(std::move(call));
  if (!answer) return invocation.session.failure(answer.error(), item);
  show(*answer);
  return invocation.output.success(*answer);
}

}  // namespace warren::cli
