#pragma once
// Bytes as text in a stated base. Source: multiformats/multibase, README.md and multibase.csv;
// RFC 4648 for bases 16, 32 and 64; the alphabet of Bitcoin for base 58.

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::multiformats {

/// The prefix character of each base that is written here.
enum class Base : char {
  kBase16 = 'f',
  kBase32 = 'b',  ///< Lower case, no padding.
  kBase36 = 'k',  ///< Lower case.
  kBase58btc = 'z',
  kBase64url = 'u',  ///< No padding.
};

/// Longest text that is decoded in bases 16, 32 and 64.
inline constexpr std::size_t kBaseTextMax = 64u << 10;
/// Longest text in bases 36 and 58, whose cost grows with the square of the length.
inline constexpr std::size_t kBaseTextSquareMax = 1024;

/// `bytes` in `base` without the prefix character. Bases 36 and 58 are for short input: the cost
/// grows with the square of its length.
std::string encode_bare(Base base, BytesView bytes);
/// The inverse. Strict: one text for each value, so padding, white space, letters of the other
/// case, a surplus character and bits that are not zero at the end are all refused.
/// Errors: kInvalidArgument with the position, kTooLarge.
Result<Bytes> decode_bare(Base base, std::string_view text);

/// With the prefix character in front.
std::string encode_multibase(Base base, BytesView bytes);
/// Reads the prefix character. The upper-case twins F, B and K are read too.
/// Errors: kInvalidArgument, kUnsupported for another base, kTooLarge.
Result<Bytes> decode_multibase(std::string_view text);

}  // namespace warren::multiformats
