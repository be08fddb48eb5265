#include "discovery/bootstrap/bootstrap_machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/check.hpp"

namespace warren::discovery {
namespace {

using State = BootstrapEntry::State;

/// What is wrong with an entry in one or two words, as the summary counts it.
std::string_view trouble_of(const BootstrapEntry& entry) {
  if (!entry.error) {
    switch (entry.state) {
      case State::kUntried: return "not tried yet";
      case State::kDialling: return "being dialled";
      case State::kConnected: return "connected";
      case State::kFailed: return "failed";
      case State::kLost: return "lost";
    }
    return "failed";
  }
  switch (entry.error->code()) {
    case ErrorCode::kTimedOut: return "timed out";
    case ErrorCode::kUnreachable:
      // The code does not tell a closed port from a missing route; the system's words do.
      return entry.error->message().find("refused") != std::string::npos ? "refused"
                                                                         : "unreachable";
    case ErrorCode::kIntegrity: return "wrong peer id";
    case ErrorCode::kNotFound: return "no such name";
    case ErrorCode::kDenied: return "not allowed";
    case ErrorCode::kReset:
    case ErrorCode::kClosed: return "closed";
    case ErrorCode::kUnsupported: return "not supported";
    default: return "failed";
  }
}

}  // namespace

std::string_view bootstrap_state_name(BootstrapEntry::State state) noexcept {
  switch (state) {
    case State::kUntried: return "untried";
    case State::kDialling: return "dialling";
    case State::kConnected: return "connected";
    case State::kFailed: return "failed";
    case State::kLost: return "lost";
  }
  return "unknown";
}

BootstrapMachine::BootstrapMachine(PeerId self, BootstrapTimes times, limits::Bootstrap limits,
                                   std::mt19937_64& rng)
    : self_(std::move(self)), times_(times), limits_(limits), rng_(rng) {}

void BootstrapMachine::replace(const std::vector<Multiaddr>& addresses, TimePoint now) {
  std::vector<BootstrapEntry> next;
  for (const Multiaddr& address : addresses) {
    if (next.size() == limits_.entries_max) break;
    const auto same = [&](const BootstrapEntry& entry) { return entry.address == address; };
    if (std::ranges::any_of(next, same)) continue;
    const std::optional<PeerId> peer = address.peer_id();
    if (address.empty() || (peer && *peer == self_)) continue;
    const auto known = std::ranges::find_if(entries_, same);
    if (known != entries_.end()) {
      next.push_back(std::move(*known));
      known->address = Multiaddr();
      continue;
    }
    BootstrapEntry& entry = next.emplace_back();
    entry.address = address;
    entry.peer = peer;
    entry.next_try = now;
  }
  entries_ = std::move(next);
  look_at_ = now;
  check_invariants();
}

void BootstrapMachine::retry_now(TimePoint now) {
  for (BootstrapEntry& entry : entries_) {
    if (entry.state == State::kConnected || entry.state == State::kDialling) continue;
    entry.wanted = true;
    entry.next_try = std::min(entry.next_try, std::max(now, entry.soonest));
  }
  look_at_ = now;
}

void BootstrapMachine::back_off(BootstrapEntry& entry, TimePoint now) {
  // 2^30 times the least wait is more than the most, whatever they are.
  const std::uint32_t doublings = std::min(entry.failures + entry.brief, 31u);
  const Duration most = times_.max_retry_interval;
  Duration wait = std::min(times_.retry_interval, most);
  for (std::uint32_t i = 1; i < doublings && wait < most; ++i) wait = std::min(wait * 2, most);
  // Of the longest wait the jitter is taken off, so that none is longer.
  const Duration shortest = std::min(wait, most * 5 / 6);
  const auto fifth = static_cast<std::uint64_t>(shortest.count()) / 5;
  entry.next_try = now + shortest + Duration(static_cast<Duration::rep>(rng_() % (fifth + 1)));
}

void BootstrapMachine::mark_connected(BootstrapEntry& entry, TimePoint now) {
  entry.state = State::kConnected;
  entry.connected_since = now;
  entry.error.reset();
  entry.failures = 0;
  entry.wanted = false;
  entry.lost = false;
}

void BootstrapMachine::look_at(BootstrapEntry& entry, bool connected, TimePoint now) {
  if (connected) {
    if (entry.state != State::kConnected) mark_connected(entry, now);
    return;
  }
  if (entry.state != State::kConnected) return;
  entry.state = State::kLost;
  entry.lost = true;
  if (now - entry.connected_since >= times_.settled_after) {
    entry.brief = 0;
    entry.next_try = now;
  } else {
    entry.brief = std::min(entry.brief + 1, 31u);
    back_off(entry, now);
  }
}

std::vector<Multiaddr> BootstrapMachine::next(
    std::size_t connected_peers, const std::function<bool(const PeerId&)>& is_connected,
    TimePoint now) {
  for (BootstrapEntry& entry : entries_) {
    if (entry.state == State::kDialling) continue;
    look_at(entry, entry.peer && is_connected(*entry.peer), now);
  }
  const bool lost = std::ranges::any_of(entries_, [](const auto& entry) { return entry.lost; });
  dial_all_ = connected_peers < times_.min_peers || (lost && connected_peers < times_.enough_peers);
  if (now >= look_at_) look_at_ = now + times_.monitor_interval;

  std::vector<Multiaddr> dials;
  for (BootstrapEntry& entry : entries_) {
    if (dials_ == limits_.dials_max) break;
    if (!is_due_some_day(entry) || entry.next_try > now) continue;
    entry.state = State::kDialling;
    entry.wanted = false;
    ++dials_;
    dials.push_back(entry.address);
  }
  check_invariants();
  return dials;
}

bool BootstrapMachine::is_due_some_day(const BootstrapEntry& entry) const {
  if (entry.state == State::kConnected || entry.state == State::kDialling) return false;
  return dial_all_ || entry.wanted;
}

Result<PeerId> BootstrapMachine::dial_ended(const Multiaddr& address, Result<PeerId> answered,
                                            TimePoint now) {
  WARREN_CHECK(dials_ > 0);
  --dials_;
  const std::optional<PeerId> expected = address.peer_id();
  if (answered && expected && *answered != *expected) {
    answered = fail(
        ErrorCode::kIntegrity,
        fmt::format("{}: {} answered where {} was expected", address.without_peer().to_string(),
                    answered->to_string(), expected->to_string()),
        "correct the peer id of this entry in the bootstrap list, or remove it");
  }
  const auto entry = std::ranges::find(entries_, address, &BootstrapEntry::address);
  // It was removed from the list, and perhaps put in again, while it was being dialled.
  if (entry == entries_.end() || entry->state != State::kDialling) return answered;
  entry->soonest = now + times_.retry_interval;
  if (answered) {
    entry->peer = *answered;
    mark_connected(*entry, now);
  } else {
    entry->state = State::kFailed;
    entry->error = answered.error();
    entry->failures = std::min(entry->failures + 1, 31u);
    back_off(*entry, now);
  }
  check_invariants();
  return answered;
}

TimePoint BootstrapMachine::next_wake() const {
  if (entries_.empty()) return kNever;
  TimePoint wake = look_at_;
  if (dials_ == limits_.dials_max) return wake;
  for (const BootstrapEntry& entry : entries_) {
    if (is_due_some_day(entry)) wake = std::min(wake, entry.next_try);
  }
  return wake;
}

std::string BootstrapMachine::summary() const {
  if (entries_.empty()) return "no list configured";
  std::size_t reachable = 0;
  std::map<std::string_view, std::size_t> counts;
  for (const BootstrapEntry& entry : entries_) {
    if (entry.state == State::kConnected) {
      ++reachable;
    } else {
      ++counts[trouble_of(entry)];
    }
  }
  // The most frequent one first.
  std::set<std::pair<std::int64_t, std::string_view>> troubles;
  for (const auto& [trouble, count] : counts) {
    troubles.emplace(-static_cast<std::int64_t>(count), trouble);
  }
  std::string text = fmt::format("{} of {} reachable", reachable, entries_.size());
  bool first = true;
  for (const auto& [count, trouble] : troubles) {
    text += fmt::format("{}{} {}", std::exchange(first, false) ? " (" : ", ", -count, trouble);
  }
  if (!first) text += ')';
  return text;
}

void BootstrapMachine::check_invariants() const {
  WARREN_CHECK(entries_.size() <= limits_.entries_max);
  WARREN_CHECK(dials_ <= limits_.dials_max);
  std::size_t dialling = 0;
  for (const BootstrapEntry& entry : entries_) {
    WARREN_CHECK(!entry.address.empty());
    switch (entry.state) {
      case State::kUntried: WARREN_CHECK(!entry.error); break;
      case State::kDialling: ++dialling; break;
      case State::kConnected: WARREN_CHECK(entry.peer && !entry.error && !entry.lost); break;
      case State::kFailed: WARREN_CHECK(entry.error.has_value()); break;
      case State::kLost: WARREN_CHECK(entry.lost && entry.peer); break;
    }
  }
  WARREN_CHECK(dialling <= dials_);  // Less when the list was replaced meanwhile.
}

}  // namespace warren::discovery
