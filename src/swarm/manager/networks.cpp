// Networks: which are the densest, and how many of those that we choose may be in one.

#include <algorithm>

#include "swarm/manager/connection_manager.hpp"

namespace warren::swarm {

void ConnectionManager::rank_networks() {
  dense_.clear();
  std::map<peers::NetworkGroup, std::size_t> sizes;
  for (const auto& [id, peer] : book_.all()) {
    std::set<peers::NetworkGroup> groups;
    for (const peers::AddressEntry& entry : peer.addresses) groups.insert(entry.group);
    for (const peers::NetworkGroup& group : groups) ++sizes[group];
  }
  std::erase_if(
      sizes, [](const auto& size) { return size.first.kind == peers::NetworkGroup::Kind::kLocal; });
  // The others must be enough to choose half of the peers from.
  const std::size_t others = (target() + 1) / 2;
  const std::size_t wanted =
      sizes.size() <= others ? 0 : std::min(config_.dense_networks, sizes.size() - others);
  std::vector<std::pair<std::size_t, peers::NetworkGroup>> by_size;
  for (const auto& [group, size] : sizes) {
    if (size > 1) by_size.emplace_back(size, group);
  }
  std::ranges::sort(by_size, std::greater<>());
  for (std::size_t i = 0; i < std::min(wanted, by_size.size()); ++i) {
    dense_.insert(by_size[i].second);
  }
}

std::size_t ConnectionManager::group_max() const {
  const double share = std::clamp(config_.group_share_max, 0.0, 1.0);
  return std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(target()) * share));
}

std::size_t ConnectionManager::dense_max(std::size_t chosen) const {
  return std::max(outbound_min() / 2, chosen / 2);
}

bool ConnectionManager::has_room(const peers::NetworkGroup& group, const Tally& tally,
                                 Networks networks) const {
  if (networks == Networks::kAny) return true;
  const auto found = tally.outbound_of.find(group);
  if (found != tally.outbound_of.end() && found->second >= group_max()) return false;
  // A dial that is on its way is no peer yet that another one could stand beside.
  return networks == Networks::kAlsoDense || !is_dense(group) ||
         tally.dense < dense_max(tally.outbound + 1);
}

ConnectionManager::Chosen ConnectionManager::chosen_in(
    const std::function<bool(const peers::NetworkGroup&)>& networks) {
  Chosen chosen{links_.end(), 0};
  for (auto link = links_.begin(); link != links_.end(); ++link) {
    const Link& of = link->second;
    if (of.leaving || of.feeler || !of.outbound || !networks(of.group)) continue;
    ++chosen.count;
    if (of.exempt) continue;
    const bool first = chosen.newest == links_.end();
    if (first || of.serial > chosen.newest->second.serial) chosen.newest = link;
  }
  return chosen;
}

bool ConnectionManager::is_well_chosen(const PeerId& peer) const {
  const auto found = links_.find(peer);
  return found != links_.end() && found->second.outbound && !is_dense(found->second.group);
}

std::map<peers::NetworkGroup, std::size_t> ConnectionManager::outbound_groups() const {
  std::map<peers::NetworkGroup, std::size_t> groups;
  for (const auto& [peer, link] : links_) {
    if (link.outbound && !link.leaving) ++groups[link.group];
  }
  return groups;
}

}  // namespace warren::swarm
