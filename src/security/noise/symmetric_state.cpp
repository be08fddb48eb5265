#include "security/noise/symmetric_state.hpp"

#include <openssl/hmac.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::security::noise {
namespace {

Secret hmac(const Secret& key, BytesView message) {
  Secret out;
  unsigned size = 0;
  WARREN_CHECK(::HMAC(::EVP_sha256(), key.bytes().data(), static_cast<int>(kKeyBytes),
                      message.data(), message.size(), out.bytes().data(), &size) != nullptr);
  WARREN_CHECK(size == kKeyBytes);
  return out;
}

// HKDF with two outputs, as section 4.3 writes it.
std::pair<Secret, Secret> hkdf(const Secret& chaining_key, BytesView material) {
  const Secret seed = hmac(chaining_key, material);
  const std::uint8_t one = 1;
  const Secret first = hmac(seed, {&one, 1});
  std::uint8_t more[kKeyBytes + 1];
  std::ranges::copy(first.bytes(), more);
  more[kKeyBytes] = 2;
  Secret second = hmac(seed, more);
  ::OPENSSL_cleanse(more, sizeof more);
  return {first, second};
}

}  // namespace

SymmetricState::SymmetricState(std::string_view protocol_name) {
  WARREN_CHECK(protocol_name.size() == hash_.size());
  std::ranges::copy(as_bytes(protocol_name), hash_.begin());
  std::ranges::copy(hash_, chaining_key_.bytes().begin());
}

void SymmetricState::mix_hash(BytesView bytes) {
  crypto::Sha256 hash;
  hash.update(hash_);
  hash.update(bytes);
  hash_ = hash.finish();
}

void SymmetricState::mix_key(const Secret& secret) {
  const auto [chaining_key, key] = hkdf(chaining_key_, secret.bytes());
  chaining_key_ = chaining_key;
  cipher_.emplace(key);
}

void SymmetricState::encrypt_and_hash(Bytes& out, BytesView plaintext) {
  const std::size_t start = out.size();
  out.resize(start + plaintext.size() + overhead());
  const MutableBytes made = MutableBytes(out).subspan(start);
  if (cipher_) {
    WARREN_CHECK(cipher_->seal({&plaintext, 1}, hash_, made).has_value());
  } else {
    std::ranges::copy(plaintext, made.begin());
  }
  mix_hash(made);
}

Result<Bytes> SymmetricState::decrypt_and_hash(BytesView message) {
  Bytes text = to_bytes(message);
  if (cipher_) {
    WARREN_TRY(const MutableBytes opened, cipher_->open(text, hash_));
    text.resize(opened.size());
  }
  mix_hash(message);
  return text;
}

std::pair<Secret, Secret> SymmetricState::split() const { return hkdf(chaining_key_, {}); }

}  // namespace warren::security::noise
