#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "crypto/key_protobuf.hpp"
#include "crypto/keys.hpp"
#include "crypto/openssl_handles.hpp"

namespace warren::crypto {
namespace {

constexpr std::size_t kSeedBytes = 32;
constexpr std::size_t kPublicBytes = 32;
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kPemBytesMax = 16u << 10;

// Without it OpenSSL would ask on the terminal for the passphrase of an encrypted key.
int no_passphrase(char*, int, int, void*) { return -1; }

EVP_PKEY* key_of(const std::shared_ptr<void>& handle) {
  return static_cast<EVP_PKEY*>(handle.get());
}

}  // namespace

PrivateKey PrivateKey::adopt(void* key) {
  PrivateKey made;
  made.handle_ = std::shared_ptr<EVP_PKEY>(PkeyHandle(static_cast<EVP_PKEY*>(key)));
  std::array<std::uint8_t, kPublicBytes> raw{};
  std::size_t size = raw.size();
  WARREN_CHECK(::EVP_PKEY_get_raw_public_key(key_of(made.handle_), raw.data(), &size) == 1);
  WARREN_CHECK(size == raw.size());
  made.public_key_ = PublicKey::from_ed25519(raw);
  return made;
}

Result<PrivateKey> PrivateKey::generate() {
  const ErrorQueueGuard guard;
  EVP_PKEY* const key = ::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (key == nullptr) return fail(ErrorCode::kInternal, "OpenSSL could not make an Ed25519 key");
  return adopt(key);
}

PrivateKey PrivateKey::from_seed(BytesView seed32) {
  WARREN_CHECK(seed32.size() == kSeedBytes);
  EVP_PKEY* const key =
      ::EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed32.data(), seed32.size());
  WARREN_CHECK(key != nullptr);
  return adopt(key);
}

Result<PrivateKey> PrivateKey::from_protobuf(BytesView protobuf) {
  WARREN_TRY(const KeyMessage message, read_key_message(protobuf));
  if (message.type != static_cast<std::uint64_t>(KeyType::kEd25519)) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("a private key of type {}; only Ed25519 (1) is used", message.type));
  }
  const std::size_t size = message.data.size();
  if (size != kSeedBytes + kPublicBytes && size != kSeedBytes + 2 * kPublicBytes) {
    return fail(ErrorCode::kMalformed,
                fmt::format("an Ed25519 private key of {} bytes, not 64 or 96", size));
  }
  PrivateKey key = from_seed(message.data.first(kSeedBytes));
  const BytesView derived = BytesView(key.public_key().protobuf()).last(kPublicBytes);
  for (std::size_t at = kSeedBytes; at < size; at += kPublicBytes) {
    if (!std::ranges::equal(message.data.subspan(at, kPublicBytes), derived)) {
      return fail(ErrorCode::kMalformed, "an Ed25519 private key beside a public key of another");
    }
  }
  return key;
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem) {
  const ErrorQueueGuard guard;
  if (pem.size() > kPemBytesMax) {
    return fail(ErrorCode::kMalformed,
                fmt::format("a PEM text of {} bytes; {} is the most", pem.size(), kPemBytesMax));
  }
  const BioHandle bio(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (bio == nullptr) return fail(ErrorCode::kInternal, "no memory for a PEM text");
  PkeyHandle key(::PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) {
    return fail(ErrorCode::kMalformed, "it holds no PKCS#8 private key in PEM without passphrase");
  }
  if (::EVP_PKEY_is_a(key.get(), "ED25519") != 1) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("a private key of type {}; only Ed25519 is used",
                            ::EVP_PKEY_get0_type_name(key.get())));
  }
  return adopt(key.release());
}

std::string PrivateKey::to_pem() const {
  const ErrorQueueGuard guard;
  // The secure BIO wipes its buffer when it is freed.
  const BioHandle bio(::BIO_new(::BIO_s_secmem()));
  WARREN_CHECK(bio != nullptr);
  WARREN_CHECK(::PEM_write_bio_PKCS8PrivateKey(bio.get(), key_of(handle_), nullptr, nullptr, 0,
                                               nullptr, nullptr) == 1);
  char* text = nullptr;
  const long size = ::BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

Bytes PrivateKey::to_protobuf() const {
  std::array<std::uint8_t, kSeedBytes + kPublicBytes> both{};
  std::size_t size = kSeedBytes;
  WARREN_CHECK(::EVP_PKEY_get_raw_private_key(key_of(handle_), both.data(), &size) == 1);
  WARREN_CHECK(size == kSeedBytes);
  std::ranges::copy(BytesView(public_key_.protobuf()).last(kPublicBytes),
                    both.begin() + kSeedBytes);
  Bytes protobuf = write_key_message(static_cast<std::uint64_t>(KeyType::kEd25519), both);
  ::OPENSSL_cleanse(both.data(), both.size());
  return protobuf;
}

Bytes PrivateKey::sign(BytesView message) const {
  thread_local const DigestContextHandle context(::EVP_MD_CTX_new());
  WARREN_CHECK(context != nullptr);
  Bytes signature(kSignatureBytes);
  std::size_t size = signature.size();
  WARREN_CHECK(::EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_of(handle_)) ==
               1);
  WARREN_CHECK(::EVP_DigestSign(context.get(), signature.data(), &size, message.data(),
                                message.size()) == 1);
  WARREN_CHECK(size == kSignatureBytes);
  ::EVP_MD_CTX_reset(context.get());
  return signature;
}

}  // namespace warren::crypto
