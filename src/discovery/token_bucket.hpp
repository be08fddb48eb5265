#pragma once
// How often something may happen.

#include <algorithm>
#include <chrono>

#include "base/time.hpp"

namespace warren::discovery {

/// `burst` at once, `per_second` for ever.
class TokenBucket {
 public:
  explicit TokenBucket(double burst = 0) : left_(burst) {}
  /// Takes one, if there is one.
  bool take(double per_second, double burst, TimePoint now) {
    const double seconds = std::chrono::duration<double>(std::max(now, at_) - at_).count();
    at_ = std::max(now, at_);
    left_ = std::min(burst, left_ + seconds * per_second);
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }
  /// The one that was taken last was not used.
  void give_back() { left_ += 1; }
  /// Nothing for the next `debt` tokens' time.
  void drain(double debt) { left_ = -debt; }

 private:
  double left_;
  TimePoint at_{};
};

}  // namespace warren::discovery
