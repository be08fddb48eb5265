#pragma once
// What every transport gives: secured, multiplexed connections to a proven peer, and streams on
// them. Implementations: quic/, memory/. All of it belongs to the core thread.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "crypto/keys.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"
#include "runtime/runtime.hpp"

namespace warren::resources {
class ConnectionScope;
}

namespace warren::transport {

using runtime::awaitable;

/// libp2p's error codes for streams and connections that are broken off.
/// Source: go-libp2p core/network/mux.go; libp2p specs, error-codes.
enum class CloseCode : std::uint64_t {
  kNone = 0,
  kNegotiationFailed = 0x1001,
  kResourceLimit = 0x1002,
  kRateLimited = 0x1003,
  kProtocolViolation = 0x1004,
  kSupplanted = 0x1005,
  kGarbageCollected = 0x1006,  ///< Nobody needs the connection.
  kShutdown = 0x1007,
  kGated = 0x1008,  ///< The peer is not wanted here.
};

/// One exchange with a peer: two byte streams, each closed on its own. The handle may outlive its
/// connection; calls then fail with kClosed or kReset. Destroying a handle whose two sides are not
/// both at their end resets what is left.
/// One reader and one writer at a time (checked).
class Stream {
 public:
  virtual ~Stream() = default;
  /// At least one byte, or 0 at the end of the stream. Errors: kReset, kClosed, kTimedOut,
  /// kCancelled. Cancel: safe, nothing is lost.
  virtual awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) = 0;
  /// Fills `out`; fewer bytes only at the end of the stream. Bytes that arrive while it waits land
  /// in `out` without another copy. Cancel or time-out: what arrived is lost with `out`.
  virtual awaitable<Result<std::size_t>> read_full(MutableBytes out, TimePoint deadline) = 0;
  /// Takes all of `bytes` (copied) into the send buffer, waiting for room in it: the peer's flow
  /// control is the brake. Errors as read_some. Cancel: an unknown part was taken.
  virtual awaitable<Result<>> write(BytesView bytes, TimePoint deadline) = 0;
  /// The same without a copy: `bytes` is held until acknowledged.
  virtual awaitable<Result<>> write(SharedBytes bytes, TimePoint deadline) = 0;
  /// Waits until the peer has acknowledged all that was written (not for its application).
  virtual awaitable<Result<>> flush(TimePoint deadline) = 0;
  /// Half-close: the peer reads the end after what was written. Idempotent.
  virtual void close_write() = 0;
  /// Breaks both sides off at once. Idempotent; nothing after a clean end.
  virtual void reset(CloseCode code = CloseCode::kNone) = 0;
  /// Unique within its connection.
  virtual std::uint64_t id() const = 0;
};

struct ConnectionInfo {
  PeerId local_peer;
  PeerId remote_peer;
  crypto::PublicKey remote_key;
  Multiaddr local_address;   ///< Without /p2p.
  Multiaddr remote_address;  ///< Without /p2p; for an inbound one its ephemeral port.
  bool outbound = false;
  std::string_view transport;  ///< "quic-v1", "memory".
};

struct ConnectionStats {
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  Duration rtt{};  ///< Smoothed; 0 before the first sample.
  std::size_t streams_open = 0;
};

class Connection {
 public:
  virtual ~Connection() = default;
  virtual const ConnectionInfo& info() const = 0;
  virtual ConnectionStats stats() const = 0;
  /// Waits for stream credit if the peer has none left. Errors: kClosed, kTimedOut, kCancelled.
  virtual awaitable<Result<std::unique_ptr<Stream>>> open_stream(TimePoint deadline) = 0;
  /// The next stream that the peer opened. kClosed when the connection has ended. One caller at a
  /// time. Cancel: safe.
  virtual awaitable<Result<std::unique_ptr<Stream>>> accept_stream() = 0;
  /// Ends it and all its streams now, and tells the peer. Idempotent.
  virtual void close(CloseCode code = CloseCode::kNone, std::string_view reason = {}) = 0;
  virtual bool closed() const = 0;
  /// Why it ended; empty while it lives.
  virtual std::string close_reason() const = 0;
  /// Where a resource manager counts it, its peer set. Lives as long as the connection. Null: the
  /// transport does not count; the swarm then does. Source: docs/decisions/0014.
  virtual resources::ConnectionScope* scope() { return nullptr; }
};

class Listener {
 public:
  virtual ~Listener() = default;  ///< Closes.
  /// As bound, without /p2p: a port 0 is the real one; an unspecified IP stays.
  virtual Multiaddr address() const = 0;
  /// The next connection whose peer is proven. Errors: kClosed, kCancelled. Cancel: safe.
  virtual awaitable<Result<std::shared_ptr<Connection>>> accept() = 0;
  virtual void close() = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual bool can_dial(const Multiaddr& address) const = 0;
  /// `expected` is refused inside the handshake when another identity answers (kIntegrity, naming
  /// both); without it any proven identity is taken. Errors: kUnreachable, kTimedOut, kIntegrity,
  /// kUnsupported, kCancelled. Cancel: the attempt is given up.
  virtual awaitable<Result<std::shared_ptr<Connection>>> dial(Multiaddr address,
                                                              std::optional<PeerId> expected,
                                                              TimePoint deadline) = 0;
  virtual bool can_listen(const Multiaddr& address) const = 0;
  /// Errors: kConflict when the port is taken, kDenied, kUnsupported.
  virtual Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) = 0;
  /// Closes every connection and listener in good order and waits for their tasks.
  virtual awaitable<void> close() = 0;
};

}  // namespace warren::transport
