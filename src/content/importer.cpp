#include "content/importer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "base/check.hpp"
#include "content/folder_scan.hpp"
#include "content/lanes.hpp"
#include "content/tree_reader.hpp"
#include "crypto/sha256.hpp"
#include "runtime/cancellation.hpp"

namespace warren::content {
namespace {

using runtime::File;
using runtime::FileInfo;
using runtime::FileKind;
using runtime::FileStamp;

constexpr std::size_t kUnitBytesMax = 16u << 20;  // About 8 ms of SHA-256.
constexpr std::size_t kUnitFilesMax = 128;
constexpr int kHashRoundsMax = 3;  // A file that changes while it is read is tried again.
// A file system's clock may tick as slowly as this (FAT), so that a write right after the hash
// may leave the mtime as it was.
constexpr std::int64_t kMtimeTickNs = 2'000'000'000;

std::uint64_t chunk_count(std::uint64_t bytes) {
  return bytes / kLeafBytesMax + (bytes % kLeafBytesMax != 0 ? 1 : 0);
}

// The work of one import. The pool's threads call hash_unit() at the same time; everything else
// runs on one thread at a time.
class ImportJob {
 public:
  ImportJob(FolderScan scan, ImportOptions options, std::shared_ptr<Progress> progress)
      : scan_(std::move(scan)), options_(std::move(options)), progress_(std::move(progress)) {}

  // One step of the walk. False: it is over.
  bool walk_unit() {
    auto more = scan_.step(*progress_);
    if (!more) failure_ = std::move(more).error();
    return more && *more;
  }

  // Takes over what is known and queues the rest. `round` 0 has all files.
  void queue_files(int round) {
    const auto known =
        round == 0 ? known_files() : std::unordered_map<std::string_view, std::size_t>{};
    queue_.clear();
    next_file_ = 0;
    next_chunk_ = 0;
    if (round == 0) {
      hashed_.resize(scan_.items().size());
      for (std::size_t i = 0; i < scan_.items().size(); ++i) {
        if (scan_.items()[i].kind == FileKind::kRegular) queue_file(i, known);
      }
    } else {
      for (const std::size_t item : std::exchange(changed_, {})) requeue_file(item);
    }
  }

  bool anything_queued() const { return !queue_.empty(); }

  // Hashes up to 16 MiB. False: nothing is left to take.
  bool hash_unit() {
    const std::vector<Part> parts = take_parts();
    if (parts.empty()) return false;
    Bytes buffer = take_buffer();
    for (const Part& part : parts) hash_part(part, buffer);
    const std::lock_guard lock(mutex_);
    buffers_.push_back(std::move(buffer));
    return true;
  }

  // From hashes to the tree.
  Result<Imported> build(std::string path, std::int64_t started_ns) {
    for (auto& [item, error] : std::exchange(failed_, {})) scan_.leave_out(item, std::move(error));
    for (const std::size_t item : std::exchange(changed_, {})) {
      if (scan_.items()[item].left_out) continue;
      scan_.leave_out(item,
                      Error(ErrorCode::kConflict, "it changed again and again while it was read"));
    }
    if (scan_.items()[0].left_out) return fail(scan_.skipped().front().error);

    std::unordered_map<Cid, Bytes> blocks;
    WARREN_TRY(const Cid root, build_blocks(blocks));
    // The same code that a receiver runs flattens the tree, so both sides agree on it.
    TreeReader reader(root, options_.tree_limits);
    Imported imported;
    imported.path = std::move(path);
    if (root.codec == Codec::kRaw) {
      imported.tree = std::make_shared<Tree>(single_leaf_tree(root));
    } else {
      while (!reader.complete()) {
        if (progress_->stop) return fail(ErrorCode::kCancelled, "the import was stopped");
        for (const Cid& cid : reader.missing(256)) {
          WARREN_TRY_VOID(reader.add(cid, std::move(blocks.at(cid))));
        }
      }
      WARREN_TRY(Tree tree, reader.finish());
      imported.tree = std::make_shared<Tree>(std::move(tree));
      imported.nodes = reader.take_nodes();
    }
    collect_stamps(0, imported.stamps);
    WARREN_CHECK(imported.stamps.size() == imported.tree->entries.size());
    imported.started_ns = started_ns;
    imported.skipped = std::move(scan_.skipped());
    imported.skipped_count = scan_.skipped_count();
    imported.bytes_hashed = bytes_hashed_;
    return imported;
  }

  std::optional<Error>& failure() { return failure_; }

 private:
  struct Part {
    std::size_t item = 0;
    std::uint64_t first_chunk = 0;
    std::uint64_t count = 0;
  };

  // Files of the earlier import that had settled when it began, by path.
  std::unordered_map<std::string_view, std::size_t> known_files() const {
    std::unordered_map<std::string_view, std::size_t> known;
    if (!options_.previous) return known;
    const Imported& previous = *options_.previous;
    for (std::size_t i = 0; i < previous.tree->entries.size(); ++i) {
      const Entry& entry = previous.tree->entries[i];
      if (entry.kind == EntryKind::kFile &&
          previous.stamps[i].mtime_ns + kMtimeTickNs < previous.started_ns) {
        known.emplace(entry.path, i);
      }
    }
    return known;
  }

  void queue_file(std::size_t item,
                  const std::unordered_map<std::string_view, std::size_t>& known) {
    const FileStamp& stamp = scan_.items()[item].stamp;
    std::vector<Leaf>& leaves = hashed_[item];
    if (const auto same = known.empty() ? known.end() : known.find(scan_.path_of(item));
        same != known.end() && options_.previous->stamps[same->second] == stamp) {
      const Tree& tree = *options_.previous->tree;
      const Entry& entry = tree.entries[same->second];
      const auto first = tree.leaves.begin() + static_cast<std::ptrdiff_t>(entry.first_leaf);
      // A tree that others made may have other chunks than ours.
      if (entry.leaf_count <= 1 || first->bytes == kLeafBytesMax) {
        leaves.assign(first, first + static_cast<std::ptrdiff_t>(entry.leaf_count));
        progress_->files_done += 1;
        progress_->bytes_done += stamp.size;
        return;
      }
    }
    leaves.assign(chunk_count(stamp.size), {});
    if (leaves.empty()) {
      progress_->files_done += 1;
      return;
    }
    queue_.push_back(item);
  }

  void requeue_file(std::size_t item) {
    const auto info = scan_.info(item);
    if (!info || info->kind != FileKind::kRegular) {
      failed_.emplace_back(
          item, info ? Error(ErrorCode::kConflict, "it is no file any more") : info.error());
      return;
    }
    scan_.items()[item].stamp = info->stamp;
    hashed_[item].assign(chunk_count(info->stamp.size), {});
    if (!hashed_[item].empty()) queue_.push_back(item);
  }

  // The next parts for one thread: a run of chunks of a large file, or many small files.
  std::vector<Part> take_parts() {
    const std::lock_guard lock(mutex_);
    std::vector<Part> parts;
    std::uint64_t left = kUnitBytesMax / kLeafBytesMax;
    while (next_file_ < queue_.size() && parts.size() < kUnitFilesMax && left > 0) {
      const std::size_t item = queue_[next_file_];
      const std::uint64_t chunks = hashed_[item].size();
      const std::uint64_t count = std::min(left, chunks - next_chunk_);
      parts.push_back({item, next_chunk_, count});
      next_chunk_ += count;
      // Small files cost less than a chunk: kUnitFilesMax of them make a unit.
      if (scan_.items()[item].stamp.size > kLeafBytesMax / 8) left -= count;
      if (next_chunk_ == chunks) {
        ++next_file_;
        next_chunk_ = 0;
      }
    }
    return parts;
  }

  Bytes take_buffer() {
    const std::lock_guard lock(mutex_);
    if (buffers_.empty()) return Bytes(kLeafBytesMax);
    Bytes buffer = std::move(buffers_.back());
    buffers_.pop_back();
    return buffer;
  }

  void hash_part(const Part& part, Bytes& buffer) {
    auto file = scan_.open_file(part.item);
    if (!file) return fail_file(part.item, std::move(file).error());
    const FileStamp& stamp = scan_.items()[part.item].stamp;
    for (std::uint64_t chunk = part.first_chunk; chunk < part.first_chunk + part.count; ++chunk) {
      if (progress_->stop) return;
      const std::uint64_t offset = chunk * kLeafBytesMax;
      const auto wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(kLeafBytesMax, stamp.size - offset));
      const auto n = file->read_at(offset, MutableBytes(buffer).first(wanted));
      if (!n) return fail_file(part.item, n.error());
      if (*n != wanted) return note_changed(part.item);
      hashed_[part.item][chunk] = {Digest{crypto::sha256(BytesView(buffer).first(wanted))},
                                   static_cast<std::uint32_t>(wanted)};
      progress_->bytes_done += wanted;
      bytes_hashed_ += wanted;
    }
    const auto after = file->info();
    if (!after || after->stamp != stamp) return note_changed(part.item);
    if (part.first_chunk + part.count == hashed_[part.item].size()) progress_->files_done += 1;
  }

  void fail_file(std::size_t item, Error error) {
    const std::lock_guard lock(mutex_);
    if (std::ranges::find(failed_, item, &std::pair<std::size_t, Error>::first) == failed_.end()) {
      failed_.emplace_back(item, std::move(error));
    }
  }

  void note_changed(std::size_t item) {
    const std::lock_guard lock(mutex_);
    if (std::ranges::find(changed_, item) == changed_.end()) changed_.push_back(item);
  }

  // Children before parents, which is the items backwards.
  Result<Cid> build_blocks(std::unordered_map<Cid, Bytes>& blocks) {
    const NodeSink sink = [&blocks](NodeBlock node) {
      blocks.emplace(node.cid, std::move(node.bytes));
    };
    const std::vector<ScanItem>& items = scan_.items();
    std::vector<Built> built(items.size());
    for (std::size_t i = items.size(); i-- > 0;) {
      const ScanItem& item = items[i];
      if (item.left_out) continue;
      if (progress_->stop) return fail(ErrorCode::kCancelled, "the import was stopped");
      switch (item.kind) {
        case FileKind::kRegular: built[i] = build_file(hashed_[i], sink); break;
        case FileKind::kSymlink: built[i] = build_symlink(item.symlink_target, sink); break;
        case FileKind::kDirectory: {
          std::vector<DirectoryLink> links;
          links.reserve(item.child_count);
          for (std::size_t c = item.first_child; c < item.first_child + item.child_count; ++c) {
            if (!items[c].left_out) links.push_back({items[c].name, built[c]});
          }
          auto directory = build_directory(std::move(links), sink);
          if (!directory) {
            return fail(std::move(directory).error().in("in '" + scan_.path_of(i) + "'"));
          }
          built[i] = *directory;
          break;
        }
        case FileKind::kOther: WARREN_CHECK(false);
      }
    }
    return built[0].cid;
  }

  Tree single_leaf_tree(const Cid& root) {
    Tree tree;
    tree.root = root;
    tree.leaves = std::move(hashed_[0]);
    Entry entry;
    entry.leaf_count = tree.leaves.size();
    entry.bytes = tree.leaves.empty() ? 0 : tree.leaves[0].bytes;
    tree.bytes_total = entry.bytes;
    tree.entries.push_back(std::move(entry));
    return tree;
  }

  // In the order of the tree: depth first, by name.
  void collect_stamps(std::size_t index, std::vector<FileStamp>& stamps) {
    const ScanItem& item = scan_.items()[index];
    if (item.left_out) return;
    stamps.push_back(item.kind == FileKind::kRegular ? item.stamp : FileStamp{});
    for (std::size_t c = item.first_child; c < item.first_child + item.child_count; ++c) {
      collect_stamps(c, stamps);
    }
  }

  FolderScan scan_;
  ImportOptions options_;
  std::shared_ptr<Progress> progress_;
  std::optional<Error> failure_;
  std::vector<std::vector<Leaf>> hashed_;  ///< By item. Each chunk is written by one thread.
  std::vector<std::size_t> queue_;         ///< Items to hash.

  std::mutex mutex_;  ///< Of all below.
  std::size_t next_file_ = 0;
  std::uint64_t next_chunk_ = 0;
  std::vector<Bytes> buffers_;
  std::vector<std::size_t> changed_;
  std::vector<std::pair<std::size_t, Error>> failed_;
  std::atomic<std::uint64_t> bytes_hashed_{0};
};

}  // namespace

boost::asio::awaitable<Result<Imported>> import_path(runtime::Runtime& runtime, std::string path,
                                                     ImportOptions options,
                                                     std::shared_ptr<Progress> progress) {
  const auto stopped = [] { return fail(ErrorCode::kCancelled, "the import was stopped"); };
  runtime::WorkerPool& pool = runtime.pool();
  const std::int64_t started_ns = runtime.wall_now().time_since_epoch().count();
  if (co_await runtime::cancelled()) progress->stop = true;

  struct Opened {
    std::string path;
    FolderScan scan;
  };
  auto opening = [&path, &options]() -> Result<Opened> {
    WARREN_TRY(std::string found, runtime::canonical_path(path));
    WARREN_TRY(FolderScan scan, FolderScan::open(found, options.tree_limits, options.content_limits,
                                                 options.leave_out));
    return Opened{std::move(found), std::move(scan)};
  };
  WARREN_CO_TRY(Opened opened, co_await runtime::run(pool, opening));
  ImportJob job(std::move(opened.scan), std::move(options), progress);

  co_await run_lanes(pool, 1, progress->stop, [&job] { return job.walk_unit(); });
  if (progress->stop) co_return stopped();
  if (job.failure()) co_return fail(std::move(*job.failure()));
  progress->walking = false;

  for (int round = 0; round < kHashRoundsMax; ++round) {
    auto queueing = [&job, round]() -> Result<> {
      job.queue_files(round);
      return {};
    };
    WARREN_CO_TRY_VOID(co_await runtime::run(pool, queueing));
    if (!job.anything_queued()) break;
    co_await run_lanes(pool, pool.threads(), progress->stop, [&job] { return job.hash_unit(); });
    if (progress->stop) co_return stopped();
  }

  auto building = [&job, &opened, started_ns] {
    return job.build(std::move(opened.path), started_ns);
  };
  auto built = co_await runtime::run(pool, building);
  co_return built;
}

}  // namespace warren::content
