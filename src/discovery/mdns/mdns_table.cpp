#include "discovery/mdns/mdns_table.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace warren::discovery {
namespace {

// A name on an interface may be heard with this many sets of addresses at most: as many as
// interfaces that two computers share, twice over for a restart.
constexpr std::size_t kSightingsMax = 8;
// What one address costs beside its bytes. Rounded up from the sizes of the standard library.
constexpr std::size_t kAddressOverheadBytes = 80;
constexpr std::size_t kSightingOverheadBytes = 160;
// Packets of one announcement follow each other within this time; only what is older is flushed.
// Source: RFC 6762 section 10.2.
constexpr Duration kFlushAge = 1s;

std::string source_key(std::uint32_t interface_index, const IpAddress& source) {
  std::string key(as_text(source.bytes()));
  key.append(reinterpret_cast<const char*>(&interface_index), sizeof interface_index);
  return key;
}

}  // namespace

MdnsTable::MdnsTable(limits::Discovery limits) : limits_(limits) {
  WARREN_CHECK(limits_.hints_per_second_max > 0);
}

std::size_t MdnsTable::cost(const Sighting& sighting) {
  std::size_t bytes = kSightingOverheadBytes + sighting.name.size();
  for (const Address& known : sighting.addresses) {
    bytes += kAddressOverheadBytes + known.address.bytes().size();
  }
  return bytes;
}

bool MdnsTable::hear(const Announcement& announcement, const MdnsInterface& interface,
                     IpAddress source, TimePoint now, TimePoint expires) {
  const auto known = peers_.find(announcement.peer);
  Sighting* sighting = nullptr;
  if (known != peers_.end()) {
    const auto it = std::ranges::find_if(known->second.sightings, [&](const Sighting& each) {
      return each.interface_index == interface.index && each.name == announcement.name;
    });
    if (it != known->second.sightings.end()) sighting = &*it;
  }
  if (sighting == nullptr) {
    if (announcement.addresses.empty()) return true;  // Nothing to know.
    if (known == peers_.end() && peers_.size() >= limits_.peers_max) return false;
    if (known != peers_.end() && known->second.sightings.size() >= kSightingsMax) return false;
    if (bytes_ >= limits_.table_bytes_max) return false;
    const std::string key = source_key(interface.index, source);
    if (!interface.loopback) {
      std::size_t& count = per_source_[key];
      if (count >= limits_.peers_per_source_max) return false;
      ++count;
    }
    Peer& peer = known != peers_.end() ? known->second : peers_[announcement.peer];
    peer.sightings.push_back(
        {announcement.name, interface.index, source, !interface.loopback, {}, now, expires});
    sighting = &peer.sightings.back();
    by_name_.emplace(announcement.name, announcement.peer);
    bytes_ += cost(*sighting);
  }
  bytes_ -= cost(*sighting);
  const bool changed = merge(*sighting, announcement, now);
  bytes_ += cost(*sighting);
  sighting->heard = now;
  sighting->expires = expires;
  next_expiry_ = std::min(next_expiry_, expires);
  if (changed) {
    const auto peer = peers_.find(announcement.peer);
    enqueue(peer->first, peer->second);
  }
  return true;
}

bool MdnsTable::merge(Sighting& sighting, const Announcement& announcement, TimePoint now) {
  bool changed = false;
  for (const Multiaddr& address : announcement.addresses) {
    const auto known = std::ranges::find(sighting.addresses, address, &Address::address);
    if (known != sighting.addresses.end()) {
      known->heard = now;
      continue;
    }
    if (sighting.addresses.size() >= limits_.addresses_per_peer_max) {
      const auto oldest = std::ranges::min_element(sighting.addresses, {}, &Address::heard);
      // What came with the same announcement stays: a peer with too many must not flap.
      if (oldest->heard >= now - kFlushAge) break;
      sighting.addresses.erase(oldest);
    }
    sighting.addresses.push_back({address, now});
    changed = true;
  }
  if (announcement.flush) {
    changed |= std::erase_if(sighting.addresses, [&](const Address& known) {
                 return known.heard < now - kFlushAge;
               }) != 0;
  }
  return changed;
}

void MdnsTable::enqueue(const PeerId& id, Peer& peer) {
  if (peer.queued) return;
  peer.queued = true;
  queue_.push_back(id);
}

void MdnsTable::forget(const PeerId& id, const Sighting& sighting) {
  bytes_ -= cost(sighting);
  const auto [first, last] = by_name_.equal_range(sighting.name);
  const auto name =
      std::find_if(first, last, [&](const auto& entry) { return entry.second == id; });
  WARREN_CHECK(name != last);
  by_name_.erase(name);
  if (!sighting.counted) return;
  const auto count = per_source_.find(source_key(sighting.interface_index, sighting.source));
  WARREN_CHECK(count != per_source_.end() && count->second > 0);
  if (--count->second == 0) per_source_.erase(count);
}

template <class Gone>
MdnsTable::Peers::iterator MdnsTable::remove_from(Peers::iterator it, Gone gone) {
  Peer& peer = it->second;
  const TimePoint seen = std::ranges::max(peer.sightings, {}, &Sighting::heard).heard;
  const std::size_t removed = std::erase_if(peer.sightings, [&](const Sighting& sighting) {
    if (!gone(sighting)) return false;
    forget(it->first, sighting);
    return true;
  });
  if (!peer.sightings.empty()) {
    if (removed != 0) enqueue(it->first, peer);
    return std::next(it);
  }
  if (peer.told) lost_.push_back({it->first, {}, seen});
  if (peer.queued) std::erase(queue_, it->first);
  return peers_.erase(it);
}

template <class Gone>
void MdnsTable::remove_if(Gone gone) {
  for (auto it = peers_.begin(); it != peers_.end();) it = remove_from(it, gone);
}

void MdnsTable::goodbye(std::string_view name, std::uint32_t interface_index) {
  std::vector<PeerId> named;
  const auto [first, last] = by_name_.equal_range(std::string(name));
  for (auto it = first; it != last; ++it) named.push_back(it->second);
  for (const PeerId& id : named) {
    const auto peer = peers_.find(id);
    if (peer == peers_.end()) continue;  // Named twice, and gone with the first.
    remove_from(peer, [&](const Sighting& sighting) {
      return sighting.interface_index == interface_index && sighting.name == name;
    });
  }
}

void MdnsTable::drop_interface(std::uint32_t interface_index) {
  remove_if([&](const Sighting& sighting) { return sighting.interface_index == interface_index; });
}

std::vector<KnownPeer> MdnsTable::take_lost(TimePoint now) {
  if (now >= next_expiry_) {
    remove_if([&](const Sighting& sighting) { return sighting.expires <= now; });
    next_expiry_ = kNever;
    for (const auto& [id, peer] : peers_) {
      for (const Sighting& sighting : peer.sightings) {
        next_expiry_ = std::min(next_expiry_, sighting.expires);
      }
    }
  }
  return std::exchange(lost_, {});
}

bool MdnsTable::may_tell(TimePoint now) const {
  return told_at_.size() < limits_.hints_per_second_max || now - told_at_.front() >= 1s;
}

std::vector<KnownPeer> MdnsTable::take_found(TimePoint now) {
  std::vector<KnownPeer> found;
  while (!queue_.empty() && may_tell(now)) {
    const auto peer = peers_.find(queue_.front());
    queue_.pop_front();
    WARREN_CHECK(peer != peers_.end() && peer->second.queued);
    peer->second.queued = false;
    KnownPeer known = describe(peer->first, peer->second);
    if (known.addresses.empty()) continue;  // All of them were flushed; the peer may name new ones.
    peer->second.told = true;
    if (told_at_.size() == limits_.hints_per_second_max) told_at_.pop_front();
    told_at_.push_back(now);
    found.push_back(std::move(known));
  }
  return found;
}

TimePoint MdnsTable::next_due(TimePoint now) const {
  TimePoint due = peers_.empty() ? kNever : next_expiry_;
  if (!lost_.empty()) due = now;
  if (!queue_.empty()) due = std::min(due, may_tell(now) ? now : told_at_.front() + 1s);
  return due;
}

KnownPeer MdnsTable::describe(const PeerId& id, const Peer& peer) const {
  KnownPeer known{id, {}, {}};
  std::vector<const Sighting*> newest_first;
  for (const Sighting& sighting : peer.sightings) newest_first.push_back(&sighting);
  std::ranges::sort(newest_first, std::greater{}, [](const Sighting* sighting) {
    return std::pair(sighting->heard, sighting->interface_index);
  });
  known.seen = newest_first.front()->heard;
  for (const Sighting* sighting : newest_first) {
    for (const Address& address : sighting->addresses) {
      if (known.addresses.size() == limits_.addresses_per_peer_max) return known;
      if (std::ranges::find(known.addresses, address.address) == known.addresses.end()) {
        known.addresses.push_back(address.address);
      }
    }
  }
  return known;
}

void MdnsTable::check_invariants() const {
  WARREN_CHECK(peers_.size() <= limits_.peers_max);
  WARREN_CHECK(queue_.size() <= peers_.size());
  WARREN_CHECK(by_name_.size() >= peers_.size());
  WARREN_CHECK(by_name_.size() <= peers_.size() * kSightingsMax);
  WARREN_CHECK(per_source_.size() <= by_name_.size());
  WARREN_CHECK(told_at_.size() <= limits_.hints_per_second_max);
}

void MdnsTable::check_all() const {
  check_invariants();
  std::size_t bytes = 0;
  std::size_t queued = 0;
  std::size_t sightings = 0;
  for (const auto& [id, peer] : peers_) {
    WARREN_CHECK(!peer.sightings.empty() && peer.sightings.size() <= kSightingsMax);
    queued += peer.queued;
    sightings += peer.sightings.size();
    for (const Sighting& sighting : peer.sightings) {
      WARREN_CHECK(sighting.addresses.size() <= limits_.addresses_per_peer_max);
      WARREN_CHECK(sighting.expires >= next_expiry_);
      bytes += cost(sighting);
    }
  }
  WARREN_CHECK(bytes == bytes_ && queued == queue_.size() && sightings == by_name_.size());
}

}  // namespace warren::discovery
