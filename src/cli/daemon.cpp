#include "cli/daemon.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "api/routes.hpp"
#include "api/server.hpp"
#include "base/check.hpp"
#include "base/log.hpp"
#include "crypto/identity.hpp"
#include "node/machine/transports.hpp"
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

/// As many descriptors as the system lets us have: each shared file and socket takes one. How many
/// that are.
std::uint64_t raise_descriptor_limit() {
  constexpr std::uint64_t kUsual = 1024;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kUsual;
  const std::uint64_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return limit.rlim_max;
  log::debug("up", "RLIMIT_NOFILE stays as it is");
  return before;
}

node::NodeOptions node_options(const DaemonOptions& options, resources::Manager& resources) {
  const node::Config& config = options.config;
  node::NodeOptions made;
  for (const Multiaddr& address : config.listen_addresses) made.listen.push_back({address, true});
  if (made.listen.empty()) {
    for (const Multiaddr& address : node::default_listen_addresses()) {
      // A machine without IPv6 is no reason to refuse.
      made.listen.push_back({address, !address.has(multiformats::Protocol::kIp6)});
    }
  }
  made.measure = config.measure;
  if (config.mdns_enabled) made.mdns.emplace();
  made.database = options.paths.database_file();
  made.download_dir = options.paths.data_dir;
  made.swarm.resources = &resources;
  made.keeper.peers_max = std::max(made.keeper.peers_max, config.connections_max * 2);
  made.keeper.connected_max = std::min(made.keeper.connected_max, config.connections_max * 3 / 4);
  made.transfer.transfers_max = config.transfers_max;
  made.transfer.receive_bytes_max = std::min<std::size_t>(
      made.transfer.receive_bytes_max, static_cast<std::size_t>(config.memory_bytes_max * 3 / 8));
  made.transfer.serve_bytes_max = std::min<std::size_t>(
      made.transfer.serve_bytes_max, static_cast<std::size_t>(config.memory_bytes_max / 4));
  return made;
}

/// Everything of one run, in the order in which it is made.
struct Daemon {
  Daemon(const DaemonOptions& options, crypto::PrivateKey identity, std::uint64_t descriptors_max)
      : signals(runtime.executor(), SIGINT, SIGTERM, SIGHUP),
        resources([this] { return runtime.now(); },
                  {.limits = node::resource_limits(options.config, descriptors_max), .report = {}}),
        node(runtime, std::move(identity), node_options(options, resources)),
        api(runtime,
            api::make_router(node, api::Json{{"pid", ::getpid()},
                                             {"state_dir", options.paths.state_dir},
                                             {"data_dir", options.paths.data_dir},
                                             {"config_file", options.paths.config_file}})) {}

  runtime::RealRuntime runtime;
  asio::signal_set signals;
  resources::Manager resources;
  node::Node node;
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
  const std::uint64_t descriptors_max = raise_descriptor_limit();
  WARREN_TRY(crypto::PrivateKey identity,
             crypto::load_or_create_identity(options.paths.identity_file()));
  auto daemon = std::make_unique<Daemon>(options, identity, descriptors_max);
  WARREN_TRY_VOID(node::add_transports(daemon->node, daemon->runtime, identity, daemon->resources));

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
