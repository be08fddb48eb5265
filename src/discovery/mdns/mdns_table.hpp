#pragma once
// The peers that mDNS knows of: bounded, expiring, and telling of changes at a bounded rate.

#include <deque>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/endpoint.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "discovery/mdns/mdns_packets.hpp"

namespace warren::discovery {

/// A peer as it stands in the table.
struct KnownPeer {
  PeerId peer;
  std::vector<Multiaddr> addresses;
  TimePoint seen;
};

class MdnsTable {
 public:
  /// hints_per_second_max must not be 0.
  explicit MdnsTable(limits::Discovery limits);

  /// Takes one announcement with a peer in it, heard on an interface from `source`; it is kept
  /// until `expires`. False: a limit kept it out.
  bool hear(const Announcement& announcement, const MdnsInterface& interface, IpAddress source,
            TimePoint now, TimePoint expires);
  /// The name `name` has left the interface.
  void goodbye(std::string_view name, std::uint32_t interface_index);
  /// All that was heard there is void.
  void drop_interface(std::uint32_t interface_index);

  /// Removes what has expired, then gives the peers that were told of and are gone. Call before
  /// take_found(). Cheap while nothing is due.
  std::vector<KnownPeer> take_lost(TimePoint now);
  /// New and changed peers, oldest first, as many as the rate allows now.
  std::vector<KnownPeer> take_found(TimePoint now);
  /// When one of the two above may have something next; kNever: not by time alone.
  TimePoint next_due(TimePoint now) const;

  std::size_t peers() const noexcept { return peers_.size(); }
  std::size_t bytes() const noexcept { return bytes_; }
  /// Cheap; after every event.
  void check_invariants() const;
  /// Walks over everything; for tests and fuzzing.
  void check_all() const;

 private:
  struct Address {
    Multiaddr address;
    TimePoint heard;
  };
  /// One instance name on one interface.
  struct Sighting {
    std::string name;
    std::uint32_t interface_index = 0;
    IpAddress source;
    bool counted = false;  ///< Counts towards peers_per_source_max.
    std::vector<Address> addresses;
    TimePoint heard;
    TimePoint expires;
  };
  struct Peer {
    std::vector<Sighting> sightings;
    bool told = false;    ///< The listener knows it.
    bool queued = false;  ///< It stands in queue_.
  };
  using Peers = std::unordered_map<PeerId, Peer>;

  bool merge(Sighting& sighting, const Announcement& announcement, TimePoint now);
  void enqueue(const PeerId& id, Peer& peer);
  /// Removes the sightings for which `gone` is true, and peers that have none left.
  template <class Gone>
  void remove_if(Gone gone);
  template <class Gone>
  Peers::iterator remove_from(Peers::iterator peer, Gone gone);
  void forget(const PeerId& id, const Sighting& sighting);
  bool may_tell(TimePoint now) const;
  KnownPeer describe(const PeerId& id, const Peer& peer) const;
  static std::size_t cost(const Sighting& sighting);

  limits::Discovery limits_;
  Peers peers_;
  std::unordered_map<std::string, std::size_t> per_source_;  ///< By interface and IP address.
  std::unordered_multimap<std::string, PeerId> by_name_;     ///< One entry per sighting.
  std::deque<PeerId> queue_;                                 ///< To be told of, each once.
  std::vector<KnownPeer> lost_;
  std::size_t bytes_ = 0;
  TimePoint next_expiry_ = kNever;  ///< Nothing expires before it.
  std::deque<TimePoint> told_at_;   ///< The last hints, at most hints_per_second_max of them.
};

}  // namespace warren::discovery
