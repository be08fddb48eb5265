#include "transfer/leaf_set.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <set>

namespace warren::transfer {
namespace {

TEST(LeafSet, HasTheFormOfTheWire) {
  LeafSet set(10);
  EXPECT_TRUE(set.add(0));
  EXPECT_TRUE(set.add(9));
  EXPECT_FALSE(set.add(9));
  EXPECT_EQ(to_hex(set.bytes()), "0102");
  EXPECT_EQ(LeafSet(10, true).bytes()[1], 0x03);
  EXPECT_TRUE(LeafSet(10, true).full());
  EXPECT_TRUE(LeafSet(0, true).full());
}

TEST(LeafSet, ReadsABitmapOfAnyLength) {
  EXPECT_EQ(LeafSet::from_bytes(Bytes{0xff, 0xff, 0xff}, 10).count(), 10u);
  EXPECT_EQ(LeafSet::from_bytes(Bytes{0xff}, 10).count(), 8u);
  EXPECT_EQ(LeafSet::from_bytes({}, 10).count(), 0u);
}

RC_GTEST_PROP(LeafSetProperty, IsASet, ()) {
  const auto size = *rc::gen::inRange<std::uint64_t>(1, 100);
  LeafSet set(size);
  std::set<std::uint64_t> model;
  for (int i = 0; i < 100; ++i) {
    const auto leaf = *rc::gen::inRange<std::uint64_t>(0, size);
    if (*rc::gen::arbitrary<bool>()) {
      RC_ASSERT(set.add(leaf) == model.insert(leaf).second);
    } else {
      RC_ASSERT(set.remove(leaf) == (model.erase(leaf) == 1));
    }
    RC_ASSERT(set.count() == model.size());
    RC_ASSERT(LeafSet::from_bytes(set.bytes(), size) == set);
  }
}

}  // namespace
}  // namespace warren::transfer
