#include <fmt/core.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "crypto/key_protobuf.hpp"
#include "crypto/keys.hpp"
#include "crypto/openssl_handles.hpp"

namespace warren::crypto {
namespace {

constexpr std::size_t kEd25519KeyBytes = 32;
constexpr std::size_t kSecp256k1KeyBytes = 33;
constexpr int kRsaBitsMin = 2048;  // Source: go-libp2p, core/crypto/rsa_common.go.
constexpr int kRsaBitsMax = 8192;  // Source: same. Bounds what one verification can cost.
constexpr int kRsaExponentBitsMax = 32;

PkeyHandle ed25519_key(BytesView raw) {
  return PkeyHandle(
      ::EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
}

Result<PkeyHandle> secp256k1_key(BytesView point) {
  if (point.size() != kSecp256k1KeyBytes || (point[0] != 2 && point[0] != 3)) {
    return fail(
        ErrorCode::kMalformed,
        fmt::format("a secp256k1 key is a compressed point of {} bytes", kSecp256k1KeyBytes));
  }
  char group[] = SN_secp256k1;
  Bytes copy = to_bytes(point);
  const OSSL_PARAM params[] = {
      ::OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
      ::OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy.data(), copy.size()),
      ::OSSL_PARAM_construct_end()};
  const PkeyContextHandle context(::EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  if (context == nullptr || ::EVP_PKEY_fromdata_init(context.get()) != 1 ||
      ::EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY,
                          const_cast<OSSL_PARAM*>(params)) != 1) {
    return fail(ErrorCode::kMalformed, "a secp256k1 key that is no point of the curve");
  }
  return PkeyHandle(key);
}

// A SubjectPublicKeyInfo whose encoding is the one that OpenSSL would write: two spellings of one
// key would be two peer ids.
Result<PkeyHandle> spki_key(BytesView der) {
  const std::uint8_t* at = der.data();
  PkeyHandle key(::d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (key == nullptr || at != der.data() + der.size()) {
    return fail(ErrorCode::kMalformed,
                fmt::format("{} bytes are not a SubjectPublicKeyInfo", der.size()));
  }
  std::uint8_t* written = nullptr;
  const int length = ::i2d_PUBKEY(key.get(), &written);
  const bool same =
      length > 0 && std::ranges::equal(der, BytesView(written, static_cast<std::size_t>(length)));
  ::OPENSSL_free(written);
  if (!same) return fail(ErrorCode::kMalformed, "a SubjectPublicKeyInfo that is not canonical DER");
  return key;
}

Result<PkeyHandle> ecdsa_key(BytesView der) {
  WARREN_TRY(PkeyHandle key, spki_key(der));
  std::array<char, 64> group{};
  const bool known = ::EVP_PKEY_is_a(key.get(), "EC") == 1 &&
                     ::EVP_PKEY_get_group_name(key.get(), group.data(), group.size(), nullptr) == 1;
  if (!known || std::string_view(group.data()) != SN_X9_62_prime256v1) {
    return fail(ErrorCode::kUnsupported, "an ECDSA key on another curve than P-256");
  }
  return key;
}

Result<PkeyHandle> rsa_key(BytesView der) {
  WARREN_TRY(PkeyHandle key, spki_key(der));
  if (::EVP_PKEY_is_a(key.get(), "RSA") != 1) {
    return fail(ErrorCode::kMalformed, "an RSA key message with a key of another kind");
  }
  const int bits = ::EVP_PKEY_get_bits(key.get());
  if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("an RSA key of {} bits, not {} to {}", bits, kRsaBitsMin, kRsaBitsMax));
  }
  BIGNUM* exponent = nullptr;
  const bool has = ::EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_RSA_E, &exponent) == 1;
  const int exponent_bits = has ? ::BN_num_bits(exponent) : 0;
  const bool odd = has && ::BN_is_odd(exponent) == 1;
  ::BN_free(exponent);
  if (!odd || exponent_bits < 2 || exponent_bits > kRsaExponentBitsMax) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("an RSA exponent of {} bits; odd with 2 to {} is read", exponent_bits,
                            kRsaExponentBitsMax));
  }
  return key;
}

Result<PkeyHandle> key_of(KeyType type, BytesView data) {
  switch (type) {
    case KeyType::kRsa: return rsa_key(data);
    case KeyType::kEd25519: {
      if (data.size() != kEd25519KeyBytes) {
        return fail(ErrorCode::kMalformed,
                    fmt::format("an Ed25519 key of {} bytes, not 32", data.size()));
      }
      return ed25519_key(data);
    }
    case KeyType::kSecp256k1: return secp256k1_key(data);
    case KeyType::kEcdsa: return ecdsa_key(data);
  }
  return fail(ErrorCode::kUnsupported, "a key of an unknown type");
}

const EVP_MD* digest_of(KeyType type) {
  static EVP_MD* const sha256 = ::EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return type == KeyType::kEd25519 ? nullptr : sha256;
}

}  // namespace

std::string_view key_type_name(KeyType type) noexcept {
  switch (type) {
    case KeyType::kRsa: return "RSA";
    case KeyType::kEd25519: return "Ed25519";
    case KeyType::kSecp256k1: return "secp256k1";
    case KeyType::kEcdsa: return "ECDSA";
  }
  return "unknown";
}

Result<PublicKey> PublicKey::from_protobuf(BytesView protobuf) {
  const ErrorQueueGuard guard;
  if (protobuf.size() > kKeyProtobufBytesMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("a public key of {} bytes; {} is the most",
                                                  protobuf.size(), kKeyProtobufBytesMax));
  }
  WARREN_TRY(const KeyMessage message, read_key_message(protobuf));
  if (message.type > static_cast<std::uint64_t>(KeyType::kEcdsa)) {
    return fail(ErrorCode::kUnsupported, fmt::format("a public key of type {}", message.type));
  }
  PublicKey key;
  key.type_ = static_cast<KeyType>(message.type);
  WARREN_TRY(PkeyHandle handle, key_of(key.type_, message.data));
  if (handle == nullptr) return fail(ErrorCode::kInternal, "OpenSSL took no public key");
  key.handle_ = std::shared_ptr<EVP_PKEY>(std::move(handle));
  key.protobuf_ = to_bytes(protobuf);
  return key;
}

PublicKey PublicKey::from_ed25519(BytesView raw32) {
  WARREN_CHECK(raw32.size() == kEd25519KeyBytes);
  PublicKey key;
  key.handle_ = std::shared_ptr<EVP_PKEY>(ed25519_key(raw32));
  WARREN_CHECK(key.handle_ != nullptr);
  key.protobuf_ = write_key_message(static_cast<std::uint64_t>(KeyType::kEd25519), raw32);
  return key;
}

bool PublicKey::verify(BytesView message, BytesView signature) const {
  if (handle_ == nullptr) return false;
  const ErrorQueueGuard guard;
  thread_local const DigestContextHandle context(::EVP_MD_CTX_new());
  WARREN_CHECK(context != nullptr);
  auto* const key = static_cast<EVP_PKEY*>(handle_.get());
  const bool good =
      ::EVP_DigestVerifyInit(context.get(), nullptr, digest_of(type_), nullptr, key) == 1 &&
      ::EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                         message.size()) == 1;
  ::EVP_MD_CTX_reset(context.get());
  return good;
}

}  // namespace warren::crypto
