#pragma once
// The one error type: a stable code, a text with the values involved, and the next step.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace warren {

/// What kind of failure. The names (error_name) are a stable interface: they stand in JSON and
/// decide the exit code of a command.
enum class ErrorCode : std::uint8_t {
  kInternal = 1,     ///< Our own fault, or an operating system call that has no better name.
  kInvalidArgument,  ///< A person or program asked for something malformed.
  kMalformed,        ///< Bytes from a peer or a file do not follow their format.
  kTooLarge,         ///< A stated limit on size or count was passed.
  kNotFound,         ///< No such thing here.
  kExists,           ///< It is there already, and different.
  kConflict,         ///< Another operation holds it.
  kDenied,           ///< Authentication, permission or policy says no.
  kTimedOut,         ///< The deadline passed.
  kCancelled,        ///< The caller stopped it.
  kClosed,           ///< The stream, connection or node has ended in good order.
  kReset,            ///< The other side broke the stream or connection off.
  kUnreachable,      ///< No answer at that address.
  kNoPeer,           ///< No peer that has it was found in time.
  kNoSpace,          ///< Disk or quota is full.
  kIntegrity,        ///< Bytes do not hash to their name, or an identity is not the one claimed.
  kLimited,          ///< A resource limit refuses it at this moment.
  kUnsupported,      ///< Protocol, key type or address that this build does not speak.
  kIo,               ///< Reading or writing a file failed.
  kNoDaemon,         ///< `warren up` is not running or cannot be reached.
};

/// Stable snake_case name, for example "not_found".
std::string_view error_name(ErrorCode code) noexcept;

class Error {
 public:
  Error(ErrorCode code, std::string message, std::string hint = {})
      : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

  ErrorCode code() const noexcept { return code_; }
  /// What failed, with the values. One line, no final full stop.
  const std::string& message() const noexcept { return message_; }
  /// What to do next; empty when there is nothing to say.
  const std::string& hint() const noexcept { return hint_; }
  /// The same error said from further out: "context: message".
  Error in(std::string_view context) && {
    message_.insert(0, ": ");
    message_.insert(0, context);
    return std::move(*this);
  }

 private:
  ErrorCode code_;
  std::string message_;
  std::string hint_;
};

/// The error of a failed system call: `what` and the operating system's words for `error_number`.
/// ENOSPC and EDQUOT become kNoSpace, ENOENT kNotFound, EACCES and EPERM kDenied, EEXIST kExists.
Error system_error(std::string_view what, int error_number);

}  // namespace warren
