#include "transfer/destination.hpp"

#include <gtest/gtest.h>

#include "crypto/sha256.hpp"
#include "transfer/existing.hpp"
#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

using content::Entry;
using content::EntryKind;

/// A tree built entry by entry, and the bytes of its leaves.
struct SampleTree {
  content::Tree tree;
  std::string bytes;

  void folder(const std::string& path) {
    Entry entry;
    entry.path = path;
    entry.kind = EntryKind::kDirectory;
    entry.first_leaf = tree.leaves.size();
    tree.entries.push_back(entry);
  }
  void link(const std::string& path, const std::string& target) {
    Entry entry;
    entry.path = path;
    entry.kind = EntryKind::kSymlink;
    entry.first_leaf = tree.leaves.size();
    entry.symlink_target = target;
    tree.entries.push_back(entry);
  }
  void file(const std::string& path, const std::string& content, std::size_t leaf_bytes = 4) {
    Entry entry;
    entry.path = path;
    entry.bytes = content.size();
    entry.first_leaf = tree.leaves.size();
    for (std::size_t at = 0; at < content.size(); at += leaf_bytes) {
      const std::string_view leaf = std::string_view(content).substr(at, leaf_bytes);
      tree.leaves.push_back(
          {Digest{crypto::sha256(as_bytes(leaf))}, static_cast<std::uint32_t>(leaf.size())});
      ++entry.leaf_count;
    }
    tree.entries.push_back(entry);
    tree.bytes_total += content.size();
    bytes += content;
  }
  std::shared_ptr<const content::Tree> shared() const {
    return std::make_shared<const content::Tree>(tree);
  }
};

SampleTree sample() {
  SampleTree made;
  made.folder("");
  made.file("a", "one");
  made.folder("d");
  made.folder("d/e");
  made.file("d/e/big", "0123456789");  // Three leaves.
  made.file("d/empty", "");
  made.link("d/l", "e/big");
  made.file("z", "last");
  return made;
}

class DestinationTest : public ::testing::Test {
 protected:
  DestinationPaths paths() const { return {folder.path().string(), ".warren-x.part", "final"}; }
  std::unique_ptr<Destination> prepare(const SampleTree& of, LeafSet& done, DiskHooks hooks = {}) {
    auto prepared = Destination::prepare(of.shared(), paths(), done, done, std::move(hooks));
    EXPECT_TRUE(prepared) << prepared.error().message();
    return prepared ? std::move(*prepared) : nullptr;
  }
  std::unique_ptr<Destination> prepare(const SampleTree& of) {
    LeafSet done(of.tree.leaves.size());
    return prepare(of, done);
  }
  fs::path temporary() const { return folder.path() / ".warren-x.part"; }
  fs::path final() const { return folder.path() / "final"; }
  Result<Existing> compare(const SampleTree& with) {
    CompareProgress progress;
    return compare_existing(with.tree, folder.path().string(), "final", {}, progress, where);
  }

  TemporaryFolder folder;
  std::string where;
};

TEST_F(DestinationTest, TheFinalNameAppearsOnceWithEverything) {
  const SampleTree made = sample();
  const auto destination = prepare(made);
  EXPECT_EQ(fs::file_size(temporary() / "d/e/big"), 10u) << "it has its size from the beginning";
  const WriteResult written = destination->write(0, 5, as_bytes(made.bytes));
  EXPECT_TRUE(written.bad.empty());
  EXPECT_FALSE(written.error);
  EXPECT_EQ(written.written, 5u);
  EXPECT_FALSE(fs::exists(final()));
  EXPECT_TRUE(destination->place());
  EXPECT_FALSE(fs::exists(temporary()));
  EXPECT_EQ(read_file(final() / "a"), "one");
  EXPECT_EQ(read_file(final() / "d/e/big"), "0123456789");
  EXPECT_EQ(read_file(final() / "d/empty"), "");
  EXPECT_EQ(fs::read_symlink(final() / "d/l"), "e/big");
  EXPECT_EQ(read_file(final() / "z"), "last");
  EXPECT_EQ(compare(made).value(), Existing::kIdentical);
}

TEST_F(DestinationTest, LeavesMayComeInAnyOrderAndParts) {
  const SampleTree made = sample();
  const auto destination = prepare(made);
  EXPECT_FALSE(destination->write(4, 1, as_bytes("last")).error);
  EXPECT_FALSE(destination->write(2, 2, as_bytes("456789")).error);
  EXPECT_FALSE(destination->write(0, 2, as_bytes("one0123")).error);
  EXPECT_TRUE(destination->sync());
  EXPECT_TRUE(destination->place());
  EXPECT_EQ(compare(made).value(), Existing::kIdentical);
}

TEST_F(DestinationTest, WritesNoLeafThatDoesNotVerify) {
  const SampleTree made = sample();
  const auto destination = prepare(made);
  const WriteResult written = destination->write(0, 5, as_bytes("onX0123xxxx89last"));
  EXPECT_EQ(written.bad, (std::vector<std::uint64_t>{0, 2}));
  EXPECT_EQ(written.written, 5u);
  EXPECT_FALSE(fs::exists(temporary() / "a"));
  EXPECT_EQ(read_file(temporary() / "d/e/big"), std::string("0123\0\0\0\0"
                                                            "89",
                                                            10));
}

TEST_F(DestinationTest, BelievesOnlyWhatIsStillThere) {
  const SampleTree made = sample();
  EXPECT_FALSE(prepare(made)->write(0, 5, as_bytes(made.bytes)).error);
  LeafSet done(5, true);
  prepare(made, done);
  EXPECT_EQ(done.count(), 5u);
  fs::remove(temporary() / "a");
  fs::resize_file(temporary() / "d/e/big", 9);
  prepare(made, done);
  EXPECT_FALSE(done.contains(0));
  EXPECT_FALSE(done.contains(1) || done.contains(2) || done.contains(3));
  EXPECT_TRUE(done.contains(4));
  EXPECT_EQ(fs::file_size(temporary() / "d/e/big"), 10u);
}

TEST_F(DestinationTest, AFileThatWasWrittenButNotNotedIsWrittenAgain) {
  const SampleTree made = sample();
  EXPECT_FALSE(prepare(made)->write(0, 1, as_bytes("one")).error);
  write_file(temporary() / "z", "a longer rest of before");
  const auto destination = prepare(made);
  EXPECT_FALSE(destination->write(0, 5, as_bytes(made.bytes)).error);
  EXPECT_TRUE(destination->place());
  EXPECT_EQ(compare(made).value(), Existing::kIdentical);
}

TEST_F(DestinationTest, CountsTheBytesThatAreStillToBeTaken) {
  const SampleTree made = sample();
  LeafSet done(5);
  EXPECT_EQ(Destination::bytes_needed(made.tree, paths(), done).value(), 17u);
  prepare(made);
  EXPECT_EQ(Destination::bytes_needed(made.tree, paths(), done).value(), 7u)
      << "the large file has its space";
  done.add(0);
  EXPECT_EQ(Destination::bytes_needed(made.tree, paths(), done).value(), 4u);
}

TEST_F(DestinationTest, StopsAtTheFirstErrorAndSaysHowFarItCame) {
  const SampleTree made = sample();
  LeafSet done(5);
  DiskHooks hooks;
  int left = 2;
  hooks.before_write = [&left](std::uint64_t) -> Result<> {
    if (left-- > 0) return {};
    return fail(ErrorCode::kNoSpace, "full");
  };
  const auto destination = prepare(made, done, hooks);
  const WriteResult written = destination->write(0, 5, as_bytes(made.bytes));
  EXPECT_EQ(written.written, 2u);
  ASSERT_TRUE(written.error);
  EXPECT_EQ(written.error->code(), ErrorCode::kNoSpace);
}

TEST_F(DestinationTest, DoesNotReplaceWhatAppearedMeanwhile) {
  const SampleTree made = sample();
  const auto destination = prepare(made);
  EXPECT_FALSE(destination->write(0, 5, as_bytes(made.bytes)).error);
  write_file(final(), "mine");
  const Result<> placed = destination->place();
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code(), ErrorCode::kExists);
  EXPECT_EQ(read_file(final()), "mine");
  EXPECT_TRUE(fs::exists(temporary() / "a")) << "nothing that was fetched is lost";
}

// Somebody else on this machine may put a symlink in the way.
TEST_F(DestinationTest, FollowsNoSymlinkInTheTemporaryFolder) {
  const SampleTree made = sample();
  const auto destination = prepare(made);
  fs::create_directories(folder.path() / "elsewhere/e");
  fs::remove_all(temporary() / "d");
  fs::create_directory_symlink(folder.path() / "elsewhere", temporary() / "d");
  EXPECT_TRUE(destination->write(1, 1, as_bytes("0123")).error);
  EXPECT_TRUE(fs::is_empty(folder.path() / "elsewhere/e"));
}

TEST_F(DestinationTest, RootsMayBeAFileOrALink) {
  SampleTree file;
  file.file("", "content of a file");
  EXPECT_FALSE(prepare(file)->write(0, 5, as_bytes(file.bytes)).error);
  LeafSet done(5, true);
  EXPECT_TRUE(prepare(file, done)->place());
  EXPECT_EQ(read_file(final()), "content of a file");
  EXPECT_EQ(compare(file).value(), Existing::kIdentical);
  fs::remove(final());
  SampleTree empty;
  empty.file("", "");
  EXPECT_TRUE(prepare(empty)->place());
  EXPECT_EQ(compare(empty).value(), Existing::kIdentical);
}

TEST_F(DestinationTest, RefusesAChunkThatNoBufferHolds) {
  SampleTree huge;
  huge.file("", "x");
  huge.tree.leaves.front().bytes = (1u << 20) + 1;
  LeafSet done(1);
  const auto prepared = Destination::prepare(huge.shared(), paths(), done, done, {});
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().code(), ErrorCode::kUnsupported);
}

TEST_F(DestinationTest, RemovesWhatItMadeAndNothingElse) {
  write_file(folder.path() / "other", "x");
  prepare(sample());
  EXPECT_TRUE(Destination::remove(paths()));
  EXPECT_TRUE(Destination::remove(paths())) << "none is no error";
  EXPECT_EQ(fs::directory_iterator(folder.path())->path().filename(), "other");
}

TEST_F(DestinationTest, TellsEveryDifferenceOfAnExistingOne) {
  const SampleTree made = sample();
  EXPECT_EQ(compare(made).value(), Existing::kNone);
  const auto destination = prepare(made);
  EXPECT_FALSE(destination->write(0, 5, as_bytes(made.bytes)).error);
  ASSERT_TRUE(destination->place());
  const auto differs = [&](const std::string& at) {
    EXPECT_EQ(compare(made).value(), Existing::kDifferent);
    EXPECT_EQ(where, at);
  };
  write_file(final() / "d/more", "x");
  differs("final/d");
  fs::remove(final() / "d/more");
  write_file(final() / "d/e/big", "0123X56789");
  differs("final/d/e/big");
  write_file(final() / "d/e/big", "0123456789");
  fs::remove(final() / "d/l");
  fs::create_symlink("e", final() / "d/l");
  differs("final/d/l");
  fs::remove(final() / "d/l");
  write_file(final() / "d/l", "0123456789");
  differs("final/d/l");
  fs::remove(final() / "d/l");
  fs::create_symlink("e/big", final() / "d/l");
  EXPECT_EQ(compare(made).value(), Existing::kIdentical);
  fs::remove(final() / "z");
  EXPECT_EQ(compare(made).value(), Existing::kDifferent);
  CompareProgress stopped;
  stopped.stop = true;
  write_file(final() / "z", "last");
  EXPECT_EQ(compare_existing(made.tree, folder.path().string(), "final", {}, stopped, where)
                .error()
                .code(),
            ErrorCode::kCancelled);
}

}  // namespace
}  // namespace warren::transfer
