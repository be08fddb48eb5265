#pragma once
// Peer records: proto/peer_record.proto. Source: libp2p specs, RFC/0003-routing-records.md.

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/keys.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::wire {

/// Where a peer says that it listens, at its own sequence number `seq`.
struct PeerRecord {
  PeerId peer;
  std::uint64_t seq = 0;
  std::vector<Multiaddr> addresses;
};

/// The envelope that `key` signs over its own addresses, in the form that other programs send:
/// domain "libp2p-peer-record", payload type 03 01.
Bytes seal_peer_record(const crypto::PrivateKey& key, std::uint64_t seq,
                       const std::vector<Multiaddr>& addresses);

/// Opens an envelope with a peer record, in the deployed form or in that of the specification's
/// text. Addresses that this build cannot read are left out; of the rest
/// limits::Messages::addresses_max are kept.
/// Errors: as open_envelope; kIntegrity when the record is about another peer than its signer.
Result<PeerRecord> open_peer_record(BytesView envelope);

}  // namespace warren::wire
