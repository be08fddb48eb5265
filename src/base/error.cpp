#include "base/error.hpp"

#include <cerrno>
#include <cstring>

namespace warren {

std::string_view error_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInternal: return "internal";
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kMalformed: return "malformed";
    case ErrorCode::kTooLarge: return "too_large";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kExists: return "exists";
    case ErrorCode::kConflict: return "conflict";
    case ErrorCode::kDenied: return "denied";
    case ErrorCode::kTimedOut: return "timed_out";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kClosed: return "closed";
    case ErrorCode::kReset: return "reset";
    case ErrorCode::kUnreachable: return "unreachable";
    case ErrorCode::kNoPeer: return "no_peer";
    case ErrorCode::kNoSpace: return "disk_full";
    case ErrorCode::kIntegrity: return "integrity";
    case ErrorCode::kLimited: return "limited";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kNoDaemon: return "no_daemon";
  }
  return "internal";
}

Error system_error(std::string_view what, int error_number) {
  ErrorCode code = ErrorCode::kIo;
  switch (error_number) {
    case ENOSPC:
    case EDQUOT: code = ErrorCode::kNoSpace; break;
    case ENOENT: code = ErrorCode::kNotFound; break;
    case EACCES:
    case EROFS:
    case EPERM: code = ErrorCode::kDenied; break;
    case EEXIST: code = ErrorCode::kExists; break;
    case ECANCELED: code = ErrorCode::kCancelled; break;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH: code = ErrorCode::kUnreachable; break;
    case ECONNRESET:
    case EPIPE: code = ErrorCode::kReset; break;
    case ETIMEDOUT: code = ErrorCode::kTimedOut; break;
    case EADDRINUSE: code = ErrorCode::kConflict; break;
    default: break;
  }
  std::string message(what);
  message += ": ";
  message += std::strerror(error_number);
  return {code, std::move(message)};
}

}  // namespace warren
