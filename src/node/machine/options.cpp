#include "node/machine/options.hpp"

#include <sys/resource.h>

#include <algorithm>

#include "base/log.hpp"
#include "node/paths.hpp"

namespace warren::node {
namespace {

/// When the system does not tell. Source: the usual soft limit of Linux.
constexpr std::uint64_t kDescriptorsUsual = 1024;

std::optional<discovery::MdnsOptions> mdns_options(const Config& config) {
  if (!config.mdns_enabled) return std::nullopt;
  discovery::MdnsOptions made;
  made.machine.service = config.mdns_service_name;
  made.machine.query_interval = config.mdns_interval;
  made.machine.query_interval_max = std::max(made.machine.query_interval_max, config.mdns_interval);
  return made;
}

std::optional<discovery::BeaconOptions> beacon_options(const Config& config) {
  if (!config.beacon_enabled) return std::nullopt;
  discovery::BeaconOptions made;
  made.mode = config.beacon_mode;
  made.group = config.beacon_group;
  made.port = static_cast<std::uint16_t>(config.beacon_port);
  made.interval = config.beacon_interval;
  made.timeout = config.beacon_timeout;
  const discovery::SpareCapacity spare{config.beacon_capacity, config.beacon_price};
  made.spare = [spare] { return spare; };
  return made;
}

std::optional<discovery::ExchangeOptions> exchange_options(const Config& config) {
  if (!config.exchange_enabled) return std::nullopt;
  return discovery::ExchangeOptions{};
}

/// What this build ships with comes first.
std::vector<Multiaddr> bootstrap_peers(const Config& config) {
  std::vector<Multiaddr> all = discovery::shipped_bootstrap_peers();
  all.insert(all.end(), config.bootstrap_peers.begin(), config.bootstrap_peers.end());
  return all;
}

transfer::BandwidthLimits bandwidth(const Config& config) {
  return {config.limits_up, config.limits_down, config.limits_exempt_lan};
}

discovery::BootstrapTimes bootstrap_times(const Config& config) {
  discovery::BootstrapTimes times;
  times.min_peers = config.bootstrap_min_peers;
  times.retry_interval = config.bootstrap_retry_interval;
  times.max_retry_interval = config.bootstrap_max_retry_interval;
  times.enough_peers = manager_config(config).target_peers;
  return times;
}

}  // namespace

NodeSettings node_settings(const Config& before, const Config& after, const Paths& paths) {
  NodeSettings made;
  made.replication = {after.mode, replica_folder(after, paths.state_dir)};
  made.manager = manager_config(after);
  made.bootstrap = bootstrap_peers(after);
  made.bootstrap_times = bootstrap_times(after);
  made.measure = after.measure;
  made.bandwidth = bandwidth(after);
  made.mdns = mdns_options(after);
  made.beacon = beacon_options(after);
  made.exchange = exchange_options(after);
  made.mdns_changed = before.mdns_enabled != after.mdns_enabled ||
                      before.mdns_service_name != after.mdns_service_name ||
                      before.mdns_interval != after.mdns_interval;
  made.beacon_changed =
      before.beacon_enabled != after.beacon_enabled || before.beacon_mode != after.beacon_mode ||
      before.beacon_group != after.beacon_group || before.beacon_port != after.beacon_port ||
      before.beacon_interval != after.beacon_interval ||
      before.beacon_timeout != after.beacon_timeout ||
      before.beacon_capacity != after.beacon_capacity || before.beacon_price != after.beacon_price;
  made.exchange_changed = before.exchange_enabled != after.exchange_enabled;
  return made;
}

NodeOptions node_options(const Config& config, const Paths& paths, resources::Manager& resources) {
  NodeOptions made;
  for (const Multiaddr& address : config.listen_addresses) made.listen.push_back({address, true});
  if (made.listen.empty()) {
    for (const Multiaddr& address : default_listen_addresses()) {
      // A machine without IPv6 is no reason to refuse.
      made.listen.push_back({address, !address.has(multiformats::Protocol::kIp6)});
    }
  }
  made.measure = config.measure;
  made.mdns = mdns_options(config);
  made.beacon = beacon_options(config);
  made.exchange = exchange_options(config);
  made.bootstrap.peers = bootstrap_peers(config);
  made.bootstrap.times = bootstrap_times(config);
  made.database = paths.database_file();
  made.library.database = paths.state_dir + "/library.db";
  made.library.install.bytes_max = config.install_bytes_max;
  made.library.install.names_max = config.install_files_max;
  made.catalog.database = paths.state_dir + "/catalog.db";
  made.catalog.replication = {config.mode, replica_folder(config, paths.state_dir)};
  made.keeper.database =
      config.peer_store_path.empty() ? paths.state_dir + "/peers.db" : config.peer_store_path;
  made.keeper.manager = manager_config(config);
  made.keeper.heartbeat.interval = config.heartbeat_interval;
  made.download_dir = paths.data_dir;
  made.swarm.resources = &resources;
  made.bandwidth = bandwidth(config);
  made.transfer.transfers_max = config.transfers_max;
  made.transfer.receive_bytes_max = std::min<std::size_t>(
      made.transfer.receive_bytes_max, static_cast<std::size_t>(config.memory_bytes_max * 3 / 8));
  made.transfer.serve_bytes_max = std::min<std::size_t>(
      made.transfer.serve_bytes_max, static_cast<std::size_t>(config.memory_bytes_max / 4));
  return made;
}

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kDescriptorsUsual;
  const std::uint64_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return limit.rlim_max;
  log::debug("node", "RLIMIT_NOFILE stays as it is");
  return before;
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : kDescriptorsUsual;
}

}  // namespace warren::node
