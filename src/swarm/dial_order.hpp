#pragma once
// In which order the addresses of a peer are tried, and when.

#include <vector>

#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"

namespace warren::swarm {

struct DialCandidate {
  Multiaddr address;
  /// When it starts, counted from the start of the first one, if nothing has failed by then.
  Duration delay{};
};

struct DialStagger {
  /// Head start within a LAN and on this machine, and of these over public addresses.
  Duration step_private = std::chrono::milliseconds(30);
  /// Head start within public addresses and within relays.
  Duration step_public = std::chrono::milliseconds(250);
  /// Head start of all others over relays.
  Duration before_relay = std::chrono::milliseconds(500);
};

/// Best first, in three groups: addresses of the LAN and of this machine, public ones, relays. In
/// each QUIC comes before TCP before WebSocket, each kind a step after the one before it; of one
/// kind the second address starts one step after the first, and is of the other IP version if there
/// is one; the rest two steps after the first. IPv4 comes first in a LAN, IPv6 outside. Equal ones
/// keep their order, doubles are left out, and at most `addresses_max` are kept.
/// Source: go-libp2p's dial ranker (30 ms, 250 ms, 500 ms); RFC 8305, section 4. There TCP waits
/// for two steps when two QUIC addresses are known; here for one, because a network that drops UDP
/// drops it for both.
std::vector<DialCandidate> order_for_dialing(std::vector<Multiaddr> addresses, DialStagger stagger,
                                             std::size_t addresses_max);

}  // namespace warren::swarm
