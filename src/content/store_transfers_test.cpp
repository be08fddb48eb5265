#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "content/store.hpp"

namespace warren::content {
namespace {

TransferRecord example() {
  TransferRecord record;
  record.root = {Codec::kDagPb, {}};
  record.name = "movies";
  record.out_path = "/data/movies";
  record.temporary_path = "/data/.movies.part";
  record.bytes_total = 1ull << 40;
  record.created_at = WallTime(std::chrono::seconds(1'700'000'000));
  record.sources = {"12D3KooWA", "12D3KooWB"};
  return record;
}

TEST(StoreTransfers, KeepsEveryField) {
  auto store = *Store::open(":memory:");
  TransferRecord record = example();
  record.id = *store->add_transfer(record);
  record.state = TransferState::kPaused;
  record.bytes_done = 1ull << 39;
  record.error = Error(ErrorCode::kNoSpace, "no space left (need 2 GiB)", "free space");
  record.sources.push_back("12D3KooWC");
  ASSERT_TRUE(store->update_transfer(record));

  const auto back = store->transfer(record.id);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->root, record.root);
  EXPECT_EQ(back->name, record.name);
  EXPECT_EQ(back->out_path, record.out_path);
  EXPECT_EQ(back->temporary_path, record.temporary_path);
  EXPECT_EQ(back->state, TransferState::kPaused);
  EXPECT_EQ(back->bytes_total, record.bytes_total);
  EXPECT_EQ(back->bytes_done, record.bytes_done);
  EXPECT_EQ(back->created_at, record.created_at);
  EXPECT_EQ(back->finished_at, WallTime{});
  ASSERT_TRUE(back->error);
  EXPECT_EQ(back->error->code(), ErrorCode::kNoSpace);
  EXPECT_EQ(back->error->message(), record.error->message());
  EXPECT_EQ(back->error->hint(), "free space");
  EXPECT_EQ(back->sources, record.sources);

  record.error.reset();
  record.sources.clear();
  ASSERT_TRUE(store->update_transfer(record));
  EXPECT_FALSE(store->transfer(record.id)->error);
  EXPECT_TRUE(store->transfer(record.id)->sources.empty());
}

TEST(StoreTransfers, BitmapIsApartFromTheRest) {
  auto store = *Store::open(":memory:");
  TransferRecord record = example();
  record.id = *store->add_transfer(record);
  EXPECT_TRUE(store->transfer_bitmap(record.id)->empty());
  const Bytes bitmap{0x01, 0x80, 0x00};
  ASSERT_TRUE(store->update_transfer_bitmap(record.id, bitmap, 77));
  EXPECT_EQ(*store->transfer_bitmap(record.id), bitmap);
  EXPECT_EQ(store->transfer(record.id)->bytes_done, 77u);
  record.state = TransferState::kCompleted;
  ASSERT_TRUE(store->update_transfer(record));
  EXPECT_EQ(*store->transfer_bitmap(record.id), bitmap);
}

TEST(StoreTransfers, AreListedOldestFirstAndIdsAreNotUsedAgain) {
  auto store = *Store::open(":memory:");
  const std::int64_t first = *store->add_transfer(example());
  const std::int64_t second = *store->add_transfer(example());
  ASSERT_EQ(store->transfers()->size(), 2u);
  EXPECT_EQ(store->transfers()->at(0).id, first);
  ASSERT_TRUE(store->remove_transfer(second));
  EXPECT_GT(*store->add_transfer(example()), second);
}

TEST(StoreTransfers, UnknownIdsAreNotFound) {
  auto store = *Store::open(":memory:");
  TransferRecord record = example();
  record.id = 5;
  EXPECT_EQ(store->transfer(5).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store->update_transfer(record).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store->update_transfer_bitmap(5, {}, 0).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store->transfer_bitmap(5).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store->remove_transfer(5).error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace warren::content
