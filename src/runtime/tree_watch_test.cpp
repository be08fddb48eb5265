// What changes below a folder is told by the name in it, however deep, and folders that come are
// watched from the start.

#include "runtime/tree_watch.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/deadline.hpp"
#include "runtime/run_task.hpp"

namespace warren::runtime {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

class TreeWatchTest : public ::testing::Test {
 protected:
  TreeWatchTest() {
    std::string pattern = (fs::temp_directory_path() / "warren-tree-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    outside_ = pattern;
    folder_ = outside_ / "library";
    fs::create_directory(folder_);
  }
  ~TreeWatchTest() override { fs::remove_all(outside_); }

  void write(const std::string& path, std::string_view text = "x") {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path, std::ios::binary) << text;
  }
  std::unique_ptr<TreeWatch> watch(std::size_t watches_max = 1'000) {
    auto made = run_task(
        runtime_, make_tree_watch(runtime_.context(), runtime_, folder_.string(), watches_max,
                                  [](std::string_view name) { return name == "local"; }));
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }
  /// News of all that happened before the call; what comes late by a moment is added to it.
  TreeNews news(TreeWatch& watch, Duration first_within = 5s) {
    TreeNews all;
    Duration within = first_within;
    for (;;) {
      const auto told =
          run_task(runtime_, with_deadline(runtime_, runtime_.now() + within, watch.changed()));
      if (!told) {
        EXPECT_EQ(told.error().code(), ErrorCode::kTimedOut) << told.error().message();
        return all;
      }
      all.names |= told->names;
      all.lost |= told->lost;
      all.touched.insert(told->touched.begin(), told->touched.end());
      within = 80ms;
    }
  }
  bool silent(TreeWatch& watch) {
    const TreeNews told = news(watch, 150ms);
    return !told.names && !told.lost && told.touched.empty();
  }

  RealRuntime runtime_{RealRuntimeOptions{.pool_threads = 1}};
  fs::path outside_;
  fs::path folder_;
};

TEST_F(TreeWatchTest, FilesDeepBelowAreToldByTheNameOnTop) {
  write("a/b/c/d/file");
  write("other/file");
  const auto watching = watch();
  EXPECT_EQ(watching->watches(), 6u);
  EXPECT_TRUE(watching->is_whole());
  EXPECT_TRUE(silent(*watching));
  write("a/b/c/d/file", "longer");
  TreeNews told = news(*watching);
  EXPECT_EQ(told.touched, Names{"a"});
  EXPECT_FALSE(told.names);
  fs::rename(folder_ / "a/b/c/d/file", folder_ / "a/b/c/moved");
  EXPECT_EQ(news(*watching).touched, Names{"a"});
  fs::remove(folder_ / "a/b/c/moved");
  fs::last_write_time(folder_ / "other/file", fs::file_time_type::clock::now() - 1h);
  EXPECT_EQ(news(*watching).touched, (Names{"a", "other"}));
}

TEST_F(TreeWatchTest, NamesInTheFolderItselfAreToldAsSuch) {
  const auto watching = watch();
  fs::create_directory(folder_ / "new");
  TreeNews told = news(*watching);
  EXPECT_TRUE(told.names);
  EXPECT_TRUE(told.touched.contains("new"));
  fs::rename(folder_ / "new", folder_ / "newer");
  told = news(*watching);
  EXPECT_TRUE(told.names);
  EXPECT_EQ(told.touched, (Names{"new", "newer"}));
  fs::remove_all(folder_ / "newer");
  EXPECT_TRUE(news(*watching).names);
  EXPECT_EQ(watching->watches(), 1u) << "with its watch";
}

TEST_F(TreeWatchTest, WhatIsMadeInNewFoldersAtOnceIsToldAndWatched) {
  const auto watching = watch();
  for (int i = 0; i < 50; ++i) write("a" + std::to_string(i) + "/b/c/d/file");
  EXPECT_EQ(news(*watching).touched.size(), 50u);
  EXPECT_EQ(watching->watches(), 201u);
  for (int i = 0; i < 50; ++i) write("a" + std::to_string(i) + "/b/c/d/file", "more");
  const TreeNews told = news(*watching);
  EXPECT_EQ(told.touched.size(), 50u) << "each folder that came is watched";
  EXPECT_FALSE(told.names);
}

TEST_F(TreeWatchTest, ManyChangesAreOneNews) {
  write("a/file");
  const auto watching = watch();
  for (int i = 0; i < 1'000; ++i) write("a/file", std::to_string(i));
  const auto told =
      run_task(runtime_, with_deadline(runtime_, runtime_.now() + 5s, watching->changed()));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->touched, Names{"a"});
  EXPECT_TRUE(silent(*watching));
}

TEST_F(TreeWatchTest, FoldersThatAreRenamedAreToldByTheirNewName) {
  write("a/inner/deep/file");
  fs::create_directory(folder_ / "b");
  const auto watching = watch();
  fs::rename(folder_ / "a/inner", folder_ / "b/moved");
  EXPECT_EQ(news(*watching).touched, (Names{"a", "b"}));
  write("b/moved/deep/file", "longer");
  EXPECT_EQ(news(*watching).touched, Names{"b"});
  fs::rename(folder_ / "b", folder_ / "c");
  news(*watching);
  write("c/moved/deep/more");
  EXPECT_EQ(news(*watching).touched, Names{"c"});
  EXPECT_EQ(watching->watches(), 5u);
}

TEST_F(TreeWatchTest, WhatMovesOutIsWatchedNoMoreAndWhatMovesInIs) {
  write("a/inner/file");
  const auto watching = watch();
  fs::rename(folder_ / "a", outside_ / "a");
  EXPECT_TRUE(news(*watching).names);
  EXPECT_EQ(watching->watches(), 1u);
  std::ofstream(outside_ / "a/inner/file") << "longer";
  EXPECT_TRUE(silent(*watching));
  fs::rename(outside_ / "a", folder_ / "b");
  news(*watching);
  EXPECT_EQ(watching->watches(), 3u);
  write("b/inner/file", "again");
  EXPECT_EQ(news(*watching).touched, Names{"b"});
}

TEST_F(TreeWatchTest, LinksAreNotFollowed) {
  fs::create_directory(outside_ / "elsewhere");
  fs::create_directory(folder_ / "a");
  fs::create_directory_symlink(outside_ / "elsewhere", folder_ / "a/link");
  const auto watching = watch();
  EXPECT_EQ(watching->watches(), 2u);
  std::ofstream(outside_ / "elsewhere/file") << "x";
  EXPECT_TRUE(silent(*watching));
  fs::create_directory_symlink(outside_ / "elsewhere", folder_ / "a/another");
  EXPECT_EQ(news(*watching).touched, Names{"a"});
  EXPECT_EQ(watching->watches(), 2u);
}

TEST_F(TreeWatchTest, FoldersThatAreLeftOutAreToldWhenTheyComeAndNotOfWhatIsInThem) {
  write("a/local/save");
  write("a/data/local/file");
  const auto watching = watch();
  EXPECT_EQ(watching->watches(), 4u) << "only directly below the top";
  write("a/local/save", "longer");
  write("a/local/more/save");
  EXPECT_TRUE(silent(*watching));
  write("a/data/local/file", "longer");
  EXPECT_EQ(news(*watching).touched, Names{"a"});
  fs::create_directory(folder_ / "b");
  news(*watching);
  fs::create_directory(folder_ / "b/local");
  EXPECT_EQ(news(*watching).touched, Names{"b"}) << "that it is there is told";
  write("b/local/save");
  EXPECT_TRUE(silent(*watching));
}

TEST_F(TreeWatchTest, BeyondItsBoundItIsNotWholeAndStillTellsTheRest) {
  write("a/b/c/file");
  EXPECT_TRUE(watch(4)->is_whole()) << "just enough";
  const auto watching = watch(3);
  EXPECT_FALSE(watching->is_whole());
  EXPECT_EQ(watching->watches(), 3u);
  write("a/b/c/file", "longer");
  EXPECT_TRUE(silent(*watching)) << "this is not watched";
  fs::create_directory(folder_ / "new");
  EXPECT_TRUE(news(*watching).names);
  EXPECT_EQ(watching->watches(), 3u);
}

TEST_F(TreeWatchTest, NewsThatTheKernelDroppedAreToldAsLostAndAllIsWatchedAgain) {
  std::size_t queued_max = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> queued_max;
  if (queued_max == 0 || queued_max > 100'000) GTEST_SKIP() << "the queue is too long to fill";
  fs::create_directory(folder_ / "a");
  const auto watching = watch();
  // Two names in turn: events that are equal to the last one are not queued.
  std::ofstream one(folder_ / "a/one");
  std::ofstream two(folder_ / "a/two");
  for (std::size_t i = 0; i < queued_max; ++i) {
    (i % 2 == 0 ? one : two) << 'x' << std::flush;
  }
  write("late/deep/file");
  EXPECT_TRUE(news(*watching).lost);
  EXPECT_EQ(watching->watches(), 4u) << "also what came after the queue was full";
  write("late/deep/file", "longer");
  EXPECT_EQ(news(*watching).touched, Names{"late"});
}

TEST_F(TreeWatchTest, AFolderThatIsRemovedIsTold) {
  write("a/file");
  const auto watching = watch();
  fs::remove_all(folder_);
  news(*watching);
  EXPECT_EQ(watching->watches(), 0u);
}

TEST_F(TreeWatchTest, AnEmptyFolderThatIsRemovedIsTold) {
  const auto watching = watch();
  fs::remove(folder_);
  EXPECT_TRUE(news(*watching).lost);
  EXPECT_EQ(watching->watches(), 0u);
}

TEST_F(TreeWatchTest, AFolderThatIsMovedAwayIsTold) {
  write("a/b/file");
  const auto watching = watch();
  fs::rename(folder_, outside_ / "elsewhere");
  EXPECT_TRUE(news(*watching).lost);
  EXPECT_EQ(watching->watches(), 0u) << "what is elsewhere is not what was asked for";
}

TEST_F(TreeWatchTest, ACallThatEndsBeforeTheNewsLosesNone) {
  write("a/file");
  const auto watching = watch();
  for (int i = 0; i < 20; ++i) {
    write("a/file", std::to_string(i));
    const auto told =
        run_task(runtime_, with_deadline(runtime_, runtime_.now() + 5ms, watching->changed()));
    if (!told) {
      EXPECT_EQ(news(*watching).touched, Names{"a"}) << i;
    }
  }
}

TEST_F(TreeWatchTest, WhatIsNoFolderIsRefused) {
  std::ofstream(outside_ / "file") << "x";
  for (const char* name : {"none", "file"}) {
    const auto refused = run_task(runtime_, make_tree_watch(runtime_.context(), runtime_,
                                                            (outside_ / name).string(), 10, {}));
    ASSERT_FALSE(refused) << name;
  }
}

}  // namespace
}  // namespace warren::runtime
