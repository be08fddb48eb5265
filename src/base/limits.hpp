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
  std::size_t connections_max = 160;  ///< Beyond: an inbound one is closed at once.
  std::size_t connections_per_peer_max = 4;
  std::size_t half_open_max = 64;         ///< Handshakes in progress inbound; beyond: Retry/drop.
  std::size_t streams_inbound_max = 256;  ///< Per connection; the peer has to wait for credit.
  std::size_t dials_max = 64;             ///< In progress; beyond: kLimited.
  std::chrono::seconds handshake_time_max{5};
  std::chrono::seconds negotiation_time_max{10};
};

/// Framed messages. Beyond: the stream is reset.
struct Messages {
  std::size_t control_bytes_max = 1u << 20;
  std::size_t identify_bytes_max = 8u << 10;
  std::size_t identify_messages_max = 10;
  std::size_t addresses_max = 64;  ///< Kept of one peer; the rest is ignored.
  std::size_t protocols_max = 256;
  std::size_t multiaddr_bytes_max = 1024;
};

/// Finding peers on the local network (mDNS). Source: docs/protocols/mdns.md, "Limits".
struct Discovery {
  std::size_t peers_max = 512;               ///< Known at a time; beyond: a new one is ignored.
  std::size_t peers_per_source_max = 32;     ///< From one IP address of a link; not on loopback.
  std::size_t addresses_per_peer_max = 16;   ///< Kept of one peer; beyond: the oldest goes.
  std::size_t table_bytes_max = 512u << 10;  ///< Of names and addresses; beyond: as peers_max.
  /// Used; those of higher index are left out. Source: Linux, igmp_max_memberships.
  std::size_t interfaces_max = 20;
  std::uint32_t hints_per_second_max = 8;       ///< New or changed peers told; beyond: they wait.
  std::uint32_t packets_per_second_max = 1000;  ///< Read; beyond: the kernel drops them.
};

/// One dataset as a peer, or the store, describes it. Beyond: that dataset is refused (kTooLarge).
struct Tree {
  std::size_t entries_max = 10'000'000;       ///< Files, folders and symlinks.
  std::size_t depth_max = 64;                 ///< Folders within folders.
  std::size_t block_bytes_max = 2u << 20;     ///< Of one block. Source: bitswap's limit.
  std::uint64_t node_bytes_max = 1ull << 30;  ///< All distinct nodes together.
  /// Memory that the flattened tree may take: this much, plus `expansion_ratio_max` times the
  /// bytes of its distinct nodes. A few nodes that name each other many times are a bomb.
  std::uint64_t expansion_bytes_max = 64ull << 20;
  std::uint64_t expansion_ratio_max = 16;
};

/// Sharing and the store of what is shared.
struct Content {
  std::size_t trees_cached_bytes_max = 64u << 20;  ///< Flattened trees; beyond, the oldest goes.
  std::size_t files_open_max = 64;                 ///< Kept open for one dataset that is read.
  std::size_t share_name_bytes_max = 255;          ///< Beyond: kInvalidArgument.
  std::size_t skipped_max = 10'000;                ///< Problems listed of one import; then counted.
};

/// Transfers and the data protocol. Source: docs/protocols/data.md, "Limits".
struct Transfer {
  std::size_t transfers_max = 4;              ///< Fetching at a time; beyond: they wait in a queue.
  std::size_t transfers_known_max = 1000;     ///< In any state; beyond: a new one is kLimited.
  std::size_t streams_per_source_max = 4;     ///< Requests run in parallel on these.
  std::size_t sources_max = 32;               ///< Asked at a time; beyond: a source waits.
  std::size_t receive_bytes_max = 48u << 20;  ///< Received, not yet written; beyond: reading waits.
  std::size_t serve_bytes_max = 32u << 20;  ///< Read, not yet acknowledged; beyond: serving waits.
  std::size_t serve_streams_max = 256;      ///< Over all peers; beyond: the stream is reset.
  std::size_t serve_streams_per_peer_max = 32;
  std::size_t request_bytes_max = 256u << 10;
  std::size_t response_bytes_max = 1u << 20;  ///< Of a message, without the raw bytes behind it.
  std::size_t cids_per_request_max = 4096;
  std::size_t nodes_per_response_max = 4096;
  std::size_t datasets_per_response_max = 64;
  std::size_t refusal_text_bytes_max = 512;
  std::chrono::seconds stall_time_max{10};  ///< Without a byte; then a request goes elsewhere.
  std::chrono::seconds idle_time_max{60};   ///< A served stream without a request is closed.
  std::chrono::seconds serve_time_max{120};   ///< The peer takes nothing; then the stream is reset.
};

}  // namespace warren::limits
