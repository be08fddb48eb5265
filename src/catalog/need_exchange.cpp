#include "catalog/need_exchange.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace warren::catalog {
namespace {

// Changes within this time are one report.
constexpr Duration kSettleTime = 500ms;
// Between two reports, and two looks at what is missing. Source: the publisher answers one in two
// seconds.
constexpr Duration kReportGap = 3s;
// More when reckoning takes long: it is to take no more than one part in so many of the time.
constexpr int kWorkShare = 20;
constexpr Duration kGapMax = 60s;
// Small sets of many peers do not wait for each other.
constexpr Duration kWorkAtOnce = 1s;
// Beyond, it was a disk or a suspended machine that took so long.
constexpr Duration kWorkPauseMax = 10min;
// Of what is not settled; doubles from the least to the most.
constexpr Duration kRetryMin = 5s;
constexpr Duration kRetryMax = 20s;
constexpr unsigned kRetryDoublings = 2;
// Source: quality statement SY-1.
constexpr Duration kStillTime = 10s;
// Source: quality statement SY-2.
constexpr Duration kDiffersTime = 60s;

}  // namespace

void Disagreement::saw(bool agree, std::vector<std::string> ids, TimePoint now) {
  if (agree) {
    *this = {};
    return;
  }
  if (!since_) since_ = now;
  last_ = now;
  ids_ = std::move(ids);
}

bool Disagreement::lasts() const { return since_ && last_ - *since_ > kDiffersTime; }

bool Disagreement::is_news() { return lasts() && !std::exchange(told_, true); }

TimePoint Disagreement::lasts_at() const {
  return since_ ? *since_ + kDiffersTime + kSettleTime : kNever;
}

TimePoint WorkPace::next() const { return paid_ - kWorkShare * kWorkAtOnce; }

void WorkPace::took(Duration took, TimePoint now) {
  const Duration most = kWorkShare * kWorkAtOnce + kWorkPauseMax;
  paid_ = std::min(std::max(paid_, now) + kWorkShare * took, now + most);
}

void NeedExchange::changed(TimePoint now) {
  switch (state_) {
    case State::kResting:
      state_ = State::kDue;
      changed_at_ = now;
      break;
    case State::kDue: break;  // The first of several changes counts.
    case State::kReckoning:
    case State::kAsked: changed_meanwhile_ = true; break;
  }
}

TimePoint NeedExchange::next() const {
  switch (state_) {
    case State::kResting: return again_;
    case State::kDue: return std::max(changed_at_ + kSettleTime, not_before_);
    case State::kReckoning:
    case State::kAsked: break;
  }
  return kNever;
}

void NeedExchange::begin(TimePoint now) {
  WARREN_CHECK(state_ == State::kDue || state_ == State::kResting);
  not_before_ = now + kReportGap;
  state_ = State::kReckoning;
}

bool NeedExchange::reckoned(const NeedBuilder& builder, Duration took, TimePoint now) {
  WARREN_CHECK(state_ == State::kReckoning);
  NeedReport report = builder.report();
  const bool moved =
      !report_ || report.need != report_->need || builder.bytes_done() != bytes_done_;
  if (moved) moved_at_ = now;
  if (report.need.count > 0 && now - moved_at_ >= kStillTime) {
    report.reason = builder.reason() == Reason::kNone ? Reason::kTurn : builder.reason();
  }
  compared_ = compared_ && report_ == report;
  items_ = builder.items();
  bytes_done_ = builder.bytes_done();
  took_ = took;
  not_before_ = now + gap();
  report_ = std::move(report);
  if (!compares_ || (compared_ && !disagreement_.since())) {
    rest(now);
    return false;
  }
  state_ = State::kAsked;
  return true;
}

void NeedExchange::not_reckoned(Duration took, TimePoint now) {
  WARREN_CHECK(state_ == State::kReckoning);
  changed_meanwhile_ = false;
  changed_at_ = now;
  took_ = took;
  not_before_ = now + gap();
  state_ = State::kDue;
}

void NeedExchange::answered(const NeedAnswer& answer, TimePoint now) {
  WARREN_CHECK(state_ == State::kAsked);
  compared_ = answer.compared != NeedAnswer::Compared::kNotYet;
  if (compared_) {
    disagreement_.saw(agrees(report_->need, answer), differing_ids(report_->need, answer), now);
  }
  rest(now);
}

void NeedExchange::failed(TimePoint now) {
  WARREN_CHECK(state_ == State::kAsked);
  compared_ = false;
  rest(now);
}

Duration NeedExchange::gap() const {
  return std::clamp<Duration>(took_ * kWorkShare, kReportGap, kGapMax);
}

void NeedExchange::rest(TimePoint now) {
  not_before_ = now + gap();
  again_ = kNever;
  if (report_->need.count > 0) again_ = not_before_;
  if (compares_ && (!compared_ || disagreement_.since())) {
    const Duration wait = kRetryMin * (1 << std::min(retries_, kRetryDoublings));
    again_ = now + std::min<Duration>(wait, kRetryMax);
    if (disagreement_.lasts_at() > now) again_ = std::min(again_, disagreement_.lasts_at());
    again_ = std::max(again_, not_before_);
    ++retries_;
  } else {
    retries_ = 0;
  }
  state_ = State::kResting;
  if (std::exchange(changed_meanwhile_, false)) changed(now);
}

void NeedExchange::check_invariants() const {
  WARREN_CHECK(state_ != State::kAsked || (compares_ && report_));
  WARREN_CHECK(state_ != State::kResting || report_);
  WARREN_CHECK(!compared_ || compares_);
  WARREN_CHECK(!report_ || report_->need.ids.size() <= kNeedIdsMax);
  WARREN_CHECK(!report_ || report_->reason == Reason::kNone || report_->need.count > 0);
}

}  // namespace warren::catalog
