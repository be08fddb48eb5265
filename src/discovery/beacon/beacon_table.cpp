#include "discovery/beacon/beacon_table.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.hpp"
#include "discovery/beacon/beacon_service.hpp"
#include "resources/prefix.hpp"

namespace warren::discovery::beacon {
namespace {

// A peer may be heard from this many addresses: both IP versions on four interfaces.
constexpr std::size_t kSightingsMax = 8;
// What one address, kept twice, and one sighting cost beside their bytes. Rounded up from the sizes
// of the standard library.
constexpr std::size_t kAddressOverheadBytes = 120;
constexpr std::size_t kSightingOverheadBytes = 160;
// A change of what a peer offers, and of nothing else, is told this often at most.
constexpr Duration kSpareGap = 10s;
// A beacon is stale after five minutes by clocks that may be five minutes apart: an older one is
// refused without its serial.
constexpr Duration kDepartedTime = 10min;
constexpr TimePoint kLongAgo{Duration::min() / 2};
// What one link of IPv6 gives its computers to choose from. Source: RFC 4291 section 2.5.1.
constexpr std::uint8_t kGroupBitsV6 = 64;

}  // namespace

SourceGroup source_group(std::uint32_t interface_index, const IpAddress& source) {
  return {interface_index,
          source.is_v6() ? resources::Prefix::of(source, kGroupBitsV6).ip : source};
}

Sighting* KnownPeer::sighting(const Arrival& arrival) {
  const auto found = std::ranges::find_if(sightings, [&](const Sighting& each) {
    return each.interface_index == arrival.interface_index && each.source == arrival.source;
  });
  return found == sightings.end() ? nullptr : &*found;
}

BeaconTable::BeaconTable(limits::Beacon limits) : limits_(limits) {
  WARREN_CHECK(limits_.hints_per_second_max > 0);
}

std::size_t BeaconTable::cost(const std::vector<Multiaddr>& addresses) {
  std::size_t bytes = kSightingOverheadBytes;
  for (const Multiaddr& each : addresses) {
    bytes += kAddressOverheadBytes + each.bytes().size();
  }
  return bytes;
}

KnownPeer* BeaconTable::find(const RawKey& key) {
  const auto found = peers_.find(key);
  return found == peers_.end() ? nullptr : &found->second;
}

std::uint64_t BeaconTable::departed_serial(const RawKey& key, TimePoint now) const {
  const auto found = departed_.find(key);
  const bool holds = found != departed_.end() && now - found->second.at < kDepartedTime;
  return holds ? found->second.serial : 0;
}

// ---------------------------------------------------------------------------------- hearing

bool BeaconTable::may_have_room(const RawKey& key, const Arrival& arrival) const {
  const auto known = peers_.find(key);
  if (known != peers_.end() && known->second.sightings.size() >= kSightingsMax) return false;
  return has_room(known == peers_.end(), kSightingOverheadBytes + kAddressOverheadBytes) ||
         yields(source_group(arrival.interface_index, arrival.source));
}

bool BeaconTable::has_room(bool new_peer, std::size_t bytes) const {
  return (!new_peer || peers_.size() < limits_.peers_max) &&
         bytes_ + bytes <= limits_.table_bytes_max;
}

std::size_t BeaconTable::count(const SourceGroup& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? 0 : found->second;
}

void BeaconTable::set_count(const SourceGroup& group, std::size_t count) {
  by_count_.erase({this->count(group), group});
  groups_.erase(group);
  if (count == 0) return;
  groups_[group] = count;
  by_count_.emplace(count, group);
}

/// Whether the group with the most has more than `to` also when one has gone from it and come to
/// `to`, or as many: else two groups would take each other's place for ever.
bool BeaconTable::yields(const SourceGroup& to) const {
  return !by_count_.empty() && by_count_.rbegin()->first >= count(to) + 2;
}

bool BeaconTable::make_room(const SourceGroup& group, bool new_peer, std::size_t bytes,
                            TimePoint now) {
  while (!has_room(new_peer, bytes)) {
    if (!yields(group)) return false;
    const SourceGroup largest = by_count_.rbegin()->second;
    const auto in_largest = [&](const Sighting& sighting) {
      return source_group(sighting.interface_index, sighting.source) == largest;
    };
    auto newest = peers_.end();
    for (auto it = peers_.begin(); it != peers_.end(); ++it) {
      if (!std::ranges::any_of(it->second.sightings, in_largest)) continue;
      if (newest == peers_.end() || it->second.since >= newest->second.since) newest = it;
    }
    WARREN_CHECK(newest != peers_.end());
    remove_from(newest, now, in_largest);
  }
  return true;
}

Sighting& BeaconTable::add_sighting(KnownPeer& peer, const Arrival& arrival) {
  const SourceGroup group = source_group(arrival.interface_index, arrival.source);
  set_count(group, count(group) + 1);
  Sighting& sighting = peer.sightings.emplace_back();
  sighting.interface_index = arrival.interface_index;
  sighting.source = arrival.source;
  sighting.multicast_at = kLongAgo;
  bytes_ += cost(sighting.addresses);
  return sighting;
}

void BeaconTable::set_addresses(KnownPeer& peer, const RawKey& key, Sighting& sighting,
                                std::vector<Multiaddr> addresses) {
  if (sighting.addresses == addresses) return;
  bytes_ -= cost(sighting.addresses);
  sighting.addresses = std::move(addresses);
  bytes_ += cost(sighting.addresses);
  enqueue(key, peer);
}

BeaconTable::Outcome BeaconTable::hear(const RawKey& key, const Arrival& arrival,
                                       const Announcement& said, std::vector<Multiaddr> addresses,
                                       Duration clock_ahead, TimePoint now, TimePoint expires) {
  KnownPeer* before = find(key);
  Sighting* sighting = before == nullptr ? nullptr : before->sighting(arrival);
  const std::size_t held = sighting == nullptr ? 0 : cost(sighting->addresses);
  const std::size_t wanted = cost(addresses);
  const SourceGroup group = source_group(arrival.interface_index, arrival.source);
  if (wanted > held && !make_room(group, before == nullptr, wanted - held, now)) {
    if (sighting == nullptr) return Outcome::kNoRoom;
    addresses = find(key)->sighting(arrival)->addresses;
  }
  // Making room may have removed other sightings of this peer, and with the last one the peer.
  const auto [entry, is_new] = peers_.try_emplace(key);
  KnownPeer& peer = entry->second;
  if (is_new) {
    peer.id = peer_of(key);
    peer.since = now;
    peer.checks = TokenBucket(limits_.peer_burst);
    departed_.erase(key);
  }
  sighting = peer.sighting(arrival);
  if (sighting == nullptr) sighting = &add_sighting(peer, arrival);
  sighting->serial = said.serial;
  sighting->digest = arrival.digest;
  sighting->heard = now;
  sighting->expires = expires;
  if (arrival.multicast) sighting->multicast_at = now;
  peer.serial = std::max(peer.serial, said.serial);
  peer.clock_ahead = clock_ahead;
  peer.spare = said.spare;
  set_addresses(peer, key, *sighting, std::move(addresses));
  const bool retell = peer.told && peer.spare != peer.told_spare;
  if (retell && now - peer.told_at >= kSpareGap) enqueue(key, peer);
  return is_new ? Outcome::kNew : Outcome::kKnown;
}

bool BeaconTable::hear_copy(KnownPeer& peer, const Arrival& arrival, TimePoint now) {
  const auto same = std::ranges::find_if(peer.sightings, [&](const Sighting& each) {
    return each.interface_index == arrival.interface_index && each.digest == arrival.digest;
  });
  if (same == peer.sightings.end()) return false;
  if (arrival.multicast) same->multicast_at = now;
  return true;
}

// ---------------------------------------------------------------------------------- leaving

void BeaconTable::forget(const Sighting& sighting) {
  bytes_ -= cost(sighting.addresses);
  const SourceGroup group = source_group(sighting.interface_index, sighting.source);
  WARREN_CHECK(count(group) > 0);
  set_count(group, count(group) - 1);
}

void BeaconTable::remember_departed(const RawKey& key, std::uint64_t serial, TimePoint now) {
  if (departed_.size() >= limits_.departed_max && !departed_.contains(key)) {
    if (departed_.empty()) return;
    departed_.erase(
        std::ranges::min_element(departed_, {}, [](const auto& entry) { return entry.second.at; }));
  }
  departed_[key] = {serial, now};
}

template <class Gone>
BeaconTable::Peers::iterator BeaconTable::remove_from(Peers::iterator it, TimePoint now,
                                                      Gone gone) {
  KnownPeer& peer = it->second;
  const TimePoint seen = std::ranges::max(peer.sightings, {}, &Sighting::heard).heard;
  const std::size_t removed = std::erase_if(peer.sightings, [&](const Sighting& sighting) {
    if (!gone(sighting)) return false;
    forget(sighting);
    return true;
  });
  if (!peer.sightings.empty()) {
    if (removed != 0) enqueue(it->first, peer);
    return std::next(it);
  }
  if (peer.told) {
    PeerHint hint;
    hint.peer = peer.id;
    hint.via = kBeaconName;
    hint.seen = seen;
    lost_.push_back(std::move(hint));
  }
  if (peer.queued) std::erase(queue_, it->first);
  remember_departed(it->first, peer.serial, now);
  return peers_.erase(it);
}

void BeaconTable::goodbye(const RawKey& key, std::uint64_t serial, TimePoint now) {
  const auto peer = peers_.find(key);
  // Those who were never here must not push out what is remembered of those who were.
  if (peer == peers_.end()) return;
  peer->second.serial = std::max(peer->second.serial, serial);
  remove_from(peer, now, [](const Sighting&) { return true; });
}

void BeaconTable::drop_interface(std::uint32_t interface_index, TimePoint now) {
  for (auto it = peers_.begin(); it != peers_.end();) {
    it = remove_from(it, now, [&](const Sighting& sighting) {
      return sighting.interface_index == interface_index;
    });
  }
}

void BeaconTable::sweep(TimePoint now) {
  for (auto it = peers_.begin(); it != peers_.end();) {
    it = remove_from(it, now, [&](const Sighting& sighting) { return sighting.expires <= now; });
  }
  std::erase_if(departed_,
                [&](const auto& entry) { return now - entry.second.at >= kDepartedTime; });
}

// ---------------------------------------------------------------------------------- telling

void BeaconTable::enqueue(const RawKey& key, KnownPeer& peer) {
  if (std::exchange(peer.queued, true)) return;
  queue_.push_back(key);
}

std::vector<PeerHint> BeaconTable::take_lost() { return std::exchange(lost_, {}); }

bool BeaconTable::may_tell(TimePoint now) const {
  return told_at_.size() < limits_.hints_per_second_max || now - told_at_.front() >= 1s;
}

std::vector<PeerHint> BeaconTable::take_found(TimePoint now) {
  std::vector<PeerHint> found;
  while (!queue_.empty() && may_tell(now)) {
    const auto entry = peers_.find(queue_.front());
    queue_.pop_front();
    WARREN_CHECK(entry != peers_.end() && entry->second.queued);
    KnownPeer& peer = entry->second;
    peer.queued = false;
    PeerHint hint = describe(peer);
    std::vector<Multiaddr> sorted = hint.addresses;
    std::ranges::sort(sorted);
    // What changed may be which source says it.
    if (peer.told && sorted == peer.told_addresses && peer.spare == peer.told_spare) continue;
    peer.told = true;
    peer.told_addresses = std::move(sorted);
    peer.told_spare = peer.spare;
    peer.told_at = now;
    if (told_at_.size() == limits_.hints_per_second_max) told_at_.pop_front();
    told_at_.push_back(now);
    found.push_back(std::move(hint));
  }
  return found;
}

TimePoint BeaconTable::next_due(TimePoint now) const {
  if (!lost_.empty()) return now;
  if (queue_.empty()) return kNever;
  return may_tell(now) ? now : told_at_.front() + 1s;
}

PeerHint BeaconTable::describe(const KnownPeer& peer) const {
  PeerHint hint;
  hint.peer = peer.id;
  hint.via = kBeaconName;
  hint.spare = peer.spare;
  std::vector<const Sighting*> newest_first;
  for (const Sighting& sighting : peer.sightings) newest_first.push_back(&sighting);
  std::ranges::sort(newest_first, std::greater{}, [](const Sighting* sighting) {
    return std::tuple(sighting->heard, sighting->interface_index, sighting->source);
  });
  hint.seen = newest_first.front()->heard;
  for (const Sighting* sighting : newest_first) {
    for (const Multiaddr& address : sighting->addresses) {
      if (hint.addresses.size() == limits_.addresses_per_peer_max) return hint;
      if (std::ranges::find(hint.addresses, address) == hint.addresses.end()) {
        hint.addresses.push_back(address);
      }
    }
  }
  return hint;
}

BeaconTable::Heard BeaconTable::heard_since(std::uint32_t interface_index, TimePoint since) const {
  Heard heard;
  for (const auto& [key, peer] : peers_) {
    bool here = false;
    bool multicast = false;
    for (const Sighting& each : peer.sightings) {
      if (each.interface_index != interface_index || each.heard < since) continue;
      here = true;
      multicast = multicast || each.multicast_at >= since;
    }
    heard.by_multicast = heard.by_multicast || multicast;
    heard.otherwise_alone = heard.otherwise_alone || (here && !multicast);
  }
  return heard;
}

std::optional<Duration> BeaconTable::clock_ahead() const {
  std::vector<Duration> all;
  for (const auto& [key, peer] : peers_) all.push_back(peer.clock_ahead);
  if (all.empty()) return std::nullopt;
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::ranges::nth_element(all, middle);
  return *middle;
}

// ------------------------------------------------------------------------------- invariants

void BeaconTable::check_invariants() const {
  WARREN_CHECK(peers_.size() <= limits_.peers_max);
  WARREN_CHECK(queue_.size() <= peers_.size());
  WARREN_CHECK(bytes_ <= limits_.table_bytes_max);
  WARREN_CHECK(groups_.size() <= peers_.size() * kSightingsMax);
  WARREN_CHECK(groups_.size() == by_count_.size());
  WARREN_CHECK(departed_.size() <= limits_.departed_max);
  WARREN_CHECK(told_at_.size() <= limits_.hints_per_second_max);
}

void BeaconTable::check_all() const {
  check_invariants();
  std::size_t bytes = 0;
  std::size_t queued = 0;
  std::map<SourceGroup, std::size_t> groups;
  for (const auto& [key, peer] : peers_) {
    WARREN_CHECK(!peer.sightings.empty() && peer.sightings.size() <= kSightingsMax);
    WARREN_CHECK(peer.id == peer_of(key) && (peer.told || peer.queued));
    queued += peer.queued;
    for (const Sighting& sighting : peer.sightings) {
      WARREN_CHECK(!sighting.addresses.empty() && sighting.addresses.size() <= kAddressesMax);
      WARREN_CHECK(sighting.serial <= peer.serial);
      ++groups[source_group(sighting.interface_index, sighting.source)];
      bytes += cost(sighting.addresses);
    }
  }
  WARREN_CHECK(bytes == bytes_ && queued == queue_.size() && groups == groups_);
}

}  // namespace warren::discovery::beacon
