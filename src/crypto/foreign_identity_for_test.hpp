#pragma once
// Identities of types that this program verifies but does not make, for tests.

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/check.hpp"
#include "crypto/key_protobuf.hpp"
#include "crypto/keys.hpp"
#include "crypto/openssl_handles.hpp"

namespace warren::crypto {

/// A new RSA (2,048 bits), ECDSA (P-256) or secp256k1 key.
class ForeignIdentity {
 public:
  explicit ForeignIdentity(KeyType type) : key_(make(type)) {
    std::uint8_t* written = nullptr;
    std::size_t size = 0;
    if (type == KeyType::kSecp256k1) {
      size = ::EVP_PKEY_get1_encoded_public_key(key_.get(), &written);
      WARREN_CHECK(size == 65);
      // x and y; compressed: x, and whether y is odd.
      written[0] = static_cast<std::uint8_t>(2 + written[size - 1] % 2);
      size = 33;
    } else {
      size = static_cast<std::size_t>(::i2d_PUBKEY(key_.get(), &written));
    }
    protobuf_ = write_key_message(static_cast<std::uint64_t>(type), {written, size});
    ::OPENSSL_free(written);
  }

  const Bytes& protobuf() const { return protobuf_; }
  PublicKey public_key() const { return PublicKey::from_protobuf(protobuf_).value(); }

  /// Over SHA-256: PKCS#1 v1.5, or ECDSA in DER whose s may be large.
  Bytes sign(BytesView message) const {
    const DigestContextHandle context(::EVP_MD_CTX_new());
    std::size_t size = 0;
    ::EVP_DigestSignInit(context.get(), nullptr, ::EVP_sha256(), nullptr, key_.get());
    ::EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size());
    Bytes signature(size);
    WARREN_CHECK(::EVP_DigestSign(context.get(), signature.data(), &size, message.data(),
                                  message.size()) == 1);
    signature.resize(size);
    return signature;
  }

 private:
  static EVP_PKEY* make(KeyType type) {
    switch (type) {
      case KeyType::kRsa: return ::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048});
      case KeyType::kSecp256k1: return ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp256k1");
      case KeyType::kEcdsa: return ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
      case KeyType::kEd25519: break;
    }
    return nullptr;
  }

  PkeyHandle key_;
  Bytes protobuf_;
};

}  // namespace warren::crypto
