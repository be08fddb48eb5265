#pragma once
// Which library this is.

#include <string_view>

#include "warren/export.hpp"

namespace warren::WARREN_V1 {
/// "0.1.0": of the library that runs, which may be newer than these headers.
WARREN_API std::string_view version() noexcept;

}  // namespace warren::WARREN_V1
