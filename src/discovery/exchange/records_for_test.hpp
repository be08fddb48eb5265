#pragma once
// Keys and signed records made of numbers.

#include <memory>
#include <vector>

#include "base/check.hpp"
#include "crypto/keys.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"
#include "peers/peer_book.hpp"
#include "wire/envelope.hpp"
#include "wire/peer_record.hpp"

namespace warren::discovery::fakes {

inline Multiaddr address(std::string_view text) {
  auto parsed = Multiaddr::parse(text);
  WARREN_CHECK(parsed);
  return *parsed;
}

inline crypto::PrivateKey key_of(std::uint32_t n) {
  Bytes seed(32, 0xee);
  for (std::size_t i = 0; i < 4; ++i) seed[i] = static_cast<std::uint8_t>(n >> (8 * i));
  return crypto::PrivateKey::from_seed(seed);
}
inline PeerId id_of(const crypto::PrivateKey& key) {
  return PeerId::from_public_key(key.public_key().protobuf());
}
inline PeerId peer(std::uint32_t n) { return id_of(key_of(n)); }

/// A public address that belongs to `n`.
inline Multiaddr public_address(std::uint32_t n) {
  return Multiaddr::quic(
      {IpAddress::v4(198, static_cast<std::uint8_t>(51 + n / 65'536),
                     static_cast<std::uint8_t>(n / 256), static_cast<std::uint8_t>(n)),
       4001, 0});
}
inline Bytes record(std::uint32_t n, const std::vector<Multiaddr>& addresses,
                    std::uint64_t sequence = 1) {
  return wire::seal_peer_record(key_of(n), sequence, addresses);
}
inline Bytes record(std::uint32_t n) { return record(n, {public_address(n)}); }
/// The record of peer `n`, signed by the key of `signer`.
inline Bytes wrong_signer_record(std::uint32_t n, std::uint32_t signer) {
  const auto honest = wire::open_envelope(record(n), "libp2p-peer-record");
  WARREN_CHECK(honest);
  return wire::seal_envelope(key_of(signer), "libp2p-peer-record", honest->payload_type,
                             honest->payload);
}
inline std::shared_ptr<const peers::SignedRecord> shared_record(Bytes envelope) {
  return std::make_shared<const peers::SignedRecord>(peers::SignedRecord{std::move(envelope), 1});
}

}  // namespace warren::discovery::fakes
