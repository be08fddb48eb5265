#include "transport/websocket/frame.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.hpp"

namespace warren::transport::websocket {
namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kOpcodeBits = 0x0f;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kLengthBits = 0x7f;
constexpr std::uint8_t kLengthIn2 = 126;
constexpr std::uint8_t kLengthIn8 = 127;
constexpr std::uint8_t kControlBit = 0x08;

bool is_control(Opcode opcode) { return (std::to_underlying(opcode) & kControlBit) != 0; }

/// Bytes of the header that begins so; as many as are known to come, at least 2.
std::size_t header_size(BytesView header) {
  if (header.size() < 2) return 2;
  const std::uint8_t length = header[1] & kLengthBits;
  const std::size_t extended = length == kLengthIn8 ? 8 : length == kLengthIn2 ? 2 : 0;
  return 2 + extended + ((header[1] & kMasked) != 0 ? sizeof(MaskKey) : 0);
}

// Which numbers a peer may say. Source: RFC 6455, section 7.4; IANA's registry.
bool is_close_code(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace

Header::Header(Opcode opcode, std::uint64_t payload_bytes, const std::optional<MaskKey>& key) {
  const auto put = [this](std::uint64_t byte) { bytes[size++] = static_cast<std::uint8_t>(byte); };
  put(kFinal | std::to_underlying(opcode));
  const std::uint8_t mask = key ? kMasked : 0;
  int extended = 0;
  if (payload_bytes < kLengthIn2) {
    put(mask | payload_bytes);
  } else if (payload_bytes <= 0xffff) {
    put(mask | kLengthIn2);
    extended = 2;
  } else {
    put(mask | kLengthIn8);
    extended = 8;
  }
  while (extended-- > 0) put(payload_bytes >> (8 * extended));
  if (key) {
    for (const std::uint8_t byte : *key) put(byte);
  }
}

Bytes control_frame(Opcode opcode, BytesView payload, const std::optional<MaskKey>& key) {
  WARREN_CHECK(payload.size() <= kControlBytesMax && is_control(opcode));
  Bytes frame = to_bytes(Header(opcode, payload.size(), key).view());
  const std::size_t begin = frame.size();
  append(frame, payload);
  if (key) mask_into(MutableBytes(frame).subspan(begin), payload, *key, 0);
  return frame;
}

Bytes close_payload(CloseStatus status) {
  const std::uint16_t code = std::to_underlying(status);
  return {static_cast<std::uint8_t>(code >> 8), static_cast<std::uint8_t>(code)};
}

std::unexpected<Error> FrameReader::refuse(std::string message) {
  close_status_ = CloseStatus::kProtocolError;
  return fail(ErrorCode::kMalformed, "WebSocket: " + std::move(message));
}

Result<std::size_t> FrameReader::read(MutableBytes bytes) {
  if (failed_) return fail(*failed_);
  std::size_t at = 0;     // Read so far.
  std::size_t count = 0;  // Data so far; never beyond `at`.
  while (at < bytes.size() && !closed_) {
    if (!in_payload_) {
      header_[header_bytes_++] = bytes[at++];
      if (header_bytes_ < header_size(BytesView(header_).first(header_bytes_))) continue;
      if (auto taken = take_header(); !taken) {
        failed_ = taken.error();
        return fail(std::move(taken).error());
      }
      // An empty frame has come to its end here.
      if (left_ > 0) continue;
    }
    const std::size_t n =
        static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - at));
    const BytesView from = bytes.subspan(at, n);
    const bool control = is_control(opcode_);
    const MutableBytes to =
        control ? MutableBytes(control_).subspan(control_bytes_, n) : bytes.subspan(count, n);
    if (role_ == Role::kServer) {
      mask_into(to, from, key_, phase_);
    } else if (n != 0 && to.data() != from.data()) {
      std::memmove(to.data(), from.data(), n);
    }
    (control ? control_bytes_ : count) += n;
    at += n;
    left_ -= n;
    phase_ = (phase_ + n) % key_.size();
    if (left_ > 0) continue;
    in_payload_ = false;
    if (!control) continue;
    if (auto ended = end_control(); !ended) {
      failed_ = ended.error();
      return fail(std::move(ended).error());
    }
  }
  return count;
}

Result<> FrameReader::take_header() {
  const BytesView header = BytesView(header_).first(std::exchange(header_bytes_, 0));
  const auto opcode = static_cast<Opcode>(header[0] & kOpcodeBits);
  const bool is_final = (header[0] & kFinal) != 0;
  const bool is_masked = (header[1] & kMasked) != 0;
  if ((header[0] & kReserved) != 0) return refuse("a frame with a reserved bit");
  if (is_masked != (role_ == Role::kServer)) {
    return refuse(is_masked ? "a masked frame from a server" : "an unmasked frame from a client");
  }
  const std::uint8_t first = header[1] & kLengthBits;
  BytesView rest = header.subspan(2);
  left_ = first;
  if (first >= kLengthIn2) {
    const std::size_t size = first == kLengthIn2 ? 2 : 8;
    left_ = 0;
    for (const std::uint8_t byte : rest.first(size)) left_ = left_ << 8 | byte;
    rest = rest.subspan(size);
    const std::uint64_t least = first == kLengthIn2 ? kLengthIn2 : 0x1'0000;
    if (left_ < least || left_ >> 63 != 0) {
      return refuse(fmt::format("a length of {} in {} bytes", left_, size));
    }
  }
  if (is_masked) std::ranges::copy(rest, key_.begin());
  in_payload_ = true;
  phase_ = 0;
  control_bytes_ = 0;
  opcode_ = opcode;
  switch (opcode) {
    case Opcode::kContinuation:
    case Opcode::kText:
    case Opcode::kBinary: return begin_data(opcode, is_final);
    case Opcode::kClose:
    case Opcode::kPing:
    case Opcode::kPong:
      if (!is_final) return refuse("a control frame in pieces");
      if (left_ > kControlBytesMax) {
        return refuse(
            fmt::format("a control frame of {} bytes; {} is the most", left_, kControlBytesMax));
      }
      return {};
  }
  return refuse(fmt::format("a frame with opcode {}", std::to_underlying(opcode)));
}

Result<> FrameReader::begin_data(Opcode opcode, bool is_final) {
  if (opcode == Opcode::kText) {
    close_status_ = CloseStatus::kUnsupportedData;
    return fail(ErrorCode::kUnsupported, "WebSocket: a text frame; libp2p sends binary ones");
  }
  if ((opcode == Opcode::kContinuation) != in_message_) {
    return refuse(in_message_ ? "a new message within another" : "the rest of no message");
  }
  in_message_ = !is_final;
  return {};
}

Result<> FrameReader::end_control() {
  const BytesView payload = BytesView(control_).first(control_bytes_);
  switch (opcode_) {
    case Opcode::kPing: ping_ = to_bytes(payload); break;
    case Opcode::kClose: {
      if (payload.size() == 1) return refuse("a close frame with half a status");
      if (payload.size() >= 2) {
        const unsigned code = static_cast<unsigned>(payload[0]) << 8 | payload[1];
        if (!is_close_code(code)) return refuse(fmt::format("a close frame with status {}", code));
      }
      closed_ = true;
      break;
    }
    case Opcode::kPong:
    case Opcode::kContinuation:
    case Opcode::kText:
    case Opcode::kBinary: break;
  }
  return {};
}

}  // namespace warren::transport::websocket
