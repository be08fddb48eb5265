#include "crypto/sha256.hpp"

#include <openssl/evp.h>

#include "base/check.hpp"

namespace warren::crypto {
namespace {

// Looking an algorithm up takes OpenSSL 3 longer than hashing a short input does. Never freed: it
// lives as long as the library.
const EVP_MD* algorithm() {
  static const EVP_MD* const sha256 = ::EVP_MD_fetch(nullptr, "SHA256", nullptr);
  WARREN_CHECK(sha256 != nullptr);
  return sha256;
}

EVP_MD_CTX* context_of(void* pointer) { return static_cast<EVP_MD_CTX*>(pointer); }

void start(EVP_MD_CTX* context) {
  WARREN_CHECK(::EVP_DigestInit_ex2(context, algorithm(), nullptr) == 1);
}

}  // namespace

void Sha256::Free::operator()(void* context) const noexcept {
  ::EVP_MD_CTX_free(context_of(context));
}

Sha256::Sha256() : context_(::EVP_MD_CTX_new()) {
  WARREN_CHECK(context_ != nullptr);
  start(context_of(context_.get()));
}

void Sha256::update(BytesView bytes) {
  WARREN_CHECK(::EVP_DigestUpdate(context_of(context_.get()), bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  EVP_MD_CTX* const context = context_of(context_.get());
  WARREN_CHECK(::EVP_DigestFinal_ex(context, digest.data(), nullptr) == 1);
  start(context);
  return digest;
}

Sha256Digest sha256(BytesView bytes) {
  thread_local Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace warren::crypto
