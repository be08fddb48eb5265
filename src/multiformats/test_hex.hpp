#pragma once
// Hexadecimal literals in tests.

#include <string_view>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "multiformats/multibase.hpp"

namespace warren::multiformats {

/// The bytes of lower-case hexadecimal; stops the test on anything else.
inline Bytes from_hex(std::string_view text) {
  auto bytes = decode_bare(Base::kBase16, text);
  WARREN_CHECK(bytes.has_value());
  return *bytes;
}

}  // namespace warren::multiformats
