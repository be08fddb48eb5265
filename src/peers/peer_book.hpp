#pragma once
// Everything a node knows of peers, in memory: addresses, history, reputation, bans, pins. Bounded,
// without I/O; peer_store.hpp keeps it on disk. Rooms and numbers: docs/decisions/0017.

#include <algorithm>
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
#include "peers/address_table.hpp"
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
  NetworkGroup group{};        ///< Of the address.
  NetworkGroup teller{};       ///< Where the one who told it was; the group itself when nobody did.
  WallTime learnt{};           ///< Told for the last time.
  WallTime last_success{};     ///< Of a dial; 1970: never.
  WallTime last_failure{};     ///< Same.
  std::uint32_t failures = 0;  ///< Since the last success; see PeerBook::dial_failed().
  std::uint64_t failed_after = 0;  ///< Dials that had worked by then, see there. Not stored.
};

/// Whether `address`, without /p2p, is one of `entries`.
bool has_address(const std::vector<AddressEntry>& entries, const Multiaddr& address);

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
  WallTime last_seen{};  ///< A connection, or a verified word of it.
  /// Of the first dial that worked, or soon after it when the clock was not set; 1970: never.
  WallTime first_success{};
  std::uint64_t successes = 0;       ///< Dials of ours that worked.
  std::uint64_t failures = 0;        ///< Dials of ours that did not.
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

  /// We have reached it ourselves. That it came to us proves no address, and costs it nothing.
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
  WallTime until{};        ///< WallTime::max(): until it is lifted.
  std::string reason;      ///< At most limits::Peers::reason_bytes_max bytes.
  bool by_person = false;  ///< Never makes room for one by events.
};

/// A name that a person gave to a key.
struct NameEntry {
  std::string name;
  PeerId peer;
};

/// A part of the book for choose(): which peers are to be picked from.
enum class Table : std::uint8_t {
  kNew,     ///< Never reached by a dial of ours.
  kProven,  ///< Reached before: Peer::proven().
};

/// What has changed since take_changes() was last called, by key; the store writes the present
/// state of each, or removes it when it is not there any more.
struct BookChanges {
  std::set<PeerId> peers;
  std::set<std::string, std::less<>> names;
  std::set<PeerId> peer_bans;
  std::set<resources::Prefix> prefix_bans;
  /// So much has changed that the sets were given up: the store writes all anew.
  bool all = false;

  std::size_t size() const {
    return peers.size() + names.size() + peer_bans.size() + prefix_bans.size();
  }
  bool empty() const { return !all && size() == 0; }
  /// Both together.
  void merge(BookChanges&& other);
  /// Beyond this many entries they become `all`.
  static constexpr std::size_t kEntriesMax = 32'768;
};

struct BookConfig {
  limits::Peers limits;
  ReputationConfig reputation;
  /// Makes the places in the table unpredictable to others. From the store; random at first start.
  std::array<std::uint8_t, 32> secret{};
  /// Addresses of the memory transport are taken too: only in a simulated world can they be
  /// dialled.
  bool simulated = false;
};

/// Core thread only. Every `now` is civil time; when it runs backwards, nothing breaks: while it is
/// earlier than what is stored, or than 2015, nothing ages, and what happens counts as of the
/// latest time that was known. So a machine that does not know the time yet forgets nobody when it
/// learns it.
class PeerBook {
 public:
  /// `rng` chooses whom choose() gives and must outlive the book.
  PeerBook(PeerId self, BookConfig config, std::mt19937_64& rng);

  // ------------------------------------------------------------------------------ learning

  /// Takes what a source says. Returns how many addresses are new. An address that is full of
  /// text, unspecified, multicast, of port 0 or of ourselves is left out, and /memory unless
  /// BookConfig::simulated. When the part of the
  /// table for this teller and network is full, the worst entry there goes if it has failed or is
  /// old, else the new one is not taken. Manual addresses, and those of kept, pinned, named or
  /// connected peers, are never pushed out. A record that is older than the one we have says
  /// nothing; a newer one replaces what the same origin said before. Of a banned peer only what a
  /// person says is taken.
  std::size_t learn(const Learnt& learnt, WallTime now);
  /// A connection to `peer` is there. `dialled`: the address that worked; unset for an inbound one.
  /// `came_from`: the remote address of an inbound one; what the peer says of itself is then
  /// counted to that network, and misbehaviour to that IP address. Without it all such peers share
  /// one small part of the table. An unknown peer becomes known, without an address.
  void connected(const PeerId& peer, const std::optional<Multiaddr>& dialled, WallTime now,
                 const std::optional<Multiaddr>& came_from = std::nullopt);
  /// No connection could be made at any of `tried`. An address counts its first failure, and each
  /// further one only when some dial has worked since: when our own network is down, nothing is
  /// learnt of addresses. At limits::Peers::failures_max it goes. That the peer failed is counted
  /// at once, and written down with the next other change of it.
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
  /// banned now and was not before: its connections are then to be closed. A pinned or kept peer is
  /// never banned by events. Several peers of one IP address that are banned soon after each other
  /// ban the address too (a /64 of IPv6; a private address for 10 minutes at most).
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

  /// A person wants this peer, at this address: it is kept. Errors: kInvalidArgument for ourselves
  /// or an address that cannot be dialled; kConflict when it is banned; kLimited.
  Result<> keep(const PeerId& peer, const std::optional<Multiaddr>& address, WallTime now);
  /// It is not dialled for ever any more.
  void release(const PeerId& peer);
  /// Its key was given by a person: it is never banned by events. Errors: as keep().
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

  /// A random peer of `table` with an address for which `fits` is true: first a network group at
  /// random, then a peer of it, so that many addresses in one network give no more chances than
  /// one. Local peers count as one group each. Each failure of its best address makes a peer, and a
  /// group of such peers, less likely. Null when none fits. Banned peers never fit.
  const Peer* choose(Table table, WallTime now, const std::function<bool(const Peer&)>& fits) const;
  /// At most `count` signed records of proven and of connected peers for a stranger who asks,
  /// chosen at random, at most two of one network group; `fits` says who may be told.
  std::vector<std::shared_ptr<const SignedRecord>> sample_records(
      std::size_t count, const std::function<bool(const Peer&)>& fits) const;

  // -------------------------------------------------------------------------------- storing

  /// Drops ended bans and addresses and peers that are too old or failed too often. Returns how
  /// many peers went. Kept, pinned, named and connected ones stay, and a ban stays without its
  /// peer.
  std::size_t prune(WallTime now);
  /// Puts back what the store had; hostile values are cut to the limits. Before anything else.
  /// What is the same afterwards is no change; when something had to be left out, all is.
  void restore(std::vector<Peer> peers, std::vector<Ban> bans, std::vector<NameEntry> names,
               WallTime now);
  BookChanges take_changes();
  /// The store is to be written anew as a whole.
  void change_all();
  /// `tell` is called when the first change after take_changes() is there: inside a call into
  /// the book, so it may only take note of it. An empty function: nobody wants to know.
  void on_changes(std::function<void()> tell) { tell_changed_ = std::move(tell); }
  bool has_changes() const { return !changes_.empty(); }
  const std::map<PeerId, Ban>& peer_bans() const { return peer_bans_; }
  const std::map<resources::Prefix, Ban>& prefix_bans() const { return prefix_bans_; }
  /// Aborts when a bound or a sum does not hold. Takes time: for tests and fuzzing.
  void check_invariants() const;
  const AddressTable& table() const { return table_; }

 private:
  struct Connection {
    std::optional<Multiaddr> remote;
  };
  /// Peers of one IP address that were banned by events lately.
  struct Strikes {
    std::set<PeerId> peers;
    WallTime last{};
  };

  // peer_book.cpp: what is learnt, and what became of it.
  bool is_protected(const Peer& peer) const;
  /// `now` as the time of something that has happened: never before `not_before_`.
  WallTime stamp(WallTime now) const { return std::max(now, not_before_); }
  /// How old something of `then` is; nothing while `now` is not to be believed.
  Duration age(WallTime then, WallTime now) const;
  /// Takes down that `peer` was proven by now, if it was and the time is known.
  void note_success(Peer& peer, WallTime now);
  bool has_name(const PeerId& peer) const { return named_.contains(peer); }
  NetworkGroup teller_of(const Learnt& learnt, const NetworkGroup& address) const;
  /// Takes the record of `learnt`. False: it is older than the one we have.
  bool take_record(Peer& peer, const Learnt& learnt);
  /// True when the address is new.
  bool take_address(Peer& peer, AddressEntry entry, WallTime now);
  void changed(const PeerId& peer);
  /// To be called after an insertion into `changes_`.
  void noted();
  /// The entry of `peer`, made if there is room for one more peer; null otherwise.
  Peer* find_or_create(const PeerId& peer, Origin origin, bool for_connection, WallTime now);
  bool make_room_for_peer(bool for_connection);
  void erase_peer(std::map<PeerId, Peer>::iterator found);

  // peer_book_table.cpp: places in the table.
  Bucket bucket_for(const AddressEntry& entry) const;
  bool give_place(const Peer& peer, const AddressEntry& entry, WallTime now);
  void move_to_proven(const Peer& peer, const AddressEntry& entry, WallTime now);
  bool make_room_in(const Bucket& bucket, const Peer& peer, const AddressEntry& newcomer,
                    WallTime now);
  bool make_room_in(Peer& peer, const AddressEntry& newcomer, WallTime now);
  bool worn_out(const Peer& peer, const AddressEntry& entry, WallTime now) const;
  bool too_old(const AddressEntry& entry, WallTime now) const;
  void drop_address(Peer& peer, const Multiaddr& address);
  std::optional<AddressEntry> usable(const PeerId& peer, const Multiaddr& address) const;
  double chance_of(const Peer& peer, WallTime now) const;

  // peer_book_bans.cpp
  WallTime end_of_next_ban(const Peer& peer, WallTime now) const;
  bool is_banned(const Multiaddr& address, WallTime now) const;
  const Ban* find_ban(const std::variant<PeerId, resources::Prefix>& who) const;
  /// One by events neither shortens what is there nor takes it from a person.
  Result<> put_ban(Ban ban, WallTime now);
  void lift(const PeerId& peer);
  void lift(const resources::Prefix& prefix);
  bool make_room_for_ban(bool by_person, WallTime now);
  void erase_ended_bans(WallTime now);
  void strike(const Peer& peer, WallTime until, WallTime now);
  std::optional<IpAddress> proven_ip(const Peer& peer) const;

  BookConfig config_;
  PeerId self_;
  std::mt19937_64& rng_;
  AddressTable table_;
  std::map<PeerId, Peer> peers_;
  std::map<PeerId, Connection> connections_;
  std::map<PeerId, Ban> peer_bans_;
  std::map<resources::Prefix, Ban> prefix_bans_;
  std::map<std::pair<bool, std::uint8_t>, std::size_t> prefix_lengths_;  ///< IPv6?, bits: how many.
  std::map<resources::Prefix, Strikes> strikes_;
  std::map<std::string, PeerId, std::less<>> names_;
  std::map<PeerId, std::size_t> named_;  ///< How many names each has.
  std::size_t record_bytes_ = 0;         ///< Of all records in peers_.
  WallTime not_before_;                  ///< The latest time that was stored, or pruned at.
  std::uint64_t dials_worked_ = 0;       ///< Dials of ours, of any peer, since the start.
  BookChanges changes_;
  bool told_changed_ = false;
  std::function<void()> tell_changed_;
};

}  // namespace warren::peers
