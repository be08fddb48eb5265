#pragma once
// What every security protocol on a byte stream gives, as state machines without I/O: a handshake
// that proves a peer id, then a channel. Implementations: noise/, tls/.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/keys.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::security {

/// Encrypts and decrypts the two directions of one connection. One thread at a time. Any error
/// ends the channel: every later call fails.
class SecureChannel {
 public:
  struct Opened {
    /// Inside the buffer that was given, or inside the channel: valid until the next call of
    /// open() and as long as that buffer. May be empty.
    BytesView plaintext;
    /// Taken from the front of the buffer. 0: the first frame is not whole yet.
    std::size_t taken = 0;
    /// The peer has said goodbye: nothing follows.
    bool end = false;
  };

  virtual ~SecureChannel() = default;
  /// Plaintext that fills whole frames: a writer with more to send best gives so many bytes to one
  /// seal(). Also the most that one seal() takes.
  virtual std::size_t bulk_bytes() const = 0;
  /// Most bytes that `count` bytes of plaintext, at most bulk_bytes(), become.
  virtual std::size_t sealed_bytes_max(std::size_t count) const = 0;
  /// Room that open() must be given before it can take the largest frame.
  virtual std::size_t frame_bytes_max() const = 0;
  /// Writes `parts`, one behind the other, encrypted to the front of `out` and returns how many
  /// bytes that were. `out` has sealed_bytes_max() of them at least and overlaps no part.
  virtual Result<std::size_t> seal(std::span<const BytesView> parts, MutableBytes out) = 0;
  /// Takes one frame, or a part of one, off the front of `buffered`, which it may overwrite.
  /// Errors: kMalformed, kIntegrity, kTooLarge, kClosed.
  virtual Result<Opened> open(MutableBytes buffered) = 0;
  /// What the channel itself has to say, to be sent before anything that is sealed later. Often
  /// there after open(), also after one that failed (an alert).
  virtual Bytes take_output() = 0;
  /// The goodbye, where the protocol has one: the last bytes to send.
  virtual Bytes close() = 0;
  /// Whether an end of the bytes without a goodbye is seen as an attack (TLS), or cannot be told
  /// from one because the protocol has no goodbye (Noise).
  virtual bool has_goodbye() const = 0;
};

/// One handshake. Write take_output(), read at most wants() bytes, feed() them, until done();
/// output that is made with the end of the handshake is written too.
class SecureHandshake {
 public:
  struct Outcome {
    crypto::PublicKey remote_key;
    PeerId remote;
    /// What was agreed on as the muxer within the handshake. Empty: multistream-select has to find
    /// one.
    std::string muxer;
    std::unique_ptr<SecureChannel> channel;
  };

  virtual ~SecureHandshake() = default;
  virtual Bytes take_output() = 0;
  /// Most bytes to read next; 0 once done or failed.
  virtual std::size_t wants() const = 0;
  /// Takes bytes that were read and returns how many: fewer when the handshake ends before the last
  /// one. What is left belongs to the channel. After an error only take_output() is of use (an
  /// alert). Errors: kMalformed, kTooLarge, kIntegrity (a wrong signature, another peer than
  /// expected), kUnsupported.
  virtual Result<std::size_t> feed(BytesView in) = 0;
  virtual bool done() const = 0;
  /// Once, when done().
  virtual Outcome take_outcome() = 0;
};

enum class Side : std::uint8_t { kDialler, kListener };

/// A security protocol with this node's credentials; one per node, shared by its connections.
class SecurityProtocol {
 public:
  virtual ~SecurityProtocol() = default;
  /// As multistream-select names it: "/noise", "/tls/1.0.0".
  virtual std::string_view name() const = 0;
  /// `expected` is the peer that was dialled; without it every proven peer is good.
  virtual std::unique_ptr<SecureHandshake> start(Side side, std::optional<PeerId> expected) = 0;
};

}  // namespace warren::security
