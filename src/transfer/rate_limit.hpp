#pragma once
// A bound on bytes a second: a token bucket whose takers wait in turn, those of a person before
// those in the background.

#include <cstdint>
#include <list>
#include <memory>

#include "base/result.hpp"
#include "multiformats/multiaddr.hpp"
#include "runtime/runtime.hpp"
#include "transfer/transfer_types.hpp"

namespace warren::transfer {

using runtime::awaitable;

/// Core thread only. `runtime` outlives it; it outlives every take().
class RateLimit {
 public:
  /// `bytes_per_second`: 0 is no bound.
  explicit RateLimit(runtime::Runtime& runtime, std::uint64_t bytes_per_second = 0)
      : runtime_(runtime), rate_(bytes_per_second), filled_at_(runtime.now()) {}

  /// From now on, also for those who wait.
  void set(std::uint64_t bytes_per_second);
  std::uint64_t bytes_per_second() const noexcept { return rate_; }
  /// What is best taken at a time: a quarter of a second, 4 KiB to 1 MiB.
  std::uint64_t piece_bytes() const;

  /// Waits until `bytes` bytes may move. What is taken at once beyond the bucket is waited for by
  /// the next one. Errors: kTimedOut, kCancelled: then nothing was taken. Cancel: safe.
  awaitable<Result<>> take(std::uint64_t bytes, Priority priority, TimePoint deadline);

 private:
  struct Waiter {
    Priority priority = Priority::kUser;
    std::unique_ptr<runtime::Signal> signal;
  };

  void fill();
  bool is_first(const Waiter& waiter) const;
  TimePoint next_at() const;
  void wake_all();

  runtime::Runtime& runtime_;
  std::uint64_t rate_;
  double tokens_ = 0;  ///< Bytes; below 0 they are owed.
  TimePoint filled_at_;
  std::list<Waiter> waiters_;  ///< In the order in which they came.
};

/// How much of the network a node may use.
struct BandwidthLimits {
  std::uint64_t up_bytes_per_second = 0;    ///< 0: without bound.
  std::uint64_t down_bytes_per_second = 0;  ///< Same.
  bool lan_exempt = true;                   ///< Peers on the LAN do not count.
  bool operator==(const BandwidthLimits&) const = default;
};

/// The limits of both directions, for all transfers together. As RateLimit.
class Bandwidth {
 public:
  Bandwidth(runtime::Runtime& runtime, const BandwidthLimits& limits)
      : up_(runtime, limits.up_bytes_per_second),
        down_(runtime, limits.down_bytes_per_second),
        lan_exempt_(limits.lan_exempt) {}

  void set(const BandwidthLimits& limits);
  /// What bounds sending to, or receiving from, `remote` at this moment; null when nothing does.
  RateLimit* up(const Multiaddr& remote) { return limit(up_, remote); }
  RateLimit* down(const Multiaddr& remote) { return limit(down_, remote); }

 private:
  RateLimit* limit(RateLimit& direction, const Multiaddr& remote) const;

  RateLimit up_;
  RateLimit down_;
  bool lan_exempt_;
};

}  // namespace warren::transfer
