#include "muxer/yamux/frame.hpp"

#include <fmt/core.h>

namespace warren::muxer::yamux {
namespace {

std::uint32_t read_u32(const std::uint8_t* in) {
  return std::uint32_t{in[0]} << 24 | std::uint32_t{in[1]} << 16 | std::uint32_t{in[2]} << 8 |
         in[3];
}

void write_u32(std::uint8_t* out, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

}  // namespace

std::array<std::uint8_t, kHeaderBytes> Header::encode() const {
  std::array<std::uint8_t, kHeaderBytes> out{};
  out[1] = static_cast<std::uint8_t>(type);
  out[2] = static_cast<std::uint8_t>(flags >> 8);
  out[3] = static_cast<std::uint8_t>(flags);
  write_u32(&out[4], stream);
  write_u32(&out[8], length);
  return out;
}

Result<Header> Header::decode(std::span<const std::uint8_t, kHeaderBytes> bytes) {
  if (bytes[0] != 0) {
    return fail(ErrorCode::kMalformed, fmt::format("Yamux version {}, not 0", bytes[0]));
  }
  if (bytes[1] > static_cast<std::uint8_t>(Type::kGoAway)) {
    return fail(ErrorCode::kMalformed, fmt::format("Yamux frame of type {}", bytes[1]));
  }
  Header header;
  header.type = static_cast<Type>(bytes[1]);
  header.flags = static_cast<std::uint16_t>(bytes[2] << 8 | bytes[3]);
  if ((header.flags & ~kAllFlags) != 0) {
    return fail(ErrorCode::kMalformed, fmt::format("Yamux flags 0x{:04x}", header.flags));
  }
  header.stream = read_u32(&bytes[4]);
  header.length = read_u32(&bytes[8]);
  return header;
}

}  // namespace warren::muxer::yamux
