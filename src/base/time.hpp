#pragma once
#include <chrono>

namespace warren {

using namespace std::chrono_literals;

/// Monotonic time of a node. Only a Runtime hands out values: no other code calls a std::chrono
/// clock, so that a simulated node sees simulated time.
struct MonotonicClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};
using TimePoint = MonotonicClock::time_point;
using Duration = std::chrono::nanoseconds;

/// Never, as a deadline.
inline constexpr TimePoint kNever = TimePoint::max();

/// Civil time, for records that others read. It may jump; never measure with it.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

}  // namespace warren
