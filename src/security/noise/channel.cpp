#include "security/noise/channel.hpp"

#include <fmt/core.h>

#include "base/check.hpp"

namespace warren::security::noise {

Result<> Channel::seal(std::span<const BytesView> parts, MutableBytes out) {
  WARREN_CHECK(out.size() >= kFrameOverheadBytes && out.size() <= kFrameBytesMax);
  const std::size_t length = out.size() - kLengthBytes;
  WARREN_TRY_VOID(send_.seal(parts, {}, out.subspan(kLengthBytes)));
  out[0] = static_cast<std::uint8_t>(length >> 8);
  out[1] = static_cast<std::uint8_t>(length);
  return {};
}

Result<std::optional<Channel::Opened>> Channel::open(MutableBytes buffered) {
  if (failed_) return fail(*failed_);
  if (buffered.size() < kLengthBytes) return std::nullopt;
  const std::size_t length = std::size_t{buffered[0]} << 8 | buffered[1];
  if (length < kTagBytes) {
    failed_ = Error(ErrorCode::kMalformed,
                    fmt::format("Noise: a frame of {} bytes has no room for its tag", length));
    return fail(*failed_);
  }
  if (buffered.size() - kLengthBytes < length) return std::nullopt;
  const auto plaintext = receive_.open(buffered.subspan(kLengthBytes, length), {});
  if (!plaintext) {
    failed_ = plaintext.error();
    return fail(*failed_);
  }
  return Opened{.plaintext = *plaintext, .frame_bytes = kLengthBytes + length};
}

}  // namespace warren::security::noise
