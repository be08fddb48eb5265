// Libraries in real folders: what is on the disk is what is published, over changes, restarts and
// disks that go away.

#include "library/library_service.hpp"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "content/test_support.hpp"
#include "library/reserved.hpp"
#include "library/test_support.hpp"
#include "runtime/run_task.hpp"

namespace warren::library {
namespace {

namespace fs = std::filesystem;
using namespace test;

class LibraryServiceTest : public testing::Test {
 protected:
  LibraryServiceTest() {
    times_.settle = 10ms;
    times_.quiet = 30ms;
    times_.retry_min = 10ms;
    times_.retry_max = 40ms;
    disk_.make_folder("things");
  }
  ~LibraryServiceTest() override { stop(); }

  void start() {
    LibraryOptions options;
    options.database = disk_.at("library.db");
    options.times = times_;
    options.hash = [this](std::string folder, std::string id) {
      return hash(std::move(folder), std::move(id));
    };
    options.forget = [this](std::string id) { return forget(std::move(id)); };
    if (watched_) {
      options.watch = [this](std::string path) {
        return runtime::make_tree_watch(runtime_.context(), runtime_, std::move(path), 1'000,
                                        is_reserved);
      };
    }
    service_ = std::make_unique<LibraryService>(runtime_, std::move(options));
    const auto opened = run(service_->open());
    ASSERT_TRUE(opened) << opened.error().message();
  }
  void stop() {
    if (!service_) return;
    run(service_->close());
    service_.reset();
  }
  void restart() {
    stop();
    hashed_.clear();
    forgotten_.clear();
    start();
    settle();
  }
  template <class T>
  T run(awaitable<T> task) {
    return runtime::run_task(runtime_, std::move(task));
  }
  std::string things() { return disk_.at("things"); }
  void add(const std::string& name = "things", peers::AccessRule audience = {}) {
    FolderSettings settings;
    settings.path = disk_.at(name);
    settings.audience = std::move(audience);
    const auto added = run(service_->add_folder(settings));
    ASSERT_TRUE(added) << added.error().message();
  }
  void settle() {
    const auto settled = run(service_->wait_settled(runtime_.now() + 20s));
    EXPECT_TRUE(settled) << settled.error().message();
  }
  void scan() {
    ASSERT_TRUE(service_->scan(""));
    settle();
  }
  /// Waits until it is so, as seen after each change that is published.
  bool until(std::function<bool()> is_so) { return run(wait(std::move(is_so))); }
  awaitable<bool> wait(std::function<bool()> is_so) {
    const TimePoint deadline = runtime_.now() + 20s;
    const auto signal = runtime_.make_signal();
    const auto end = set().on_changed([&] { signal->notify(); });
    while (!is_so()) {
      const runtime::Wake how = co_await signal->wait_until(deadline);
      if (how != runtime::Wake::kNotified) break;
    }
    end();
    co_return is_so();
  }
  bool is_ready(const std::string& id) {
    const auto found = set().find(kNeighbour, id);
    return found && found->availability == Availability::kReady && *found->root == root_now(id);
  }
  LibrarySet& set() { return service_->published(); }

  /// A name of what lies in the entry now.
  Cid root_now(const std::string& id) { return root_of(fs::path(things()) / id); }
  static Cid root_of(const fs::path& entry) {
    std::map<std::string, std::string> files;
    for (auto at = fs::recursive_directory_iterator(entry); at != fs::end(at); ++at) {
      const std::string path = at->path().lexically_relative(entry).string();
      if (at.depth() == 0 && is_reserved(path)) {
        at.disable_recursion_pending();
      } else if (at->is_regular_file()) {
        std::ifstream in(at->path(), std::ios::binary);
        files[path] = std::string(std::istreambuf_iterator<char>(in), {});
      }
    }
    std::string all;
    for (const auto& [path, text] : files) all += fmt::format("{}\n{}\n", path, text);
    return root(all);
  }
  awaitable<Result<Cid>> hash(std::string folder, std::string id) {
    hashed_.push_back(id);
    if (refused_) co_return fail(*refused_);
    auto made = co_await runtime::run(
        runtime_.pool(), [&]() -> Result<Cid> { return root_of(fs::path(folder) / id); });
    co_return made;
  }
  awaitable<void> forget(std::string id) {
    forgotten_.push_back(std::move(id));
    co_return;
  }

  runtime::RealRuntime runtime_{runtime::RealRuntimeOptions{.pool_threads = 2}};
  content::test::TempFolder disk_;
  LibraryTimes times_;
  bool watched_ = true;
  std::optional<Error> refused_;  ///< Of every hash.
  std::vector<std::string> hashed_;
  std::vector<std::string> forgotten_;
  std::unique_ptr<LibraryService> service_;
};

TEST_F(LibraryServiceTest, WhatComesChangesAndGoesIsPublished) {
  disk_.write("things/a/version.ini", "version = 1\nname = A\ntopic = x/y\n");
  disk_.write("things/a/data/file", "some bytes");
  start();
  add();
  ASSERT_TRUE(until([&] { return is_ready("a"); }));
  const Listing listed = *set().find(kNeighbour, "a");
  EXPECT_EQ(listed.version, "1");
  EXPECT_EQ(listed.name, "A");
  EXPECT_EQ(listed.topic, "x/y");
  EXPECT_EQ(listed.files, 2u);
  EXPECT_TRUE(listed.downloaded);
  EXPECT_FALSE(set().find(kStranger, "a"));

  disk_.write("things/b/deep/down/file", "new");
  EXPECT_TRUE(until([&] { return is_ready("b"); })) << "came";
  disk_.write("things/a/data/file", "other bytes");
  EXPECT_TRUE(until([&] { return is_ready("a"); })) << "changed below";
  EXPECT_NE(set().find(kNeighbour, "a")->root, listed.root);
  disk_.write("things/a/version.ini", "version = 2\n");
  EXPECT_TRUE(until([&] { return is_ready("a") && set().find(kNeighbour, "a")->version == "2"; }));
  fs::rename(disk_.path() / "things/b", disk_.path() / "things/c");
  EXPECT_TRUE(until([&] { return is_ready("c") && !set().find(kNeighbour, "b"); })) << "renamed";
  fs::remove_all(disk_.path() / "things/a");
  EXPECT_TRUE(until([&] { return !set().find(kNeighbour, "a"); })) << "gone";
  settle();
  EXPECT_EQ(forgotten_, (std::vector<std::string>{"b", "a"}));
  ASSERT_EQ(service_->folders().size(), 1u);
  EXPECT_TRUE(service_->folders()[0].watched);
}

TEST_F(LibraryServiceTest, ARestartWithNothingChangedWalksAndHashesNothing) {
  for (const char* id : {"a", "b", "c"}) disk_.write(std::string("things/") + id + "/d/e/f", id);
  start();
  add();
  settle();
  EXPECT_EQ(hashed_.size(), 3u);
  const Summary before = set().summary(kNeighbour);
  restart();
  EXPECT_EQ(set().summary(kNeighbour), before);
  EXPECT_EQ(hashed_.size(), 0u);
  // Only a walk could find this.
  stop();
  disk_.write("things/b/d/e/f", "changed deep down");
  restart();
  EXPECT_EQ(set().summary(kNeighbour), before);
  scan();
  EXPECT_EQ(hashed_, std::vector<std::string>{"b"});
  EXPECT_TRUE(is_ready("b"));
  EXPECT_EQ(set().revision().epoch, before.revision.epoch);
}

TEST_F(LibraryServiceTest, WhatChangesInATopWhileItIsStoppedIsFoundAtTheStart) {
  for (const char* id : {"a", "b", "c"}) disk_.write(std::string("things/") + id + "/f", id);
  start();
  add();
  settle();
  const Revision before = set().revision();
  stop();
  disk_.write("things/a/f", "longer");
  fs::remove_all(disk_.path() / "things/b");
  disk_.write("things/d/f", "new");
  restart();
  EXPECT_TRUE(is_ready("a") && is_ready("c") && is_ready("d"));
  EXPECT_FALSE(set().find(kNeighbour, "b"));
  std::ranges::sort(hashed_);
  EXPECT_EQ(hashed_, (std::vector<std::string>{"a", "d"}));
  const auto changes = set().changes(kNeighbour, before, 100);
  ASSERT_TRUE(changes) << "a peer that knows the set of before needs no snapshot";
  EXPECT_EQ(changes->removed, std::vector<std::string>{"b"});
}

TEST_F(LibraryServiceTest, WithoutAWatchAScanFindsIt) {
  watched_ = false;
  disk_.write("things/a/b/c", "1");
  start();
  add();
  settle();
  disk_.write("things/a/b/c", "22");
  disk_.write("things/new/file", "1");
  scan();
  EXPECT_TRUE(is_ready("a") && is_ready("new"));
  EXPECT_FALSE(service_->folders()[0].watched);
}

TEST_F(LibraryServiceTest, ARevisionIsOnTheDiskBeforeItIsTold) {
  start();
  std::size_t told = 0;
  const auto end = set().on_changed([&] {
    ++told;
    const SQLite::Database db(disk_.at("library.db"), SQLite::OPEN_READONLY);
    SQLite::Statement row(db, "SELECT number, epoch FROM revision");
    ASSERT_TRUE(row.executeStep());
    EXPECT_EQ(static_cast<std::uint64_t>(row.getColumn(0).getInt64()), set().revision().number);
    EXPECT_EQ(static_cast<std::uint64_t>(row.getColumn(1).getInt64()), set().revision().epoch);
    SQLite::Statement rows(db, "SELECT count(*) FROM entries");
    ASSERT_TRUE(rows.executeStep());
    EXPECT_EQ(static_cast<std::size_t>(rows.getColumn(0).getInt64()), set().size());
  });
  add();
  for (const char* id : {"a", "b", "c"}) disk_.write(std::string("things/") + id + "/f", id);
  EXPECT_TRUE(until([&] { return is_ready("a") && is_ready("b") && is_ready("c"); }));
  FolderSettings settings = service_->folders()[0].folder.settings;
  settings.audience = kForAnyone;
  EXPECT_TRUE(run(service_->change_folder(settings)));
  settle();
  EXPECT_GE(told, 3u);
  end();
}

TEST_F(LibraryServiceTest, AnOperationHidesAnEntryUntilItEnds) {
  disk_.write("things/a/f", "1");
  start();
  add();
  settle();
  const std::string path = disk_.at("things/a");
  EXPECT_NE(service_->audience("a", path), nullptr);
  EXPECT_EQ(service_->audience("a", disk_.at("elsewhere/a")), nullptr) << "another folder's";
  EXPECT_EQ(service_->audience("a", disk_.at("things/b/a")), nullptr);
  EXPECT_EQ(service_->audience("b", path), nullptr);
  {
    auto operation = service_->begin_operation("a");
    ASSERT_TRUE(operation);
    EXPECT_EQ(service_->audience("a", path), nullptr);
    EXPECT_EQ(service_->begin_operation("a").error().code(), ErrorCode::kConflict);
    ASSERT_TRUE(until(
        [&] { return set().find(kNeighbour, "a")->availability == Availability::kLocalOnly; }));
    EXPECT_EQ(service_->find("a")->work, EntryWork::kOperation);
    hashed_.clear();
    disk_.write("things/a/f", "half of it");
    disk_.write("things/a/.warren.json", "{}");
    scan();
    EXPECT_TRUE(hashed_.empty());
    fs::remove(disk_.path() / "things/a/.warren.json");
    disk_.write("things/a/f", "all of it");
    disk_.make_folder("things/a/local");
    auto moved = std::move(*operation);
  }
  EXPECT_TRUE(until([&] { return is_ready("a"); }));
  EXPECT_TRUE(set().find(kNeighbour, "a")->installed);
  EXPECT_TRUE(service_->begin_operation("a")) << "the first has ended";
}

TEST_F(LibraryServiceTest, WhatARunningThingWritesIsNoChange) {
  disk_.write("things/a/f", "1");
  disk_.write("things/a/local/save", "1");
  start();
  add();
  settle();
  const Revision before = set().revision();
  hashed_.clear();
  disk_.write("things/a/local/save", "22");
  disk_.write("things/a/local/new/save", "22");
  disk_.write("things/b/f", "so that there is something to wait for");
  EXPECT_TRUE(until([&] { return is_ready("b"); }));
  settle();
  EXPECT_EQ(hashed_, std::vector<std::string>{"b"});
  EXPECT_EQ(set().changes(kNeighbour, before, 100)->updated.size(), 0u);
}

TEST_F(LibraryServiceTest, AFolderThatIsAwayLosesNothing) {
  disk_.write("things/a/f", "1");
  disk_.write("things/b/f", "1");
  start();
  add();
  settle();
  const Summary before = set().summary(kNeighbour);
  fs::rename(disk_.path() / "things", disk_.path() / "elsewhere");
  scan();
  EXPECT_NE(service_->folders()[0].problem, "");
  EXPECT_EQ(set().summary(kNeighbour), before);
  restart();
  EXPECT_EQ(set().summary(kNeighbour), before) << "nor when it starts without it";
  fs::rename(disk_.path() / "elsewhere", disk_.path() / "things");
  scan();
  EXPECT_EQ(service_->folders()[0].problem, "");
  EXPECT_EQ(set().summary(kNeighbour), before);
  EXPECT_TRUE(hashed_.empty());
}

// The place where a disk is mounted is an empty folder while it is not.
TEST_F(LibraryServiceTest, AnEmptyFolderInItsPlaceLosesNothing) {
  disk_.write("things/a/f", "1");
  start();
  add();
  settle();
  const Summary before = set().summary(kNeighbour);
  stop();
  fs::rename(disk_.path() / "things", disk_.path() / "disk");
  disk_.make_folder("things");
  restart();
  EXPECT_NE(service_->folders()[0].problem, "");
  EXPECT_EQ(set().summary(kNeighbour), before);
  fs::remove(disk_.path() / "things");
  fs::rename(disk_.path() / "disk", disk_.path() / "things");
  scan();
  EXPECT_EQ(service_->folders()[0].problem, "");
  EXPECT_EQ(set().summary(kNeighbour), before);
  fs::remove_all(disk_.path() / "things/a");
  scan();
  EXPECT_EQ(set().summary(kNeighbour).count, 0u) << "the same folder, emptied";
}

TEST_F(LibraryServiceTest, FoldersAreCheckedBeforeTheyAreAdded) {
  disk_.make_folder("things/inner");
  disk_.write("file", "x");
  start();
  add();
  const auto refusal = [&](const std::string& path, const std::string& topic = {}) {
    FolderSettings settings;
    settings.path = path;
    settings.topic = topic;
    const auto added = run(service_->add_folder(settings));
    EXPECT_FALSE(added) << path;
    return added ? ErrorCode{} : added.error().code();
  };
  EXPECT_EQ(refusal(disk_.at("none")), ErrorCode::kNotFound);
  EXPECT_EQ(refusal(disk_.at("file")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(things()), ErrorCode::kExists);
  EXPECT_EQ(refusal(things() + "/../things/"), ErrorCode::kExists);
  EXPECT_EQ(refusal(things() + "/inner"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(disk_.path().string()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(disk_.at("none"), "//"), ErrorCode::kInvalidArgument);
  FolderSettings unknown;
  unknown.path = disk_.at("none");
  EXPECT_EQ(run(service_->change_folder(unknown)).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(run(service_->remove_folder(unknown.path)).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(service_->scan(unknown.path).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(service_->entries(unknown.path).error().code(), ErrorCode::kNotFound);
}

TEST_F(LibraryServiceTest, ARemovedFolderIsGoneWithItsEntriesAndItsWatch) {
  disk_.write("things/a/f", "1");
  disk_.write("more/b/f", "1");
  start();
  add();
  add("more");
  settle();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(run(service_->remove_folder(things())));
    EXPECT_EQ(set().summary(kNeighbour).count, 1u);
    EXPECT_TRUE(fs::exists(disk_.path() / "things/a/f"));
    EXPECT_EQ(service_->folders().size(), 1u);
    EXPECT_EQ(forgotten_.size(), static_cast<std::size_t>(i) + 1);
    add();
    settle();
    EXPECT_TRUE(is_ready("a"));
  }
  EXPECT_EQ(service_->folders().size(), 2u);
}

TEST_F(LibraryServiceTest, ANameOfTwoFoldersIsOfTheOther) {
  disk_.write("more/a/f", "other");
  disk_.write("things/a/f", "1");
  start();
  add("more");
  settle();
  add();
  settle();
  EXPECT_EQ(service_->folders()[1].left_out.size(), 1u);
  ASSERT_TRUE(run(service_->remove_folder(disk_.at("more"))));
  settle();
  EXPECT_TRUE(is_ready("a"));
  EXPECT_EQ(service_->entries(things())->size(), 1u);
  restart();
  EXPECT_TRUE(is_ready("a"));
}

TEST_F(LibraryServiceTest, TheFirstFolderThatAsksForAVersionSaysWhichIsExpected) {
  disk_.make_folder("more");
  start();
  add();
  add("more");
  EXPECT_EQ(service_->expected("a"), "");
  const auto expect = [this](std::size_t folder, std::string version) {
    FolderSettings settings = service_->folders()[folder].folder.settings;
    settings.expected = {{"a", std::move(version)}};
    EXPECT_TRUE(run(service_->change_folder(std::move(settings))));
  };
  expect(1, "2");
  EXPECT_EQ(service_->expected("a"), "2");
  EXPECT_EQ(service_->expected("b"), "");
  expect(0, "1");
  EXPECT_EQ(service_->expected("a"), "1");
}

TEST_F(LibraryServiceTest, AnotherAudienceIsAnotherEpochAndLeaksNothing) {
  disk_.write("things/a/f", "1");
  start();
  add("things", kForAnyone);
  settle();
  const Revision before = set().revision();
  EXPECT_TRUE(set().find(kStranger, "a"));
  FolderSettings settings = service_->folders()[0].folder.settings;
  settings.audience = kForTrusted;
  // While news come in, so that a write is under way.
  disk_.write("things/b/f", "1");
  ASSERT_TRUE(run(service_->change_folder(settings)));
  EXPECT_FALSE(set().find(kStranger, "a"));
  settle();
  EXPECT_TRUE(until([&] { return set().find(kFriend, "b").has_value(); }));
  EXPECT_EQ(set().summary(kStranger).count, 0u);
  EXPECT_NE(set().revision().epoch, before.epoch);
  EXPECT_FALSE(set().changes(kStranger, before, 100));
  restart();
  EXPECT_EQ(set().summary(kStranger).count, 0u);
  EXPECT_EQ(set().summary(kFriend).count, 2u);
}

TEST_F(LibraryServiceTest, AnEntryThatCannotBeHashedIsShownWithItsReason) {
  disk_.write("things/a/f", "1");
  refused_ = Error(ErrorCode::kDenied, "a file is closed");
  start();
  add();
  ASSERT_TRUE(until([&] { return set().find(kNeighbour, "a").has_value(); }));
  settle();
  EXPECT_EQ(service_->find("a")->problem, "a file is closed");
  EXPECT_EQ(set().find(kNeighbour, "a")->availability, Availability::kHashing);
  refused_.reset();
  EXPECT_TRUE(until([&] { return is_ready("a"); })) << "it is tried again";
  EXPECT_EQ(service_->find("a")->problem, "");
}

}  // namespace
}  // namespace warren::library
