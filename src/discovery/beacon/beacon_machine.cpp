#include "discovery/beacon/beacon_machine.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.hpp"

namespace warren::discovery::beacon {
namespace {

// By clocks that differ, or on a way that takes so long: then a beacon may be a recording.
// Source: docs/protocols/beacon.md, "Receiving".
constexpr Duration kClockDifferenceMax = 5min;
// Beacons out of turn (a change, a new peer, a refresh) keep this distance on a link.
constexpr Duration kRefreshGap = 250ms;
constexpr Duration kAnswerGap = 1s;
// Nodes that hear a new one answer it at different times.
constexpr Duration kAnswerDelayMax = 200ms;
// The first beacon is said once more, for the one that is lost.
constexpr Duration kRepeatGap = 500ms;
constexpr int kRepeats = 1;
// Without multicast for so many intervals: it does not work there.
constexpr int kQuietIntervals = 3;
// A peer is believed for at most so long without a beacon, whatever it says.
constexpr Duration kValidityMax = 60s;
// Checks that one forged packet costs its source.
constexpr double kForgedCost = 8;
constexpr std::size_t kOwnAddressesMax = 64;
constexpr std::size_t kCountersMax = 64;

/// A beacon may name where it comes from, and addresses of local networks that are not ours: else
/// one node could have everybody on its link dial somebody elsewhere.
bool is_believable(const Multiaddr& address, const Arrival& arrival, const LinkInterface& link) {
  const auto endpoint = address.endpoint();
  if (!endpoint) return false;
  if (arrival.loopback || endpoint->ip == arrival.source) return true;
  const bool ours = std::ranges::find(link.addresses, endpoint->ip) != link.addresses.end();
  return endpoint->ip.is_private() && !ours;
}

WallMillis to_millis(WallTime wall) {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(wall);
}

std::chrono::milliseconds to_millis(Duration time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time);
}

std::uint64_t count_of(WallMillis at) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(1, at.time_since_epoch().count()));
}

/// An address that `interface` has and that `announced` names, to send from.
std::optional<IpAddress> source_among(const std::vector<Multiaddr>& announced,
                                      const LinkInterface& interface, bool v6) {
  std::optional<IpAddress> chosen;
  for (const Multiaddr& address : announced) {
    const auto endpoint = address.endpoint();
    if (!endpoint || endpoint->ip.is_v6() != v6) continue;
    const IpAddress& ip = endpoint->ip;
    if (std::ranges::find(interface.addresses, ip) == interface.addresses.end()) continue;
    if (!chosen || (ip.is_link_local() && !chosen->is_link_local() && v6)) chosen = ip;
  }
  return chosen;
}

}  // namespace

BeaconMachine::BeaconMachine(MachineConfig config, crypto::PrivateKey key, std::mt19937_64& rng)
    : config_(std::move(config)),
      key_(std::move(key)),
      rng_(&rng),
      table_(config_.limits),
      strangers_(config_.limits.strangers_burst),
      sources_(config_.limits.sources_max, TokenBucket(config_.limits.source_burst)),
      sources_key_(rng()) {
  WARREN_CHECK(config_.interval > 0s && config_.timeout > 0s && config_.sweep > 0s);
  WARREN_CHECK(!sources_.empty());
  const BytesView own = key_.public_key().protobuf();
  WARREN_CHECK(own.size() == 4 + own_key_.size());  // Ed25519.
  std::ranges::copy(own.last(own_key_.size()), own_key_.begin());
}

std::vector<Action> BeaconMachine::handle(const LinkEvent& event, Now now) {
  Actions out;
  if (stopped_) return out;
  std::visit([&](const auto& each) { on(each, now, out); }, event);
  if (!stopped_) {
    for (auto& [index, link] : links_) {
      if (link.next_send <= now.mono) send(link, false, now, out);
    }
    if (!table_.empty() && next_sweep_ == kNever) next_sweep_ = now.mono + config_.sweep;
    if (next_sweep_ <= now.mono) {
      table_.sweep(now.mono);
      next_sweep_ = table_.empty() ? kNever : now.mono + config_.sweep;
    }
    tell(now.mono, out);
  }
  set_timer(now.mono, out);
  check_invariants();
  return out;
}

// ----------------------------------------------------------------------------------- events

void BeaconMachine::on(const InterfacesChanged& event, Now now, Actions&) {
  std::map<std::uint32_t, const LinkInterface*> wanted;
  for (const LinkInterface& interface : event.interfaces) {
    if (wanted.size() == config_.limits.interfaces_max) break;
    if (interface.index != 0) wanted[interface.index] = &interface;
  }
  std::erase_if(links_, [&](const auto& entry) {
    if (wanted.contains(entry.first)) return false;
    table_.drop_interface(entry.first, now.mono);
    return true;
  });
  for (const auto& [index, interface] : wanted) {
    Link& link = links_[index];
    if (link.interface == *interface) continue;
    link.interface = *interface;
    link.came_up = now.mono;
    counters_.try_emplace(index);
    choose_addresses(link, now);
  }
  // Interfaces of containers come and go with ever new numbers.
  for (auto it = counters_.begin(); it != counters_.end() && counters_.size() > kCountersMax;) {
    it = links_.contains(it->first) ? std::next(it) : counters_.erase(it);
  }
}

void BeaconMachine::on(const AddressesChanged& event, Now now, Actions&) {
  const std::size_t count = std::min(event.addresses.size(), kOwnAddressesMax);
  own_addresses_.assign(event.addresses.begin(),
                        event.addresses.begin() + static_cast<std::ptrdiff_t>(count));
  for (auto& [index, link] : links_) choose_addresses(link, now);
}

void BeaconMachine::on(const PacketReceived& event, Now now, Actions&) {
  const auto found = links_.find(event.interface_index);
  if (found == links_.end()) return;
  Link& link = found->second;
  LinkCounters& counters = counters_[event.interface_index];
  const Result<RawKey> key = claimed_sender(event.bytes);
  if (key && *key == own_key_) {
    if (event.multicast) {
      ++counters.own_multicast;
      link.own_multicast_at = now.mono;
    }
    return;
  }
  ++counters.heard;
  if (!is_on_link(link.interface, event.from)) {
    ++drops_.off_link;
    return;
  }
  const limits::Beacon& limits = config_.limits;
  if (!key) {
    // Another version is not wrong, only not ours.
    if (key.error().code() != ErrorCode::kMalformed) return;
    ++counters.malformed, ++drops_.malformed;
    bucket_of(event).take(limits.source_per_second, limits.source_burst, now.mono);
    return;
  }
  const std::size_t digest = std::hash<std::string_view>{}(as_text(event.bytes));
  const Arrival arrival{event.interface_index, link.interface.loopback, event.multicast, event.from,
                        digest};
  KnownPeer* peer = table_.find(*key);
  if (peer != nullptr && table_.hear_copy(*peer, arrival, now.mono)) {
    ++(event.multicast ? counters.multicast : counters.broadcast);
    return;
  }
  const Sighting* sighting = peer == nullptr ? nullptr : peer->sighting(arrival);
  const bool stranger = sighting == nullptr;
  TokenBucket& payer = stranger ? bucket_of(event) : peer->checks;
  const bool paid = stranger ? payer.take(limits.source_per_second, limits.source_burst, now.mono)
                             : payer.take(known_rate(), limits.peer_burst, now.mono);
  if (!paid) {
    ++drops_.over_rate;
    return;
  }
  const auto said = read(*key, peer, sighting, event, link, now);
  if (!said) return;
  if (stranger && !said->goodbye && !table_.may_have_room(*key, arrival)) {
    ++drops_.table_full;
    return;
  }
  if (stranger && !strangers_.take(limits.strangers_per_second, limits.strangers_burst, now.mono)) {
    payer.give_back();
    ++drops_.over_rate;
    return;
  }
  ++checked_;
  if (!is_proven(event.bytes)) {
    ++drops_.forged;
    if (stranger) payer.drain(kForgedCost);
    return;
  }
  ++counters.heard_peers;
  ++(event.multicast ? counters.multicast : counters.broadcast);
  if (said->goodbye) {
    table_.goodbye(*key, said->serial, now.mono);
  } else {
    take(*key, arrival, *said, link, now);
  }
}

void BeaconMachine::on(const TimerFired&, Now, Actions&) { timer_at_ = kNever; }

void BeaconMachine::on(const RefreshAsked&, Now now, Actions&) {
  for (auto& [index, link] : links_) {
    if (link.announced.empty()) continue;
    link.next_send = std::min(link.next_send, std::max(now.mono, link.last_send + kRefreshGap));
  }
}

void BeaconMachine::on(const StopAsked&, Now now, Actions& out) {
  for (auto& [index, link] : links_) {
    const bool heard_of = link.last_send != kLongAgo && !link.announced.empty();
    if (heard_of) send(link, true, now, out);
  }
  stopped_ = true;
}

// ---------------------------------------------------------------------------------- hearing

/// All known peers have the same part of what they may cost together, so that none can take that of
/// another.
double BeaconMachine::known_rate() const {
  const double part = config_.limits.known_per_second / static_cast<double>(table_.peers());
  return std::min(part, config_.limits.peer_per_second);
}

TokenBucket& BeaconMachine::bucket_of(const PacketReceived& event) {
  const auto [index, ip] = source_group(event.interface_index, event.from);
  const std::size_t hash = std::hash<Endpoint>{}({ip, 0, index});
  const std::uint64_t mixed = (hash ^ sources_key_) * 0x9e37'79b9'7f4a'7c15ull;
  return sources_[(mixed >> 32) % sources_.size()];
}

std::optional<Announcement> BeaconMachine::read(const RawKey& key, KnownPeer* peer,
                                                const Sighting* sighting,
                                                const PacketReceived& event, const Link& link,
                                                Now now) {
  auto said = read_unproven(event.bytes);
  if (!said) {
    ++counters_[event.interface_index].malformed;
    ++drops_.malformed;
    return std::nullopt;
  }
  // What one source says grows; what a new source says is newer than all.
  const std::uint64_t last = sighting != nullptr ? sighting->serial
                             : peer != nullptr   ? peer->serial
                                                 : table_.departed_serial(key, now.mono);
  if (said->serial <= last) {
    ++drops_.replayed;
    return std::nullopt;
  }
  const Duration ahead = said->sent_at - to_millis(now.wall);
  if (ahead > kClockDifferenceMax || ahead < -kClockDifferenceMax) {
    ++drops_.stale;
    stale_ahead_ = ahead;
    return std::nullopt;
  }
  // On loopback all sources are this computer.
  const bool named = link.interface.loopback ||
                     std::ranges::any_of(said->addresses, [&](const Multiaddr& address) {
                       const auto endpoint = address.endpoint();
                       return endpoint && endpoint->ip == event.from;
                     });
  if (!named) {
    ++drops_.foreign;
    return std::nullopt;
  }
  return std::move(*said);
}

void BeaconMachine::take(const RawKey& key, const Arrival& arrival, const Announcement& said,
                         Link& link, Now now) {
  std::vector<Multiaddr> addresses;
  for (const Multiaddr& each : said.addresses) {
    if (addresses.size() == config_.limits.addresses_per_peer_max) break;
    if (!is_believable(each, arrival, link.interface)) continue;
    auto dialable = dialable_address(each, link.interface);
    if (dialable && std::ranges::find(addresses, *dialable) == addresses.end()) {
      addresses.push_back(std::move(*dialable));
    }
  }
  if (addresses.empty()) return;  // Nothing to know.
  const Duration lifetime =
      std::max(config_.timeout, std::min<Duration>(said.validity, kValidityMax));
  const Duration ahead = said.sent_at - to_millis(now.wall);
  const auto outcome =
      table_.hear(key, arrival, said, std::move(addresses), ahead, now.mono, now.mono + lifetime);
  if (outcome == BeaconTable::Outcome::kNoRoom) ++drops_.table_full;
  if (outcome != BeaconTable::Outcome::kNew || link.announced.empty()) return;
  // It need not wait for our turn.
  const TimePoint at = now.mono + jitter(0s, std::min(kAnswerDelayMax, config_.interval));
  link.next_send = std::min(link.next_send, std::max(at, link.last_send + kAnswerGap));
}

// ---------------------------------------------------------------------------------- sending

void BeaconMachine::choose_addresses(Link& link, Now now) {
  auto addresses = link_addresses(own_addresses_, link.interface);
  if (addresses.size() > config_.limits.addresses_per_peer_max) {
    addresses.resize(config_.limits.addresses_per_peer_max);
  }
  const bool changed = addresses != link.announced;
  link.announced = std::move(addresses);
  if (link.announced.empty()) {
    link.next_send = kNever;
    return;
  }
  if (changed) {
    record_sequence_ = std::max(record_sequence_ + 1, count_of(to_millis(now.wall)));
    link.repeats_left = kRepeats;
  }
  link.next_send = std::min(link.next_send, std::max(now.mono, link.last_send + kRefreshGap));
}

bool BeaconMachine::wants_broadcast(const Link& link, TimePoint now) const {
  const Duration quiet = config_.interval * kQuietIntervals;
  switch (config_.mode) {
    case BeaconMode::kMulticast: return false;
    case BeaconMode::kBroadcast: return true;
    case BeaconMode::kAuto:
    case BeaconMode::kLoopback: break;
  }
  if (!link.interface.joined) return true;
  // On loopback nothing stands between sender and receiver: our own beacons tell.
  if (link.interface.loopback) {
    return std::max(link.own_multicast_at, link.came_up) < now - quiet;
  }
  const auto heard = table_.heard_since(link.interface.index, now - quiet);
  return !heard.by_multicast || heard.otherwise_alone;
}

bool BeaconMachine::broadcasting(std::uint32_t interface_index) const {
  const auto link = links_.find(interface_index);
  return link != links_.end() && link->second.broadcasting;
}

void BeaconMachine::send(Link& link, bool goodbye, Now now, Actions& out) {
  const WallMillis wall = to_millis(now.wall);
  serial_ = std::max(serial_ + 1, count_of(wall));
  Announcement said;
  said.serial = serial_;
  said.sent_at = wall;
  said.record_sequence = record_sequence_;
  said.addresses = link.announced;
  if (config_.spare) said.spare = config_.spare();
  said.interval = to_millis(config_.interval);
  said.validity = to_millis(config_.timeout);
  said.goodbye = goodbye;

  const LinkInterface& interface = link.interface;
  SendPacket packet;
  packet.interface_index = interface.index;
  packet.from_v4 = source_among(link.announced, interface, false);
  packet.from_v6 = source_among(link.announced, interface, true);
  if (interface.loopback) {
    packet.from_v4 = IpAddress::v4(127, 0, 0, 1);
    packet.from_v6.reset();
  }
  packet.multicast = config_.mode != BeaconMode::kBroadcast && link.interface.joined;
  packet.broadcast = wants_broadcast(link, now.mono);
  link.broadcasting = packet.broadcast;
  packet.bytes = seal(key_, std::move(said));
  out.emplace_back(std::move(packet));

  link.last_send = now.mono;
  link.next_send = now.mono + jitter(config_.interval * 9 / 10, config_.interval);
  if (link.repeats_left > 0) {
    --link.repeats_left;
    link.next_send = std::min(link.next_send, now.mono + kRepeatGap);
  }
}

void BeaconMachine::tell(TimePoint now, Actions& out) {
  for (PeerHint& hint : table_.take_lost()) out.emplace_back(TellLost{std::move(hint)});
  for (PeerHint& hint : table_.take_found(now)) out.emplace_back(TellFound{std::move(hint)});
}

void BeaconMachine::set_timer(TimePoint now, Actions& out) {
  TimePoint next = kNever;
  if (!stopped_) {
    next = std::min(table_.next_due(now), next_sweep_);
    for (const auto& [index, link] : links_) next = std::min(next, link.next_send);
  }
  if (next == timer_at_) return;
  timer_at_ = next;
  out.emplace_back(SetTimer{next});
}

Duration BeaconMachine::jitter(Duration low, Duration high) {
  return Duration(std::uniform_int_distribution<Duration::rep>(low.count(), high.count())(*rng_));
}

void BeaconMachine::check_invariants() const {
  table_.check_invariants();
  WARREN_CHECK(links_.size() <= config_.limits.interfaces_max);
  WARREN_CHECK(table_.empty() || stopped_ || next_sweep_ != kNever);
  for (const auto& [index, link] : links_) {
    WARREN_CHECK(link.interface.index == index);
    WARREN_CHECK(link.announced.empty() == (link.next_send == kNever));
  }
}

}  // namespace warren::discovery::beacon
