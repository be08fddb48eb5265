#pragma once
// A reader of the little DER that the libp2p extension has. Source: ITU-T X.690, section 10.

#include <cstdint>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::security {

inline constexpr std::uint8_t kDerOctetString = 0x04;
inline constexpr std::uint8_t kDerSequence = 0x30;

/// Takes one element with this tag off the front of `in` and returns its contents. Lengths are
/// definite, minimal and below 65,536. Errors: kMalformed.
Result<BytesView> take_der(BytesView& in, std::uint8_t tag);

/// Appends an element.
void append_der(Bytes& out, std::uint8_t tag, BytesView contents);

}  // namespace warren::security
