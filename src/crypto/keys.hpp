#pragma once
// Identity keys. Source: libp2p specs, peer-ids/peer-ids.md.

#include <array>
#include <memory>
#include <variant>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::crypto {

enum class KeyType : std::uint8_t { kRsa = 0, kEd25519 = 1, kSecp256k1 = 2, kEcdsa = 3 };

/// A peer's public key, by value. Immutable.
class PublicKey {
 public:
  PublicKey() = default;  ///< Empty; verifies nothing.
  /// `protobuf` is libp2p's PublicKey message. Errors: kMalformed, kUnsupported (RSA below 2,048
  /// or above 8,192 bits, ECDSA on another curve than P-256).
  static Result<PublicKey> from_protobuf(BytesView protobuf);
  static PublicKey from_ed25519(BytesView raw32);

  KeyType type() const noexcept { return type_; }
  /// Deterministic; what a peer id hashes.
  const Bytes& protobuf() const noexcept { return protobuf_; }
  /// Whether `signature` over `message` is this key's. False on any malformed signature.
  bool verify(BytesView message, BytesView signature) const;
  bool operator==(const PublicKey& other) const { return protobuf_ == other.protobuf_; }

 private:
  KeyType type_ = KeyType::kEd25519;
  Bytes protobuf_;
  std::shared_ptr<void> handle_;  // EVP_PKEY.
};

/// An Ed25519 private key. Its memory is wiped when the last copy goes.
class PrivateKey {
 public:
  /// From the 32-byte seed of RFC 8032.
  static PrivateKey from_seed(BytesView seed32);
  /// libp2p's PrivateKey message with an Ed25519 key. Errors: kMalformed, kUnsupported.
  static Result<PrivateKey> from_protobuf(BytesView protobuf);
  /// PKCS#8 PEM. Errors: kMalformed, kUnsupported.
  static Result<PrivateKey> from_pem(std::string_view pem);

  std::string to_pem() const;
  Bytes to_protobuf() const;
  const PublicKey& public_key() const noexcept { return public_key_; }
  /// 64 bytes.
  Bytes sign(BytesView message) const;

 private:
  PrivateKey() = default;
  PublicKey public_key_;
  std::shared_ptr<void> handle_;
};

}  // namespace warren::crypto
