#include "runtime/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace warren::runtime {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string pattern = (fs::temp_directory_path() / "warren-file-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
    folder_ = std::move(*Directory::open(path_));
  }
  ~FileTest() override { fs::remove_all(path_); }

  void write(const std::string& name, std::string_view text) {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  std::string read(const std::string& name) {
    std::ifstream in(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path path_;
  Directory folder_;
};

TEST_F(FileTest, WritesAndReadsAtPositions) {
  const auto file = folder_.create_file("a");
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write_at(3, as_bytes("def")));
  ASSERT_TRUE(file->write_at(0, as_bytes("abc")));
  Bytes out(10);
  const auto n = file->read_at(1, out);
  ASSERT_TRUE(n);
  EXPECT_EQ(*n, 5u);
  EXPECT_EQ(as_text(BytesView(out).first(5)), "bcdef");
  EXPECT_TRUE(file->sync_data());
}

TEST_F(FileTest, StampTellsAboutEveryChange) {
  write("a", "one");
  const auto before = folder_.info("a");
  ASSERT_TRUE(before);
  EXPECT_EQ(before->kind, FileKind::kRegular);
  EXPECT_EQ(before->stamp.size, 3u);
  EXPECT_EQ(before->stamp, folder_.open_file("a")->info()->stamp);

  write("b", "two");
  fs::rename(path_ / "b", path_ / "a");
  EXPECT_NE(folder_.info("a")->stamp, before->stamp);
}

TEST_F(FileTest, PreallocateGivesSizeAndSaysWhatIsMissing) {
  const auto file = folder_.create_file("a");
  ASSERT_TRUE(file->preallocate(1 << 20));
  EXPECT_EQ(file->info()->stamp.size, 1u << 20);

  const auto refused = file->preallocate(1ull << 50);
  ASSERT_FALSE(refused);
  // Larger than the disk is ENOSPC, larger than the file system's files is EFBIG.
  if (refused.error().code() == ErrorCode::kNoSpace) {
    EXPECT_THAT(refused.error().message(), testing::HasSubstr("free"));
    EXPECT_THAT(refused.error().message(), testing::HasSubstr("1024 TiB"));
  }
  EXPECT_EQ(file->info()->stamp.size, 1u << 20) << "a failed reservation must not grow the file";
}

TEST_F(FileTest, NothingLeavesTheFolder) {
  fs::create_directory(path_ / "in");
  fs::create_directory(path_ / "out");
  write("out/secret", "x");
  fs::create_symlink("../out", path_ / "in" / "link");
  fs::create_symlink("../out/secret", path_ / "in" / "file");
  fs::create_symlink(path_ / "out", path_ / "in" / "absolute");
  const auto in = folder_.open_directory("in");
  ASSERT_TRUE(in);

  for (const std::string name :
       {"../out/secret", "link/secret", "file", "absolute/secret", "/etc/passwd", "..",
        "link/../../out/secret", "../in/../out/secret", "./../out/secret"}) {
    const auto opened = in->open_file(name);
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().code(), ErrorCode::kDenied) << name << opened.error().message();
    const auto created = in->create_file(name + "-new");
    EXPECT_TRUE(!created || name == ".." || name == "file") << name;
  }
  for (const std::string name :
       {"../out/new", "link/new", "absolute/new", "..", ".", "", "/tmp/new", "../new"}) {
    EXPECT_FALSE(in->make_directory(name)) << name;
    EXPECT_FALSE(in->make_symlink(name, "target")) << name;
    EXPECT_FALSE(in->remove(name)) << name;
    EXPECT_FALSE(in->rename_noreplace("link", name)) << name;
    EXPECT_FALSE(in->rename_noreplace(name, "moved")) << name;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(path_ / "out"), {}), 1);
  EXPECT_FALSE(in->open_file(std::string_view("a\0b", 3)));
}

// Someone swaps a folder for a symlink to another one, again and again, while it is written to.
TEST_F(FileTest, NothingLeavesTheFolderDuringARace) {
  fs::create_directories(path_ / "in" / "real");
  fs::create_directory(path_ / "out");
  write("out/secret", "secret");
  write("in/real/secret", "public");
  fs::create_directory_symlink("../out", path_ / "in" / "link");
  const auto in = folder_.open_directory("in");
  ASSERT_TRUE(in);

  std::atomic<bool> stop{false};
  std::jthread racer([&] {
    while (!stop) {
      EXPECT_EQ(::rename((path_ / "in/real").c_str(), (path_ / "in/now").c_str()), 0);
      EXPECT_EQ(::rename((path_ / "in/now").c_str(), (path_ / "in/real").c_str()), 0);
      EXPECT_EQ(::rename((path_ / "in/link").c_str(), (path_ / "in/now").c_str()), 0);
      EXPECT_EQ(::rename((path_ / "in/now").c_str(), (path_ / "in/link").c_str()), 0);
    }
  });
  int opened = 0;
  int denied = 0;
  for (int i = 0; i < 100'000 && (i < 3'000 || opened == 0 || denied == 0); ++i) {
    if (const auto file = in->open_file("now/secret")) {
      ++opened;
      Bytes text(6);
      ASSERT_TRUE(file->read_at(0, text));
      ASSERT_EQ(as_text(text), "public");
    } else if (file.error().code() == ErrorCode::kDenied) {
      ++denied;
    }
    const std::string name = "now/" + std::to_string(i);
    [[maybe_unused]] const auto created = in->create_file(name);
    [[maybe_unused]] const auto folder = in->make_directory(name + "d");
    [[maybe_unused]] const auto removed = in->remove_all("now/secret-not");
  }
  stop = true;
  racer.join();
  EXPECT_GT(opened, 0);
  EXPECT_GT(denied, 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(path_ / "out"), {}), 1) << "only the secret";
  EXPECT_EQ(read("out/secret"), "secret");
}

TEST_F(FileTest, SpecialFilesAreNotOpened) {
  ASSERT_EQ(::mkfifo((path_ / "pipe").c_str(), 0600), 0);
  const auto opened = folder_.open_file("pipe");  // Would wait for a writer for ever.
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kDenied);
  EXPECT_FALSE(folder_.open_file(""));
  EXPECT_EQ(folder_.info("pipe")->kind, FileKind::kOther);
}

TEST_F(FileTest, RenameNeverReplaces) {
  write("a", "new");
  write("b", "old");
  const auto refused = folder_.rename_noreplace("a", "b");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kExists);
  EXPECT_EQ(read("b"), "old");
  EXPECT_TRUE(folder_.rename_noreplace("a", "c"));
  EXPECT_EQ(read("c"), "new");
  EXPECT_TRUE(folder_.rename_replace("c", "b"));
  EXPECT_EQ(read("b"), "new");
  EXPECT_TRUE(folder_.sync());
}

TEST_F(FileTest, MakesFoldersAndLinksAndListsThem) {
  EXPECT_TRUE(folder_.make_directories("x/y/z"));
  EXPECT_TRUE(folder_.make_directories("x/y/z"));
  EXPECT_FALSE(folder_.make_directory("x"));
  EXPECT_TRUE(folder_.make_symlink("x/link", "y/z"));
  EXPECT_EQ(*folder_.read_symlink("x/link"), "y/z");
  write("x/.hidden", "");
  EXPECT_FALSE(folder_.make_directories("x/.hidden/below"));

  const auto items = folder_.open_directory("x")->list();
  ASSERT_TRUE(items);
  std::vector<std::pair<std::string, FileKind>> found;
  for (const auto& item : *items) found.emplace_back(item.name, item.kind);
  using testing::Pair;
  EXPECT_THAT(found, testing::UnorderedElementsAre(Pair("y", FileKind::kDirectory),
                                                   Pair("link", FileKind::kSymlink),
                                                   Pair(".hidden", FileKind::kRegular)));
  EXPECT_EQ(folder_.open_directory("x")->list(2).error().code(), ErrorCode::kTooLarge);
}

TEST_F(FileTest, RemoveAllTakesTheTreeAndNoLinkTarget) {
  fs::create_directories(path_ / "keep");
  write("keep/file", "x");
  ASSERT_TRUE(folder_.make_directories("gone/a/b"));
  write("gone/a/file", "x");
  write("gone/a/b/file", "x");
  fs::create_symlink("../../keep", path_ / "gone" / "a" / "link");
  EXPECT_TRUE(folder_.remove_all("gone"));
  EXPECT_FALSE(fs::exists(path_ / "gone"));
  EXPECT_EQ(read("keep/file"), "x");
  EXPECT_TRUE(folder_.remove_all("gone")) << "a missing one is no error";
}

TEST_F(FileTest, KnowsFreeSpaceAndCase) {
  EXPECT_GT(*folder_.free_bytes(), 0u);
  const auto ignores = folder_.ignores_case();
  ASSERT_TRUE(ignores);
  write("A", "");
  EXPECT_EQ(*ignores, fs::exists(path_ / "a"));
  EXPECT_EQ(folder_.list()->size(), 1u) << "the probe is gone";
}

TEST_F(FileTest, ErrorsCarryTheirKind) {
  EXPECT_EQ(folder_.open_file("none").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(Directory::open((path_ / "none").string()).error().code(), ErrorCode::kNotFound);
  write("a", "");
  EXPECT_EQ(folder_.create_file("a").error().code(), ErrorCode::kExists);
  EXPECT_FALSE(File::create((path_ / "a").string()));
  EXPECT_EQ(*canonical_path((path_ / "." / "a").string()), *canonical_path(path_.string()) + "/a");
}

TEST(HumanBytes, SaysIecUnits) {
  EXPECT_EQ(human_bytes(17), "17 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(312ull << 20), "312 MiB");
}

}  // namespace
}  // namespace warren::runtime
