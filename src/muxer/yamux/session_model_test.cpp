// Two sessions under random use, against the model of session_pair.hpp.

#include <gtest/gtest.h>

#include <random>

#include "muxer/yamux/session_pair.hpp"

namespace warren::muxer::yamux {
namespace {

struct Totals {
  std::size_t received_bytes = 0;
  std::int64_t reserved_most = 0;
  std::size_t refused = 0;
};

Totals run(std::uint32_t seed, SessionConfig config, int steps) {
  std::mt19937 generator(seed);
  SessionPair pair(std::move(config), [&](std::uint32_t below) {
    return static_cast<std::uint32_t>(generator() % below);
  });
  for (int i = 0; i < steps; ++i) pair.step();
  pair.finish();
  return {pair.received_bytes(), pair.reserved_most(), pair.refused_count()};
}

SessionConfig patient() {
  SessionConfig config;
  config.ping_timeout = std::chrono::hours(24);  // The wire of the model may stand still for long.
  return config;
}

TEST(YamuxModel, WindowsAndStreamsAgreeUnderRandomUse) {
  Totals all;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    const Totals one = run(seed, patient(), 400);
    all.received_bytes += one.received_bytes;
    all.reserved_most = std::max(all.reserved_most, one.reserved_most);
  }
  // The runs did what they are there for: megabytes went over, and windows grew.
  EXPECT_GT(all.received_bytes, 20u << 20);
  EXPECT_GT(all.reserved_most, 0);
}

TEST(YamuxModel, SmallLimitsAreKeptUnderRandomUse) {
  SessionConfig config = patient();
  config.streams_inbound_max = 3;
  config.backlog_max = 5;
  std::size_t refused = 0;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    refused += run(seed, config, 300).refused;
  }
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace warren::muxer::yamux
