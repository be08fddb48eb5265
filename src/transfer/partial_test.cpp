// What a download has is served: while it runs, while it rests, and when it is
// complete.

#include "crypto/sha256.hpp"
#include "transfer/raw_peer_for_test.hpp"

namespace warren::transfer {
namespace {

using peers::Access;
using peers::AccessRule;

constexpr std::uint64_t kMiB = 1u << 20;

class PartialTest : public testing::Test {
 protected:
  PartialTest() {
    write_file(net_.path() / "thing" / "large", random_text(40 * kMiB, 1));
    write_file(net_.path() / "thing" / "small", "small");
    net_.world.link.bytes_per_second = 2 * kMiB;
    root_ = seed_->share(net_.path() / "thing", "thing");
    getter_->connect(*seed_);
    other_->connect(*getter_);
  }
  // Begins to fetch, and lets it run until a part of it is there.
  TransferId begin(GetRequest request) {
    const TransferId id = getter_->start_get(std::move(request));
    EXPECT_TRUE(net_.world.run_until(
        [&] { return getter_->manager().progress(id)->bytes_done > 4 * kMiB; }, 60s));
    return id;
  }
  // Each leaf that the getter says it has is right, and it gives no other.
  void expect_serves_its_part() {
    RawPeer raw(net_, *other_, getter_->peer());
    const HoldingResponse holding = raw.holding(root_);
    ASSERT_EQ(holding.extent, Extent::kPartial);
    const auto tree = *seed_->store().tree(root_);
    ASSERT_EQ(holding.leaf_count, tree->leaves.size());
    const LeafSet held = LeafSet::from_bytes(holding.leaves, holding.leaf_count);
    EXPECT_GT(held.count(), 3u);
    EXPECT_FALSE(held.full());
    for (std::uint64_t leaf = 0; leaf < held.size(); ++leaf) {
      const auto segment = std::get<SegmentResponse>(raw.ask(RangeRequest{root_, leaf, 1}));
      if (held.contains(leaf)) {
        EXPECT_EQ(segment.missing, Missing::kNo) << leaf;
        EXPECT_EQ(Digest{crypto::sha256(raw.raw)}, tree->leaves[leaf].digest);
      } else if (segment.missing != Missing::kNo) {  // It may have come since.
        EXPECT_EQ(segment.missing, Missing::kNotHeld) << leaf;
      }
    }
    EXPECT_TRUE(std::holds_alternative<NodesResponse>(raw.ask(NodesRequest{root_, {}})));
  }

  TestNet net_;
  std::unique_ptr<TestNode> seed_ = net_.node(1);
  std::unique_ptr<TestNode> getter_ = net_.node(2);
  std::unique_ptr<TestNode> other_ = net_.node(3);
  Cid root_;
};

TEST_F(PartialTest, ADownloadServesWhatItHas) {
  begin(by_root(root_));
  expect_serves_its_part();
}

TEST_F(PartialTest, SoDoesOneThatIsPausedAlsoAfterARestart) {
  const TransferId id = begin(by_root(root_));
  ASSERT_TRUE(sim::run(net_.world, getter_->manager().pause(id)));
  expect_serves_its_part();
  getter_->stop();
  getter_->start();
  other_->connect(*getter_);
  expect_serves_its_part();
}

TEST_F(PartialTest, ALeafWhoseFileWasWrittenToIsNotGiven) {
  const TransferId id = begin(by_root(root_));
  ASSERT_TRUE(sim::run(net_.world, getter_->manager().pause(id)));
  RawPeer raw(net_, *other_, getter_->peer());
  const HoldingResponse before = raw.holding(root_);
  const LeafSet held = LeafSet::from_bytes(before.leaves, before.leaf_count);
  const auto first = *LeafSet::next_in_both(held, held, 0);
  for (const auto& item : fs::recursive_directory_iterator(getter_->got())) {
    if (item.path().filename() != "large") continue;
    std::fstream file(item.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(first * kMiB));
    file << "something else";
  }
  EXPECT_EQ(std::get<SegmentResponse>(raw.ask(RangeRequest{root_, first, 1})).missing,
            Missing::kUnreadable);
  const HoldingResponse after = raw.holding(root_);
  EXPECT_FALSE(LeafSet::from_bytes(after.leaves, after.leaf_count).contains(first));
}

TEST_F(PartialTest, OnlyThoseWhomTheRequestNamesMayHaveIt) {
  for (const std::optional<AccessRule>& audience :
       {std::optional<AccessRule>(), std::optional<AccessRule>({Access::kTrusted, {}}),
        std::optional<AccessRule>({Access::kListed, {seed_->peer()}})}) {
    GetRequest request = by_root(root_);
    request.audience = audience;
    const TransferId id = begin(request);
    RawPeer raw(net_, *other_, getter_->peer());
    EXPECT_EQ(raw.have(root_), Extent::kNone);
    EXPECT_TRUE(refused(raw.ask(NodesRequest{root_, {}})));
    EXPECT_TRUE(refused(raw.ask(RangeRequest{root_, 0, 1})));
    EXPECT_EQ(getter_->wait(id).state, State::kCompleted);
    EXPECT_EQ(raw.have(root_), Extent::kNone);
    ASSERT_TRUE(sim::run(net_.world, getter_->manager().cancel(id)));
    fs::remove_all(getter_->got() / "thing");
  }
}

TEST_F(PartialTest, WhatIsCompleteIsServedInPlaceUntilItIsForgotten) {
  net_.world.link.bytes_per_second = 0;
  const TransferId id = getter_->start_get(by_root(root_));
  ASSERT_EQ(getter_->wait(id).state, State::kCompleted);
  seed_->stop();
  EXPECT_TRUE(getter_->store().shares()->empty()) << "it is no share of a person";
  EXPECT_EQ(other_->get(root_).state, State::kCompleted);
  EXPECT_EQ(difference(net_.path() / "thing", other_->got() / "thing"), "")
      << "under the name that it has";
  getter_->stop();
  getter_->start();
  other_->connect(*getter_);
  {
    RawPeer raw(net_, *other_, getter_->peer());
    EXPECT_EQ(raw.have(root_), Extent::kComplete);
    write_file(getter_->got() / "thing" / "small", "changed since");
    EXPECT_EQ(std::get<SegmentResponse>(raw.ask(RangeRequest{root_, 40, 1})).missing,
              Missing::kChanged);
    EXPECT_EQ(std::get<SegmentResponse>(raw.ask(RangeRequest{root_, 0, 1})).missing, Missing::kNo);
  }
  ASSERT_TRUE(sim::run(net_.world, getter_->manager().cancel(id)));
  RawPeer raw(net_, *other_, getter_->peer());
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  EXPECT_TRUE(fs::exists(getter_->got() / "thing"));
}

TEST_F(PartialTest, AGrowingPartIsFollowedToItsEnd) {
  const TransferId id = begin(by_root(root_));
  const TransferId behind = other_->start_get(by_root(root_));  // It knows the getter alone.
  EXPECT_EQ(getter_->wait(id).state, State::kCompleted);
  const TimePoint first_done = net_.world.now();
  EXPECT_EQ(other_->wait(behind).state, State::kCompleted);
  EXPECT_LT(net_.world.now() - first_done, 8s) << "it waited for the whole";
  EXPECT_EQ(difference(net_.path() / "thing", other_->got() / "thing"), "");
}

}  // namespace
}  // namespace warren::transfer
