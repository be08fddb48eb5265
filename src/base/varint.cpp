#include "base/varint.hpp"

#include "base/check.hpp"

namespace warren {

Result<std::optional<Uvarint>> read_uvarint(BytesView in) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kUvarintBytesMax; ++i) {
    if (i == in.size()) return std::nullopt;
    const std::uint64_t byte = in[i];
    value |= (byte & 0x7f) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    if (byte == 0 && i > 0) return fail(ErrorCode::kMalformed, "uvarint is not minimal");
    return Uvarint{value, i + 1};
  }
  return fail(ErrorCode::kMalformed, "uvarint is longer than 9 bytes");
}

Result<Uvarint> read_whole_uvarint(BytesView in) {
  WARREN_TRY(const std::optional<Uvarint> read, read_uvarint(in));
  if (!read) return fail(ErrorCode::kMalformed, "uvarint is cut off");
  return *read;
}

void append_uvarint(Bytes& out, std::uint64_t value) {
  WARREN_CHECK(value < std::uint64_t{1} << 63);
  while (value >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

std::size_t uvarint_size(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

}  // namespace warren
