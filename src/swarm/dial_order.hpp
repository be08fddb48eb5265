#pragma once
// In which order the addresses of a peer are tried, and with which head starts.

#include <vector>

#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"

namespace warren::swarm {

struct DialCandidate {
  Multiaddr address;
  /// How long after the candidate before it this one starts, if nothing has failed by then.
  Duration head_start{};
};

struct DialStagger {
  Duration after_private;  ///< Head start of an address of a LAN or this machine over the next.
  Duration after_public;
};

/// Best first: addresses of the LAN, of this machine, public ones, relays; within each QUIC before
/// TCP before WebSocket; IPv4 first in a LAN, IPv6 first outside. Equal ones keep their order,
/// doubles are left out. At most `addresses_max` are kept.
/// Source: go-libp2p's dial ranker; RFC 8305, section 4.
std::vector<DialCandidate> order_for_dialing(std::vector<Multiaddr> addresses, DialStagger stagger,
                                             std::size_t addresses_max);

}  // namespace warren::swarm
