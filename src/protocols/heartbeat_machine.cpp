#include "protocols/heartbeat_machine.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace warren::protocols {
namespace {

// When as many pings as may be are in progress, or one could not be sent.
constexpr Duration kPutOff = 1s;
// What the negotiation of a stream takes at most: a peer that hangs still answers that.
constexpr std::uint64_t kNegotiationBytesMax = 256;

}  // namespace

HeartbeatMachine::HeartbeatMachine(HeartbeatConfig config, std::mt19937_64& rng)
    : config_(config), rng_(&rng) {}

/// The interval less up to a tenth.
Duration HeartbeatMachine::wait() {
  const auto tenth = static_cast<std::uint64_t>(config_.interval.count()) / 10;
  return config_.interval - Duration(static_cast<Duration::rep>((*rng_)() % (tenth + 1)));
}

void HeartbeatMachine::set_due(const PeerId& peer, Entry& entry, TimePoint at) {
  if (entry.due != kNever) due_.erase({entry.due, peer});
  entry.due = at;
  if (at != kNever) due_.emplace(at, peer);
}

void HeartbeatMachine::leave_state(Entry& entry, State next) {
  const auto pinging = [](State state) {
    return state == State::kPinged || state == State::kRepeated;
  };
  if (pinging(entry.state) && !pinging(next)) --pinging_;
  if (!pinging(entry.state) && pinging(next)) ++pinging_;
  entry.state = next;
}

void HeartbeatMachine::watch(const PeerId& peer, std::uint64_t received, TimePoint now) {
  Entry& entry = peers_[peer];
  leave_state(entry, State::kQuiet);
  entry.received = received;
  entry.refusals = 0;
  // The first look anywhere within an interval: peers that came together are not pinged together.
  const auto all = static_cast<std::uint64_t>(config_.interval.count());
  set_due(peer, entry,
          now + config_.interval / 2 + Duration(static_cast<Duration::rep>((*rng_)() % all)) / 2);
}

void HeartbeatMachine::forget(const PeerId& peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  leave_state(found->second, State::kQuiet);
  set_due(peer, found->second, kNever);
  peers_.erase(found);
}

std::optional<PeerId> HeartbeatMachine::next_due(TimePoint now) const {
  if (due_.empty() || due_.begin()->first > now) return std::nullopt;
  return due_.begin()->second;
}

TimePoint HeartbeatMachine::next_wake() const {
  return due_.empty() ? kNever : due_.begin()->first;
}

HeartbeatMachine::Verdict HeartbeatMachine::check(const PeerId& peer, std::uint64_t received,
                                                  TimePoint now) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || found->second.state != State::kQuiet) return Verdict::kLeave;
  Entry& entry = found->second;
  ++stats_.checks;
  if (received != entry.received) {
    entry.received = received;
    set_due(peer, entry, now + wait());
    return Verdict::kLeave;
  }
  if (pinging_ >= config_.pings_max) {
    set_due(peer, entry, now + kPutOff);
    return Verdict::kLeave;
  }
  set_due(peer, entry, kNever);
  leave_state(entry, State::kPinged);
  ++stats_.pings;
  return Verdict::kPing;
}

void HeartbeatMachine::answered(const PeerId& peer, std::uint64_t received, TimePoint now) {
  ++stats_.answered;
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  Entry& entry = found->second;
  if (entry.state != State::kPinged && entry.state != State::kRepeated) return;
  leave_state(entry, State::kQuiet);
  entry.received = received;
  entry.refusals = 0;
  set_due(peer, entry, now + wait());
}

HeartbeatMachine::Verdict HeartbeatMachine::missed(const PeerId& peer, std::uint64_t received,
                                                   TimePoint now) {
  ++stats_.missed;
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return Verdict::kLeave;
  Entry& entry = found->second;
  if (entry.state != State::kPinged && entry.state != State::kRepeated) return Verdict::kLeave;
  // A peer that says something else meanwhile is busy or slow, not gone.
  if (received > entry.received + kNegotiationBytesMax) {
    leave_state(entry, State::kQuiet);
    entry.received = received;
    set_due(peer, entry, now + wait());
    return Verdict::kLeave;
  }
  if (entry.state == State::kPinged) {
    leave_state(entry, State::kRepeated);
    ++stats_.pings;
    return Verdict::kPing;
  }
  leave_state(entry, State::kDead);
  ++stats_.dead;
  return Verdict::kDead;
}

void HeartbeatMachine::refused(const PeerId& peer, std::uint64_t received, bool for_good,
                               TimePoint now) {
  ++stats_.refused;
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  Entry& entry = found->second;
  if (entry.state != State::kPinged && entry.state != State::kRepeated) return;
  entry.received = received;
  ++entry.refusals;
  if (for_good || entry.refusals >= config_.refusals_max) {
    leave_state(entry, State::kLeft);
    return;
  }
  leave_state(entry, State::kQuiet);
  set_due(peer, entry, now + wait());
}

void HeartbeatMachine::put_off(const PeerId& peer, TimePoint now) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  Entry& entry = found->second;
  if (entry.state != State::kPinged && entry.state != State::kRepeated) return;
  leave_state(entry, State::kQuiet);
  set_due(peer, entry, now + wait());
}

void HeartbeatMachine::check_invariants() const {
  std::size_t pinging = 0;
  std::size_t due = 0;
  for (const auto& [peer, entry] : peers_) {
    switch (entry.state) {
      case State::kQuiet: WARREN_CHECK(entry.due != kNever); break;
      case State::kPinged:
      case State::kRepeated:
        ++pinging;
        WARREN_CHECK(entry.due == kNever);
        break;
      case State::kLeft:
      case State::kDead: WARREN_CHECK(entry.due == kNever); break;
    }
    if (entry.due != kNever) {
      ++due;
      WARREN_CHECK(due_.contains({entry.due, peer}));
    }
  }
  WARREN_CHECK(due == due_.size());
  WARREN_CHECK(pinging == pinging_ && pinging_ <= config_.pings_max);
}

}  // namespace warren::protocols
