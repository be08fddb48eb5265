// `warren up`: the node itself, in the foreground.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "api/views.hpp"
#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/session.hpp"
#include "node/escape.hpp"
#include "node/instance_lock.hpp"

namespace warren::cli {
namespace {

/// Addresses in the text at the start. Source: quality statement LC-2, at most 8 lines in all.
constexpr std::size_t kAddressesShown = 3;
/// Bytes a second, as in the configuration.
constexpr std::uint64_t kRateMost = std::uint64_t{1} << 40;

constexpr std::array<OptionSpec, 5> kUpOptions{{
    {.name = "--listen",
     .value = "MULTIADDR",
     .help = "listen here instead of where the configuration says; may be repeated",
     .kind = ValueKind::kList},
    {.name = "--no-mdns",
     .value = "",
     .help = "neither look for peers on this network by mDNS nor be found so",
     .kind = ValueKind::kFlag},
    {.name = "--no-beacon",
     .value = "",
     .help = "neither send beacons nor listen for those of others",
     .kind = ValueKind::kFlag},
    {.name = "--limit-up",
     .value = "SIZE",
     .help = "bytes a second that transfers may send beyond the local network (0: no limit)",
     .kind = ValueKind::kBytes,
     .most = kRateMost},
    {.name = "--limit-down",
     .value = "SIZE",
     .help = "bytes a second that they may receive from there (0: no limit)",
     .kind = ValueKind::kBytes,
     .most = kRateMost},
}};

/// What the flags of the command line say, in place of the configuration file.
struct Flags {
  std::vector<Multiaddr> listen;
  bool no_mdns = false;
  bool no_beacon = false;
  std::optional<std::uint64_t> limit_up;
  std::optional<std::uint64_t> limit_down;
};

Result<Flags> read_flags(const Args& args) {
  Flags flags{.listen = {},
              .no_mdns = args.flag("no-mdns"),
              .no_beacon = args.flag("no-beacon"),
              .limit_up = args.number("limit-up"),
              .limit_down = args.number("limit-down")};
  const std::vector<std::string> listen = args.list("listen");
  if (listen.size() > node::kListenAddressesMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--listen was given {} times; at most {} addresses are taken",
                            listen.size(), node::kListenAddressesMax));
  }
  for (const std::string& text : listen) {
    auto address = Multiaddr::parse(text);
    if (!address) {
      return fail(Error(ErrorCode::kInvalidArgument, "--listen: " + address.error().message(),
                        "for example: --listen /ip4/0.0.0.0/udp/4001/quic-v1"));
    }
    flags.listen.push_back(*std::move(address));
  }
  return flags;
}

Result<node::LoadedConfig> load_with_flags(const std::string& file, const Flags& flags) {
  WARREN_TRY(node::LoadedConfig loaded, node::load_config(file));
  if (!flags.listen.empty()) {
    loaded.config.listen_addresses = flags.listen;
    loaded.origins["p2p.listen_addresses"] = "--listen";
  }
  if (flags.no_mdns) {
    loaded.config.mdns_enabled = false;
    loaded.origins["mdns.enabled"] = "--no-mdns";
  }
  if (flags.no_beacon) {
    loaded.config.beacon_enabled = false;
    loaded.origins["beacon.enabled"] = "--no-beacon";
  }
  if (flags.limit_up) {
    loaded.config.limits_up = *flags.limit_up;
    loaded.origins["limits.up"] = "--limit-up";
  }
  if (flags.limit_down) {
    loaded.config.limits_down = *flags.limit_down;
    loaded.origins["limits.down"] = "--limit-down";
  }
  return loaded;
}

Result<DaemonOptions> daemon_options(const Invocation& invocation) {
  WARREN_TRY(const Flags flags, read_flags(invocation.args));
  const std::string file = invocation.paths.config_file;
  DaemonOptions options{.paths = invocation.paths, .config = {}, .load = [file, flags] {
                          return load_with_flags(file, flags);
                        }};
  WARREN_TRY(options.config, options.load());
  return options;
}

std::string started_text(const node::NodeStatus& status, const node::Paths& paths) {
  std::string text = fmt::format("peer id    {}\n", status.peer.to_string());
  std::size_t shown = 0;
  for (const Multiaddr& address : status.listen) {
    if (shown == kAddressesShown) break;
    text += fmt::format("{:<11}{}\n", shown++ == 0 ? "listening" : "",
                        address.without_peer().to_string());
  }
  if (status.listen.size() > shown) {
    text += fmt::format("{:<11}and {} more: 'warren status' lists them\n", "",
                        status.listen.size() - shown);
  }
  std::string discovery;
  for (const node::DiscoveryView& source : status.discovery) {
    discovery += fmt::format("{}{} {}", discovery.empty() ? "" : ", ", source.name,
                             source.problem.empty() ? "on" : "not running");
  }
  for (const std::string_view name : {"mdns", "multicast", "pex"}) {
    const bool there = std::ranges::any_of(
        status.discovery, [&](const node::DiscoveryView& source) { return source.name == name; });
    if (!there) discovery += fmt::format(", {} off", name);
  }
  text += fmt::format("discovery  {}\n", discovery);
  text += fmt::format("state      {}\n", paths.state_dir);
  text += "ready      Ctrl-C stops it\n";
  return text;
}

ExitCode run_up(Invocation& invocation) {
  Output& output = invocation.output;
  const auto options = daemon_options(invocation);
  if (!options) return output.failure(options.error(), invocation.paths.config_file);
  log::set_level(options->config.config.log_level);
  const auto made = node::make_directories(invocation.paths);
  if (!made) return output.failure(made.error(), invocation.paths.state_dir);
  const auto lock = node::InstanceLock::acquire(invocation.paths.state_dir);
  if (!lock) {
    // Source: quality statement LC-4, which asks for 1 here.
    return output.failure(lock.error(), ExitCode::kFailed, error_name(lock.error().code()),
                          invocation.paths.state_dir);
  }
  DaemonHooks hooks;
  hooks.started = [&](const node::NodeStatus& status) {
    for (const std::string& warning : status.warnings) output.note("warning: " + warning);
    output.text(started_text(status, invocation.paths));
    api::Json event = api::status_view(status);
    event["type"] = "started";
    event["state_dir"] = invocation.paths.state_dir;
    event["socket"] = invocation.paths.socket();
    output.event(event);
  };
  hooks.stopping = [&] { output.note("shutting down (up to 5 s; press again to stop at once)"); };
  hooks.reloaded = [&](const Result<node::Reloaded>& reloaded) {
    if (reloaded) {
      output.note(node::reloaded_text(*reloaded));
      output.event(api::Json{{"type", "config_reloaded"},
                             {"applied", reloaded->applied},
                             {"after_restart", reloaded->after_restart}});
      return;
    }
    output.note(fmt::format("{} ({})", node::escape_line(reloaded.error().message()),
                            "the settings of before stay in force"));
    api::Json event = api::error_view(reloaded.error());
    event["type"] = "config_refused";
    output.event(event);
  };
  const auto end = run_daemon(*options, hooks);
  if (!end) return output.failure(end.error());
  switch (*end) {
    case DaemonEnd::kClean: return output.success(api::Json::object());
    case DaemonEnd::kOverdue: {
      const Error error(ErrorCode::kTimedOut, "not everything could be closed within 5 s",
                        "nothing is lost: the next start goes on from what is on the disk");
      ::_exit(static_cast<int>(output.failure(error, ExitCode::kFailed, "timed_out")));
    }
    case DaemonEnd::kAtOnce: {
      const Error error(ErrorCode::kCancelled, "stopped at once");
      ::_exit(static_cast<int>(output.failure(error, ExitCode::kInterrupted, "interrupted")));
    }
  }
  return ExitCode::kFailed;
}

}  // namespace

CommandSpec up_command() {
  return {.name = "up",
          .summary = "run the node, in the foreground",
          .example = "warren up",
          .options = kUpOptions,
          .streams = true,
          .run = run_up};
}

}  // namespace warren::cli
