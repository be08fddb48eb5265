#pragma once
// libp2p over WebSocket: a byte stream in binary frames, then the upgrade as on TCP.
// Source: libp2p specs, websockets/README.md; RFC 6455.

#include <memory>

#include "transport/transport.hpp"
#include "transport/upgrade/upgrader.hpp"

namespace warren::transport::websocket {

struct Shared;

/// A transport for /ip4|ip6/.../tcp/PORT/ws. Addresses with TLS below WebSocket (/wss, /tls/ws,
/// /tls/sni/.../ws) are refused as kUnsupported: they need a certificate that an authority signed.
/// A port is either TCP's or WebSocket's.
class WebSocketTransport final : public Transport {
 public:
  /// `securities` in the order in which they are proposed; at least one. `runtime` must outlive
  /// this. close() must have ended before the destructor.
  WebSocketTransport(runtime::Runtime& runtime, crypto::PublicKey identity,
                     Upgrader::Securities securities, UpgradeConfig config = {});

  bool can_dial(const Multiaddr& address) const override;
  awaitable<Result<std::shared_ptr<Connection>>> dial(Multiaddr address,
                                                      std::optional<PeerId> expected,
                                                      TimePoint deadline) override;
  bool can_listen(const Multiaddr& address) const override;
  Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) override;
  awaitable<void> close() override;

  const Upgrader& upgrader() const { return upgrader_; }

 private:
  runtime::Runtime& runtime_;
  std::shared_ptr<Shared> shared_;
  Upgrader upgrader_;
};

}  // namespace warren::transport::websocket
