// Whom to let go: bans, limits, the surplus.

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "swarm/manager/connection_manager.hpp"

namespace warren::swarm {
namespace {

// Weights of the score. Reputation spans 2 (a liar at its worst loses all that uptime gives and
// more), usefulness 2 (data is what we are here for), uptime 1, latency a half: what can be had for
// nothing, being near or staying, never outweighs having been useful.
// Source: rows BI7 and BI25 of the systems' map, which name the same four without numbers.
constexpr double kReputationWeight = 4;  ///< Of the distance to the start: -2 to +2.
constexpr double kUsefulWeight = 2;
constexpr double kUptimeWeight = 1;
constexpr double kVeteranWeight = 2;  ///< More than uptime: an attacker can stay for ever.
constexpr double kLatencyWeight = 0.5;
/// Verified bytes that give half of kUsefulWeight, of those that give all of it on a scale of
/// powers: 1 MiB is a little, 1 GiB is much.
constexpr double kUsefulUnit = 1 << 20;
constexpr double kUsefulDoublings = 10;
/// Bytes are worth half after this time: what it gave yesterday is no reason to keep it for ever.
constexpr Duration kUsefulHalfLife = 1h;
/// Uptime that gives half of kUptimeWeight: a few times the grace.
constexpr Duration kUptimeHalf = 10min;
/// Round trip that gives half of kLatencyWeight; and what an unknown one counts as.
constexpr Duration kLatencyHalf = 50ms;

/// Newcomers at a time up to which it is calm: a part of the target, and at least so many.
/// Source: measured, docs/decisions/0018.
constexpr std::size_t kCalmPart = 4;
constexpr std::size_t kCalmMin = 2;

double ratio(Duration a, Duration b) {
  return static_cast<double>(a.count()) / static_cast<double>(b.count());
}

}  // namespace

double ConnectionManager::usefulness(const Link& link, TimePoint now) {
  const Duration age = std::max(now - link.useful_at, Duration(0));
  return link.useful * std::exp2(-ratio(age, kUsefulHalfLife));
}

double ConnectionManager::score(const PeerId& peer, const Link& link, Moment now) const {
  const peers::Peer* known = book_.find(peer);
  const double reputation = book_.score(peer, now.civil) - book_.reputation_config().start;
  const double useful =
      std::min(1.0, std::log2(1 + usefulness(link, now.steady) / kUsefulUnit) / kUsefulDoublings);
  const Duration up = std::max(now.steady - link.since, Duration(0));
  const Duration round_trip =
      known != nullptr && known->latency ? std::max(*known->latency, Duration(0)) : kLatencyHalf;
  const double known_for_long =
      1 - static_cast<double>(rank(peer, link.proven)) / static_cast<double>(kRanks);
  return kReputationWeight * reputation + kVeteranWeight * known_for_long + kUsefulWeight * useful +
         kUptimeWeight * ratio(up, up + kUptimeHalf) +
         kLatencyWeight * ratio(kLatencyHalf, kLatencyHalf + round_trip);
}

double ConnectionManager::score(const PeerId& peer, Moment now) const {
  const auto found = links_.find(peer);
  return found == links_.end() ? 0 : score(peer, found->second, now);
}

void ConnectionManager::let_go(LinkMap::iterator link, LetGo why, Pass& pass) {
  WARREN_CHECK(!link->second.leaving);
  link->second.leaving = true;
  link->second.why = why;
  may_choose_ = true;
  anchors_changed_ = anchors_changed_ || link->second.outbound;
  pass.actions.emplace_back(ClosePeer{link->first, why});
  pass.tally = count(pass.now);
}

bool ConnectionManager::is_banned(const PeerId& peer, const Link& link, Moment now) const {
  if (book_.is_banned(peer, now.civil)) return true;
  const peers::Peer* known = book_.find(peer);
  if (known != nullptr && (known->kept || known->pinned)) return false;
  const std::optional<Endpoint> endpoint = link.remote.endpoint();
  return endpoint && book_.is_banned(endpoint->ip, now.civil);
}

void ConnectionManager::let_banned_go(Pass& pass) {
  if (!bans_due_) return;
  bans_due_ = false;
  if (book_.peer_bans().empty() && book_.prefix_bans().empty()) return;
  for (auto link = links_.begin(); link != links_.end(); ++link) {
    if (!link->second.leaving && is_banned(link->first, link->second, pass.now)) {
      let_go(link, LetGo::kBanned, pass);
    }
  }
}

void ConnectionManager::let_feelers_go(Pass& pass) {
  for (auto link = links_.begin(); link != links_.end(); ++link) {
    if (link->second.leaving || !link->second.feeler) continue;
    const Tally& tally = pass.tally;
    const bool fits = has_room(link->second.group, tally, Networks::kDiverse);
    const bool needed = tally.connected + tally.dials <= target() || outbound_missing(tally) > 0;
    if (link->second.exempt || (needed && fits)) {
      link->second.feeler = false;
      pass.tally = count(pass.now);
    } else {
      let_go(link, LetGo::kFeeler, pass);
    }
  }
}

void ConnectionManager::let_crowded_go(Pass& pass) {
  // Dials count before they are made; more than that come from addresses that a person typed, or
  // from peers that answer elsewhere than they said.
  const Tally tally = pass.tally;
  for (const auto& [group, outbound] : tally.outbound_of) {
    if (outbound <= group_max()) continue;
    const Chosen in = chosen_in([&](const peers::NetworkGroup& one) { return one == group; });
    if (in.count > group_max() && in.newest != links_.end()) let_go(in.newest, LetGo::kFull, pass);
  }
  // The densest networks have more than their share where nobody else answered. As long as nobody
  // else comes, that is better than too few.
  while (pass.tally.connected > surplus_from()) {
    const Chosen in = chosen_in([&](const peers::NetworkGroup& one) { return is_dense(one); });
    if (in.count <= dense_max(pass.tally.outbound) || in.newest == links_.end()) break;
    let_go(in.newest, LetGo::kFull, pass);
  }
}

/// The one with the lowest score of those that `may_go`; of inbound ones first those of a network
/// that has more than its share, and of the densest networks.
ConnectionManager::LinkMap::iterator ConnectionManager::worst(
    const Tally& tally, Moment now, const std::function<bool(const PeerId&, const Link&)>& may_go) {
  auto worst = links_.end();
  std::pair<bool, double> worst_rank;
  for (auto link = links_.begin(); link != links_.end(); ++link) {
    const Link& of = link->second;
    if (of.leaving || of.exempt || !may_go(link->first, of)) continue;
    const auto group = tally.inbound_of.find(of.group);
    const bool crowded =
        !of.outbound &&
        (is_dense(of.group) || (group != tally.inbound_of.end() && group->second > group_max()));
    const std::pair<bool, double> rank(!crowded && !of.feeler, score(link->first, of, now));
    if (worst == links_.end() || rank < worst_rank) {
      worst = link;
      worst_rank = rank;
    }
  }
  return worst;
}

void ConnectionManager::make_room(Pass& pass) {
  const Moment now = pass.now;
  for (;;) {
    const Tally& tally = pass.tally;
    if (tally.counted + reserve(tally) <= config_.max_peers) return;
    // The reserve is for those that we have to choose ourselves; only inbound ones make way for it.
    const bool over = tally.counted > config_.max_peers;
    const auto newest_of = [&](bool inbound) {
      auto newest = links_.end();
      for (auto link = links_.begin(); link != links_.end(); ++link) {
        const Link& of = link->second;
        if (of.leaving || of.exempt || of.outbound == inbound) continue;
        if (newest == links_.end() || of.serial > newest->second.serial) newest = link;
      }
      return newest;
    };
    const auto newcomer = newest_of(true);
    if (newcomer == links_.end()) {
      if (!over) return;
      let_go(newest_of(false), LetGo::kFull, pass);
      continue;
    }

    // The most crowded network gives one up to a newcomer of another one, grace or not: otherwise
    // a flood from few networks would hold every place by arriving again and again.
    const Link& guest = newcomer->second;
    const auto of_guest = tally.inbound_of.find(guest.group);
    const std::size_t guests = of_guest == tally.inbound_of.end() ? 0 : of_guest->second;
    const auto most = std::ranges::max_element(tally.inbound_of, {},
                                               [](const auto& entry) { return entry.second; });
    if (most != tally.inbound_of.end() && most->second > std::max<std::size_t>(1, guests)) {
      const auto victim = worst(tally, now, [&](const PeerId&, const Link& of) {
        return !of.outbound && of.group == most->first;
      });
      let_go(victim, LetGo::kReplaced, pass);
      continue;
    }
    const auto victim = worst(tally, now, [&](const PeerId&, const Link& of) {
      return !of.outbound && now.steady - of.since >= config_.grace;
    });
    const bool better =
        victim != links_.end() && victim != newcomer &&
        score(victim->first, victim->second, now) < score(newcomer->first, guest, now);
    if (better) {
      let_go(victim, LetGo::kReplaced, pass);
    } else {
      let_go(newcomer, LetGo::kFull, pass);
    }
  }
}

void ConnectionManager::let_surplus_go(Pass& pass) {
  while (pass.tally.settled > surplus_from() && let_one_go(pass)) {
  }
  const std::size_t calm = std::max(kCalmMin, target() / kCalmPart);
  while (pass.tally.connected > surplus_from() &&
         pass.tally.connected - pass.tally.settled <= calm) {
    const auto victim = who_makes_way(pass);
    if (victim == links_.end()) return;
    let_go(victim, LetGo::kReplaced, pass);
  }
}

/// In calm times somebody makes way for a newcomer at once: the newcomer needs a peer, or it would
/// not have come; the other one has probably more than it needs. Only of the younger half of those
/// that came in, so that newcomers who want to cannot push out the others.
ConnectionManager::LinkMap::iterator ConnectionManager::who_makes_way(const Pass& pass) {
  std::vector<std::uint64_t> serials;
  const PeerId* newcomer = nullptr;
  for (const auto& [peer, link] : links_) {
    if (link.leaving || link.exempt || link.outbound) continue;
    if (newcomer == nullptr || link.serial > serials.front()) newcomer = &peer;
    serials.push_back(link.serial);
    if (serials.back() > serials.front()) std::swap(serials.back(), serials.front());
  }
  const double start = book_.reputation_config().start;
  if (newcomer == nullptr || book_.score(*newcomer, pass.now.civil) < start) return links_.end();
  std::ranges::sort(serials);
  const std::uint64_t younger = serials[(serials.size() + 1) / 2 - 1];
  return worst(pass.tally, pass.now, [&](const PeerId&, const Link& of) {
    return !of.outbound && of.serial > younger && pass.now.steady - of.since >= config_.grace;
  });
}

void ConnectionManager::keep_water(Pass& pass) {
  const auto all = [&pass] { return pass.tally.connected + pass.tally.neighbours; };
  if (all() <= config_.high_water) return;
  while (all() > config_.low_water && let_one_go(pass)) {
  }
}

bool ConnectionManager::let_one_go(Pass& pass) {
  const Tally& tally = pass.tally;
  const Moment now = pass.now;
  const auto settled = [&](const Link& of) { return now.steady - of.since >= config_.grace; };
  auto victim =
      worst(tally, now, [&](const PeerId&, const Link& of) { return !of.outbound && settled(of); });
  if (victim == links_.end() && tally.outbound > outbound_min()) {
    // Those that were dialled for having been proven for long only when there are no others.
    for (const bool veteran : {false, true}) {
      if (victim != links_.end()) break;
      victim = worst(tally, now, [&](const PeerId& peer, const Link& of) {
        return of.outbound && is_veteran(peer, of) == veteran && settled(of);
      });
    }
  }
  if (victim == links_.end()) return false;
  let_go(victim, LetGo::kFull, pass);
  return true;
}

}  // namespace warren::swarm
