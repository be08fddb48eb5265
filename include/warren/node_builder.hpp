#pragma once
// From a few choices to a node. Only the storage must be chosen; the rest has good defaults.
//
//   auto node = warren::NodeBuilder().with_storage("/var/lib/myapp/warren").start();
//   if (!node) return complain(node.error());

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "warren/export.hpp"
#include "warren/node.hpp"
#include "warren/result.hpp"

namespace warren::WARREN_V1 {
/// Which ways of finding peers are on. Bootstrap peers have a call of their own.
struct Discovery {
  /// Multicast DNS on the local network, as other libp2p programs speak it.
  bool mdns = true;
  /// Only nodes with the same service name find each other; the default finds every libp2p
  /// program.
  std::string mdns_service = "_p2p._udp.local";
  /// Warren's own signed beacons on the local network.
  bool beacon = true;
  /// Peers tell each other of further peers, signed by those themselves.
  bool exchange = true;
};

/// How many peers a node is made for.
enum class Profile : std::uint8_t {
  kMinimal,   ///< A telephone, a sensor: 8 peers at most.
  kStandard,  ///< 16 wanted, 32 at most.
  kBridge,    ///< A machine that serves many: 128 at most.
};

/// Collects choices; nothing is checked before build(). A choice made twice: the last one counts.
class WARREN_API NodeBuilder {
 public:
  NodeBuilder();
  NodeBuilder(NodeBuilder&& other) noexcept;
  NodeBuilder& operator=(NodeBuilder&& other) noexcept;
  ~NodeBuilder();

  /// The folder of everything that the node keeps, made with mode 0700 if missing: identity,
  /// peers and shares in state/, downloads in data/. The same layout as of `warren --home
  /// FOLDER`, so that program and library may take turns. One node at a time. Must be chosen.
  NodeBuilder& with_storage(std::string folder);
  /// The PEM file of the node's Ed25519 key, made with mode 0600 if missing.
  /// Default: state/identity.pem of the storage.
  NodeBuilder& with_identity(std::string pem_file);
  /// Starts from the settings of a configuration file (docs/guides/configuration.md); the other
  /// calls here win over it. The file is read once. Default: no file.
  NodeBuilder& with_configuration(std::string yaml_file);

  /// Multiaddrs to listen on; port 0: any free one. An empty list: none.
  /// Default: port 4001 of UDP (QUIC) and TCP on every interface. At most 32.
  NodeBuilder& with_listen_addresses(std::vector<std::string> addresses);
  /// Peers to connect to first, each a multiaddr with /p2p/ID at its end, or a /dnsaddr. At
  /// most 64.
  NodeBuilder& with_bootstrap_nodes(std::vector<std::string> addresses);
  NodeBuilder& with_discovery(Discovery discovery);

  NodeBuilder& with_profile(Profile profile);
  /// Peers to hold, 0 to 1,000: while there are fewer, the node looks for more. Default: by the
  /// profile, but not more than with_max_peers().
  NodeBuilder& with_target_peers(std::size_t peers);
  /// Peers at most, 1 to 10,000; a better newcomer takes the place of the worst one.
  /// Default: by the profile.
  NodeBuilder& with_max_peers(std::size_t peers);
  /// After how long a silence a peer is asked for a sign of life, 1 s to 1 h. Default: 30 s.
  NodeBuilder& with_heartbeat(std::chrono::milliseconds interval);

  /// A node that is not started yet: it has its identity, and nothing of it is on the network.
  /// The builder can be used again. Blocks on the disk.
  /// Errors: kInvalidArgument for a choice that is none, naming it; kConflict when another
  /// process uses the storage; those of the file system.
  Result<Node> build() const;
  /// build(), and Node::start().
  Result<Node> start(Timeout timeout = std::chrono::seconds(30)) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::WARREN_V1
