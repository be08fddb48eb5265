#pragma once
// Messages on a stream, each behind its length as a uvarint, and raw bytes between them.

#include <cstddef>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "transport/transport.hpp"

namespace warren::transport {

/// Reads frames and raw bytes that alternate on one stream. Keeps what it read beyond a frame, so
/// all reading of the stream must go through it from the first use on. `stream` must outlive it.
/// One call at a time.
class FrameReader {
 public:
  explicit FrameReader(Stream& stream) : stream_(stream) {}

  /// The next message, without its length. Memory is taken only after the length was checked.
  /// Errors: kClosed when the stream ends before its first byte, kMalformed (cut off, bad length),
  /// kTooLarge (longer than `bytes_max`), and those of Stream::read_some.
  /// Cancel or time-out: part of a frame may be lost; the stream is of no further use.
  awaitable<Result<Bytes>> read_frame(std::size_t bytes_max, TimePoint deadline);
  /// As read_frame, but the end of the stream in place of a frame is nullopt and no error.
  awaitable<Result<std::optional<Bytes>>> read_frame_or_end(std::size_t bytes_max,
                                                            TimePoint deadline);
  /// Fills `out` with raw bytes; fewer only at the end of the stream. What was not read ahead
  /// lands in `out` without another copy. Errors and Cancel: as Stream::read_full.
  awaitable<Result<std::size_t>> read_full(MutableBytes out, TimePoint deadline);
  /// As read_full, but fewer bytes are kMalformed.
  awaitable<Result<>> read_exactly(MutableBytes out, TimePoint deadline);
  /// Bytes read ahead and not yet given out.
  std::size_t surplus_bytes() const noexcept { return end_ - begin_; }

 private:
  awaitable<Result<std::size_t>> refill(TimePoint deadline);
  std::size_t take(MutableBytes out);

  Stream& stream_;
  Bytes buffer_;  // Bytes [begin_, end_) are the surplus.
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// One message, reading nothing beyond it: for a stream on which something else reads next. Slower
/// than FrameReader for many messages. Errors and Cancel: as FrameReader::read_frame.
awaitable<Result<Bytes>> read_frame(Stream& stream, std::size_t bytes_max, TimePoint deadline);

/// Writes `message` behind its length. `message` must outlive the call. Errors and Cancel: as
/// Stream::write.
awaitable<Result<>> write_frame(Stream& stream, BytesView message, TimePoint deadline);

}  // namespace warren::transport
