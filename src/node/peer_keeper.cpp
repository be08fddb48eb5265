#include "node/peer_keeper.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace warren::node {

PeerKeeper::PeerKeeper(PeerId self, KeeperConfig config, std::mt19937_64& rng)
    : self_(std::move(self)), config_(config), rng_(rng) {}

void PeerKeeper::found(const PeerId& peer, std::vector<Multiaddr> addresses, std::string_view via,
                       TimePoint now) {
  if (peer == self_ || addresses.empty()) return;
  KnownPeer* known = entry(peer, via, now);
  if (known == nullptr) return;
  if (known->kept) {
    // The address that a person typed stays, at the end.
    for (const Multiaddr& old : known->addresses) {
      if (std::ranges::find(addresses, old) == addresses.end()) addresses.push_back(old);
    }
  }
  if (addresses.size() > config_.addresses_max) addresses.resize(config_.addresses_max);
  const bool moved = known->addresses != addresses;
  known->addresses = std::move(addresses);
  if (known->via == "inbound") known->via = via;
  if (moved && known->failures > 0) {
    // It answers somewhere else now: what failed there says nothing about here.
    known->failures = 0;
    known->next_dial = std::min(known->next_dial, now + config_.backoff_min);
  }
  check_invariants();
}

void PeerKeeper::lost(const PeerId& peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  const KnownPeer& known = found->second;
  if (!known.kept && !known.connected && !known.dialling) peers_.erase(found);
}

void PeerKeeper::keep(const PeerId& peer, const Multiaddr& address, TimePoint now) {
  if (peer == self_) return;
  KnownPeer* known = entry(peer, "manual", now);
  if (known == nullptr) return;
  known->kept = true;
  if (known->via == "inbound") known->via = "manual";
  auto& addresses = known->addresses;
  if (std::ranges::find(addresses, address) == addresses.end()) {
    if (addresses.size() >= config_.addresses_max) addresses.pop_back();
    addresses.push_back(address);
  }
  check_invariants();
}

void PeerKeeper::leave(const PeerId& peer, TimePoint now) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  found->second.kept = false;
  found->second.next_dial = now + config_.left_alone;
}

void PeerKeeper::connected(const PeerId& peer, TimePoint now) {
  KnownPeer* known = entry(peer, "inbound", now);
  if (known == nullptr || known->connected) return;
  known->connected = true;
  known->since = now;
  known->failures = 0;
  ++connected_;
  check_invariants();
}

void PeerKeeper::disconnected(const PeerId& peer, TimePoint now) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || !found->second.connected) return;
  KnownPeer& known = found->second;
  known.connected = false;
  known.since = now;
  --connected_;
  if (known.via == "inbound" && !known.kept && !known.dialling) {
    peers_.erase(found);  // Where it listens is not known.
  } else {
    back_off(known, now);
  }
  check_invariants();
}

std::optional<PeerKeeper::Dial> PeerKeeper::next_dial(TimePoint now) {
  if (dials_ >= config_.dials_max) return std::nullopt;
  // The one that has waited longest.
  const std::pair<const PeerId, KnownPeer>* best = nullptr;
  for (const auto& candidate : peers_) {
    if (!wanted(candidate.second) || candidate.second.next_dial > now) continue;
    if (best == nullptr || candidate.second.next_dial < best->second.next_dial) best = &candidate;
  }
  if (best == nullptr) return std::nullopt;
  KnownPeer& known = peers_.at(best->first);
  known.dialling = true;
  ++dials_;
  check_invariants();
  return Dial{best->first, known.addresses};
}

void PeerKeeper::dial_ended(const PeerId& peer, bool success, TimePoint now) {
  const auto found = peers_.find(peer);
  WARREN_CHECK(found != peers_.end() && found->second.dialling);
  found->second.dialling = false;
  --dials_;
  if (!success) {
    ++found->second.dials_failed;
    back_off(found->second, now);
  } else if (!found->second.connected) {
    // It went again before anyone looked; the connection event tells, or has told, the rest.
    back_off(found->second, now);
  }
  check_invariants();
}

TimePoint PeerKeeper::next_wake() const {
  TimePoint wake = kNever;
  if (dials_ >= config_.dials_max) return wake;
  for (const auto& [peer, known] : peers_) {
    if (wanted(known)) wake = std::min(wake, known.next_dial);
  }
  return wake;
}

const KnownPeer* PeerKeeper::find(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  return found == peers_.end() ? nullptr : &found->second;
}

KnownPeer* PeerKeeper::entry(const PeerId& peer, std::string_view via, TimePoint now) {
  const auto found = peers_.find(peer);
  if (found != peers_.end()) return &found->second;
  if (peers_.size() >= config_.peers_max) {
    // Forget the one that failed most; never one that is connected, being dialled or kept.
    auto victim = peers_.end();
    for (auto it = peers_.begin(); it != peers_.end(); ++it) {
      const KnownPeer& known = it->second;
      if (known.connected || known.dialling || known.kept || known.failures == 0) continue;
      if (victim == peers_.end() || known.failures > victim->second.failures) victim = it;
    }
    if (victim == peers_.end()) return nullptr;
    peers_.erase(victim);
  }
  KnownPeer& made = peers_[peer];
  made.via = via;
  made.since = now;
  made.next_dial = self_ < peer ? now : now + config_.head_start;
  return &made;
}

bool PeerKeeper::wanted(const KnownPeer& known) const {
  if (known.connected || known.dialling || known.addresses.empty()) return false;
  return known.kept || connected_ < config_.connected_max;
}

void PeerKeeper::back_off(KnownPeer& known, TimePoint now) {
  Duration wait = config_.backoff_min;
  for (std::uint32_t i = 0; i < known.failures && wait < config_.backoff_max; ++i) wait *= 2;
  wait = std::min(wait, config_.backoff_max);
  std::uniform_real_distribution<double> jitter(0.8, 1.2);
  const auto jittered = std::chrono::duration_cast<Duration>(wait * jitter(rng_));
  ++known.failures;
  known.next_dial = std::max(known.next_dial, now + jittered);
}

void PeerKeeper::check_invariants() const {
  WARREN_CHECK(peers_.size() <= config_.peers_max);
  WARREN_CHECK(dials_ <= config_.dials_max);
  WARREN_CHECK(connected_ <= peers_.size());
}

}  // namespace warren::node
