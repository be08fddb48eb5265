#pragma once
// What a person or a program sees of a node, by value. Texts that come from peers (agent, names)
// are as the peer said them: who shows them escapes them (escape.hpp).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "discovery/peer_source.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"
#include "resources/usage.hpp"

namespace warren::node {

/// One peer: connected, or heard of.
struct PeerView {
  PeerId peer;
  bool connected = false;
  std::vector<Multiaddr> addresses;  ///< With /p2p: in use first, then what is known besides.
  std::string agent;                 ///< What it says it runs; empty before identify.
  std::vector<std::string> protocols;
  std::string path;         ///< "lan/quic", "wan/tcp", "lan/memory"; empty when not connected.
  std::string via;          ///< How it came to be known: peers::origin_name().
  std::string name;         ///< The one that a person gave it, else empty.
  std::string public_key;   ///< key_text(); empty while it is not known.
  bool outbound = false;    ///< Its preferred connection was dialled from here.
  bool kept = false;        ///< A person asked for it: it is dialled again for ever.
  bool pinned = false;      ///< A person gave its key.
  bool anchor = false;      ///< Dialled first after a restart.
  double reputation = 0.5;  ///< 0 to 1.
  double score = 0;         ///< Of the connection manager: larger is kept longer.
  std::optional<WallTime> first_seen;
  std::optional<WallTime> last_seen;
  std::optional<WallTime> banned_until;  ///< WallTime::max(): until it is lifted.
  std::optional<Duration> rtt;
  std::uint64_t bytes_received = 0;  ///< Over its connections of now.
  std::uint64_t bytes_sent = 0;
  std::optional<Duration> connected_for;
  std::size_t streams_open = 0;
  std::size_t connections = 0;
};

/// What a source told of one peer last.
struct SeenPeer {
  PeerId peer;
  std::vector<Multiaddr> addresses;
  Duration seen_ago{};
  bool lost = false;  ///< It said goodbye, or was not heard of any more.
  std::optional<discovery::SpareCapacity> spare;
};

/// A peer to add, as a person says it.
struct AddPeer {
  /// A multiaddr, with or without /p2p; or the id of a peer that is known.
  std::string address;
  /// The key that has to answer there: a peer id, or what key_text() gives. Empty: whoever answers,
  /// unless `name` is tied to a key already.
  std::string expected_key;
  /// A name for it, tied to its key from then on. Empty: none.
  std::string name;
};

/// One way of finding peers, and what it saw.
struct DiscoveryView {
  std::string name{};     ///< "mdns".
  std::string problem{};  ///< Why it does not run; empty when it does.
  std::string summary{};  ///< One line: PeerSource::summary().
  std::vector<discovery::SourceCounters> counters{};
  std::vector<SeenPeer> seen{};  ///< In order of peer id; only of Node::discovery().
};

struct NodeStatus {
  PeerId peer;
  std::string version;
  /// With /p2p; unspecified addresses replaced by real ones, and behind a NAT the outer ones that
  /// enough peers of different networks have told.
  std::vector<Multiaddr> listen;
  std::vector<DiscoveryView> discovery;
  Duration uptime{};
  std::size_t peers_connected = 0;
  std::size_t peers_known = 0;
  std::uint64_t dials_failed = 0;  ///< Of discovery's hints, to peers that are still remembered.
  std::size_t shares = 0;
  std::size_t transfers_active = 0;
  std::size_t transfers_paused = 0;
  std::uint64_t bytes_received = 0;  ///< Since the start, by all connections.
  std::uint64_t bytes_sent = 0;
  /// What peers were refused at a limit since the start, by where the limit is and of what.
  std::vector<resources::Refusals> refused;
  std::vector<std::string> warnings;
};

}  // namespace warren::node
