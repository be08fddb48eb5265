#include "node/sightings.hpp"

#include <algorithm>
#include <set>

namespace warren::node {

bool Sightings::found(const discovery::PeerHint& hint) {
  std::map<PeerId, Entry>& of = sources_[std::string(hint.via)];
  const auto known = of.find(hint.peer);
  const bool fresh = known == of.end() || known->second.seen.lost;
  if (known == of.end() && of.size() >= kPeersPerSourceMax) {
    const auto older = [](const auto& a, const auto& b) { return a.second.at < b.second.at; };
    of.erase(std::ranges::min_element(of, older));
  }
  of[hint.peer] = {{.peer = hint.peer, .addresses = hint.addresses, .spare = hint.spare},
                   hint.seen};
  return fresh;
}

void Sightings::lost(const discovery::PeerHint& hint) {
  const auto source = sources_.find(hint.via);
  if (source == sources_.end()) return;
  const auto entry = source->second.find(hint.peer);
  if (entry != source->second.end()) entry->second.seen.lost = true;
}

void Sightings::forget(std::string_view source) {
  const auto found = sources_.find(source);
  if (found != sources_.end()) sources_.erase(found);
}

std::vector<SeenPeer> Sightings::of(std::string_view source, TimePoint now) const {
  std::vector<SeenPeer> all;
  const auto found = sources_.find(source);
  if (found == sources_.end()) return all;
  for (const auto& [peer, entry] : found->second) {
    all.push_back(entry.seen);
    all.back().seen_ago = now - entry.at;
  }
  return all;
}

bool Sightings::is_near(const PeerId& peer) const {
  return std::ranges::any_of(sources_, [&](const auto& source) {
    if (source.first != "mdns" && source.first != "multicast") return false;
    const auto entry = source.second.find(peer);
    return entry != source.second.end() && !entry->second.seen.lost;
  });
}

std::size_t Sightings::present() const {
  std::set<PeerId> present;
  for (const auto& [name, peers] : sources_) {
    for (const auto& [peer, entry] : peers) {
      if (!entry.seen.lost) present.insert(peer);
    }
  }
  return present.size();
}

}  // namespace warren::node
