#pragma once
// Noise transport messages: what goes over the connection once both peers are known. Each frame is
// u16 length (big-endian) || ciphertext || tag. Noise says nothing when the connection closes: an
// end of the bytes without an end by the layer above is an error there.

#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "security/noise/cipher_state.hpp"

namespace warren::security::noise {

inline constexpr std::size_t kLengthBytes = 2;
inline constexpr std::size_t kMessageBytesMax = 65'535;  ///< Of a frame, without its length.
inline constexpr std::size_t kPlaintextBytesMax = kMessageBytesMax - kTagBytes;
/// What a frame has more than its plaintext.
inline constexpr std::size_t kFrameOverheadBytes = kLengthBytes + kTagBytes;
/// A buffer of so many bytes holds every frame.
inline constexpr std::size_t kFrameBytesMax = kLengthBytes + kMessageBytesMax;

/// Both directions of one connection. Moves, does not copy. One thread at a time.
class Channel {
 public:
  struct Opened {
    MutableBytes plaintext;       ///< Inside the buffer that was given; may be empty.
    std::size_t frame_bytes = 0;  ///< Taken from the front of the buffer.
  };

  Channel(CipherState send, CipherState receive)
      : send_(std::move(send)), receive_(std::move(receive)) {}

  /// Writes one frame with `parts`, one behind the other: at most kPlaintextBytesMax together
  /// (checked). `out` has exactly kFrameOverheadBytes more than they have. A part may lie exactly
  /// where its ciphertext goes, which is kLengthBytes behind the start of `out`, plus the bytes of
  /// the parts before. About 0.6 us and 0.3 ns a byte.
  /// Errors: kClosed when the nonces are used up.
  Result<> seal(std::span<const BytesView> parts, MutableBytes out);

  /// Decrypts the first frame of `buffered` where it lies; nullopt while it is not whole. A length
  /// that no frame has is refused before the rest comes. Errors: kMalformed, kIntegrity, kClosed;
  /// the channel stays failed, since nothing behind a lost frame can be trusted.
  Result<std::optional<Opened>> open(MutableBytes buffered);

 private:
  CipherState send_;
  CipherState receive_;
  std::optional<Error> failed_;
};

}  // namespace warren::security::noise
