#include "swarm/backoff.hpp"

#include <algorithm>

namespace warren::swarm {

std::optional<TimePoint> Backoff::until(const Multiaddr& address, TimePoint now) const {
  const auto found = entries_.find(address);
  if (found == entries_.end() || found->second.until <= now) return std::nullopt;
  return found->second.until;
}

void Backoff::failed(const Multiaddr& address, TimePoint now, std::mt19937_64& rng) {
  auto found = entries_.find(address);
  if (found == entries_.end()) {
    if (entries_.size() >= entries_max_) {
      entries_.erase(std::ranges::min_element(
          entries_, {}, [](const auto& entry) { return entry.second.until; }));
    }
    found = entries_.emplace(address, Entry{}).first;
  }
  Entry& entry = found->second;
  // A failure long after the last one stands for itself.
  const bool in_a_row = entry.wait > Duration{} && now < entry.until + most_;
  entry.wait = in_a_row ? std::min(entry.wait * 2, most_) : least_;
  // Of the longest wait the jitter is taken off, so that none is longer.
  const Duration shortest = std::min(entry.wait, most_ * 5 / 6);
  const auto fifth = static_cast<std::uint64_t>(shortest.count()) / 5;
  entry.until = now + shortest + Duration(static_cast<Duration::rep>(rng() % (fifth + 1)));
}

void Backoff::forget(const PeerId& peer) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first.peer_id() == peer; });
}

}  // namespace warren::swarm
