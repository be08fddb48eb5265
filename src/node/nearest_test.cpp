#include "node/nearest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace warren::node {
namespace {

constexpr std::array<std::string_view, 4> kWords{"peers", "ping", "share", "shares"};

TEST(Nearest, FindsTheWordBehindASlip) {
  EXPECT_EQ(nearest("peesr", kWords), "peers");
  EXPECT_EQ(nearest("pers", kWords), "peers");
  EXPECT_EQ(nearest("pnig", kWords), "ping");
}

TEST(Nearest, PrefersTheNearerOfTwo) {
  EXPECT_EQ(nearest("shar", kWords), "share");
  EXPECT_EQ(nearest("sharess", kWords), "shares");
}

TEST(Nearest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(nearest("bogus", kWords), std::nullopt);
  EXPECT_EQ(nearest("", kWords), std::nullopt);
  EXPECT_EQ(nearest(std::string(65, 'p'), kWords), std::nullopt);
}

}  // namespace
}  // namespace warren::node
