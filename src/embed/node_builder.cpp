#include "warren/node_builder.hpp"

#include <fmt/format.h>

#include <utility>

#include "crypto/identity.hpp"
#include "embed/convert.hpp"
#include "embed/node_impl.hpp"
#include "node/config.hpp"
#include "node/instance_lock.hpp"
#include "node/machine/machine.hpp"
#include "node/machine/options.hpp"
#include "node/paths.hpp"

namespace warren::v1 {
namespace {

constexpr std::size_t kTargetPeersMax = 1'000;
constexpr std::size_t kMaxPeersMax = 10'000;
constexpr Timeout kHeartbeatMin = std::chrono::seconds(1);
constexpr Timeout kHeartbeatMax = std::chrono::hours(1);

std::unexpected<warren::Error> bad(std::string message, std::string hint = {}) {
  return warren::fail(warren::ErrorCode::kInvalidArgument, std::move(message), std::move(hint));
}

warren::Result<std::vector<Multiaddr>> parse_all(const std::vector<std::string>& texts,
                                                 std::size_t addresses_max, std::string_view what) {
  if (texts.size() > addresses_max) {
    return bad(
        fmt::format("{} {} were given; at most {} are taken", texts.size(), what, addresses_max));
  }
  std::vector<Multiaddr> addresses;
  for (const std::string& text : texts) {
    auto address = Multiaddr::parse(text);
    if (!address) return warren::fail(std::move(address).error().in(what));
    addresses.push_back(*std::move(address));
  }
  return addresses;
}

swarm::Profile to_inside(Profile profile) {
  switch (profile) {
    case Profile::kMinimal: return swarm::Profile::kMinimal;
    case Profile::kStandard: return swarm::Profile::kStandard;
    case Profile::kBridge: return swarm::Profile::kBridge;
  }
  return swarm::Profile::kStandard;
}

}  // namespace

class __attribute__((visibility("hidden"))) NodeBuilder::Impl {
 public:
  warren::Result<node::Config> config() const;
  warren::Result<node::Paths> paths() const;

  std::string storage;
  std::string identity;
  std::string configuration;
  std::optional<std::vector<std::string>> listen;
  std::optional<std::vector<std::string>> bootstrap;
  std::optional<Discovery> discovery;
  std::optional<Profile> profile;
  std::optional<std::size_t> target_peers;
  std::optional<std::size_t> max_peers;
  std::optional<Timeout> heartbeat;
};

warren::Result<node::Paths> NodeBuilder::Impl::paths() const {
  if (storage.empty() || storage.find('\0') != std::string::npos) {
    return bad("no storage was chosen", "call NodeBuilder::with_storage() with a folder");
  }
  return node::paths_under(storage);
}

warren::Result<node::Config> NodeBuilder::Impl::config() const {
  node::Config config;
  if (!configuration.empty()) {
    WARREN_TRY(const node::LoadedConfig loaded, node::load_config(configuration));
    config = loaded.config;
  }
  if (listen) {
    WARREN_TRY(config.listen_addresses,
               parse_all(*listen, node::kListenAddressesMax, "listen addresses"));
  }
  if (bootstrap) {
    WARREN_TRY(config.bootstrap_peers,
               parse_all(*bootstrap, node::kBootstrapPeersMax, "bootstrap nodes"));
    for (const Multiaddr& address : config.bootstrap_peers) {
      if (address.peer_id() || address.has(multiformats::Protocol::kDnsaddr)) continue;
      return bad(
          fmt::format("the bootstrap node {} has no /p2p/ID at its end", address.to_string()),
          "only the id says whose key must answer there");
    }
  }
  if (discovery) {
    config.mdns_enabled = discovery->mdns;
    config.mdns_service_name = discovery->mdns_service;
    config.beacon_enabled = discovery->beacon;
    config.exchange_enabled = discovery->exchange;
  }
  if (profile) config.profile = to_inside(*profile);
  if (max_peers && (*max_peers == 0 || *max_peers > kMaxPeersMax)) {
    return bad(fmt::format("max_peers is {}; 1 to {} are possible", *max_peers, kMaxPeersMax));
  }
  if (target_peers && *target_peers > std::min(kTargetPeersMax, max_peers.value_or(kMaxPeersMax))) {
    return bad(fmt::format("target_peers is {}; 0 to {} are possible", *target_peers,
                           std::min(kTargetPeersMax, max_peers.value_or(kMaxPeersMax))));
  }
  if (max_peers) config.connection_manager_max_peers = max_peers;
  if (target_peers) config.connection_manager_target_peers = target_peers;
  if (heartbeat) {
    if (*heartbeat < kHeartbeatMin || *heartbeat > kHeartbeatMax) {
      return bad(
          fmt::format("the heartbeat is {} ms; 1 s to 1 h are possible", heartbeat->count()));
    }
    config.heartbeat_interval = *heartbeat;
  }
  return config;
}

NodeBuilder::NodeBuilder() : impl_(std::make_unique<Impl>()) {}
NodeBuilder::NodeBuilder(NodeBuilder&& other) noexcept = default;
NodeBuilder& NodeBuilder::operator=(NodeBuilder&& other) noexcept = default;
NodeBuilder::~NodeBuilder() = default;

NodeBuilder& NodeBuilder::with_storage(std::string folder) {
  impl_->storage = std::move(folder);
  return *this;
}

NodeBuilder& NodeBuilder::with_identity(std::string pem_file) {
  impl_->identity = std::move(pem_file);
  return *this;
}

NodeBuilder& NodeBuilder::with_configuration(std::string yaml_file) {
  impl_->configuration = std::move(yaml_file);
  return *this;
}

NodeBuilder& NodeBuilder::with_listen_addresses(std::vector<std::string> addresses) {
  impl_->listen = std::move(addresses);
  return *this;
}

NodeBuilder& NodeBuilder::with_bootstrap_nodes(std::vector<std::string> addresses) {
  impl_->bootstrap = std::move(addresses);
  return *this;
}

NodeBuilder& NodeBuilder::with_discovery(Discovery discovery) {
  impl_->discovery = std::move(discovery);
  return *this;
}

NodeBuilder& NodeBuilder::with_profile(Profile profile) {
  impl_->profile = profile;
  return *this;
}

NodeBuilder& NodeBuilder::with_target_peers(std::size_t peers) {
  impl_->target_peers = peers;
  return *this;
}

NodeBuilder& NodeBuilder::with_max_peers(std::size_t peers) {
  impl_->max_peers = peers;
  return *this;
}

NodeBuilder& NodeBuilder::with_heartbeat(std::chrono::milliseconds interval) {
  impl_->heartbeat = interval;
  return *this;
}

Result<Node> NodeBuilder::build() const {
  const auto made = [this]() -> warren::Result<std::unique_ptr<Node::Impl>> {
    WARREN_TRY(const node::Paths paths, impl_->paths());
    WARREN_TRY(const node::Config config, impl_->config());
    WARREN_TRY_VOID(node::make_directories(paths));
    WARREN_TRY(node::InstanceLock lock, node::InstanceLock::acquire(paths.state_dir));
    WARREN_TRY(const crypto::PrivateKey key,
               crypto::load_or_create_identity(impl_->identity.empty() ? paths.identity_file()
                                                                       : impl_->identity));
    node::MachineOptions options{.paths = paths,
                                 .config = config,
                                 .descriptors_max = node::descriptor_limit(),
                                 .adjust = {}};
    if (impl_->listen && impl_->listen->empty()) {
      options.adjust = [](node::NodeOptions& made_options) { made_options.listen.clear(); };
    }
    WARREN_TRY(auto core, embed::Core::make(options, key, std::move(lock)));
    const Bytes& public_key = key.public_key().protobuf();
    Node::Impl::Self self{.peer_id = PeerId::from_public_key(public_key).to_string(),
                          .public_key = {public_key.begin(), public_key.end()}};
    return std::make_unique<Node::Impl>(std::move(self), std::move(core));
  };
  auto impl = made();
  if (!impl) return std::unexpected(embed::to_public(std::move(impl).error()));
  return Node(*std::move(impl));
}

Result<Node> NodeBuilder::start(Timeout timeout) const {
  WARREN_TRY(Node node, build());
  WARREN_TRY_VOID(node.start(timeout));
  return node;
}

}  // namespace warren::v1
