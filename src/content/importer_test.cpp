#include "content/importer.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content/test_support.hpp"

namespace warren::content {
namespace {

namespace fs = std::filesystem;
using test::import_now;
using test::patterned_bytes;

class ImporterTest : public testing::Test {
 protected:
  std::string root_of(const std::string& name) {
    const auto imported = import_now(runtime_, folder_.at(name));
    if (!imported) return imported.error().message();
    EXPECT_TRUE(imported->skipped.empty());
    return imported->tree->root.to_string();
  }

  test::TempFolder folder_;
  runtime::RealRuntime runtime_;
};

// As in unixfs_test.cpp, the CIDs are those of ipfs-unixfs-importer for the same folders.
TEST_F(ImporterTest, FilesHaveTheCidOfOtherTools) {
  folder_.write("empty", "");
  folder_.write("one", "a");
  folder_.write("plus", patterned_bytes((1 << 20) + 1, 3));
  EXPECT_EQ(root_of("empty"), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
  EXPECT_EQ(root_of("one"), "bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm");
  EXPECT_EQ(root_of("plus"), "bafybeigejvinifyz2qlm3ptkfv5vvwodbd24tr7n7fvkahfrvqqen5nh3a");
}

TEST_F(ImporterTest, NestedFolderHasTheCidOfOtherTools) {
  folder_.write("nested/a/b/c/d/e/f.txt", "deep");
  folder_.write("nested/a/b/one.bin", patterned_bytes((1 << 20) + 5, 5));
  folder_.write("nested/a/x", "x");
  folder_.write("nested/z/y", "y");
  folder_.write("nested/top", "top");
  folder_.make_folder("nested/a/empty");
  EXPECT_EQ(root_of("nested"), "bafybeibzbl7x4dewvi7br6afgm3uewu6czypp3jba6qz62yknxqnuvm6fi");
}

TEST_F(ImporterTest, HiddenFilesAndEmptyFoldersAreIncluded) {
  folder_.write("hidden/.hidden", "h");
  folder_.write("hidden/.config/.deep", "d");
  folder_.make_folder("hidden/.empty");
  EXPECT_EQ(root_of("hidden"), "bafybeiejh4zlqisltpommclzbpyvyiwxz2tuwhidowbh4cmaqn2xgeasu4");
}

TEST_F(ImporterTest, SymlinksStaySymlinks) {
  folder_.write("symlinks/file", "content");
  folder_.write("symlinks/dir/inner", "inner");
  for (const auto& [name, to] :
       std::vector<std::pair<std::string, std::string>>{{"relative", "file"},
                                                        {"up", "../outside"},
                                                        {"absolute", "/etc/passwd"},
                                                        {"dangling", "nothing/here"},
                                                        {"to-dir", "dir"},
                                                        {"dir/back", "../file"}}) {
    fs::create_symlink(to, folder_.path() / "symlinks" / name);
  }
  EXPECT_EQ(root_of("symlinks"), "bafybeihincey5utpx55qhax6ylbhde2qijlsv7dg6374ddhiuefwxva2wm");
}

TEST_F(ImporterTest, ManyFilesAndSharding) {
  folder_.make_folder("many");
  for (int i = 0; i < 3000; ++i) {
    folder_.write(fmt::format("many/file-{}.txt", i), fmt::format("content of file {}\n", i));
  }
  folder_.make_folder("hamt");
  for (int i = 0; i < 6000; ++i) {
    folder_.write(fmt::format("hamt/a rather long name so that the block grows {}.dat", i * 7919),
                  fmt::format("{}", i));
  }
  EXPECT_EQ(root_of("many"), "bafybeibpp24asmxfmfoxd3rebjj7kjvbpaibxuintvcdmbj2ayvahrysqe");
  EXPECT_EQ(root_of("hamt"), "bafybeibs2fuz2hqjlpwwkxb3lzbap5kz5kguux6iwkyocfyrunolcanhhi");
}

TEST_F(ImporterTest, SparseFileIsReadInParallel) {
  const auto file = runtime::File::create(folder_.at("sparse"));
  ASSERT_TRUE(file->truncate(40ull << 20));
  ASSERT_TRUE(file->write_at(17ull << 20, as_bytes("x")));
  const auto imported = import_now(runtime_, folder_.at("sparse"));
  ASSERT_TRUE(imported);
  ASSERT_EQ(imported->tree->leaves.size(), 40u);
  EXPECT_EQ(imported->tree->leaves[0].digest, imported->tree->leaves[39].digest);
  EXPECT_NE(imported->tree->leaves[0].digest, imported->tree->leaves[17].digest);
  EXPECT_EQ(imported->bytes_hashed, 40ull << 20);
}

TEST_F(ImporterTest, ResultDescribesEveryEntry) {
  folder_.write("f/b", "bb");
  folder_.write("f/a/x", patterned_bytes((1 << 20) + 1, 3));
  auto progress = std::make_shared<Progress>();
  const auto imported =
      runtime::run_task(runtime_, import_path(runtime_, folder_.at("f/../f"), {}, progress));
  ASSERT_TRUE(imported) << imported.error().message();
  EXPECT_EQ(imported->path, folder_.at("f"));
  const Tree& tree = *imported->tree;
  ASSERT_EQ(tree.entries.size(), 4u);
  ASSERT_EQ(imported->stamps.size(), 4u);
  EXPECT_EQ(tree.entries[2].path, "a/x");
  EXPECT_EQ(imported->stamps[2], runtime::file_info(folder_.at("f/a/x"))->stamp);
  EXPECT_EQ(imported->stamps[0], runtime::FileStamp{});
  EXPECT_EQ(tree.bytes_total, (1u << 20) + 3);
  EXPECT_EQ(imported->nodes.size(), 3u) << "root, a, and the node of x";
  EXPECT_EQ(imported->nodes[0].cid, tree.root);

  EXPECT_EQ(progress->files_found, 2u);
  EXPECT_EQ(progress->files_done, 2u);
  EXPECT_EQ(progress->bytes_found, tree.bytes_total);
  EXPECT_EQ(progress->bytes_done, tree.bytes_total);
  EXPECT_FALSE(progress->walking);
}

TEST_F(ImporterTest, SpecialFilesAndBadNamesAreListed) {
  folder_.write("f/good", "x");
  ASSERT_EQ(::mkfifo(folder_.at("f/pipe").c_str(), 0600), 0);
  folder_.write("f/bad\xFF", "x");
  folder_.write("f/gr\xC3\xBC", "x");
  folder_.write("f/gru\xCC\x88", "x");
  const auto imported = import_now(runtime_, folder_.at("f"));
  ASSERT_TRUE(imported);
  EXPECT_EQ(imported->tree->entries.size(), 3u) << "the folder, good, and one of the two alike";
  ASSERT_EQ(imported->skipped.size(), 3u);
  EXPECT_EQ(imported->skipped_count, 3u);
  EXPECT_EQ(imported->skipped[0].path, "bad\xFF");
  EXPECT_EQ(imported->skipped[0].error.code(), ErrorCode::kDenied);
  EXPECT_EQ(imported->skipped[2].path, "pipe");
  EXPECT_EQ(imported->skipped[2].error.code(), ErrorCode::kUnsupported);
}

// Root reads everything, so a test that runs as root becomes somebody else for a while.
class WithoutRoot {
 public:
  explicit WithoutRoot(const fs::path& folder) {
    if (was_root_) EXPECT_EQ(::chown(folder.c_str(), kNobody, kNobody), 0);
    if (was_root_) EXPECT_EQ(::seteuid(kNobody), 0);
  }
  ~WithoutRoot() {
    if (was_root_) EXPECT_EQ(::seteuid(0), 0);
  }

 private:
  static constexpr uid_t kNobody = 65534;
  bool was_root_ = ::geteuid() == 0;
};

TEST_F(ImporterTest, UnreadableOnesAreListed) {
  const WithoutRoot nobody(folder_.path());
  folder_.write("f/secret", "x");
  folder_.write("f/closed/inner", "x");
  folder_.write("f/open", "x");
  fs::permissions(folder_.path() / "f/secret", fs::perms::none);
  fs::permissions(folder_.path() / "f/closed", fs::perms::none);
  const auto imported = import_now(runtime_, folder_.at("f"));
  const auto closed = import_now(runtime_, folder_.at("f/closed"));
  fs::permissions(folder_.path() / "f/closed", fs::perms::owner_all);
  ASSERT_TRUE(imported) << imported.error().message();
  EXPECT_EQ(imported->tree->entries.size(), 2u);
  ASSERT_EQ(imported->skipped.size(), 2u);
  for (const Skipped& skipped : imported->skipped) {
    EXPECT_EQ(skipped.error.code(), ErrorCode::kDenied) << skipped.path;
  }
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code(), ErrorCode::kDenied);
}

TEST_F(ImporterTest, TooDeepFoldersAreListed) {
  folder_.make_folder("f/" + [] {
    std::string deep;
    for (int i = 0; i < 70; ++i) deep += "d/";
    return deep;
  }());
  const auto imported = import_now(runtime_, folder_.at("f"));
  ASSERT_TRUE(imported) << imported.error().message();
  EXPECT_EQ(imported->skipped_count, 1u);
  EXPECT_EQ(imported->tree->entries.size(), 64u);
}

TEST_F(ImporterTest, WrongRootsAreErrors) {
  EXPECT_EQ(import_now(runtime_, folder_.at("none")).error().code(), ErrorCode::kNotFound);
  ASSERT_EQ(::mkfifo(folder_.at("pipe").c_str(), 0600), 0);
  EXPECT_EQ(import_now(runtime_, folder_.at("pipe")).error().code(), ErrorCode::kUnsupported);
  folder_.write("f/a", "");
  folder_.write("f/b", "");
  ImportOptions few;
  few.tree_limits.entries_max = 2;
  EXPECT_EQ(import_now(runtime_, folder_.at("f"), few).error().code(), ErrorCode::kTooLarge);
}

TEST_F(ImporterTest, UnchangedFilesAreNotReadAgain) {
  folder_.write("f/same", patterned_bytes((2 << 20) + 9, 1));
  folder_.write("f/touched", "x");
  folder_.write("f/rewritten", "old");
  for (const std::string name : {"f/same", "f/touched", "f/rewritten"}) folder_.age(name);
  auto first = import_now(runtime_, folder_.at("f"));
  ASSERT_TRUE(first);
  const auto previous = std::make_shared<const Imported>(std::move(*first));

  folder_.write("f/touched", "x");
  folder_.write("f/rewritten", "new");
  folder_.write("f/added", "added");
  ImportOptions options;
  options.previous = previous;
  const auto again = import_now(runtime_, folder_.at("f"), options);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->bytes_hashed, 1u + 3 + 5);
  EXPECT_EQ(again->tree->root, import_now(runtime_, folder_.at("f"))->tree->root);
  EXPECT_NE(again->tree->root, previous->tree->root);
}

// A write in the same tick of the file system's clock leaves the mtime as it was.
TEST_F(ImporterTest, FilesThatHadNotSettledAreReadAgain) {
  folder_.write("f/fresh", "one");
  auto first = import_now(runtime_, folder_.at("f"));
  ImportOptions options;
  options.previous = std::make_shared<const Imported>(std::move(*first));
  EXPECT_EQ(import_now(runtime_, folder_.at("f"), options)->bytes_hashed, 3u);
}

TEST_F(ImporterTest, StopEndsIt) {
  folder_.write("f/a", "x");
  auto progress = std::make_shared<Progress>();
  progress->stop = true;
  const auto imported =
      runtime::run_task(runtime_, import_path(runtime_, folder_.at("f"), {}, progress));
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code(), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace warren::content
