#pragma once
// From a byte stream to a libp2p connection: multistream-select, a security protocol that proves
// the peer, a muxer. Shared by every transport on byte streams.
// Source: libp2p specs, connections/README.md; connections/inlined-muxer-negotiation.md.

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "resources/manager.hpp"
#include "runtime/runtime.hpp"
#include "security/secure_channel.hpp"
#include "transport/transport.hpp"
#include "transport/upgrade/upgrade_config.hpp"

namespace warren::transport {

/// A byte stream before anybody is proven, with the addresses that ConnectionInfo will show.
struct RawStream {
  std::unique_ptr<runtime::ByteStream> stream;
  Multiaddr local_address;   ///< Without /p2p.
  Multiaddr remote_address;  ///< Without /p2p.
  /// From Upgrader::admit(); may be empty.
  std::unique_ptr<resources::ConnectionScope> scope;
};

/// What a listener does with the byte streams that it accepts.
struct AcceptOptions {
  Multiaddr address;  ///< What Listener::address() gives.
  /// Makes an accepted byte stream ready for the upgrade and names its ends; WebSocket answers the
  /// HTTP request in here. Runs within the half-open limit and the handshake's deadline. An error
  /// drops the connection. What it refers to must live until the upgrader's close() has ended.
  using Prepare = std::function<runtime::awaitable<Result<RawStream>>(
      std::unique_ptr<runtime::ByteStream> stream, TimePoint deadline)>;
  Prepare prepare;
};

/// What has happened to inbound connections since the start.
struct UpgradeCounters {
  std::uint64_t inbound = 0;            ///< Byte streams accepted.
  std::uint64_t proven = 0;             ///< Of those, handed out or waiting to be.
  std::uint64_t refused_limit = 0;      ///< Closed unread: the resource manager said no.
  std::uint64_t refused_half_open = 0;  ///< Closed unread: too many handshakes in progress.
  std::uint64_t displaced = 0;          ///< Made room for newer ones in the middle of a handshake.
  std::uint64_t refused_backlog = 0;    ///< Proven, but nobody accepted fast enough.
  std::uint64_t failed_handshakes = 0;  ///< Broken, wrong, or too slow.
  std::uint64_t accept_errors = 0;      ///< The system had no descriptor left, for example.
};

/// One per transport: owns the tasks of its connections. Belongs to the core thread.
class Upgrader {
 public:
  using Securities = std::vector<std::shared_ptr<security::SecurityProtocol>>;

  /// `securities` in the order in which a dialler proposes them; at least one. `transport` is what
  /// ConnectionInfo shows ("tcp"), a literal. `runtime` must outlive the upgrader.
  Upgrader(runtime::Runtime& runtime, crypto::PublicKey identity, Securities securities,
           std::string_view transport, UpgradeConfig config = {});
  ~Upgrader();
  Upgrader(const Upgrader&) = delete;
  Upgrader& operator=(const Upgrader&) = delete;

  /// Counts a connection that is about to be dialled; empty without a resource manager.
  /// Errors: kLimited.
  Result<std::unique_ptr<resources::ConnectionScope>> admit(const Endpoint& remote,
                                                            const std::optional<PeerId>& expected);

  /// The dialler's side: proposes, proves, muxes. `deadline` is cut to handshake_time_max from now.
  /// Errors: kIntegrity when another peer than `expected` answers (names both), kTimedOut,
  /// kUnsupported (no protocol in common), kMalformed, kReset, kClosed, kCancelled.
  /// Cancel: the byte stream is closed.
  awaitable<Result<std::shared_ptr<Connection>>> dial(RawStream raw, std::optional<PeerId> expected,
                                                      TimePoint deadline);

  /// The listener's side: accepts from `source` and upgrades each within handshake_time_max,
  /// at most half_open_max at a time over all listeners of this upgrader. From three quarters of
  /// that on, or of what the resource manager allows, a new one takes the place of the oldest one
  /// of the address that has most, which is closed. Errors: kClosed.
  Result<std::unique_ptr<Listener>> listen(std::unique_ptr<runtime::StreamListener> source,
                                           AcceptOptions options);

  const UpgradeCounters& counters() const;
  /// Inbound handshakes in progress.
  std::size_t half_open() const;
  const UpgradeConfig& config() const;

  /// Closes every listener and connection in good order and waits for their tasks. Nothing is made
  /// afterwards. Must have ended before the destructor.
  awaitable<void> close();

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace warren::transport
