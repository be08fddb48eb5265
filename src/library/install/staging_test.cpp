#include "library/install/staging.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/check.hpp"
#include "library/install/archives_for_test.hpp"
#include "library/install/names.hpp"

namespace warren::install {
namespace {

using namespace test;
namespace fs = std::filesystem;
using testing::HasSubstr;

/// Long content as its size and a hash, so that errors can be read.
std::string short_form(const std::string& content) {
  if (content.size() <= 64) return content;
  return fmt::format("{} bytes, {}", content.size(), std::hash<std::string>()(content));
}

/// An entry on the disk, in a folder that also holds what no archive may reach.
class StagingTest : public testing::Test {
 protected:
  StagingTest() {
    std::string pattern = (fs::temp_directory_path() / "warren-staging-XXXXXX").string();
    WARREN_CHECK(::mkdtemp(pattern.data()) != nullptr);
    outside_ = pattern;
    entry_ = outside_ / "entry";
    fs::create_directories(staging());
    put(outside_ / "precious", "data");
    limits_.free_bytes_min = 0;
  }
  ~StagingTest() override { fs::remove_all(outside_); }

  fs::path staging() const { return entry_ / kInstallingFolder; }
  static void put(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  void put_archive(const std::string& name, Format format, const std::vector<Item>& items) {
    put(entry_ / name, as_text(make_archive(format, items)));
  }

  Result<> fill() {
    auto folder = runtime::Directory::open(entry_);
    WARREN_CHECK(folder.has_value());
    WARREN_TRY(const auto fill, Fill::begin(*folder, limits_, progress_));
    for (;;) {
      WARREN_TRY(const bool more, fill->step());
      ++steps_;
      if (!more) break;
    }
    files_ = fill->files();
    bytes_ = fill->bytes();
    return {};
  }
  /// The error of a fill that must be refused; nothing may be outside the staging folder.
  Error refused(const std::vector<Item>& items, Format format = Format::kTar) {
    const auto before = seen(outside_, true);
    put_archive("a.tar", format, items);
    const auto filled = fill();
    fs::remove(entry_ / "a.tar");
    EXPECT_EQ(seen(outside_, true), before);
    fs::remove_all(staging());
    fs::create_directories(staging());
    if (filled) {
      ADD_FAILURE() << "it was not refused";
      return {ErrorCode::kInternal, ""};
    }
    return filled.error();
  }

  /// Path to content; of a folder "/", of a symlink "-> target".
  static std::map<std::string, std::string> seen(const fs::path& root,
                                                 bool without_staging = false) {
    std::map<std::string, std::string> out;
    for (auto item = fs::recursive_directory_iterator(root);
         item != fs::recursive_directory_iterator(); ++item) {
      if (without_staging && item->path().filename() == kInstallingFolder) {
        item.disable_recursion_pending();
        continue;
      }
      const std::string path = item->path().lexically_relative(root).string();
      if (item->is_symlink()) {
        out[path] = "-> " + fs::read_symlink(item->path()).string();
      } else if (item->is_directory()) {
        out[path] = "/";
      } else {
        std::stringstream text;
        text << std::ifstream(item->path(), std::ios::binary).rdbuf();
        out[path] = short_form(text.str());
      }
    }
    return out;
  }

  fs::path outside_;
  fs::path entry_;
  limits::Install limits_;
  std::shared_ptr<content::Progress> progress_ = std::make_shared<content::Progress>();
  std::size_t steps_ = 0;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
};

const std::vector<Item> kGood{folder("data/"),
                              {"data/maps.pak", std::string(300'000, 'm')},
                              {"./run.sh", "#!/bin/sh", AE_IFREG, "", 04755},
                              {"deep/er/x", ""},
                              {"\xC3\xBC.txt", "umlaut"},
                              link_to("latest", "data/maps.pak")};
const std::map<std::string, std::string> kGoodSeen{
    {"data", "/"},
    {"data/maps.pak", short_form(std::string(300'000, 'm'))},
    {"run.sh", "#!/bin/sh"},
    {"deep", "/"},
    {"deep/er", "/"},
    {"deep/er/x", ""},
    {"\xC3\xBC.txt", "umlaut"},
    {"latest", "-> data/maps.pak"}};

TEST_F(StagingTest, EveryKindOfArchiveIsUnpackedByWhatItIs) {
  const std::vector<std::pair<std::string, Format>> kinds{
      {"a.tar", Format::kTar},      {"a.tar.gz", Format::kTarGz},   {"a.tgz", Format::kTarGz},
      {"a.tar.xz", Format::kTarXz}, {"a.tar.zst", Format::kTarZst}, {"A.ZIP", Format::kZip},
      {"a.7z", Format::k7z},        {"wrong.zip", Format::kTarXz},  {"wrong.tar", Format::k7z}};
  for (const auto& [name, format] : kinds) {
    put_archive(name, format, kGood);
    put(entry_ / "version.ini", "version = 1");
    const auto filled = fill();
    ASSERT_TRUE(filled) << name << ": " << filled.error().message();
    EXPECT_EQ(seen(staging()), kGoodSeen) << name;
    EXPECT_EQ(files_, 5u);
    EXPECT_EQ(bytes_, 300'000u + 9 + 6);
    EXPECT_EQ(progress_->files_done, progress_->files_found);
    struct stat found{};
    ASSERT_EQ(::stat((staging() / "run.sh").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777u, 0755u & ~022u & 0755u) << "no setuid, and it can be run";
    fs::remove_all(staging());
    fs::create_directories(staging());
    fs::remove(entry_ / name);
  }
}

TEST_F(StagingTest, SeveralArchivesFillOneFolder) {
  put_archive("1.zip", Format::kZip, {{"data/one", "1"}});
  put_archive("2.tar.gz", Format::kTarGz, {{"data/two", "2"}, same_as("data/three", "data/two")});
  ASSERT_TRUE(fill());
  EXPECT_EQ(seen(staging()),
            (std::map<std::string, std::string>{
                {"data", "/"}, {"data/one", "1"}, {"data/two", "2"}, {"data/three", "2"}}));
}

TEST_F(StagingTest, WithoutArchivesTheFilesAreCopied) {
  put(entry_ / "game", std::string(20u << 20, 'g'));
  put(entry_ / "version.ini", "version = 1");
  put(entry_ / "data" / "x", "y");
  put(entry_ / "local" / "mine", "not copied");
  put(entry_ / ".warren_owned", "");
  fs::create_symlink("data/x", entry_ / "inside");
  fs::create_symlink("/etc/passwd", entry_ / "leads-out");
  fs::permissions(entry_ / "game", fs::perms::owner_all);
  ASSERT_EQ(::mkfifo((entry_ / "pipe").c_str(), 0600), 0);
  ASSERT_TRUE(fill());
  EXPECT_EQ(seen(staging()),
            (std::map<std::string, std::string>{{"game", short_form(std::string(20u << 20, 'g'))},
                                                {"version.ini", "version = 1"},
                                                {"data", "/"},
                                                {"data/x", "y"},
                                                {"inside", "-> data/x"}}));
  EXPECT_GT(steps_, 2u) << "large files are copied in parts";
}

TEST_F(StagingTest, PathsThatLeaveTheFolderAreRefused) {
  for (const std::string path : {"../precious", "a/../../precious", "/tmp/warren-evil", "..",
                                 "a/./b", "a//b", "\xFF\xFE", ".warren_owned"}) {
    EXPECT_EQ(refused({{path, "evil"}}).code(), ErrorCode::kDenied) << path;
    EXPECT_FALSE(fs::exists("/tmp/warren-evil"));
  }
  for (const Format format : {Format::kZip, Format::k7z}) {
    EXPECT_EQ(refused({{"../precious", "evil"}}, format).code(), ErrorCode::kDenied);
  }
}

TEST_F(StagingTest, LinksThatLeadOutAndWritesThroughLinksAreRefused) {
  EXPECT_EQ(refused({link_to("out", "..")}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({link_to("out", "/etc")}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({link_to("in", "data"), {"in/x", "evil"}}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({folder("data"), link_to("data", "elsewhere")}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({same_as("x", "../precious")}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({same_as("x", "/etc/passwd")}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({link_to("l", "x"), same_as("x", "l")}).code(), ErrorCode::kDenied);
}

TEST_F(StagingTest, DevicesPipesAndSocketsAreRefused) {
  for (const unsigned type : {AE_IFCHR, AE_IFBLK, AE_IFIFO}) {
    EXPECT_EQ(refused({{"device", "", type, "", 0666}}).code(), ErrorCode::kDenied);
  }
}

TEST_F(StagingTest, NamesThatAreOneNameAreRefused) {
  EXPECT_EQ(refused({{"a", "1"}, {"a", "2"}}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({{"a", "1"}, {"./a", "2"}}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({{"a", "1"}, {"a/b", "2"}}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({{"a/b", "1"}, {"a", "2"}}).code(), ErrorCode::kDenied);
  EXPECT_EQ(refused({{"\xC3\xBC", "1"}, {"u\xCC\x88", "2"}}).code(), ErrorCode::kDenied);
  UnpackRules rules(limits_);
  rules.ignore_case();
  EXPECT_TRUE(rules.add("Readme", Made::kFile));
  EXPECT_EQ(rules.add("README", Made::kFile).error().code(), ErrorCode::kDenied);
  put_archive("b.tar", Format::kTar, {{"a", "1"}});
  EXPECT_EQ(refused({{"a", "2"}}).code(), ErrorCode::kDenied) << "also in two archives";
}

TEST_F(StagingTest, BombsAreRefusedBeforeTheyFillTheDisk) {
  limits_.bytes_max = 1u << 20;
  for (const Format format : {Format::kTar, Format::kZip, Format::k7z}) {
    const std::vector<Item> items{{"a", std::string(600'000, '\0')},
                                  {"b", std::string(600'000, '\0')}};
    EXPECT_EQ(refused(items, format == Format::kTar ? Format::kTarXz : format).code(),
              ErrorCode::kTooLarge);
  }
  limits_.bytes_max = 1u << 30;
  limits_.names_max = 10;
  std::vector<Item> many;
  for (int i = 0; i < 11; ++i) many.push_back({"f" + std::to_string(i), ""});
  EXPECT_EQ(refused(many).code(), ErrorCode::kTooLarge);
  limits_.names_max = 1000;
  limits_.path_bytes_max = 100;
  EXPECT_EQ(refused({{std::string(99, 'a') + "/b", ""}}).code(), ErrorCode::kTooLarge);
}

TEST_F(StagingTest, ADiskThatIsTooSmallIsToldBeforeAnythingIsWritten) {
  limits_.free_bytes_min = std::uint64_t{1} << 60;
  put_archive("a.zip", Format::kZip, kGood);
  const auto filled = fill();
  ASSERT_FALSE(filled);
  EXPECT_EQ(filled.error().code(), ErrorCode::kNoSpace);
  EXPECT_TRUE(fs::is_empty(staging()));
}

TEST_F(StagingTest, EncryptedArchivesAreRefused) {
  EXPECT_EQ(refused({{"a", "hidden"}}, Format::kZipEncrypted).code(), ErrorCode::kUnsupported);
}

TEST_F(StagingTest, DamagedArchivesAreNamed) {
  for (const Format format : {Format::kTarGz, Format::kTarXz, Format::kZip, Format::k7z}) {
    Bytes whole = make_archive(format, kGood);
    for (const std::size_t kept :
         {std::size_t{0}, std::size_t{5}, whole.size() / 2, whole.size() - 30}) {
      put(entry_ / "a.tar", as_text(BytesView(whole).first(kept)));
      const auto filled = fill();
      ASSERT_FALSE(filled) << kept;
      EXPECT_EQ(filled.error().code(), ErrorCode::kMalformed);
      EXPECT_THAT(filled.error().message(), HasSubstr("a.tar"));
      fs::remove_all(staging());
      fs::create_directories(staging());
    }
  }
  put(entry_ / "a.tar", "this is no archive at all");
  EXPECT_EQ(fill().error().code(), ErrorCode::kMalformed);
}

TEST_F(StagingTest, ItStopsWhenItIsTold) {
  put_archive("a.zip", Format::kZip, kGood);
  progress_->stop = true;
  EXPECT_EQ(fill().error().code(), ErrorCode::kCancelled);
}

TEST(ArchiveNames, AreKnownByTheirEndings) {
  EXPECT_TRUE(is_archive_name("Game.ZIP"));
  EXPECT_TRUE(is_archive_name("game.tar.zst"));
  EXPECT_FALSE(is_archive_name(".zip"));
  EXPECT_FALSE(is_archive_name("textures.pk3"));
  EXPECT_FALSE(is_archive_name("zip"));
}

}  // namespace
}  // namespace warren::install
