#pragma once
// Everything a node knows of peers, in memory: addresses, history, reputation, bans, pins. Bounded,
// without I/O; peer_store.hpp keeps it on disk. Rooms and numbers: docs/decisions/0017.

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"
#include "peers/network_group.hpp"
#include "peers/reputation.hpp"
#include "resources/prefix.hpp"

namespace warren::peers {

/// How an address came to be known. The numbers stand in the store: never change them.
enum class Origin : std::uint8_t {
  kManual = 0,     ///< A person said so.
  kMdns = 1,       ///< On the local network.
  kBeacon = 2,     ///< On the local network.
  kBootstrap = 3,  ///< The configured list.
  kExchange = 4,   ///< Another peer told it, signed by the peer itself.
  kInbound = 5,    ///< The peer came to us and said where it listens.
  kDht = 6,
};
/// "manual", "mdns", "multicast", "bootstrap", "pex", "inbound", "dht": as `warren peers` shows it.
std::string_view origin_name(Origin origin) noexcept;

struct AddressEntry {
  Multiaddr address;  ///< Without /p2p.
  Origin origin = Origin::kExchange;
  WallTime learnt{};
  WallTime last_success{};     ///< 1970: never.
  WallTime last_failure{};     ///< Same.
  std::uint32_t failures = 0;  ///< Since the last success.
};

/// A signed peer record as the peer sent it, to be handed on.
struct SignedRecord {
  Bytes envelope;  ///< At most limits::Peers::record_bytes_max bytes.
  std::uint64_t sequence = 0;
};

struct Peer {
  PeerId id;
  Bytes public_key;                     ///< libp2p's PublicKey message; empty until it is known.
  std::vector<AddressEntry> addresses;  ///< At most limits::Peers::addresses_per_peer_max.
  Origin origin = Origin::kExchange;    ///< The best one so far, in the order manual .. inbound.
  WallTime first_seen{};
  WallTime last_seen{};      ///< A connection, or a verified word of it.
  WallTime first_success{};  ///< Of the first connection; 1970: never. How long it is proven.
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
  std::optional<Duration> latency;   ///< Smoothed round trip.
  std::uint64_t bytes_received = 0;  ///< By all connections that have ended, and those of now.
  std::uint64_t bytes_sent = 0;
  Reputation reputation;
  WallTime banned_until{};  ///< 1970: not banned. WallTime::max(): until a person lifts it.
  WallTime last_ban_end{};
  std::uint32_t bans = 0;
  bool kept = false;    ///< A person asked for it: dialled again for ever, never forgotten.
  bool pinned = false;  ///< A person said that this is its key: never banned by itself.
  bool anchor = false;  ///< Dialled first after a restart.
  std::shared_ptr<const SignedRecord> record;

  bool proven() const { return successes > 0; }
};

/// What a source tells of a peer.
struct Learnt {
  PeerId peer;
  std::vector<Multiaddr> addresses;  ///< With or without /p2p of that peer; others are left out.
  Origin origin = Origin::kExchange;
  /// Where the one who told it is: whole networks of tellers share a part of the table only. Unset:
  /// the peer itself, or a person.
  std::optional<NetworkGroup> told_by;
  std::shared_ptr<const SignedRecord> record;
};

struct Ban {
  std::variant<PeerId, resources::Prefix> who;
  WallTime until{};    ///< WallTime::max(): until it is lifted.
  std::string reason;  ///< At most limits::Peers::reason_bytes_max bytes.
};

/// A name that a person gave to a key.
struct NameEntry {
  std::string name;
  PeerId peer;
};

/// A part of the book for choose(): which peers are to be picked from.
enum class Table : std::uint8_t {
  kNew,     ///< Never connected to.
  kProven,  ///< Connected to before.
};

/// What has changed since take_changes() was last called, by key; the store writes the present
/// state of each, or removes it when it is not there any more.
struct BookChanges {
  std::set<PeerId> peers;
  std::set<std::string> names;
  std::set<resources::Prefix> prefix_bans;
  bool empty() const { return peers.empty() && names.empty() && prefix_bans.empty(); }
};

struct BookConfig {
  limits::Peers limits;
  ReputationConfig reputation;
  /// Makes the places in the table unpredictable to others. From the store; random at first start.
  std::array<std::uint8_t, 32> secret{};
};

/// Core thread only. Every `now` is civil time; when it runs backwards, nothing breaks.
class PeerBook {
 public:
  /// `rng` chooses whom choose() gives and must outlive the book.
  PeerBook(PeerId self, BookConfig config, std::mt19937_64& rng);

  // ------------------------------------------------------------------------------ learning

  /// Takes what a source says. Returns how many addresses are new. An address that is full of
  /// text, unspecified, multicast, of port 0 or of ourselves is left out. When the part of the
  /// table for this teller and network is full, the worst entry there goes if it has failed or is
  /// old, else the new one is not taken. Manual addresses, and those of kept, pinned or connected
  /// peers, are never pushed out.
  std::size_t learn(const Learnt& learnt, WallTime now);
  /// A connection to `peer` is there. `dialled`: the address that worked; unset for an inbound one.
  void connected(const PeerId& peer, const std::optional<Multiaddr>& dialled, WallTime now);
  /// No connection could be made at any of `tried`.
  void dial_failed(const PeerId& peer, std::span<const Multiaddr> tried, WallTime now);
  /// The last connection to it is gone. `received` and `sent`: bytes of the connections since
  /// connected().
  void disconnected(const PeerId& peer, std::uint64_t received, std::uint64_t sent, WallTime now);
  /// A round trip was measured.
  void measured(const PeerId& peer, Duration round_trip, WallTime now);
  /// The peer gave a sign of life.
  void heard(const PeerId& peer, WallTime now);
  void set_public_key(const PeerId& peer, Bytes protobuf);

  // ---------------------------------------------------------------------------- reputation

  /// Applies one event; an unknown peer is ignored. Returns the end of the ban when the peer is
  /// banned now and was not before: its connections are then to be closed. A pinned peer is never
  /// banned by events.
  std::optional<WallTime> report(const PeerId& peer, ReputationEvent event, WallTime now);
  /// Start value for an unknown peer.
  double score(const PeerId& peer, WallTime now) const;
  const ReputationConfig& reputation_config() const { return config_.reputation; }

  // ---------------------------------------------------------------------------------- bans

  /// By a person; also a pinned peer. Errors: kLimited at limits::Peers::bans_max when no ban ends
  /// by itself that could make room; kInvalidArgument for ourselves.
  Result<> ban(const PeerId& peer, WallTime until, std::string reason, WallTime now);
  /// Errors: kInvalidArgument for a prefix with loopback in it; kLimited.
  Result<> ban(const resources::Prefix& prefix, WallTime until, std::string reason, WallTime now);
  /// Errors: kNotFound.
  Result<> unban(const PeerId& peer, WallTime now);
  Result<> unban(const resources::Prefix& prefix);
  /// In order of peer id, then prefixes. Ended ones are not in it.
  std::vector<Ban> bans(WallTime now) const;
  bool is_banned(const PeerId& peer, WallTime now) const;
  /// Loopback never is.
  bool is_banned(const IpAddress& ip, WallTime now) const;

  // ----------------------------------------------------------------------- keys and persons

  /// A person wants this peer, at this address: it is kept.
  Result<> keep(const PeerId& peer, const std::optional<Multiaddr>& address, WallTime now);
  /// It is not dialled for ever any more.
  void release(const PeerId& peer);
  /// Its key was given by a person: it is never banned by events.
  Result<> pin(const PeerId& peer, WallTime now);
  /// Ties `name` to `peer`. Errors: kConflict when it is tied to another one, naming both;
  /// kInvalidArgument for a name that is empty, too long or not UTF-8 text; kLimited.
  Result<> tie_name(std::string_view name, const PeerId& peer);
  std::optional<PeerId> find_name(std::string_view name) const;
  /// The first name of it, empty when it has none.
  std::string name_of(const PeerId& peer) const;
  std::vector<NameEntry> names() const;
  /// Forgets all of it, its names too; a ban stays. Errors: kNotFound.
  Result<> remove(const PeerId& peer);
  /// The peers to dial first after a restart. Replaces those of before.
  void set_anchors(const std::vector<PeerId>& anchors);

  // -------------------------------------------------------------------------------- reading

  const Peer* find(const PeerId& peer) const;
  const std::map<PeerId, Peer>& all() const { return peers_; }
  std::size_t addresses() const;
  const limits::Peers& limits() const { return config_.limits; }

  /// A random peer of `table` for which `fits` is true: first a network group at random, then a
  /// peer of it, so that many addresses in one network give no more chances than one. Local peers
  /// count as one group each. Null when none fits. Banned peers never fit.
  const Peer* choose(Table table, WallTime now, const std::function<bool(const Peer&)>& fits) const;
  /// At most `count` signed records of proven peers for a stranger who asks, chosen at random, at
  /// most two of one network group; `fits` says who may be told.
  std::vector<std::shared_ptr<const SignedRecord>> sample_records(
      std::size_t count, const std::function<bool(const Peer&)>& fits) const;

  // -------------------------------------------------------------------------------- storing

  /// Drops ended bans and addresses and peers that are too old or failed too often.
  /// Returns how many peers went. Kept, pinned, named, connected and banned ones stay.
  std::size_t prune(WallTime now);
  /// Puts back what the store had; hostile values are cut to the limits. Before anything else.
  void restore(std::vector<Peer> peers, std::vector<Ban> prefix_bans, std::vector<NameEntry> names,
               WallTime now);
  BookChanges take_changes();
  bool has_changes() const { return !changes_.empty(); }
  const std::map<resources::Prefix, Ban>& prefix_bans() const { return prefix_bans_; }
  /// Aborts when a bound or a sum does not hold. Takes time: for tests and fuzzing.
  void check_invariants() const;

 private:
  // The owner of this module completes this: the parts of the table (buckets), the connected set.
  BookConfig config_;
  PeerId self_;
  std::mt19937_64& rng_;
  std::map<PeerId, Peer> peers_;
  std::map<resources::Prefix, Ban> prefix_bans_;
  std::map<std::string, PeerId, std::less<>> names_;
  BookChanges changes_;
};

}  // namespace warren::peers
