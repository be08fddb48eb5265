#pragma once
// Content identifiers. Source: multiformats/cid, README.md.

#include <array>
#include <compare>
#include <cstring>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::multiformats {

/// A SHA-256 digest.
struct Digest {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Digest&) const = default;
};

/// Codecs of a CID that Warren stores. Source: multicodec table.
enum class Codec : std::uint32_t { kRaw = 0x55, kDagPb = 0x70, kLibp2pKey = 0x72 };

/// A CIDv1 with a sha2-256 digest: the only kind Warren makes or fetches. Others parse to
/// kUnsupported, so that the text of the error can say so.
struct Cid {
  Codec codec = Codec::kRaw;
  Digest digest;

  /// 36 bytes: 01 <codec> 12 20 <digest>. A binary CIDv0 is kUnsupported: it would name the same
  /// block by a second spelling. Errors: kMalformed, kUnsupported.
  static Result<Cid> from_bytes(BytesView bytes);
  /// Any multibase text of a CIDv1 ("bafy...", "bafk..."), or CIDv0 ("Qm...", as dag-pb).
  /// Errors: kInvalidArgument, kUnsupported.
  static Result<Cid> parse(std::string_view text);
  Bytes to_bytes() const;
  /// base32 lower case, "bafy..." or "bafk...".
  std::string to_string() const;

  auto operator<=>(const Cid&) const = default;
};

}  // namespace warren::multiformats

template <>
struct std::hash<warren::multiformats::Digest> {
  std::size_t operator()(const warren::multiformats::Digest& digest) const noexcept {
    std::size_t word = 0;  // The digest of a hash function needs no further mixing.
    std::memcpy(&word, digest.bytes.data(), sizeof word);
    return word;
  }
};
template <>
struct std::hash<warren::multiformats::Cid> {
  std::size_t operator()(const warren::multiformats::Cid& cid) const noexcept {
    return std::hash<warren::multiformats::Digest>{}(cid.digest) ^
           static_cast<std::size_t>(cid.codec);
  }
};

namespace warren {
using multiformats::Cid;
using multiformats::Codec;
using multiformats::Digest;
}  // namespace warren
