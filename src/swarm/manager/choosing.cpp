// Whom to dial.

#include <algorithm>

#include "base/check.hpp"
#include "swarm/manager/connection_manager.hpp"

namespace warren::swarm {
namespace {

/// Among how many of those proven for longest a die decides, so that nobody can tell beforehand
/// whom exactly we dial.
constexpr std::size_t kVeteranChoices = 4;
/// While the densest networks have more than their share, feelers go out so much more often.
constexpr int kFasterWhenDense = 4;
/// A node with fewer peers than that takes whom it gets.
constexpr std::size_t kChoosyFrom = 4;

}  // namespace

void ConnectionManager::dial(Pass& pass) {
  const TimePoint now = pass.now.steady;
  nobody_left_ = false;
  looks_again_ = false;
  while (dials_.size() < config_.dials_max) {
    const std::optional<Choice> choice = choose(pass.tally, pass.now);
    if (!choice) break;
    start(*choice, pass);
  }

  if (!feeler_due_) feeler_due_ = now + jittered(config_.feeler_interval);
  if (now < *feeler_due_) return;
  const std::size_t chosen = pass.tally.outbound + pass.tally.dials;
  const bool too_dense = pass.tally.dense > dense_max(chosen);
  feeler_due_ = now + jittered(too_dense ? config_.feeler_interval / kFasterWhenDense
                                         : config_.feeler_interval);
  if (dials_.size() >= config_.dials_max) return;
  const std::optional<Choice> choice = choose_feeler(pass.tally, pass.now);
  if (choice) start(*choice, pass);
}

void ConnectionManager::start(const Choice& choice, Pass& pass) {
  const peers::Peer* known = book_.find(choice.peer);
  WARREN_CHECK(known != nullptr);
  Dialling dialling;
  dialling.kind = choice.kind;
  dialling.veteran = choice.veteran;
  dialling.addresses = addresses_of(*known, pass.tally, pass.now, choice.networks);
  WARREN_CHECK(!dialling.addresses.empty());
  dialling.group = peers::network_group(dialling.addresses.front());
  pass.actions.emplace_back(DialPeer{choice.kind, choice.peer, dialling.addresses});
  dials_.insert_or_assign(choice.peer, std::move(dialling));
  pass.tally = count(pass.now);
}

std::optional<ConnectionManager::Choice> ConnectionManager::choose(const Tally& tally, Moment now) {
  if (auto kept = choose_asked_for(now)) return kept;

  if (tally.counted + tally.dials_counted >= config_.max_peers) return std::nullopt;
  if (auto anchor = choose_anchor(tally, now)) return anchor;

  const std::size_t have = tally.connected + tally.dials;
  const bool below = have < target();
  const bool wanted = below || outbound_missing(tally) > 0;
  const bool only_veterans = !wanted && reserve(tally) > 0;
  const bool near_wanted = below || (!local_.empty() && tally.near < near_min());
  const bool looking = wanted || only_veterans || near_wanted;
  if (looking && (may_choose_ || now.steady >= choose_again_)) {
    if (near_wanted) {
      if (auto local = choose_local(tally, now)) return local;
    }
    if ((wanted || only_veterans) &&
        veterans_missing(tally, tally.outbound + tally.dials + (wanted ? 1 : 0))) {
      if (auto veteran = choose_veteran(tally, now)) return veteran;
    }
    if (wanted) {
      if (auto any = choose_any(tally, now)) return any;
      if (auto local = choose_local(tally, now)) return local;
    }
    if (below) {
      if (auto any = choose_any(tally, now, Networks::kAlsoDense)) return any;
    }
    may_choose_ = false;
    choose_again_ = waits_.next_end(now.steady);
  }
  nobody_left_ = wanted || only_veterans;
  looks_again_ = looking;
  if (have < surplus_from()) return choose_lost(tally, now);
  return std::nullopt;
}

std::optional<ConnectionManager::Choice> ConnectionManager::choose_asked_for(Moment now) {
  for (const PeerId& peer : kept_) {
    if (!is_free(peer, now)) continue;
    const peers::Peer* known = book_.find(peer);
    if (known == nullptr || book_.is_banned(peer, now.civil)) continue;
    if (addresses_of(*known, {}, now, Networks::kAny).empty()) continue;
    return Choice{peer, DialPeer::Kind::kKept, false, Networks::kAny};
  }
  return std::nullopt;
}

std::optional<ConnectionManager::Choice> ConnectionManager::choose_anchor(const Tally& tally,
                                                                          Moment now) {
  while (!anchors_to_dial_.empty()) {
    const PeerId peer = anchors_to_dial_.back();
    anchors_to_dial_.pop_back();
    const peers::Peer* known = book_.find(peer);
    if (known == nullptr || !is_free(peer, now) || !may_dial(*known, tally, now)) continue;
    return Choice{peer, DialPeer::Kind::kAnchor, true};
  }
  return std::nullopt;
}

std::optional<ConnectionManager::Choice> ConnectionManager::choose_local(const Tally& tally,
                                                                         Moment now) {
  std::vector<PeerId> fitting;
  for (const PeerId& peer : local_) {
    if (!is_free(peer, now)) continue;
    const peers::Peer* known = book_.find(peer);
    if (known != nullptr && may_dial(*known, tally, now)) fitting.push_back(peer);
  }
  return one_of(fitting, false);
}

std::optional<ConnectionManager::Choice> ConnectionManager::choose_veteran(const Tally& tally,
                                                                           Moment now) {
  std::vector<PeerId> fitting;
  for (const auto& [since, peer] : proven_) {
    if (fitting.size() >= kVeteranChoices || rank(peer, since) > 0) break;
    if (!is_free(peer, now)) continue;
    const peers::Peer* known = book_.find(peer);
    if (known != nullptr && may_dial(*known, tally, now)) fitting.push_back(peer);
  }
  return one_of(fitting, true);
}

std::optional<ConnectionManager::Choice> ConnectionManager::choose_any(const Tally& tally,
                                                                       Moment now,
                                                                       Networks networks) {
  const auto fits = [&](const peers::Peer& peer) {
    return is_free(peer.id, now) && may_dial(peer, tally, now, networks);
  };
  const bool proven_first = std::bernoulli_distribution(0.5)(rng_);
  for (const bool proven : {proven_first, !proven_first}) {
    const auto table = proven ? peers::Table::kProven : peers::Table::kNew;
    const peers::Peer* peer = book_.choose(table, now.civil, fits);
    if (peer != nullptr) return Choice{peer->id, DialPeer::Kind::kNeeded, false, networks};
  }
  return std::nullopt;
}

std::optional<ConnectionManager::Choice> ConnectionManager::choose_lost(const Tally& tally,
                                                                        Moment now) {
  for (auto peer = lost_.begin(); peer != lost_.end();) {
    const peers::Peer* known = book_.find(*peer);
    if (known == nullptr || known->addresses.empty()) {
      peer = lost_.erase(peer);  // It has failed for so long that the book has dropped it.
      continue;
    }
    if (is_free(*peer, now) && may_dial(*known, tally, now)) {
      return Choice{*peer, DialPeer::Kind::kNeeded};
    }
    ++peer;
  }
  return std::nullopt;
}

std::optional<ConnectionManager::Choice> ConnectionManager::choose_feeler(const Tally& tally,
                                                                          Moment now) {
  // While peers are missing, every dial is a test of an address anyway.
  if (tally.connected + tally.dials < target()) return std::nullopt;
  if (tally.counted + tally.dials_counted >= config_.max_peers) return std::nullopt;
  // Where the densest networks have more than their share, one of another network comes to stay.
  if (tally.dense > dense_max(tally.outbound + tally.dials)) return choose_any(tally, now);
  const peers::Peer* peer =
      book_.choose(peers::Table::kNew, now.civil, [&](const peers::Peer& candidate) {
        return is_free(candidate.id, now) &&
               !addresses_of(candidate, tally, now, Networks::kAny).empty();
      });
  if (peer == nullptr) return std::nullopt;
  return Choice{peer->id, DialPeer::Kind::kFeeler, false, Networks::kAny};
}

std::optional<ConnectionManager::Choice> ConnectionManager::one_of(const std::vector<PeerId>& peers,
                                                                   bool veteran) {
  if (peers.empty()) return std::nullopt;
  std::uniform_int_distribution<std::size_t> die(0, peers.size() - 1);
  return Choice{peers[die(rng_)], DialPeer::Kind::kNeeded, veteran};
}

bool ConnectionManager::is_free(const PeerId& peer, Moment now) const {
  return peer != self_ && !links_.contains(peer) && !dials_.contains(peer) &&
         !waits_.waits(peer, now.steady);
}

bool ConnectionManager::may_dial(const peers::Peer& peer, const Tally& tally, Moment now,
                                 Networks networks) const {
  return !book_.is_banned(peer.id, now.civil) &&
         std::ranges::any_of(peer.addresses, [&](const peers::AddressEntry& entry) {
           return may_dial(peer, entry, tally, now, networks);
         });
}

bool ConnectionManager::may_dial(const peers::Peer& peer, const peers::AddressEntry& entry,
                                 const Tally& tally, Moment now, Networks networks) const {
  if (!has_room(entry.group, tally, networks)) return false;
  if (peer.kept || peer.pinned || book_.prefix_bans().empty()) return true;
  const std::optional<Endpoint> endpoint = entry.address.endpoint();
  return !endpoint || !book_.is_banned(endpoint->ip, now.civil);
}

std::vector<Multiaddr> ConnectionManager::addresses_of(const peers::Peer& peer, const Tally& tally,
                                                       Moment now, Networks networks) const {
  std::vector<Multiaddr> addresses;
  for (const peers::AddressEntry& entry : peer.addresses) {
    if (may_dial(peer, entry, tally, now, networks)) addresses.push_back(entry.address);
  }
  return addresses;
}

std::size_t ConnectionManager::reserve(const Tally& tally) const {
  const std::size_t missing =
      tally.outbound >= outbound_min() ? 0 : outbound_min() - tally.outbound;
  // A node of very few peers cannot afford one more to be choosy.
  const bool choosy = target() >= kChoosyFrom && veterans_missing(tally, tally.outbound);
  return std::max<std::size_t>(missing, choosy ? 1 : 0);
}

}  // namespace warren::swarm
