#include "api/router.hpp"

#include <gtest/gtest.h>

namespace warren::api {
namespace {

awaitable<Result<Json>> answer_nothing(Request, Lines&) { co_return Json::object(); }

Router sample() {
  Router router;
  router.add("GET", "/api/v1/shares", answer_nothing);
  router.add("POST", "/api/v1/shares", answer_nothing);
  router.add("DELETE", "/api/v1/shares/{name}", answer_nothing);
  router.add("POST", "/api/v1/shares/{name}/verify", answer_nothing);
  return router;
}

TEST(Router, FindsByMethodAndPath) {
  const Router router = sample();
  EXPECT_TRUE(router.find("GET", "/api/v1/shares"));
  EXPECT_TRUE(router.find("POST", "/api/v1/shares"));
  const auto match = router.find("POST", "/api/v1/shares/music/verify");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->path.at("name"), "music");
}

TEST(Router, DecodesNamesAndQueries) {
  const Router router = sample();
  const auto match = router.find("DELETE", "/api/v1/shares/a%2Fb%20c?force=yes%21&x&=&y=1=2");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->path.at("name"), "a/b c");
  EXPECT_EQ(match->query.at("force"), "yes!");
  EXPECT_EQ(match->query.at("x"), "");
  EXPECT_EQ(match->query.at("y"), "1=2");
}

TEST(Router, SaysWhatIsWrong) {
  const Router router = sample();
  const auto code = [&](std::string_view method, std::string_view target) {
    const auto match = router.find(method, target);
    return match ? "found" : std::string(error_name(match.error().code()));
  };
  EXPECT_EQ(code("GET", "/api/v1/share"), "not_found");
  EXPECT_EQ(code("GET", "/api/v1/shares/"), "not_found");
  EXPECT_EQ(code("GET", "/"), "not_found");
  EXPECT_EQ(code("GET", ""), "not_found");
  EXPECT_EQ(code("GET", "/api/v1/shares/x/verify"), "unsupported");
  EXPECT_EQ(code("DELETE", "/api/v1/shares/"), "not_found") << "an empty name is no name";
  for (const char* bad : {"/a%", "/a%2", "/a%zz", "/a%00", "/a?x=%"}) {
    EXPECT_EQ(code("GET", bad), "invalid_argument") << bad;
  }
}

TEST(Router, EncodingAndDecodingAreInverse) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(all)).value(), all);
  EXPECT_EQ(percent_encode("a-b._~/ %"), "a-b._~%2F%20%25");
}

}  // namespace
}  // namespace warren::api
