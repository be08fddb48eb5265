#pragma once
// Which addresses probably belong to one owner. Diversity is counted in such groups.

#include <compare>
#include <cstdint>
#include <string>

#include "multiformats/multiaddr.hpp"

namespace warren::peers {

/// A part of the network: an IPv4 /16, an IPv6 /32, or all of the addresses that are not of the
/// Internet as one. Compares by value. Source: Bitcoin Core's netgroup, which uses the same widths.
struct NetworkGroup {
  enum class Kind : std::uint8_t {
    kLocal,  ///< Private, link-local and loopback addresses: never counted against diversity.
    kIpv4,   ///< `bits`: the first 16 bits of the address.
    kIpv6,   ///< `bits`: the first 32 bits.
    kName,   ///< A DNS name: `bits` is a hash of it.
    kOther,  ///< The memory transport, as /16s of its ids: `bits` is the id divided by 65,536.
  };
  Kind kind = Kind::kLocal;
  std::uint64_t bits = 0;
  auto operator<=>(const NetworkGroup&) const = default;
  /// "198.51.0.0/16", "2001:db8::/32", "local".
  std::string to_string() const;
};

/// Of the first IP address, name or memory id in `address`; of a relay's address it is the relay's.
/// /memory/N stands for N modulo 2^32; below 65,536 it is kLocal, as the simulated LAN.
NetworkGroup network_group(const Multiaddr& address);

}  // namespace warren::peers
