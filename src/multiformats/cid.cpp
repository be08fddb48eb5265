#include "multiformats/cid.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/varint.hpp"
#include "multiformats/multibase.hpp"
#include "multiformats/multihash.hpp"
#include "multiformats/quote.hpp"

namespace warren::multiformats {
namespace {

constexpr std::size_t kCidTextMax = 256;

Result<Codec> known_codec(std::uint64_t code) {
  switch (code) {
    case static_cast<std::uint64_t>(Codec::kRaw): return Codec::kRaw;
    case static_cast<std::uint64_t>(Codec::kDagPb): return Codec::kDagPb;
    case static_cast<std::uint64_t>(Codec::kLibp2pKey): return Codec::kLibp2pKey;
    default:
      return fail(ErrorCode::kUnsupported,
                  fmt::format("CID codec 0x{:x} is none of raw (0x55), dag-pb (0x70), "
                              "libp2p-key (0x72)",
                              code));
  }
}

Digest to_digest(BytesView bytes) {
  Digest digest;
  std::ranges::copy(bytes.first(digest.bytes.size()), digest.bytes.begin());
  return digest;
}

Result<Digest> sha256_digest(const Multihash& hash) {
  if (hash.code != kHashSha256) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("CID hash function 0x{:x} is not sha2-256 (0x12)", hash.code));
  }
  return to_digest(hash.digest);
}

// Whatever is wrong with a text is the fault of whoever typed it.
Error of_text(Error error, std::string_view text) {
  const ErrorCode code = error.code() == ErrorCode::kUnsupported ? ErrorCode::kUnsupported
                                                                 : ErrorCode::kInvalidArgument;
  return {code, fmt::format("{} is not a CID: {}", quote(text), error.message()),
          "a CID looks like bafybei..., bafkrei... or Qm..."};
}

Result<Cid> parse_version_0(std::string_view text) {
  WARREN_TRY(const Bytes bytes, decode_bare(Base::kBase58btc, text));
  WARREN_TRY(const Multihash hash, read_whole_multihash(bytes));
  WARREN_TRY(const Digest digest, sha256_digest(hash));
  return Cid{Codec::kDagPb, digest};
}

Result<Cid> parse_any(std::string_view text) {
  if (text.size() == 46 && text.starts_with("Qm")) return parse_version_0(text);
  WARREN_TRY(const Bytes bytes, decode_multibase(text));
  return Cid::from_bytes(bytes);
}

}  // namespace

Result<Cid> Cid::from_bytes(BytesView bytes) {
  if (bytes.size() == 34 && bytes[0] == 0x12 && bytes[1] == 0x20) {
    return fail(ErrorCode::kUnsupported, "a binary CIDv0; only CIDv1 is read");
  }
  WARREN_TRY(const Uvarint version, read_whole_uvarint(bytes));
  if (version.value != 1) {
    return fail(ErrorCode::kUnsupported, fmt::format("CID version {}, not 1", version.value));
  }
  BytesView rest = bytes.subspan(version.size);
  WARREN_TRY(const Uvarint code, read_whole_uvarint(rest));
  rest = rest.subspan(code.size);
  WARREN_TRY(const Codec known, known_codec(code.value));
  WARREN_TRY(const Multihash hash, read_whole_multihash(rest));
  WARREN_TRY(const Digest sha256, sha256_digest(hash));
  return Cid{known, sha256};
}

Result<Cid> Cid::parse(std::string_view text) {
  if (text.size() > kCidTextMax) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{} characters are not a CID; {} is the most", text.size(), kCidTextMax));
  }
  auto cid = parse_any(text);
  if (!cid) return fail(of_text(std::move(cid).error(), text));
  return cid;
}

Bytes Cid::to_bytes() const {
  Bytes bytes;
  bytes.reserve(36);
  append_uvarint(bytes, 1);
  append_uvarint(bytes, static_cast<std::uint64_t>(codec));
  append_multihash(bytes, kHashSha256, digest.bytes);
  return bytes;
}

std::string Cid::to_string() const { return encode_multibase(Base::kBase32, to_bytes()); }

}  // namespace warren::multiformats
