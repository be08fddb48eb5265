#include "node/config.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "node/config_schema.hpp"
#include "node/testing/temporary_directory.hpp"

namespace warren::node {
namespace {

std::string error_of(std::string_view text) {
  const auto config = parse_config(text, "config.yaml");
  if (config) return "no error";
  EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
  return config.error().message();
}

Config good(std::string_view text) {
  const auto loaded = parse_config(text, "config.yaml");
  EXPECT_TRUE(loaded) << loaded.error().message();
  return loaded ? loaded->config : Config{};
}

TEST(Config, AnEmptyFileGivesTheDefaults) {
  for (const std::string_view text : {"", "# a comment\n", "---\n", "p2p:\n", "{}"}) {
    EXPECT_EQ(good(text), Config{}) << text;
  }
}

TEST(Config, EveryKeyIsRead) {
  const Config config = good(
      "profile: bridge\n"
      "p2p:\n"
      "  listen_addresses:\n"
      "    - /ip4/127.0.0.1/udp/4001/quic-v1\n"
      "  measure: anyone\n"
      "bootstrap:\n"
      "  peers: [/dnsaddr/example.org]\n"
      "  min_peers: 3\n"
      "  retry_interval: 1s\n"
      "  max_retry_interval: 2h\n"
      "mdns: {enabled: false, service_name: _cave._udp.local, interval: 1m}\n"
      "dht:\n"
      "  enabled: false\n"
      "peer_store:\n"
      "  path: /var/lib/peers.db\n"
      "connection_manager:\n"
      "  target_peers: 2\n"
      "  max_peers: 3\n"
      "  low_watermark: 4\n"
      "  high_watermark: 5\n"
      "  grace_period: 0s\n"
      "beacon:\n"
      "  enabled: false\n"
      "  mode: loopback\n"
      "  group: 239.1.2.3\n"
      "  port: 5\n"
      "  interval: 500ms\n"
      "  timeout: 1s\n"
      "  capacity: 10GiB\n"
      "  price: 7\n"
      "mode: selective\n"
      "library: {replica: /srv/replica}\n"
      "exchange: {enabled: false}\n"
      "heartbeat: {interval: 10s}\n"
      "limits:\n"
      "  connections: 32\n"
      "  memory: 64MiB\n"
      "  transfers: 2\n"
      "  install: 3GiB\n"
      "  install_files: 11\n"
      "  up: 1MiB\n"
      "  down: 2MiB\n"
      "  exempt_lan: false\n"
      "log:\n"
      "  level: debug\n");
  EXPECT_EQ(config.profile, swarm::Profile::kBridge);
  ASSERT_EQ(config.listen_addresses.size(), 1u);
  EXPECT_EQ(config.listen_addresses[0].to_string(), "/ip4/127.0.0.1/udp/4001/quic-v1");
  EXPECT_EQ(config.measure, protocols::Audience::kAnyone);
  ASSERT_EQ(config.bootstrap_peers.size(), 1u);
  EXPECT_EQ(config.bootstrap_min_peers, 3u);
  EXPECT_EQ(config.bootstrap_retry_interval, 1s);
  EXPECT_EQ(config.bootstrap_max_retry_interval, 2h);
  EXPECT_FALSE(config.mdns_enabled);
  EXPECT_EQ(config.mdns_service_name, "_cave._udp.local");
  EXPECT_EQ(config.mdns_interval, 1min);
  EXPECT_EQ(config.peer_store_path, "/var/lib/peers.db");
  EXPECT_EQ(config.connection_manager_target_peers, 2u);
  EXPECT_EQ(config.connection_manager_max_peers, 3u);
  EXPECT_EQ(config.connection_manager_low_watermark, 4u);
  EXPECT_EQ(config.connection_manager_high_watermark, 5u);
  EXPECT_EQ(config.connection_manager_grace_period, 0s);
  EXPECT_FALSE(config.beacon_enabled);
  EXPECT_EQ(config.beacon_mode, discovery::BeaconMode::kLoopback);
  EXPECT_EQ(config.beacon_group, IpAddress::v4(239, 1, 2, 3));
  EXPECT_EQ(config.beacon_port, 5u);
  EXPECT_EQ(config.beacon_interval, 500ms);
  EXPECT_EQ(config.beacon_timeout, 1s);
  EXPECT_EQ(config.beacon_capacity, std::uint64_t{10} << 30);
  EXPECT_EQ(config.beacon_price, 7u);
  EXPECT_FALSE(config.exchange_enabled);
  EXPECT_EQ(config.heartbeat_interval, 10s);
  EXPECT_EQ(config.connections_max, 32u);
  EXPECT_EQ(config.memory_bytes_max, 64u << 20);
  EXPECT_EQ(config.transfers_max, 2u);
  EXPECT_EQ(config.install_bytes_max, std::uint64_t{3} << 30);
  EXPECT_EQ(config.install_files_max, 11u);
  EXPECT_EQ(config.limits_up, 1u << 20);
  EXPECT_EQ(config.limits_down, 2u << 20);
  EXPECT_FALSE(config.limits_exempt_lan);
  EXPECT_EQ(config.mode, catalog::Mode::kSelective);
  EXPECT_EQ(config.library_replica, "/srv/replica");
  EXPECT_EQ(config.log_level, log::Level::kDebug);
  for (const Setting& setting : settings()) {
    if (setting.key == "dht.enabled") continue;  // One value alone is taken.
    EXPECT_NE(setting.get(config), setting.get(Config{})) << setting.key << " is in no line above";
  }
}

TEST(Config, EachValueHasItsOrigin) {
  auto loaded = parse_config("# first\nlog:\n  level: info\nbeacon: {price: 3}\n", "c.yaml");
  ASSERT_TRUE(loaded);
  loaded->config.mdns_enabled = false;
  loaded->origins["mdns.enabled"] = "--no-mdns";
  std::map<std::string, std::string> shown;
  for (const Effective& one : effective(*loaded)) shown[one.key] = one.value + " " + one.origin;
  EXPECT_EQ(shown.size(), settings().size());
  EXPECT_EQ(shown["log.level"], "info c.yaml:3");
  EXPECT_EQ(shown["beacon.price"], "3 c.yaml:4");
  EXPECT_EQ(shown["beacon.interval"], "2s default");
  EXPECT_EQ(shown["mdns.enabled"], "false --no-mdns");
  EXPECT_EQ(shown["connection_manager.target_peers"], "16 default");
  EXPECT_EQ(shown["bootstrap.peers"], "[] default");
}

TEST(Config, AnUnknownKeyIsRefusedWithItsPlaceAndTheNearestOne) {
  EXPECT_EQ(error_of("p2p:\n  measur: off\n"),
            "config.yaml:2:3: unknown key 'measur'; did you mean 'measure'?");
  EXPECT_EQ(error_of("limit:\n  connections: 9\n"),
            "config.yaml:1:1: unknown key 'limit'; did you mean 'limits'?");
  EXPECT_EQ(error_of("log:\n  level: warn\nzebra: 1\n"),
            "config.yaml:3:1: unknown key 'zebra'; known here: beacon, bootstrap, "
            "connection_manager, dht, exchange, heartbeat, library, limits, log, mdns, mode, p2p, "
            "peer_store, profile");
  EXPECT_EQ(error_of("limits:\n  target_peers: 2\n"),
            "config.yaml:2:3: unknown key 'target_peers'; did you mean "
            "'connection_manager.target_peers'?");
  EXPECT_EQ(error_of("p2p:\n  mdns:\n    enabled: false\n"),
            "config.yaml:2:3: the key 'mdns' stands at the top of the file now, not in 'p2p'");
}

TEST(Config, ABadValueIsRefusedWithItsPlaceAndItsRange) {
  EXPECT_EQ(error_of("limits:\n  connections: many\n"),
            "config.yaml:2:16: 'limits.connections' must be a whole number from 8 to 100000; "
            "found 'many'");
  EXPECT_EQ(error_of("limits:\n  connections: 7\n"),
            "config.yaml:2:16: 'limits.connections' must be a whole number from 8 to 100000; "
            "found '7'");
  EXPECT_EQ(error_of("limits:\n  memory: 1MiB\n"),
            "config.yaml:2:11: 'limits.memory' must be a size from 64MiB to 64GiB; found '1MiB'");
  EXPECT_EQ(error_of("p2p:\n  measure: all\n"),
            "config.yaml:2:12: 'p2p.measure' must be one of off, local, anyone; found 'all'");
  EXPECT_EQ(error_of("mdns:\n  enabled: perhaps\n"),
            "config.yaml:2:12: 'mdns.enabled' must be true or false; found 'perhaps'");
  EXPECT_EQ(error_of("beacon:\n  interval: 2\n"),
            "config.yaml:2:13: 'beacon.interval' must be a time from 500ms to 25s; found '2'");
  EXPECT_EQ(error_of("beacon:\n  group: 224.0.0.251\n"),
            "config.yaml:2:10: 'beacon.group' must be a multicast address of IPv4, not 224.0.0.*; "
            "found '224.0.0.251'");
  EXPECT_EQ(error_of("dht:\n  enabled: true\n"),
            "config.yaml:2:12: 'dht.enabled' must be false: there is no DHT in this version");
  EXPECT_EQ(error_of("mdns:\n  service_name: local\n"),
            "config.yaml:2:17: 'mdns.service_name' must be a name like _p2p._udp.local; found "
            "'local'");
  EXPECT_EQ(error_of("peer_store:\n  path: peers.db\n"),
            "config.yaml:2:9: 'peer_store.path' must be an absolute path, or empty; a path that "
            "does not begin with '/' would depend on where the node is started");
  EXPECT_EQ(error_of("p2p: 3\n"), "config.yaml:1:6: 'p2p' must be a mapping");
  EXPECT_EQ(error_of("log: {level: {}}\n"),
            "config.yaml:1:14: 'log.level' must be one of trace, debug, info, warn, error, off; "
            "found a mapping");
  EXPECT_EQ(error_of("log:\n  level:\n"),
            "config.yaml:2:3: 'log.level' has no value; it must be one of trace, debug, info, "
            "warn, error, off");
  EXPECT_EQ(error_of("p2p:\n  listen_addresses: /ip4/1.2.3.4/udp/1/quic-v1\n"),
            "config.yaml:2:21: 'p2p.listen_addresses' must be a list of at most 32 multiaddrs; "
            "found '/ip4/1.2.3.4/udp/1/quic-v1'");
}

TEST(Config, ABadAddressIsNamedWithItsPlace) {
  const std::string error = error_of("p2p:\n  listen_addresses:\n    - /ip4/300.1.1.1/udp/4001\n");
  EXPECT_TRUE(error.starts_with("config.yaml:3:7: ")) << error;
  EXPECT_NE(error.find("300.1.1.1"), std::string::npos) << error;
  EXPECT_EQ(error_of("bootstrap:\n  peers:\n    - /dnsaddr/x\n    - {}\n"),
            "config.yaml:4:7: a text was expected in this list");
}

TEST(Config, ValuesThatDoNotGoTogetherAreRefusedWithThePlaceOfTheLastOne) {
  EXPECT_EQ(error_of("connection_manager:\n  target_peers: 9\n  max_peers: 8\n"),
            "config.yaml:3:14: 'connection_manager.target_peers' (9) must be at most "
            "'connection_manager.max_peers' (8)");
  EXPECT_EQ(error_of("profile: minimal\nconnection_manager: {target_peers: 9}\n"),
            "config.yaml:2:36: 'connection_manager.target_peers' (9) must be at most "
            "'connection_manager.max_peers' (8)");
  EXPECT_EQ(error_of("connection_manager:\n  low_watermark: 20\n  high_watermark: 10\n"
                     "  max_peers: 8\n"),
            "config.yaml:3:19: 'connection_manager.low_watermark' (20) must be at most "
            "'connection_manager.high_watermark' (10)");
  EXPECT_EQ(error_of("limits: {connections: 100}\nconnection_manager: {high_watermark: 101}\n"),
            "config.yaml:2:38: 'connection_manager.high_watermark' (101) must be at most "
            "'limits.connections' (100)");
  EXPECT_EQ(error_of("connection_manager: {max_peers: 500}\n"),
            "config.yaml:1:33: 'connection_manager.max_peers' (500) must be at most "
            "'connection_manager.high_watermark' (400)");
  EXPECT_EQ(error_of("bootstrap:\n  retry_interval: 20m\n  max_retry_interval: 10m\n"),
            "config.yaml:3:23: 'bootstrap.retry_interval' (20m) must be at most "
            "'bootstrap.max_retry_interval' (10m)");
  EXPECT_EQ(error_of("beacon:\n  interval: 3s\n"),
            "config.yaml:2:13: 'beacon.timeout' (5s) must be at least twice 'beacon.interval' "
            "(3s): one beacon may be lost");
}

TEST(Config, WhatNobodySetGivesWayToWhatSomebodySet) {
  const auto few = manager_config(good("limits: {connections: 8}\n"));
  EXPECT_EQ(few.high_water, 8u);
  EXPECT_EQ(few.low_water, 8u);
  EXPECT_EQ(few.max_peers, 8u);
  EXPECT_EQ(few.target_peers, 8u);
  EXPECT_EQ(few.neighbours_max, 0u) << "max_peers has all there are";
  const auto two = manager_config(good("connection_manager: {max_peers: 2, grace_period: 1s}\n"));
  EXPECT_EQ(two.max_peers, 2u);
  EXPECT_EQ(two.target_peers, 2u);
  EXPECT_EQ(two.grace, 1s);
  EXPECT_EQ(two.neighbours_max, 128u);
  const auto some = manager_config(good("limits: {connections: 64}\n"));
  EXPECT_EQ(some.max_peers, 32u);
  EXPECT_EQ(some.neighbours_max, 16u) << "half of what is left";
  const auto bridge = manager_config(good("profile: bridge\n"));
  EXPECT_EQ(bridge.max_peers, 128u);
  EXPECT_EQ(bridge.high_water, 400u);
  EXPECT_EQ(bridge.low_water, 100u);
  EXPECT_EQ(bridge.neighbours_max, 128u);
}

TEST(Config, TheDefaultTextHasEveryKeyAndParsesToTheDefaults) {
  const std::string text = default_config_text();
  EXPECT_EQ(good(text), Config{}) << text;
  std::string all;  // The same with the commented values in force.
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto mark = line.find("# ");
    const bool value = mark != std::string::npos &&
                       (line.ends_with(":") || line.find("  - ") != std::string::npos ||
                        std::ranges::any_of(settings(), [&](const Setting& s) {
                          return line.substr(mark + 2).starts_with(std::string(s.name()) + ": ") &&
                                 !s.otherwise.empty();
                        }));
    all += (value ? line.substr(0, mark) + line.substr(mark + 2) : line) + '\n';
  }
  const auto loaded = parse_config(all, "config.yaml");
  ASSERT_TRUE(loaded) << loaded.error().message() << '\n' << all;
  EXPECT_EQ(loaded->origins.size(), settings().size()) << all;
  EXPECT_EQ(loaded->config.listen_addresses, default_listen_addresses());
  for (const Setting& setting : settings()) {
    EXPECT_EQ(setting.get(loaded->config), setting.get(Config{})) << setting.key;
  }
}

TEST(Config, TheGuideHasTheTableOfAllKeys) {
  const auto guide = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path() /
                     "docs" / "guides" / "configuration.md";
  std::ostringstream text;
  text << std::ifstream(guide).rdbuf();
  EXPECT_NE(text.str().find(settings_table()), std::string::npos)
      << guide << " must have this table:\n"
      << settings_table();
}

TEST(Config, ChangedKeysAreFound) {
  const Config config;
  Config other;
  EXPECT_TRUE(changed_settings(config, other).empty());
  other.mdns_enabled = false;
  other.connection_manager_max_peers = 20;
  std::vector<std::string> keys;
  for (const Setting* setting : changed_settings(config, other)) keys.emplace_back(setting->key);
  EXPECT_EQ(keys, (std::vector<std::string>{"mdns.enabled", "connection_manager.max_peers"}));
}

TEST(Config, TheSameKeyTwiceIsRefused) {
  EXPECT_EQ(error_of("log:\n  level: warn\nlog:\n  level: info\n"),
            "config.yaml:3:1: the key 'log' stands here a second time");
  EXPECT_EQ(error_of("log:\n  level: warn\n  level: info\n"),
            "config.yaml:3:3: the key 'level' stands here a second time");
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
  EXPECT_NE(error_of("bootstrap: {peers: &a [*a]}\n"), "no error");
  EXPECT_NE(error_of("\"\": 1\n"), "no error");
  EXPECT_EQ(error_of(", a: 1\n"), "config.yaml:1:1: this is not YAML: no value may begin here");
  EXPECT_EQ(error_of("log: {level: info}\n]\n"),
            "config.yaml:2:1: this is not YAML: illegal flow end");
  EXPECT_EQ(error_of("log: {level: info}\n---\np2p:\n"),
            "config.yaml:3:1: only one document may stand here");
  EXPECT_EQ(error_of("log: {level: info}\n...\n"), "no error");
  EXPECT_EQ(error_of("# a\n%YAML 1.1\n"), "config.yaml:2:1: no line may begin with '%' here");
  EXPECT_NE(error_of("<<: {log: {level: info}}\n"), "no error");
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
