#include "sim/network.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace warren::sim {
namespace {

constexpr std::uint16_t kEphemeralFirst = 49'152;  // Source: RFC 6335, section 6.
constexpr std::size_t kHeaderBytesV4 = 28;         // IPv4 and UDP.
constexpr std::size_t kHeaderBytesV6 = 48;

/// Whether a socket bound to `bound` gets what is sent to `to`.
bool matches(const Endpoint& bound, const IpAddress& to, bool v4_too) {
  if (bound.ip == to) return true;
  if (!bound.ip.is_unspecified()) return false;
  return bound.ip.is_v6() == to.is_v6() || (bound.ip.is_v6() && v4_too);
}

bool overlap(const IpAddress& a, const IpAddress& b) {
  if (a.is_v6() != b.is_v6()) return false;
  return a == b || a.is_unspecified() || b.is_unspecified();
}

Result<> check_local(const World& world, Host host, const IpAddress& ip) {
  const bool ours = ip.is_unspecified() || ip.is_loopback() || host_of(ip) == host ||
                    std::ranges::count(world.added_addresses(host), ip) != 0;
  if (ours || ip.is_multicast()) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("bind {}: not an address of simulated host {}", ip.to_string(), host));
}

/// Whether a socket gets what is sent to `to`, a group or all.
bool takes_from_all(const DatagramPort& port, const IpAddress& to, std::uint32_t interface_index) {
  if (!is_broadcast(to)) return port.joined(to, interface_index);
  return port.bound().ip.is_unspecified() && (!port.bound().ip.is_v6() || port.takes_v4_too());
}

/// The entries of `ports` on one port of one host.
template <class Map>
auto on_port(Map& ports, Host host, std::uint16_t port) {
  return std::ranges::subrange(ports.lower_bound({host, port, 0}),
                               ports.upper_bound({host, port, UINT64_MAX}));
}

}  // namespace

bool is_broadcast(const IpAddress& ip) {
  return ip == IpAddress::v4(255, 255, 255, 255) || ip == IpAddress::v4(127, 255, 255, 255);
}

std::uint16_t Network::ephemeral_port(Host host) {
  for (;;) {
    std::uint16_t& next = next_port_[host];
    if (next < kEphemeralFirst) next = kEphemeralFirst;
    const std::uint16_t port = next++;  // Wraps to 0, and then to the first one.
    if (on_port(datagram_, host, port).empty() && on_port(stream_, host, port).empty()) return port;
  }
}

Result<Endpoint> Network::claim_datagram(Host host, Endpoint local, bool reuse_port) {
  WARREN_TRY_VOID(check_local(world_, host, local.ip));
  if (local.port == 0) local.port = ephemeral_port(host);
  for (const auto& [key, port] : on_port(datagram_, host, local.port)) {
    if (!overlap(port->bound().ip, local.ip) || (reuse_port && port->reuses_port())) continue;
    return fail(ErrorCode::kConflict,
                fmt::format("bind UDP {}: the port is in use", local.to_string()));
  }
  return local;
}

Result<Endpoint> Network::claim_stream(Host host, Endpoint local) {
  WARREN_TRY_VOID(check_local(world_, host, local.ip));
  if (local.port == 0) local.port = ephemeral_port(host);
  for (const auto& [key, port] : on_port(stream_, host, local.port)) {
    if (!overlap(port->bound().ip, local.ip)) continue;
    return fail(ErrorCode::kConflict,
                fmt::format("listen on TCP {}: the port is in use", local.to_string()));
  }
  return local;
}

std::uint64_t Network::attach(Host host, DatagramPort& port) {
  datagram_[{host, port.bound().port, ++serial_}] = &port;
  return serial_;
}

void Network::detach(Host host, std::uint16_t port, std::uint64_t serial) {
  datagram_.erase({host, port, serial});
}

std::uint64_t Network::attach(Host host, StreamPort& port) {
  stream_[{host, port.bound().port, ++serial_}] = &port;
  return serial_;
}

void Network::detach_stream(Host host, std::uint16_t port, std::uint64_t serial) {
  stream_.erase({host, port, serial});
}

StreamPort* Network::stream_port(Host host, const Endpoint& to) const {
  for (const auto& [key, port] : on_port(stream_, host, to.port)) {
    if (matches(port->bound(), to.ip, false)) return port;
  }
  return nullptr;
}

Host Network::resolve(Host from, const IpAddress& ip) const {
  if (ip.is_loopback()) return from;
  const Host host = world_.owner_of(ip);
  if (ip.is_link_local() && host != 0 && world_.lan_of(from) != world_.lan_of(host)) return 0;
  return host;
}

IpAddress Network::source_for(Host host, const IpAddress& to) const {
  if (to.is_loopback()) return to;
  if (!to.is_private() && !to.is_multicast()) {
    for (const IpAddress& ip : world_.added_addresses(host)) {
      if (ip.is_v6() == to.is_v6() && !ip.is_private()) return ip;
    }
  }
  if (!to.is_v6()) return host_v4(host);
  return to.is_link_local() || to.is_multicast() ? host_link_local(host) : host_v6(host);
}

IpAddress Network::seen_from_outside(Host host, const IpAddress& ip, const IpAddress& peer) const {
  if (peer.is_private() || peer.is_multicast() || !ip.is_private()) return ip;
  return world_.outside_address(host, ip.is_v6()).value_or(ip);
}

IpAddress Network::seen_from_inside(Host host, const IpAddress& ip) const {
  if (world_.outside_address(host, ip.is_v6()) != ip) return ip;
  return ip.is_v6() ? host_v6(host) : host_v4(host);
}

bool Network::lose_segments(Host from, Host to, Packet& packet, TimePoint& through) {
  const LinkModel& model = world_.link_between(from, to);
  const std::size_t header = packet.to.ip.is_v6() ? kHeaderBytesV6 : kHeaderBytesV4;
  Counters& counters = world_.counters();
  Bytes kept;
  kept.reserve(packet.bytes.size());
  std::size_t at = 0;
  do {  // A datagram may be empty.
    const BytesView rest = BytesView(packet.bytes).subspan(at);
    const BytesView segment = rest.first(std::min(packet.segment_bytes, rest.size()));
    at += segment.size();
    ++counters.datagrams_sent;
    const auto done = world_.through_bottleneck(from, to, segment.size() + header, true);
    if (!done) {
      ++counters.datagrams_queue_full;
    } else if (through = *done; world_.chance(model.loss)) {
      ++counters.datagrams_lost;
    } else if (segment.empty()) {
      return true;
    } else {
      append(kept, segment);
    }
  } while (at < packet.bytes.size());
  packet.bytes = std::move(kept);
  packet.segment_bytes = std::min(packet.segment_bytes, packet.bytes.size());
  return !packet.bytes.empty();
}

void Network::send_unicast(Host from, Host to, Packet packet) {
  packet.from.ip = seen_from_outside(from, packet.from.ip, packet.to.ip);
  packet.to.ip = seen_from_inside(to, packet.to.ip);
  const LinkModel& model = world_.link_between(from, to);
  world_.trace({from, to, packet.from.port, packet.to.port, packet.bytes.size()});
  TimePoint at = world_.now();
  if (!lose_segments(from, to, packet, at)) return;
  at += world_.between(model.latency_min, model.latency_max);
  // Latency that varies keeps the order, as a queue does; `reorder` alone breaks it.
  TimePoint& last = last_arrival_[{from, to}];
  if (world_.chance(model.reorder)) {
    at += world_.between(Duration(1), model.reorder_delay_max);
  } else {
    last = at = std::max(at, last);
  }
  if (world_.chance(model.duplicate)) {
    const Duration later = world_.between(Duration(1), model.latency_max);
    world_.schedule(at + later, [this, from, to, copy = packet]() mutable {
      if (world_.reachable(from, to)) arrive(to, std::move(copy));
    });
  }
  world_.schedule(at, [this, from, to, packet = std::move(packet)]() mutable {
    if (world_.reachable(from, to)) {
      arrive(to, std::move(packet));
    } else {
      ++world_.counters().datagrams_lost;
    }
  });
}

void Network::send_multicast(Host from, std::uint32_t interface_index, bool loop,
                             const Packet& packet) {
  std::set<Host> hosts;
  for (const auto& [key, port] : datagram_) {
    const Host host = std::get<0>(key);
    if (std::get<1>(key) != packet.to.port) continue;
    if (!takes_from_all(*port, packet.to.ip, interface_index)) continue;
    if (host == from ? !loop : interface_index == kLoopbackInterface) continue;
    if (world_.lan_of(host) == world_.lan_of(from)) hosts.insert(host);
  }
  for (const Host host : hosts) send_unicast(from, host, packet);
}

void Network::arrive(Host host, Packet packet) {
  const bool to_all = packet.to.ip.is_multicast() || is_broadcast(packet.to.ip);
  std::vector<DatagramPort*> takers;
  for (const auto& [key, port] : on_port(datagram_, host, packet.to.port)) {
    const bool takes = to_all ? takes_from_all(*port, packet.to.ip, packet.interface_index)
                              : matches(port->bound(), packet.to.ip, port->takes_v4_too());
    if (!takes) continue;
    // One socket gets a unicast datagram: the one bound most closely.
    if (!to_all && !takers.empty()) {
      if (takers.front()->bound().ip.is_unspecified()) takers.front() = port;
    } else {
      takers.push_back(port);
    }
  }
  if (takers.empty()) ++world_.counters().datagrams_no_socket;
  for (DatagramPort* port : takers) port->deliver(packet);
}

}  // namespace warren::sim
