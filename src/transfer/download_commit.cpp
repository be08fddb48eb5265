// What a download keeps in the store, and when.

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.hpp"
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
}  // namespace

awaitable<WriteResult> Download::take(std::uint64_t first, std::uint64_t count, BytesView bytes) {
  co_return co_await runtime::run(runtime_.pool(), [this, first, count, bytes] {
    return destination_->write(first, count, bytes);
  });
}

awaitable<Result<StoredLeaves>> Download::stored_leaves() {
  const std::int64_t id = record_.id;
  const std::uint64_t leaves = tree_->leaves.size();
  boot_id_ = co_await runtime::run(runtime_.pool(), [] { return read_boot_id(); });
  const auto blob = co_await runtime::run(
      runtime_.pool(), [this, id] { return context_.store.transfer_bitmap(id); });
  if (!blob) co_return fail(blob.error());
  co_return decode_leaves(*blob, leaves, boot_id_);
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

// What is complete is served in place. Its leaves were verified when they were written, or just
// compared.
awaitable<void> Download::keep_serving() {
  const std::int64_t id = record_.id;
  const WallTime now = runtime_.wall_now();
  const auto& has_owner = context_.config.has_owner;
  const bool owned = has_owner && has_owner(directory_);
  // set_terms() may change the record meanwhile.
  const auto audience = owned ? std::nullopt : record_.audience;
  const std::string path = record_.out_path;
  const Result<> kept =
      co_await runtime::run(runtime_.pool(), [this, id, now, &audience, &path]() -> Result<> {
        if (!audience) return context_.store.remove_finished(id);
        content::Imported finished;
        finished.path = path;
        finished.tree = tree_;
        finished.started_ns = now.time_since_epoch().count();
        WARREN_TRY(finished.stamps, content::stamps_of(*tree_, finished.path));
        return context_.store.add_finished(id, finished, *audience, now);
      });
  if (!kept) log::warn("transfer", "{} is not served: {}", record_.name, kept.error().message());
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
  // Before it is said of any leaf that it is there, so that a kill does not widen it.
  std::optional<content::TransferRecord> narrowed;
  if (std::exchange(narrowed_, false)) narrowed = record_;
  const Result<> saved = co_await runtime::run(
      runtime_.pool(), [this, id, sync, bytes_done, &written, &synced, &narrowed]() -> Result<> {
        if (narrowed) WARREN_TRY_VOID(context_.store.update_transfer(*narrowed));
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

void Download::came(std::uint64_t leaf) {
  const std::uint32_t bytes = tree_->leaves[leaf].bytes;
  bytes_verified_ += bytes;
  bytes_since_commit_ += bytes;
  bytes_since_sync_ += bytes;
  if (bytes_since_commit_ >= kCommitBytes) wake_->notify();
  partial_->add(leaf);
  const auto behind = std::ranges::upper_bound(
      files_, leaf, {}, [this](std::size_t index) { return tree_->entries[index].first_leaf; });
  const auto position = static_cast<std::size_t>(behind - files_.begin()) - 1;
  if (--leaves_left_[position] == 0) ++files_done_;
}

}  // namespace warren::transfer
