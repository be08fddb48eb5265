#include "transport/upgrade/half_open.hpp"

#include <algorithm>
#include <map>

#include "base/check.hpp"

namespace warren::transport {
namespace {

/// What one household has: it may change the rest of an IPv6 address as it likes.
resources::Prefix source_of(const IpAddress& ip) {
  return resources::Prefix::of(ip, ip.is_v6() ? 56 : 32);
}

}  // namespace

HalfOpenTable::Place::Place(HalfOpenTable& table, const IpAddress& remote)
    : table_(table),
      source_(source_of(remote)),
      signal_(table.runtime_.make_signal()),
      at_(table.staying_.insert(table.staying_.end(), this)) {
  ++table_.size_;
}

HalfOpenTable::Place::~Place() {
  if (!displaced_) table_.staying_.erase(at_);
  --table_.size_;
}

runtime::awaitable<Result<>> HalfOpenTable::Place::wait_until_displaced() {
  while (!displaced_) {
    const runtime::Wake wake = co_await signal_->wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
  co_return fail(ErrorCode::kLimited, "a newer connection took its place among the handshakes");
}

IpAddress HalfOpenTable::displace_one() {
  WARREN_CHECK(!staying_.empty());
  std::map<resources::Prefix, std::size_t> counts;
  for (const Place* place : staying_) ++counts[place->source_];
  const auto more = [](const auto& a, const auto& b) { return a.second < b.second; };
  const resources::Prefix most = std::ranges::max_element(counts, more)->first;
  const auto oldest = std::ranges::find_if(
      staying_, [&most](const Place* place) { return place->source_ == most; });
  Place& place = **oldest;
  staying_.erase(oldest);
  place.displaced_ = true;
  place.signal_->notify();
  return most.ip;
}

}  // namespace warren::transport
