#pragma once
// How WebSocket addresses are spelled. Source: libp2p specs, websockets/README.md; multiaddr.

#include <optional>
#include <string>

#include "multiformats/multiaddr.hpp"

namespace warren::transport::websocket {

/// Where /ip4|ip6/.../tcp/.../ws leads, with or without /p2p behind it; nullopt for any other.
std::optional<Endpoint> plain_endpoint(const Multiaddr& address);
/// A WebSocket over TLS, to a server that has to prove its name.
struct SecureTarget {
  Endpoint endpoint;
  std::string name;  ///< Of /sni; without it the IP address.
};
/// Where /ip4|ip6/.../tcp/... with /wss, /tls/ws or /tls/sni/NAME/ws behind it leads, with or
/// without /p2p at the end; nullopt for any other.
std::optional<SecureTarget> secure_target(const Multiaddr& address);
/// /ip4|ip6/.../tcp/.../ws.
Multiaddr plain_address(const Endpoint& endpoint);

}  // namespace warren::transport::websocket
