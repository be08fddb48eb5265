#pragma once
// config.yaml. The initialisers are the defaults.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "multiformats/multiaddr.hpp"
#include "protocols/audience.hpp"

namespace warren::node {

/// Largest configuration file that is read.
inline constexpr std::size_t kConfigBytesMax = 256u << 10;
/// Most listen addresses, from the file or from --listen.
inline constexpr std::size_t kListenAddressesMax = 32;

struct Config {
  /// p2p.listen_addresses. Empty: default_listen_addresses().
  std::vector<Multiaddr> listen_addresses;
  /// p2p.mdns.enabled.
  bool mdns_enabled = true;
  /// p2p.measure: "off", "local", "anyone". Who may use this node's perf and echo.
  protocols::Audience measure = protocols::Audience::kLocal;
  /// limits.connections, 8 to 100,000. Source: base/limits.hpp.
  std::size_t connections_max = 160;
  /// limits.memory, "64MiB" to "64GiB": what buffers of transports and transfers may hold.
  std::uint64_t memory_bytes_max = 128u << 20;
  /// limits.transfers, 1 to 64: downloads that run at a time; the others wait.
  std::size_t transfers_max = 4;
  /// log.level: trace, debug, info, warn, error, off.
  log::Level log_level = log::Level::kWarn;
};

/// /ip4/0.0.0.0/udp/4001/quic-v1, /ip6/::/udp/4001/quic-v1, and the same with /tcp/4001.
/// Source: libp2p's registered port.
std::vector<Multiaddr> default_listen_addresses();

/// Reads the text of a configuration. `file_name` stands in errors, which have the form
/// "config.yaml:3:5: unknown key 'mnds'; did you mean 'mdns'?".
/// Errors: kInvalidArgument for anything that is not a known key with a good value: unknown,
/// twice the same, wrong type, out of range, not YAML at all.
Result<Config> parse_config(std::string_view text, std::string_view file_name);

/// The configuration in the file; the defaults when there is no such file.
/// Errors: as parse_config, kTooLarge, of the system.
Result<Config> load_config(const std::string& path);

/// "64KiB", "128 MiB", "2GiB" or plain bytes. Errors: kInvalidArgument.
Result<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace warren::node
