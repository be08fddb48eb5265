#include "content/store.hpp"

#include <SQLiteCpp/Database.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "content/test_support.hpp"
#include "content/tree_reader.hpp"

namespace warren::content {
namespace {

using test::patterned_bytes;
using testing::HasSubstr;

constexpr WallTime kNow{std::chrono::seconds(1'700'000'000)};

class StoreTest : public testing::Test {
 protected:
  StoreTest() { reopen(); }

  void reopen(limits::Content limits = {}) {
    store_.reset();
    auto opened = Store::open(folder_.at("store.db"), limits);
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
  }
  Imported import(const std::string& name) {
    auto imported = test::import_now(runtime_, folder_.at(name));
    EXPECT_TRUE(imported);
    return std::move(*imported);
  }
  ShareInfo share(const std::string& folder, const std::string& name = {}) {
    const auto info = store_->add_share(name.empty() ? folder : name, import(folder), kNow);
    EXPECT_TRUE(info) << info.error().message();
    return *info;
  }
  std::int64_t count(const std::string& table) {
    const SQLite::Database db(folder_.at("store.db"), SQLite::OPEN_READONLY);
    SQLite::Statement query(db, "SELECT count(*) FROM " + table);
    query.executeStep();
    return query.getColumn(0).getInt64();
  }
  void make_folder(const std::string& name) {
    folder_.write(name + "/a", "first");
    folder_.write(name + "/b/c", patterned_bytes((1 << 20) + 5, 5));
    folder_.make_folder(name + "/empty");
  }

  test::TempFolder folder_;
  runtime::RealRuntime runtime_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, KeepsSharesOverARestart) {
  make_folder("f");
  const ShareInfo added = share("f");
  EXPECT_EQ(added.name, "f");
  EXPECT_EQ(added.files, 2u);
  EXPECT_EQ(added.bytes, (1u << 20) + 10);
  EXPECT_EQ(added.state, ShareState::kReady);
  const Tree before = **store_->tree(added.root);
  reopen();

  const auto shares = store_->shares();
  ASSERT_EQ(shares->size(), 1u);
  EXPECT_EQ(shares->at(0).root, added.root);
  EXPECT_EQ(shares->at(0).path, folder_.at("f"));
  EXPECT_EQ(shares->at(0).added_at, kNow);
  EXPECT_EQ(store_->find_share("f")->id, added.id);
  EXPECT_EQ(store_->find_share(added.root.to_string())->id, added.id);
  EXPECT_EQ(store_->find_share("g").error().code(), ErrorCode::kNotFound);

  const auto tree = store_->tree(added.root);
  ASSERT_TRUE(tree) << tree.error().message();
  ASSERT_EQ((*tree)->entries.size(), before.entries.size());
  for (std::size_t i = 0; i < before.entries.size(); ++i) {
    EXPECT_EQ((*tree)->entries[i].path, before.entries[i].path);
    EXPECT_EQ((*tree)->entries[i].first_leaf, before.entries[i].first_leaf);
  }
  const auto dataset = store_->open_dataset(added.root);
  ASSERT_TRUE(dataset) << dataset.error().message();
  Bytes out(added.bytes);
  EXPECT_TRUE((*dataset)->read_leaves(0, 3, out));
  EXPECT_EQ(*store_->open_dataset(added.root), *dataset) << "one object as long as it is held";
}

TEST_F(StoreTest, GivesNodesParentsFirstInBatches) {
  make_folder("f");
  const ShareInfo added = share("f");
  EXPECT_EQ(*store_->node_count(added.root), 4u);
  TreeReader reader(added.root);
  std::uint64_t next = 0;
  while (!reader.complete()) {
    const auto nodes = store_->nodes(added.root, next, 100, 1);
    ASSERT_TRUE(nodes);
    ASSERT_EQ(nodes->size(), 1u) << "at least one, however small the room";
    ASSERT_TRUE(reader.add(nodes->at(0).cid, nodes->at(0).bytes));
    ++next;
  }
  EXPECT_EQ(next, 4u);
  EXPECT_TRUE(store_->nodes(added.root, 4, 100, 1 << 20)->empty());
  EXPECT_EQ(store_->nodes(added.root, 0, 3, 1 << 20)->size(), 3u);
  EXPECT_EQ(*store_->read_node(added.root, added.root),
            store_->nodes(added.root, 0, 1, 1)->at(0).bytes);
  const Cid unknown{Codec::kDagPb, {}};
  EXPECT_EQ(store_->nodes(unknown, 0, 1, 1).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_->read_node(added.root, unknown).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_->tree(unknown).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_->open_dataset(unknown).error().code(), ErrorCode::kNotFound);
}

TEST_F(StoreTest, LeafRootsNeedNoNodes) {
  folder_.write("one", "hello");
  folder_.write("none", "");
  const ShareInfo one = share("one");
  const ShareInfo none = share("none");
  reopen();
  EXPECT_EQ(count("nodes"), 0);
  EXPECT_EQ((*store_->tree(one.root))->bytes_total, 5u);
  EXPECT_EQ((*store_->tree(none.root))->entries.size(), 1u);
  EXPECT_EQ(as_text(store_->nodes(one.root, 0, 10, 10)->at(0).bytes), "hello");
  EXPECT_EQ(*store_->node_count(one.root), 1u);
  EXPECT_TRUE(store_->read_node(none.root, none.root)->empty());
}

TEST_F(StoreTest, NamesAreUniqueAndChecked) {
  make_folder("f");
  make_folder("g");
  share("f", "name");
  const auto taken = store_->add_share("name", import("g"), kNow);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), ErrorCode::kConflict);
  EXPECT_THAT(taken.error().message(), HasSubstr(folder_.at("f")));
  for (const std::string name : {"", "..", "a/b", "\xFF"}) {
    EXPECT_EQ(store_->add_share(name, import("g"), kNow).error().code(),
              ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(store_->shares()->size(), 1u);
}

TEST_F(StoreTest, SharingAgainReplacesTheDataset) {
  make_folder("f");
  const ShareInfo before = share("f");
  folder_.write("f/new", "new");
  const ShareInfo after = share("f");
  EXPECT_EQ(after.id, before.id);
  EXPECT_NE(after.root, before.root);
  EXPECT_EQ(after.files, 3u);
  EXPECT_EQ(store_->shares()->size(), 1u);
  EXPECT_FALSE(store_->open_dataset(before.root));
  EXPECT_EQ(count("datasets"), 1);
  EXPECT_EQ(count("stamps"), 3);
}

TEST_F(StoreTest, UnshareForgetsWhatNoOneElseNeeds) {
  make_folder("f");
  make_folder("g");
  folder_.write("g/more", "more");
  const ShareInfo f = share("f");
  const ShareInfo g = share("g");
  EXPECT_EQ(count("nodes"), 5) << "b, b/c and empty are the same in both";
  ASSERT_TRUE(store_->unshare(f.root.to_string()));
  EXPECT_EQ(count("nodes"), 4);
  ASSERT_TRUE(store_->open_dataset(g.root));
  EXPECT_EQ(store_->unshare("f").error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(store_->unshare("g"));
  for (const std::string table : {"nodes", "datasets", "dataset_nodes", "stamps", "shares"}) {
    EXPECT_EQ(count(table), 0) << table;
  }
}

TEST_F(StoreTest, OneDatasetInTwoPlacesIsReadFromWhicheverIsThere) {
  make_folder("f");
  make_folder("g");
  const ShareInfo f = share("f");
  EXPECT_EQ(share("g").root, f.root);
  std::filesystem::remove_all(folder_.path() / "f");
  const auto dataset = store_->open_dataset(f.root);
  ASSERT_TRUE(dataset) << dataset.error().message();
  EXPECT_EQ((*dataset)->path(), folder_.at("g"));
}

TEST_F(StoreTest, ChangesFoundWhileReadingAreKept) {
  make_folder("f");
  const ShareInfo added = share("f");
  const auto dataset = store_->open_dataset(added.root);
  folder_.write("f/a", "other!");
  Bytes out(1 << 20);
  EXPECT_FALSE((*dataset)->read_leaves(0, 1, out));
  EXPECT_EQ(store_->find_share("f")->state, ShareState::kChanged);
  reopen();
  EXPECT_EQ(store_->find_share("f")->files_changed, 1u);
  EXPECT_EQ(share("f").state, ShareState::kReady) << "hashed again";
}

TEST_F(StoreTest, GivesBackWhatWasImported) {
  make_folder("f");
  const Imported first = import("f");
  const auto info = store_->add_share("f", first, kNow);
  reopen();
  const auto back = store_->imported(info->id);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ((*back)->path, first.path);
  EXPECT_EQ((*back)->started_ns, first.started_ns);
  EXPECT_EQ((*back)->stamps, first.stamps);
  EXPECT_EQ((*back)->tree->leaves.size(), first.tree->leaves.size());
  EXPECT_FALSE(store_->imported(99));
}

TEST_F(StoreTest, TreesThatAreFetchedStayWithTheirTransfer) {
  make_folder("f");
  const Imported made = import("f");
  const Cid root = made.tree->root;
  EXPECT_EQ(store_->add_tree(root, {}).error().code(), ErrorCode::kMalformed);
  TransferRecord record;
  record.root = root;
  const auto id = store_->add_transfer(record);
  ASSERT_TRUE(store_->add_tree(root, made.nodes));
  ASSERT_TRUE(store_->add_tree(root, made.nodes)) << "twice is no error";
  reopen();
  EXPECT_TRUE(store_->tree(root));
  EXPECT_FALSE(store_->open_dataset(root)) << "it lies nowhere yet";

  Imported finished;
  finished.path = made.path;
  finished.tree = made.tree;
  finished.stamps = made.stamps;
  ASSERT_TRUE(store_->add_share("f", finished, kNow)) << "the nodes are known";
  ASSERT_TRUE(store_->remove_transfer(*id));
  EXPECT_TRUE(store_->open_dataset(root));
  ASSERT_TRUE(store_->unshare("f"));
  EXPECT_EQ(count("datasets"), 0);
  EXPECT_EQ(store_->add_share("f", finished, kNow).error().code(), ErrorCode::kNotFound);
}

TEST_F(StoreTest, CacheOfTreesIsBounded) {
  limits::Content limits;
  limits.trees_cached_bytes_max = 1;
  reopen(limits);
  make_folder("f");
  const ShareInfo added = share("f");
  const auto first = *store_->tree(added.root);
  EXPECT_NE(*store_->tree(added.root), first) << "made anew";
  EXPECT_EQ((*store_->tree(added.root))->entries.size(), first->entries.size());
}

TEST_F(StoreTest, NewerSchemaIsRefusedAndLeftAlone) {
  store_.reset();
  {
    SQLite::Database db(folder_.at("store.db"), SQLite::OPEN_READWRITE);
    db.exec("PRAGMA user_version = 99");
  }
  const auto refused = Store::open(folder_.at("store.db"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message(), HasSubstr("99"));
}

TEST_F(StoreTest, GarbageIsRefusedByName) {
  folder_.write("garbage.db", patterned_bytes(10'000, 1));
  const auto refused = Store::open(folder_.at("garbage.db"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed);
  EXPECT_THAT(refused.error().message(), HasSubstr("garbage.db"));
  EXPECT_EQ(Store::open(folder_.at("none/store.db")).error().code(), ErrorCode::kNotFound);
}

TEST_F(StoreTest, ManyThreadsMayUseIt) {
  make_folder("f");
  const ShareInfo added = share("f");
  TransferRecord record;
  record.root = added.root;
  const std::int64_t id = *store_->add_transfer(record);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Bytes bitmap(100, static_cast<std::uint8_t>(t));
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(store_->update_transfer_bitmap(id, bitmap, 1));
        EXPECT_TRUE(store_->open_dataset(added.root));
        EXPECT_EQ(store_->nodes(added.root, 0, 10, 1 << 20)->size(), 4u);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(store_->transfer_bitmap(id)->size(), 100u);
}

// A child writes as fast as it can and is killed after it has said how far it is; what it said
// must be there, and the database must be sound.
TEST_F(StoreTest, SurvivesAKillAtAnyMoment) {
  store_.reset();
  const std::string path = folder_.at("store.db");
  for (int round = 0; round < 10; ++round) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = Store::open(path);
      if (!store) ::_exit(1);
      for (std::uint8_t i = 1;; ++i) {
        TransferRecord record;
        record.name = "kept";
        const auto id = (*store)->add_transfer(record);
        if (!id || !(*store)->update_transfer_bitmap(*id, Bytes(1000, i), i)) ::_exit(1);
        if (::write(pipe[1], &i, 1) != 1) ::_exit(1);
      }
    }
    ::close(pipe[1]);
    std::uint8_t said = 0;
    for (int i = 0; i < 5 + round; ++i) ASSERT_EQ(::read(pipe[0], &said, 1), 1);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    while (::read(pipe[0], &said, 1) == 1) {
    }
    ::close(pipe[0]);

    const auto store = Store::open(path);
    ASSERT_TRUE(store) << store.error().message();
    const auto transfers = (*store)->transfers();
    ASSERT_TRUE(transfers);
    std::size_t complete = 0;
    for (const TransferRecord& record : *transfers) complete += record.bytes_done > 0 ? 1 : 0;
    ASSERT_GE(complete, said);
    ASSERT_LE(transfers->size(), static_cast<std::size_t>(said) + 1);
    for (const TransferRecord& record : *transfers) {
      ASSERT_TRUE((*store)->remove_transfer(record.id));
    }
  }
}

}  // namespace
}  // namespace warren::content
