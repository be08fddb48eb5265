#pragma once
// The peers whose beacons are heard: bounded, expiring, and telling of changes at a bounded rate.

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/endpoint.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "discovery/beacon/beacon_codec.hpp"
#include "discovery/peer_source.hpp"
#include "discovery/token_bucket.hpp"

namespace warren::discovery::beacon {

/// Those that count as one sender on an interface: an IPv4 address, or all of an IPv6 /64, of which
/// one computer may take as many addresses as it likes.
using SourceGroup = std::pair<std::uint32_t, IpAddress>;
SourceGroup source_group(std::uint32_t interface_index, const IpAddress& source);

/// Where and how a packet came in.
struct Arrival {
  std::uint32_t interface_index = 0;
  bool loopback = false;
  bool multicast = false;
  IpAddress source;
  std::size_t digest = 0;  ///< Of the whole packet, to know its copies.
};

/// What one source address on one interface last said of a peer; proven.
struct Sighting {
  std::uint32_t interface_index = 0;
  IpAddress source;
  std::vector<Multiaddr> addresses;
  std::uint64_t serial = 0;
  std::size_t digest = 0;
  TimePoint heard;
  TimePoint multicast_at;  ///< When last by multicast; long ago: never.
  TimePoint expires;
};

struct KnownPeer {
  PeerId id;
  std::vector<Sighting> sightings;
  TimePoint since;
  SpareCapacity spare;
  std::uint64_t serial = 0;  ///< The greatest of all.
  Duration clock_ahead{0};   ///< Of its clock before ours.
  TokenBucket checks;
  bool told = false;                      ///< The listener knows it.
  bool queued = false;                    ///< It stands in the queue of those to be told.
  std::vector<Multiaddr> told_addresses;  ///< Sorted.
  SpareCapacity told_spare;
  TimePoint told_at;

  Sighting* sighting(const Arrival& arrival);
};

class BeaconTable {
 public:
  explicit BeaconTable(limits::Beacon limits);

  KnownPeer* find(const RawKey& key);
  /// The serial at which this peer, unknown now, was last heard; 0 for one never heard of.
  std::uint64_t departed_serial(const RawKey& key, TimePoint now) const;
  /// Whether hear() could take a beacon of `key` from where it was not heard before; cheap.
  bool may_have_room(const RawKey& key, const Arrival& arrival) const;
  enum class Outcome : std::uint8_t {
    kNoRoom,  ///< Nothing was taken.
    kKnown,   ///< Of a peer that was known. New addresses that did not fit were left out.
    kNew,
  };
  /// Takes what a peer said; proven, and newer than before. `addresses`, not empty, are those that
  /// can be dialled. When the table is full, the newest peers of the source with the most give way
  /// to one of a source that has fewer also with it: no source takes the place of another that has
  /// no more than itself.
  Outcome hear(const RawKey& key, const Arrival& arrival, const Announcement& said,
               std::vector<Multiaddr> addresses, Duration clock_ahead, TimePoint now,
               TimePoint expires);
  /// The same packet once more: another IP version, or broadcast beside multicast. False when
  /// nothing like it was heard there.
  bool hear_copy(KnownPeer& peer, const Arrival& arrival, TimePoint now);
  /// The peer said that it leaves, at `serial`.
  void goodbye(const RawKey& key, std::uint64_t serial, TimePoint now);
  /// All that was heard there is void.
  void drop_interface(std::uint32_t interface_index, TimePoint now);
  /// Looks for peers that were silent for too long.
  void sweep(TimePoint now);

  /// Peers that were told of and are gone.
  std::vector<PeerHint> take_lost();
  /// New and changed peers, oldest first, as many as the rate allows now.
  std::vector<PeerHint> take_found(TimePoint now);
  /// When one of the two above may have something next, sweeps left aside.
  TimePoint next_due(TimePoint now) const;

  bool empty() const noexcept { return peers_.empty(); }
  std::size_t peers() const noexcept { return peers_.size(); }
  std::size_t bytes() const noexcept { return bytes_; }
  /// Peers heard on the interface since `since`: whether any came by multicast, and whether any
  /// came only otherwise.
  struct Heard {
    bool by_multicast = false;
    bool otherwise_alone = false;
  };
  Heard heard_since(std::uint32_t interface_index, TimePoint since) const;
  /// The median of KnownPeer::clock_ahead.
  std::optional<Duration> clock_ahead() const;

  /// Cheap; after every event.
  void check_invariants() const;
  /// Walks over everything; for tests and fuzzing.
  void check_all() const;

 private:
  using Peers = std::map<RawKey, KnownPeer>;
  struct Departed {
    std::uint64_t serial = 0;
    TimePoint at;
  };

  static std::size_t cost(const std::vector<Multiaddr>& addresses);
  Sighting& add_sighting(KnownPeer& peer, const Arrival& arrival);
  void set_addresses(KnownPeer& peer, const RawKey& key, Sighting& sighting,
                     std::vector<Multiaddr> addresses);
  bool has_room(bool new_peer, std::size_t bytes) const;
  bool make_room(const SourceGroup& group, bool new_peer, std::size_t bytes, TimePoint now);
  bool yields(const SourceGroup& to) const;
  std::size_t count(const SourceGroup& group) const;
  void set_count(const SourceGroup& group, std::size_t count);
  template <class Gone>
  Peers::iterator remove_from(Peers::iterator peer, TimePoint now, Gone gone);
  void forget(const Sighting& sighting);
  void remember_departed(const RawKey& key, std::uint64_t serial, TimePoint now);
  void enqueue(const RawKey& key, KnownPeer& peer);
  bool may_tell(TimePoint now) const;
  PeerHint describe(const KnownPeer& peer) const;

  limits::Beacon limits_;
  Peers peers_;
  std::map<SourceGroup, std::size_t> groups_;  ///< Sightings of each.
  std::set<std::pair<std::size_t, SourceGroup>> by_count_;
  std::map<RawKey, Departed> departed_;
  std::deque<RawKey> queue_;  ///< To be told of, each once.
  std::vector<PeerHint> lost_;
  std::size_t bytes_ = 0;
  std::deque<TimePoint> told_at_;  ///< The last hints, at most hints_per_second_max of them.
};

}  // namespace warren::discovery::beacon
