#include "crypto/key_protobuf.hpp"

#include <fmt/core.h>

#include "base/varint.hpp"

namespace warren::crypto {
namespace {

constexpr std::uint8_t kTypeTag = 0x08;  // Field 1, varint.
constexpr std::uint8_t kDataTag = 0x12;  // Field 2, length-delimited.

Result<Uvarint> read_field(BytesView in, std::uint8_t tag) {
  if (in.empty() || in.front() != tag) {
    return fail(ErrorCode::kMalformed,
                fmt::format("a key message lacks its field with tag 0x{:02x}", tag));
  }
  return read_whole_uvarint(in.subspan(1));
}

}  // namespace

Result<KeyMessage> read_key_message(BytesView protobuf) {
  WARREN_TRY(const Uvarint type, read_field(protobuf, kTypeTag));
  const BytesView second = protobuf.subspan(1 + type.size);
  WARREN_TRY(const Uvarint length, read_field(second, kDataTag));
  const BytesView data = second.subspan(1 + length.size);
  if (data.size() != length.value) {
    return fail(ErrorCode::kMalformed, fmt::format("a key message announces {} bytes and has {}",
                                                   length.value, data.size()));
  }
  return KeyMessage{type.value, data};
}

Bytes write_key_message(std::uint64_t type, BytesView data) {
  Bytes protobuf;
  protobuf.reserve(6 + data.size());
  protobuf.push_back(kTypeTag);
  append_uvarint(protobuf, type);
  protobuf.push_back(kDataTag);
  append_uvarint(protobuf, data.size());
  append(protobuf, data);
  return protobuf;
}

}  // namespace warren::crypto
