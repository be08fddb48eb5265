#pragma once
// What peers say our address is, and when to believe it. A state machine without I/O.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::protocols {

struct ObservedAddressesConfig {
  /// Networks that must agree. Source: go-libp2p asks four observers of different groups.
  std::size_t groups_min = 4;
  /// How long a peer that is gone still counts. Source: go-libp2p.
  Duration window = 40min;
  /// Votes held for one kind of address (IP version and transport); beyond: the oldest goes.
  std::size_t votes_max = 256;
  /// Addresses believed of one kind, those with most votes. Source: go-libp2p.
  std::size_t believed_max = 3;
};

/// Behind a NAT a node learns from others how it is seen. Anyone may lie, so an address is believed
/// only while peers of `groups_min` different networks (IPv4 /16, IPv6 /32) say the same. Each
/// network has one vote for each kind of address, its latest. Only what a peer of the Internet says
/// of an address of the Internet counts, and only on a connection whose own end is one of our
/// listeners: the port of an ephemeral socket says nothing.
class ObservedAddresses {
 public:
  explicit ObservedAddresses(ObservedAddressesConfig config = {}) : config_(config) {}

  struct Observation {
    PeerId observer;
    Multiaddr observer_at;  ///< Where it is: the remote end of the connection.
    Multiaddr local;        ///< Our end of the connection.
    Multiaddr seen;         ///< What the observer calls our end.
  };
  /// Whether believed() has changed. `listening` is where this node listens, unspecified IPs
  /// replaced. What does not count is left out silently.
  bool observe(const Observation& observation, const std::vector<Multiaddr>& listening,
               TimePoint now);
  /// Forgets votes that are older than the window, but of peers that are `connected` still, and
  /// those that were cast for a local address that is not among `listening` any more. Whether
  /// believed() has changed.
  bool expire(const std::function<bool(const PeerId&)>& connected,
              const std::vector<Multiaddr>& listening, TimePoint now);
  /// When expire() should be called next; kNever without votes.
  TimePoint next_expiry() const;

  /// In order; none of them is in the `listening` of the last call.
  const std::vector<Multiaddr>& believed() const { return believed_; }
  std::size_t votes() const;

 private:
  struct Vote {
    Multiaddr seen;
    Multiaddr local;
    PeerId observer;
    TimePoint at;
  };
  using Group = std::string;  ///< The network's prefix.
  using Kind = std::string;   ///< IP version and transport: "ip4/udp/quic-v1".

  bool count_votes(const std::vector<Multiaddr>& listening);

  ObservedAddressesConfig config_;
  std::map<Kind, std::map<Group, Vote>> votes_;
  std::vector<Multiaddr> believed_;
};

}  // namespace warren::protocols
