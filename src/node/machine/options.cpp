#include "node/machine/options.hpp"

#include <sys/resource.h>

#include <algorithm>

#include "base/log.hpp"
#include "node/paths.hpp"

namespace warren::node {
namespace {

/// When the system does not tell. Source: the usual soft limit of Linux.
constexpr std::uint64_t kDescriptorsUsual = 1024;

}  // namespace

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
  if (config.mdns_enabled) made.mdns.emplace();
  made.database = paths.database_file();
  made.download_dir = paths.data_dir;
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
