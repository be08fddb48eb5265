#pragma once
// How WebSocket addresses are spelled. Source: libp2p specs, websockets/README.md; multiaddr.

#include <optional>

#include "multiformats/multiaddr.hpp"

namespace warren::transport::websocket {

/// Where /ip4|ip6/.../tcp/.../ws leads, with or without /p2p behind it; nullopt for any other.
std::optional<Endpoint> plain_endpoint(const Multiaddr& address);
/// /ip4|ip6|dns.../tcp/... with /wss, /tls/ws or /tls/sni/.../ws behind it.
bool is_over_tls(const Multiaddr& address);
/// /ip4|ip6/.../tcp/.../ws.
Multiaddr plain_address(const Endpoint& endpoint);

}  // namespace warren::transport::websocket
