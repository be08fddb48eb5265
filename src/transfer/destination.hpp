#pragma once
// Where a dataset is written: files under a temporary name on the volume of the final one, which
// appears once, by rename, when everything is there.

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "content/tree.hpp"
#include "runtime/file.hpp"
#include "transfer/leaf_set.hpp"

namespace warren::transfer {

/// A folder, and two names in it.
struct DestinationPaths {
  std::string directory;       ///< Exists; absolute.
  std::string temporary_name;  ///< ".warren-7.part"
  std::string final_name;      ///< Checked by content::check_name.
};

/// Stand-ins for a real disk that is full; for tests. Called on pool threads.
struct DiskHooks {
  /// Before `bytes` are written. An error is that of the write.
  std::function<Result<>(std::uint64_t bytes)> before_write;
  /// In place of what the file system says is free.
  std::function<std::uint64_t()> free_bytes;
};

/// Whether a transfer makes this symlink: not one that is absolute or leads out of the dataset,
/// which a later reader of the folder would follow to files of this machine. Source: quality
/// statement P13; docs/decisions/0011.
bool makes_symlink(const content::Entry& entry);

/// Errors: kUnsupported when a leaf is larger than what is received at a time.
Result<> check_leaf_sizes(const content::Tree& tree);

/// What one call of write() did.
struct WriteResult {
  std::vector<std::uint64_t> bad;  ///< Leaves that did not hash to their names; not written.
  std::uint64_t written = 0;       ///< Leaves from the first on that were looked at.
  std::optional<Error> error;      ///< Why it stopped before the last one.
};

/// The files of one transfer while they are incomplete. All calls block: the pool's. write() and
/// sync() may run on several threads at a time, the others alone.
class Destination {
 public:
  /// Makes what is missing under the temporary name: folders, empty files, and files of several
  /// leaves in their full size with disk space behind them. `done`: leaves that an earlier run
  /// wrote; those of files that are not there in their size are taken out of it.
  /// `synced`: those of `done` that are known to be on the disk; sync() and place() take care of
  /// the files of the others.
  /// Errors: kNoSpace, kDenied (also: names that this volume holds to be one), kIo, kNotFound (the
  /// folder), kUnsupported (a leaf over 1 MiB).
  static Result<std::unique_ptr<Destination>> prepare(std::shared_ptr<const content::Tree> tree,
                                                      DestinationPaths paths, LeafSet& done,
                                                      const LeafSet& synced, DiskHooks hooks);

  /// Takes the leaves out of `done` whose files are not there in their size. Only looks. The
  /// reduced set has to be durable before prepare() makes such a file anew: its size alone would
  /// later speak for bytes that nobody wrote. Errors: kNotFound (the folder), kDenied, kIo.
  static Result<> drop_missing(const content::Tree& tree, const DestinationPaths& paths,
                               LeafSet& done);

  /// Verifies the leaves [first, first + count), which lie in `bytes` one after the other, and
  /// writes those that are good.
  WriteResult write(std::uint64_t first, std::uint64_t count, BytesView bytes);
  /// Everything that write() wrote before this call is on the disk after it. Errors: kIo, kNoSpace.
  Result<> sync();
  /// Makes the symlinks and syncs: all is on the disk, under the temporary name. Call when all
  /// leaves are written. Errors: kIo, kNoSpace.
  Result<> finish();
  /// finish(), and renames to the final name. Errors: also kExists when that was taken meanwhile.
  Result<> place();

  /// Bytes that prepare() and write() will still take from the volume: what is not in `done`,
  /// without files that have their space already. Errors: kNotFound (the folder), kDenied, kIo.
  static Result<std::uint64_t> bytes_needed(const content::Tree& tree,
                                            const DestinationPaths& paths, const LeafSet& done);
  /// Bytes that may be written to this volume.
  static Result<std::uint64_t> free_bytes(const std::string& directory, const DiskHooks& hooks);
  /// Removes what is under the temporary name. None is no error.
  static Result<> remove(const DestinationPaths& paths);

 private:
  struct OpenFile {
    std::size_t entry = 0;
    std::shared_ptr<const runtime::File> file;
  };
  struct OpenFolder {
    std::string path;
    std::shared_ptr<const runtime::Directory> folder;
  };
  struct Place {
    std::shared_ptr<const runtime::Directory> folder;
    std::string name;
  };

  Destination() = default;
  Result<> make_folders();
  Result<> make_file(std::size_t entry, LeafSet& done);
  Result<> make_symlinks();
  Result<> sync_entries(const std::set<std::size_t>& entries);
  Result<> sync_folders();
  Result<Place> place_of(std::size_t entry);
  Result<std::shared_ptr<const runtime::File>> file_of(std::size_t entry);
  Result<> write_leaf(std::size_t entry, std::uint64_t leaf, BytesView bytes);
  Result<> write_small_file(std::size_t entry, BytesView bytes);
  Result<> before_write(std::uint64_t bytes) const;
  std::size_t file_position(std::uint64_t leaf) const;

  std::shared_ptr<const content::Tree> tree_;
  DestinationPaths paths_;
  DiskHooks hooks_;
  std::shared_ptr<const runtime::Directory> directory_;  ///< Of both names.
  std::shared_ptr<const runtime::Directory> root_;       ///< The temporary folder, if it is one.
  std::vector<std::size_t> files_;  ///< Entries with leaves, in order of their leaves.

  std::mutex mutex_;
  std::list<OpenFile> open_files_;      ///< Last used first.
  std::list<OpenFolder> open_folders_;  ///< Last used first.
  std::set<std::size_t> dirty_;         ///< Entries written since the last sync.
};

}  // namespace warren::transfer
