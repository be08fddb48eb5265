#include "library/library_index.hpp"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "content/test_support.hpp"
#include "library/library_machine.hpp"
#include "library/test_support.hpp"

namespace warren::library {
namespace {

using namespace test;
using testing::HasSubstr;

constexpr WallTime kNow{std::chrono::seconds(1'700'000'000)};
constexpr std::uint64_t kEpoch = 0xfedcba9876543210;

class LibraryIndexTest : public testing::Test {
 protected:
  LibraryIndexTest() { reopen(); }

  void reopen(limits::Library limits = {}) {
    index_.reset();
    auto opened = LibraryIndex::open(path(), kEpoch, limits);
    ASSERT_TRUE(opened) << opened.error().message();
    index_ = std::move(*opened);
  }
  std::string path() { return folder_.at("library.db"); }
  LoadedIndex load() {
    auto loaded = test::load(*index_);
    EXPECT_TRUE(loaded) << loaded.error().message();
    return loaded ? std::move(*loaded) : LoadedIndex{};
  }
  Folder add(const std::string& at, peers::AccessRule audience = {}) {
    FolderSettings settings;
    settings.path = at;
    settings.audience = std::move(audience);
    const auto added = index_->add_folder(settings, kNow);
    EXPECT_TRUE(added) << added.error().message();
    return added ? *added : Folder{};
  }
  void apply(const IndexBatch& batch, std::uint64_t number, std::uint64_t complete_since) {
    const auto done = index_->apply(batch, {kEpoch, number}, complete_since, true);
    EXPECT_TRUE(done) << done.error().message();
  }
  void put(std::vector<IndexedEntry> changed, std::uint64_t number,
           std::uint64_t complete_since = 1) {
    apply({std::move(changed), {}}, number, complete_since);
  }
  void drop(std::vector<std::string> removed, std::uint64_t number,
            std::uint64_t complete_since = 1) {
    apply({{}, std::move(removed)}, number, complete_since);
  }
  void sql(const std::string& text) {
    SQLite::Database db(path(), SQLite::OPEN_READWRITE);
    db.exec(text);
  }

  content::test::TempFolder folder_;
  std::unique_ptr<LibraryIndex> index_;
};

void expect_same(const IndexedEntry& a, const IndexedEntry& b) {
  EXPECT_EQ(a.published.listing, b.published.listing);
  EXPECT_EQ(a.published.rule, b.published.rule);
  EXPECT_EQ(a.published.added_at, b.published.added_at);
  EXPECT_EQ(a.published.changed_at, b.published.changed_at);
  EXPECT_EQ(a.folder, b.folder);
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  EXPECT_EQ(a.stamps, b.stamps);
  EXPECT_EQ(a.hashed_stamps, b.hashed_stamps);
}

TEST_F(LibraryIndexTest, BeginsEmptyWithTheEpochThatItIsGiven) {
  EXPECT_EQ(load().revision, (Revision{kEpoch, 1}));
  EXPECT_EQ(load().complete_since, 1u);
  index_.reset();
  auto again = LibraryIndex::open(path(), 7);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->load()->revision.epoch, kEpoch) << "only a new one";
}

TEST_F(LibraryIndexTest, FoldersAreTheSameAfterARestart) {
  FolderSettings settings;
  settings.path = "/srv/things";
  settings.sentinel = {"VERSION", SentinelFormat::kLine, true};
  settings.topic = "a/b";
  settings.audience = {peers::Access::kListed, {peer(4), peer(5)}};
  std::ranges::sort(settings.audience.peers);
  settings.expected = {{"one", "1.0"}, {"two", ""}};
  const auto added = index_->add_folder(settings, kNow);
  ASSERT_TRUE(added);
  add("/srv/more", kForAnyone);
  reopen();
  const auto content = load();
  ASSERT_EQ(content.folders.size(), 2u);
  EXPECT_EQ(content.folders[0].settings, settings);
  EXPECT_EQ(content.folders[0].id, added->id);
  EXPECT_EQ(content.folders[0].added_at, kNow);
  EXPECT_EQ(content.folders[1].settings.audience, kForAnyone);

  Folder changed = content.folders[0];
  changed.settings.sentinel = {};
  changed.settings.expected = {{"two", "2.0"}};
  changed.settings.audience = kForTrusted;
  changed.inode = 0xfedcba9876543210;
  ASSERT_TRUE(index_->change_folder(changed));
  reopen();
  EXPECT_EQ(load().folders[0].settings, changed.settings);
  EXPECT_EQ(load().folders[0].inode, changed.inode);
}

TEST_F(LibraryIndexTest, FoldersAreBoundedUniqueAndEmptyBeforeTheyGo) {
  limits::Library limits;
  limits.folders_max = 2;
  reopen(limits);
  const Folder first = add("/a");
  EXPECT_EQ(index_->add_folder(first.settings, kNow).error().code(), ErrorCode::kExists);
  const Folder second = add("/b");
  FolderSettings third;
  third.path = "/c";
  EXPECT_EQ(index_->add_folder(third, kNow).error().code(), ErrorCode::kLimited);
  put({indexed("x", first.id, 2)}, 2);
  EXPECT_EQ(index_->remove_folder(first.id).error().code(), ErrorCode::kConflict);
  drop({"x"}, 3);
  EXPECT_TRUE(index_->remove_folder(first.id));
  EXPECT_EQ(index_->remove_folder(first.id).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(index_->change_folder(first).error().code(), ErrorCode::kNotFound);
  EXPECT_NE(add("/c").id, first.id) << "an id is never used again";
  EXPECT_TRUE(index_->remove_folder(second.id));
}

TEST_F(LibraryIndexTest, EveryFieldOfAnEntryIsTheSameAfterARestart) {
  const Folder lan = add("/lan");
  const Folder trusted = add("/trusted", kForTrusted);
  IndexedEntry full = indexed("full", trusted.id, 2, 7);
  full.published.rule = kForTrusted;
  full.published.listing.bytes = std::uint64_t{1} << 62;
  full.published.listing.installed = true;
  full.published.listing.availability = Availability::kDownloading;
  IndexedEntry bare = indexed("bare", lan.id, 2);
  bare.published.listing = Listing();
  bare.published.listing.id = "bare";
  bare.published.listing.availability = Availability::kLocalOnly;
  bare.fingerprint = bare.stamps = bare.hashed_stamps = {};
  put({full, bare}, 2);
  full.published.changed_at = 3;
  full.hashed_stamps = digest("older");
  put({full}, 3);
  reopen();
  const auto content = load();
  EXPECT_EQ(content.revision, (Revision{kEpoch, 3}));
  EXPECT_EQ(content.skipped, 0u);
  ASSERT_EQ(content.entries.size(), 2u);
  expect_same(content.entries[0], bare);
  expect_same(content.entries[1], full);
}

TEST_F(LibraryIndexTest, RemovalsAreKeptWithTheirRuleUntilDeltasBeginAfterThem) {
  const Folder trusted = add("/trusted", kForTrusted);
  put({indexed("a", trusted.id, 2), indexed("b", trusted.id, 2)}, 2);
  drop({"a", "never there"}, 3);
  drop({"b"}, 4);
  reopen();
  auto content = load();
  EXPECT_TRUE(content.entries.empty());
  ASSERT_EQ(content.removed.size(), 2u);
  std::ranges::sort(content.removed, {}, &RemovedEntry::id);
  EXPECT_EQ(content.removed[0].id, "a");
  EXPECT_EQ(content.removed[0].rule, kForTrusted);
  EXPECT_EQ(content.removed[0].removed_at, 3u);
  EXPECT_EQ(content.removed[1].removed_at, 4u);
  put({indexed("b", trusted.id, 5)}, 5, 3);
  content = load();
  EXPECT_TRUE(content.removed.empty()) << "one is too old, one is there again";
  EXPECT_EQ(content.complete_since, 3u);
  drop({"b"}, 6, 3);
  ASSERT_TRUE(index_->begin_epoch({99, 7}));
  content = load();
  EXPECT_TRUE(content.removed.empty());
  EXPECT_EQ(content.revision, (Revision{99, 7}));
  EXPECT_EQ(content.complete_since, 7u);
}

TEST_F(LibraryIndexTest, RowsThatMakeNoSenseAreLeftOutAndTheOthersStay) {
  const Folder folder = add("/a");
  put({indexed("good", folder.id, 2)}, 2);
  const std::vector<std::string> changes{
      "id = 'a/b'",
      "id = '..'",
      "id = x'ff'",
      "name = char(27)",
      "version = printf('%.*c', 65, 'x')",
      "topic = '//'",
      "bytes = 9223372036854775807",
      "manifest = x'00'",
      "manifest = 'text that has 32 letters in it...'",
      "root = x'00'",
      "root = NULL",
      "availability = 9",
      "availability = 3",
      "added_at = 3",
      "changed_at = 99",
      "fingerprint = x''",
      "stamps = 7",
      "hashed_stamps = 'x'",
  };
  for (const std::string& change : changes) {
    SCOPED_TRACE(change);
    put({indexed("bad", folder.id, 2)}, 2);
    sql("UPDATE entries SET " + change + " WHERE id = 'bad'");
    const auto content = load();
    EXPECT_EQ(content.skipped, 1u);
    ASSERT_EQ(content.entries.size(), 1u);
    EXPECT_EQ(content.entries[0].published.listing.id, "good");
    sql("DELETE FROM entries WHERE id <> 'good'");
  }
  const std::vector<std::string> folders{"path = 'relative'", "audience = 'nobody'",
                                         "audience = ''", "sentinel_format = 9", "topic = '//'"};
  for (const std::string& change : folders) {
    SCOPED_TRACE(change);
    const Folder bad = add("/bad");
    sql("UPDATE folders SET " + change + " WHERE path = '/bad'");
    const auto content = load();
    EXPECT_EQ(content.skipped, 1u);
    EXPECT_EQ(content.folders.size(), 1u);
    EXPECT_EQ(content.entries.size(), 1u);
    ASSERT_TRUE(index_->remove_folder(bad.id));
  }
  for (const std::string& row :
       {"('x', 'nobody', 2)", "('x', 'lan', 3)", "('a/b', 'lan', 2)", "(x'00', 'lan', 2)"}) {
    SCOPED_TRACE(row);
    sql("INSERT INTO removed VALUES" + row);
    EXPECT_EQ(load().skipped, 1u);
    EXPECT_TRUE(load().removed.empty());
    sql("DELETE FROM removed");
  }
  sql("INSERT INTO expected VALUES(" + std::to_string(folder.id) +
      ", printf('%.*c', 256, 'x'), '1')");
  EXPECT_TRUE(load().folders[0].settings.expected.empty());
}

TEST_F(LibraryIndexTest, MoreThanTheBoundsIsLeftOut) {
  const Folder first = add("/a");
  add("/b");
  put({indexed("x", first.id, 2), indexed("y", first.id, 2)}, 2);
  drop({"x"}, 3);
  drop({"y"}, 4);
  put({indexed("x1", first.id, 5), indexed("y1", first.id, 5)}, 5);
  limits::Library limits;
  limits.folders_max = 1;
  limits.entries_max = 1;
  limits.removed_max = 1;
  reopen(limits);
  const auto content = load();
  EXPECT_EQ(content.folders.size(), 1u);
  EXPECT_EQ(content.skipped, 1u);
  LibrarySet set(limits);
  LibraryMachine machine({}, limits);
  machine.add_folder(content.folders[0], content.entries, {});
  for (const IndexedEntry& entry : content.entries) set.restore(entry.published);
  set.restore(content.revision, content.complete_since, content.removed);
  set.check_invariants();
  machine.check_invariants();
  EXPECT_EQ(set.size(), 1u);
  EXPECT_EQ(machine.size(), 1u);
  EXPECT_EQ(set.complete_since(), 3u) << "deltas begin after the removal that was left out";
}

TEST_F(LibraryIndexTest, NewerSchemaIsRefusedAndLeftAlone) {
  index_.reset();
  sql("PRAGMA user_version = 99");
  const auto refused = LibraryIndex::open(path(), kEpoch);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message(), HasSubstr("99"));
}

TEST_F(LibraryIndexTest, GarbageIsRefusedByName) {
  folder_.write("garbage.db", content::test::patterned_bytes(10'000, 1));
  const auto refused = LibraryIndex::open(folder_.at("garbage.db"), kEpoch);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed);
  EXPECT_THAT(refused.error().message(), HasSubstr("garbage.db"));
}

// A child writes as fast as it can and is killed after it has said how far it is: what it said must
// be there, all of a revision or nothing of it.
TEST_F(LibraryIndexTest, SurvivesAKillAtAnyMoment) {
  const Folder folder = add("/a");
  index_.reset();
  for (std::uint64_t round = 0; round < 10; ++round) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto index = LibraryIndex::open(path(), kEpoch);
      if (!index) ::_exit(1);
      auto content = (*index)->load();
      if (!content) ::_exit(1);
      for (std::uint64_t number = content->revision.number + 1;; ++number) {
        IndexBatch batch;
        for (const char* id : {"a", "b", "c"}) {
          batch.changed.push_back(indexed(id, folder.id, number, unsigned(number)));
        }
        const std::string last = "gone" + std::to_string(number);
        batch.changed.push_back(indexed(last, folder.id, number));
        batch.removed.push_back("gone" + std::to_string(number - 1));
        if (!(*index)->apply(batch, {kEpoch, number}, 1, number % 2 == 0)) ::_exit(1);
        if (::write(pipe[1], &number, sizeof number) != sizeof number) ::_exit(1);
      }
    }
    ::close(pipe[1]);
    std::uint64_t said = 0;
    for (std::uint64_t i = 0; i < 5 + round; ++i) {
      ASSERT_EQ(::read(pipe[0], &said, sizeof said), ssize_t{sizeof said});
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    while (::read(pipe[0], &said, sizeof said) == sizeof said) {
    }
    ::close(pipe[0]);

    reopen();
    const auto content = load();
    index_.reset();
    const std::uint64_t number = content.revision.number;
    ASSERT_GE(number, said);
    ASSERT_LE(number, said + 1);
    EXPECT_EQ(content.skipped, 0u);
    ASSERT_EQ(content.entries.size(), 4u);
    for (const IndexedEntry& entry : content.entries) {
      EXPECT_EQ(entry.published.changed_at, number);
    }
    EXPECT_EQ(content.entries[3].published.listing.id, "gone" + std::to_string(number));
  }
}

TEST_F(LibraryIndexTest, ItsFileIsForThisUserAlone) {
  const auto mode = std::filesystem::status(path()).permissions();
  EXPECT_EQ(mode & std::filesystem::perms::mask,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

}  // namespace
}  // namespace warren::library
