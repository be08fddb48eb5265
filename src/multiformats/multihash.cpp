#include "multiformats/multihash.hpp"

#include <fmt/core.h>

#include "base/varint.hpp"

namespace warren::multiformats {

Result<Multihash> read_multihash(BytesView bytes) {
  WARREN_TRY(const Uvarint code, read_whole_uvarint(bytes));
  WARREN_TRY(const Uvarint length, read_whole_uvarint(bytes.subspan(code.size)));
  const BytesView rest = bytes.subspan(code.size + length.size);
  if (length.value > kDigestBytesMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("a multihash digest of {} bytes; {} is the most",
                                                  length.value, kDigestBytesMax));
  }
  if (rest.size() < length.value) {
    return fail(ErrorCode::kMalformed, fmt::format("a multihash digest of {} bytes ends after {}",
                                                   length.value, rest.size()));
  }
  if (code.value == kHashSha256 && length.value != 32) {
    return fail(ErrorCode::kMalformed,
                fmt::format("a sha2-256 digest of {} bytes, not 32", length.value));
  }
  const auto digest_bytes = static_cast<std::size_t>(length.value);
  return Multihash{code.value, rest.first(digest_bytes), code.size + length.size + digest_bytes};
}

Result<Multihash> read_whole_multihash(BytesView bytes) {
  WARREN_TRY(const Multihash hash, read_multihash(bytes));
  if (hash.size != bytes.size()) {
    return fail(ErrorCode::kMalformed,
                fmt::format("{} bytes follow a multihash", bytes.size() - hash.size));
  }
  return hash;
}

void append_multihash(Bytes& out, std::uint64_t code, BytesView digest) {
  append_uvarint(out, code);
  append_uvarint(out, digest.size());
  append(out, digest);
}

}  // namespace warren::multiformats
