#pragma once
// /ipfs/ping/1.0.0: is the peer there, and how far away. Source: libp2p specs, ping/ping.md.

#include <memory>

#include "swarm/swarm.hpp"

namespace warren::protocols {

using runtime::awaitable;

inline constexpr std::string_view kPingProtocol = "/ipfs/ping/1.0.0";
/// Bytes of one ping and of its echo.
inline constexpr std::size_t kPingBytes = 32;

/// Echoes the pings of every peer from now on, at most eight streams of one peer at a time.
void serve_ping(swarm::Swarm& swarm);

/// One stream of pings to a connected peer. The swarm must outlive it.
class PingSession {
 public:
  /// Errors: as Swarm::open_stream.
  static awaitable<Result<std::unique_ptr<PingSession>>> open(swarm::Swarm& swarm, PeerId peer,
                                                              TimePoint deadline);
  /// The same on one connection.
  static awaitable<Result<std::unique_ptr<PingSession>>> open(
      swarm::Swarm& swarm, std::shared_ptr<swarm::Connection> connection, TimePoint deadline);
  ~PingSession();  ///< Ends the stream.
  PingSession(const PingSession&) = delete;
  PingSession& operator=(const PingSession&) = delete;

  /// Sends 32 random bytes and waits for their echo: the round trip time, of the stream and not of
  /// the path alone. One call at a time. Errors: kUnsupported, kIntegrity (the echo differs),
  /// kTimedOut, kReset, kClosed. Cancel or error: the session is of no further use.
  awaitable<Result<Duration>> ping(TimePoint deadline);

 private:
  PingSession(runtime::Runtime& runtime, swarm::ProtocolStream stream);
  runtime::Runtime& runtime_;
  swarm::ProtocolStream stream_;
};

/// One ping on a stream of its own. Errors: as PingSession.
awaitable<Result<Duration>> ping(swarm::Swarm& swarm, PeerId peer, TimePoint deadline);

}  // namespace warren::protocols
