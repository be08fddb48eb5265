#include <fmt/core.h>
#include <openssl/core_names.h>

#include <algorithm>
#include <array>

#include "security/tls/certificate.hpp"
#include "security/tls/der.hpp"
#include "security/tls/x509_handles.hpp"

namespace warren::security {
namespace {

using crypto::PublicKey;

// The strength of RSA with 2,048 bits; refuses SHA-1 and MD5. Source: NIST SP 800-57, table 2.
constexpr int kSecurityBitsMin = 112;
constexpr int kRsaBitsMax = 8192;  // As for identities: bounds the cost of one verification.
constexpr int kRsaExponentBitsMax = 32;

auto malformed(std::string reason) {
  return fail(ErrorCode::kMalformed, "certificate: " + std::move(reason));
}
auto refused(std::string reason) {
  return fail(ErrorCode::kIntegrity, "certificate: " + std::move(reason));
}
auto unsupported(std::string reason) {
  return fail(ErrorCode::kUnsupported, "certificate: " + std::move(reason));
}

Result<CertificateHandle> decode(BytesView der) {
  if (der.size() > kCertificateBytesMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("certificate: {} bytes; {} is the most",
                                                  der.size(), kCertificateBytesMax));
  }
  const std::uint8_t* at = der.data();
  CertificateHandle certificate(::d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr || at != der.data() + der.size()) {
    return malformed(fmt::format("{} bytes are not one X.509 certificate", der.size()));
  }
  // What lies outside of the signed part is not signed: let it have one spelling only.
  std::uint8_t* written = nullptr;
  const int length = ::i2d_X509(certificate.get(), &written);
  const bool same =
      length > 0 && std::ranges::equal(der, BytesView(written, static_cast<std::size_t>(length)));
  ::OPENSSL_free(written);
  if (!same) return malformed("it is not in DER");
  if (::X509_get_version(certificate.get()) != X509_VERSION_3)
    return malformed("it is not X.509 v3");
  const ASN1_BIT_STRING* issuer_id = nullptr;
  const ASN1_BIT_STRING* subject_id = nullptr;
  ::X509_get0_uids(certificate.get(), &issuer_id, &subject_id);
  if (issuer_id != nullptr || subject_id != nullptr) return malformed("it has a unique id field");
  return certificate;
}

Result<> check_validity(const X509* certificate, WallTime now) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  const int begins = ::ASN1_TIME_cmp_time_t(::X509_get0_notBefore(certificate), seconds);
  const int ends = ::ASN1_TIME_cmp_time_t(::X509_get0_notAfter(certificate), seconds);
  if (begins == -2 || ends == -2) return malformed("its validity is no time");
  if (begins > 0) {
    return refused(
        fmt::format("it is not valid yet at {} s since 1970; compare the clocks", seconds));
  }
  if (ends < 0) return refused(fmt::format("it has expired at {} s since 1970", seconds));
  return {};
}

Result<> check_rsa(const EVP_PKEY* key) {
  BIGNUM* exponent = nullptr;
  ::EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent);
  const int exponent_bits = exponent == nullptr ? 0 : ::BN_num_bits(exponent);
  ::BN_free(exponent);
  const int bits = ::EVP_PKEY_get_bits(key);
  if (bits > kRsaBitsMax || exponent_bits < 2 || exponent_bits > kRsaExponentBitsMax) {
    return unsupported(
        fmt::format("an RSA key of {} bits with an exponent of {} bits", bits, exponent_bits));
  }
  return {};
}

Result<> check_key(const EVP_PKEY* key) {
  if (::EVP_PKEY_get_security_bits(key) < kSecurityBitsMin)
    return unsupported("its key is too weak");
  if (::EVP_PKEY_is_a(key, "RSA") == 1 || ::EVP_PKEY_is_a(key, "RSA-PSS") == 1) {
    return check_rsa(key);
  }
  if (::EVP_PKEY_is_a(key, "ED25519") == 1) return {};
  std::array<char, 64> group{};
  if (::EVP_PKEY_is_a(key, "EC") == 1 &&
      ::EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1) {
    const std::string_view name(group.data());
    if (name == SN_X9_62_prime256v1 || name == SN_secp384r1 || name == SN_secp521r1) return {};
  }
  return unsupported("its key is none of P-256, P-384, P-521, Ed25519, RSA");
}

Result<> check_self_signature(X509* certificate) {
  EVP_PKEY* const key = ::X509_get0_pubkey(certificate);
  if (key == nullptr) return unsupported("its key is of an unknown kind");
  WARREN_TRY_VOID(check_key(key));
  int strength_bits = 0;
  if (::X509_get_signature_info(certificate, nullptr, nullptr, &strength_bits, nullptr) != 1 ||
      strength_bits < kSecurityBitsMin) {
    return unsupported("its signature algorithm is unknown or too weak");
  }
  if (::X509_verify(certificate, key) != 1) return refused("its own signature is wrong");
  return {};
}

// The value of the one libp2p extension; refuses others that claim to matter.
Result<BytesView> find_extension(const X509* certificate) {
  const ObjectHandle oid(::OBJ_txt2obj(kExtensionOid, 1));
  if (oid == nullptr) return fail(ErrorCode::kInternal, "no memory for an object id");
  BytesView value;
  int found = 0;
  for (int i = 0; i < ::X509_get_ext_count(certificate); ++i) {
    X509_EXTENSION* const extension = ::X509_get_ext(certificate, i);
    if (::OBJ_cmp(::X509_EXTENSION_get_object(extension), oid.get()) == 0) {
      const ASN1_OCTET_STRING* const octets = ::X509_EXTENSION_get_data(extension);
      value = {::ASN1_STRING_get0_data(octets),
               static_cast<std::size_t>(::ASN1_STRING_length(octets))};
      ++found;
    } else if (::X509_EXTENSION_get_critical(extension) != 0) {
      return unsupported("it has a critical extension that libp2p does not define");
    }
  }
  if (found == 0) return refused("it lacks the libp2p extension, so it proves no peer id");
  if (found > 1) return refused(fmt::format("it has the libp2p extension {} times", found));
  return value;
}

Result<PublicKey> check_extension(BytesView value, const X509* certificate) {
  WARREN_TRY(BytesView fields, take_der(value, kDerSequence));
  WARREN_TRY(const BytesView key_protobuf, take_der(fields, kDerOctetString));
  WARREN_TRY(const BytesView signature, take_der(fields, kDerOctetString));
  if (!value.empty() || !fields.empty()) {
    return fail(ErrorCode::kMalformed, "bytes follow the key and its signature");
  }
  WARREN_TRY(PublicKey identity, PublicKey::from_protobuf(key_protobuf));

  std::uint8_t* spki = nullptr;
  const int length = ::i2d_X509_PUBKEY(::X509_get_X509_PUBKEY(certificate), &spki);
  if (length <= 0) return fail(ErrorCode::kInternal, "OpenSSL wrote no SubjectPublicKeyInfo");
  Bytes statement = to_bytes(kSigningPrefix);
  append(statement, {spki, static_cast<std::size_t>(length)});
  ::OPENSSL_free(spki);
  if (!identity.verify(statement, signature)) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("the {} identity key did not sign the certificate's key",
                            crypto::key_type_name(identity.type())));
  }
  return identity;
}

}  // namespace

Result<PublicKey> verify_certificate(BytesView der, WallTime now) {
  const crypto::ErrorQueueGuard guard;
  WARREN_TRY(const CertificateHandle certificate, decode(der));
  WARREN_TRY_VOID(check_validity(certificate.get(), now));
  WARREN_TRY(const BytesView value, find_extension(certificate.get()));
  WARREN_TRY_VOID(check_self_signature(certificate.get()));
  auto identity = check_extension(value, certificate.get());
  if (!identity) return fail(std::move(identity).error().in("certificate: libp2p extension"));
  return identity;
}

}  // namespace warren::security
