#include "node/doctor_facts.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "discovery/bootstrap/bootstrap_source.hpp"
#include "discovery/mdns/mdns_machine.hpp"
#include "peers/peer_store.hpp"
#include "runtime/file.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::node {
namespace {

using runtime::awaitable;

/// Of the whole multicast probe. Source: quality statement DI-3 gives the doctor 15 s in all.
constexpr Duration kMulticastTime = 2s;
/// A table of sockets; a machine with more has other worries.
constexpr std::size_t kTableBytesMax = 1u << 20;

std::string read_text(const std::string& path, std::size_t bytes_max) {
  const auto file = runtime::File::open(path);
  if (!file) return "";
  Bytes text(bytes_max);
  const auto size = file->read_at(0, text);
  return size ? std::string(as_text(BytesView(text).first(*size))) : "";
}

std::optional<std::uint64_t> read_number(const std::string& path) {
  const std::string text = read_text(path, 64);
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc{} ? std::optional(number) : std::nullopt;
}

/// The sockets of this process, as the kernel numbers them.
std::vector<std::uint64_t> own_sockets() {
  std::vector<std::uint64_t> own;
  const auto folder = runtime::Directory::open("/proc/self/fd");
  if (!folder) return own;
  const auto items = folder->list(100'000);
  if (!items) return own;
  for (const runtime::DirectoryItem& item : *items) {
    const auto target = folder->read_symlink(item.name);
    constexpr std::string_view kHead = "socket:[";
    if (!target || !target->starts_with(kHead)) continue;
    std::uint64_t inode = 0;
    const char* begin = target->data() + kHead.size();
    if (std::from_chars(begin, target->data() + target->size(), inode).ec == std::errc{}) {
      own.push_back(inode);
    }
  }
  return own;
}

std::uint64_t descriptors_max() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : 0;  // 'up' takes all of them.
}

VolumeFacts look_at_volume(const std::string& path, std::string purpose) {
  VolumeFacts facts{.path = path, .purpose = std::move(purpose), .free_bytes = {}, .problem = ""};
  std::string folder = path;
  for (;;) {
    const auto opened = runtime::Directory::open(folder);
    if (opened) {
      const auto free = opened->free_bytes();
      if (free) facts.free_bytes = *free;
      if (!free) facts.problem = free.error().message();
      return facts;
    }
    facts.problem = opened.error().message();
    const auto slash = folder.rfind('/');
    if (slash == std::string::npos || folder == "/" ||
        opened.error().code() != ErrorCode::kNotFound) {
      return facts;
    }
    // It is made when it is needed: on the volume of the folder above.
    folder = slash == 0 ? "/" : folder.substr(0, slash);
  }
}

/// Opens the store as a node does, which must not run, and reads all of it.
Check look_at_peer_store(const std::string& path) {
  const bool exists = runtime::file_info(path).has_value();
  if (!exists) return check_peer_store(path, false, std::nullopt);
  const auto store = peers::PeerStore::open(path, limits::Peers{}, peers::BookSecret{});
  if (!store) return check_peer_store(path, true, store.error());
  const auto loaded = (*store)->load();
  if (!loaded) return check_peer_store(path, true, loaded.error());
  Check check = check_peer_store(path, true, std::nullopt);
  check.detail += fmt::format(", {} peers", loaded->peers.size());
  if (loaded->skipped > 0) {
    check.verdict = Verdict::kWarn;
    check.detail += fmt::format(", {} damaged rows are left out", loaded->skipped);
  }
  return check;
}

/// What of the machine needs slow calls; on the pool.
struct MachineFacts {
  MdnsPortFacts mdns;
  std::vector<Check> checks;
};
MachineFacts look_at_machine(const Patient& patient, bool look_at_store) {
  MachineFacts facts;
  const auto own = own_sockets();
  for (const char* table : {"/proc/net/udp", "/proc/net/udp6"}) {
    facts.mdns.others +=
        count_udp_sockets(read_text(table, kTableBytesMax), discovery::kMdnsPort, own);
  }
  auto& checks = facts.checks;
  checks.push_back(check_socket_buffers(read_number("/proc/sys/net/core/rmem_max"),
                                        read_number("/proc/sys/net/core/wmem_max")));
  checks.push_back(check_file_watches(read_number("/proc/sys/fs/inotify/max_user_watches")));
  checks.push_back(check_descriptors(descriptors_max(), patient.config.connections_max));
  checks.push_back(check_space({look_at_volume(patient.paths.state_dir, "state"),
                                look_at_volume(patient.paths.data_dir, "downloads")}));
  if (look_at_store) {
    checks.push_back(look_at_peer_store(peer_store_file(patient.config, patient.paths.state_dir)));
  }
  return facts;
}

std::vector<ListenAddress> wanted_addresses(const Config& config) {
  std::vector<ListenAddress> wanted;
  for (const Multiaddr& address : config.listen_addresses) wanted.push_back({address, true});
  if (!wanted.empty()) return wanted;
  for (const Multiaddr& address : default_listen_addresses()) {
    wanted.push_back({address, !address.has(multiformats::Protocol::kIp6)});
  }
  return wanted;
}

/// Where the node listens: an address that it has not bound is one of its warnings.
std::vector<PortFacts> ports_of(const NodeStatus& status) {
  std::vector<PortFacts> all;
  for (const Multiaddr& address : status.listen) {
    all.push_back({address.without_peer().to_string(), true, "", true});
  }
  return all;
}

InboundFacts inbound_of(const Node& node, Duration uptime) {
  InboundFacts facts{.inbound = 0, .outbound = 0, .uptime = uptime};
  for (const PeerView& peer : node.peers()) {
    if (peer.connected) ++(peer.outbound ? facts.outbound : facts.inbound);
  }
  return facts;
}

BootstrapFacts bootstrap_of(const Config& config, const Node& node) {
  BootstrapFacts facts{.configured = config.bootstrap_peers.size(), .reachable = 0, .summary = ""};
  for (const DiscoveryView& source : node.discovery()) {
    if (source.name != discovery::kBootstrapName) continue;
    facts.summary = source.summary;
    // The source tells of each entry that it has reached.
    const auto reached = std::ranges::count(source.seen, false, &SeenPeer::lost);
    facts.reachable = std::min(static_cast<std::size_t>(reached), facts.configured);
  }
  return facts;
}

/// What only a node that runs can tell.
std::vector<Check> look_at_node(const Patient& patient) {
  const Node& node = *patient.node;
  const NodeStatus status = node.status();
  std::vector<Check> checks{check_ports(ports_of(status)),
                            check_inbound(inbound_of(node, status.uptime)),
                            check_bootstrap(bootstrap_of(patient.config, node))};
  if (const auto* beacon = node.beacon()) {
    checks.push_back(check_clock({beacon->clock_offset(), beacon->stale_offset()}));
  }
  checks.push_back(check_peer_store(peer_store_file(patient.config, patient.paths.state_dir), true,
                                    node.keeper().trouble()));
  return checks;
}

/// Broadcast is of IPv4, so what it tells of multicast is, too.
void add_heard(std::vector<MulticastFacts>& facts, const Node& node) {
  if (node.beacon() == nullptr) return;
  for (const discovery::BeaconLinkState& link : node.beacon()->links()) {
    for (MulticastFacts& one : facts) {
      if (one.interface != link.interface || one.v6 || !link.joined) continue;
      one.heard_by_multicast = link.multicast;
      one.heard_by_broadcast = link.broadcast;
    }
  }
}

}  // namespace

std::size_t count_udp_sockets(std::string_view table, std::uint16_t port,
                              const std::vector<std::uint64_t>& own) {
  // "  sl  local_address rem_address   st ... uid timeout inode ...": the head, then one a line.
  constexpr std::size_t kLocal = 1;
  constexpr std::size_t kInode = 9;
  const std::string wanted = fmt::format(":{:04X}", port);
  std::set<std::uint64_t> found;
  for (std::size_t end = table.find('\n'); end != std::string_view::npos;) {
    table.remove_prefix(end + 1);
    end = table.find('\n');
    const std::string_view line = table.substr(0, end);
    std::vector<std::string_view> words;
    for (std::size_t at = 0; words.size() <= kInode;) {
      at = line.find_first_not_of(' ', at);
      if (at == std::string_view::npos) break;
      const std::size_t stop = line.find(' ', at);
      words.push_back(line.substr(at, stop == std::string_view::npos ? stop : stop - at));
      if (stop == std::string_view::npos) break;
      at = stop;
    }
    if (words.size() <= kInode || !words[kLocal].ends_with(wanted)) continue;
    std::uint64_t inode = 0;
    std::from_chars(words[kInode].data(), words[kInode].data() + words[kInode].size(), inode);
    if (std::ranges::find(own, inode) == own.end()) found.insert(inode);
  }
  return found.size();
}

awaitable<std::vector<Check>> examine(runtime::Runtime& runtime, Patient patient) {
  std::vector<Check> checks;
  if (patient.node != nullptr) {
    checks = look_at_node(patient);
  } else {
    checks.push_back(check_ports(probe_ports(runtime, wanted_addresses(patient.config))));
  }
  auto multicast = co_await probe_multicast(runtime, kMulticastTime);
  if (patient.node != nullptr) add_heard(multicast, *patient.node);
  checks.push_back(check_multicast(multicast));
  MachineFacts machine = co_await runtime::run(
      runtime.pool(), [&patient] { return look_at_machine(patient, patient.node == nullptr); });
  const auto joined =
      runtime.bind_datagram({IpAddress(), discovery::kMdnsPort, 0}, {.reuse_port = true});
  if (!joined) machine.mdns.problem = joined.error().message();
  checks.push_back(check_mdns_port(machine.mdns));
  checks.push_back(check_ipv6(look_at_ipv6(runtime)));
  checks.insert(checks.end(), machine.checks.begin(), machine.checks.end());
  checks.push_back(check_configuration(patient.paths.config_file, patient.config_problem));
  co_return checks;
}

}  // namespace warren::node
