#pragma once
// Connections inside one process, over /memory/<id> addresses: for the simulator and for tests.
// The same contract as a network transport, with flow control, half-close and reset. The peer is
// proven by the hub, which knows the key of every listener and dialler, and nothing is encrypted;
// or, when asked, connections are byte streams that pass through the upgrade like those of TCP.

#include <map>
#include <memory>

#include "transport/memory/hub.hpp"
#include "transport/transport.hpp"
#include "transport/upgrade/upgrader.hpp"

namespace warren::transport::memory {

struct MemoryConfig {
  /// Who this is to the Link.
  std::uint64_t node = 0;
  /// Bytes of one stream that the reader has not taken yet; beyond it the writer waits.
  std::size_t stream_window_bytes = 256u << 10;
  /// Streams that the peer may have open on one connection; beyond it the peer waits.
  std::size_t streams_inbound_max = 256;
  /// Connections that wait in Listener::accept; beyond it one is closed with kResourceLimit.
  std::size_t backlog_max = 64;
  /// When there are any: connections are byte streams on the hub, secured by one of these and
  /// muxed, with the limits of `upgrade` in place of those above. Both nodes must be made so.
  Upgrader::Securities securities = {};
  UpgradeConfig upgrade = {};
};

struct ConnectionState;

class MemoryTransport final : public Transport {
 public:
  /// `runtime` must outlive the transport and what it made. `identity` is the node's public key.
  /// With `config.securities`, close() must have ended before the destructor.
  MemoryTransport(runtime::Runtime& runtime, const Hub& hub, crypto::PublicKey identity,
                  MemoryConfig config = {});
  ~MemoryTransport() override;

  bool can_dial(const Multiaddr& address) const override;
  awaitable<Result<std::shared_ptr<Connection>>> dial(Multiaddr address,
                                                      std::optional<PeerId> expected,
                                                      TimePoint deadline) override;
  bool can_listen(const Multiaddr& address) const override;
  Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) override;
  awaitable<void> close() override;

 private:
  void close_all();

  struct Local;  // What every connection and listener of this node shares.
  static std::shared_ptr<ConnectionState> make_side(const std::shared_ptr<Local>& local,
                                                    bool outbound);
  std::shared_ptr<Local> local_;
  std::unique_ptr<Upgrader> upgrader_;  ///< When connections pass through it.
};

}  // namespace warren::transport::memory
