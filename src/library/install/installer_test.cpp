// Operations on entries of a real library in real folders.

#include "library/install/installer.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "content/test_support.hpp"
#include "library/install/archives_for_test.hpp"
#include "library/install/installer_stage_for_test.hpp"
#include "library/install/names.hpp"
#include "library/test_support.hpp"
#include "runtime/run_task.hpp"

namespace warren::install {
namespace {

using namespace test;
using library::Availability;
using testing::HasSubstr;

class InstallerTest : public testing::Test, protected InstallerStage {
 protected:
  InstallerTest() {
    disk_.write("things/quake/version.ini", "version = 1");
    put_archive("game.zip", {{"game", "the game"}, {"data/map", "a map"}});
  }

  void start() {
    InstallerStage::start(true, [this](std::string path) { return leave(std::move(path)); });
  }
  awaitable<void> leave(std::string path) {
    EXPECT_TRUE(path == entry() || path == entry() / kNewFolder) << path;
    EXPECT_EQ(service_->audience("quake", entry().string()), nullptr);
    EXPECT_FALSE(fs::exists(entry() / kMarkerPath)) << "it begins before the readers have left";
    ++left_;
    co_return;
  }

  void put_archive(const std::string& name, const std::vector<Item>& items) {
    disk_.write("things/quake/" + name, make_archive(Format::kZip, items));
  }
  std::set<std::string> names() const { return names_in(entry()); }
  DiskFiles files() const { return DiskFiles(*runtime::Directory::open(entry())); }
  Result<Installed> install() { return run(installer_->install("quake", progress_)); }
  Result<Installed> update(Result<> fetched = {}) {
    return run(installer_->update(
        "quake",
        [this, fetched](std::string directory, std::string name) {
          return fetch(std::move(directory), std::move(name), fetched);
        },
        progress_));
  }
  awaitable<Result<>> fetch(std::string directory, std::string name, Result<> fetched) {
    if (fetched)
      fs::copy(disk_.path() / "new", fs::path(directory) / name, fs::copy_options::recursive);
    co_return fetched;
  }

  int left_ = 0;
};

const std::set<std::string> kPlain{"game.zip", "version.ini"};
const std::set<std::string> kWithLocal{"game.zip", "local", "version.ini"};

TEST_F(InstallerTest, InstalledAndUninstalledShowInTheLibrary) {
  start();
  const auto installed = install();
  ASSERT_TRUE(installed) << installed.error().message();
  EXPECT_EQ(installed->files, 2u);
  EXPECT_EQ(installed->bytes, 13u);
  EXPECT_EQ(text("local/data/map"), "a map");
  settle();
  EXPECT_TRUE(listing().installed);
  EXPECT_EQ(listing().availability, Availability::kReady);
  EXPECT_EQ(install().error().code(), ErrorCode::kConflict);
  ASSERT_TRUE(run(installer_->uninstall("quake")));
  EXPECT_EQ(names(), kPlain);
  settle();
  EXPECT_FALSE(listing().installed);
  EXPECT_EQ(run(installer_->uninstall("quake")).error().code(), ErrorCode::kConflict);
  EXPECT_EQ(left_, 4);
}

TEST_F(InstallerTest, ASecondOperationIsRefused) {
  start();
  auto operation = service_->begin_operation("quake");
  const auto refused = install();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kConflict);
  EXPECT_THAT(refused.error().message(), HasSubstr("operation in progress"));
  EXPECT_EQ(left_, 0);
  operation->end();
  EXPECT_TRUE(install());
}

TEST_F(InstallerTest, WhatIsNotDownloadedIsNotInstalled) {
  fs::remove(entry() / "version.ini");
  start();
  EXPECT_EQ(install().error().code(), ErrorCode::kConflict);
  EXPECT_EQ(run(installer_->install("nothing", progress_)).error().code(), ErrorCode::kNotFound);
}

TEST_F(InstallerTest, AFailureLeavesNothing) {
  start();
  put_archive("second.zip", {{"game", "again"}});
  EXPECT_EQ(install().error().code(), ErrorCode::kDenied);
  fs::remove(entry() / "second.zip");
  EXPECT_EQ(names(), kPlain);
  progress_->stop = true;
  EXPECT_EQ(install().error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(names(), kPlain);
}

TEST_F(InstallerTest, WhatAKilledProcessLeftIsEndedAtTheStart) {
  start();
  stop();
  DiskFiles left = files();
  ASSERT_TRUE(install::run(left, "version.ini", install_plan().before));
  disk_.write("things/quake/.local.installing/game", "half of th");
  start();
  EXPECT_EQ(names(), kPlain);
  EXPECT_EQ(listing().availability, Availability::kReady);
  EXPECT_TRUE(install());
}

TEST_F(InstallerTest, AMarkedFolderWithoutALogGoesToo) {
  disk_.write("things/quake/.local.installing/.warren_owned", "");
  disk_.write("things/quake/.local.installing/x", "y");
  start();
  EXPECT_EQ(names(), kPlain);
}

TEST_F(InstallerTest, ALogThatCannotBeReadIsShownAndNothingMoves) {
  disk_.write("things/quake/.warren.json", "{");
  disk_.write("things/quake/.local.backup/save", "mine");
  start();
  const auto view = service_->find("quake");
  EXPECT_THAT(view->problem, HasSubstr("intent log"));
  EXPECT_EQ(view->entry.published.listing.availability, Availability::kLocalOnly);
  EXPECT_EQ(install().error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(text(".local.backup/save"), "mine");
}

TEST_F(InstallerTest, AnUpdateBringsTheNewFilesAndInstallsThem) {
  start();
  ASSERT_TRUE(install());
  disk_.write("new/version.ini", "version = 2");
  disk_.write("new/game.zip", make_archive(Format::kZip, {{"game", "newer"}}));
  disk_.write("new/more", "more");
  const auto updated = update();
  ASSERT_TRUE(updated) << updated.error().message();
  EXPECT_EQ(names(), (std::set<std::string>{"game.zip", "local", "more", "version.ini"}));
  EXPECT_EQ(text("local/game"), "newer");
  EXPECT_FALSE(fs::exists(entry() / "local" / "data"));
  settle();
  EXPECT_EQ(listing().version, "2");
  EXPECT_TRUE(listing().installed);
}

TEST_F(InstallerTest, AnUpdateOfWhatIsNotInstalledInstallsNothing) {
  start();
  disk_.write("new/version.ini", "version = 2");
  const auto updated = update();
  ASSERT_TRUE(updated) << updated.error().message();
  EXPECT_FALSE(updated->installed);
  EXPECT_EQ(names(), std::set<std::string>{"version.ini"});
}

TEST_F(InstallerTest, AnUpdateThatFailsLeavesWhatWasThere) {
  start();
  ASSERT_TRUE(install());
  EXPECT_EQ(update(fail(ErrorCode::kNoPeer, "nobody")).error().code(), ErrorCode::kNoPeer);
  EXPECT_EQ(names(), kWithLocal);
  disk_.write("new", "no folder");
  EXPECT_EQ(update().error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(names(), kWithLocal);
  fs::remove(disk_.path() / "new");
  disk_.write("new/version.ini", "version = 2");
  disk_.write("new/game.zip", "no archive");
  const auto broken = update();
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code(), ErrorCode::kMalformed);
  EXPECT_THAT(broken.error().message(), HasSubstr("old one still installed"));
  EXPECT_EQ(names(), kWithLocal);
  EXPECT_EQ(text("version.ini"), "version = 2");
  EXPECT_EQ(text("local/game"), "the game");
}

TEST_F(InstallerTest, WhatIsInTheWayIsNamed) {
  start();
  disk_.write("things/quake/.local.installing/mine", "x");
  EXPECT_THAT(install().error().message(), HasSubstr(".local.installing"));
  fs::remove_all(entry() / ".local.installing");
  fs::create_directory(entry() / ".local.installing");
  EXPECT_TRUE(install()) << "an empty folder is nobody's";
  disk_.write("things/quake/.local.backup/mine", "x");
  EXPECT_EQ(run(installer_->uninstall("quake")).error().code(), ErrorCode::kConflict);
  disk_.write("new/version.ini", "version = 2");
  EXPECT_EQ(update().error().code(), ErrorCode::kConflict);
  EXPECT_EQ(text(".local.backup/mine"), "x");
  EXPECT_EQ(text("local/game"), "the game");
}

}  // namespace
}  // namespace warren::install
