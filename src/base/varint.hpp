#pragma once
// uvarint: unsigned LEB128 in its minimal form, at most 9 bytes (63 bits).
// Source: multiformats/unsigned-varint, README.md. Protobuf's own varints are not read here.

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren {

inline constexpr std::size_t kUvarintBytesMax = 9;

struct Uvarint {
  std::uint64_t value = 0;
  std::size_t size = 0;  ///< Bytes read, 1 to 9.
};

/// Reads one uvarint from the front of `in`. nullopt: more bytes are needed.
/// Errors: kMalformed when it is longer than 9 bytes or not minimal.
Result<std::optional<Uvarint>> read_uvarint(BytesView in);

/// As read_uvarint, but a cut-off varint is kMalformed too.
Result<Uvarint> read_whole_uvarint(BytesView in);

/// Appends `value`, which must be below 2^63.
void append_uvarint(Bytes& out, std::uint64_t value);
std::size_t uvarint_size(std::uint64_t value);

}  // namespace warren
