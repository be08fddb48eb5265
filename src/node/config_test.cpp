#include "node/config.hpp"

#include <gtest/gtest.h>

#include "node/testing/temporary_directory.hpp"

namespace warren::node {
namespace {

std::string error_of(std::string_view text) {
  const auto config = parse_config(text, "config.yaml");
  if (config) return "no error";
  EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
  return config.error().message();
}

TEST(Config, AnEmptyFileGivesTheDefaults) {
  for (const std::string_view text : {"", "# a comment\n", "---\n", "p2p:\n"}) {
    const auto config = parse_config(text, "config.yaml");
    ASSERT_TRUE(config) << text << ": " << config.error().message();
    EXPECT_TRUE(config->listen_addresses.empty());
    EXPECT_TRUE(config->mdns_enabled);
    EXPECT_EQ(config->measure, protocols::Audience::kLocal);
    EXPECT_EQ(config->connections_max, 400u);
  }
}

TEST(Config, EveryKeyIsRead) {
  const auto config = parse_config(
      "p2p:\n"
      "  listen_addresses:\n"
      "    - /ip4/127.0.0.1/udp/4001/quic-v1\n"
      "  measure: anyone\n"
      "  mdns:\n"
      "    enabled: false\n"
      "limits:\n"
      "  connections: 32\n"
      "  memory: 64MiB\n"
      "  transfers: 2\n"
      "log:\n"
      "  level: debug\n",
      "config.yaml");
  ASSERT_TRUE(config) << config.error().message();
  ASSERT_EQ(config->listen_addresses.size(), 1u);
  EXPECT_EQ(config->listen_addresses[0].to_string(), "/ip4/127.0.0.1/udp/4001/quic-v1");
  EXPECT_EQ(config->measure, protocols::Audience::kAnyone);
  EXPECT_FALSE(config->mdns_enabled);
  EXPECT_EQ(config->connections_max, 32u);
  EXPECT_EQ(config->memory_bytes_max, 64u << 20);
  EXPECT_EQ(config->transfers_max, 2u);
  EXPECT_EQ(config->log_level, log::Level::kDebug);
}

TEST(Config, AnUnknownKeyIsRefusedWithItsPlaceAndTheNearestOne) {
  EXPECT_EQ(error_of("p2p:\n  mnds:\n    enabled: true\n"),
            "config.yaml:2:3: unknown key 'mnds'; did you mean 'mdns'?");
  EXPECT_EQ(error_of("limit:\n  connections: 9\n"),
            "config.yaml:1:1: unknown key 'limit'; did you mean 'limits'?");
  EXPECT_EQ(error_of("log:\n  level: warn\nzebra: 1\n"),
            "config.yaml:3:1: unknown key 'zebra'; known here: limits, log, p2p");
}

TEST(Config, ABadValueIsRefusedWithItsPlaceAndItsRange) {
  EXPECT_EQ(error_of("limits:\n  connections: many\n"),
            "config.yaml:2:16: 'limits.connections' must be a whole number from 8 to 100000; "
            "found 'many'");
  EXPECT_EQ(error_of("limits:\n  connections: 7\n"),
            "config.yaml:2:16: 'limits.connections' must be a whole number from 8 to 100000; "
            "found '7'");
  EXPECT_EQ(error_of("limits:\n  memory: 1MiB\n"),
            "config.yaml:2:11: 'limits.memory' must be a size from 64 MiB to 65536 MiB, as in "
            "'128MiB'; found '1MiB'");
  EXPECT_EQ(error_of("p2p:\n  measure: all\n"),
            "config.yaml:2:12: 'p2p.measure' must be one of off, local, anyone; found 'all'");
  EXPECT_EQ(error_of("p2p:\n  mdns:\n    enabled: perhaps\n"),
            "config.yaml:3:14: 'p2p.mdns.enabled' must be true or false");
  EXPECT_EQ(error_of("p2p: 3\n"), "config.yaml:1:6: 'p2p' must be a mapping");
  EXPECT_EQ(error_of("p2p:\n  listen_addresses: /ip4/1.2.3.4/udp/1/quic-v1\n"),
            "config.yaml:2:21: 'p2p.listen_addresses' must be a list");
}

TEST(Config, ABadListenAddressIsNamedWithItsPlace) {
  const std::string error = error_of("p2p:\n  listen_addresses:\n    - /ip4/300.1.1.1/udp/4001\n");
  EXPECT_TRUE(error.starts_with("config.yaml:3:7: ")) << error;
  EXPECT_NE(error.find("300.1.1.1"), std::string::npos) << error;
}

TEST(Config, TheSameKeyTwiceIsRefused) {
  EXPECT_EQ(error_of("log:\n  level: warn\nlog:\n  level: info\n"),
            "config.yaml:3:1: the key 'log' stands here a second time");
}

TEST(Config, GarbageIsRefusedWithItsPlace) {
  EXPECT_TRUE(error_of("p2p: [1, 2\n").starts_with("config.yaml:2:1: this is not YAML"));
  EXPECT_EQ(error_of("just words"), "config.yaml:1:1: 'config' must be a mapping");
  EXPECT_EQ(error_of(std::string_view("log:\n  \x00\xff: {", 11)),
            "config.yaml:2:3: this is not YAML: a control character stands here");
  EXPECT_EQ(error_of("\xff: 1").find('\xff'), std::string::npos) << "shown escaped";
  EXPECT_NE(error_of(std::string(100'000, '[')), "no error");
  EXPECT_NE(error_of("a: 1\n---\nb: 2\n"), "no error");
  EXPECT_NE(error_of("? [a]\n: 1\n"), "no error");
}

TEST(Config, AMissingFileGivesTheDefaultsAndADirectoryIsRefused) {
  const testing::TemporaryDirectory home;
  EXPECT_TRUE(load_config(home.path() + "/config.yaml"));
  const auto directory = load_config(home.path());
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message().find(home.path()), std::string::npos);
  EXPECT_NE(directory.error().message().find("not a regular file"), std::string::npos);
}

TEST(Config, AFileOverTheLimitIsRefusedUnread) {
  const testing::TemporaryDirectory home;
  const std::string file = home.write("config.yaml", std::string(kConfigBytesMax + 1, '#'));
  const auto config = load_config(file);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code(), ErrorCode::kTooLarge);
}

TEST(Config, SizesHaveUnits) {
  EXPECT_EQ(parse_bytes("0").value(), 0u);
  EXPECT_EQ(parse_bytes("1536").value(), 1536u);
  EXPECT_EQ(parse_bytes("2 KiB").value(), 2048u);
  EXPECT_EQ(parse_bytes("3GiB").value(), std::uint64_t{3} << 30);
  for (const std::string_view bad : {"", "MiB", "-1", "1MB", "1  MiB", "99999999999GiB"}) {
    EXPECT_FALSE(parse_bytes(bad)) << bad;
  }
}

TEST(Config, TheDefaultListenAddressesAreQuicAndTcpOnBothFamilies) {
  const auto addresses = default_listen_addresses();
  ASSERT_EQ(addresses.size(), 4u);
  EXPECT_EQ(addresses[0].to_string(), "/ip4/0.0.0.0/udp/4001/quic-v1");
  EXPECT_EQ(addresses[1].to_string(), "/ip6/::/udp/4001/quic-v1");
  EXPECT_EQ(addresses[2].to_string(), "/ip4/0.0.0.0/tcp/4001");
  EXPECT_EQ(addresses[3].to_string(), "/ip6/::/tcp/4001");
}

}  // namespace
}  // namespace warren::node
