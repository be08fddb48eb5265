#include "warren/error.hpp"

namespace warren::v1 {

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
  }
  return "internal";
}

}  // namespace warren::v1
