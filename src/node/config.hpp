#pragma once
// The configuration: what config.yaml may say. The initialisers are the defaults; names, types,
// ranges and one line of help for each key stand in config_schema.cpp.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "catalog/catalog_messages.hpp"
#include "discovery/beacon/beacon_service.hpp"
#include "multiformats/multiaddr.hpp"
#include "node/config_values.hpp"
#include "protocols/audience.hpp"
#include "swarm/manager/connection_manager.hpp"

namespace warren::node {

/// Largest configuration file that is read.
inline constexpr std::size_t kConfigBytesMax = 256u << 10;
/// Most listen addresses, from the file or from --listen.
inline constexpr std::size_t kListenAddressesMax = 32;
/// Most bootstrap peers.
inline constexpr std::size_t kBootstrapPeersMax = 64;

/// One member for each key, most of them named section_key.
struct Config {
  swarm::Profile profile = swarm::Profile::kStandard;
  catalog::Mode mode = catalog::Mode::kProxy;

  /// Empty: replica/ in the folder of the state. replica_folder() has it resolved.
  std::string library_replica;

  /// Empty: default_listen_addresses().
  std::vector<Multiaddr> listen_addresses;
  /// Who may use this node's perf and echo.
  protocols::Audience measure = protocols::Audience::kLocal;

  /// With or without /p2p/ID; also names and /dnsaddr.
  std::vector<Multiaddr> bootstrap_peers;
  std::size_t bootstrap_min_peers = 1;
  Duration bootstrap_retry_interval = 5s;
  Duration bootstrap_max_retry_interval = 1h;

  bool mdns_enabled = true;
  std::string mdns_service_name = "_p2p._udp.local";
  /// Between questions.
  Duration mdns_interval = 20s;

  /// Always false: there is no DHT in this version.
  bool dht_enabled = false;

  /// Empty: peers.db in the folder of the state. peer_store_file() has it resolved.
  std::string peer_store_path;

  // Unset ones: by the profile, and no larger than the ones that are set allow. manager_config()
  // has all of them resolved.
  std::optional<std::size_t> connection_manager_target_peers;
  std::optional<std::size_t> connection_manager_max_peers;
  std::optional<std::size_t> connection_manager_max_neighbours;
  std::optional<std::size_t> connection_manager_low_watermark;
  std::optional<std::size_t> connection_manager_high_watermark;
  Duration connection_manager_grace_period = 30s;

  bool beacon_enabled = true;
  discovery::BeaconMode beacon_mode = discovery::BeaconMode::kAuto;
  IpAddress beacon_group = discovery::kBeaconGroup;
  std::size_t beacon_port = discovery::kBeaconPort;
  Duration beacon_interval = 2s;
  Duration beacon_timeout = 5s;
  /// Bytes that this node offers to others.
  std::uint64_t beacon_capacity = 0;
  /// Millionths of the unit of account for each MiB.
  std::uint64_t beacon_price = 0;

  bool exchange_enabled = true;

  /// Silence after which a connection is asked for a sign of life.
  Duration heartbeat_interval = 30s;

  std::size_t connections_max = limits::Connections{}.connections_max;
  /// What buffers of transports and transfers may hold, in bytes.
  std::uint64_t memory_bytes_max = 128u << 20;
  /// Downloads that run at a time; the others wait.
  std::size_t transfers_max = 4;
  /// Of the archives of one entry.
  std::uint64_t install_bytes_max = std::uint64_t{1} << 40;
  std::size_t install_files_max = 1'000'000;
  /// Bytes a second of all transfers; 0: without bound.
  std::uint64_t limits_up = 0;
  std::uint64_t limits_down = 0;
  /// Whether these leave out peers on the LAN.
  bool limits_exempt_lan = true;

  log::Level log_level = log::Level::kWarn;

  bool operator==(const Config&) const = default;
};

/// /ip4/0.0.0.0/udp/4001/quic-v1, /ip6/::/udp/4001/quic-v1, and the same with /tcp/4001.
/// Source: libp2p's registered port.
std::vector<Multiaddr> default_listen_addresses();

/// Where the peers that are known are kept.
std::string peer_store_file(const Config& config, const std::string& state_dir);

/// Where entries go that are fetched by themselves.
std::string replica_folder(const Config& config, const std::string& state_dir);

/// What the connection manager is to do: profile, and what the keys of connection_manager and
/// limits.connections say.
swarm::ManagerConfig manager_config(const Config& config);

/// A configuration, and where its values come from.
struct LoadedConfig {
  Config config;
  /// Of each key that was set: "config.yaml:3", or the flag that did it. All others are defaults.
  std::map<std::string, std::string, std::less<>> origins;
  /// There is a file with something in it, be it a comment.
  bool written = false;
};

/// Reads the text of a configuration. `file_name` stands in errors, which have the form
/// "config.yaml:3:5: unknown key 'mnds'; did you mean 'mdns'?".
/// Errors: kInvalidArgument for anything that is not a known key with a good value: unknown,
/// twice the same, wrong type, out of range, not YAML at all, or at odds with another key.
Result<LoadedConfig> parse_config(std::string_view text, std::string_view file_name);

/// The configuration in the file; the defaults when there is no such file, or nothing in it.
/// Errors: as parse_config, kTooLarge, of the system.
Result<LoadedConfig> load_config(const std::string& path);

}  // namespace warren::node
