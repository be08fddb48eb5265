#pragma once
// Token buckets by key, bounded: how much more somebody may do now.

#include <algorithm>
#include <cstddef>
#include <map>

#include "base/time.hpp"

namespace warren::discovery {

/// `burst` at once, `per_second` for ever.
class Allowance {
 public:
  Allowance(double per_second, double burst, TimePoint now)
      : per_second_(per_second), burst_(burst), left_(burst), at_(now) {}

  /// Whether `count` may be taken now.
  bool has(double count, TimePoint now) {
    const double seconds = std::chrono::duration<double>(std::max(now, at_) - at_).count();
    left_ = std::min(burst_, left_ + seconds * per_second_);
    at_ = std::max(now, at_);
    return left_ >= count;
  }
  /// As good as new.
  bool is_full(TimePoint now) { return has(burst_, now); }
  /// Takes `count`, or nothing when there is less.
  bool take(double count, TimePoint now) {
    if (!has(count, now)) return false;
    left_ -= count;
    return true;
  }

 private:
  double per_second_;
  double burst_;
  double left_;
  TimePoint at_;
};

/// One Allowance for each key. Holds `entries_max`; beyond, one that is full makes room, because
/// nothing is lost with it. While none is, all further keys share one allowance: who forgets what
/// was taken gives a new burst to everybody who comes under new names.
template <class Key>
class Allowances {
 public:
  Allowances(double per_second, double burst, std::size_t entries_max)
      : per_second_(per_second),
        burst_(burst),
        entries_max_(entries_max),
        others_(per_second, burst, TimePoint{}) {}

  Allowance& of(const Key& key, TimePoint now) {
    const auto found = entries_.find(key);
    if (found != entries_.end()) return found->second;
    if (entries_.size() >= entries_max_) {
      const auto full =
          std::ranges::find_if(entries_, [now](auto& entry) { return entry.second.is_full(now); });
      if (full == entries_.end()) return others_;
      entries_.erase(full);
    }
    return entries_.emplace(key, Allowance(per_second_, burst_, now)).first->second;
  }
  std::size_t size() const { return entries_.size(); }

 private:
  double per_second_;
  double burst_;
  std::size_t entries_max_;
  std::map<Key, Allowance> entries_;
  Allowance others_;
};

}  // namespace warren::discovery
