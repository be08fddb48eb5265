#include "node/config_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "discovery/mdns/dns_name.hpp"
#include "node/config_kinds.hpp"

namespace warren::node {
namespace {

using enum Applies;

constexpr std::array<std::string_view, 3> kProfiles{"minimal", "standard", "bridge"};
/// In the order of catalog::Mode, from kProxy on.
constexpr std::array<std::string_view, 3> kModes{"proxy", "selective", "full"};
constexpr std::size_t kFirstMode = static_cast<std::size_t>(catalog::Mode::kProxy);
constexpr std::array<std::string_view, 3> kAudiences{"off", "local", "anyone"};
constexpr std::array<std::string_view, 4> kBeaconModes{"auto", "multicast", "broadcast",
                                                       "loopback"};
constexpr std::array<std::string_view, 6> kLevels{"trace", "debug", "info", "warn", "error", "off"};
/// Connections and peers. Source: base/limits.hpp; more than one process has descriptors for.
constexpr std::uint64_t kCountMost = 100'000;
/// Bytes a second.
constexpr std::uint64_t kRateMost = std::uint64_t{1} << 40;

std::optional<std::string> any_address(const Multiaddr&) { return std::nullopt; }

std::optional<std::string> service_name_problem(const std::string& name) {
  const auto parsed = discovery::DnsName::parse(name);
  if (!parsed) return parsed.error().message();
  if (!name.starts_with('_') || !name.ends_with("._udp.local")) {
    return fmt::format("found '{}'", name);
  }
  return std::nullopt;
}

std::optional<std::string> path_problem(const std::string& path) {
  if (path.empty() || path.starts_with('/')) return std::nullopt;
  return "a path that does not begin with '/' would depend on where the node is started";
}

std::vector<Setting> make_settings() {
  namespace k = kinds;
  std::vector<Setting> all;
  const auto add = [&](Setting setting) { all.push_back(std::move(setting)); };

  add(k::word({"profile", kAtOnce, "how many peers this node is made for"}, &Config::profile,
              kProfiles));
  add(k::word_of(
      {"mode", kAtOnce, "what is fetched by itself: nothing, entries of subscribed topics, or all"},
      kModes,
      [](Config& config, std::size_t index) {
        config.mode = static_cast<catalog::Mode>(index + kFirstMode);
      },
      [](const Config& config) { return static_cast<std::size_t>(config.mode) - kFirstMode; }));

  add(k::addresses({"p2p.listen_addresses", kAfterRestart, "where this node listens for others"},
                   &Config::listen_addresses, kListenAddressesMax, any_address,
                   "port 4001 on all addresses, QUIC and TCP; without IPv6 where there is none",
                   default_listen_addresses));
  add(k::word({"p2p.measure", kAtOnce,
               "who may measure this node (perf, echo); local: peers at private addresses"},
              &Config::measure, kAudiences));

  add(k::addresses(
      {"bootstrap.peers", kAtOnce,
       "peers to begin with; with /p2p/ID at its end an address accepts that peer alone"},
      &Config::bootstrap_peers, kBootstrapPeersMax, any_address));
  add(k::count({"bootstrap.min_peers", kAtOnce,
                "with fewer connected peers than these, bootstrap peers are asked"},
               &Config::bootstrap_min_peers, 0, 1000));
  add(k::time({"bootstrap.retry_interval", kAtOnce,
               "wait after a bootstrap peer did not answer; doubles each time"},
              &Config::bootstrap_retry_interval, 1s, 1h));
  add(k::time({"bootstrap.max_retry_interval", kAtOnce, "the longest such wait"},
              &Config::bootstrap_max_retry_interval, 1s, 24h));

  add(k::flag({"mdns.enabled", kAtOnce, "find nodes on the local network, and be found, by mDNS"},
              &Config::mdns_enabled));
  add(k::text({"mdns.service_name", kAtOnce, "only nodes with the same name find each other"},
              "a name like _p2p._udp.local", &Config::mdns_service_name, service_name_problem));
  add(k::time({"mdns.interval", kAtOnce, "wait between questions; longer with many peers"},
              &Config::mdns_interval, 5s, 10min));

  add(k::flag({"dht.enabled", kAtOnce, "only false: there is no DHT in this version"},
              &Config::dht_enabled));
  all.back().range = "false";
  all.back().set = [](Config&, const WrittenValue& value) -> std::optional<BadValue> {
    if (value.scalar == "false") return std::nullopt;
    return BadValue{
        value.scalar == "true" ? "must be false: there is no DHT in this version" : "must be false",
        std::nullopt};
  };

  add(k::text({"peer_store.path", kAfterRestart,
               "the database of known peers; empty: peers.db in the state directory"},
              "an absolute path, or empty", &Config::peer_store_path, path_problem));

  add(k::count({"connection_manager.target_peers", kAtOnce, "connected peers to hold"},
               &Config::connection_manager_target_peers, 1, kCountMost, "by the profile",
               [](const Config& config) { return manager_config(config).target_peers; }));
  add(k::count({"connection_manager.max_peers", kAtOnce, "connected peers at most"},
               &Config::connection_manager_max_peers, 1, kCountMost, "by the profile",
               [](const Config& config) { return manager_config(config).max_peers; }));
  add(k::count(
      {"connection_manager.max_neighbours", kAtOnce,
       "peers on the local network with which something is shared: kept beside the others"},
      &Config::connection_manager_max_neighbours, 0, kCountMost, "by the profile",
      [](const Config& config) { return manager_config(config).neighbours_max; }));
  add(k::count({"connection_manager.low_watermark", kAtOnce,
                "connections that are left after too many were closed"},
               &Config::connection_manager_low_watermark, 1, kCountMost,
               "but no more than high_watermark",
               [](const Config& config) { return manager_config(config).low_water; }));
  add(k::count({"connection_manager.high_watermark", kAtOnce,
                "connections beyond which the least useful ones are closed"},
               &Config::connection_manager_high_watermark, 1, kCountMost,
               "but no more than limits.connections",
               [](const Config& config) { return manager_config(config).high_water; }));
  add(k::time({"connection_manager.grace_period", kAtOnce,
               "a connection younger than this is not closed for being one too many"},
              &Config::connection_manager_grace_period, 0s, 1h));

  add(k::flag({"beacon.enabled", kAtOnce, "announce this node, and hear others, by beacons"},
              &Config::beacon_enabled));
  add(k::word({"beacon.mode", kAtOnce,
               "how beacons travel; auto: multicast, and broadcast where there is none"},
              &Config::beacon_mode, kBeaconModes));
  add(k::multicast_group({"beacon.group", kAtOnce, "the multicast group of the beacons"},
                         &Config::beacon_group));
  add(k::count({"beacon.port", kAtOnce, "their UDP port"}, &Config::beacon_port, 1, 65'535));
  add(k::time({"beacon.interval", kAtOnce, "wait between beacons"}, &Config::beacon_interval, 500ms,
              25s));
  add(k::time({"beacon.timeout", kAtOnce, "silence after which a node of this network is gone"},
              &Config::beacon_timeout, 1s, 1h));
  add(k::size({"beacon.capacity", kAtOnce, "space that this node offers to others"},
              &Config::beacon_capacity, 0, std::uint64_t{1024} << 40));
  add(k::count({"beacon.price", kAtOnce, "its price for each MiB, in millionths of the unit"},
               &Config::beacon_price, 0, 1'000'000'000'000));

  add(k::text(
      {"library.replica", kAtOnce,
       "where entries go that are fetched by themselves; empty: replica in the state directory"},
      "an absolute path, or empty", &Config::library_replica, path_problem));

  add(k::flag({"exchange.enabled", kAtOnce, "ask peers for other peers, and tell them of some"},
              &Config::exchange_enabled));

  add(k::time(
      {"heartbeat.interval", kAfterRestart, "silence after which a peer is asked for a sign"},
      &Config::heartbeat_interval, 1s, 1h));

  add(k::count({"limits.connections", kAfterRestart, "connections at most, in and out"},
               &Config::connections_max, 8, kCountMost));
  add(k::size(
      {"limits.memory", kAfterRestart, "what buffers of connections and transfers may hold"},
      &Config::memory_bytes_max, 64u << 20, std::uint64_t{64} << 30));
  add(k::count({"limits.transfers", kAfterRestart, "downloads at a time; the others wait"},
               &Config::transfers_max, 1, 64));
  add(k::size(
      {"limits.install", kAfterRestart, "bytes that the archives of an entry may unpack to"},
      &Config::install_bytes_max, 1u << 20, std::uint64_t{1024} << 40));
  add(k::count({"limits.install_files", kAfterRestart, "files and folders that they may unpack to"},
               &Config::install_files_max, 1, 10'000'000));
  add(k::size({"limits.up", kAtOnce, "bytes a second that transfers may send; 0: no limit"},
              &Config::limits_up, 0, kRateMost));
  add(k::size({"limits.down", kAtOnce, "bytes a second that transfers may receive; 0: no limit"},
              &Config::limits_down, 0, kRateMost));
  add(k::flag({"limits.exempt_lan", kAtOnce, "these two leave peers on the local network out"},
              &Config::limits_exempt_lan));

  add(k::word({"log.level", kAtOnce, "what is written to stderr"}, &Config::log_level, kLevels));
  return all;
}

/// A chain of two values of which the first must not be larger.
struct Order {
  std::string_view smaller;
  std::string_view larger;
};
constexpr std::array<Order, 6> kOrders{{
    {"bootstrap.retry_interval", "bootstrap.max_retry_interval"},
    {"connection_manager.target_peers", "connection_manager.max_peers"},
    {"connection_manager.max_peers", "connection_manager.high_watermark"},
    {"connection_manager.max_neighbours", "connection_manager.high_watermark"},
    {"connection_manager.low_watermark", "connection_manager.high_watermark"},
    {"connection_manager.high_watermark", "limits.connections"},
}};

bool is_larger(const SettingValue& a, const SettingValue& b) {
  if (const auto* time = std::get_if<Duration>(&a)) return *time > std::get<Duration>(b);
  return std::get<std::uint64_t>(a) > std::get<std::uint64_t>(b);
}

}  // namespace

std::string_view applies_name(Applies applies) noexcept {
  switch (applies) {
    case kAtOnce: return "at once";
    case kAfterRestart: return "after a restart";
  }
  return "";
}

std::string_view Setting::section() const {
  const auto dot = key.find('.');
  return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
}

std::string_view Setting::name() const {
  const auto dot = key.find('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

std::span<const Setting> settings() {
  static const std::vector<Setting> kAll = make_settings();
  return kAll;
}

const Setting* find_setting(std::string_view key) {
  const auto found = std::ranges::find(settings(), key, &Setting::key);
  return found == settings().end() ? nullptr : &*found;
}

std::optional<Conflict> find_conflict(const Config& config) {
  const auto value = [&](std::string_view key) { return find_setting(key)->get(config); };
  for (const Order& order : kOrders) {
    const SettingValue smaller = value(order.smaller);
    const SettingValue larger = value(order.larger);
    if (!is_larger(smaller, larger)) continue;
    return Conflict{{order.smaller, order.larger},
                    fmt::format("'{}' ({}) must be at most '{}' ({})", order.smaller,
                                setting_text(smaller), order.larger, setting_text(larger))};
  }
  if (config.beacon_timeout < 2 * config.beacon_interval) {
    return Conflict{
        {"beacon.interval", "beacon.timeout"},
        fmt::format("'beacon.timeout' ({}) must be at least twice 'beacon.interval' "
                    "({}): one beacon may be lost",
                    duration_text(config.beacon_timeout), duration_text(config.beacon_interval))};
  }
  return std::nullopt;
}

std::vector<const Setting*> changed_settings(const Config& before, const Config& after) {
  std::vector<const Setting*> changed;
  for (const Setting& setting : settings()) {
    if (setting.get(before) != setting.get(after)) changed.push_back(&setting);
  }
  return changed;
}

Config in_force(const Config& before, const Config& after) {
  Config made = after;
  for (const Setting& setting : settings()) {
    if (setting.applies == kAfterRestart) setting.copy(made, before);
  }
  return made;
}

}  // namespace warren::node
