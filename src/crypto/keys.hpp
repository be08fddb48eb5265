#pragma once
// Identity keys. Source: libp2p specs, peer-ids/peer-ids.md.

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::crypto {

enum class KeyType : std::uint8_t { kRsa = 0, kEd25519 = 1, kSecp256k1 = 2, kEcdsa = 3 };

/// "RSA", "Ed25519", "secp256k1", "ECDSA".
std::string_view key_type_name(KeyType type) noexcept;

/// Longest PublicKey message that is read. An RSA key of 8,192 bits takes 1,062.
inline constexpr std::size_t kKeyProtobufBytesMax = 2048;

/// A peer's public key, by value. Immutable.
class PublicKey {
 public:
  PublicKey() = default;  ///< Empty; verifies nothing.
  /// `protobuf` is libp2p's PublicKey message in its one deterministic encoding, because a peer id
  /// is a hash of these bytes. Errors: kMalformed, kTooLarge, kUnsupported (RSA below 2,048 or
  /// above 8,192 bits or with an exponent above 32 bits, ECDSA on another curve than P-256).
  static Result<PublicKey> from_protobuf(BytesView protobuf);
  /// `raw32` has 32 bytes.
  static PublicKey from_ed25519(BytesView raw32);

  bool empty() const noexcept { return handle_ == nullptr; }
  KeyType type() const noexcept { return type_; }
  /// Deterministic; what a peer id hashes.
  const Bytes& protobuf() const noexcept { return protobuf_; }
  /// Whether `signature` over `message` is this key's. False on any malformed signature. Ed25519
  /// takes raw signatures of 64 bytes; ECDSA takes DER and RSA PKCS#1 v1.5, over SHA-256.
  /// Any thread. About 50 to 200 us, by type.
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
  /// A new key from OpenSSL's generator. Only for real nodes: a simulated one uses from_seed.
  /// Errors: kInternal when the system gives no randomness.
  static Result<PrivateKey> generate();
  /// From the 32-byte seed of RFC 8032.
  static PrivateKey from_seed(BytesView seed32);
  /// libp2p's PrivateKey message with an Ed25519 key. Errors: kMalformed, kUnsupported.
  static Result<PrivateKey> from_protobuf(BytesView protobuf);
  /// PKCS#8 PEM without a passphrase, at most 16 KiB. Errors: kMalformed, kUnsupported.
  static Result<PrivateKey> from_pem(std::string_view pem);

  /// The caller wipes it when it need not live on.
  std::string to_pem() const;
  /// Seed and public key, 68 bytes. The caller wipes it when it need not live on.
  Bytes to_protobuf() const;
  const PublicKey& public_key() const noexcept { return public_key_; }
  /// 64 bytes.
  Bytes sign(BytesView message) const;

 private:
  PrivateKey() = default;
  /// Takes over an Ed25519 EVP_PKEY.
  static PrivateKey adopt(void* key);
  PublicKey public_key_;
  std::shared_ptr<void> handle_;  // EVP_PKEY.
};

}  // namespace warren::crypto
