#include "discovery/exchange/exchange_machine.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace warren::discovery {

ExchangeMachine::ExchangeMachine(ExchangeTimes times, std::mt19937_64& rng, TimePoint now)
    : times_(times),
      rng_(rng),
      interval_(std::min(times.ask_interval_first, times.ask_interval)),
      regular_at_(now),
      look_at_(now) {}

bool ExchangeMachine::wants_candidates(bool wants_peers, TimePoint now) const {
  if (in_progress_.size() >= times_.asks_max) return false;
  return wants_peers || all_now_ || news_ || now >= regular_at_;
}

bool ExchangeMachine::may_ask(const PeerId& peer, TimePoint now) const {
  if (in_progress_.contains(peer)) return false;
  const auto last = asked_.find(peer);
  return last == asked_.end() || now - last->second >= times_.ask_same_interval;
}

void ExchangeMachine::remember(const PeerId& peer, TimePoint now) {
  if (asked_.size() >= times_.asked_max && !asked_.contains(peer)) {
    std::erase_if(
        asked_, [&](const auto& entry) { return now - entry.second >= times_.ask_same_interval; });
    if (asked_.size() >= times_.asked_max) {
      asked_.erase(
          std::ranges::min_element(asked_, {}, [](const auto& entry) { return entry.second; }));
    }
  }
  asked_.insert_or_assign(peer, now);
}

std::vector<PeerId> ExchangeMachine::next(const std::vector<ExchangeCandidate>& candidates,
                                          bool wants_peers, TimePoint now) {
  std::vector<PeerId> chosen;
  const bool can_ask = wants_candidates(wants_peers, now);
  look_at_ = now + times_.look_interval;
  if (!can_ask) return chosen;

  // Whom we have just chosen is asked at once, while it is there: it may let us go for want of
  // room, and be the only one who is honest.
  const bool news = std::exchange(news_, false);
  const bool anybody = wants_peers || all_now_ || now >= regular_at_;
  const bool many = wants_peers || all_now_ || news;
  const std::size_t room = many ? times_.asks_max - in_progress_.size() : 1;
  // The well chosen first, each kind in random order.
  std::vector<ExchangeCandidate> order;
  TimePoint soonest = now + times_.ask_interval;
  for (const ExchangeCandidate& candidate : candidates) {
    if (may_ask(candidate.peer, now)) {
      const bool is_new = candidate.well_chosen && !asked_.contains(candidate.peer);
      if (anybody || is_new) order.push_back(candidate);
    } else if (const auto last = asked_.find(candidate.peer); last != asked_.end()) {
      soonest = std::min(soonest, std::max(now, last->second + times_.ask_same_interval));
    }
  }
  std::ranges::shuffle(order, rng_);
  std::ranges::partition(order, [](const ExchangeCandidate& one) { return one.well_chosen; });
  for (const ExchangeCandidate& candidate : order) {
    if (chosen.size() == room) break;
    if (!in_progress_.insert(candidate.peer).second) continue;  // It was in the list twice.
    chosen.push_back(candidate.peer);
    remember(candidate.peer, now);
  }

  if (!anybody) return chosen;
  if (!chosen.empty()) {
    all_now_ = false;
    const auto fifth = static_cast<std::uint64_t>(interval_.count()) / 5;
    regular_at_ = now + interval_ + Duration(static_cast<Duration::rep>(rng_() % (fifth + 1)));
    interval_ = std::min(2 * interval_, times_.ask_interval);
  } else if (!candidates.empty() && now >= regular_at_) {
    regular_at_ = std::max(soonest, look_at_);  // Nobody may be asked before.
  }
  check_invariants();
  return chosen;
}

void ExchangeMachine::ended(const PeerId& peer) { in_progress_.erase(peer); }

void ExchangeMachine::look_again(TimePoint now) {
  news_ = true;
  look_at_ = std::min(look_at_, now + times_.look_delay);
}

void ExchangeMachine::ask_now(TimePoint now) {
  all_now_ = true;
  look_at_ = now;
}

TimePoint ExchangeMachine::next_wake() const { return look_at_; }

void ExchangeMachine::check_invariants() const {
  WARREN_CHECK(in_progress_.size() <= times_.asks_max);
  WARREN_CHECK(asked_.size() <= std::max<std::size_t>(times_.asked_max, 1));
}

}  // namespace warren::discovery
