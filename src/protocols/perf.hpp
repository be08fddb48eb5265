#pragma once
// /perf/1.0.0: how fast bytes go to a peer and come back. Source: libp2p specs, perf/perf.md.

#include "protocols/audience.hpp"
#include "swarm/swarm.hpp"

namespace warren::protocols {

using runtime::awaitable;

inline constexpr std::string_view kPerfProtocol = "/perf/1.0.0";

struct PerfLimits {
  /// To others the stream is reset: eight bytes of theirs could cost the uplink gigabytes.
  Audience audience = Audience::kLocal;
  /// Streams served at a time, over all peers and for one.
  std::size_t streams_max = 4;
  std::size_t streams_per_peer_max = 1;
  /// Most bytes that a peer may ask back. Beyond: the stream is reset.
  std::uint64_t download_bytes_max = 64ull << 30;
  /// Silence after which a stream is given up.
  Duration stall_time_max = 30s;
  /// For one measurement, however steadily its bytes drip: places are few.
  Duration time_max = 10min;
};

/// Serves measurements from now on: reads what comes, sends what was asked for. Memory per stream:
/// one read buffer; what is sent is one shared buffer.
void serve_perf(swarm::Swarm& swarm, PerfLimits limits = {});

struct PerfResult {
  std::uint64_t uploaded_bytes = 0;
  std::uint64_t downloaded_bytes = 0;
  /// From the opening of the stream until the peer has acknowledged the last byte sent.
  double upload_seconds = 0;
  /// From then until the last byte was received.
  double download_seconds = 0;
};

/// Sends `upload_bytes` to a connected peer, then has it send `download_bytes` back.
/// Errors: as Swarm::open_stream; kTimedOut; kMalformed when it sends another number of bytes.
/// Cancel: the stream is reset.
awaitable<Result<PerfResult>> run_perf(swarm::Swarm& swarm, PeerId peer, std::uint64_t upload_bytes,
                                       std::uint64_t download_bytes, TimePoint deadline);

}  // namespace warren::protocols
