#include "node/config_values.hpp"

#include <gtest/gtest.h>

namespace warren::node {
namespace {

TEST(ConfigValues, SizesHaveUnits) {
  EXPECT_EQ(parse_bytes("0").value(), 0u);
  EXPECT_EQ(parse_bytes("1536").value(), 1536u);
  EXPECT_EQ(parse_bytes("7B").value(), 7u);
  EXPECT_EQ(parse_bytes("2 KiB").value(), 2048u);
  EXPECT_EQ(parse_bytes("3GiB").value(), std::uint64_t{3} << 30);
  EXPECT_EQ(parse_bytes("1TiB").value(), std::uint64_t{1} << 40);
  for (const std::string_view bad : {"", "MiB", "-1", "1MB", "1  MiB", "99999999999GiB"}) {
    EXPECT_FALSE(parse_bytes(bad)) << bad;
  }
}

TEST(ConfigValues, TimesHaveUnits) {
  EXPECT_EQ(parse_duration("250ms").value(), 250ms);
  EXPECT_EQ(parse_duration("30s").value(), 30s);
  EXPECT_EQ(parse_duration("5m").value(), 5min);
  EXPECT_EQ(parse_duration("1h").value(), 1h);
  EXPECT_EQ(parse_duration("2d").value(), 48h);
  EXPECT_EQ(parse_duration("0s").value(), 0s);
  for (const std::string_view bad :
       {"", "30", "s", "-1s", "1.5s", "1 s", "1us", "99999999999999d", "9223372036854775808s"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
}

TEST(ConfigValues, TextsReadBack) {
  for (const std::uint64_t bytes :
       {0ull, 1ull, 1023ull, 1024ull, 1536ull, 128ull << 20, 5ull << 40}) {
    EXPECT_EQ(parse_bytes(bytes_text(bytes)).value(), bytes) << bytes_text(bytes);
  }
  EXPECT_EQ(bytes_text(128u << 20), "128MiB");
  for (const Duration time : {Duration(0s), Duration(1ms), Duration(1500ms), Duration(90s),
                              Duration(1h), Duration(48h)}) {
    EXPECT_EQ(parse_duration(duration_text(time)).value(), time) << duration_text(time);
  }
  EXPECT_EQ(duration_text(90s), "90s");
  EXPECT_EQ(duration_text(24h), "1d");
}

}  // namespace
}  // namespace warren::node
