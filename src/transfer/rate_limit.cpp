#include "transfer/rate_limit.hpp"

#include <algorithm>

#include "peers/access_rule.hpp"

namespace warren::transfer {
namespace {

constexpr double kBucketSeconds = 0.25;  // What may be saved up while nobody takes.
constexpr std::uint64_t kPieceBytesMin = 4u << 10;
constexpr std::uint64_t kPieceBytesMax = 1u << 20;

}  // namespace

std::uint64_t RateLimit::piece_bytes() const {
  if (rate_ == 0) return kPieceBytesMax;
  return std::clamp(rate_ / 4, kPieceBytesMin, kPieceBytesMax);
}

void RateLimit::set(std::uint64_t bytes_per_second) {
  fill();
  rate_ = bytes_per_second;
  // What was owed at the old rate is not waited for at the new one.
  tokens_ = std::max(tokens_, -kBucketSeconds * static_cast<double>(rate_));
  wake_all();
}

void RateLimit::fill() {
  const TimePoint now = runtime_.now();
  const double passed = std::chrono::duration<double>(now - filled_at_).count();
  filled_at_ = now;
  const auto rate = static_cast<double>(rate_);
  tokens_ = std::min(tokens_ + passed * rate, kBucketSeconds * rate);
}

bool RateLimit::is_first(const Waiter& waiter) const {
  bool earlier = true;
  for (const Waiter& other : waiters_) {
    if (&other == &waiter) {
      earlier = false;
    } else if (other.priority < waiter.priority || (earlier && other.priority == waiter.priority)) {
      return false;
    }
  }
  return true;
}

TimePoint RateLimit::next_at() const {
  const double owed = std::max(0.0, -tokens_) / static_cast<double>(rate_);
  return filled_at_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(owed)) +
         Duration(1);
}

void RateLimit::wake_all() {
  for (const Waiter& waiter : waiters_) waiter.signal->notify();
}

awaitable<Result<>> RateLimit::take(std::uint64_t bytes, Priority priority, TimePoint deadline) {
  if (rate_ == 0) co_return Result<>();
  const auto place = waiters_.insert(waiters_.end(), Waiter{priority, runtime_.make_signal()});
  Result<> taken;
  for (;;) {
    if (rate_ == 0) break;
    fill();
    const bool first = is_first(*place);
    if (first && tokens_ >= 0) {
      tokens_ -= static_cast<double>(bytes);
      break;
    }
    if (runtime_.now() >= deadline) {
      taken = fail(ErrorCode::kTimedOut, "the limit let nothing through in time");
      break;
    }
    const TimePoint until = first ? std::min(deadline, next_at()) : deadline;
    const runtime::Wake wake = co_await place->signal->wait_until(until);
    if (wake != runtime::Wake::kCancelled) continue;
    taken = fail(ErrorCode::kCancelled, "cancelled");
    break;
  }
  waiters_.erase(place);
  wake_all();
  co_return taken;
}

void Bandwidth::set(const BandwidthLimits& limits) {
  up_.set(limits.up_bytes_per_second);
  down_.set(limits.down_bytes_per_second);
  lan_exempt_ = limits.lan_exempt;
}

RateLimit* Bandwidth::limit(RateLimit& direction, const Multiaddr& remote) const {
  if (direction.bytes_per_second() == 0) return nullptr;
  return lan_exempt_ && peers::is_on_lan(remote) ? nullptr : &direction;
}

}  // namespace warren::transfer
