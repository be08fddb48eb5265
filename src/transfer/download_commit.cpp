// What a download keeps in the store, and when. The bitmap in the store has two parts: the leaves
// that are written, which holds after a kill of the process, and those that are synced, which
// holds after a loss of power. The id of the boot in which it was saved tells which to believe.

#include <algorithm>

#include "base/log.hpp"
#include "runtime/file.hpp"
#include "runtime/worker_pool.hpp"
#include "transfer/destination.hpp"
#include "transfer/download.hpp"

namespace warren::transfer {
namespace {

using content::Entry;
using content::EntryKind;

// A kill costs at most what came in this time, or Download::kCommitBytes.
constexpr auto kCommitTime = 1s;
// A loss of power costs at most so much, and what arrives while the disk works.
constexpr std::uint64_t kSyncBytes = 256u << 20;
constexpr auto kSyncTime = 5s;
// The kernel's random id of this boot. Source: random(4).
constexpr const char* kBootIdPath = "/proc/sys/kernel/random/boot_id";
constexpr std::size_t kBootIdBytes = 36;

// Empty when there is none; then only synced leaves are believed.
std::string read_boot_id() {
  const auto file = runtime::File::open(kBootIdPath);
  if (!file) return {};
  Bytes text(kBootIdBytes);
  const auto count = file->read_at(0, text);
  if (!count || *count != text.size()) return {};
  return std::string(as_text(text));
}

Bytes encode_leaves(const LeafSet& written, const LeafSet& synced, std::string_view boot_id) {
  Bytes out = to_bytes(written.bytes());
  append(out, synced.bytes());
  append(out, as_bytes(boot_id));
  return out;
}

}  // namespace

// A blob of another size is that of a transfer that has nothing yet, or that was completed.
Download::StoredLeaves Download::decode_leaves(BytesView blob, std::uint64_t leaves) const {
  const auto bytes = static_cast<std::size_t>((leaves + 7) / 8);
  if (blob.size() != 2 * bytes + kBootIdBytes) return {LeafSet(leaves), LeafSet(leaves)};
  const bool same_boot = as_text(blob.subspan(2 * bytes)) == boot_id_;
  LeafSet synced = LeafSet::from_bytes(blob.subspan(bytes, bytes), leaves);
  if (!same_boot) return {synced, synced};
  return {LeafSet::from_bytes(blob.first(bytes), leaves), std::move(synced)};
}

awaitable<Result<Download::StoredLeaves>> Download::stored_leaves() {
  const std::int64_t id = record_.id;
  const std::uint64_t leaves = tree_->leaves.size();
  boot_id_ = co_await runtime::run(runtime_.pool(), [] { return read_boot_id(); });
  const auto blob = co_await runtime::run(
      runtime_.pool(), [this, id] { return context_.store.transfer_bitmap(id); });
  if (!blob) co_return fail(blob.error());
  co_return decode_leaves(*blob, leaves);
}

// Before anything is made under the temporary name: what is not there any more is not done.
awaitable<Result<>> Download::forget_missing(StoredLeaves& stored) {
  const std::uint64_t before = stored.written.count();
  if (before == 0) co_return Result<>();
  const std::int64_t id = record_.id;
  const DestinationPaths paths = destination_paths();
  co_return co_await runtime::run(
      runtime_.pool(), [this, id, before, &stored, &paths]() -> Result<> {
        WARREN_TRY_VOID(Destination::drop_missing(*tree_, paths, stored.written));
        for (std::uint64_t leaf = 0; leaf < stored.synced.size(); ++leaf) {
          if (!stored.written.contains(leaf)) stored.synced.remove(leaf);
        }
        if (stored.written.count() == before) return {};
        std::uint64_t bytes = 0;
        for (std::uint64_t leaf = 0; leaf < stored.written.size(); ++leaf) {
          if (stored.written.contains(leaf)) bytes += tree_->leaves[leaf].bytes;
        }
        return context_.store.update_transfer_bitmap(
            id, encode_leaves(stored.written, stored.synced, boot_id_), bytes);
      });
}

// The final name stands for itself from now on: should it go, nothing of it is done.
awaitable<Result<>> Download::forget_leaves() {
  const std::int64_t id = record_.id;
  const std::uint64_t bytes = tree_->bytes_total;
  co_return co_await runtime::run(runtime_.pool(), [this, id, bytes] {
    return context_.store.update_transfer_bitmap(id, {}, bytes);
  });
}

void Download::commit_if_due(TimePoint now) {
  if (committing_ || bytes_since_commit_ == 0) return;
  const bool sync = bytes_since_sync_ >= kSyncBytes || now - synced_at_ >= kSyncTime;
  const bool due = bytes_since_commit_ >= kCommitBytes || now - committed_at_ >= kCommitTime;
  if (due && tasks_.spawn(commit_task(sync))) committing_ = true;
}

awaitable<void> Download::commit_task(bool sync) {
  const Result<> saved = co_await commit(sync);
  committing_ = false;
  if (!saved && !write_error_) write_error_ = saved.error();
  wake_->notify();
}

// Only what was written before the sync began is synced by it.
awaitable<Result<>> Download::commit(bool sync) {
  const std::uint64_t bytes = bytes_since_commit_;
  const std::uint64_t bytes_to_sync = bytes_since_sync_;
  const LeafSet written = scheduler_->done();
  const std::uint64_t bytes_done = scheduler_->bytes_done();
  const std::int64_t id = record_.id;
  const LeafSet& synced = sync ? written : synced_;
  const Result<> saved = co_await runtime::run(
      runtime_.pool(), [this, id, sync, bytes_done, &written, &synced]() -> Result<> {
        if (sync) WARREN_TRY_VOID(destination_->sync());
        return context_.store.update_transfer_bitmap(id, encode_leaves(written, synced, boot_id_),
                                                     bytes_done);
      });
  if (!saved) co_return saved;
  bytes_since_commit_ -= bytes;
  committed_at_ = runtime_.now();
  record_.bytes_done = bytes_done;
  if (sync) {
    synced_ = written;
    bytes_since_sync_ -= bytes_to_sync;
    synced_at_ = committed_at_;
  }
  co_return Result<>();
}

// -------------------------------------------------------------------------------------- counts

void Download::count_files() {
  files_.clear();
  leaves_left_.clear();
  files_total_ = files_done_ = links_left_out_ = 0;
  for (std::size_t i = 0; i < tree_->entries.size(); ++i) {
    const Entry& entry = tree_->entries[i];
    if (entry.kind == EntryKind::kSymlink && !makes_symlink(entry)) ++links_left_out_;
    if (entry.kind != EntryKind::kFile) continue;
    ++files_total_;
    std::uint64_t left = entry.leaf_count;
    if (scheduler_) {
      for (std::uint64_t leaf = 0; leaf < entry.leaf_count; ++leaf) {
        if (scheduler_->done().contains(entry.first_leaf + leaf)) --left;
      }
    }
    if (left == 0) ++files_done_;
    if (entry.leaf_count == 0) continue;
    files_.push_back(i);
    leaves_left_.push_back(left);
  }
}

// Leaves that were not done before and are now.
void Download::count_verified(std::uint64_t leaf, TimePoint now) {
  const std::uint32_t bytes = tree_->leaves[leaf].bytes;
  bytes_verified_ += bytes;
  bytes_since_commit_ += bytes;
  bytes_since_sync_ += bytes;
  rate_.add(bytes, now);
  const auto behind = std::ranges::upper_bound(
      files_, leaf, {}, [this](std::size_t index) { return tree_->entries[index].first_leaf; });
  const auto position = static_cast<std::size_t>(behind - files_.begin()) - 1;
  if (--leaves_left_[position] == 0) ++files_done_;
}

}  // namespace warren::transfer
