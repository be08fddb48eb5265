#pragma once
// Every bound on what a peer, a file or a person can make us hold, in one place. Each one says
// what happens when it is reached. A module takes its own struct as a parameter, so that a test or
// the configuration can lower it.

#include <algorithm>
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
  /// Beyond: an inbound one is closed at once. Source: docs/decisions/0014.
  std::size_t connections_max = 400;
  std::size_t connections_per_peer_max = 4;
  std::size_t half_open_max = 64;         ///< Handshakes in progress inbound; beyond: Retry/drop.
  std::size_t streams_inbound_max = 256;  ///< Per connection; the peer has to wait for credit.
  std::size_t dials_max = 64;             ///< In progress; beyond: kLimited.
  std::chrono::seconds handshake_time_max{5};
  std::chrono::seconds negotiation_time_max{10};
};

/// The most that one scope of the resource manager may hold. Beyond: kLimited.
struct Holdings {
  std::uint64_t memory_bytes = 0;
  std::uint64_t streams_inbound = 0;
  std::uint64_t streams_outbound = 0;
  std::uint64_t streams = 0;
  std::uint64_t connections_inbound = 0;
  std::uint64_t connections_outbound = 0;
  std::uint64_t connections = 0;
  std::uint64_t descriptors = 0;
};

/// New inbound connections of one address or prefix: `burst` at once, `per_second` for ever.
struct InboundRate {
  double per_second = 0;
  double burst = 0;
};

/// What peers can make the whole node hold. Source: go-libp2p's defaults and the memory there is,
/// docs/decisions/0014.
struct Resources {
  Holdings node;           ///< Connections with a proven peer.
  Holdings transient;      ///< Handshakes.
  Holdings allowed;        ///< The share of the allow list.
  Holdings peer;           ///< One peer.
  Holdings protocol;       ///< One protocol over all peers, unless limit_protocol() says else.
  Holdings protocol_peer;  ///< One protocol with one peer, in the same way.
  Holdings connection;
  Holdings stream;

  std::size_t inbound_per_ipv4 = 8;      ///< Connections, proven or not.
  std::size_t inbound_per_ipv6_56 = 8;   ///< Of one /56: a household.
  std::size_t inbound_per_ipv6_48 = 64;  ///< Of one /48: a site.
  std::size_t inbound_per_private = 32;  ///< Of one address that is not of the Internet.
  InboundRate rate_ipv4{0.2, 16};
  InboundRate rate_ipv6_56{0.2, 16};
  InboundRate rate_ipv6_48{0.5, 80};
  InboundRate rate_private{20, 128};
  /// What all addresses share that have no place in the table below.
  InboundRate rate_others{20, 128};
  /// Addresses and prefixes remembered, of the Internet and private ones each.
  std::size_t sources_max = 4096;
  std::size_t allowed_entries_max = 1024;  ///< Peers, and prefixes, on the allow list.

  Resources() : Resources(256ull << 20, 1024) {}
  /// For Connections::connections_max.
  /// `memory_bytes`: of buffers and windows for all peers together, at least 64 MiB.
  /// `descriptors`: those that the process may have.
  Resources(std::uint64_t memory_bytes, std::uint64_t descriptors_max);
  /// The same for at most `most` connections: three fifths of them inbound, so that strangers
  /// cannot lock out what is dialled from here, and as many outbound.
  Resources& with_connections(std::size_t most);
  /// A quarter of the machine's memory, but 64 MiB at least and 1 GiB at most.
  static std::uint64_t memory_for(std::uint64_t machine_bytes);
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

/// Names to addresses. Source: docs/decisions/0015.
struct Resolver {
  std::size_t queries_max = 16;   ///< At the name servers at a time; beyond: a question waits.
  std::size_t waiting_max = 256;  ///< Questions that wait; beyond: kLimited.
  std::size_t answers_max = 64;   ///< Addresses or texts of one answer; the rest is ignored.
  std::size_t text_bytes_max = 16u << 10;  ///< Of all texts of one answer; the rest is ignored.
};

/// Turning the addresses of a peer that hold names into such that can be dialled. Beyond: what is
/// left is ignored, and the error says so. Source: js-libp2p stops after 32; libp2p specs,
/// addressing/README.md.
struct AddressResolution {
  std::size_t lookups_max = 32;    ///< Questions for all addresses of one attempt.
  std::size_t depth_max = 4;       ///< /dnsaddr that names /dnsaddr.
  std::size_t addresses_max = 64;  ///< Results of one attempt.
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

/// The beacon. Source: docs/protocols/beacon.md, "Limits".
struct Beacon {
  /// Known at a time; beyond: one of the source with the most gives way, or the new one is ignored.
  std::size_t peers_max = 512;
  std::size_t addresses_per_peer_max = 16;   ///< Of one beacon; the rest is ignored.
  std::size_t table_bytes_max = 512u << 10;  ///< Of addresses; beyond: as peers_max.
  std::size_t interfaces_max = 20;           ///< Used; those of higher index are left out.
  std::size_t departed_max = 1'024;          ///< Remembered with their serials; the oldest goes.
  std::uint32_t hints_per_second_max = 16;   ///< New or changed peers told; beyond: they wait.
  std::uint32_t packets_per_second_max = 15'000;  ///< Read; beyond: the kernel drops them.
  /// Beacons looked at of peers that are known, shared equally among them, and of each of them at
  /// most; signatures checked of all whom nobody knows; beacons looked at of one source of theirs;
  /// with what may come at once. Beyond: dropped and counted.
  double known_per_second = 320;
  double peer_per_second = 2;
  double peer_burst = 4;
  double strangers_per_second = 100;
  double strangers_burst = 100;
  double source_per_second = 2;
  double source_burst = 16;
  /// Budgets for the sources of strangers, found by a keyed hash: those that share one are one.
  std::size_t sources_max = 4'096;
};

/// What is known of peers. Source: docs/decisions/0017.
struct Peers {
  std::size_t addresses_max = 4'096;  ///< Of all peers; beyond: the worst of its part goes.
  std::size_t addresses_per_peer_max = 16;
  std::size_t peers_max = 4'096;  ///< Beyond: one without an address goes, or nothing is learnt.
  /// Parts of the table for addresses that never worked, and for those that did, and places in
  /// each.
  std::size_t new_buckets = 128;
  std::size_t proven_buckets = 64;
  std::size_t bucket_places = 16;
  /// Places for what persons say and for what is on the local network, together.
  std::size_t local_places = 1'024;
  /// Parts that one network of tellers, or one network of proven peers, can reach.
  std::size_t new_buckets_per_teller = 4;
  std::size_t proven_buckets_per_group = 2;
  std::size_t record_bytes_max = 4u << 10;   ///< Of a signed record; a larger one is not kept.
  std::size_t records_bytes_max = 4u << 20;  ///< Of all records; beyond: a new one is not kept.
  std::size_t key_bytes_max = 1'024;         ///< Of a public key; a larger one is not kept.
  std::size_t address_bytes_max = 256;       ///< Beyond: the address is left out.
  std::size_t bans_max = 10'000;  ///< Peers and prefixes; beyond: the one that ends first goes.
  std::size_t names_max = 1'024;  ///< Beyond: kLimited.
  std::size_t name_bytes_max = 64;
  std::size_t reason_bytes_max = 200;
  /// Of an address since its last success; then it goes. One that worked within `proven_time_min`
  /// stays longer.
  std::uint32_t failures_max = 10;
  std::chrono::hours proven_time_min{24 * 7};
  std::chrono::hours old_time_min{24 * 7};      ///< Not told again for so long: may be pushed out.
  std::chrono::hours unseen_time_max{24 * 30};  ///< Then a peer that nobody kept is forgotten.
  std::size_t store_bytes_max = 64u << 20;      ///< Of the database; beyond: kNoSpace.
  /// Networks whose peers were banned lately, counted until the network itself is banned.
  std::size_t strikes_max = 1'024;
};

/// The list of first peers. Beyond: the configuration is refused, dials wait.
struct Bootstrap {
  std::size_t entries_max = 64;
  std::size_t dials_max = 8;  ///< In progress.
};

/// Peers that tell of peers. Source: docs/protocols/exchange.md, "Limits".
struct Exchange {
  std::size_t records_max = 32;              ///< Of one answer; more make it malformed.
  std::size_t record_bytes_max = 4u << 10;   ///< A larger one makes the answer malformed.
  std::size_t request_bytes_max = 256;       ///< Beyond: the stream is reset.
  double addresses_per_second = 0.1;         ///< From one network of tellers; beyond: counted.
  double addresses_burst = 100;              ///< Same.
  double addresses_per_second_all = 0.5;     ///< Of all tellers together; same.
  double addresses_burst_all = 300;          ///< Same.
  double requests_per_second = 1.0 / 60;     ///< Of one asker; beyond: reset, kRateLimited.
  double requests_burst = 4;                 ///< Same.
  std::size_t tellers_max = 256;             ///< Networks of them; beyond: others share a rate.
  std::size_t askers_max = 1'024;            ///< Same.
  std::size_t samples_max = 256;             ///< Answers kept the same; beyond: the oldest goes.
  std::size_t known_bytes_max = 256u << 10;  ///< Of verified records; beyond: the oldest goes.
  std::size_t answers_open_max = 8;          ///< Being verified; beyond: one more is ignored.
  std::size_t hints_waiting_max = 256;       ///< Beyond: the rest of an answer is ignored.
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
  std::chrono::seconds stall_time_max{10};   ///< Without a byte; then a request goes elsewhere.
  std::chrono::seconds idle_time_max{60};    ///< A served stream without a request is closed.
  std::chrono::seconds serve_time_max{120};  ///< The peer takes nothing; then the stream is reset.
};

inline Resources::Resources(std::uint64_t memory_bytes, std::uint64_t descriptors_max) {
  constexpr std::uint64_t kMiB = 1u << 20;
  const std::uint64_t memory = std::max(memory_bytes, 64 * kMiB);
  const auto share = [](std::uint64_t wanted, std::uint64_t least, std::uint64_t most) {
    return std::clamp(wanted, least, most);
  };
  // 16 MiB in a stream and 32 MiB in a connection carry 10 Gbit/s over 13 ms; a window, which is
  // optional, takes three quarters of these at most.
  const std::uint64_t of_stream = share(memory / 8, 4 * kMiB, 24 * kMiB);
  const std::uint64_t of_connection = share(memory / 4, 8 * kMiB, 48 * kMiB);
  const std::uint64_t of_peer = share(memory * 3 / 8, 16 * kMiB, 96 * kMiB);
  const std::uint64_t of_node = memory - memory / 4;
  const std::uint64_t fds = descriptors_max;
  node = {of_node, 4096, 4096, 8192, 0, 0, 0, fds / 2};
  with_connections(Connections{}.connections_max);
  transient = {memory / 8, 0, 0, 0, 32, 64, 96, fds / 8};
  allowed = {memory / 8, 1024, 1024, 2048, 32, 32, 64, fds / 8};
  peer = {of_peer, 256, 256, 512, 8, 8, 8, 8};
  protocol = {of_node, 1024, 2048, 2560, 0, 0, 0, 0};
  protocol_peer = {of_peer, 128, 256, 320, 0, 0, 0, 0};
  connection = {of_connection, 256, 256, 512, 1, 1, 1, 1};
  stream = {of_stream, 1, 1, 1, 0, 0, 0, 0};
}

inline Resources& Resources::with_connections(std::size_t most) {
  node.connections = most;
  node.connections_inbound = node.connections_outbound = most < 4 ? most : most - most * 2 / 5;
  return *this;
}

inline std::uint64_t Resources::memory_for(std::uint64_t machine_bytes) {
  return std::clamp<std::uint64_t>(machine_bytes / 4, 64ull << 20, 1ull << 30);
}

}  // namespace warren::limits
