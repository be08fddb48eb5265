#pragma once
// The attackers' share of what nodes choose themselves, over many looks; and how long a test runs.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "base/time.hpp"

namespace warren::sim {

struct AttackerShares {
  double worst = 0;
  double sum = 0;
  std::size_t looks = 0;
  std::size_t above_half = 0;

  void add(double share) {
    worst = std::max(worst, share);
    sum += share;
    ++looks;
    if (share > 0.5) ++above_half;
  }
  void add(const AttackerShares& other) {
    worst = std::max(worst, other.worst);
    sum += other.sum;
    looks += other.looks;
    above_half += other.above_half;
  }
  void print(const char* what) const {
    std::printf("  %s: worst %.1f %%, mean %.1f %%, above half %zu of %zu looks\n", what,
                100 * worst, looks == 0 ? 0 : 100 * sum / static_cast<double>(looks), above_half,
                looks);
  }
};

/// What SIM_HOURS says, else `otherwise`.
inline Duration hours_from_env(Duration otherwise) {
  const char* text = std::getenv("SIM_HOURS");
  return text == nullptr ? otherwise : std::chrono::hours(std::strtoull(text, nullptr, 10));
}

}  // namespace warren::sim
