#pragma once
// The hash that places names in a HAMT. Not for anything that an attacker must not choose.

#include <cstdint>

#include "base/bytes.hpp"

namespace warren::content {

/// The first 64 bits of MurmurHash3_x64_128 with seed 0 (multicodec murmur3-x64-64, 0x22).
/// Source: Appleby, SMHasher, MurmurHash3.
std::uint64_t murmur3_x64_64(BytesView bytes) noexcept;

}  // namespace warren::content
