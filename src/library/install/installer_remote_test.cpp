// Entries that are installed without being downloaded, from a source that the test plays.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "content/test_support.hpp"
#include "library/install/archives_for_test.hpp"
#include "library/install/installer.hpp"
#include "library/install/installer_stage_for_test.hpp"
#include "library/install/names.hpp"
#include "library/test_support.hpp"
#include "runtime/run_task.hpp"

namespace warren::install {
namespace {

using namespace test;
using library::Availability;
using testing::HasSubstr;

/// Files in memory, as an entry of peers.
class MemoryEntry final : public RemoteEntry {
 public:
  explicit MemoryEntry(runtime::Runtime& runtime) : runtime_(runtime) {
    add("", content::EntryKind::kDirectory, {});
  }
  void add(const std::string& path, content::EntryKind kind, Bytes bytes,
           const std::string& target = "") {
    content::Entry entry;
    entry.path = path;
    entry.kind = kind;
    entry.bytes = bytes.size();
    entry.symlink_target = target;
    tree_->bytes_total += bytes.size();
    tree_->entries.push_back(std::move(entry));
    files_.push_back(std::move(bytes));
  }
  void add_file(const std::string& path, Bytes bytes) {
    add(path, content::EntryKind::kFile, std::move(bytes));
  }

  awaitable<Result<std::shared_ptr<const content::Tree>>> open() override {
    if (open_error) co_return fail(*open_error);
    co_return tree_;
  }
  awaitable<Result<std::size_t>> read(std::size_t entry, std::uint64_t offset,
                                      MutableBytes out) override {
    // Comes back later, as a peer answers.
    co_await runtime_.sleep_for(Duration{});
    if (reads++ >= reads_max) co_return fail(ErrorCode::kNoPeer, "no source is left");
    if (when_read) when_read();
    const Bytes& bytes = files_[entry];
    const std::size_t at = static_cast<std::size_t>(std::min<std::uint64_t>(offset, bytes.size()));
    const std::size_t count = std::min(bytes.size() - at, out.size());
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), count, out.begin());
    co_return count;
  }

  std::optional<Error> open_error;
  std::size_t reads = 0;
  std::size_t reads_max = SIZE_MAX;
  std::function<void()> when_read;

 private:
  runtime::Runtime& runtime_;
  std::shared_ptr<content::Tree> tree_ = std::make_shared<content::Tree>();
  std::vector<Bytes> files_;
};

class InstallRemoteTest : public testing::TestWithParam<bool>, protected InstallerStage {
 protected:
  InstallRemoteTest() { fs::create_directories(disk_.path() / "things"); }

  void start() { InstallerStage::start(GetParam()); }
  /// After a look at the folder, of which a change may not have been told yet.
  void settle() {
    ASSERT_TRUE(service_->scan(""));
    InstallerStage::settle();
  }
  Result<Installed> install(const std::string& version = "1.31", bool anew = false) {
    library::Listing offered;
    offered.id = "quake";
    offered.name = "Quake";
    offered.version = version;
    offered.root = library::test::root("quake " + version);
    return run(installer_->install_remote(offered, disk_.at("things"), anew, remote_, progress_));
  }

  MemoryEntry remote_{runtime_};
};

const std::set<std::string> kLocalAlone{"local"};

TEST_P(InstallRemoteTest, ArchivesAreUnpackedAndNotKept) {
  start();
  remote_.add_file("a.zip", make_archive(Format::kZip, {{"game", "the game"}, {"d/map", "map"}}));
  remote_.add_file("b.tar.gz",
                   make_archive(Format::kTarGz, {{"d/more", std::string(1 << 20, 'x')}}));
  remote_.add_file("c.7z", make_archive(Format::k7z, {{"seven", "7"}}));
  remote_.add_file("version.ini", to_bytes("version = 1.31"));
  const auto installed = install();
  ASSERT_TRUE(installed) << installed.error().message();
  EXPECT_EQ(installed->files, 4u);
  EXPECT_EQ(names_in(entry()), kLocalAlone);
  EXPECT_EQ(names_in(entry() / "local"),
            (std::set<std::string>{"game", "d", "seven", std::string(kInstalledRecord)}));
  EXPECT_EQ(text("local/d/more"), std::string(1 << 20, 'x'));
  settle();
  EXPECT_TRUE(listing().installed);
  EXPECT_FALSE(listing().downloaded);
  EXPECT_EQ(listing().availability, Availability::kLocalOnly);
  EXPECT_EQ(listing().version, "1.31");
  EXPECT_EQ(listing().name, "Quake");
  EXPECT_FALSE(listing().root);
  EXPECT_EQ(service_->audience("quake", entry().string()), nullptr);
  stop();
  start();
  EXPECT_EQ(listing().version, "1.31");
  EXPECT_EQ(install().error().code(), ErrorCode::kConflict);
  ASSERT_TRUE(run(installer_->uninstall("quake")));
  EXPECT_FALSE(fs::exists(entry()));
  settle();
  EXPECT_FALSE(service_->find("quake"));
}

TEST_P(InstallRemoteTest, WithoutArchivesTheFilesAreCopied) {
  start();
  remote_.add("deep", content::EntryKind::kDirectory, {});
  remote_.add_file("deep/data", Bytes(700'000, 7));
  remote_.add_file("empty", {});
  remote_.add("link", content::EntryKind::kSymlink, {}, "deep/data");
  remote_.add("out", content::EntryKind::kSymlink, {}, "../../other");
  remote_.add_file("local/evil", to_bytes("x"));
  const auto installed = install();
  ASSERT_TRUE(installed) << installed.error().message();
  EXPECT_EQ(names_in(entry() / "local"),
            (std::set<std::string>{"deep", "empty", "link", std::string(kInstalledRecord)}));
  EXPECT_EQ(text("local/link"), std::string(700'000, '\7'));
}

TEST_P(InstallRemoteTest, WhateverFailsLeavesNothing) {
  start();
  remote_.open_error = Error(ErrorCode::kNoPeer, "nobody has it");
  EXPECT_EQ(install().error().code(), ErrorCode::kNoPeer);
  EXPECT_TRUE(fs::is_empty(disk_.path() / "things"));
  remote_.open_error.reset();
  Bytes archive = make_archive(Format::kTar, {{"a", std::string(2 << 20, 'a')}, {"b", "b"}});
  remote_.add_file("a.tar", archive);
  remote_.reads_max = 3;
  EXPECT_EQ(install().error().code(), ErrorCode::kNoPeer);
  EXPECT_TRUE(fs::is_empty(disk_.path() / "things"));
  remote_.reads_max = SIZE_MAX;
  remote_.reads = 0;
  remote_.when_read = [this] { progress_->stop = remote_.reads > 2; };
  EXPECT_EQ(install().error().code(), ErrorCode::kCancelled);
  EXPECT_TRUE(fs::is_empty(disk_.path() / "things"));
  remote_.when_read = nullptr;
  progress_->stop = false;
  remote_.add_file("b.tar", make_archive(Format::kTar, {{"../evil", "x"}}));
  EXPECT_EQ(install().error().code(), ErrorCode::kDenied);
  EXPECT_TRUE(fs::is_empty(disk_.path() / "things"));
}

TEST_P(InstallRemoteTest, WhatAKilledProcessLeftGoesWithItsFolder) {
  start();
  stop();
  fs::create_directories(entry());
  DiskFiles left(*runtime::Directory::open(entry()));
  ASSERT_TRUE(install::run(left, "version.ini", install_plan().before));
  disk_.write("things/quake/.local.installing/game", "half of th");
  disk_.write("things/quake/.local.installing/.warren_installed", "version = 1");
  start();
  EXPECT_FALSE(fs::exists(entry()));
  // And once it is promoted it is there, but for the end of the log.
  stop();
  fs::create_directories(entry());
  DiskFiles promoted(*runtime::Directory::open(entry()));
  ASSERT_TRUE(install::run(promoted, "version.ini", install_plan().before));
  disk_.write("things/quake/.local.installing/.warren_installed", "version = 1");
  ASSERT_TRUE(install::run(promoted, "version.ini", install_plan().after.first(3)));
  start();
  EXPECT_EQ(names_in(entry()), kLocalAlone);
  EXPECT_TRUE(listing().installed);
  EXPECT_FALSE(listing().downloaded);
}

TEST_P(InstallRemoteTest, AnewReplacesLocalAndAFailureLeavesTheOldOne) {
  start();
  remote_.add_file("a.tar", make_archive(Format::kTar, {{"game", "old"}}));
  ASSERT_TRUE(install());
  disk_.write("things/quake/local/save", "mine");
  remote_.reads = 0;
  remote_.reads_max = 0;
  EXPECT_EQ(install("1.32", true).error().code(), ErrorCode::kNoPeer);
  EXPECT_EQ(text("local/save"), "mine");
  settle();
  EXPECT_EQ(listing().version, "1.31");
  remote_.reads_max = SIZE_MAX;
  ASSERT_TRUE(install("1.32", true));
  EXPECT_FALSE(fs::exists(entry() / "local" / "save"));
  EXPECT_EQ(names_in(entry()), kLocalAlone);
  settle();
  EXPECT_EQ(listing().version, "1.32");
}

TEST_P(InstallRemoteTest, WhatIsDownloadedLaterStandsBesideIt) {
  start();
  remote_.add_file("a.tar", make_archive(Format::kTar, {{"game", "the game"}}));
  ASSERT_TRUE(install());
  EXPECT_TRUE(run(installer_->is_bare(disk_.at("things"), "quake")));
  disk_.write("things/.warren-1.part/version.ini", "version = 1.31");
  disk_.write("things/.warren-1.part/a.tar", "an archive");
  const auto taken = run(installer_->take_in(disk_.at("things"), ".warren-1.part", "quake"));
  ASSERT_TRUE(taken) << taken.error().message();
  EXPECT_EQ(names_in(entry()), (std::set<std::string>{"a.tar", "local", "version.ini"}));
  EXPECT_EQ(text("local/game"), "the game");
  EXPECT_FALSE(fs::exists(disk_.path() / "things" / ".warren-1.part"));
  settle();
  EXPECT_TRUE(listing().downloaded && listing().installed);
  EXPECT_EQ(listing().availability, Availability::kReady);
  EXPECT_FALSE(run(installer_->is_bare(disk_.at("things"), "quake")));
  EXPECT_EQ(install("1.31", true).error().code(), ErrorCode::kConflict) << "it is downloaded";
  disk_.write("things/.warren-2.part/other", "x");
  EXPECT_EQ(run(installer_->take_in(disk_.at("things"), ".warren-2.part", "quake")).error().code(),
            ErrorCode::kExists);
  EXPECT_TRUE(fs::exists(disk_.path() / "things" / ".warren-2.part"));
}

TEST_P(InstallRemoteTest, ADownloadThatWasInterruptedWhereItIsTakenInIsEndedFirst) {
  start();
  remote_.add_file("a.tar", make_archive(Format::kTar, {{"game", "the game"}}));
  ASSERT_TRUE(install());
  stop();
  disk_.write("things/quake/.warren.new/version.ini", "version = 1.31");
  disk_.write("things/quake/.warren.new/a.tar", "an archive");
  // Up to where the new files are moved in.
  const auto steps = replace_plan().before;
  DiskFiles left(*runtime::Directory::open(entry()));
  const auto moves = std::ranges::find(steps, Step::kMoveNewIn) - steps.begin();
  ASSERT_TRUE(install::run(left, "version.ini", steps.first(static_cast<std::size_t>(moves))));
  start();
  EXPECT_FALSE(run(installer_->is_bare(disk_.at("things"), "quake")));
  EXPECT_EQ(names_in(entry()), (std::set<std::string>{"a.tar", "local", "version.ini"}));
}

TEST_P(InstallRemoteTest, WhatCannotBeTakenInStaysWhereItWas) {
  start();
  remote_.add_file("a.tar", make_archive(Format::kTar, {{"game", "the game"}}));
  ASSERT_TRUE(install());
  settle();
  disk_.write("things/.warren-1.part/version.ini", "version = 1.31");
  // No byte can be written any more, so that there is no log.
  std::signal(SIGXFSZ, SIG_IGN);
  ::rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const ::rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const auto refused = run(installer_->take_in(disk_.at("things"), ".warren-1.part", "quake"));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(refused);
  EXPECT_EQ(names_in(entry()), kLocalAlone);
  EXPECT_TRUE(fs::exists(disk_.path() / "things" / ".warren-1.part" / "version.ini"));
  ASSERT_TRUE(run(installer_->take_in(disk_.at("things"), ".warren-1.part", "quake")));
  EXPECT_EQ(names_in(entry()), (std::set<std::string>{"local", "version.ini"}));
}

TEST_P(InstallRemoteTest, TheRecordOfAPackedLocalIsNotUnpacked) {
  start();
  remote_.add_file("a.zip",
                   make_archive(Format::kZip, {{".warren_installed", "version = 9"},
                                               {"game", "the game"},
                                               {"d/.warren_installed", "a name as others"}}));
  ASSERT_TRUE(install());
  EXPECT_EQ(text("local/game"), "the game");
  EXPECT_EQ(text("local/d/.warren_installed"), "a name as others");
  EXPECT_NE(text("local/.warren_installed").find("1.31"), std::string::npos);
  settle();
  EXPECT_EQ(listing().version, "1.31");
}

TEST_P(InstallRemoteTest, OneOperationAtATime) {
  start();
  const auto operation = service_->begin_operation("quake");
  const auto refused = install();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("operation in progress"));
  EXPECT_FALSE(fs::exists(entry()));
}

INSTANTIATE_TEST_SUITE_P(SentinelRequired, InstallRemoteTest, testing::Bool());

}  // namespace
}  // namespace warren::install
