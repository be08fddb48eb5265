// A download when the power fails: after every single operation on its database and its files, with
// several states that the disk may then be in. A leaf that is held is on the disk, byte for byte;
// what was fetched longer ago than two syncs lie apart is not fetched again.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iostream>
#include <map>

#include "crypto/sha256.hpp"
#include "storage/power_loss_for_test.hpp"
#include "transfer/net_for_test.hpp"
#include "transfer/stored_leaves.hpp"

namespace {

warren::storage::test::DiskLog* disk_log = nullptr;  // Of the calls below.

std::string path_of(int fd) {
  char path[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t count = ::readlink(link.c_str(), path, sizeof path);
  return count < 0 ? std::string() : std::string(path, static_cast<std::size_t>(count));
}

}  // namespace

// The linker puts these in place of the system's, see CMakeLists.txt: that runtime/file.hpp asks
// for a sync is seen, and when.
extern "C" {
ssize_t __real_pwrite(int fd, const void* bytes, size_t count, off_t offset);
int __real_fallocate(int fd, int mode, off_t offset, off_t count);
int __real_ftruncate(int fd, off_t count);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_syncfs(int fd);

ssize_t __wrap_pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  const ssize_t written = __real_pwrite(fd, bytes, count, offset);
  if (disk_log != nullptr && written > 0) {
    disk_log->write(path_of(fd), static_cast<std::uint64_t>(offset),
                    {static_cast<const char*>(bytes), static_cast<std::size_t>(written)});
  }
  return written;
}
int __wrap_fallocate(int fd, int mode, off_t offset, off_t count) {
  const int failed = __real_fallocate(fd, mode, offset, count);
  if (disk_log != nullptr && failed == 0 && mode == 0) {
    disk_log->extend(path_of(fd), static_cast<std::uint64_t>(offset + count));
  }
  return failed;
}
int __wrap_ftruncate(int fd, off_t count) {
  const int failed = __real_ftruncate(fd, count);
  if (disk_log != nullptr && failed == 0) {
    disk_log->resize(path_of(fd), static_cast<std::uint64_t>(count));
  }
  return failed;
}
int __wrap_fdatasync(int fd) {
  if (disk_log != nullptr) disk_log->sync(path_of(fd));
  return __real_fdatasync(fd);
}
int __wrap_fsync(int fd) {
  if (disk_log != nullptr) disk_log->sync_names();
  return __real_fsync(fd);
}
int __wrap_syncfs(int fd) {
  if (disk_log != nullptr) disk_log->sync_all();
  return __real_syncfs(fd);
}
}

namespace warren::transfer {
namespace {

using storage::test::DiskLog;
using storage::test::Found;
using storage::test::kLeft;
using storage::test::Left;

constexpr std::uint64_t kBytesPerSecond = 300'000;
// Between syncs lie 5 s, and each waits for the end of a leaf, which takes 4 s at this rate.
constexpr std::int64_t kLostSecondsMax = 5 + 4 + 1;
constexpr std::size_t kBootIdBytes = 36;

class PowerLossTest : public testing::Test {
 protected:
  PowerLossTest() {
    for (int i = 0; i < 70; ++i) {
      write_file(net_.path() / "thing" / ("small" + std::to_string(i)),
                 random_text(4'000, static_cast<std::uint64_t>(i)));
    }
    write_file(net_.path() / "thing" / "large", random_text(5'000'000, 100));
    const auto seed = net_.node(1);
    root_ = seed->share(net_.path() / "thing", "thing");
    tree_ = *seed->store().tree(root_);
    fs::create_directories(folder_);
    log_ = std::make_unique<DiskLog>(folder_);
    log_->clock = [this] {
      return std::chrono::nanoseconds(net_.world.now().time_since_epoch()).count();
    };
    fetch(*seed);
  }

  /// Most of it, and then the power fails.
  void fetch(TestNode& seed) {
    const storage::test::RecordedDatabases recorded(*log_);
    disk_log = log_.get();
    const auto node = net_.node(2);
    net_.world.set_link(1, 2, {.bytes_per_second = kBytesPerSecond});
    node->connect(seed);
    GetRequest request;
    request.root = root_;
    const TransferId id = node->start_get(request);
    const bool most = net_.world.run_until(
        [&] { return node->manager().progress(id)->bytes_done > tree_->bytes_total * 9 / 10; },
        10min);
    EXPECT_TRUE(most);
    log_->recording = false;
    disk_log = nullptr;
  }

  /// The leaves that are held when the machine comes up again with `found`, in place of what is
  /// there; unset when there is no transfer.
  std::optional<LeafSet> held(const Found& found, bool same_boot) {
    DiskLog::make(folder_, found);
    auto store = content::Store::open((folder_ / "warren.db").string());
    EXPECT_TRUE(store) << store.error().message();
    if (!store) return std::nullopt;
    const auto records = (*store)->transfers();
    EXPECT_TRUE(records) << records.error().message();
    if (!records || records->empty()) return std::nullopt;
    const content::TransferRecord& record = records->front();
    const auto blob = (*store)->transfer_bitmap(record.id);
    EXPECT_TRUE(blob);
    const std::string boot = same_boot ? read_boot_id() : std::string(kBootIdBytes, '-');
    LeafSet leaves = decode_leaves(*blob, tree_->leaves.size(), boot).written;
    const fs::path temporary(record.temporary_path);
    part_ = fs::relative(temporary, folder_).string();
    const DestinationPaths paths{temporary.parent_path().string(), temporary.filename().string(),
                                 "thing"};
    if (!fs::is_directory(paths.directory)) return LeafSet(tree_->leaves.size());
    EXPECT_TRUE(Destination::drop_missing(*tree_, paths, leaves));
    return leaves;
  }
  std::uint64_t bytes_of(const LeafSet& leaves) const {
    std::uint64_t bytes = 0;
    for (std::uint64_t i = 0; i < leaves.size(); ++i) {
      if (leaves.contains(i)) bytes += tree_->leaves[i].bytes;
    }
    return bytes;
  }
  /// Whether each is in the files as it should be.
  bool all_there(const LeafSet& leaves, const Found& found) const {
    for (const content::Entry& entry : tree_->entries) {
      if (entry.kind != content::EntryKind::kFile) continue;
      std::uint64_t offset = 0;
      const auto file = found.find(part_ + "/" + entry.path);
      for (std::uint64_t i = 0; i < entry.leaf_count; ++i) {
        const content::Leaf& leaf = tree_->leaves[entry.first_leaf + i];
        if (leaves.contains(entry.first_leaf + i)) {
          if (file == found.end() || file->second.size() != entry.bytes) return false;
          const std::string_view bytes = std::string_view(file->second).substr(offset, leaf.bytes);
          if (crypto::sha256(as_bytes(bytes)) != leaf.digest.bytes) return false;
        }
        offset += leaf.bytes;
      }
    }
    return true;
  }
  /// Bytes that had been written into the files that much before the operation.
  std::uint64_t written_before(std::size_t done, std::int64_t seconds) const {
    if (done == 0) return 0;
    const std::int64_t until = log_->time_of(done - 1) - seconds * 1'000'000'000;
    return log_->bytes_written([until](std::string_view path, std::int64_t time) {
      return path.starts_with("got/") && time <= until;
    });
  }

  TestNet net_;
  fs::path folder_ = fs::canonical(net_.path()) / "node2";
  std::string part_;
  std::unique_ptr<DiskLog> log_;
  Cid root_;
  std::shared_ptr<const content::Tree> tree_;
};

TEST_F(PowerLossTest, WhatIsHeldIsOnTheDisk) {
  std::size_t states = 0;
  std::map<Left, Found> before;
  for (std::size_t done = 0; done <= log_->size(); ++done) {
    for (const Left left : kLeft) {
      Found found = log_->after(done, left);
      if (found == before[left]) continue;
      const auto leaves = held(found, false);
      ASSERT_FALSE(HasFailure()) << "after " << done << ", " << static_cast<int>(left);
      if (leaves) {
        ASSERT_TRUE(all_there(*leaves, found))
            << "after " << done << ", " << static_cast<int>(left);
      } else {
        ASSERT_EQ(written_before(done, 0), 0u);
      }
      before[left] = std::move(found);
      ++states;
    }
  }
  std::cout << log_->size() << " operations, " << states << " states\n";
}

TEST_F(PowerLossTest, ItCostsWhatCameSinceTheSyncBefore) {
  log_->names_are_synced_with_files = true;
  std::uint64_t lost_most = 0;
  for (std::size_t done = 0; done <= log_->size(); ++done) {
    const auto leaves = held(log_->after(done, Left::kNothing), false);
    if (!leaves) continue;
    const std::uint64_t kept = bytes_of(*leaves);
    ASSERT_GE(kept, written_before(done, kLostSecondsMax)) << "after " << done;
    lost_most = std::max(lost_most, written_before(done, 0) - kept);
  }
  std::cout << "most that was lost: " << lost_most << " bytes of " << tree_->bytes_total << '\n';
}

TEST_F(PowerLossTest, AKillAloneCostsTwoSeconds) {
  for (std::size_t done = 0; done <= log_->size(); ++done) {
    const Found found = log_->after(done, Left::kAll);
    const auto leaves = held(found, true);
    ASSERT_FALSE(HasFailure()) << "after " << done;
    if (!leaves) continue;
    ASSERT_TRUE(all_there(*leaves, found)) << "after " << done;
    ASSERT_GE(bytes_of(*leaves), written_before(done, 2)) << "after " << done;
  }
}

// What this would find: files that are not on the disk although it said so.
TEST_F(PowerLossTest, ADiskThatForgetsIsNoticed) {
  log_->forgets_syncs = [](std::string_view path) { return path.starts_with("got/"); };
  std::size_t bad = 0;
  for (std::size_t done = 0; done <= log_->size(); done += 5) {
    const Found found = log_->after(done, Left::kSomeSectors);
    const auto leaves = held(found, false);
    if (leaves && !all_there(*leaves, found)) ++bad;
  }
  EXPECT_GT(bad, 5u);
}

TEST_F(PowerLossTest, ItGoesOnFromWhateverIsFound) {
  for (const Left left : kLeft) {
    DiskLog::make(folder_, log_->after(log_->size() * 4 / 5, left));
    fs::create_directories(folder_ / "got");
    {
      auto store = *content::Store::open((folder_ / "warren.db").string());
      const auto records = store->transfers();
      ASSERT_EQ(records->size(), 1u);
      const auto id = records->front().id;
      Bytes blob = *store->transfer_bitmap(id);
      std::fill(blob.end() - kBootIdBytes, blob.end(), std::uint8_t{'-'});
      ASSERT_TRUE(store->update_transfer_bitmap(id, blob, records->front().bytes_done));
    }
    const auto seed = net_.node(1);
    const auto node = net_.node(2);
    node->connect(*seed);
    const Progress got = node->wait(1);
    EXPECT_EQ(got.state, State::kCompleted);
    EXPECT_EQ(difference(net_.path() / "thing", node->got() / "thing"), "");
  }
}

}  // namespace
}  // namespace warren::transfer
