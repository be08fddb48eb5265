#include "security/noise/x25519.hpp"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/check.hpp"
#include "crypto/openssl_handles.hpp"

namespace warren::security::noise {
namespace {

EVP_PKEY* key_of(const std::shared_ptr<void>& handle) {
  return static_cast<EVP_PKEY*>(handle.get());
}

}  // namespace

Secret::~Secret() { ::OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

KeyPair KeyPair::from_private(BytesView private32) {
  WARREN_CHECK(private32.size() == kKeyBytes);
  KeyPair pair;
  pair.handle_ = std::shared_ptr<EVP_PKEY>(crypto::PkeyHandle(::EVP_PKEY_new_raw_private_key(
      EVP_PKEY_X25519, nullptr, private32.data(), private32.size())));
  WARREN_CHECK(pair.handle_ != nullptr);
  std::size_t size = pair.public_.size();
  WARREN_CHECK(::EVP_PKEY_get_raw_public_key(key_of(pair.handle_), pair.public_.data(), &size) ==
               1);
  return pair;
}

KeyPair KeyPair::generate(const RandomBytes& random) {
  Secret secret;
  random(secret.bytes());
  return from_private(secret.bytes());
}

Result<Secret> KeyPair::agree(const PublicBytes& remote) const {
  const crypto::ErrorQueueGuard guard;
  const crypto::PkeyHandle peer(
      ::EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, remote.data(), remote.size()));
  const crypto::PkeyContextHandle context(
      ::EVP_PKEY_CTX_new_from_pkey(nullptr, key_of(handle_), nullptr));
  WARREN_CHECK(peer != nullptr && context != nullptr);
  WARREN_CHECK(::EVP_PKEY_derive_init(context.get()) == 1);
  WARREN_CHECK(::EVP_PKEY_derive_set_peer(context.get(), peer.get()) == 1);
  Secret secret;
  std::size_t size = kKeyBytes;
  // OpenSSL refuses the result of all zeros; the second look does not depend on that.
  const bool derived = ::EVP_PKEY_derive(context.get(), secret.bytes().data(), &size) == 1;
  if (!derived || std::ranges::all_of(secret.bytes(), [](std::uint8_t b) { return b == 0; })) {
    return fail(ErrorCode::kIntegrity, "Noise: the peer's key makes a secret that everyone knows");
  }
  WARREN_CHECK(size == kKeyBytes);
  return secret;
}

}  // namespace warren::security::noise
