// What persons say: kept peers, pinned keys, names; and what is put back, pruned and checked.

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"
#include "peers/peer_book.hpp"
#include "peers/text.hpp"
#include "peers/wall_time.hpp"

namespace warren::peers {
namespace {

std::unexpected<Error> table_full(const limits::Peers& limits) {
  return fail(ErrorCode::kLimited,
              fmt::format("the book of peers is full: {} peers, {} addresses are the most",
                          limits.peers_max, limits.addresses_max),
              "remove some with `warren peers remove`");
}

}  // namespace

// --------------------------------------------------------------------------------------- persons

Result<> PeerBook::keep(const PeerId& id, const std::optional<Multiaddr>& address, WallTime now) {
  if (id.empty() || id == self_) {
    return fail(ErrorCode::kInvalidArgument, "this node cannot be its own peer");
  }
  if (is_banned(id, now)) {
    return fail(ErrorCode::kConflict, fmt::format("peer {} is banned", id.to_string()),
                fmt::format("lift the ban first: `warren peers unban {}`", id.to_string()));
  }
  if (address && !usable(id, *address)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not an address at which {} can be dialled",
                            address->to_string(), id.to_string()),
                "give one like /ip4/192.0.2.1/udp/4001/quic-v1");
  }
  const bool known = peers_.contains(id);
  Peer* const peer = find_or_create(id, Origin::kManual, true, now);
  if (peer == nullptr) return table_full(config_.limits);
  if (address) {
    AddressEntry entry = *usable(id, *address);
    entry.origin = Origin::kManual;
    entry.teller = entry.group;
    entry.learnt = stamp(now);
    const Multiaddr plain = entry.address;
    take_address(*peer, std::move(entry), now);
    if (!has_address(peer->addresses, plain)) {
      if (!known) erase_peer(peers_.find(id));
      return table_full(config_.limits);
    }
  }
  peer->kept = true;
  peer->origin = Origin::kManual;
  changed(id);
  return {};
}

void PeerBook::release(const PeerId& peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || !found->second.kept) return;
  found->second.kept = false;
  changed(peer);
}

Result<> PeerBook::pin(const PeerId& id, WallTime now) {
  if (id.empty() || id == self_) {
    return fail(ErrorCode::kInvalidArgument, "this node cannot be its own peer");
  }
  Peer* const peer = find_or_create(id, Origin::kManual, true, now);
  if (peer == nullptr) return table_full(config_.limits);
  peer->pinned = true;
  changed(id);
  return {};
}

Result<> PeerBook::tie_name(std::string_view name, const PeerId& peer) {
  if (peer.empty()) return fail(ErrorCode::kInvalidArgument, "a name needs a peer id");
  if (name.empty() || name.size() > config_.limits.name_bytes_max || !is_plain_text(name)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a peer's name is text of 1 to {} bytes without control characters",
                            config_.limits.name_bytes_max));
  }
  if (const auto found = names_.find(name); found != names_.end()) {
    if (found->second == peer) return {};
    return fail(ErrorCode::kConflict,
                fmt::format("the name '{}' is tied to peer {}, this is {}", name,
                            found->second.to_string(), peer.to_string()),
                "if its key has truly changed, remove the old peer first: `warren peers remove`");
  }
  if (names_.size() >= config_.limits.names_max) {
    return fail(ErrorCode::kLimited, fmt::format("{} names are the most", config_.limits.names_max),
                "remove peers that are not needed any more with `warren peers remove`");
  }
  names_.emplace(std::string(name), peer);
  ++named_[peer];
  if (!changes_.all) changes_.names.emplace(name);
  noted();
  return {};
}

std::optional<PeerId> PeerBook::find_name(std::string_view name) const {
  const auto found = names_.find(name);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

std::string PeerBook::name_of(const PeerId& peer) const {
  if (!has_name(peer)) return {};
  const auto found =
      std::ranges::find(names_, peer, [](const auto& entry) { return entry.second; });
  return found->first;
}

std::vector<NameEntry> PeerBook::names() const {
  std::vector<NameEntry> list;
  for (const auto& [name, peer] : names_) list.push_back({name, peer});
  return list;
}

Result<> PeerBook::remove(const PeerId& peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() && !has_name(peer)) {
    return fail(ErrorCode::kNotFound, fmt::format("no peer {} is known", peer.to_string()),
                "`warren peers --all` lists who is");
  }
  if (found != peers_.end()) erase_peer(found);
  for (auto it = names_.begin(); it != names_.end();) {
    if (it->second != peer) {
      ++it;
      continue;
    }
    if (!changes_.all) changes_.names.insert(it->first);
    it = names_.erase(it);
  }
  named_.erase(peer);
  noted();
  return {};
}

void PeerBook::set_anchors(const std::vector<PeerId>& anchors) {
  for (auto& [id, peer] : peers_) {
    const bool anchor = std::ranges::find(anchors, id) != anchors.end();
    if (peer.anchor == anchor) continue;
    peer.anchor = anchor;
    changed(id);
  }
}

// --------------------------------------------------------------------------------------- storing

std::size_t PeerBook::prune(WallTime now) {
  not_before_ = std::max(not_before_, now);
  erase_ended_bans(now);
  std::erase_if(strikes_, [this, now](const auto& entry) {
    return age(entry.second.last, now) > std::chrono::hours(24);
  });
  const Duration unseen = config_.limits.unseen_time_max;
  std::vector<PeerId> gone;
  for (auto& [id, peer] : peers_) {
    if (is_protected(peer)) continue;
    std::vector<Multiaddr> dropped;
    for (const AddressEntry& entry : peer.addresses) {
      if (entry.origin == Origin::kManual) continue;
      const WallTime last = std::max(entry.learnt, entry.last_success);
      if (worn_out(peer, entry, now) || age(last, now) > unseen) {
        dropped.push_back(entry.address);
      }
    }
    for (const Multiaddr& address : dropped) drop_address(peer, address);
    // Without an address it stays while what is known of it may matter: it was here once.
    const WallTime last =
        std::max(peer.last_seen, peer.last_ban_end < now ? peer.last_ban_end : WallTime{});
    const bool never_here = peer.last_seen == WallTime{};
    if (peer.addresses.empty() && (never_here || age(last, now) > unseen)) gone.push_back(id);
  }
  for (const PeerId& id : gone) erase_peer(peers_.find(id));
  return gone.size();
}

void PeerBook::restore(std::vector<Peer> peers, std::vector<Ban> bans, std::vector<NameEntry> names,
                       WallTime now) {
  bool left_out = false;
  for (const NameEntry& entry : names) {
    left_out = !tie_name(entry.name, entry.peer) || left_out;
  }
  for (Ban& ban : bans) {
    bool good = ban.until > now;
    if (auto* prefix = std::get_if<resources::Prefix>(&ban.who)) {
      *prefix = resources::Prefix::of(prefix->ip, prefix->bits);
      good = good && !is_loopback_in(*prefix);
    } else {
      good = good && !std::get<PeerId>(ban.who).empty() && std::get<PeerId>(ban.who) != self_;
    }
    left_out = !good || !put_ban(std::move(ban), now) || left_out;
  }
  const auto happened = [this, now](WallTime& time) {
    time = past(time, now);
    not_before_ = std::max(not_before_, time);
  };
  for (Peer& stored : peers) {
    for (WallTime* time : {&stored.first_seen, &stored.last_seen, &stored.first_success}) {
      happened(*time);
    }
    for (AddressEntry& entry : stored.addresses) {
      for (WallTime* time : {&entry.learnt, &entry.last_success, &entry.last_failure}) {
        happened(*time);
      }
    }
    if (const auto raw = stored.reputation.raw_score()) {
      stored.reputation = Reputation::restore(*raw, past(stored.reputation.at(), now));
    }
  }
  // Those that persons care for first: they must find a place.
  std::ranges::sort(peers, std::ranges::greater{}, [this](const Peer& peer) {
    return std::tuple(peer.kept || peer.pinned || has_name(peer.id), peer.anchor, peer.proven(),
                      peer.last_seen, peer.id);
  });
  for (Peer& stored : peers) {
    if (stored.id.empty() || stored.id == self_ || peers_.contains(stored.id) ||
        peers_.size() >= config_.limits.peers_max) {
      left_out = true;
      continue;
    }
    std::vector<AddressEntry> addresses = std::exchange(stored.addresses, {});
    std::shared_ptr<const SignedRecord> record = std::exchange(stored.record, nullptr);
    stored.last_ban_end = std::max(stored.last_ban_end, WallTime{});
    stored.banned_until = {};
    if (stored.latency && *stored.latency < Duration::zero()) stored.latency.reset();
    if (stored.public_key.size() > config_.limits.key_bytes_max) stored.public_key.clear();
    if (const auto ban = peer_bans_.find(stored.id); ban != peer_bans_.end()) {
      stored.banned_until = ban->second.until;
    }
    Peer& peer = peers_.emplace(stored.id, std::move(stored)).first->second;
    Learnt told;
    told.record = std::move(record);
    take_record(peer, told);
    left_out = left_out || told.record != peer.record;
    for (AddressEntry& entry : addresses) {
      const auto plain = usable(peer.id, entry.address);
      if (!plain || peer.addresses.size() >= config_.limits.addresses_per_peer_max ||
          has_address(peer.addresses, plain->address)) {
        left_out = true;
        continue;
      }
      entry.address = plain->address;
      entry.group = plain->group;
      entry.failed_after = 0;
      if (!give_place(peer, entry, now)) {
        left_out = true;
        continue;
      }
      peer.addresses.push_back(entry);
      if (entry.last_success != WallTime{}) move_to_proven(peer, peer.addresses.back(), now);
    }
  }
  changes_ = {};
  told_changed_ = false;
  if (left_out) change_all();
}

BookChanges PeerBook::take_changes() {
  told_changed_ = false;
  return std::exchange(changes_, {});
}

void PeerBook::check_invariants() const {
  const limits::Peers& limits = config_.limits;
  table_.check_invariants();
  WARREN_CHECK(peers_.size() <= limits.peers_max);
  WARREN_CHECK(names_.size() <= limits.names_max);
  WARREN_CHECK(peer_bans_.size() + prefix_bans_.size() <= limits.bans_max);
  WARREN_CHECK(strikes_.size() <= limits.strikes_max);
  WARREN_CHECK(changes_.size() <= BookChanges::kEntriesMax);
  WARREN_CHECK(!changes_.all || changes_.size() == 0);
  std::size_t addresses = 0;
  std::size_t record_bytes = 0;
  for (const auto& [id, peer] : peers_) {
    WARREN_CHECK(peer.id == id && !id.empty() && id != self_);
    WARREN_CHECK(peer.addresses.size() <= limits.addresses_per_peer_max);
    WARREN_CHECK(peer.public_key.size() <= limits.key_bytes_max);
    for (const AddressEntry& entry : peer.addresses) {
      WARREN_CHECK(entry.address == entry.address.without_peer());
      WARREN_CHECK(entry.group == network_group(entry.address));
      const auto place = table_.find({id, entry.address});
      WARREN_CHECK(place);
      WARREN_CHECK(place->part != Part::kProven || entry.last_success != WallTime{});
    }
    addresses += peer.addresses.size();
    if (peer.record) record_bytes += peer.record->envelope.size();
    const auto ban = peer_bans_.find(id);
    WARREN_CHECK(peer.banned_until == (ban == peer_bans_.end() ? WallTime{} : ban->second.until));
    const double score = peer.reputation.raw_score().value_or(0.5);
    WARREN_CHECK(score >= 0 && score <= 1);
  }
  WARREN_CHECK(addresses == table_.size());
  WARREN_CHECK(record_bytes == record_bytes_ && record_bytes <= limits.records_bytes_max);
  WARREN_CHECK(!peer_bans_.contains(self_));
  for (const auto& [prefix, ban] : prefix_bans_) {
    WARREN_CHECK(!is_loopback_in(prefix));
    WARREN_CHECK(prefix_lengths_.contains({prefix.ip.is_v6(), prefix.bits}));
  }
  std::size_t lengths = 0;
  for (const auto& [length, count] : prefix_lengths_) lengths += count;
  WARREN_CHECK(lengths == prefix_bans_.size());
  std::map<PeerId, std::size_t> named;
  for (const auto& [name, peer] : names_) ++named[peer];
  WARREN_CHECK(named == named_);
}

}  // namespace warren::peers
