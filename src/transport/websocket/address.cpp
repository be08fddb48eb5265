#include "transport/websocket/address.hpp"

namespace warren::transport::websocket {
namespace {

using multiformats::Component;
using multiformats::Protocol;

// What stands behind the TCP port, without the peer; empty without such a port.
std::vector<Protocol> above_tcp(const Multiaddr& address) {
  std::vector<Protocol> above;
  bool found = false;
  for (const Component& component : address.without_peer().components()) {
    if (found) {
      above.push_back(component.protocol);
    } else {
      found = component.protocol == Protocol::kTcp;
    }
  }
  return above;
}

}  // namespace

std::optional<Endpoint> plain_endpoint(const Multiaddr& address) {
  if (above_tcp(address) != std::vector{Protocol::kWs}) return std::nullopt;
  return address.endpoint();
}

bool is_over_tls(const Multiaddr& address) {
  const auto above = above_tcp(address);
  return above == std::vector{Protocol::kWss} ||
         above == std::vector{Protocol::kTls, Protocol::kWs} ||
         above == std::vector{Protocol::kTls, Protocol::kSni, Protocol::kWs};
}

Multiaddr plain_address(const Endpoint& endpoint) {
  static const Multiaddr kWs = Multiaddr::parse("/ws").value();
  return Multiaddr::tcp(endpoint).encapsulate(kWs);
}

}  // namespace warren::transport::websocket
