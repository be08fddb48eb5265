#include "transport/frame_io.hpp"

#include <algorithm>
#include <cstring>

#include "base/varint.hpp"

namespace warren::transport {
namespace {

// What is read ahead at most: enough for the small messages of a control protocol, and little to
// copy when raw bytes follow.
constexpr std::size_t kReadAheadBytes = 4096;

Result<> check_length(std::uint64_t length, std::size_t bytes_max) {
  if (length <= bytes_max) return {};
  return fail(ErrorCode::kTooLarge, "a message of " + std::to_string(length) +
                                        " bytes was announced, at most " +
                                        std::to_string(bytes_max) + " are allowed");
}

std::unexpected<Error> cut_off(std::size_t got, std::size_t wanted) {
  return fail(ErrorCode::kMalformed, "the stream ended after " + std::to_string(got) + " of " +
                                         std::to_string(wanted) + " bytes");
}

}  // namespace

std::size_t FrameReader::take(MutableBytes out) {
  const std::size_t count = std::min(out.size(), surplus_bytes());
  if (count > 0) std::memcpy(out.data(), buffer_.data() + begin_, count);
  begin_ += count;
  return count;
}

awaitable<Result<std::size_t>> FrameReader::refill(TimePoint deadline) {
  if (buffer_.empty()) buffer_.resize(kReadAheadBytes);
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, surplus_bytes());
    end_ -= begin_;
    begin_ = 0;
  }
  const MutableBytes room = MutableBytes(buffer_).subspan(end_);
  WARREN_CO_TRY(const std::size_t count, co_await stream_.read_some(room, deadline));
  end_ += count;
  co_return count;
}

awaitable<Result<std::optional<Bytes>>> FrameReader::read_frame_or_end(std::size_t bytes_max,
                                                                       TimePoint deadline) {
  std::optional<Uvarint> length;
  for (;;) {
    const BytesView surplus = BytesView(buffer_).subspan(begin_, surplus_bytes());
    WARREN_CO_TRY(length, read_uvarint(surplus));
    if (length) break;
    WARREN_CO_TRY(const std::size_t count, co_await refill(deadline));
    if (count > 0) continue;
    if (surplus_bytes() == 0) co_return std::nullopt;
    co_return fail(ErrorCode::kMalformed, "the stream ended inside the length of a message");
  }
  WARREN_CO_TRY_VOID(check_length(length->value, bytes_max));
  begin_ += length->size;
  Bytes message(static_cast<std::size_t>(length->value));
  WARREN_CO_TRY_VOID(co_await read_exactly(message, deadline));
  co_return message;
}

awaitable<Result<Bytes>> FrameReader::read_frame(std::size_t bytes_max, TimePoint deadline) {
  WARREN_CO_TRY(std::optional<Bytes> message, co_await read_frame_or_end(bytes_max, deadline));
  if (!message) co_return fail(ErrorCode::kClosed, "the stream ended where a message was expected");
  co_return std::move(*message);
}

awaitable<Result<std::size_t>> FrameReader::read_full(MutableBytes out, TimePoint deadline) {
  const std::size_t taken = take(out);
  if (taken == out.size()) co_return taken;
  WARREN_CO_TRY(const std::size_t count, co_await stream_.read_full(out.subspan(taken), deadline));
  co_return taken + count;
}

awaitable<Result<>> FrameReader::read_exactly(MutableBytes out, TimePoint deadline) {
  WARREN_CO_TRY(const std::size_t count, co_await read_full(out, deadline));
  if (count < out.size()) co_return cut_off(count, out.size());
  co_return Result<>();
}

awaitable<Result<Bytes>> read_frame(Stream& stream, std::size_t bytes_max, TimePoint deadline) {
  Bytes prefix;
  std::optional<Uvarint> length;
  while (!length) {
    std::uint8_t byte = 0;
    const MutableBytes one(&byte, 1);
    WARREN_CO_TRY(const std::size_t count, co_await stream.read_full(one, deadline));
    if (count == 0 && prefix.empty()) {
      co_return fail(ErrorCode::kClosed, "the stream ended where a message was expected");
    }
    if (count == 0) {
      co_return fail(ErrorCode::kMalformed, "the stream ended inside the length of a message");
    }
    prefix.push_back(byte);
    WARREN_CO_TRY(length, read_uvarint(prefix));
  }
  WARREN_CO_TRY_VOID(check_length(length->value, bytes_max));
  Bytes message(static_cast<std::size_t>(length->value));
  if (message.empty()) co_return message;
  WARREN_CO_TRY(const std::size_t count, co_await stream.read_full(message, deadline));
  if (count < message.size()) co_return cut_off(count, message.size());
  co_return message;
}

awaitable<Result<>> write_frame(Stream& stream, BytesView message, TimePoint deadline) {
  Bytes frame;
  frame.reserve(message.size() + kUvarintBytesMax);
  append_uvarint(frame, message.size());
  append(frame, message);
  // Small frames are copied together with their neighbours; a large one is handed over as it is.
  if (frame.size() <= kReadAheadBytes) {
    co_return co_await stream.write(BytesView(frame), deadline);
  }
  SharedBytes shared(std::move(frame));
  co_return co_await stream.write(std::move(shared), deadline);
}

}  // namespace warren::transport
