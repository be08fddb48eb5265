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

/// A stored time of something that has happened: never before 1970, never after `now`.
inline WallTime past(WallTime stored, WallTime now) {
  return std::clamp(stored, WallTime{}, std::max(now, WallTime{}));
}

/// `now` as the time of something that has happened: 1970 means never.
inline WallTime stamp(WallTime now) { return std::max(now, WallTime{} + Duration(1)); }

}  // namespace warren::peers
