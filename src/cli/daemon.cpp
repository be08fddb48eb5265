#include "cli/daemon.hpp"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "api/routes.hpp"
#include "api/server.hpp"
#include "base/check.hpp"
#include "crypto/identity.hpp"
#include "node/machine/machine.hpp"
#include "node/machine/options.hpp"
#include "node/node.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/run_task.hpp"
#include "runtime/task_group.hpp"

namespace warren::cli {
namespace {

namespace asio = boost::asio;
using runtime::awaitable;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
/// For closing everything. Source: quality statement CL-7.
constexpr Duration kStopTimeMax = 5s;

/// Everything of one run, in the order in which it is made.
struct Daemon {
  Daemon(const DaemonOptions& options, std::unique_ptr<node::Machine> made)
      : machine(std::move(made)),
        signals(runtime.executor(), SIGINT, SIGTERM, SIGHUP),
        api(runtime,
            api::make_router(node, api::Json{{"pid", ::getpid()},
                                             {"state_dir", options.paths.state_dir},
                                             {"data_dir", options.paths.data_dir},
                                             {"config_file", options.paths.config_file}})) {}

  std::unique_ptr<node::Machine> machine;
  runtime::RealRuntime& runtime = machine->runtime();
  node::Node& node = machine->node();
  asio::signal_set signals;
  api::Server api;
};

awaitable<Result<>> start_all(Daemon& daemon, std::string socket) {
  WARREN_CO_TRY_VOID(co_await daemon.node.start());
  co_return daemon.api.start(socket);
}

awaitable<void> stop_all(Daemon& daemon) {
  co_await daemon.api.stop();
  co_await daemon.node.stop();
}

/// Waits for a signal; `came` tells whether one did, or the wait was cancelled.
awaitable<void> wait_for_signal(Daemon& daemon, bool& came) {
  const auto [error, number] = co_await daemon.signals.async_wait(kToken);
  came = !error;
  if (came) daemon.runtime.stop();
}

awaitable<void> wait_for_time(Daemon& daemon, TimePoint when) {
  const auto slept = co_await daemon.runtime.sleep_until(when);
  if (slept) daemon.runtime.stop();
}

/// Runs the core thread until one of the tasks in it calls stop().
void run_until_stopped(Daemon& daemon) {
  daemon.runtime.context().restart();
  daemon.runtime.run();
}

/// A signal may stop the core thread while it waits for its own watcher: then it goes on.
void end_watchers(Daemon& daemon, runtime::TaskGroup& watchers) {
  do {
    runtime::run_task(daemon.runtime, watchers.join());
  } while (watchers.size() > 0);
}

DaemonEnd stop(Daemon& daemon) {
  bool asked_again = false;
  runtime::TaskGroup watchers(daemon.runtime, 2);
  const bool watching = watchers.spawn(wait_for_signal(daemon, asked_again)) &&
                        watchers.spawn(wait_for_time(daemon, daemon.runtime.now() + kStopTimeMax));
  WARREN_CHECK(watching);
  const auto stopped = runtime::start_task(daemon.runtime.executor(), stop_all(daemon),
                                           [&daemon] { daemon.runtime.stop(); });
  run_until_stopped(daemon);
  const bool in_time = stopped->done;
  end_watchers(daemon, watchers);
  if (in_time) return DaemonEnd::kClean;
  return asked_again ? DaemonEnd::kAtOnce : DaemonEnd::kOverdue;
}

}  // namespace

Result<DaemonEnd> run_daemon(const DaemonOptions& options, const DaemonHooks& hooks) {
  const std::uint64_t descriptors_max = node::raise_descriptor_limit();
  WARREN_TRY(const crypto::PrivateKey identity,
             crypto::load_or_create_identity(options.paths.identity_file()));
  WARREN_TRY(auto machine, node::Machine::make({.paths = options.paths,
                                                .config = options.config,
                                                .descriptors_max = descriptors_max,
                                                .adjust = {}},
                                               identity));
  auto daemon = std::make_unique<Daemon>(options, std::move(machine));

  const auto started =
      runtime::run_task(daemon->runtime, start_all(*daemon, options.paths.socket()));
  if (!started) {
    runtime::run_task(daemon->runtime, stop_all(*daemon));
    return fail(started.error());
  }
  hooks.started(daemon->node.status());
  bool signalled = false;
  {
    runtime::TaskGroup watchers(daemon->runtime, 1);
    WARREN_CHECK(watchers.spawn(wait_for_signal(*daemon, signalled)));
    run_until_stopped(*daemon);
    end_watchers(*daemon, watchers);
  }
  hooks.stopping();
  const DaemonEnd end = stop(*daemon);
  // Tasks that still run hold on to it: the process ends around them.
  if (end != DaemonEnd::kClean) static_cast<void>(daemon.release());
  return end;
}

}  // namespace warren::cli
