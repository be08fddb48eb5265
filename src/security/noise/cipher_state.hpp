#pragma once
// ChaCha20-Poly1305 with a counter, for one direction. Source: The Noise Protocol Framework,
// revision 34, section 5.1; RFC 8439.

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "security/noise/x25519.hpp"

namespace warren::security::noise {

inline constexpr std::size_t kTagBytes = 16;

/// The key schedule is set up once; each message costs one nonce. Moves, does not copy. One thread
/// at a time.
class CipherState {
 public:
  /// `first_nonce` is 0 but for tests of the last ones.
  explicit CipherState(const Secret& key, std::uint64_t first_nonce = 0);

  /// Encrypts `parts`, one behind the other, as one message into `out`, which has exactly their
  /// bytes and kTagBytes more. A part may lie exactly where its ciphertext goes, else must not
  /// overlap it. Errors: kClosed when the nonces are used up; nothing was written then.
  Result<> seal(std::span<const BytesView> parts, BytesView associated, MutableBytes out);
  /// Decrypts `message`, ciphertext and tag, where it lies; returns the part with the plaintext.
  /// Errors: kIntegrity when it was not made with this key, counter and `associated`: the bytes are
  /// zero then and the counter stays; kMalformed when shorter than a tag; kClosed.
  Result<MutableBytes> open(MutableBytes message, BytesView associated);

 private:
  struct Free {
    void operator()(void* context) const noexcept;
  };
  Result<> start(bool encrypt, BytesView associated);

  std::unique_ptr<void, Free> context_;  // EVP_CIPHER_CTX.
  std::uint64_t nonce_;
};

}  // namespace warren::security::noise
