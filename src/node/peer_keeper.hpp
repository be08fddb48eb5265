#pragma once
// Decides whom to dial and when: peers that discovery tells of, and peers that a person connected
// to and that went away. A state machine without I/O; Node drives it.

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::node {

struct KeeperConfig {
  /// Peers remembered. Beyond: a new hint is ignored unless a peer that is neither connected nor
  /// kept by a person can be forgotten for it.
  std::size_t peers_max = 1024;
  /// Addresses remembered of one peer; the rest of a hint is ignored.
  std::size_t addresses_max = 16;
  /// Dials in progress that nobody asked for by hand. Source: quality statement P17.
  std::size_t dials_max = 8;
  /// Connected peers from which on hints are kept but not dialled; peers kept by a person are.
  std::size_t connected_max = 128;
  /// Wait after a failed dial or a lost connection: doubles from the least to the most, with a
  /// fifth of jitter. Source: limits of go-libp2p's dial back-off.
  Duration backoff_min = 5s;
  Duration backoff_max = 5min;
  /// Both sides hear of each other at the same moment: the one with the larger peer id gives the
  /// other this head start, so that one connection is made and not two.
  Duration head_start = 500ms;
  /// How long a peer that a person disconnected is left alone.
  Duration left_alone = 10min;
};

/// What is remembered of one peer.
struct KnownPeer {
  std::vector<Multiaddr> addresses;  ///< Of discovery and of a person, without /p2p.
  std::string via;                   ///< "mdns", "manual", or "inbound": how it came to be known.
  bool kept = false;                 ///< A person connected to it: it is dialled again for ever.
  bool connected = false;
  bool dialling = false;
  TimePoint since{};      ///< Of the connection, or of the last change to this entry.
  TimePoint next_dial{};  ///< Not before.
  std::uint32_t failures = 0;
  std::uint64_t dials_failed = 0;
};

class PeerKeeper {
 public:
  /// `rng` gives the jitter and must outlive the keeper.
  PeerKeeper(PeerId self, KeeperConfig config, std::mt19937_64& rng);

  /// Discovery tells where a peer is; replaces what the same source told before.
  void found(const PeerId& peer, std::vector<Multiaddr> addresses, std::string_view via,
             TimePoint now);
  /// Discovery lost it. A peer without connection and not kept is forgotten.
  void lost(const PeerId& peer);
  /// A person connected to `peer` at `address`.
  void keep(const PeerId& peer, const Multiaddr& address, TimePoint now);
  /// A person disconnected `peer`: no dial of ours for KeeperConfig::left_alone.
  void leave(const PeerId& peer, TimePoint now);
  /// The first connection to it is there, or the last one went.
  void connected(const PeerId& peer, TimePoint now);
  void disconnected(const PeerId& peer, TimePoint now);

  struct Dial {
    PeerId peer;
    std::vector<Multiaddr> addresses;
  };
  /// The next peer to dial now, marked as being dialled; dial_ended() has to follow.
  std::optional<Dial> next_dial(TimePoint now);
  void dial_ended(const PeerId& peer, bool success, TimePoint now);
  /// When next_dial() may have something to do that it has not now; kNever if only an event can
  /// change that.
  TimePoint next_wake() const;

  const KnownPeer* find(const PeerId& peer) const;
  const std::map<PeerId, KnownPeer>& peers() const { return peers_; }
  std::size_t dials() const { return dials_; }

 private:
  KnownPeer* entry(const PeerId& peer, std::string_view via, TimePoint now);
  bool wanted(const KnownPeer& known) const;
  void back_off(KnownPeer& known, TimePoint now);
  void check_invariants() const;

  PeerId self_;
  KeeperConfig config_;
  std::mt19937_64& rng_;
  std::map<PeerId, KnownPeer> peers_;
  std::size_t dials_ = 0;
  std::size_t connected_ = 0;
};

}  // namespace warren::node
