#include "cli/daemon.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "api/routes.hpp"
#include "api/server.hpp"
#include "base/check.hpp"
#include "base/log.hpp"
#include "crypto/identity.hpp"
#include "node/machine/machine.hpp"
#include "node/machine/options.hpp"
#include "node/node.hpp"
#include "runtime/deadline.hpp"
#include "runtime/file_watch.hpp"
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

/// A file that is being written is left alone until it has been quiet for so long.
constexpr Duration kSettleTime = 200ms;
/// A file that never comes to rest is read nevertheless.
constexpr Duration kSettleTimeMax = 5s;

/// Whether one of our standard streams is a terminal that is not there any more.
bool terminal_is_gone() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::isatty(fd) != 1 && errno != EIO) continue;
    pollfd state{.fd = fd, .events = 0, .revents = 0};
    if (::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0) return true;
  }
  return false;
}

/// Everything of one run, in the order in which it is made.
struct Daemon {
  Daemon(const DaemonOptions& options, const DaemonHooks& hooks,
         std::unique_ptr<node::Machine> made)
      : machine(std::move(made)),
        signals(runtime.executor(), SIGINT, SIGTERM, SIGHUP),
        config(
            runtime, options.config, options.load,
            [this, paths = options.paths](node::Config before, node::Config after) {
              return apply_config(*this, paths, std::move(before), std::move(after));
            },
            hooks.reloaded),
        api(runtime,
            api::make_router(node, {.status = api::Json{{"pid", ::getpid()},
                                                        {"state_dir", options.paths.state_dir},
                                                        {"data_dir", options.paths.data_dir},
                                                        {"config_file", options.paths.config_file}},
                                    .config = &config,
                                    .paths = options.paths})) {}

  static awaitable<Result<>> apply_config(Daemon& daemon, node::Paths paths, node::Config before,
                                          node::Config after);

  std::unique_ptr<node::Machine> machine;
  runtime::RealRuntime& runtime = machine->runtime();
  node::Node& node = machine->node();
  asio::signal_set signals;
  node::ConfigReload config;
  api::Server api;
};

awaitable<Result<>> Daemon::apply_config(Daemon& daemon, node::Paths paths, node::Config before,
                                         node::Config after) {
  log::set_level(after.log_level);
  co_return co_await daemon.node.reconfigure(node::node_settings(before, after, paths));
}

awaitable<Result<>> start_all(Daemon& daemon, std::string socket) {
  WARREN_CO_TRY_VOID(co_await daemon.node.start());
  co_return daemon.api.start(socket);
}

awaitable<void> reload_config(Daemon& daemon) {
  const auto reloaded = co_await daemon.config.reload();
  if (!reloaded) log::debug("config", "not reloaded: {}", reloaded.error().message());
}

/// Reads the configuration again whenever its file has changed and come to rest.
awaitable<void> watch_config(Daemon& daemon, std::unique_ptr<runtime::FileWatch> watch) {
  for (;;) {
    const auto changed = co_await watch->changed();
    if (!changed) {
      if (changed.error().code() != ErrorCode::kCancelled) {
        log::warn("config", "changes of the file go unnoticed from now on: {}",
                  changed.error().message());
      }
      co_return;
    }
    const TimePoint at_last = daemon.runtime.now() + kSettleTimeMax;
    for (bool quiet = false; !quiet;) {
      const TimePoint until = std::min(daemon.runtime.now() + kSettleTime, at_last);
      const auto more = co_await runtime::with_deadline(daemon.runtime, until, watch->changed());
      quiet = !more;
      if (!more && more.error().code() == ErrorCode::kCancelled) co_return;
    }
    co_await reload_config(daemon);
  }
}

awaitable<void> stop_all(Daemon& daemon) {
  co_await daemon.api.stop();
  co_await daemon.node.stop();
}

/// Waits for a signal to stop; `came` tells whether one did, or the wait was cancelled. SIGHUP is
/// one when the terminal has gone; else it asks to read the configuration again.
awaitable<void> wait_for_signal(Daemon& daemon, bool& came, bool reloads) {
  for (;;) {
    const auto [error, number] = co_await daemon.signals.async_wait(kToken);
    if (error) co_return;
    if (number == SIGHUP && !terminal_is_gone()) {
      if (reloads) co_await reload_config(daemon);
      continue;
    }
    came = true;
    daemon.runtime.stop();
    co_return;
  }
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
  const bool watching = watchers.spawn(wait_for_signal(daemon, asked_again, false)) &&
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
                                                .config = options.config.config,
                                                .descriptors_max = descriptors_max,
                                                .adjust = {}},
                                               identity));
  auto daemon = std::make_unique<Daemon>(options, hooks, std::move(machine));

  const auto started =
      runtime::run_task(daemon->runtime, start_all(*daemon, options.paths.socket()));
  if (!started) {
    runtime::run_task(daemon->runtime, stop_all(*daemon));
    return fail(started.error());
  }
  hooks.started(daemon->node.status());
  bool signalled = false;
  {
    runtime::TaskGroup watchers(daemon->runtime, 2);
    WARREN_CHECK(watchers.spawn(wait_for_signal(*daemon, signalled, true)));
    auto watch = runtime::make_file_watch(daemon->runtime.context(), daemon->runtime,
                                          options.paths.config_file);
    if (watch) {
      WARREN_CHECK(watchers.spawn(watch_config(*daemon, *std::move(watch))));
    } else {
      log::warn("config", "changes of the file go unnoticed: {}", watch.error().message());
    }
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
