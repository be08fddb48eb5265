#include "catalog/patterns.hpp"

#include <gtest/gtest.h>

namespace warren::catalog {
namespace {

TEST(Patterns, TopicsAreExactBelowEndingOrAny) {
  EXPECT_TRUE(topic_matches("weather", "weather"));
  EXPECT_FALSE(topic_matches("weather", "weather/alps"));
  EXPECT_FALSE(topic_matches("weather", "Weather"));
  EXPECT_TRUE(topic_matches("weather/*", "weather"));
  EXPECT_TRUE(topic_matches("weather/*", "weather/alps"));
  EXPECT_TRUE(topic_matches("weather/*", "weather/alps/2026"));
  EXPECT_FALSE(topic_matches("weather/*", "weatherman"));
  EXPECT_TRUE(topic_matches("*/papers", "physics/papers"));
  EXPECT_TRUE(topic_matches("*/papers", "physics/solid/papers"));
  EXPECT_FALSE(topic_matches("*/papers", "papers"));
  EXPECT_TRUE(topic_matches("*", "anything/at/all"));
  EXPECT_TRUE(topic_matches("*", ""));
  EXPECT_FALSE(topic_matches("weather", ""));
}

TEST(Patterns, OneOfSeveralIsEnoughAndAnEmptyOneMatchesAll) {
  EXPECT_TRUE(matches_any({"games", "weather/*"}, "weather/alps"));
  EXPECT_FALSE(matches_any({"games", "weather/*"}, "news"));
  EXPECT_FALSE(matches_any({}, "news"));
  EXPECT_TRUE(matches_any({"games", ""}, "news"));
  EXPECT_TRUE(matches_any({""}, ""));
}

TEST(Patterns, ATopicPatternIsATopicWithStars) {
  for (const char* good : {"weather", "weather/*", "*/papers", "*", "a*b/c"}) {
    EXPECT_TRUE(check_topic_pattern(good)) << good;
  }
  for (const char* bad : {"", "/", "a//b", "a b", "a?", "[a]", "/*"}) {
    const auto checked = check_topic_pattern(bad);
    ASSERT_FALSE(checked) << bad;
    EXPECT_EQ(checked.error().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(check_topic_pattern(std::string(256, 'a')));
}

TEST(Patterns, NamesAreFoundInsideOrAsGlobs) {
  EXPECT_TRUE(name_matches("ALP", "the alps"));
  EXPECT_FALSE(name_matches("alpine", "the alps"));
  EXPECT_TRUE(name_matches("", "anything"));
  EXPECT_TRUE(name_matches("the*", "The Alps"));
  EXPECT_FALSE(name_matches("alp*", "The Alps"));
  EXPECT_TRUE(name_matches("?he alps", "the alps"));
  EXPECT_TRUE(name_matches("gr?n", "gr\xc3\xbcn")) << "one character, two bytes";
  EXPECT_TRUE(name_matches("[a]", "x[a]x"));
  EXPECT_TRUE(name_matches("*a*b*c", "xxaxxbxxc"));
  EXPECT_FALSE(name_matches("*a*b*c", "xxaxxcxxb"));
}

TEST(Patterns, AHostileGlobIsSoonDone) {
  std::string pattern;
  for (int i = 0; i < 127; ++i) pattern += "*a";
  EXPECT_FALSE(name_matches(pattern + "b", std::string(255, 'a')));
}

}  // namespace
}  // namespace warren::catalog
