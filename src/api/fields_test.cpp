#include "api/fields.hpp"

#include <gtest/gtest.h>

namespace warren::api {
namespace {

std::string error_of(const Fields& fields) {
  const auto end = fields.finish();
  return end ? "none" : end.error().message();
}

TEST(Fields, ReadsWhatIsThere) {
  const Json body{
      {"path", "/a"}, {"count", 3}, {"wait", 1.5}, {"from", {"x", "y"}}, {"n", nullptr}};
  Fields fields(body);
  EXPECT_EQ(fields.required_text("path"), "/a");
  EXPECT_EQ(fields.number("count", 1, 0, 10), 3u);
  EXPECT_EQ(fields.seconds("wait", 1s, 0s, 60s), 1500ms);
  EXPECT_EQ(fields.texts("from", 2).size(), 2u);
  EXPECT_EQ(fields.text("n"), "");
  EXPECT_EQ(fields.number("absent", 7, 0, 10), 7u);
  EXPECT_EQ(error_of(fields), "none");
}

TEST(Fields, NamesTheFirstThingThatIsWrong) {
  const Json body{{"count", -1}, {"wait", "long"}, {"path", 3}, {"from", {1}}};
  {
    Fields fields(body);
    fields.number("count", 1, 0, 10);
    fields.required_text("absent");
    EXPECT_EQ(error_of(fields), "the field 'count' must be a whole number from 0 to 10");
  }
  {
    Fields fields(body);
    fields.required_text("absent");
    EXPECT_EQ(error_of(fields), "the field 'absent' is missing");
  }
  {
    Fields fields(body);
    fields.seconds("wait", 1s, 0s, 60s);
    EXPECT_EQ(error_of(fields), "the field 'wait' must be a number of seconds from 0 to 60");
  }
  {
    Fields fields(body);
    fields.texts("from", 4);
    EXPECT_EQ(error_of(fields), "the field 'from' must be a list of at most 4 texts");
  }
}

TEST(Fields, RefusesFieldsThatNobodyKnows) {
  const Json body{{"path", "/a"}, {"psth", "/b"}};
  Fields fields(body);
  fields.required_text("path");
  EXPECT_EQ(error_of(fields), "unknown field 'psth'");
}

TEST(Fields, BoundsTexts) {
  const Json body{{"long", std::string(4097, 'x')}, {"nul", std::string("a\0b", 3)}};
  Fields first(body);
  first.text("long");
  EXPECT_NE(error_of(first), "none");
  Fields second(body);
  second.text("nul");
  EXPECT_NE(error_of(second), "none");
}

}  // namespace
}  // namespace warren::api
