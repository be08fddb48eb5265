// Places of addresses in the table, and who is chosen from it.

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "peers/peer_book.hpp"
#include "peers/wall_time.hpp"

namespace warren::peers {
namespace {

using multiformats::Protocol;

// Each failure of an address makes it so much less likely, eight of them at most.
// Source: Bitcoin Core, AddrInfo::GetChance.
constexpr double kChancePerFailure = 0.66;
constexpr std::uint32_t kFailuresCounted = 8;
// Records of one network in one answer.
constexpr std::size_t kRecordsPerGroup = 2;

bool of_person(Origin origin) { return origin == Origin::kManual || origin == Origin::kBootstrap; }

bool of_link_or_person(Origin origin) {
  switch (origin) {
    case Origin::kManual:
    case Origin::kMdns:
    case Origin::kBeacon:
    case Origin::kBootstrap: return true;
    case Origin::kExchange:
    case Origin::kInbound:
    case Origin::kDht: return false;
  }
  return false;
}

bool can_be_dialled(const Multiaddr& address, bool simulated) {
  const auto parts = address.components();
  if (parts.empty()) return false;
  for (const auto& part : parts) {
    if (part.protocol == Protocol::kUnix || part.protocol == Protocol::kHttpPath) return false;
    if (part.protocol == Protocol::kMemory && !simulated) return false;
  }
  switch (parts.front().protocol) {
    case Protocol::kIp4:
    case Protocol::kIp6:
    case Protocol::kIp6Zone: {
      const auto endpoint = address.endpoint();
      return endpoint && endpoint->port != 0 && !endpoint->ip.is_unspecified() &&
             !endpoint->ip.is_multicast();
    }
    case Protocol::kDns:
    case Protocol::kDns4:
    case Protocol::kDns6:
    case Protocol::kDnsaddr:
    case Protocol::kMemory: return true;
    default: return false;
  }
}

// The address by which a peer is counted to a network: the one that worked last, or the first.
const AddressEntry& main_address(const Peer& peer) {
  return *std::ranges::max_element(peer.addresses, {}, &AddressEntry::last_success);
}

std::size_t index_below(std::size_t bound, std::mt19937_64& rng) {
  return std::uniform_int_distribution<std::size_t>(0, bound - 1)(rng);
}

}  // namespace

bool has_address(const std::vector<AddressEntry>& entries, const Multiaddr& address) {
  return std::ranges::find(entries, address, &AddressEntry::address) != entries.end();
}

std::optional<AddressEntry> PeerBook::usable(const PeerId& peer, const Multiaddr& address) const {
  if (address.empty() || address.bytes().size() > config_.limits.address_bytes_max) {
    return std::nullopt;
  }
  AddressEntry entry;
  entry.address = address.without_peer();
  if (entry.address != address && address.peer_id() != peer) return std::nullopt;
  if (!can_be_dialled(entry.address, config_.simulated)) return std::nullopt;
  entry.group = network_group(entry.address);
  return entry;
}

Bucket PeerBook::bucket_for(const AddressEntry& entry) const {
  // Anybody on the link may name addresses that are elsewhere.
  const bool local = entry.group.kind == NetworkGroup::Kind::kLocal;
  const bool believed =
      local ? of_link_or_person(entry.origin) || entry.teller.kind == NetworkGroup::Kind::kLocal
            : of_person(entry.origin);
  return believed ? AddressTable::local_bucket() : table_.new_bucket(entry.group, entry.teller);
}

bool PeerBook::give_place(const Peer& peer, const AddressEntry& entry, WallTime now) {
  const Bucket bucket = bucket_for(entry);
  if (!make_room_in(bucket, peer, entry, now)) return false;
  table_.add({peer.id, entry.address}, bucket);
  return true;
}

void PeerBook::move_to_proven(const Peer& peer, const AddressEntry& entry, WallTime now) {
  const AddressKey key{peer.id, entry.address};
  const auto old_place = table_.find(key);
  WARREN_CHECK(old_place);
  if (old_place->part != Part::kNew) return;
  const Bucket bucket = table_.proven_bucket(entry.group, key);
  // Its old place is free before the bounds are asked, and is taken again when there is no room.
  table_.remove(key);
  table_.add(key, make_room_in(bucket, peer, entry, now) ? bucket : *old_place);
}

bool PeerBook::make_room_in(const Bucket& bucket, const Peer& newcomer, const AddressEntry& entry,
                            WallTime now) {
  if (table_.has_room(bucket)) return true;
  const bool wanted = entry.origin == Origin::kManual || newcomer.kept || newcomer.pinned;
  const auto of_peer = [this](const AddressKey& key) -> Peer& { return peers_.at(key.first); };
  const auto of_key = [&](const AddressKey& key) -> const AddressEntry& {
    return *std::ranges::find(of_peer(key).addresses, key.second, &AddressEntry::address);
  };
  const auto may_go = [&](const AddressKey& key) {
    const Peer& peer = of_peer(key);
    const AddressEntry& old = of_key(key);
    if (old.origin == Origin::kManual || is_protected(peer)) return false;
    if (wanted || old.failures > 0 || too_old(old, now) || is_banned(peer.id, now)) return true;
    // What the link itself says goes before what others say of it.
    return bucket.part == Part::kLocal && of_link_or_person(entry.origin) &&
           !of_link_or_person(old.origin) && old.last_success == WallTime{};
  };
  // Larger is worse.
  const auto badness = [&](const AddressKey& key) {
    const AddressEntry& old = of_key(key);
    return std::tuple(is_banned(key.first, now), old.failures, !of_link_or_person(old.origin),
                      -std::max(old.learnt, old.last_success).time_since_epoch().count());
  };
  const AddressKey* worst = nullptr;
  for (const AddressKey& key : table_.in(bucket)) {
    if (key.first == newcomer.id || !may_go(key)) continue;
    if (worst == nullptr || badness(key) > badness(*worst)) worst = &key;
  }
  if (worst == nullptr) return false;
  const AddressKey gone = *worst;
  Peer& loser = of_peer(gone);
  drop_address(loser, gone.second);
  if (loser.addresses.empty() && loser.last_seen == WallTime{}) erase_peer(peers_.find(loser.id));
  return table_.has_room(bucket);
}

bool PeerBook::make_room_in(Peer& peer, const AddressEntry& newcomer, WallTime now) {
  if (peer.addresses.size() < config_.limits.addresses_per_peer_max) return true;
  // Of a person's addresses one goes only for another, and only when there are no others.
  const bool wanted = newcomer.origin == Origin::kManual;
  const AddressEntry* worst = nullptr;
  const auto badness = [](const AddressEntry& old) {
    return std::tuple(old.origin != Origin::kManual, old.failures, old.last_success == WallTime{},
                      old.origin,
                      -std::max(old.learnt, old.last_success).time_since_epoch().count());
  };
  for (const AddressEntry& old : peer.addresses) {
    if (old.origin == Origin::kManual && !wanted) continue;
    const bool better = newcomer.origin < old.origin && old.last_success == WallTime{};
    if (!wanted && !better && old.failures == 0 && !too_old(old, now)) continue;
    if (worst == nullptr || badness(old) > badness(*worst)) worst = &old;
  }
  if (worst == nullptr) return false;
  drop_address(peer, Multiaddr(worst->address));
  return true;
}

bool PeerBook::worn_out(const Peer& peer, const AddressEntry& entry, WallTime now) const {
  if (entry.failures < config_.limits.failures_max || entry.origin == Origin::kManual) return false;
  if (is_protected(peer)) return false;
  return entry.last_success == WallTime{} ||
         age(entry.last_success, now) > config_.limits.proven_time_min;
}

bool PeerBook::too_old(const AddressEntry& entry, WallTime now) const {
  return age(std::max(entry.learnt, entry.last_success), now) > config_.limits.old_time_min;
}

void PeerBook::drop_address(Peer& peer, const Multiaddr& address) {
  table_.remove({peer.id, address});
  std::erase_if(peer.addresses,
                [&address](const AddressEntry& entry) { return entry.address == address; });
  changed(peer.id);
}

double PeerBook::chance_of(const Peer& peer, WallTime now) const {
  double best = 0;
  for (const AddressEntry& entry : peer.addresses) {
    if (!prefix_bans_.empty() && is_banned(entry.address, now)) continue;
    const auto failures = std::min(entry.failures, kFailuresCounted);
    best = std::max(best, std::pow(kChancePerFailure, failures));
  }
  return best;
}

const Peer* PeerBook::choose(Table table, WallTime now,
                             const std::function<bool(const Peer&)>& fits) const {
  struct Candidate {
    NetworkGroup group;
    const Peer* peer;
    double chance;
  };
  std::vector<Candidate> candidates;
  std::uint64_t local_serial = 0;
  for (const auto& [id, peer] : peers_) {
    if (peer.addresses.empty() || peer.proven() != (table == Table::kProven)) continue;
    if (is_banned(id, now) || !fits(peer)) continue;
    const double chance = chance_of(peer, now);
    if (chance <= 0) continue;
    NetworkGroup group = main_address(peer).group;
    if (group.kind == NetworkGroup::Kind::kLocal) group.bits = local_serial++;
    candidates.push_back({group, &peer, chance});
  }
  if (candidates.empty()) return nullptr;

  // A group has the chance of its best peer.
  std::map<NetworkGroup, double> groups;
  for (const Candidate& candidate : candidates) {
    double& chance = groups[candidate.group];
    chance = std::max(chance, candidate.chance);
  }
  const auto pick = [this](double sum) {
    return std::uniform_real_distribution<double>(0, sum)(rng_);
  };
  double sum = 0;
  for (const auto& [group, chance] : groups) sum += chance;
  double left = pick(sum);
  NetworkGroup chosen = groups.rbegin()->first;
  for (const auto& [group, chance] : groups) {
    if (left < chance) {
      chosen = group;
      break;
    }
    left -= chance;
  }
  std::erase_if(candidates, [&chosen](const Candidate& one) { return one.group != chosen; });
  sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.chance;
  left = pick(sum);
  for (const Candidate& candidate : candidates) {
    if (left < candidate.chance) return candidate.peer;
    left -= candidate.chance;
  }
  return candidates.back().peer;
}

std::vector<std::shared_ptr<const SignedRecord>> PeerBook::sample_records(
    std::size_t count, const std::function<bool(const Peer&)>& fits) const {
  std::vector<const Peer*> candidates;
  for (const auto& [id, peer] : peers_) {
    if (!peer.record || peer.addresses.empty() || peer_bans_.contains(id)) continue;
    if ((peer.proven() || connections_.contains(id)) && fits(peer)) candidates.push_back(&peer);
  }
  std::vector<std::shared_ptr<const SignedRecord>> sample;
  std::map<NetworkGroup, std::size_t> taken;
  while (!candidates.empty() && sample.size() < count) {
    const std::size_t index = index_below(candidates.size(), rng_);
    const Peer& peer = *candidates[index];
    candidates[index] = candidates.back();
    candidates.pop_back();
    const NetworkGroup group = main_address(peer).group;
    if (group.kind != NetworkGroup::Kind::kLocal && ++taken[group] > kRecordsPerGroup) continue;
    sample.push_back(peer.record);
  }
  return sample;
}

}  // namespace warren::peers
