#pragma once
// The one error type: a stable code, a text with the values involved, and the next step.

#include <cstdint>
#include <string>
#include <string_view>

#include "warren/export.hpp"

namespace warren::WARREN_V1 {
/// What kind of failure. Numbers and names (error_name) are stable.
enum class ErrorCode : std::uint8_t {
  kInternal = 1,         ///< A fault of the library, or a system call that failed oddly.
  kInvalidArgument = 2,  ///< The program asked for something malformed.
  kMalformed = 3,        ///< Bytes from a peer or a file do not follow their format.
  kTooLarge = 4,         ///< A stated limit on size or count was passed.
  kNotFound = 5,         ///< No such thing here.
  kExists = 6,           ///< It is there already, and different.
  kConflict = 7,         ///< Another operation or process holds it.
  kDenied = 8,           ///< Authentication, permission, a ban or policy says no.
  kTimedOut = 9,         ///< The time given to the call is over.
  kCancelled = 10,       ///< The program stopped it.
  kClosed = 11,          ///< The node is not running: not started yet, or stopped.
  kReset = 12,           ///< The other side broke the connection off.
  kUnreachable = 13,     ///< No answer at that address.
  kNoPeer = 14,          ///< No peer that has it was found in time.
  kNoSpace = 15,         ///< Disk or quota is full.
  kIntegrity = 16,    ///< A peer's key is not the expected one, or bytes do not hash to their name.
  kLimited = 17,      ///< A resource limit refuses it at this moment.
  kUnsupported = 18,  ///< A protocol, key type or address that this build does not speak.
  kIo = 19,           ///< Reading or writing a file failed.
};

/// Stable snake_case name, for example "not_found"; "internal" for a number that is no code.
WARREN_API std::string_view error_name(ErrorCode code) noexcept;

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  /// What failed, with the values. One line of UTF-8 without control characters.
  std::string message{};
  /// What to do next; empty when there is nothing to say.
  std::string hint{};
};

}  // namespace warren::WARREN_V1
