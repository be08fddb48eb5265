#pragma once
// libp2p over TCP: a security protocol and a muxer on a byte stream of the kernel.
// Source: libp2p specs, connections/README.md.

#include "transport/transport.hpp"
#include "transport/upgrade/upgrader.hpp"

namespace warren::transport::tcp {

struct TcpConfig {
  UpgradeConfig upgrade;
};

/// A transport for /ip4|ip6/.../tcp/PORT, and no other: neither /ws nor /tls behind it. An IPv6
/// listener takes IPv6 only, so that the same port may listen on IPv4 beside it.
class TcpTransport final : public Transport {
 public:
  /// `securities` in the order in which they are proposed; at least one. `runtime` must outlive
  /// this. close() must have ended before the destructor.
  TcpTransport(runtime::Runtime& runtime, crypto::PublicKey identity,
               Upgrader::Securities securities, TcpConfig config = {});

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
  Upgrader upgrader_;
};

}  // namespace warren::transport::tcp
