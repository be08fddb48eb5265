#pragma once
// Bounds of catalogs. What happens beyond each stands beside it.

#include <cstddef>

#include "base/time.hpp"

namespace warren::limits {

struct Catalog {
  /// Of one message. Beyond: kTooLarge, a violation.
  std::size_t message_bytes_max = 320u << 10;
  /// Entries and removed ids of one message, and what they take together when we send them. Beyond:
  /// the next part; from a peer, a violation.
  std::size_t page_entries_max = 1'000;
  std::size_t page_bytes_max = 256u << 10;
  /// Parts of one snapshot or delta. Beyond: a violation.
  std::size_t parts_max = 200'000;
  /// Of a Hello. Beyond: features and addresses that are left out.
  std::size_t features_max = 16;
  std::size_t feature_bytes_max = 32;
  std::size_t addresses_max = 64;
  std::size_t address_bytes_max = 1024;
  std::size_t protocols_max = 256;       ///< Of a PeerInfo; the rest is left out.
  std::size_t protocol_bytes_max = 140;  ///< Of each; one that is longer is left out.
  std::size_t agent_bytes_max = 256;     ///< Of a PeerInfo; beyond: a violation.
  std::size_t pattern_bytes_max = 255;   ///< Of a query; beyond: refused.
  std::size_t refusal_text_bytes_max = 512;

  /// What is kept of other nodes. An entry beyond the first ends the subscription (FULL); beyond
  /// the others the peers that were seen longest ago go.
  std::size_t entries_per_peer_max = 200'000;
  std::size_t entries_max = 2'000'000;
  std::size_t peers_max = 4'096;
  std::size_t store_bytes_max = 4u << 30;  ///< Of the file; beyond: kNoSpace.

  /// Patterns that a person may subscribe to. Beyond: refused.
  std::size_t patterns_max = 1'000;

  /// Peers that are subscribed to. Beyond: others, when one of them goes.
  std::size_t subscriptions_max = 512;
  std::size_t serve_streams_max = 512;         ///< Over all peers; beyond: the stream is reset.
  std::size_t serve_streams_per_peer_max = 4;  ///< Same.
  /// Queries and questions of one peer. Beyond: refused (RATE_LIMITED).
  double queries_burst = 16;
  double queries_per_second = 2;
  /// What one peer reports that it lacks of our set. Beyond: refused (RATE_LIMITED).
  double reports_burst = 4;
  double reports_per_second = 0.5;
  /// Entries of one peer that are taken in. Beyond: reading waits, and with it the peer.
  double intake_burst = 400'000;
  double intake_per_second = 2'000;
};

}  // namespace warren::limits
