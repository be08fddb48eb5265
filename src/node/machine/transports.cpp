#include "node/machine/transports.hpp"

#include <string>
#include <vector>

#include "security/noise/noise_security.hpp"
#include "security/tls/tls_security.hpp"
#include "transport/quic/quic_transport.hpp"
#include "transport/tcp/tcp_transport.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace warren::node {
Result<transport::Upgrader::Securities> make_securities(runtime::Runtime& runtime,
                                                        const crypto::PrivateKey& identity) {
  const std::vector<std::string> muxers = {"/yamux/1.0.0"};
  WARREN_TRY(auto tls, security::make_tls_security(identity, muxers,
                                                   [&runtime] { return runtime.wall_now(); }));
  const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
  auto credentials = std::make_shared<const security::noise::Credentials>(identity, muxers, random);
  transport::Upgrader::Securities securities;
  securities.push_back(std::move(tls));
  securities.push_back(security::noise::make_noise_security(std::move(credentials), random));
  return securities;
}

limits::Resources resource_limits(const Config& config, std::uint64_t descriptors_max) {
  // Windows are promises; that all of them are used at once has not been seen.
  limits::Resources made(config.memory_bytes_max * 2, descriptors_max);
  return made.with_connections(config.connections_max);
}

Result<> add_transports(Node& node, runtime::Runtime& runtime, const crypto::PrivateKey& identity,
                        resources::Manager& resources) {
  transport::quic::QuicConfig quic_config;
  quic_config.resources = &resources;
  WARREN_TRY(auto quic, transport::quic::make_quic_transport(runtime, identity, quic_config));
  WARREN_TRY(const auto securities, make_securities(runtime, identity));
  transport::UpgradeConfig upgrade;
  upgrade.resources = &resources;
  const crypto::PublicKey key = identity.public_key();
  node.add_transport(std::move(quic));
  node.add_transport(std::make_unique<transport::tcp::TcpTransport>(
      runtime, key, securities, transport::tcp::TcpConfig{.upgrade = upgrade}));
  node.add_transport(std::make_unique<transport::websocket::WebSocketTransport>(
      runtime, key, securities, upgrade));
  return {};
}

}  // namespace warren::node
