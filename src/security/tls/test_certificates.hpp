#pragma once
// Certificates for tests: good ones of every kind of identity, and any that a test spoils.

#include <functional>
#include <string_view>

#include "base/check.hpp"
#include "crypto/keys.hpp"
#include "crypto/openssl_handles.hpp"
#include "security/tls/certificate.hpp"
#include "security/tls/der.hpp"
#include "security/tls/x509_handles.hpp"

namespace warren::security {

inline const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1);
inline constexpr auto kYear = std::chrono::hours(24 * 365);

inline crypto::PrivateKey identity(std::uint8_t seed = 1) {
  return crypto::PrivateKey::from_seed(Bytes(32, seed));
}

/// What the identity key signs: `prefix` and the certificate's key.
inline Bytes statement_for(EVP_PKEY* key, std::string_view prefix = kSigningPrefix) {
  std::uint8_t* spki = nullptr;
  const int size = ::i2d_PUBKEY(key, &spki);
  Bytes statement = to_bytes(prefix);
  append(statement, BytesView(spki, static_cast<std::size_t>(size)));
  ::OPENSSL_free(spki);
  return statement;
}

inline Bytes extension_value(BytesView key_protobuf, BytesView signature) {
  Bytes fields;
  append_der(fields, kDerOctetString, key_protobuf);
  append_der(fields, kDerOctetString, signature);
  Bytes value;
  append_der(value, kDerSequence, fields);
  return value;
}

inline Bytes value_for(const crypto::PrivateKey& signer, EVP_PKEY* key,
                       std::string_view prefix = kSigningPrefix) {
  return extension_value(signer.public_key().protobuf(), signer.sign(statement_for(key, prefix)));
}

inline void add_extension(X509* certificate, const char* oid_text, BytesView value, bool critical) {
  const OctetsHandle octets(::ASN1_OCTET_STRING_new());
  ::ASN1_OCTET_STRING_set(octets.get(), value.data(), static_cast<int>(value.size()));
  const ObjectHandle oid(::OBJ_txt2obj(oid_text, 1));
  const ExtensionHandle extension(
      ::X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), critical ? 1 : 0, octets.get()));
  WARREN_CHECK(::X509_add_ext(certificate, extension.get(), -1) == 1);
}

/// A certificate that is good but for what a test changes.
struct Recipe {
  crypto::PkeyHandle key{::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")};
  EVP_PKEY* signer = nullptr;  ///< nullptr: `key` itself.
  const EVP_MD* digest = ::EVP_sha256();
  WallTime from = kNow - kYear;
  WallTime to = kNow + kYear;
  long version = X509_VERSION_3;
  std::function<void(X509*, EVP_PKEY*)> extensions = [](X509* certificate, EVP_PKEY* own) {
    add_extension(certificate, kExtensionOid, value_for(identity(), own), false);
  };

  Bytes make() const {
    const CertificateHandle certificate(::X509_new());
    ::X509_set_version(certificate.get(), version);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate.get()), 7);
    const auto seconds = [](WallTime time) {
      return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    };
    ::ASN1_TIME_set(::X509_getm_notBefore(certificate.get()), seconds(from));
    ::ASN1_TIME_set(::X509_getm_notAfter(certificate.get()), seconds(to));
    ::X509_set_pubkey(certificate.get(), key.get());
    extensions(certificate.get(), key.get());
    WARREN_CHECK(::X509_sign(certificate.get(), signer != nullptr ? signer : key.get(), digest) >
                 0);
    std::uint8_t* der = nullptr;
    const int size = ::i2d_X509(certificate.get(), &der);
    Bytes bytes(der, der + size);
    ::OPENSSL_free(der);
    return bytes;
  }
};

/// An identity of a type that this node verifies but does not make.
class ForeignIdentity {
 public:
  explicit ForeignIdentity(crypto::KeyType type) : key_(make_key(type)) {
    const bool is_point = type == crypto::KeyType::kSecp256k1;
    std::uint8_t* written = nullptr;
    std::size_t size = is_point ? ::EVP_PKEY_get1_encoded_public_key(key_.get(), &written)
                                : static_cast<std::size_t>(::i2d_PUBKEY(key_.get(), &written));
    if (is_point) {  // x and y; compressed: x, and whether y is odd.
      written[0] = static_cast<std::uint8_t>(2 + written[size - 1] % 2);
      size = 33;
    }
    protobuf_ = {0x08, static_cast<std::uint8_t>(type), 0x12};
    for (std::size_t rest = size;; rest >>= 7) {
      protobuf_.push_back(static_cast<std::uint8_t>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0)));
      if (rest <= 0x7f) break;
    }
    append(protobuf_, {written, size});
    ::OPENSSL_free(written);
  }

  const Bytes& protobuf() const { return protobuf_; }

  Bytes sign(BytesView message) const {
    const crypto::DigestContextHandle context(::EVP_MD_CTX_new());
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
  static EVP_PKEY* make_key(crypto::KeyType type) {
    switch (type) {
      case crypto::KeyType::kRsa:
        return ::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048});
      case crypto::KeyType::kSecp256k1:
        return ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp256k1");
      case crypto::KeyType::kEcdsa: return ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
      case crypto::KeyType::kEd25519: break;
    }
    return nullptr;
  }

  crypto::PkeyHandle key_;
  Bytes protobuf_;
};

}  // namespace warren::security
