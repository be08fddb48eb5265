#include "cli/format.hpp"

#include <gtest/gtest.h>

namespace warren::cli {
namespace {

TEST(Format, TwoSizesShareTheUnitOfTheLarger) {
  EXPECT_EQ(format_share_of(0, 0), "0/0 B");
  EXPECT_EQ(format_share_of(17, 1023), "17/1023 B");
  EXPECT_EQ(format_share_of(512, 1024), "0.5/1.0 KiB");
  EXPECT_EQ(format_share_of(1503238553, 3650722201), "1.4/3.4 GiB");
}

TEST(Format, AHundredPerCentIsSaidOnlyWhenItIsSo) {
  EXPECT_EQ(format_percent(0, 0), "0.0%");
  EXPECT_EQ(format_percent(412, 1000), "41.2%");
  EXPECT_EQ(format_percent(99'999, 100'000), "99.9%");
  EXPECT_EQ(format_percent(5, 5), "100.0%");
  EXPECT_EQ(format_percent(UINT64_MAX / 2, UINT64_MAX), "49.9%");
}

TEST(Format, DurationsKeepTwoUnits) {
  EXPECT_EQ(format_duration(-1), "0s");
  EXPECT_EQ(format_duration(18.9), "18s");
  EXPECT_EQ(format_duration(185), "3m05s");
  EXPECT_EQ(format_duration(7 * 3600 + 7 * 60), "7h07m");
  EXPECT_EQ(format_duration(4 * 86'400 + 3 * 3600), "4d03h");
}

TEST(Format, RoundTripTimesKeepThreeDigits) {
  EXPECT_EQ(format_milliseconds(0.4231), "0.42 ms");
  EXPECT_EQ(format_milliseconds(12.34), "12.3 ms");
  EXPECT_EQ(format_milliseconds(134.4), "134 ms");
}

TEST(Format, TablesLineUpAndEndWithoutBlanks) {
  EXPECT_EQ(format_table({{"NAME", "ID"}, {"caf\xc3\xa9", "1"}, {"longer", ""}}),
            "NAME    ID\n"
            "caf\xc3\xa9    1\n"
            "longer\n");
  EXPECT_EQ(format_count(1, "peer"), "1 peer");
  EXPECT_EQ(format_count(0, "peer"), "0 peers");
}

}  // namespace
}  // namespace warren::cli
