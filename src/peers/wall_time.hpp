#pragma once
// Civil time that may be anything: from a disk, from a clock that was set. Internal to peers.

#include <algorithm>

#include "base/time.hpp"

namespace warren::peers {

/// `from` + `time`, at most the last moment before WallTime::max(), which means "for ever".
inline WallTime later(WallTime from, Duration time) {
  const WallTime last = WallTime::max() - Duration(1);
  if (time > Duration::zero() && from > last - time) return last;
  return std::min(from + time, last);
}

/// How long `then` is past; nothing when it is not.
inline Duration elapsed(WallTime then, WallTime now) {
  if (now <= then) return Duration::zero();
  // A time before 1970 never comes from us, and its distance may not fit.
  return now - std::max(then, WallTime{});
}

/// 2015: a clock that shows an earlier time was never set.
inline constexpr WallTime kClockUnset{std::chrono::seconds(1'420'070'400)};

/// A stored time of something that has happened: never before 1970. One that is later than `now`
/// may be right, and the clock not set yet; only what no clock of ours can have shown becomes
/// `now`.
inline WallTime past(WallTime stored, WallTime now) {
  constexpr WallTime kUnsetLimit{std::chrono::seconds(4'102'444'800)};  // 2100.
  constexpr Duration kSetLimit = std::chrono::hours(24 * 365 * 10);
  const WallTime latest = now < kClockUnset ? kUnsetLimit : later(now, kSetLimit);
  return stored > latest ? std::max(now, WallTime{}) : std::max(stored, WallTime{});
}

}  // namespace warren::peers
