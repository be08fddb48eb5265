// What a look at the top of an entry and a walk through all of it say, and what they do not.

#include "library/look.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "content/test_support.hpp"

namespace warren::library {
namespace {

namespace fs = std::filesystem;
using runtime::Directory;

class LookTest : public testing::Test {
 protected:
  LookTest() {
    write("version.ini", "version = 1\nname = A Thing\n");
    write("data/deep/file", "some bytes");
  }

  void write(const std::string& name, std::string_view text) { folder_.write("e/" + name, text); }
  fs::path at(const std::string& name) { return folder_.path() / "e" / name; }
  Directory library() {
    auto opened = Directory::open(folder_.path().string());
    EXPECT_TRUE(opened);
    return std::move(*opened);
  }
  Look look(const SentinelSettings& sentinel = {}) {
    auto found = look_at(library(), "e", sentinel, limits_);
    EXPECT_TRUE(found) << found.error().message();
    return found ? std::move(*found) : Look{};
  }
  Measure walk() {
    auto found = measure(library(), "e", limits_, stop_);
    EXPECT_TRUE(found) << found.error().message();
    return found ? *found : Measure{};
  }
  ErrorCode refusal_of_walk() {
    const auto found = measure(library(), "e", limits_, stop_);
    EXPECT_FALSE(found);
    return found ? ErrorCode{} : found.error().code();
  }
  /// Whether `change` shows in the fingerprint, the stamps and the manifest.
  struct Shows {
    bool fingerprint, stamps, manifest;
    bool operator==(const Shows&) const = default;
  };
  template <class F>
  Shows shows(F change) {
    const Look look_before = look();
    const Measure before = walk();
    change();
    const Measure after = walk();
    return {look().fingerprint != look_before.fingerprint, after.stamps != before.stamps,
            after.manifest != before.manifest};
  }

  content::test::TempFolder folder_;
  limits::Library limits_;
  std::atomic<bool> stop_{false};
};

TEST_F(LookTest, SaysWhatTheSentinelSays) {
  EXPECT_TRUE(look().has_sentinel);
  EXPECT_EQ(look().sentinel.version, "1");
  EXPECT_EQ(look().sentinel.name, "A Thing");
  EXPECT_FALSE(look({.file = "other.ini"}).has_sentinel);
  EXPECT_FALSE(look({.file = ""}).has_sentinel) << "none is looked for";
  EXPECT_FALSE(look({.file = "data"}).has_sentinel) << "a folder is none";
  fs::create_symlink("version.ini", at("link.ini"));
  EXPECT_FALSE(look({.file = "link.ini"}).has_sentinel) << "nor is a link";
}

TEST_F(LookTest, TheSentinelIsNotReadWhenTheFingerprintIsKnown) {
  const Look first = look();
  const auto again = look_at(library(), "e", {}, limits_, first.fingerprint);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->unchanged);
  EXPECT_FALSE(again->has_sentinel);
  write("version.ini", "version = 22\n");
  const auto changed = look_at(library(), "e", {}, limits_, first.fingerprint);
  ASSERT_TRUE(changed);
  EXPECT_FALSE(changed->unchanged);
  EXPECT_EQ(changed->sentinel.version, "22");
}

TEST_F(LookTest, ALongSentinelIsReadUpToItsBound) {
  limits_.sentinel_bytes_max = 100;
  write("version.ini", "version = 7\n" + std::string(1000, '#') + "\nname = too late\n");
  EXPECT_EQ(look().sentinel.version, "7");
  EXPECT_EQ(look().sentinel.name, "");
}

TEST_F(LookTest, NothingIsTheSameAsBefore) {
  EXPECT_EQ(shows([] {}), (Shows{false, false, false}));
}

TEST_F(LookTest, ChangesInTheTopShowInBoth) {
  EXPECT_EQ(shows([&] { write("new", "x"); }), (Shows{true, true, true}));
  EXPECT_EQ(shows([&] { write("new", "longer"); }), (Shows{true, true, true}));
  EXPECT_EQ(shows([&] { fs::rename(at("new"), at("newer")); }), (Shows{true, true, true}));
  EXPECT_EQ(shows([&] { folder_.age("e/newer"); }), (Shows{true, true, false}))
      << "names and sizes are the same";
  EXPECT_EQ(shows([&] { fs::remove(at("newer")); }), (Shows{true, true, true}));
}

TEST_F(LookTest, ChangesDeeperDownShowInTheWalkAlone) {
  EXPECT_EQ(shows([&] { write("data/deep/file", "longer than it was"); }),
            (Shows{false, true, true}));
  EXPECT_EQ(shows([&] { write("data/deep/more", ""); }), (Shows{false, true, true}));
  EXPECT_EQ(shows([&] { fs::rename(at("data/deep/more"), at("data/deep/less")); }),
            (Shows{false, true, true}));
}

// The root that is computed of an entry has its empty folders and its links in it.
TEST_F(LookTest, FoldersAndLinksThatComeAndGoDeepDownAreChanges) {
  EXPECT_EQ(shows([&] { fs::create_directory(at("data/deep/empty")); }),
            (Shows{false, true, false}));
  EXPECT_EQ(shows([&] { fs::rename(at("data/deep/empty"), at("data/deep/bare")); }),
            (Shows{false, true, false}));
  EXPECT_EQ(shows([&] { fs::create_symlink("file", at("data/deep/link")); }),
            (Shows{false, true, false}));
  EXPECT_EQ(shows([&] {
              fs::remove(at("data/deep/link"));
              fs::create_symlink("elsewhere", at("data/deep/link"));
            }),
            (Shows{false, true, false}))
      << "it leads elsewhere";
}

TEST_F(LookTest, WhatIsOfThisNodeDoesNotShow) {
  folder_.make_folder("e/local");
  EXPECT_EQ(shows([&] { write("local/save", "x"); }), (Shows{false, false, false}));
  EXPECT_EQ(shows([&] { write("local/deep/save", "x"); }), (Shows{false, false, false}));
  EXPECT_EQ(shows([&] { write(".local.installing/f", "x"); }), (Shows{false, false, false}));
  EXPECT_EQ(shows([&] { write(".local.backup/f", "x"); }), (Shows{false, false, false}));
  EXPECT_EQ(shows([&] { write(".warren_owned", "x"); }), (Shows{false, false, false}));
  EXPECT_EQ(shows([&] { write(".warren.version.ini", "x"); }), (Shows{false, false, false}));
  EXPECT_EQ(shows([&] { write("data/local", "x"); }), (Shows{true, true, true}))
      << "only directly in the entry";
}

TEST_F(LookTest, LocalIsInstalledAndAnIntentIsAnOperation) {
  EXPECT_FALSE(look().installed);
  EXPECT_EQ(shows([&] { folder_.make_folder("e/local"); }), (Shows{true, false, false}));
  EXPECT_TRUE(look().installed);
  EXPECT_FALSE(look().in_operation);
  write(".warren.json", "{}");
  EXPECT_TRUE(look().in_operation);
  fs::remove_all(at("local"));
  write("local", "a file");
  EXPECT_FALSE(look().installed) << "a file is nothing installed";
  fs::remove(at("local"));
  fs::create_directory_symlink("data", at("local"));
  EXPECT_FALSE(look().installed) << "nor is a link";
}

TEST_F(LookTest, LinksAreNotFollowed) {
  folder_.write("outside/secret", "secret");
  fs::create_directory_symlink(folder_.at("outside"), at("data/way_out"));
  fs::create_symlink(folder_.at("outside/secret"), at("data/file_out"));
  const Measure before = walk();
  EXPECT_EQ(before.files, 2u);
  folder_.write("outside/more", "more");
  EXPECT_EQ(walk().stamps, before.stamps);
  fs::create_directory_symlink(at("."), folder_.at("link"));
  EXPECT_FALSE(look_at(library(), "link", {}, limits_)) << "nor is an entry that is one";
  EXPECT_FALSE(
      measure(library(), "../" + folder_.path().filename().string() + "/e", limits_, stop_))
      << "and nothing leads out of the library";
}

TEST_F(LookTest, CountsFilesAndBytes) {
  EXPECT_EQ(walk().files, 2u);
  EXPECT_EQ(walk().bytes, std::string_view("version = 1\nname = A Thing\nsome bytes").size());
  const Measure empty = [&] {
    fs::remove_all(folder_.path() / "e");
    folder_.make_folder("e");
    return walk();
  }();
  EXPECT_EQ(empty.files, 0u);
  EXPECT_EQ(empty.bytes, 0u);
  EXPECT_NE(empty.stamps, Digest{}) << "an empty entry was walked, too";
}

TEST_F(LookTest, SixtyFourNamesDeepAndNoDeeper) {
  std::string path;
  for (int i = 0; i < 63; ++i) path += "d/";
  const Measure before = walk();
  write(path + "file", "x");
  EXPECT_EQ(walk().files, before.files + 1) << "64 names";
  write(path + "d/file", "x");
  EXPECT_EQ(walk().files, before.files + 1) << "65 are left out, as when it is shared";
}

TEST_F(LookTest, BoundsAreErrors) {
  for (int i = 0; i < 9; ++i) write("data/" + std::to_string(i), "x");
  limits_.names_max = 13;
  EXPECT_EQ(walk().files, 11u) << "nine, two, and two folders";
  limits_.names_max = 12;
  EXPECT_EQ(refusal_of_walk(), ErrorCode::kTooLarge);
  limits_.top_names_max = 2;
  EXPECT_TRUE(look_at(library(), "e", {}, limits_));
  limits_.top_names_max = 1;
  EXPECT_EQ(look_at(library(), "e", {}, limits_).error().code(), ErrorCode::kTooLarge);
}

TEST_F(LookTest, WhatIsGoneOrClosedIsTold) {
  EXPECT_EQ(look_at(library(), "none", {}, limits_).error().code(), ErrorCode::kNotFound);
  folder_.write("file", "x");
  EXPECT_FALSE(look_at(library(), "file", {}, limits_)) << "no folder";
  if (::geteuid() != 0) {
    fs::permissions(at("."), fs::perms::none);
    EXPECT_EQ(look_at(library(), "e", {}, limits_).error().code(), ErrorCode::kDenied);
    EXPECT_EQ(refusal_of_walk(), ErrorCode::kDenied);
    fs::permissions(at("."), fs::perms::owner_all);
  }
  stop_ = true;
  EXPECT_EQ(refusal_of_walk(), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace warren::library
