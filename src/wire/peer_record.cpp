#include "wire/peer_record.hpp"

#include <fmt/core.h>

#include "base/limits.hpp"
#include "proto/peer_record.pb.h"
#include "wire/envelope.hpp"
#include "wire/message.hpp"

namespace warren::wire {
namespace {

struct RecordForm {
  std::string_view domain;
  std::string_view payload_type;
};

// What programs send (Go, JavaScript, Python), and what the RFC's text and Rust's identify say.
constexpr RecordForm kDeployed{"libp2p-peer-record", "\x03\x01"};
constexpr RecordForm kOfText{"libp2p-routing-state", "/libp2p/routing-state-record"};

Result<SignedEnvelope> open_either(BytesView bytes) {
  auto deployed = open_envelope(bytes, kDeployed.domain, as_bytes(kDeployed.payload_type));
  if (deployed || deployed.error().code() != ErrorCode::kIntegrity) return deployed;
  auto of_text = open_envelope(bytes, kOfText.domain, as_bytes(kOfText.payload_type));
  if (of_text) return of_text;
  return deployed;  // Its error names the domain that is meant to be used.
}

std::vector<Multiaddr> readable_addresses(const proto::PeerRecord& record) {
  const std::size_t addresses_max = limits::Messages{}.addresses_max;
  std::vector<Multiaddr> addresses;
  for (const auto& info : record.addresses()) {
    if (addresses.size() == addresses_max) break;
    auto address = Multiaddr::from_bytes(as_bytes(info.multiaddr()));
    if (address) addresses.push_back(std::move(*address));
  }
  return addresses;
}

}  // namespace

Bytes seal_peer_record(const crypto::PrivateKey& key, std::uint64_t seq,
                       const std::vector<Multiaddr>& addresses) {
  proto::PeerRecord record;
  const PeerId peer = PeerId::from_public_key(key.public_key().protobuf());
  record.set_peer_id(std::string(as_text(peer.bytes())));
  record.set_seq(seq);
  for (const Multiaddr& address : addresses) {
    record.add_addresses()->set_multiaddr(std::string(as_text(address.bytes())));
  }
  return seal_envelope(key, kDeployed.domain, as_bytes(kDeployed.payload_type), serialize(record));
}

Result<PeerRecord> open_peer_record(BytesView envelope) {
  WARREN_TRY(const SignedEnvelope opened, open_either(envelope));
  WARREN_TRY(const auto record, parse<proto::PeerRecord>(opened.payload, "peer record"));
  WARREN_TRY(const PeerId peer, PeerId::from_bytes(as_bytes(record.peer_id())));
  const PeerId signer = PeerId::from_public_key(opened.key.protobuf());
  if (peer != signer) {
    return fail(ErrorCode::kIntegrity, fmt::format("peer record of {} signed by {}",
                                                   peer.to_string(), signer.to_string()));
  }
  return PeerRecord{peer, record.seq(), readable_addresses(record)};
}

}  // namespace warren::wire
