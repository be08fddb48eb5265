#pragma once
// A digest with the name of its hash function. Source: multiformats/multihash, README.md;
// codes from the multicodec table.

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::multiformats {

inline constexpr std::uint64_t kHashIdentity = 0x00;  ///< The digest is the input itself.
inline constexpr std::uint64_t kHashSha256 = 0x12;

/// Longest digest that is read.
inline constexpr std::size_t kDigestBytesMax = 128;

/// A multihash seen in bytes that somebody else holds.
struct Multihash {
  std::uint64_t code = 0;
  BytesView digest;
  std::size_t size = 0;  ///< Bytes that it takes with its two varints.
};

/// Reads one from the front of `bytes`. A sha2-256 digest must have 32 bytes.
/// Errors: kMalformed, kTooLarge.
Result<Multihash> read_multihash(BytesView bytes);
/// As read_multihash, and nothing may follow.
Result<Multihash> read_whole_multihash(BytesView bytes);
void append_multihash(Bytes& out, std::uint64_t code, BytesView digest);

}  // namespace warren::multiformats
