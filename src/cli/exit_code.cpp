#include "cli/exit_code.hpp"

namespace warren::cli {

ExitCode exit_code_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument: return ExitCode::kUsage;
    case ErrorCode::kNotFound: return ExitCode::kNotFound;
    case ErrorCode::kUnreachable:
    case ErrorCode::kTimedOut:
    case ErrorCode::kNoPeer: return ExitCode::kNoPeer;
    case ErrorCode::kNoDaemon: return ExitCode::kNoDaemon;
    case ErrorCode::kDenied: return ExitCode::kDenied;
    case ErrorCode::kNoSpace: return ExitCode::kNoSpace;
    case ErrorCode::kIntegrity: return ExitCode::kIntegrity;
    case ErrorCode::kExists:
    case ErrorCode::kConflict: return ExitCode::kConflict;
    case ErrorCode::kInternal:
    case ErrorCode::kMalformed:
    case ErrorCode::kTooLarge:
    case ErrorCode::kCancelled:
    case ErrorCode::kClosed:
    case ErrorCode::kReset:
    case ErrorCode::kLimited:
    case ErrorCode::kUnsupported:
    case ErrorCode::kIo: return ExitCode::kFailed;
  }
  return ExitCode::kFailed;
}

std::string exit_code_table() {
  return "  0  ok\n"
         "  1  failed for another reason than those below\n"
         "  2  wrong usage, or a configuration that is refused\n"
         "  3  partly done: some items failed\n"
         "  4  not found\n"
         "  5  no peer or provider in time\n"
         "  6  the daemon is not reachable ('warren up' starts it)\n"
         "  7  denied: permission, policy or signature\n"
         "  8  no space, or over quota\n"
         "  9  integrity: bytes do not hash to their name, or another identity answered\n"
         " 10  exists already, or in conflict with something else\n"
         " 11  a job failed\n"
         "124  the time given with --timeout passed\n"
         "130  interrupted (Ctrl-C)\n"
         "143  terminated (SIGTERM)\n"
         "Any other code is a failure too.\n";
}

}  // namespace warren::cli
