#pragma once
// The three messages of Noise_XX_25519_ChaChaPoly_SHA256, with any prologue and payloads. What
// libp2p puts into them stands in handshake.hpp.
// Source: The Noise Protocol Framework, revision 34, sections 5.3 and 7.5.
//
//   -> e        <- e, ee, s, es        -> s, se

#include "security/noise/symmetric_state.hpp"

namespace warren::security::noise {

/// One side. Messages are written and read in turn, the initiator begins; calls out of turn are our
/// own fault (checked).
class XxPattern {
 public:
  static constexpr std::size_t kMessages = 3;

  XxPattern(bool initiator, BytesView prologue, KeyPair static_key, KeyPair ephemeral);

  bool is_our_turn() const { return !done() && (next_ % 2 == 0) == initiator_; }
  bool done() const { return next_ == kMessages; }
  /// The next message, with `payload` in it; in the first one for everyone to read. Errors:
  /// kIntegrity when the peer's key is a bad one.
  Result<Bytes> write(BytesView payload);
  /// The payload of the next message. Errors: kMalformed (too short), kIntegrity (tag, bad key).
  /// Nothing may be called after an error.
  Result<Bytes> read(BytesView message);

  /// The peer's static key: known after the second message here, the third there.
  const PublicBytes& remote_static() const { return remote_static_; }
  const crypto::Sha256Digest& hash() const { return state_.hash(); }
  /// Ciphers for sending and for receiving, once done().
  std::pair<CipherState, CipherState> split() const;

 private:
  Result<> mix_agreement(const KeyPair& ours, const PublicBytes& theirs);
  Result<PublicBytes> read_ephemeral(BytesView& message);
  Result<PublicBytes> read_static(BytesView& message);

  bool initiator_;
  std::size_t next_ = 0;  // The message that is written or read next.
  SymmetricState state_;
  KeyPair static_;
  KeyPair ephemeral_;
  PublicBytes remote_static_{};
  PublicBytes remote_ephemeral_{};
};

}  // namespace warren::security::noise
