#include "content/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "content/lanes.hpp"
#include "content/tree_reader.hpp"
#include "crypto/sha256.hpp"
#include "runtime/cancellation.hpp"

namespace warren::content {
namespace {

constexpr std::uint64_t kUnitLeavesMax = 16;

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Reads leaves on all threads and notes the entries that are not as their tree says.
class VerifyJob {
 public:
  VerifyJob(std::shared_ptr<const Dataset> dataset, std::shared_ptr<Progress> progress,
            std::size_t listed_max)
      : dataset_(std::move(dataset)), progress_(std::move(progress)), listed_max_(listed_max) {}

  bool unit() {
    const std::uint64_t total = dataset_->tree().leaves.size();
    const std::uint64_t first = next_.fetch_add(kUnitLeavesMax);
    if (first >= total) return false;
    Bytes buffer;
    for (std::uint64_t i = first; i < std::min(total, first + kUnitLeavesMax); ++i) {
      if (progress_->stop) return false;
      check_leaf(i, buffer);
    }
    return true;
  }

  void check_empty_files() {
    const std::vector<Entry>& entries = dataset_->tree().entries;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].kind != EntryKind::kFile || entries[i].leaf_count > 0) continue;
      if (const auto same = dataset_->check_file(i); !same) note(i, same.error());
    }
  }

  Verified result(ShareInfo info) {
    Verified verified;
    verified.info = std::move(info);
    verified.bytes_read = bytes_;
    std::ranges::sort(bad_entries_);
    verified.bad_count = bad_entries_.size();
    verified.files_ok = verified.info.files - verified.bad_count;
    verified.bad = std::move(bad_);
    return verified;
  }
  const std::vector<std::size_t>& bad_entries() const { return bad_entries_; }

 private:
  void check_leaf(std::uint64_t index, Bytes& buffer) {
    const Tree& tree = dataset_->tree();
    const Leaf& leaf = tree.leaves[index];
    const LeafPlace place = place_of_leaf(tree, index);
    const Entry& entry = tree.entries[place.entry];
    buffer.resize(leaf.bytes);
    if (const auto n = dataset_->read_leaves(index, 1, buffer); !n) {
      note(place.entry, n.error());
    } else {
      bytes_ += *n;
      if (Digest{crypto::sha256(buffer)} != leaf.digest) {
        note(place.entry,
             Error(ErrorCode::kIntegrity,
                   fmt::format("bytes {} to {} differ from what was shared, although size and time "
                               "do not",
                               place.offset, place.offset + leaf.bytes),
                   "the disk may be failing, or something hides its writes"));
      }
    }
    progress_->bytes_done += leaf.bytes;
    if (index + 1 == entry.first_leaf + entry.leaf_count) progress_->files_done += 1;
  }

  void note(std::size_t entry, Error error) {
    const std::lock_guard lock(mutex_);
    if (std::ranges::find(bad_entries_, entry) != bad_entries_.end()) return;
    bad_entries_.push_back(entry);
    if (bad_.size() >= listed_max_) return;
    // Gone is one thing, changed another; read_leaves() says kNotFound to peers for both.
    if (error.code() == ErrorCode::kNotFound && dataset_->exists(entry)) {
      error = Error(ErrorCode::kConflict, error.message(), error.hint());
    }
    bad_.push_back({dataset_->tree().entries[entry].path, std::move(error)});
  }

  std::shared_ptr<const Dataset> dataset_;
  std::shared_ptr<Progress> progress_;
  std::size_t listed_max_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::mutex mutex_;
  std::vector<std::size_t> bad_entries_;
  std::vector<Skipped> bad_;
};

}  // namespace

boost::asio::awaitable<Result<Shared>> share_path(runtime::Runtime& runtime, Store& store,
                                                  std::string path, std::string name,
                                                  std::shared_ptr<Progress> progress,
                                                  std::optional<peers::AccessRule> audience) {
  struct Known {
    std::string path;
    std::string name;
    std::shared_ptr<const Imported> previous;
  };
  auto looking = [&store, &path, &name]() -> Result<Known> {
    Known known;
    WARREN_TRY(known.path, runtime::canonical_path(path));
    known.name = name.empty() ? last_name(known.path) : name;
    WARREN_TRY(const std::vector<ShareInfo> shares, store.shares());
    for (const ShareInfo& info : shares) {
      if (info.name == known.name && info.path != known.path) {
        return fail(ErrorCode::kConflict,
                    fmt::format("the name '{}' is taken by {}", info.name, info.path),
                    "give another one with --name, or unshare that one first");
      }
      if (info.path == known.path) {
        WARREN_TRY(known.previous, store.imported(info.id));
      }
    }
    return known;
  };
  WARREN_CO_TRY(Known known, co_await runtime::run(runtime.pool(), looking));

  ImportOptions options;
  options.previous = std::move(known.previous);
  WARREN_CO_TRY(Imported imported,
                co_await import_path(runtime, known.path, std::move(options), progress));
  const WallTime now = runtime.wall_now();
  auto keeping = [&store, &known, &imported, &audience, now] {
    return store.add_share(known.name, imported, now, audience);
  };
  Shared shared;
  WARREN_CO_TRY(shared.info, co_await runtime::run(runtime.pool(), keeping));
  shared.skipped = std::move(imported.skipped);
  shared.skipped_count = imported.skipped_count;
  shared.bytes_hashed = imported.bytes_hashed;
  co_return shared;
}

boost::asio::awaitable<Result<Cid>> import_entry(runtime::Runtime& runtime, Store& store,
                                                 std::string id, std::string path,
                                                 std::function<bool(std::string_view)> leave_out,
                                                 std::shared_ptr<Progress> progress) {
  ImportOptions options;
  options.leave_out = std::move(leave_out);
  auto looking = [&]() -> Result<> {
    WARREN_TRY(path, runtime::canonical_path(path));
    const auto known = store.find_entry(id);
    if (!known && known.error().code() != ErrorCode::kNotFound) return fail(known.error());
    if (known && known->path == path) {
      WARREN_TRY(options.previous, store.imported(known->id));
    }
    return {};
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(runtime.pool(), looking));
  WARREN_CO_TRY(const Imported imported,
                co_await import_path(runtime, path, std::move(options), progress));
  const WallTime now = runtime.wall_now();
  auto keeping = [&] { return store.add_entry(id, imported, now); };
  WARREN_CO_TRY(const ShareInfo info, co_await runtime::run(runtime.pool(), keeping));
  co_return info.root;
}

boost::asio::awaitable<Result<Verified>> verify(runtime::Runtime& runtime, Store& store,
                                                std::function<Result<ShareInfo>(Store&)> find,
                                                std::shared_ptr<Progress> progress) {
  struct Opened {
    ShareInfo info;
    std::shared_ptr<const Dataset> dataset;
  };
  auto opening = [&store, &find]() -> Result<Opened> {
    Opened opened;
    WARREN_TRY(opened.info, find(store));
    WARREN_TRY(opened.dataset, store.open_share(opened.info.id));
    return opened;
  };
  if (co_await runtime::cancelled()) progress->stop = true;
  WARREN_CO_TRY(Opened opened, co_await runtime::run(runtime.pool(), opening));
  progress->files_found = opened.info.files;
  progress->bytes_found = opened.info.bytes;
  progress->walking = false;

  VerifyJob job(opened.dataset, progress, limits::Content{}.skipped_max);
  co_await run_lanes(runtime.pool(), runtime.pool().threads(), progress->stop,
                     [&job] { return job.unit(); });
  if (progress->stop) co_return fail(ErrorCode::kCancelled, "the check was stopped");

  auto finishing = [&store, &find, &job, &opened]() -> Result<Verified> {
    job.check_empty_files();
    WARREN_TRY_VOID(store.mark_changed(opened.info.id, job.bad_entries()));
    // The folder itself may be gone meanwhile; the share is not.
    auto info = find(store);
    const bool same = info && info->id == opened.info.id;
    return job.result(same ? std::move(*info) : opened.info);
  };
  auto verified = co_await runtime::run(runtime.pool(), finishing);
  co_return verified;
}

}  // namespace warren::content
