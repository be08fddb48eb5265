#include "transport/websocket/address.hpp"

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace warren::transport::websocket {
namespace {

using multiformats::Component;
using multiformats::Protocol;

// What stands behind the TCP port, without the peer; empty without such a port.
std::vector<Component> above_tcp(const Multiaddr& address) {
  std::vector<Component> above;
  bool found = false;
  for (Component& component : address.without_peer().components()) {
    if (found) above.push_back(std::move(component));
    found |= component.protocol == Protocol::kTcp;
  }
  return above;
}

bool spell(const std::vector<Component>& components, std::initializer_list<Protocol> protocols) {
  return std::ranges::equal(components, protocols, {}, &Component::protocol);
}

}  // namespace

std::optional<Endpoint> plain_endpoint(const Multiaddr& address) {
  if (!spell(above_tcp(address), {Protocol::kWs})) return std::nullopt;
  return address.endpoint();
}

std::optional<SecureTarget> secure_target(const Multiaddr& address) {
  const auto above = above_tcp(address);
  const bool named = spell(above, {Protocol::kTls, Protocol::kSni, Protocol::kWs});
  if (!named && !spell(above, {Protocol::kWss}) && !spell(above, {Protocol::kTls, Protocol::kWs})) {
    return std::nullopt;
  }
  const auto endpoint = address.endpoint();
  if (!endpoint) return std::nullopt;
  return SecureTarget{*endpoint,
                      named ? std::string(as_text(above[1].value)) : endpoint->ip.to_string()};
}

Multiaddr plain_address(const Endpoint& endpoint) {
  static const Multiaddr kWs = Multiaddr::parse("/ws").value();
  return Multiaddr::tcp(endpoint).encapsulate(kWs);
}

}  // namespace warren::transport::websocket
