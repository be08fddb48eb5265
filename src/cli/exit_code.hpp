#pragma once
// Exit codes: a stable interface. `warren help exit-codes` prints this table.

#include <string>

#include "base/error.hpp"

namespace warren::cli {

/// Source: quality statement CL-5.
enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kPartly = 3,
  kNotFound = 4,
  kNoPeer = 5,
  kNoDaemon = 6,
  kDenied = 7,
  kNoSpace = 8,
  kIntegrity = 9,
  kConflict = 10,
  kJobFailed = 11,
  kTimedOut = 124,
  kInterrupted = 130,
  kTerminated = 143,
};

/// The exit code that stands for an error.
ExitCode exit_code_of(ErrorCode code) noexcept;

/// The table, one line each.
std::string exit_code_table();

}  // namespace warren::cli
