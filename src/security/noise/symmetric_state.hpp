#pragma once
// The hash chain of a Noise handshake with SHA-256. Source: The Noise Protocol Framework,
// revision 34, sections 4.3 and 5.2.

#include <optional>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/sha256.hpp"
#include "security/noise/cipher_state.hpp"

namespace warren::security::noise {

class SymmetricState {
 public:
  /// `protocol_name` has 32 bytes: longer or shorter ones would be hashed or padded.
  explicit SymmetricState(std::string_view protocol_name);

  void mix_hash(BytesView bytes);
  void mix_key(const Secret& secret);
  /// Appends `plaintext` to `out`: as it is before the first mix_key(), else encrypted with a tag.
  void encrypt_and_hash(Bytes& out, BytesView plaintext);
  /// The opposite. Errors: as CipherState::open.
  Result<Bytes> decrypt_and_hash(BytesView message);
  /// Bytes that encrypt_and_hash() adds now.
  std::size_t overhead() const { return cipher_ ? kTagBytes : 0; }
  /// Keys of both directions: the initiator's first.
  std::pair<Secret, Secret> split() const;
  /// The same on both sides when nobody changed a byte.
  const crypto::Sha256Digest& hash() const { return hash_; }

 private:
  crypto::Sha256Digest hash_{};
  Secret chaining_key_;
  std::optional<CipherState> cipher_;
};

}  // namespace warren::security::noise
