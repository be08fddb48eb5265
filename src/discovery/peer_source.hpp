#pragma once
// The one interface of everything that finds peers: mDNS, beacon, bootstrap, exchange; the DHT
// later. What a source tells is a hint that anyone on the network may have forged: only the
// handshake of a connection proves a peer id (docs/protocols/mdns.md, "Trust").

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::discovery {

using boost::asio::awaitable;

/// What a peer offers to others, as its beacon says it.
struct SpareCapacity {
  std::uint64_t free_bytes = 0;
  std::uint64_t price_micro_per_mib = 0;  ///< Of one MiB, in millionths of the unit of account.
  bool operator==(const SpareCapacity&) const = default;
};

/// Where a peer is said to be.
struct PeerHint {
  PeerId peer;
  /// All that this source knows of the peer now; each an IP address with its transport, without
  /// /p2p at the end, at most limits::Discovery::addresses_per_peer_max of them. May be empty only
  /// in peer_lost().
  std::vector<Multiaddr> addresses;
  std::string_view via;  ///< PeerSource::name() of the source: "mdns". Lives for ever.
  TimePoint seen;        ///< When it was last heard of.
  /// The signed peer record behind it, as it came (wire/peer_record.hpp); null when there is none.
  std::shared_ptr<const Bytes> record{};
  std::uint64_t record_sequence = 0;
  /// Where the one that told it is, when that was another peer.
  std::optional<Multiaddr> told_by{};
  std::optional<SpareCapacity> spare{};
};

/// Whom a source tells. Called on the core thread, never from inside a call into the source.
class PeerSink {
 public:
  virtual ~PeerSink() = default;
  /// A peer was heard of for the first time, or its addresses have changed. The source bounds how
  /// often it calls this (limits::Discovery::hints_per_second_max).
  virtual void peer_found(const PeerHint& hint) = 0;
  /// The peer said goodbye, or was not heard of for its time to live.
  virtual void peer_lost(const PeerHint& hint) = 0;
};

/// What a source did on one interface since it started: the text "sent 4, heard 0 on wlan0".
struct SourceCounters {
  std::string interface;          ///< Name of the interface; empty where there is none.
  std::uint64_t sent = 0;         ///< Packets sent: questions, answers and announcements.
  std::uint64_t send_failed = 0;  ///< Packets that the system refused to send.
  std::uint64_t heard = 0;        ///< Packets received that were not our own.
  std::uint64_t heard_peers = 0;  ///< Those among them that announced a peer.
  std::uint64_t malformed = 0;    ///< Packets that do not follow their format.
  std::uint64_t throttled = 0;    ///< Times that reading paused: packets came too fast.
  bool usable = true;             ///< The interface is up and its group could be joined.
};

/// "sent 4, heard 0 on wlan0, eth0" over all of `counters`; what was heard are peers.
std::string summary_of(const std::vector<SourceCounters>& counters);

class PeerSource {
 public:
  virtual ~PeerSource() = default;
  /// Short and stable: "mdns", "multicast" (the beacon), "bootstrap", "pex" (peer exchange). Stands
  /// in PeerHint::via and in `warren peers`.
  virtual std::string_view name() const = 0;
  /// Starts looking and announcing; `sink` must outlive stop(). Errors: kConflict or kDenied when
  /// no socket could be bound; then nothing runs. Call once.
  virtual Result<> start(PeerSink& sink) = 0;
  /// Says goodbye and ends every task. Tells the sink nothing more. Cancel: unsafe.
  virtual awaitable<void> stop() = 0;
  /// Asks the network again now, as `warren peers --refresh` does.
  virtual void refresh() = 0;
  /// The node's own addresses may have changed: look at them now instead of at the next poll.
  virtual void addresses_changed() = 0;
  /// One entry per interface that was ever used, in order of interface index; empty for a source
  /// that uses none.
  virtual std::vector<SourceCounters> counters() const = 0;
  /// One line without the name: "sent 4, heard 0 on wlan0, eth0", "0 of 3 reachable (2 timed out,
  /// 1 refused)", "no peers to ask". Source: quality statement DI-2.
  virtual std::string summary() const = 0;
};

}  // namespace warren::discovery
