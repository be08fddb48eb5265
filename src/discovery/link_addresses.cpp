#include "discovery/link_addresses.hpp"

#include <algorithm>

namespace warren::discovery {
namespace {

using multiformats::Component;
using multiformats::Protocol;

/// Parts of an address that carry no text a person or a resolver would be shown.
bool is_plain(Protocol protocol) {
  switch (protocol) {
    case Protocol::kIp4:
    case Protocol::kIp6:
    case Protocol::kTcp:
    case Protocol::kUdp:
    case Protocol::kQuic:
    case Protocol::kQuicV1:
    case Protocol::kWebtransport:
    case Protocol::kCerthash:
    case Protocol::kWebrtcDirect:
    case Protocol::kWs:
    case Protocol::kTls:
    case Protocol::kNoise: return true;
    default:  // Every other code of the published table, some of them unnamed here.
      return false;
  }
}

bool is_plain(const Multiaddr& address) {
  return std::ranges::all_of(address.components(), [](const Component& component) {
    return is_plain(component.protocol);
  });
}

/// The address with another IP, if it is of a kind that can be put together anew.
std::optional<Multiaddr> at_endpoint(const Multiaddr& address, const Endpoint& endpoint) {
  if (address.is_quic()) return Multiaddr::quic(endpoint);
  if (address.is_tcp()) return Multiaddr::tcp(endpoint);
  return std::nullopt;
}

bool fits(const Endpoint& endpoint, const LinkInterface& interface) {
  const IpAddress& ip = endpoint.ip;
  if (interface.loopback) return !(ip.is_v6() && ip.is_link_local());
  return !ip.is_loopback() &&
         std::ranges::find(interface.addresses, ip) != interface.addresses.end();
}

}  // namespace

bool is_on_link(const LinkInterface& interface, const IpAddress& source) {
  return interface.loopback ||
         std::ranges::any_of(interface.prefixes, [&](const resources::Prefix& prefix) {
           return prefix.contains(source);
         });
}

std::vector<Multiaddr> link_addresses(std::span<const Multiaddr> own,
                                      const LinkInterface& interface) {
  std::vector<Multiaddr> fitting;
  const auto add = [&](const Multiaddr& address) {
    const auto endpoint = address.endpoint();
    if (endpoint && fits(*endpoint, interface)) fitting.push_back(address);
  };
  for (const Multiaddr& with_peer : own) {
    Multiaddr address = with_peer.without_peer();
    const auto endpoint = address.endpoint();
    if (!endpoint || endpoint->port == 0) continue;
    if (endpoint->scope_id != 0 && endpoint->scope_id != interface.index) continue;
    // Zones have a meaning on this computer alone.
    if (address.has(Protocol::kIp6Zone)) {
      const auto bare = at_endpoint(address, {endpoint->ip, endpoint->port, 0});
      if (!bare) continue;
      address = *bare;
    }
    if (!is_plain(address)) continue;
    if (!endpoint->ip.is_unspecified()) {
      add(address);
      continue;
    }
    for (const IpAddress& ip : interface.addresses) {
      if (ip.is_v6() != endpoint->ip.is_v6()) continue;
      const auto here = at_endpoint(address, {ip, endpoint->port, 0});
      if (here) add(*here);
    }
  }
  // Loopback first where it is of use; otherwise the order of the binary form.
  std::ranges::sort(fitting, {}, [](const Multiaddr& address) {
    return std::pair(!address.endpoint()->ip.is_loopback(), address);
  });
  const auto twice = std::ranges::unique(fitting);
  fitting.erase(twice.begin(), twice.end());
  return fitting;
}

std::optional<Multiaddr> dialable_address(const Multiaddr& address,
                                          const LinkInterface& interface) {
  const auto endpoint = address.endpoint();
  if (!endpoint || endpoint->port == 0 || !is_plain(address)) return std::nullopt;
  const IpAddress& ip = endpoint->ip;
  if (ip.is_unspecified() || ip.is_multicast()) return std::nullopt;
  if (!ip.is_v6() && ip.bytes()[0] >= 240) return std::nullopt;  // Reserved, and broadcast.
  if (ip.is_loopback() && !interface.loopback) return std::nullopt;
  if (ip.is_v6() && ip.is_link_local()) {
    return at_endpoint(address, {ip, endpoint->port, interface.index});
  }
  return address;
}

}  // namespace warren::discovery
