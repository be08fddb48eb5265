#pragma once
// libp2p over WebSocket: a byte stream in binary frames, then the upgrade as on TCP.
// Source: libp2p specs, websockets/README.md; RFC 6455.

#include <memory>
#include <string>

#include "transport/transport.hpp"
#include "transport/upgrade/upgrader.hpp"

namespace warren::security {
class WebTls;
}

namespace warren::transport::websocket {

struct Shared;

/// A transport for /ip4|ip6/.../tcp/PORT/ws. It also dials, but does not listen on, WebSocket over
/// TLS: /wss, /tls/ws, /tls/sni/NAME/ws, where the server shows a certificate for NAME, or for the
/// IP address, that an authority has signed. A port is either TCP's or WebSocket's.
class WebSocketTransport final : public Transport {
 public:
  /// `securities` in the order in which they are proposed; at least one. `runtime` must outlive
  /// this. `authorities` are trusted for TLS, certificates in PEM; empty: those of the system.
  /// close() must have ended before the destructor.
  WebSocketTransport(runtime::Runtime& runtime, crypto::PublicKey identity,
                     Upgrader::Securities securities, UpgradeConfig config = {},
                     std::string authorities = {});

  bool can_dial(const Multiaddr& address) const override;
  awaitable<Result<std::shared_ptr<Connection>>> dial(Multiaddr address,
                                                      std::optional<PeerId> expected,
                                                      TimePoint deadline) override;
  bool can_listen(const Multiaddr& address) const override;
  Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) override;
  awaitable<void> close() override;

  const Upgrader& upgrader() const { return upgrader_; }

 private:
  awaitable<Result<>> load_authorities();

  runtime::Runtime& runtime_;
  std::string authorities_;
  std::shared_ptr<const security::WebTls> web_tls_;  ///< From the first dial over TLS on.
  std::shared_ptr<Shared> shared_;
  Upgrader upgrader_;
};

}  // namespace warren::transport::websocket
