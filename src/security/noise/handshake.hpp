#pragma once
// The Noise handshake of libp2p without I/O: who is the peer, which muxer follows, and the ciphers.
// Source: libp2p specs, noise/README.md.
//
// A driver writes take_output(), reads at most wants() bytes, feeds them, and goes on until done();
// output that is made with the end of the handshake is written too. No byte behind the last message
// is wanted: what follows are frames of the channel, often in the same segment.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/keys.hpp"
#include "multiformats/peer_id.hpp"
#include "security/noise/channel.hpp"
#include "security/noise/payload.hpp"
#include "security/noise/xx_pattern.hpp"

namespace warren::security::noise {

/// How multistream-select names it.
inline constexpr std::string_view kProtocol = "/noise";

/// Longest handshake message that is read. Two RSA numbers of 8,192 bits and the lists make less
/// than half of it; many half-open handshakes cost no more than so many bytes each.
inline constexpr std::size_t kHandshakeBytesMax = 8u << 10;

/// What this node shows in every handshake. Made once and shared: the static key may serve for the
/// life of a process, so that a handshake needs no signature. Immutable.
class Credentials {
 public:
  /// `muxers` in order of preference.
  Credentials(const crypto::PrivateKey& identity, std::vector<std::string> muxers,
              const RandomBytes& random);

  const KeyPair& static_key() const { return static_key_; }
  const Bytes& payload() const { return payload_; }
  const std::vector<std::string>& muxers() const { return muxers_; }

 private:
  KeyPair static_key_;
  std::vector<std::string> muxers_;
  Bytes payload_;
};

enum class Role : std::uint8_t { kInitiator, kResponder };  ///< Who dialled is the initiator.

class Handshake {
 public:
  struct Outcome {
    crypto::PublicKey remote_key;
    PeerId remote;
    /// The first of the initiator's muxers that the responder lists too: it follows at once. Empty
    /// when there is none: then multistream-select has to find one.
    std::string muxer;
    Channel channel;
  };

  /// `expected` is the peer that was dialled; without it every peer is good. `random` is called
  /// now, for the ephemeral key. `prologue` is empty on byte streams.
  Handshake(Role role, std::shared_ptr<const Credentials> credentials,
            std::optional<PeerId> expected, const RandomBytes& random, BytesView prologue = {});

  /// What to send now; empty when there is nothing.
  Bytes take_output() { return std::exchange(output_, {}); }
  /// Most bytes to read next; 0 once done or failed.
  std::size_t wants() const noexcept;
  /// Takes bytes that were read, up to the end of a message, and returns how many: less than all
  /// when the handshake ends before. Costs up to 0.3 ms with the last byte of a message.
  /// Errors: kMalformed and kTooLarge for the frames and what is in them, kIntegrity for wrong
  /// tags, signatures, keys and the wrong peer, kUnsupported for the peer's key type. Nothing may
  /// be fed after an error, and nothing is sent: the peer sees the connection close.
  Result<std::size_t> feed(BytesView in);

  bool done() const noexcept { return state_ == State::kDone; }
  /// Once, when done().
  Outcome take_outcome();

 private:
  enum class State : std::uint8_t { kRunning, kDone, kFailed };

  Result<> on_length();
  Result<> on_message();
  Result<> on_payload(BytesView payload);
  Result<> write_message();
  Result<> check(Result<> result);

  Role role_;
  std::shared_ptr<const Credentials> credentials_;
  std::optional<PeerId> expected_;
  XxPattern pattern_;
  State state_ = State::kRunning;
  std::size_t message_number_ = 0;  // Of the three, the one that is read or written next.
  Bytes input_;                     // Of one frame, with its length.
  std::size_t frame_bytes_ = kLengthBytes;
  Bytes output_;
  crypto::PublicKey remote_key_;
  PeerId remote_;
  std::string muxer_;
};

}  // namespace warren::security::noise
