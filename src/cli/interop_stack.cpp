#include "cli/interop_stack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "security/noise/noise_security.hpp"
#include "security/tls/tls_security.hpp"
#include "transport/quic/quic_transport.hpp"
#include "transport/tcp/tcp_transport.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace warren::cli {
namespace {

using transport::Upgrader;

Result<Upgrader::Securities> securities_of(runtime::Runtime& runtime, const crypto::PrivateKey& key,
                                           std::string_view name) {
  const std::vector<std::string> muxers{"/yamux/1.0.0"};
  Upgrader::Securities securities;
  if (name == "tls") {
    WARREN_TRY(auto tls,
               security::make_tls_security(key, muxers, [&runtime] { return runtime.wall_now(); }));
    securities.push_back(std::move(tls));
    return securities;
  }
  const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
  securities.push_back(security::noise::make_noise_security(
      std::make_shared<const security::noise::Credentials>(key, muxers, random), random));
  return securities;
}

}  // namespace

Result<Multiaddr> add_interop_stack(swarm::Swarm& swarm, runtime::Runtime& runtime,
                                    const crypto::PrivateKey& key, std::string_view stack,
                                    std::string_view ip) {
  WARREN_TRY(const IpAddress address, IpAddress::parse(ip));
  const std::string base = fmt::format("/{}/{}", address.is_v6() ? "ip6" : "ip4", ip);
  if (stack == "quic-v1") {
    WARREN_TRY(auto quic, transport::quic::make_quic_transport(runtime, key));
    swarm.add_transport(std::move(quic));
    return Multiaddr::parse(base + "/udp/0/quic-v1");
  }
  const std::size_t plus = std::min(stack.find('+'), stack.size());
  const std::string_view transport = stack.substr(0, plus);
  const std::string_view security = stack.substr(std::min(plus + 1, stack.size()));
  if ((transport != "tcp" && transport != "ws") || (security != "noise" && security != "tls")) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("there is no stack {}", stack));
  }
  WARREN_TRY(auto securities, securities_of(runtime, key, security));
  if (transport == "ws") {
    swarm.add_transport(std::make_unique<transport::websocket::WebSocketTransport>(
        runtime, key.public_key(), std::move(securities)));
    return Multiaddr::parse(base + "/tcp/0/ws");
  }
  swarm.add_transport(std::make_unique<transport::tcp::TcpTransport>(runtime, key.public_key(),
                                                                     std::move(securities)));
  return Multiaddr::parse(base + "/tcp/0");
}

}  // namespace warren::cli
