#include "peers/peer_book.hpp"

#include <algorithm>
#include <iterator>

#include "base/check.hpp"
#include "peers/wall_time.hpp"

namespace warren::peers {
namespace {

// A sign of life is written down this often; it is in memory at once.
constexpr Duration kHeardStep = 1min;
// The same for being told of an address again.
constexpr Duration kLearntStep = std::chrono::hours(1);
// Weight of the newest round trip. Source: RFC 6298, section 2.
constexpr int kLatencyShare = 8;
// The store has 63 bits for a sum of bytes.
constexpr std::uint64_t kBytesMax = ~std::uint64_t{0} >> 1;
// Tellers that came to us and of whom nobody said from where: one network of its own.
constexpr NetworkGroup kUnknownTeller{NetworkGroup::Kind::kOther, ~std::uint64_t{0}};

}  // namespace

std::string_view origin_name(Origin origin) noexcept {
  switch (origin) {
    case Origin::kManual: return "manual";
    case Origin::kMdns: return "mdns";
    case Origin::kBeacon: return "multicast";
    case Origin::kBootstrap: return "bootstrap";
    case Origin::kExchange: return "pex";
    case Origin::kInbound: return "inbound";
    case Origin::kDht: return "dht";
  }
  return "unknown";
}

void BookChanges::merge(BookChanges&& other) {
  peers.merge(other.peers);
  names.merge(other.names);
  peer_bans.merge(other.peer_bans);
  prefix_bans.merge(other.prefix_bans);
  all = all || other.all;
  if (all || size() > kEntriesMax) {
    *this = {};
    all = true;
  }
}

PeerBook::PeerBook(PeerId self, BookConfig config, std::mt19937_64& rng)
    : config_(config),
      self_(std::move(self)),
      rng_(rng),
      table_(config_.limits, config_.secret),
      not_before_(kClockUnset) {}

// ------------------------------------------------------------------------------------ learning

std::size_t PeerBook::learn(const Learnt& learnt, WallTime now) {
  if (learnt.peer.empty() || learnt.peer == self_) return 0;
  if (learnt.origin != Origin::kManual && is_banned(learnt.peer, now)) return 0;

  std::vector<AddressEntry> entries;
  for (const Multiaddr& address : learnt.addresses) {
    if (entries.size() >= config_.limits.addresses_per_peer_max) break;
    auto entry = usable(learnt.peer, address);
    if (!entry || has_address(entries, entry->address)) continue;
    entry->origin = learnt.origin;
    entry->teller = teller_of(learnt, entry->group);
    entry->learnt = stamp(now);
    entries.push_back(std::move(*entry));
  }
  const bool known = peers_.contains(learnt.peer);
  if (entries.empty() && !known) return 0;
  Peer* const peer = find_or_create(learnt.peer, learnt.origin, false, now);
  if (peer == nullptr) return 0;
  const bool newer =
      learnt.record && (!peer->record || learnt.record->sequence > peer->record->sequence);
  if (!take_record(*peer, learnt)) return 0;
  // These say all that they know of the peer each time.
  const bool complete = newer || learnt.origin == Origin::kMdns ||
                        learnt.origin == Origin::kBeacon ||
                        (learnt.origin == Origin::kInbound && !learnt.record);
  if (complete && !entries.empty()) {
    std::vector<Multiaddr> gone;
    for (const AddressEntry& old : peer->addresses) {
      if (old.origin == learnt.origin && learnt.origin != Origin::kManual &&
          !has_address(entries, old.address)) {
        gone.push_back(old.address);
      }
    }
    for (const Multiaddr& address : gone) drop_address(*peer, address);
  }
  if (learnt.origin < peer->origin) {
    peer->origin = learnt.origin;
    changed(peer->id);
  }
  std::size_t added = 0;
  for (AddressEntry& entry : entries) added += take_address(*peer, std::move(entry), now) ? 1 : 0;
  if (!known && peer->addresses.empty()) erase_peer(peers_.find(learnt.peer));
  return added;
}

NetworkGroup PeerBook::teller_of(const Learnt& learnt, const NetworkGroup& address) const {
  if (learnt.told_by) return *learnt.told_by;
  const auto connection = connections_.find(learnt.peer);
  if (connection != connections_.end() && connection->second.remote) {
    return network_group(*connection->second.remote);
  }
  // Whoever is heard on the link is on it, wherever the addresses are that it names.
  if (learnt.origin == Origin::kMdns || learnt.origin == Origin::kBeacon) return {};
  // A stranger may say of itself what it likes: then it is not to be believed where it is.
  return learnt.origin == Origin::kInbound ? kUnknownTeller : address;
}

bool PeerBook::take_record(Peer& peer, const Learnt& learnt) {
  if (!learnt.record) return true;
  const std::size_t before = peer.record ? peer.record->envelope.size() : 0;
  if (peer.record) {
    if (learnt.record->sequence < peer.record->sequence) return false;
    if (learnt.record->sequence == peer.record->sequence) return true;
  }
  const std::size_t bytes = learnt.record->envelope.size();
  if (bytes > config_.limits.record_bytes_max ||
      record_bytes_ - before + bytes > config_.limits.records_bytes_max) {
    return true;
  }
  record_bytes_ = record_bytes_ - before + bytes;
  peer.record = learnt.record;
  changed(peer.id);
  return true;
}

bool PeerBook::take_address(Peer& peer, AddressEntry entry, WallTime now) {
  const auto known = std::ranges::find(peer.addresses, entry.address, &AddressEntry::address);
  if (known == peer.addresses.end()) {
    if (entry.origin != Origin::kManual && is_banned(entry.address, now)) return false;
    if (!make_room_in(peer, entry, now) || !give_place(peer, entry, now)) return false;
    peer.addresses.push_back(std::move(entry));
    changed(peer.id);
    return true;
  }
  if (age(known->learnt, now) >= kLearntStep) changed(peer.id);
  known->learnt = std::max(known->learnt, entry.learnt);
  if (entry.origin >= known->origin) return false;
  // A better source says the same: where the address stands may change.
  AddressEntry better = *known;
  better.origin = entry.origin;
  better.teller = entry.teller;
  const AddressKey key{peer.id, known->address};
  const auto old_place = table_.find(key);
  const bool stays = old_place->part == Part::kProven && bucket_for(better).part == Part::kNew;
  if (!stays) table_.remove(key);
  if (stays || give_place(peer, better, now)) {
    *known = std::move(better);
    changed(peer.id);
  } else {
    table_.add(key, *old_place);
  }
  return false;
}

// ------------------------------------------------------------------------------------- history

void PeerBook::connected(const PeerId& id, const std::optional<Multiaddr>& dialled, WallTime now,
                         const std::optional<Multiaddr>& came_from) {
  if (id.empty() || id == self_) return;
  connections_[id].remote = dialled ? dialled : came_from;
  Peer* const peer = find_or_create(id, Origin::kInbound, true, now);
  if (peer == nullptr) return;
  peer->last_seen = std::max(peer->last_seen, stamp(now));
  changed(id);
  if (!dialled) return;

  ++dials_worked_;
  ++peer->successes;
  note_success(*peer, now);
  auto entry = usable(id, *dialled);
  if (!entry) return;
  if (!has_address(peer->addresses, entry->address)) {
    entry->origin = peer->origin == Origin::kManual ? Origin::kInbound : peer->origin;
    entry->teller = entry->group;
    entry->learnt = stamp(now);
    take_address(*peer, *entry, now);
  }
  const auto found = std::ranges::find(peer->addresses, entry->address, &AddressEntry::address);
  if (found == peer->addresses.end()) return;
  found->last_success = std::max(found->last_success, stamp(now));
  found->failures = 0;
  move_to_proven(*peer, *found, now);
}

void PeerBook::dial_failed(const PeerId& id, std::span<const Multiaddr> tried, WallTime now) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  ++peer.failures;
  std::vector<Multiaddr> gone;
  for (const Multiaddr& address : tried) {
    const auto entry =
        std::ranges::find(peer.addresses, address.without_peer(), &AddressEntry::address);
    if (entry == peer.addresses.end()) continue;
    if (entry->failures > 0 && entry->failed_after == dials_worked_) continue;
    entry->failed_after = dials_worked_;
    entry->last_failure = stamp(now);
    ++entry->failures;
    changed(id);
    if (worn_out(peer, *entry, now)) gone.push_back(entry->address);
  }
  for (const Multiaddr& address : gone) drop_address(peer, address);
}

void PeerBook::disconnected(const PeerId& id, std::uint64_t received, std::uint64_t sent,
                            WallTime now) {
  connections_.erase(id);
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  const auto add = [](std::uint64_t& sum, std::uint64_t more) {
    sum = std::min(sum, kBytesMax);
    sum += std::min(more, kBytesMax - sum);
  };
  add(peer.bytes_received, received);
  add(peer.bytes_sent, sent);
  peer.last_seen = std::max(peer.last_seen, stamp(now));
  note_success(peer, now);
  changed(id);
}

void PeerBook::measured(const PeerId& id, Duration round_trip, WallTime now) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || round_trip < Duration::zero()) return;
  Peer& peer = found->second;
  if (peer.latency) {
    peer.latency = *peer.latency + (round_trip - *peer.latency) / kLatencyShare;
  } else {
    peer.latency = round_trip;
    changed(id);
  }
  heard(id, now);
}

void PeerBook::heard(const PeerId& id, WallTime now) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if (age(peer.last_seen, now) >= kHeardStep) changed(id);
  peer.last_seen = std::max(peer.last_seen, stamp(now));
  note_success(peer, now);
}

void PeerBook::set_public_key(const PeerId& id, Bytes protobuf) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || protobuf.size() > config_.limits.key_bytes_max) return;
  if (found->second.public_key == protobuf) return;
  found->second.public_key = std::move(protobuf);
  changed(id);
}

// ------------------------------------------------------------------------------------- reading

const Peer* PeerBook::find(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  return found == peers_.end() ? nullptr : &found->second;
}

std::size_t PeerBook::addresses() const { return table_.size(); }

// --------------------------------------------------------------------------------- one and all

Duration PeerBook::age(WallTime then, WallTime now) const {
  return now < not_before_ ? Duration::zero() : elapsed(then, now);
}

void PeerBook::note_success(Peer& peer, WallTime now) {
  if (!peer.proven() || peer.first_success != WallTime{} || now < not_before_) return;
  peer.first_success = now;
  changed(peer.id);
}

bool PeerBook::is_protected(const Peer& peer) const {
  return peer.kept || peer.pinned || connections_.contains(peer.id) || has_name(peer.id);
}

void PeerBook::changed(const PeerId& peer) {
  if (!changes_.all) changes_.peers.insert(peer);
  noted();
}

void PeerBook::noted() {
  if (!changes_.all && changes_.size() > BookChanges::kEntriesMax) {
    changes_ = {};
    changes_.all = true;
  }
  if (told_changed_) return;
  told_changed_ = true;
  if (tell_changed_) tell_changed_();
}

void PeerBook::change_all() {
  changes_ = {};
  changes_.all = true;
  noted();
}

Peer* PeerBook::find_or_create(const PeerId& id, Origin origin, bool for_connection, WallTime now) {
  const auto found = peers_.find(id);
  if (found != peers_.end()) return &found->second;
  if (!make_room_for_peer(for_connection)) return nullptr;
  Peer peer;
  peer.id = id;
  peer.origin = origin;
  peer.first_seen = stamp(now);
  const BytesView key = id.inline_key();
  peer.public_key = {key.begin(), key.end()};
  if (const auto ban = peer_bans_.find(id); ban != peer_bans_.end()) {
    peer.banned_until = ban->second.until;
    peer.bans = 1;
  }
  changed(id);
  return &peers_.emplace(id, std::move(peer)).first->second;
}

bool PeerBook::make_room_for_peer(bool for_connection) {
  if (peers_.size() < config_.limits.peers_max) return true;
  // One without an address first: it can only come to us. For a connection also one that was
  // never reached. Of each kind the one that was not heard of for longest.
  auto victim = peers_.end();
  for (auto it = peers_.begin(); it != peers_.end(); ++it) {
    const Peer& peer = it->second;
    if (is_protected(peer) || peer.proven()) continue;
    if (!peer.addresses.empty() && !for_connection) continue;
    const auto rank = [](const Peer& of) {
      return std::pair(!of.addresses.empty(), std::max(of.last_seen, of.first_seen));
    };
    if (victim == peers_.end() || rank(peer) < rank(victim->second)) victim = it;
  }
  if (victim == peers_.end()) return false;
  erase_peer(victim);
  return true;
}

void PeerBook::erase_peer(std::map<PeerId, Peer>::iterator found) {
  const Peer& peer = found->second;
  for (const AddressEntry& entry : peer.addresses) table_.remove({peer.id, entry.address});
  if (peer.record) record_bytes_ -= peer.record->envelope.size();
  changed(peer.id);
  peers_.erase(found);
}

}  // namespace warren::peers
