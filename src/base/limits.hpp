#pragma once
// Every bound on what a peer, a file or a person can make us hold, in one place. Each one says
// what happens when it is reached. A module takes its own struct as a parameter, so that a test or
// the configuration can lower it.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace warren::limits {

/// Whole node.
struct Node {
  /// Bytes all transports and transfers may hold in buffers; beyond it readers wait.
  std::size_t buffer_bytes_max = 128u << 20;
};

/// One connection and its streams. Source: go-libp2p's defaults, docs/decisions/0005.
struct Connections {
  std::size_t connections_max = 160;       ///< Beyond: an inbound one is closed at once.
  std::size_t connections_per_peer_max = 4;
  std::size_t half_open_max = 64;          ///< Handshakes in progress inbound; beyond: Retry/drop.
  std::size_t streams_inbound_max = 256;   ///< Per connection; the peer has to wait for credit.
  std::size_t dials_max = 64;              ///< In progress; beyond: kLimited.
  std::chrono::seconds handshake_time_max{5};
  std::chrono::seconds negotiation_time_max{10};
};

/// Framed messages. Beyond: the stream is reset.
struct Messages {
  std::size_t control_bytes_max = 1u << 20;
  std::size_t identify_bytes_max = 8u << 10;
  std::size_t identify_messages_max = 10;
  std::size_t addresses_max = 64;          ///< Kept of one peer; the rest is ignored.
  std::size_t protocols_max = 256;
  std::size_t multiaddr_bytes_max = 1024;
};

/// Finding peers on the local network (mDNS). Source: docs/protocols/mdns.md, "Limits".
struct Discovery {
  std::size_t peers_max = 512;             ///< Known at a time; beyond: a new one is ignored.
  std::size_t peers_per_source_max = 32;   ///< From one IP address of a link; not on loopback.
  std::size_t addresses_per_peer_max = 16; ///< Kept of one peer; beyond: the oldest goes.
  std::size_t table_bytes_max = 512u << 10;  ///< Of names and addresses; beyond: as peers_max.
  /// Used; those of higher index are left out. Source: Linux, igmp_max_memberships.
  std::size_t interfaces_max = 20;
  std::uint32_t hints_per_second_max = 8;  ///< New or changed peers told; beyond: they wait.
  std::uint32_t packets_per_second_max = 1000;  ///< Read; beyond: the kernel drops them.
};

}  // namespace warren::limits
