#pragma once
// Which addresses mean something on a link: of our own, those that its listeners can reach; of what
// was heard there, those that can be dialled.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/endpoint.hpp"
#include "multiformats/multiaddr.hpp"
#include "resources/prefix.hpp"

namespace warren::discovery {

/// One interface of this computer.
struct LinkInterface {
  std::uint32_t index = 0;
  std::vector<IpAddress> addresses;
  bool loopback = false;
  std::vector<resources::Prefix> prefixes{};  ///< The networks of its addresses.
  bool joined = false;                        ///< In a multicast group there.
  bool operator==(const LinkInterface&) const = default;
};

/// Whether `source` may be on the link of `interface`: on loopback every one, else those within its
/// prefixes. What routers forward, or somebody forges, comes from elsewhere.
bool is_on_link(const LinkInterface& interface, const IpAddress& source);

/// Those of `own` that a listener on `interface` can reach, each once, without /p2p: loopback
/// addresses only on a loopback interface and first there, link-local ones without a zone; the rest
/// in the order of their binary form. Unspecified IPs stand for those of the interface. Addresses
/// of relays, and those that are no IP address with a transport made of known parts without text,
/// are left out.
std::vector<Multiaddr> link_addresses(std::span<const Multiaddr> own,
                                      const LinkInterface& interface);

/// `address`, heard on `interface`, as it is to be dialled, or nothing: it must be an IP address
/// with a transport made of known parts without text; no relay, no zone, no unspecified or
/// multicast IP, no port 0; a loopback IP only from a loopback interface. A link-local IPv6 address
/// gets the interface as its zone.
std::optional<Multiaddr> dialable_address(const Multiaddr& address, const LinkInterface& interface);

}  // namespace warren::discovery
