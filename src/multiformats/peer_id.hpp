#pragma once
// Peer ids: the multihash of a serialized public key.
// Source: libp2p specs, peer-ids/peer-ids.md.

#include <compare>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::multiformats {

/// A peer's name, by value; compares by its raw multihash bytes.
class PeerId {
 public:
  PeerId() = default;  ///< Empty: no peer.
  /// A multihash: identity of 1 to 42 bytes, or sha2-256. Whether the bytes of an identity
  /// multihash are a key is for crypto::PublicKey::from_protobuf to say. Errors: kMalformed.
  static Result<PeerId> from_bytes(BytesView multihash);
  /// From the protobuf of a public key, not empty (36 bytes for Ed25519): the key itself when it
  /// has at most 42 bytes, else its SHA-256.
  static PeerId from_public_key(BytesView key_protobuf);
  /// base58btc ("12D3Koo...", "Qm...") or a CIDv1 with codec libp2p-key. Errors: kInvalidArgument.
  static Result<PeerId> parse(std::string_view text);

  bool empty() const noexcept { return bytes_.empty(); }
  BytesView bytes() const noexcept { return as_bytes(bytes_); }
  /// base58btc.
  std::string to_string() const;
  /// CIDv1 in base32 with codec libp2p-key, "bafz...".
  std::string to_cid_string() const;
  /// The key protobuf inside an identity multihash; empty for sha2-256 ids.
  BytesView inline_key() const noexcept;

  auto operator<=>(const PeerId&) const = default;

 private:
  friend struct std::hash<PeerId>;
  std::string bytes_;
};

}  // namespace warren::multiformats

template <>
struct std::hash<warren::multiformats::PeerId> {
  std::size_t operator()(const warren::multiformats::PeerId& id) const noexcept {
    return std::hash<std::string>{}(id.bytes_);
  }
};

namespace warren {
using multiformats::PeerId;
}
