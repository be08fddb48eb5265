#pragma once
// Where tellers and askers are, as far as their addresses show: who counts as one, and who may hear
// of what.

#include <compare>
#include <optional>
#include <vector>

#include "multiformats/multiaddr.hpp"
#include "peers/network_group.hpp"
#include "resources/prefix.hpp"

namespace warren::discovery {

/// The link that the first IP address in `address` is on, for most: its IPv4 /24 or IPv6 /64.
/// nullopt without an IP address.
std::optional<resources::Prefix> link_of(const Multiaddr& address);

/// Peers that share one allowance, because one owner can have as many identities there as he likes:
/// those of one network of the Internet, and those of one link of a local network.
struct Neighbourhood {
  peers::NetworkGroup group;
  std::optional<resources::Prefix> link;  ///< Of a local address.
  auto operator<=>(const Neighbourhood&) const = default;
};
Neighbourhood neighbourhood_of(const Multiaddr& remote);

/// Whether a record with `addresses` may be handed to a peer at `remote`: a signed record cannot be
/// cut, so every address in it must be one that the peer may know. A private one only a peer of the
/// same link may, as far as that shows: 192.168.1.x of one LAN means nothing in another, and tells
/// of it. One of this machine, and a link-local IPv6 address, only a peer on this machine may; one
/// of the memory transport a peer that came by it.
bool may_hand_on(const std::vector<Multiaddr>& addresses, const Multiaddr& remote);

}  // namespace warren::discovery
