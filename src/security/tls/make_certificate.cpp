#include <fmt/core.h>

#include "security/tls/certificate.hpp"
#include "security/tls/der.hpp"
#include "security/tls/x509_handles.hpp"

namespace warren::security {
namespace {

constexpr long kValidBeforeSeconds = 60 * 60;  // Clocks of peers differ. Source: go-libp2p.
constexpr int kValidDays = 36'525;             // 100 years. Source: go-libp2p.
constexpr int kSerialBits = 127;  // Positive in 16 octets; RFC 5280, 4.1.2.2 allows 20.

template <class T, class Write>
Bytes to_der(const T* object, Write write) {
  std::uint8_t* written = nullptr;
  const int length = write(object, &written);
  if (length <= 0) return {};
  Bytes der(written, written + length);
  ::OPENSSL_clear_free(written, static_cast<std::size_t>(length));
  return der;
}

bool set_random_serial(X509* certificate) {
  BIGNUM* number = ::BN_new();
  const bool good = number != nullptr &&
                    ::BN_rand(number, kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ODD) == 1 &&
                    ::BN_to_ASN1_INTEGER(number, ::X509_get_serialNumber(certificate)) != nullptr;
  ::BN_free(number);
  return good;
}

// The names that the specification's test vectors have; peers ignore them, and an empty issuer is
// against RFC 5280.
bool set_names(X509* certificate) {
  X509_NAME* const name = ::X509_get_subject_name(certificate);
  const auto* const organisation = reinterpret_cast<const unsigned char*>("libp2p.io");
  return ::X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC, organisation, -1,
                                      -1, 0) == 1 &&
         ::X509_set_issuer_name(certificate, name) == 1;
}

bool set_validity(X509* certificate, WallTime now) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  return ::X509_time_adj_ex(::X509_getm_notBefore(certificate), 0, -kValidBeforeSeconds,
                            const_cast<std::time_t*>(&seconds)) != nullptr &&
         ::X509_time_adj_ex(::X509_getm_notAfter(certificate), kValidDays, 0,
                            const_cast<std::time_t*>(&seconds)) != nullptr;
}

// SEQUENCE { OCTET STRING public key, OCTET STRING signature over the certificate's key }.
bool add_extension(X509* certificate, const crypto::PrivateKey& identity, EVP_PKEY* key) {
  Bytes statement = to_bytes(kSigningPrefix);
  const Bytes spki =
      to_der(key, [](const EVP_PKEY* k, std::uint8_t** out) { return ::i2d_PUBKEY(k, out); });
  if (spki.empty()) return false;
  append(statement, spki);
  Bytes fields;
  append_der(fields, kDerOctetString, identity.public_key().protobuf());
  append_der(fields, kDerOctetString, identity.sign(statement));
  Bytes value;
  append_der(value, kDerSequence, fields);

  const OctetsHandle octets(::ASN1_OCTET_STRING_new());
  const ObjectHandle oid(::OBJ_txt2obj(kExtensionOid, 1));
  if (octets == nullptr || oid == nullptr ||
      ::ASN1_OCTET_STRING_set(octets.get(), value.data(), static_cast<int>(value.size())) != 1) {
    return false;
  }
  const ExtensionHandle extension(
      ::X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 1, octets.get()));
  return extension != nullptr && ::X509_add_ext(certificate, extension.get(), -1) == 1;
}

Bytes private_key_der(EVP_PKEY* key) {
  const Pkcs8Handle pkcs8(::EVP_PKEY2PKCS8(key));
  if (pkcs8 == nullptr) return {};
  return to_der(pkcs8.get(), [](const PKCS8_PRIV_KEY_INFO* k, std::uint8_t** out) {
    return ::i2d_PKCS8_PRIV_KEY_INFO(k, out);
  });
}

}  // namespace

Result<CertificatePair> make_certificate(const crypto::PrivateKey& identity, WallTime now) {
  const crypto::ErrorQueueGuard guard;
  // Every libp2p program takes P-256 with SHA-256, and Rust's wants exactly this pair.
  const crypto::PkeyHandle key(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const CertificateHandle certificate(::X509_new());
  const bool made = key != nullptr && certificate != nullptr &&
                    ::X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                    set_random_serial(certificate.get()) && set_names(certificate.get()) &&
                    set_validity(certificate.get(), now) &&
                    ::X509_set_pubkey(certificate.get(), key.get()) == 1 &&
                    add_extension(certificate.get(), identity, key.get()) &&
                    ::X509_sign(certificate.get(), key.get(), ::EVP_sha256()) > 0;
  if (!made) {
    return fail(ErrorCode::kInternal, fmt::format("making a TLS certificate: OpenSSL error {:x}",
                                                  ::ERR_peek_last_error()));
  }
  CertificatePair pair{to_der(certificate.get(),
                              [](const X509* c, std::uint8_t** out) { return ::i2d_X509(c, out); }),
                       private_key_der(key.get())};
  if (pair.certificate.empty() || pair.private_key.empty()) {
    return fail(ErrorCode::kInternal, "making a TLS certificate: OpenSSL wrote no DER");
  }
  return pair;
}

}  // namespace warren::security
