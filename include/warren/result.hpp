#pragma once
// Result<T>: a value or an Error. Every function of this library that can fail returns one; none
// throws, except std::bad_alloc when memory has run out.

#include <expected>

#include "warren/error.hpp"

namespace warren::WARREN_V1 {
template <class T = void>
using Result = std::expected<T, Error>;

}  // namespace warren::WARREN_V1
