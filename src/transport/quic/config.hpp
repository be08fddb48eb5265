#pragma once
#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"
#include "base/time.hpp"

namespace warren::resources {
class Manager;
}

namespace warren::transport::quic {

/// Tuning of the QUIC transport. The initialisers are the defaults.
struct QuicConfig {
  limits::Connections limits;
  /// Counts every connection and the windows promised to peers; must outlive the transport. Null:
  /// the transport makes one of its own, of default limits and limits.half_open_max.
  resources::Manager* resources = nullptr;
  /// Bytes a peer may have in flight to us on one stream and on one connection before we consume
  /// them: the most that windows grow to while they are in use and the resource manager has the
  /// memory. A stream gets at most half of its connection's, so that one that nobody reads does not
  /// stop the others. Source: docs/decisions/0004; 16 MiB carries 10 Gbit/s over 13 ms.
  std::uint64_t stream_window_bytes = 16u << 20;
  std::uint64_t connection_window_bytes = 32u << 20;
  /// With which every stream begins. Source: yamux's, which every libp2p node has.
  std::uint64_t first_stream_window_bytes = 256u << 10;
  /// What every proven peer gets if there is memory; growing begins here.
  std::uint64_t small_window_bytes = 1u << 20;
  /// What a peer may send before it is proven to us.
  std::uint64_t handshake_window_bytes = 256u << 10;
  /// What the QUIC library may hold for one connection beside the bytes of its window: packets in
  /// flight, gaps, ids, answers. Beyond: the connection ends. In flight at 10 Gbit/s over 13 ms are
  /// 13,000 packets of 400 bytes here.
  std::size_t library_bytes_max = 12u << 20;
  /// Bytes one stream takes from its writer beyond what is in flight; then the writer waits.
  std::size_t unsent_bytes_max = 1u << 20;
  /// UDP payload sent after the handshake on paths other than loopback, without path MTU probing
  /// above it. 1,452 fits an Ethernet frame under IPv4 and IPv6.
  std::size_t udp_payload_bytes = 1'452;
  /// The same between two sockets of one machine, where the interface carries 65,536 bytes and
  /// nothing needs probing. Costs 0.6 of the processor time of 1,452-byte packets; larger ones gain
  /// little more. Source: measured, docs/decisions/0004. 0: as elsewhere.
  std::size_t loopback_payload_bytes = 16'000;
  std::size_t socket_buffer_bytes = 4u << 20;
  /// Silence after which a connection counts as dead; each side's smaller value holds.
  Duration idle_timeout = 30s;
  /// Sent into the silence, so that middleboxes and the other side's timer stay content.
  Duration keep_alive = 12s;
  /// Handshakes in progress from which on a new one has to show its address (Retry).
  std::size_t retry_above = 16;
};

}  // namespace warren::transport::quic
