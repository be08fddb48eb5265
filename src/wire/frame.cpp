#include "wire/frame.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace warren::wire {
namespace {

// Memory taken on the word of the sender alone; beyond it the buffer grows with what arrives.
constexpr std::size_t kReservedMax = 64u << 10;

}  // namespace

void append_frame(Bytes& out, BytesView message) {
  append_uvarint(out, message.size());
  append(out, message);
}

Bytes encode_frame(BytesView message) {
  Bytes frame;
  frame.reserve(uvarint_size(message.size()) + message.size());
  append_frame(frame, message);
  return frame;
}

std::size_t FrameDecoder::wanted() const noexcept {
  return message_bytes_ ? *message_bytes_ - message_.size() : 1;
}

Result<> FrameDecoder::on_header_byte(std::uint8_t byte) {
  header_[header_size_++] = byte;
  WARREN_TRY(const std::optional<Uvarint> length,
             read_uvarint(BytesView(header_).first(header_size_)));
  if (!length) return {};
  if (length->value > message_bytes_max_) {
    return fail(ErrorCode::kTooLarge, fmt::format("a message of {} bytes; {} is the most",
                                                  length->value, message_bytes_max_));
  }
  message_bytes_ = static_cast<std::size_t>(length->value);
  message_.reserve(std::min(*message_bytes_, kReservedMax));
  return {};
}

Result<std::size_t> FrameDecoder::push(BytesView in) {
  if (failed_) return fail(*failed_);
  std::size_t taken = 0;
  while (taken < in.size() && !message_bytes_) {
    if (auto read = on_header_byte(in[taken++]); !read) {
      failed_ = read.error();
      return fail(*failed_);
    }
  }
  if (!message_bytes_) return taken;
  const BytesView part = in.subspan(taken, std::min(wanted(), in.size() - taken));
  append(message_, part);
  return taken + part.size();
}

std::optional<Bytes> FrameDecoder::take() {
  if (failed_ || !message_bytes_ || wanted() > 0) return std::nullopt;
  header_size_ = 0;
  message_bytes_.reset();
  return std::exchange(message_, {});
}

}  // namespace warren::wire
