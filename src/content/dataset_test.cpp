#include "content/dataset.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "content/test_support.hpp"
#include "crypto/sha256.hpp"

namespace warren::content {
namespace {

namespace fs = std::filesystem;
using test::patterned_bytes;
using testing::HasSubstr;

class DatasetTest : public testing::Test {
 protected:
  std::shared_ptr<const Dataset> open(const std::string& name, limits::Content limits = {}) {
    auto imported = test::import_now(runtime_, folder_.at(name));
    EXPECT_TRUE(imported);
    auto dataset = Dataset::open(
        {imported->tree, imported->path, std::move(imported->stamps), 7, changes_}, limits);
    EXPECT_TRUE(dataset);
    return *dataset;
  }

  test::TempFolder folder_;
  runtime::RealRuntime runtime_;
  std::shared_ptr<ChangeLog> changes_ = std::make_shared<ChangeLog>();
};

TEST_F(DatasetTest, ReadsLeavesAcrossFiles) {
  const Bytes big = patterned_bytes((2 << 20) + 100, 1);
  folder_.write("f/a", "first");
  folder_.write("f/b", big);
  folder_.write("f/c", "");
  folder_.write("f/d/e", "last");
  const auto dataset = open("f");
  const std::uint64_t leaves = dataset->tree().leaves.size();
  ASSERT_EQ(leaves, 5u);
  Bytes expected = to_bytes("first");
  append(expected, big);
  append(expected, as_bytes("last"));

  Bytes out(*dataset->leaves_bytes(0, leaves));
  ASSERT_EQ(*dataset->read_leaves(0, leaves, out), expected.size());
  EXPECT_EQ(out, expected);
  for (std::uint64_t i = 0; i < leaves; ++i) {
    Bytes leaf(*dataset->leaves_bytes(i, 1));
    ASSERT_TRUE(dataset->read_leaves(i, 1, leaf));
    EXPECT_EQ(Digest{crypto::sha256(leaf)}, dataset->tree().leaves[i].digest);
  }
  EXPECT_EQ(*dataset->read_leaves(5, 0, {}), 0u);
}

TEST_F(DatasetTest, SingleFileIsItsOwnDataset) {
  folder_.write("one", "hello");
  const auto dataset = open("one");
  Bytes out(5);
  ASSERT_TRUE(dataset->read_leaves(0, 1, out));
  EXPECT_EQ(as_text(out), "hello");
}

TEST_F(DatasetTest, RefusesRangesAndBuffersThatDoNotFit) {
  folder_.write("f/a", "first");
  const auto dataset = open("f");
  Bytes out(5);
  EXPECT_EQ(dataset->read_leaves(0, 2, out).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(dataset->read_leaves(2, 0, out).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(dataset->read_leaves(1, UINT64_MAX, out).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(dataset->read_leaves(0, 1, MutableBytes(out).first(4)).error().code(),
            ErrorCode::kInvalidArgument);
}

TEST_F(DatasetTest, ChangedFilesAreRefusedAndNoted) {
  folder_.write("f/kept", "kept");
  for (const std::string name : {"grown", "rewritten", "replaced", "gone", "folder", "link"}) {
    folder_.write("f/" + name, "old!");
    folder_.age("f/" + name);
  }
  const auto dataset = open("f");
  folder_.write("f/grown", "old!+");
  folder_.write("f/rewritten", "new!");
  folder_.write("f/other", "old!");
  fs::last_write_time(folder_.path() / "f/other",
                      fs::last_write_time(folder_.path() / "f/replaced"));
  fs::rename(folder_.path() / "f/other", folder_.path() / "f/replaced");
  fs::remove(folder_.path() / "f/gone");
  fs::remove(folder_.path() / "f/folder");
  folder_.make_folder("f/folder");
  fs::remove(folder_.path() / "f/link");
  folder_.write("elsewhere", "old!");
  fs::create_symlink("../elsewhere", folder_.path() / "f/link");

  for (std::uint64_t i = 0; i < dataset->tree().leaves.size(); ++i) {
    Bytes out(4);
    const auto n = dataset->read_leaves(i, 1, out);
    if (n) {
      EXPECT_EQ(as_text(out), "kept");
      continue;
    }
    EXPECT_EQ(n.error().code(), ErrorCode::kNotFound);
    EXPECT_THAT(n.error().message(), HasSubstr("changed"));
    EXPECT_THAT(n.error().message(), HasSubstr(folder_.at("f/")));
    EXPECT_FALSE(dataset->read_leaves(i, 1, out)) << "and again";
  }
  EXPECT_EQ(dataset->changed_entries().size(), 6u);
  const auto noted = changes_->take();
  ASSERT_EQ(noted.size(), 6u);
  EXPECT_EQ(noted[0].share_id, 7);
}

TEST_F(DatasetTest, WriteIntoAnOpenFileIsNoticed) {
  folder_.write("big", patterned_bytes(3 << 20, 1));
  folder_.age("big");
  const auto dataset = open("big");
  Bytes out(1 << 20);
  ASSERT_TRUE(dataset->read_leaves(0, 1, out));
  std::fstream file(folder_.path() / "big", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp((2 << 20) + 5);
  file << "scribble";
  file.close();
  EXPECT_FALSE(dataset->read_leaves(0, 1, out)) << "even where the bytes are the same";
}

TEST_F(DatasetTest, FewFilesStayOpen) {
  for (int i = 0; i < 20; ++i) {
    folder_.write(fmt::format("f/{}", i), patterned_bytes((1 << 20) + 1, 1));
  }
  limits::Content limits;
  limits.files_open_max = 3;
  const auto dataset = open("f", limits);
  const auto descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = descriptors();
  Bytes out(1 << 20);
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t i = 0; i < 40; ++i) ASSERT_TRUE(dataset->read_leaves(i, 1, out));
  }
  EXPECT_EQ(descriptors(), before + 3);
}

TEST_F(DatasetTest, FolderThatIsGoneIsSaidSo) {
  folder_.write("f/a", "x");
  auto imported = test::import_now(runtime_, folder_.at("f"));
  fs::rename(folder_.path() / "f", folder_.path() / "g");
  const auto dataset = Dataset::open({imported->tree, imported->path, imported->stamps, 1, {}});
  ASSERT_FALSE(dataset);
  EXPECT_EQ(dataset.error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace warren::content
