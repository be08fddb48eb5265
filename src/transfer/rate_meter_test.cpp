#include "transfer/rate_meter.hpp"

#include <gtest/gtest.h>

namespace warren::transfer {
namespace {

TEST(RateMeter, IsZeroBeforeTheFirstByte) { EXPECT_EQ(RateMeter().rate(TimePoint(5s)), 0u); }

TEST(RateMeter, AveragesOverTheLastFiveSeconds) {
  RateMeter meter;
  TimePoint now(100s);
  for (int i = 0; i < 200; ++i, now += 100ms) meter.add(100, now);
  EXPECT_NEAR(static_cast<double>(meter.rate(now)), 1'000, 60);
  EXPECT_NEAR(static_cast<double>(meter.rate(now + 2'500ms)), 500, 60);
  EXPECT_EQ(meter.rate(now + 6s), 0u);
  EXPECT_EQ(meter.rate(now + 100h), 0u);
}

TEST(RateMeter, OfAYoungTransferDividesByItsAge) {
  RateMeter meter;
  meter.add(1'000, TimePoint(10s));
  meter.add(1'000, TimePoint(11s));
  EXPECT_EQ(meter.rate(TimePoint(12s)), 1'000u);
}

}  // namespace
}  // namespace warren::transfer
