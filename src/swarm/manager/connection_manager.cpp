#include "swarm/manager/connection_manager.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace warren::swarm {
namespace {

/// A goodbye may ask for this much at most. Source: the interface; longer, and a peer could make
/// itself forgotten by one packet that looks like it.
constexpr Duration kRetryAfterMax = 1h;
/// Marking anchors writes to the disk; the longest-proven peers change slowly.
constexpr Duration kAnchorsInterval = 2min;
/// Who counts as proven for long is looked at so often: it needs a walk over all proven peers.
constexpr Duration kVeteransInterval = 30s;
/// Between the first word of a source and the first next().
constexpr Duration kStartSlack = 1min;
/// Lost peers that are tried again although there are enough others.
constexpr std::size_t kLostMax = 64;
/// Dials that succeeded and whose connection was not told yet, and how soon it has to be told: the
/// two come from one moment.
constexpr std::size_t kAnsweredMax = 64;
constexpr Duration kAnsweredTime = 10s;
/// A dial that could not be tried is asked for again after this time.
constexpr Duration kNotTriedWait = 1s;
/// Disconnected by persons; beyond, the one that ends first is forgotten.
constexpr std::size_t kLeftMax = 1'024;

/// Heard of on the local network since `start`: what the store remembers of a network that may be
/// another one by now does not count.
bool heard_locally(const peers::Peer& peer, WallTime start) {
  return std::ranges::any_of(peer.addresses, [&](const peers::AddressEntry& entry) {
    const bool local =
        entry.origin == peers::Origin::kMdns || entry.origin == peers::Origin::kBeacon;
    return local && entry.learnt >= start;
  });
}

}  // namespace

std::string_view profile_name(Profile profile) noexcept {
  switch (profile) {
    case Profile::kMinimal: return "minimal";
    case Profile::kStandard: return "standard";
    case Profile::kBridge: return "bridge";
  }
  return "unknown";
}

ManagerConfig ManagerConfig::of(Profile profile) {
  ManagerConfig config;
  switch (profile) {
    case Profile::kMinimal:
      config.target_peers = 4;
      config.max_peers = 8;
      config.neighbours_max = 32;
      break;
    case Profile::kStandard: break;
    case Profile::kBridge:
      config.target_peers = 64;
      config.max_peers = 128;
      break;
  }
  return config;
}

ConnectionManager::ConnectionManager(PeerId self, ManagerConfig config, peers::PeerBook& book,
                                     std::mt19937_64& rng)
    : config_(std::move(config)), self_(std::move(self)), book_(book), rng_(rng) {}

void ConnectionManager::configure(ManagerConfig config) {
  config_ = std::move(config);
  feeler_due_.reset();
  mark_neighbours();
  something_happened();
}

// ------------------------------------------------------------------------------ what happened

void ConnectionManager::book_changed() {
  looked_at_book_ = false;
  something_happened();
}

void ConnectionManager::book_changed(const PeerId& peer) {
  changed_.insert(peer);
  something_happened();
}

void ConnectionManager::connected(const PeerId& peer, bool outbound, const Multiaddr& remote,
                                  Moment now) {
  const auto [it, made] = links_.try_emplace(peer);
  if (!made) return;  // A further connection to it, or one after it was told to leave.
  Link& link = it->second;
  link.outbound = outbound;
  link.remote = remote;
  link.group = peers::network_group(remote);
  link.since = link.useful_at = now.steady;
  link.serial = ++serial_;
  if (outbound) {
    const auto dial = dials_.find(peer);
    const auto answered = answered_.find(peer);
    const bool just_answered =
        answered != answered_.end() && now.steady - answered->second.ended <= kAnsweredTime;
    const Dialling* by = dial != dials_.end() ? &dial->second
                         : just_answered      ? &answered->second
                                              : nullptr;
    link.feeler = by != nullptr && by->kind == DialPeer::Kind::kFeeler;
    link.veteran = by != nullptr && by->veteran;
  }
  answered_.erase(peer);
  lost_.erase(peer);
  if (!is_left_by_person(peer, now.steady)) waits_.end_wait(peer);
  const Multiaddr there = remote.without_peer();
  if (outbound) {
    book_.connected(peer, there, now.civil);
  } else {
    book_.connected(peer, std::nullopt, now.civil, there);
  }
  changed_.insert(peer);
  bans_due_ = true;
  anchors_changed_ = anchors_changed_ || outbound;
  dirty_ = true;
}

void ConnectionManager::disconnected(const PeerId& peer, std::uint64_t received, std::uint64_t sent,
                                     Moment now) {
  const auto found = links_.find(peer);
  if (found == links_.end()) return;
  const Link link = std::move(found->second);
  links_.erase(found);
  if (link.neighbour) mark_neighbours();
  book_.disconnected(peer, received, sent, now.civil);
  anchors_changed_ = anchors_changed_ || link.outbound;

  const peers::Peer* known = book_.find(peer);
  const bool wanted = known != nullptr && known->kept;
  if (link.leaving && !wanted && (link.why == LetGo::kFull || link.why == LetGo::kReplaced)) {
    // Whom we chose ourselves we may choose again as soon as there is room; the others were told to
    // stay away, and coming to them would bring them back at once.
    if (link.outbound) {
      back_off(peer, now);
    } else {
      waits_.leave_alone(peer, now.steady + stay_away(peer));
    }
  } else {
    const bool lasted = now.steady - link.since >= config_.grace;
    if (lasted && !link.said_goodbye && !link.leaving) waits_.forgive(peer);
    back_off(peer, now);
    const bool lost = !link.leaving && !link.said_goodbye && link.outbound && !link.feeler;
    if (lost && lasted && lost_.size() < kLostMax) lost_.insert(peer);
  }
  something_happened();
}

void ConnectionManager::dial_ended(const PeerId& peer, bool success, Moment now) {
  const auto found = dials_.find(peer);
  if (found == dials_.end()) return;
  Dialling dial = std::move(found->second);
  dials_.erase(found);
  if (!success) {
    book_.dial_failed(peer, dial.addresses, now.civil);
    back_off(peer, now);
    changed_.insert(peer);
  } else if (!links_.contains(peer)) {
    // Its connection is told later, or went again before anyone looked.
    back_off(peer, now);
    std::erase_if(answered_, [&](const auto& entry) {
      return now.steady - entry.second.ended > kAnsweredTime;
    });
    if (answered_.size() >= kAnsweredMax) answered_.clear();
    dial.ended = now.steady;
    answered_.insert_or_assign(peer, std::move(dial));
  }
  something_happened();
}

void ConnectionManager::dial_not_tried(const PeerId& peer, Moment now) {
  if (dials_.erase(peer) == 0) return;
  waits_.leave_alone(peer, now.steady + kNotTriedWait);
  something_happened();
}

bool ConnectionManager::confirm_closing(const PeerId& peer, Moment now) {
  const auto found = links_.find(peer);
  if (found == links_.end() || !found->second.leaving) return false;
  Link& link = found->second;
  if (link.why == LetGo::kBanned || is_left_by_person(peer, now.steady)) return true;
  link.exempt = is_exempt(peer);
  if (!link.exempt) return true;
  link.leaving = false;
  link.feeler = false;
  anchors_changed_ = anchors_changed_ || link.outbound;
  something_happened();
  return false;
}

void ConnectionManager::said_goodbye(const PeerId& peer, Duration retry_after, Moment now) {
  const auto found = links_.find(peer);
  if (found == links_.end()) return;
  found->second.said_goodbye = true;
  const Duration wait = std::clamp<Duration>(retry_after, 0s, kRetryAfterMax);
  waits_.leave_alone(peer, now.steady + wait);
}

void ConnectionManager::leave(const PeerId& peer, Moment now) {
  const TimePoint until = now.steady + config_.left_alone;
  std::erase_if(left_, [&](const auto& entry) { return entry.second <= now.steady; });
  if (left_.size() >= kLeftMax) {
    left_.erase(
        std::ranges::min_element(left_, {}, [](const auto& entry) { return entry.second; }));
  }
  left_[peer] = until;
  waits_.leave_alone(peer, until);
  lost_.erase(peer);
  const auto found = links_.find(peer);
  if (found != links_.end()) {
    found->second.leaving = true;
    found->second.why = LetGo::kFull;
  }
  changed_.insert(peer);
  something_happened();
}

void ConnectionManager::come_back(const PeerId& peer) {
  if (left_.erase(peer) == 0) return;
  waits_.end_wait(peer);
  changed_.insert(peer);
  something_happened();
}

bool ConnectionManager::is_left_by_person(const PeerId& peer, TimePoint now) const {
  const auto found = left_.find(peer);
  return found != left_.end() && now < found->second;
}

void ConnectionManager::retry_now(Moment) {
  waits_.clear();
  for (const auto& [peer, until] : left_) waits_.leave_alone(peer, until);
  something_happened();
}

void ConnectionManager::protect(const PeerId& peer) {
  ++protections_[peer];
  changed_.insert(peer);
  dirty_ = true;
}

void ConnectionManager::unprotect(const PeerId& peer) {
  const auto found = protections_.find(peer);
  WARREN_CHECK(found != protections_.end());
  if (--found->second == 0) protections_.erase(found);
  changed_.insert(peer);
  dirty_ = true;
}

bool ConnectionManager::set_neighbour(const PeerId& peer, bool neighbour) {
  const auto found = links_.find(peer);
  if (found == links_.end()) return false;
  if (std::exchange(found->second.near, neighbour) == neighbour) return false;
  mark_neighbours();
  return true;
}

void ConnectionManager::was_useful(const PeerId& peer, std::uint64_t bytes, Moment now) {
  const auto found = links_.find(peer);
  if (found == links_.end()) return;
  Link& link = found->second;
  link.useful = usefulness(link, now.steady) + static_cast<double>(bytes);
  link.useful_at = std::max(link.useful_at, now.steady);
}

// --------------------------------------------------------------------------------- what to do

std::vector<ManagerAction> ConnectionManager::next(Moment now) {
  if (!dirty_ && now.steady < wake_) return {};
  dirty_ = false;
  look_at_book(now);

  Pass pass{now, count(now), {}};
  let_banned_go(pass);
  let_feelers_go(pass);
  let_crowded_go(pass);
  make_room(pass);
  let_surplus_go(pass);
  keep_water(pass);
  dial(pass);

  if (anchors_changed_ && now.steady >= anchors_due_) mark_anchors(now);
  set_wake(pass.tally, now);
  return std::move(pass.actions);
}

TimePoint ConnectionManager::next_wake() const { return dirty_ ? TimePoint{} : wake_; }

// -------------------------------------------------------------------------------- to look at

ConnectionManager::Counts ConnectionManager::counts() const {
  Counts counts;
  for (const auto& [peer, link] : links_) {
    if (link.leaving) continue;
    ++counts.connected;
    if (link.neighbour) ++counts.neighbours;
    if (link.outbound) ++counts.outbound;
    if (is_exempt(peer)) ++counts.protected_peers;
  }
  counts.dials = dials_.size();
  return counts;
}

bool ConnectionManager::wants_peers(Moment now) const {
  if (!nobody_left_) return false;
  const Tally tally = count(now);
  return tally.connected + tally.dials < target();
}

Duration ConnectionManager::stay_away(const PeerId& peer) const {
  return local_.contains(peer) ? config_.left_alone_near : config_.left_alone;
}

bool ConnectionManager::is_outbound(const PeerId& peer) const {
  const auto found = links_.find(peer);
  return found != links_.end() && found->second.outbound;
}

void ConnectionManager::check_invariants() const {
  std::size_t counted = 0;
  WARREN_CHECK(counts().neighbours <= config_.neighbours_max);
  for (const auto& [peer, link] : links_) {
    WARREN_CHECK(peer != self_);
    WARREN_CHECK(!link.neighbour || link.near);
    WARREN_CHECK(link.useful >= 0);
    WARREN_CHECK(link.serial <= serial_);
    WARREN_CHECK(!link.feeler || link.outbound);
    WARREN_CHECK(!lost_.contains(peer));
  }
  WARREN_CHECK(!dials_.contains(self_));
  for (const auto& [peer, count_of] : protections_) WARREN_CHECK(count_of > 0);
  WARREN_CHECK(lost_.size() <= kLostMax);
  WARREN_CHECK(answered_.size() <= kAnsweredMax);
  WARREN_CHECK(proven_.size() == proven_since_.size());
  for (const auto& [since, peer] : proven_) {
    const auto found = proven_since_.find(peer);
    WARREN_CHECK(found != proven_since_.end() && found->second == since);
  }
  waits_.check_invariants();
  if (dirty_) return;
  // What next() has promised, until something happens.
  for (const auto& [peer, link] : links_) {
    if (!link.leaving && !link.exempt) ++counted;
  }
  WARREN_CHECK(counted <= config_.max_peers);
}

// ---------------------------------------------------------------------------- what the book says

void ConnectionManager::something_happened() {
  dirty_ = true;
  may_choose_ = true;
}

void ConnectionManager::look_at_book(Moment now) {
  if (!started_) started_ = now.civil - kStartSlack;
  if (!looked_at_book_) {
    looked_at_book_ = true;
    bans_due_ = true;
    changed_.clear();
    std::vector<PeerId> gone;
    for (const auto& [peer, since] : proven_since_) {
      if (book_.find(peer) == nullptr) gone.push_back(peer);
    }
    for (const auto* of : {&kept_, &local_}) {
      for (const PeerId& peer : *of) {
        if (book_.find(peer) == nullptr) gone.push_back(peer);
      }
    }
    for (const PeerId& peer : gone) look_at(peer, nullptr, now);
    for (const auto& [peer, known] : book_.all()) look_at(peer, &known, now);
  }
  if (!looked_once_) {
    looked_once_ = true;
    for (const auto& [peer, known] : book_.all()) {
      if (known.anchor) anchors_.push_back(peer);
    }
    anchors_to_dial_ = anchors_;
  }
  bans_due_ = bans_due_ || !changed_.empty();
  for (const PeerId& peer : changed_) look_at(peer, book_.find(peer), now);
  changed_.clear();
  rank_veterans(now);
}

void ConnectionManager::look_at(const PeerId& peer, const peers::Peer* known, Moment now) {
  if (const auto link = links_.find(peer); link != links_.end()) {
    link->second.exempt = is_exempt(peer);
    link->second.proven = known == nullptr ? WallTime{} : known->first_success;
  }
  if (peer == self_) return;
  if (known != nullptr && known->kept) {
    kept_.insert(peer);
  } else {
    kept_.erase(peer);
  }
  if (known != nullptr && heard_locally(*known, *started_)) {
    const bool news = local_.insert(peer).second;
    if (news && !links_.contains(peer) && peer < self_) {
      waits_.leave_alone(peer, now.steady + config_.head_start);
    }
  } else {
    local_.erase(peer);
  }
  const WallTime since = known == nullptr ? WallTime{} : known->first_success;
  const auto proven = proven_since_.find(peer);
  if (proven != proven_since_.end() && proven->second == since) return;
  if (proven != proven_since_.end()) {
    proven_.erase({proven->second, peer});
    proven_since_.erase(proven);
  }
  if (since != WallTime{}) {
    proven_.emplace(since, peer);
    proven_since_.emplace(peer, since);
  }
}

void ConnectionManager::rank_veterans(Moment now) {
  if (now.steady < veterans_due_) return;
  veterans_due_ = now.steady + kVeteransInterval;
  rank_networks();
  ranks_.clear();
  // Of those that answered when last tried.
  std::size_t found = 0;
  std::size_t last = veterans();
  for (const auto& [since, peer] : proven_) {
    if (!links_.contains(peer) && waits_.failures(peer) > 0) continue;
    if (++found < last) continue;
    ranks_.emplace_back(since, peer);
    if (ranks_.size() == kRanks) break;
    last *= 2;
  }
}

std::size_t ConnectionManager::rank(const PeerId& peer, WallTime proven) const {
  if (proven == WallTime{}) return kRanks;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    if (std::pair(proven, peer) <= ranks_[i]) return i;
  }
  return ranks_.size();
}

bool ConnectionManager::is_exempt(const PeerId& peer) const {
  if (protections_.contains(peer)) return true;
  const auto link = links_.find(peer);
  if (link != links_.end() && link->second.neighbour) return true;
  const peers::Peer* known = book_.find(peer);
  return known != nullptr && (known->kept || known->pinned);
}

// ------------------------------------------------------------------------- anchors and waking

void ConnectionManager::mark_anchors(Moment now) {
  // Longest-proven first; of each network one.
  std::vector<std::pair<WallTime, PeerId>> chosen;
  for (const auto& [peer, link] : links_) {
    const auto since = proven_since_.find(peer);
    if (!link.outbound || link.leaving || link.feeler || since == proven_since_.end()) continue;
    chosen.emplace_back(since->second, peer);
  }
  std::ranges::sort(chosen);
  std::vector<PeerId> anchors;
  std::set<peers::NetworkGroup> networks;
  for (const auto& [since, peer] : chosen) {
    if (anchors.size() >= config_.anchors) break;
    const peers::NetworkGroup& group = links_.at(peer).group;
    const bool local = group.kind == peers::NetworkGroup::Kind::kLocal;
    if (local || networks.insert(group).second) anchors.push_back(peer);
  }
  // Those of before stay while too few are connected: a node that loses its network keeps them.
  for (const PeerId& peer : anchors_) {
    if (anchors.size() >= config_.anchors) break;
    if (std::ranges::find(anchors, peer) == anchors.end() && book_.find(peer) != nullptr) {
      anchors.push_back(peer);
    }
  }
  anchors_changed_ = false;
  anchors_due_ = now.steady + kAnchorsInterval;
  if (anchors == anchors_) return;
  anchors_ = anchors;
  book_.set_anchors(anchors_);
}

void ConnectionManager::set_wake(const Tally& tally, Moment now) {
  const std::size_t have = tally.connected + tally.dials;
  TimePoint wake = feeler_due_.value_or(kNever);
  if (anchors_changed_) wake = std::min(wake, anchors_due_);
  if (tally.connected > surplus_from() || tally.connected + tally.neighbours > config_.high_water) {
    for (const auto& [peer, link] : links_) {
      const TimePoint over = link.since + config_.grace;
      if (!link.leaving && !link.exempt && over > now.steady) wake = std::min(wake, over);
    }
  }
  if (dials_.size() < config_.dials_max) {
    // Who is dialled or connected has an event to come; who does not wait was not wanted now.
    const auto consider = [&](const PeerId& peer) {
      const TimePoint until = waits_.until(peer);
      if (until > now.steady && !links_.contains(peer) && !dials_.contains(peer)) {
        wake = std::min(wake, until);
      }
    };
    for (const PeerId& peer : kept_) consider(peer);
    if (have < surplus_from()) {
      for (const PeerId& peer : lost_) consider(peer);
    }
    if (looks_again_) wake = std::min(wake, choose_again_);
  }
  wake_ = wake;
}

void ConnectionManager::back_off(const PeerId& peer, Moment now) {
  waits_.back_off(peer, config_.backoff_min, config_.backoff_max, now.steady, rng_);
}

Duration ConnectionManager::jittered(Duration duration) {
  std::uniform_real_distribution<double> jitter(0.8, 1.2);
  return std::chrono::duration_cast<Duration>(duration * jitter(rng_));
}

}  // namespace warren::swarm
