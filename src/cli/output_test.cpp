#include "cli/output.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace warren::cli {
namespace {

using nlohmann::json;

class OutputTest : public ::testing::Test {
 protected:
  Output make(bool in_json, bool streams = false) {
    return {Terminal{.out = out_, .err = err_}, in_json, "get", streams};
  }
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(OutputTest, PeopleGetTextAndNoJson) {
  Output output = make(false);
  output.text("hello\n");
  output.event(json{{"type", "progress"}});
  EXPECT_EQ(output.success(json{{"cid", "x"}}), ExitCode::kOk);
  EXPECT_EQ(out_.str(), "hello\n");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(OutputTest, ProgramsGetLinesWithTheResultLast) {
  Output output = make(true);
  output.text("hello\n");
  output.event(json{{"type", "progress"}, {"bytes_done", 3}});
  EXPECT_EQ(output.success(json{{"cid", "x"}, {"code", 99}}, ExitCode::kPartly), ExitCode::kPartly);
  EXPECT_EQ(out_.str(),
            "{\"type\":\"progress\",\"v\":1,\"bytes_done\":3}\n"
            "{\"type\":\"result\",\"v\":1,\"ok\":false,\"code\":3,\"cid\":\"x\"}\n");
}

TEST_F(OutputTest, AnErrorHasThreeParts) {
  Output output = make(false);
  const Error error(ErrorCode::kNoSpace, "cannot write /d/x: no space left (need 2 GiB)",
                    "free space; the download goes on by itself");
  EXPECT_EQ(output.failure(error, "/d/x"), ExitCode::kNoSpace);
  EXPECT_EQ(err_.str(),
            "warren get: cannot write /d/x: no space left (need 2 GiB)\n"
            "next: free space; the download goes on by itself\n");
}

TEST_F(OutputTest, WordsOfAPeerInAnErrorCannotDriveTheTerminal) {
  make(false).failure(Error(ErrorCode::kReset, "it says '\x1b[2J\n'"));
  EXPECT_EQ(err_.str(), "warren get: it says '\\x1b[2J\\x0a'\n");
}

TEST_F(OutputTest, AnErrorInJsonIsOneLineUnlessTheCommandStreams) {
  make(true, false).failure(Error(ErrorCode::kNotFound, "m", "h"), "i");
  const std::string object =
      "{\"type\":\"error\",\"v\":1,\"code\":4,\"name\":\"not_found\",\"message\":\"m\","
      "\"item\":\"i\",\"hint\":\"h\",\"retryable\":false}";
  const std::string result =
      "{\"type\":\"result\",\"v\":1,\"ok\":false,\"code\":4,\"error\":" + object + "}\n";
  EXPECT_EQ(out_.str(), result);
  out_.str("");
  make(true, true).failure(Error(ErrorCode::kNotFound, "m", "h"), "i");
  EXPECT_EQ(out_.str(), object + "\n" + result);
}

TEST_F(OutputTest, TextThatIsNotUtf8IsStillOneJsonLine) {
  make(true).success(json{{"name", "\xff\n"}});
  EXPECT_EQ(out_.str(),
            "{\"type\":\"result\",\"v\":1,\"ok\":true,\"code\":0,\"name\":\"\\ufffd\\n\"}\n");
}

}  // namespace
}  // namespace warren::cli
