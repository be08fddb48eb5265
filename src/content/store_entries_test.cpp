// Entries of libraries in the store, and who may see them and shares.

#include <SQLiteCpp/Database.h>
#include <gtest/gtest.h>

#include <utility>

#include "content/store.hpp"
#include "content/test_support.hpp"
#include "content/verify.hpp"

namespace warren::content {
namespace {

using peers::Access;
using peers::AccessRule;

constexpr WallTime kNow{std::chrono::seconds(1'700'000'000)};
const AccessRule kLan{};
const AccessRule kAnyone{Access::kAnyone, {}};
const AccessRule kNobody{Access::kListed, {}};

class StoreEntriesTest : public testing::Test {
 protected:
  StoreEntriesTest() { reopen(); }

  void reopen() {
    store_.reset();
    auto opened = Store::open(folder_.at("store.db"));
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
  }
  Imported import(const std::string& name) {
    auto imported = test::import_now(runtime_, folder_.at(name));
    EXPECT_TRUE(imported);
    return std::move(*imported);
  }
  Result<Cid> import_as_entry(const std::string& id, const std::string& folder,
                              std::shared_ptr<Progress> progress = std::make_shared<Progress>()) {
    const auto own = [](std::string_view name) { return name == "local"; };
    return runtime::run_task(runtime_, import_entry(runtime_, *store_, id, folder_.at(folder), own,
                                                    std::move(progress)));
  }

  test::TempFolder folder_;
  runtime::RealRuntime runtime_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreEntriesTest, AnEntryIsServedButIsNoShare) {
  folder_.write("lib/thing/data", "hello");
  const Imported made = import("lib/thing");
  const auto added = store_->add_entry("thing", made, kNow);
  ASSERT_TRUE(added) << added.error().message();
  reopen();

  EXPECT_TRUE(store_->shares()->empty());
  const std::string cid = made.tree->root.to_string();
  for (const std::string& name : {std::string("thing"), std::string("/thing"), cid}) {
    EXPECT_EQ(store_->find_share(name).error().code(), ErrorCode::kNotFound) << name;
    EXPECT_EQ(store_->unshare(name).error().code(), ErrorCode::kNotFound) << name;
    EXPECT_EQ(store_->set_audience(name, kAnyone).error().code(), ErrorCode::kNotFound) << name;
  }
  const auto found = store_->find_entry("thing");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->root, made.tree->root);
  EXPECT_EQ(found->path, folder_.at("lib/thing"));
  EXPECT_EQ(found->entry_id(), "thing");
  EXPECT_EQ(found->audience, kNobody) << "who may fetch it is not the store's to say";
  const auto dataset = store_->open_dataset(made.tree->root);
  ASSERT_TRUE(dataset) << dataset.error().message();
  Bytes out(5);
  ASSERT_TRUE((*dataset)->read_leaves(0, 1, out));
  EXPECT_EQ(as_text(out), "hello");
  EXPECT_EQ(*store_->open_share(found->id), *dataset);

  ASSERT_TRUE(store_->remove_entry("thing"));
  EXPECT_EQ(store_->open_dataset(made.tree->root).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_->open_share(found->id).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_->remove_entry("thing").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_->find_entry("thing").error().code(), ErrorCode::kNotFound);
}

TEST_F(StoreEntriesTest, AShareOfTheSameFolderAndNameIsAnotherThing) {
  folder_.write("thing/data", "hello");
  const Imported made = import("thing");
  ASSERT_TRUE(store_->add_entry("thing", made, kNow));
  const auto share = store_->add_share("thing", made, kNow, kAnyone);
  ASSERT_TRUE(share) << share.error().message();
  EXPECT_EQ(store_->shares()->size(), 1u);
  EXPECT_EQ(store_->find_share("thing")->audience, kAnyone);
  EXPECT_EQ(store_->find_share(made.tree->root.to_string())->id, share->id);
  ASSERT_TRUE(store_->unshare(made.tree->root.to_string()));
  EXPECT_TRUE(store_->find_entry("thing"));
  EXPECT_TRUE(store_->open_dataset(made.tree->root));
}

TEST_F(StoreEntriesTest, AnEntryThatMovedIsFoundWhereItIs) {
  folder_.write("old/thing/data", "hello");
  folder_.write("new/thing/data", "hello");
  const Imported before = import("old/thing");
  ASSERT_TRUE(store_->add_entry("thing", before, kNow));
  const auto was_open = store_->open_dataset(before.tree->root);
  ASSERT_TRUE(store_->add_entry("thing", import("new/thing"), kNow));
  EXPECT_EQ(store_->find_entry("thing")->path, folder_.at("new/thing"));
  EXPECT_EQ((*store_->open_dataset(before.tree->root))->path(), folder_.at("new/thing"));
}

TEST_F(StoreEntriesTest, NamesOfEntriesAreChecked) {
  folder_.write("thing/data", "hello");
  const Imported made = import("thing");
  for (const std::string id : {"", "..", "a/b", "/a", "\xFF"}) {
    EXPECT_EQ(store_->add_entry(id, made, kNow).error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST_F(StoreEntriesTest, TheAudienceStaysUntilAnotherIsSaid) {
  folder_.write("thing/data", "hello");
  const Imported made = import("thing");
  EXPECT_EQ(store_->add_share("thing", made, kNow)->audience, kLan);
  const PeerId first = *PeerId::parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
  const AccessRule listed{Access::kListed, {first}};
  EXPECT_EQ(store_->set_audience("thing", listed)->audience, listed);
  EXPECT_EQ(store_->add_share("thing", made, kNow)->audience, listed) << "brought up to date";
  reopen();
  EXPECT_EQ(store_->find_share("thing")->audience, listed);
  EXPECT_EQ(store_->add_share("thing", made, kNow, kAnyone)->audience, kAnyone);

  ASSERT_TRUE(store_->add_entry("thing", made, kNow));
  EXPECT_EQ(store_->find_entry("thing")->audience, kNobody);
  EXPECT_EQ(store_->find_share("thing")->audience, kAnyone);
}

TEST_F(StoreEntriesTest, AnAudienceThatIsNoneAllowsNobody) {
  folder_.write("thing/data", "hello");
  ASSERT_TRUE(store_->add_share("thing", import("thing"), kNow, kAnyone));
  store_.reset();
  {
    SQLite::Database db(folder_.at("store.db"), SQLite::OPEN_READWRITE);
    db.exec("UPDATE shares SET audience = 'everybody'");
  }
  reopen();
  const auto share = store_->find_share("thing");
  ASSERT_TRUE(share);
  EXPECT_FALSE(share->audience.allows({PeerId{}, true, true}));
}

TEST_F(StoreEntriesTest, SharesOfAnOlderWarrenAreForTheLan) {
  folder_.write("thing/data", "hello");
  ASSERT_TRUE(store_->add_share("thing", import("thing"), kNow, kAnyone));
  store_.reset();
  {
    SQLite::Database db(folder_.at("store.db"), SQLite::OPEN_READWRITE);
    db.exec(
        "ALTER TABLE shares DROP COLUMN audience; ALTER TABLE transfers DROP COLUMN audience; "
        "ALTER TABLE transfers DROP COLUMN background; PRAGMA user_version = 1");
  }
  reopen();
  const auto share = store_->find_share("thing");
  ASSERT_TRUE(share);
  EXPECT_EQ(share->audience, kLan);
  EXPECT_TRUE(store_->open_share(share->id));
}

TEST_F(StoreEntriesTest, ImportsWithoutWhatIsLeftOutAndHashesOnlyWhatIsNew) {
  folder_.write("plain/data", "hello");
  folder_.write("plain/sub/local/deep", "a part of it");
  folder_.write("thing/data", "hello");
  folder_.write("thing/sub/local/deep", "a part of it");
  folder_.write("thing/local/save", "mine");
  for (const char* file : {"thing/data", "thing/sub/local/deep"}) folder_.age(file);
  const auto root = import_as_entry("thing", "thing");
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(*root, import("plain").tree->root);
  const auto info = store_->find_entry("thing");
  EXPECT_EQ(info->root, *root);
  EXPECT_EQ(info->files, 2u);

  // Bytes that changed under the same stamp show whether a file was read again.
  const auto before = std::filesystem::last_write_time(folder_.path() / "thing/data");
  folder_.write("thing/data", "other");
  std::filesystem::last_write_time(folder_.path() / "thing/data", before);
  folder_.write("thing/new", "new");
  folder_.write("plain/new", "new");
  const auto again = import_as_entry("thing", "thing");
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, import("plain").tree->root) << "what was known was hashed again";
  EXPECT_EQ(store_->find_entry("thing")->id, info->id);
  EXPECT_FALSE(store_->open_dataset(*root)) << "it is another dataset now";

  const auto stopped = std::make_shared<Progress>();
  stopped->stop = true;
  EXPECT_EQ(import_as_entry("thing", "thing", stopped).error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(import_as_entry("thing", "nothing").error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(store_->open_dataset(*again));
}

TEST_F(StoreEntriesTest, NamesLeftOutAreNotListedAsSkipped) {
  folder_.write("thing/data", "hello");
  folder_.write("thing/local/save", "mine");
  ImportOptions options;
  options.leave_out = [](std::string_view name) { return name == "local"; };
  const auto made = test::import_now(runtime_, folder_.at("thing"), options);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->skipped_count, 0u);
  ASSERT_EQ(made->tree->entries.size(), 2u);
  EXPECT_EQ(made->tree->entries[1].path, "data");
}

TEST_F(StoreEntriesTest, ANodeIsReadOnlyAsAPartOfItsDataset) {
  folder_.write("one/sub/data", "hello");
  folder_.write("two/data", "other");
  const Imported one = import("one");
  const Imported two = import("two");
  ASSERT_TRUE(store_->add_entry("one", one, kNow));
  ASSERT_TRUE(store_->add_share("two", two, kNow));
  for (const NodeBlock& node : one.nodes) {
    EXPECT_TRUE(store_->read_node(one.tree->root, node.cid));
    EXPECT_EQ(store_->read_node(two.tree->root, node.cid).error().code(), ErrorCode::kNotFound);
  }
  const Cid leaf{Codec::kRaw, one.tree->leaves.front().digest};
  EXPECT_EQ(store_->read_node(one.tree->root, leaf).error().code(), ErrorCode::kNotFound);
}

TEST_F(StoreEntriesTest, EveryChangeOfPlacesShowsInTheGeneration) {
  folder_.write("thing/data", "hello");
  const Imported made = import("thing");
  std::uint64_t last = store_->generation();
  const auto grew = [&] {
    return std::exchange(last, store_->generation()) != store_->generation();
  };
  EXPECT_TRUE(store_->places(made.tree->root)->empty());
  EXPECT_FALSE(grew());
  ASSERT_TRUE(store_->add_entry("thing", made, kNow));
  EXPECT_TRUE(grew());
  ASSERT_TRUE(store_->add_share("name", made, kNow));
  EXPECT_TRUE(grew());
  ASSERT_TRUE(store_->set_audience("name", kAnyone));
  EXPECT_TRUE(grew());
  const auto places = store_->places(made.tree->root);
  ASSERT_EQ(places->size(), 2u);
  EXPECT_EQ(places->at(0).audience, kNobody);
  EXPECT_EQ(places->at(1).audience, kAnyone);
  ASSERT_TRUE(store_->unshare("name"));
  EXPECT_TRUE(grew());
  ASSERT_TRUE(store_->remove_entry("thing"));
  EXPECT_TRUE(grew());
  EXPECT_FALSE(store_->remove_entry("thing"));
  EXPECT_FALSE(grew());
}

// What is asked of one entry does not look at all: a scan at each call would take minutes.
TEST_F(StoreEntriesTest, ManyEntriesAreFoundOneByOne) {
  auto opened = Store::open(":memory:");
  ASSERT_TRUE(opened);
  Store& store = **opened;
  constexpr std::size_t kEntries = 5'000;
  std::vector<Cid> roots;
  for (std::size_t i = 0; i < kEntries; ++i) {
    Imported made;
    made.path = folder_.path().string();
    Tree tree;
    Entry file;
    file.bytes = 8;
    file.leaf_count = 1;
    tree.entries.push_back(file);
    tree.bytes_total = 8;
    Digest digest{};
    for (std::size_t b = 0; b < 8; ++b) digest.bytes[b] = static_cast<std::uint8_t>(i >> (8 * b));
    tree.leaves.push_back({digest, 8});
    tree.root = {Codec::kRaw, digest};
    roots.push_back(tree.root);
    made.tree = std::make_shared<const Tree>(std::move(tree));
    made.stamps.resize(1);
    ASSERT_TRUE(store.add_entry(std::to_string(i), made, kNow));
  }
  EXPECT_TRUE(store.shares()->empty());
  for (std::size_t i = 0; i < kEntries; ++i) {
    const auto info = store.find_entry(std::to_string(i));
    ASSERT_TRUE(info);
    ASSERT_EQ(info->root, roots[i]);
    ASSERT_TRUE(store.open_dataset(roots[i]));
    ASSERT_TRUE(store.open_share(info->id));
  }
}

}  // namespace
}  // namespace warren::content
