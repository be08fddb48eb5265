#include "swarm/manager/waits.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace warren::swarm {

void Waits::back_off(const PeerId& peer, Duration least, Duration most, TimePoint now,
                     std::mt19937_64& rng) {
  Entry& waiting = entry(peer);
  Duration wait = least;
  for (std::uint32_t i = 0; i < waiting.failures && wait < most; ++i) wait *= 2;
  wait = std::min(wait, most);
  std::uniform_real_distribution<double> jitter(0.8, 1.2);
  const auto jittered = std::chrono::duration_cast<Duration>(wait * jitter(rng));
  ++waiting.failures;
  set_until(peer, waiting, std::max(waiting.until, now + jittered));
}

void Waits::leave_alone(const PeerId& peer, TimePoint until) {
  Entry& waiting = entry(peer);
  set_until(peer, waiting, std::max(waiting.until, until));
}

void Waits::forgive(const PeerId& peer) {
  const auto found = entries_.find(peer);
  if (found == entries_.end()) return;
  by_end_.erase({found->second.until, peer});
  entries_.erase(found);
}

void Waits::end_wait(const PeerId& peer) {
  const auto found = entries_.find(peer);
  if (found != entries_.end()) set_until(peer, found->second, TimePoint{});
}

void Waits::clear() {
  entries_.clear();
  by_end_.clear();
}

bool Waits::waits(const PeerId& peer, TimePoint now) const { return until(peer) > now; }

TimePoint Waits::until(const PeerId& peer) const {
  const auto found = entries_.find(peer);
  return found == entries_.end() ? TimePoint{} : found->second.until;
}

std::uint32_t Waits::failures(const PeerId& peer) const {
  const auto found = entries_.find(peer);
  return found == entries_.end() ? 0 : found->second.failures;
}

TimePoint Waits::next_end(TimePoint now) const {
  // The empty id comes first of one moment, so that this is past every end at `now`.
  const auto next = by_end_.lower_bound({now + Duration(1), PeerId()});
  return next == by_end_.end() ? kNever : next->first;
}

Waits::Entry& Waits::entry(const PeerId& peer) {
  const auto found = entries_.find(peer);
  if (found != entries_.end()) return found->second;
  if (entries_.size() >= kEntriesMax) forgive(PeerId(by_end_.begin()->second));
  by_end_.emplace(TimePoint{}, peer);
  return entries_[peer];
}

void Waits::set_until(const PeerId& peer, Entry& waiting, TimePoint until) {
  by_end_.erase({waiting.until, peer});
  waiting.until = until;
  by_end_.emplace(until, peer);
}

void Waits::check_invariants() const {
  WARREN_CHECK(entries_.size() <= kEntriesMax);
  WARREN_CHECK(by_end_.size() == entries_.size());
  for (const auto& [until, peer] : by_end_) {
    const auto found = entries_.find(peer);
    WARREN_CHECK(found != entries_.end() && found->second.until == until);
  }
}

}  // namespace warren::swarm
