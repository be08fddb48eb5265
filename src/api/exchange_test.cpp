#include "api/exchange.hpp"

#include <gtest/gtest.h>

namespace warren::api {
namespace {

TEST(Exchange, ALineIsAsciiWhateverTheTextHolds) {
  EXPECT_EQ(to_line({{"name", "a\x1b[31m\xe2\x80\xae"}}), R"({"name":"a\u001b[31m\u202e"})");
  EXPECT_EQ(to_line({{"name", "\xff"}}), R"({"name":"\ufffd"})");
}

TEST(Exchange, ABodyMustBeAShallowObject) {
  EXPECT_TRUE(parse_object("", 4));
  EXPECT_TRUE(parse_object(R"({"a":[1,{"b":2}]})", 4));
  for (const char* bad : {"[1]", "3", "{", "{\"a\":}", "nonsense", "{} {}"}) {
    const auto value = parse_object(bad, 4);
    ASSERT_FALSE(value) << bad;
    EXPECT_EQ(value.error().code(), ErrorCode::kInvalidArgument);
  }
  const auto deep = parse_object(R"({"a":[[[[[[1]]]]]]})", 4);
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().message(), "the body is nested deeper than 4 levels");
  EXPECT_FALSE(parse_object(std::string(100'000, '['), 64));
}

TEST(Exchange, EveryErrorComesBackFromItsProblem) {
  for (auto i = static_cast<unsigned>(ErrorCode::kInternal);
       i <= static_cast<unsigned>(ErrorCode::kNoDaemon); ++i) {
    const Error error(static_cast<ErrorCode>(i), "what failed", "what to do");
    const Error back = from_problem(to_problem(error));
    EXPECT_EQ(back.code(), error.code()) << error_name(error.code());
    EXPECT_EQ(back.message(), "what failed");
    EXPECT_EQ(back.hint(), "what to do");
    EXPECT_GE(http_status(error.code()), 400u);
  }
}

TEST(Exchange, AStrangeProblemIsStillAnError) {
  EXPECT_EQ(from_problem(Json::object()).code(), ErrorCode::kInternal);
  EXPECT_FALSE(from_problem(Json{{"name", 3}, {"detail", nullptr}}).message().empty());
}

}  // namespace
}  // namespace warren::api
