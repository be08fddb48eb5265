#include "discovery/exchange/allowances.hpp"

#include <gtest/gtest.h>

namespace warren::discovery {
namespace {

using namespace std::chrono_literals;

class AllowancesTest : public testing::Test {
 protected:
  /// How often `key` may, now.
  int takes(int key) {
    int taken = 0;
    while (all.of(key, now).take(1, now)) ++taken;
    return taken;
  }
  TimePoint now{};
  Allowances<int> all{1, 4, 3};  // One a second, four at once, three keys.
};

TEST_F(AllowancesTest, EachKeyHasItsOwn) {
  for (int key = 0; key < 3; ++key) EXPECT_EQ(takes(key), 4);
  now += 2s;
  for (int key = 0; key < 3; ++key) EXPECT_EQ(takes(key), 2);
}

TEST_F(AllowancesTest, ManyKeysGetNoMoreThanTheTableAndOneMore) {
  int taken = 0;
  for (int round = 0; round < 10; ++round) {
    for (int key = 0; key < 1'000; ++key) taken += takes(key);
  }
  EXPECT_EQ(taken, 4 * (3 + 1)) << "coming back under another name, or again, gives nothing";
  EXPECT_EQ(all.size(), 3u);
}

TEST_F(AllowancesTest, OnlyThoseThatAreFullAreForgotten) {
  for (int key = 0; key < 3; ++key) EXPECT_EQ(takes(key), 4);
  now += 3s;
  EXPECT_EQ(takes(0), 3);
  now += 1s;  // 1 and 2 are full again.
  EXPECT_EQ(takes(7), 4);
  EXPECT_EQ(takes(0), 1) << "not forgotten";
  EXPECT_EQ(all.size(), 3u);
}

TEST_F(AllowancesTest, ATimeThatRunsBackwardsGivesNothing) {
  now += 1h;
  EXPECT_EQ(takes(0), 4);
  now -= 30min;
  EXPECT_EQ(takes(0), 0);
  now += 30min;
  EXPECT_EQ(takes(0), 0);
}

}  // namespace
}  // namespace warren::discovery
