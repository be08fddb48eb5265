#pragma once
// Result<T>: a value or an Error. Every function that can fail returns one.

#include <expected>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace warren {

template <class T = void>
using Result = std::expected<T, Error>;

/// The error half of any Result.
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }
inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string hint = {}) {
  return std::unexpected(Error(code, std::move(message), std::move(hint)));
}

}  // namespace warren

#define WARREN_CAT2(a, b) a##b
#define WARREN_CAT(a, b) WARREN_CAT2(a, b)

#define WARREN_TRY_IMPL(leave, tmp, declaration, expression) \
  auto tmp = (expression);                                   \
  if (!tmp) leave std::unexpected(std::move(tmp).error());   \
  declaration = std::move(*tmp)
#define WARREN_TRY_VOID_IMPL(leave, tmp, expression)         \
  do {                                                       \
    auto tmp = (expression);                                 \
    if (!tmp) leave std::unexpected(std::move(tmp).error()); \
  } while (false)

/// Binds the value of `expression`, or returns its error.
#define WARREN_TRY(declaration, expression) \
  WARREN_TRY_IMPL(return, WARREN_CAT(try_, __LINE__), declaration, expression)
/// Runs a step without a value, or returns its error.
#define WARREN_TRY_VOID(expression) \
  WARREN_TRY_VOID_IMPL(return, WARREN_CAT(try_, __LINE__), expression)
/// The same two in a coroutine.
#define WARREN_CO_TRY(declaration, expression) \
  WARREN_TRY_IMPL(co_return, WARREN_CAT(try_, __LINE__), declaration, expression)
#define WARREN_CO_TRY_VOID(expression) \
  WARREN_TRY_VOID_IMPL(co_return, WARREN_CAT(try_, __LINE__), expression)
