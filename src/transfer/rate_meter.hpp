#pragma once
// Bytes a second over the last seconds.

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/time.hpp"

namespace warren::transfer {

/// Moving average over 5 s. Source: quality statement TR-1. By value.
class RateMeter {
 public:
  void add(std::uint64_t bytes, TimePoint now) {
    if (!started_) start_ = now;
    started_ = true;
    advance(now);
    buckets_[static_cast<std::size_t>(last_ % kBuckets)] += bytes;
  }
  /// Bytes a second; over what has passed when that is less than 5 s, but at least one bucket.
  std::uint64_t rate(TimePoint now) const {
    if (!started_) return 0;
    RateMeter at = *this;
    at.advance(now);
    std::uint64_t bytes = 0;
    for (const std::uint64_t bucket : at.buckets_) bytes += bucket;
    const Duration span = std::clamp<Duration>(now - start_, kBucket, kBucket * kBuckets);
    return static_cast<std::uint64_t>(static_cast<double>(bytes) /
                                      std::chrono::duration<double>(span).count());
  }

 private:
  static constexpr Duration kBucket = 250ms;
  static constexpr std::int64_t kBuckets = 20;

  void advance(TimePoint now) {
    const std::int64_t bucket = (now - start_) / kBucket;
    for (std::int64_t steps = 0; last_ < bucket && steps < kBuckets; ++steps) {
      last_ = std::max(last_ + 1, bucket - kBuckets + 1);
      buckets_[static_cast<std::size_t>(last_ % kBuckets)] = 0;
    }
    last_ = std::max(last_, bucket);
  }

  bool started_ = false;
  TimePoint start_{};
  std::int64_t last_ = 0;
  std::array<std::uint64_t, kBuckets> buckets_{};
};

}  // namespace warren::transfer
