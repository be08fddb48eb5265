#pragma once
// Connections inside one process, over /memory/<id> addresses: for the simulator and for tests.
// The same contract as a network transport, with flow control, half-close and reset; the peer is
// proven by the hub, which knows the key of every listener and dialler. Nothing is encrypted.

#include <map>
#include <memory>

#include "transport/memory/hub.hpp"
#include "transport/transport.hpp"

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
};

struct ConnectionState;

class MemoryTransport final : public Transport {
 public:
  /// `runtime` must outlive the transport and what it made. `identity` is the node's public key.
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
};

}  // namespace warren::transport::memory
