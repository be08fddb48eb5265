#pragma once
// /echo/1.0.0: gives back what it gets. For testing half-close and flow control with other
// implementations (js-libp2p, py-libp2p and cpp-libp2p speak it).

#include "protocols/audience.hpp"
#include "swarm/swarm.hpp"

namespace warren::protocols {

using runtime::awaitable;

inline constexpr std::string_view kEchoProtocol = "/echo/1.0.0";

struct EchoLimits {
  /// To others the stream is reset.
  Audience audience = Audience::kLocal;
  /// Streams served at a time; beyond: the stream is reset.
  std::size_t streams_max = 512;
  std::size_t streams_per_peer_max = 256;
  /// Bytes held of one stream, beside its windows: reading waits until they are written.
  std::size_t buffer_bytes = 16u << 10;
  /// Time in which nothing comes, or the peer takes nothing; then the stream is reset.
  Duration stall_time_max = 60s;
};

/// Serves echoes from now on: every byte in order as it comes, and the end after the peer's end. A
/// peer that does not read its echo is not read from either.
void serve_echo(swarm::Swarm& swarm, EchoLimits limits = {});

/// Sends `bytes` to a connected peer, ends its side, and returns all that comes back, which is as
/// much as was sent or less. Both directions go on at the same time.
/// Errors: as Swarm::open_stream; kUnsupported; kTooLarge when more comes than was sent.
/// Cancel: the stream is reset.
awaitable<Result<Bytes>> run_echo(swarm::Swarm& swarm, PeerId peer, Bytes bytes,
                                  TimePoint deadline);

}  // namespace warren::protocols
