#include "discovery/exchange/exchange_places.hpp"

#include <algorithm>

namespace warren::discovery {
namespace {

using multiformats::Protocol;

std::optional<IpAddress> first_ip(const Multiaddr& address) {
  for (const auto& part : address.components()) {
    if (part.protocol != Protocol::kIp4 && part.protocol != Protocol::kIp6) continue;
    const auto ip = IpAddress::from_bytes(part.value);
    if (ip) return *ip;
  }
  return std::nullopt;
}

bool may_know(const Multiaddr& address, const Multiaddr& remote) {
  if (address.memory_id()) return remote.memory_id().has_value();
  const auto here = first_ip(address);
  if (!here || !here->is_private()) return true;
  const auto there = first_ip(remote);
  if (!there) return false;
  if (there->is_loopback()) return true;
  // fe80::/64 is on every link.
  if (here->is_loopback() || (here->is_v6() && here->is_link_local())) return false;
  return link_of(address) == link_of(remote);
}

}  // namespace

std::optional<resources::Prefix> link_of(const Multiaddr& address) {
  const auto ip = first_ip(address);
  if (!ip) return std::nullopt;
  return resources::Prefix::of(*ip, ip->is_v6() ? 64 : 24);
}

Neighbourhood neighbourhood_of(const Multiaddr& remote) {
  Neighbourhood where{peers::network_group(remote), std::nullopt};
  if (where.group.kind == peers::NetworkGroup::Kind::kLocal) where.link = link_of(remote);
  return where;
}

bool may_hand_on(const std::vector<Multiaddr>& addresses, const Multiaddr& remote) {
  return !addresses.empty() && std::ranges::all_of(addresses, [&](const Multiaddr& address) {
    return may_know(address, remote);
  });
}

}  // namespace warren::discovery
