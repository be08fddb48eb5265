#include "security/noise/cipher_state.hpp"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <algorithm>
#include <limits>

#include "base/check.hpp"
#include "crypto/openssl_handles.hpp"

namespace warren::security::noise {
namespace {

constexpr std::size_t kNonceBytes = 12;

// Fetched once: looking it up takes OpenSSL 3 longer than a short message does.
const EVP_CIPHER* algorithm() {
  static const EVP_CIPHER* const cipher = ::EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  WARREN_CHECK(cipher != nullptr);
  return cipher;
}

EVP_CIPHER_CTX* context_of(const void* pointer) {
  return static_cast<EVP_CIPHER_CTX*>(const_cast<void*>(pointer));
}

void update(EVP_CIPHER_CTX* context, std::uint8_t* out, BytesView in) {
  WARREN_CHECK(in.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  int written = 0;
  const int size = static_cast<int>(in.size());
  WARREN_CHECK(::EVP_CipherUpdate(context, out, &written, in.data(), size) == 1 && written == size);
}

}  // namespace

void CipherState::Free::operator()(void* context) const noexcept {
  ::EVP_CIPHER_CTX_free(context_of(context));
}

CipherState::CipherState(const Secret& key, std::uint64_t first_nonce)
    : context_(::EVP_CIPHER_CTX_new()), nonce_(first_nonce) {
  WARREN_CHECK(context_ != nullptr);
  WARREN_CHECK(::EVP_CipherInit_ex2(context_of(context_.get()), algorithm(), key.bytes().data(),
                                    nullptr, 1, nullptr) == 1);
}

// The counter moves on when the message is done, so a message that fails does not use it up.
Result<> CipherState::start(bool encrypt, BytesView associated) {
  if (nonce_ == std::numeric_limits<std::uint64_t>::max()) {
    return fail(ErrorCode::kClosed, "Noise: the nonces are used up", "connect again");
  }
  std::uint8_t nonce[kNonceBytes] = {};
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[4 + i] = static_cast<std::uint8_t>(nonce_ >> (8 * i));
  }
  EVP_CIPHER_CTX* const context = context_of(context_.get());
  WARREN_CHECK(::EVP_CipherInit_ex2(context, nullptr, nullptr, nonce, encrypt ? 1 : 0, nullptr) ==
               1);
  if (!associated.empty()) update(context, nullptr, associated);
  return {};
}

Result<> CipherState::seal(std::span<const BytesView> parts, BytesView associated,
                           MutableBytes out) {
  WARREN_TRY_VOID(start(true, associated));
  EVP_CIPHER_CTX* const context = context_of(context_.get());
  std::size_t at = 0;
  for (const BytesView part : parts) {
    WARREN_CHECK(part.size() + kTagBytes <= out.size() - at);
    if (!part.empty()) update(context, out.data() + at, part);
    at += part.size();
  }
  WARREN_CHECK(at + kTagBytes == out.size());
  int written = 0;
  WARREN_CHECK(::EVP_CipherFinal_ex(context, out.data() + at, &written) == 1 && written == 0);
  WARREN_CHECK(::EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, out.data() + at) ==
               1);
  ++nonce_;
  return {};
}

Result<MutableBytes> CipherState::open(MutableBytes message, BytesView associated) {
  if (message.size() < kTagBytes) {
    return fail(ErrorCode::kMalformed, fmt::format("Noise: {} bytes are shorter than a tag of {}",
                                                   message.size(), kTagBytes));
  }
  WARREN_TRY_VOID(start(false, associated));
  EVP_CIPHER_CTX* const context = context_of(context_.get());
  const MutableBytes text = message.first(message.size() - kTagBytes);
  if (!text.empty()) update(context, text.data(), text);
  WARREN_CHECK(::EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes,
                                     text.data() + text.size()) == 1);
  const crypto::ErrorQueueGuard guard;
  int written = 0;
  std::uint8_t none = 0;
  if (::EVP_CipherFinal_ex(context, &none, &written) != 1) {
    std::ranges::fill(text, std::uint8_t{0});  // Nobody shall use what nobody signed.
    return fail(ErrorCode::kIntegrity,
                fmt::format("Noise: a message of {} bytes has a wrong tag", message.size()));
  }
  ++nonce_;
  return text;
}

}  // namespace warren::security::noise
