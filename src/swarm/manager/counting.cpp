// What there is, and how much of it there should be.

#include <algorithm>
#include <cmath>
#include <utility>

#include "swarm/manager/connection_manager.hpp"

namespace warren::swarm {
namespace {

/// Veterans for each peer to hold: enough that some of them are always up and free.
constexpr std::size_t kVeteransPerPeer = 2;

}  // namespace

std::size_t ConnectionManager::target() const {
  return std::min(config_.target_peers, config_.max_peers);
}

std::size_t ConnectionManager::near_min() const {
  const double share = std::clamp(config_.near_share, 0.0, 1.0);
  return static_cast<std::size_t>(std::ceil(static_cast<double>(target()) * share));
}

std::size_t ConnectionManager::outbound_min() const {
  return std::min(target(), config_.outbound_min.value_or(target() / 4));
}

std::size_t ConnectionManager::veterans() const {
  return kVeteransPerPeer * std::max<std::size_t>(1, target());
}

bool ConnectionManager::is_veteran(const PeerId& peer, const Link& link) const {
  return link.veteran || rank(peer, link.proven) == 0;
}

std::size_t ConnectionManager::surplus_from() const { return target() + config_.surplus_max; }

void ConnectionManager::mark_neighbours() {
  std::vector<std::pair<std::uint64_t, LinkMap::iterator>> near;
  for (auto link = links_.begin(); link != links_.end(); ++link) {
    if (link->second.near) near.emplace_back(link->second.serial, link);
    if (!std::exchange(link->second.neighbour, false)) continue;
    changed_.insert(link->first);
  }
  std::ranges::sort(near, {}, [](const auto& entry) { return entry.first; });
  if (near.size() > config_.neighbours_max) near.resize(config_.neighbours_max);
  for (const auto& [serial, link] : near) {
    link->second.neighbour = true;
    changed_.insert(link->first);
  }
  something_happened();
}

ConnectionManager::Tally ConnectionManager::count(Moment now) const {
  Tally tally;
  for (const auto& [peer, link] : links_) {
    if (link.leaving) continue;
    if (link.neighbour) {
      ++tally.neighbours;
      continue;
    }
    const bool counts_for_network = link.group.kind != peers::NetworkGroup::Kind::kLocal;
    ++tally.connected;
    if (local_.contains(peer)) ++tally.near;
    if (link.exempt || now.steady - link.since >= config_.grace) ++tally.settled;
    if (!link.exempt) ++tally.counted;
    if (link.outbound && !link.feeler) {
      ++tally.outbound;
      if (is_veteran(peer, link)) ++tally.veterans;
      if (counts_for_network) ++tally.outbound_of[link.group];
      if (is_dense(link.group)) ++tally.dense;
    }
    if (!link.outbound && !link.exempt && counts_for_network) ++tally.inbound_of[link.group];
  }
  for (const auto& [peer, dial] : dials_) {
    if (links_.contains(peer)) continue;
    if (dial.kind != DialPeer::Kind::kKept) ++tally.dials_counted;
    if (dial.kind == DialPeer::Kind::kFeeler) continue;
    ++tally.dials;
    if (local_.contains(peer)) ++tally.near;
    if (dial.veteran) ++tally.veteran_dials;
    if (dial.group.kind != peers::NetworkGroup::Kind::kLocal) ++tally.outbound_of[dial.group];
    if (is_dense(dial.group)) ++tally.dense;
  }
  return tally;
}

std::size_t ConnectionManager::outbound_missing(const Tally& tally) const {
  const std::size_t there = tally.outbound + tally.dials;
  return there >= outbound_min() ? 0 : outbound_min() - there;
}

bool ConnectionManager::veterans_missing(const Tally& tally, std::size_t outbound) const {
  const double share = std::clamp(config_.veteran_share, 0.0, 1.0);
  const auto wanted = static_cast<std::size_t>(std::ceil(static_cast<double>(outbound) * share));
  return tally.veterans + tally.veteran_dials < wanted;
}

}  // namespace warren::swarm
