#include "cli/exit_code.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace warren::cli {
namespace {

TEST(ExitCode, ErrorsHaveTheCodesThatAreDocumented) {
  const auto code = [](ErrorCode error) { return static_cast<int>(exit_code_of(error)); };
  EXPECT_EQ(code(ErrorCode::kInternal), 1);
  EXPECT_EQ(code(ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(code(ErrorCode::kNotFound), 4);
  EXPECT_EQ(code(ErrorCode::kNoPeer), 5);
  EXPECT_EQ(code(ErrorCode::kTimedOut), 5);
  EXPECT_EQ(code(ErrorCode::kNoDaemon), 6);
  EXPECT_EQ(code(ErrorCode::kDenied), 7);
  EXPECT_EQ(code(ErrorCode::kNoSpace), 8);
  EXPECT_EQ(code(ErrorCode::kIntegrity), 9);
  EXPECT_EQ(code(ErrorCode::kExists), 10);
  EXPECT_EQ(code(ErrorCode::kConflict), 10);
}

TEST(ExitCode, EveryCodeStandsInTheTable) {
  const std::string table = exit_code_table();
  for (const int code : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 124, 130, 143}) {
    EXPECT_NE(table.find(fmt::format("{:>3}  ", code)), std::string::npos) << code;
  }
}

}  // namespace
}  // namespace warren::cli
