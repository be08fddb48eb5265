#pragma once
// Messages on a stream: uvarint(length) || message. No I/O here.

#include <cstddef>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/varint.hpp"

namespace warren::wire {

/// Appends `message` with its length in front.
void append_frame(Bytes& out, BytesView message);
Bytes encode_frame(BytesView message);

/// Takes one frame out of bytes that come in pieces, and never a byte more than the frame has:
/// what follows on the stream belongs to somebody else. After take() it is ready for the next.
class FrameDecoder {
 public:
  /// A message of more than `message_bytes_max` is refused as soon as its length is known.
  explicit FrameDecoder(std::size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}

  /// How many bytes may be read from the stream without reading past the frame: 1 until the length
  /// is known, then what is missing, 0 when the frame is complete. A caller that reads at most so
  /// many needs no buffer of its own.
  std::size_t wanted() const noexcept;
  /// Takes bytes from the front of `in` and returns how many; less than all when the frame ends
  /// before. Errors: kTooLarge, kMalformed; the decoder stays failed.
  Result<std::size_t> push(BytesView in);
  /// The message once it is complete (it may be empty), else nullopt.
  std::optional<Bytes> take();
  /// Whether a part of a frame has been taken: the stream may not end here.
  bool is_midway() const noexcept { return header_size_ > 0; }

 private:
  Result<> on_header_byte(std::uint8_t byte);

  std::size_t message_bytes_max_;
  std::uint8_t header_[kUvarintBytesMax] = {};
  std::size_t header_size_ = 0;
  std::optional<std::size_t> message_bytes_;
  Bytes message_;
  std::optional<Error> failed_;
};

}  // namespace warren::wire
