// What an editor, a script or a system's own tools do to a configuration file is told; what happens
// to other files is not.

#include "runtime/file_watch.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/deadline.hpp"
#include "runtime/run_task.hpp"

namespace warren::runtime {
namespace {

namespace fs = std::filesystem;

class FileWatchTest : public ::testing::Test {
 protected:
  FileWatchTest() {
    std::string pattern = (fs::temp_directory_path() / "warren-watch-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  ~FileWatchTest() override { fs::remove_all(folder_); }

  static void write(const fs::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::unique_ptr<FileWatch> watch(const fs::path& path) {
    auto made = make_file_watch(runtime_.context(), runtime_, path.string());
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }
  /// Whether a change is told within `time`; what comes right behind it counts as one with it.
  bool told(FileWatch& watch, Duration time = 5s) {
    const auto first =
        run_task(runtime_, with_deadline(runtime_, runtime_.now() + time, watch.changed()));
    if (!first) {
      EXPECT_EQ(first.error().code(), ErrorCode::kTimedOut) << first.error().message();
      return false;
    }
    while (run_task(runtime_, with_deadline(runtime_, runtime_.now() + 20ms, watch.changed()))) {
    }
    return true;
  }

  RealRuntime runtime_{RealRuntimeOptions{.pool_threads = 1}};
  fs::path folder_;
};

TEST_F(FileWatchTest, WritesReplacementsAndRemovalsAreTold) {
  const fs::path file = folder_ / "config.yaml";
  write(file, "a");
  const auto watching = watch(file);
  EXPECT_FALSE(told(*watching, 20ms)) << "nothing has changed yet";
  write(file, "b");
  EXPECT_TRUE(told(*watching)) << "written in place, with the same size";
  write(folder_ / "config.yaml.new", "c");
  fs::rename(folder_ / "config.yaml.new", file);
  EXPECT_TRUE(told(*watching)) << "another file was renamed over it";
  fs::remove(file);
  EXPECT_TRUE(told(*watching)) << "removed";
  write(file, "d");
  EXPECT_TRUE(told(*watching)) << "there again";
}

TEST_F(FileWatchTest, AChangeThatCameBeforeTheCallIsToldAndManyAreOne) {
  const fs::path file = folder_ / "config.yaml";
  const auto watching = watch(file);
  for (int i = 0; i < 1000; ++i) write(file, std::to_string(i));
  EXPECT_TRUE(told(*watching));
  EXPECT_FALSE(told(*watching, 20ms)) << "a thousand changes are one";
}

TEST_F(FileWatchTest, OtherFilesOfTheFolderAreNotTold) {
  const fs::path file = folder_ / "config.yaml";
  write(file, "a");
  const auto watching = watch(file);
  write(folder_ / "other", "a");
  fs::create_directory(folder_ / "more");
  write(folder_ / "config.yaml.swp", "a");
  EXPECT_FALSE(told(*watching, 150ms));
  write(file, "b");
  EXPECT_TRUE(told(*watching)) << "and the file still is";
}

TEST_F(FileWatchTest, NothingHasToBeThereYet) {
  const fs::path file = folder_ / "one" / "two" / "config.yaml";
  const auto watching = watch(file);
  EXPECT_FALSE(told(*watching, 20ms));
  fs::create_directories(file.parent_path());
  write(file, "a");
  EXPECT_TRUE(told(*watching)) << "with its folders";
  write(file, "b");
  EXPECT_TRUE(told(*watching));
  fs::remove_all(folder_ / "one");
  EXPECT_TRUE(told(*watching)) << "the folders went";
  fs::create_directories(file.parent_path());
  write(file, "c");
  EXPECT_TRUE(told(*watching)) << "and came again";
}

TEST_F(FileWatchTest, WhatASymlinkLeadsToIsWatchedToo) {
  fs::create_directory(folder_ / "dotfiles");
  fs::create_directory(folder_ / "config");
  const fs::path target = folder_ / "dotfiles" / "warren.yaml";
  write(target, "a");
  const fs::path file = folder_ / "config" / "config.yaml";
  fs::create_symlink("../dotfiles/warren.yaml", file);
  const auto watching = watch(file);
  write(target, "b");
  EXPECT_TRUE(told(*watching)) << "the target was written";
  write(folder_ / "dotfiles" / "other.yaml", "longer");
  EXPECT_FALSE(told(*watching, 150ms)) << "its neighbour was";
  fs::create_symlink("../dotfiles/other.yaml", folder_ / "config" / "new");
  fs::rename(folder_ / "config" / "new", file);
  EXPECT_TRUE(told(*watching)) << "it leads elsewhere now";
  write(folder_ / "dotfiles" / "other.yaml", "c");
  EXPECT_TRUE(told(*watching)) << "the new target was written";
}

TEST_F(FileWatchTest, AFolderLinkThatIsTurnedToAnotherFolderIsSeen) {
  // As a system mounts a configuration: config.yaml -> data/config.yaml, data -> v1, then v2.
  for (const char* version : {"v1", "v2"}) {
    fs::create_directory(folder_ / version);
    write(folder_ / version / "config.yaml", version);
  }
  fs::create_directory_symlink("v1", folder_ / "data");
  fs::create_symlink("data/config.yaml", folder_ / "config.yaml");
  const auto watching = watch(folder_ / "config.yaml");
  fs::create_directory_symlink("v2", folder_ / "next");
  fs::rename(folder_ / "next", folder_ / "data");
  EXPECT_TRUE(told(*watching));
  write(folder_ / "v2" / "config.yaml", "more");
  EXPECT_TRUE(told(*watching)) << "in the folder it leads to now";
}

TEST_F(FileWatchTest, LinksInACircleAreNoFile) {
  fs::create_symlink("b", folder_ / "a");
  fs::create_symlink("a", folder_ / "b");
  const auto watching = watch(folder_ / "a");
  fs::remove(folder_ / "b");
  write(folder_ / "b", "text");
  EXPECT_TRUE(told(*watching));
}

TEST_F(FileWatchTest, ARelativePathIsRefused) {
  const auto refused = make_file_watch(runtime_.context(), runtime_, "config.yaml");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace warren::runtime
