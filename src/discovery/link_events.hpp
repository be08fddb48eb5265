#pragma once
// What happens on the links of this computer, and what is wanted from it: the events that the
// machines of mDNS and the beacon take, and the actions that both have. LinkSockets
// (link_sockets.hpp) brings the events.

#include <variant>
#include <vector>

#include "discovery/link_addresses.hpp"
#include "discovery/peer_source.hpp"

namespace warren::discovery {

/// All interfaces to use now; replaces what was known.
struct InterfacesChanged {
  std::vector<LinkInterface> interfaces;
};
/// All addresses that the node listens on now, with or without /p2p.
struct AddressesChanged {
  std::vector<Multiaddr> addresses;
};
struct PacketReceived {
  std::uint32_t interface_index = 0;
  IpAddress from;
  bool multicast = false;  ///< Else it was broadcast.
  BytesView bytes;
};
struct TimerFired {};
/// Ask or announce again now.
struct RefreshAsked {};
/// Say goodbye; every later event is ignored.
struct StopAsked {};
using LinkEvent = std::variant<InterfacesChanged, AddressesChanged, PacketReceived, TimerFired,
                               RefreshAsked, StopAsked>;

struct TellFound {
  PeerHint hint;
};
struct TellLost {
  PeerHint hint;
};
/// Replaces the timer set before it; kNever: none.
struct SetTimer {
  TimePoint at;
};

}  // namespace warren::discovery
