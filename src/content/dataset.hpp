#pragma once
// A dataset that lies on this disk, open for reading in place.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "content/tree.hpp"
#include "runtime/file.hpp"

namespace warren::content {

/// Files found changed while they were read, for the store to remember. Any thread.
class ChangeLog {
 public:
  struct Change {
    std::int64_t share_id = 0;
    std::size_t entry = 0;
  };
  void add(Change change) {
    const std::lock_guard lock(mutex_);
    changes_.push_back(change);
  }
  std::vector<Change> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(changes_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Change> changes_;  ///< Each file once per open dataset, so bounded by those.
};

/// What is seen of the files of `tree` at `path`, for Imported::stamps. Blocks. Errors: kConflict
/// when one is no file of its size; kNotFound, kDenied, kIo.
Result<std::vector<runtime::FileStamp>> stamps_of(const Tree& tree, const std::string& path);

/// Reads leaves of one share. Any thread; all calls block, so the pool's. Holds a few files open;
/// the caller keeps it as long as it serves a peer.
class Dataset {
 public:
  struct Source {
    std::shared_ptr<const Tree> tree;
    std::string path;                        ///< Of the folder or file; absolute.
    std::vector<runtime::FileStamp> stamps;  ///< One for each entry of `tree`.
    std::int64_t share_id = 0;
    std::shared_ptr<ChangeLog> changes;  ///< May be null.
  };

  /// Errors: kNotFound when `path` is gone.
  static Result<std::shared_ptr<const Dataset>> open(Source source, limits::Content limits = {});

  const Tree& tree() const noexcept { return *source_.tree; }
  const std::shared_ptr<const Tree>& shared_tree() const noexcept { return source_.tree; }
  const std::string& path() const noexcept { return source_.path; }

  /// Bytes of the leaves [first, first + count), or nothing when there are not so many.
  Result<std::uint64_t> leaves_bytes(std::uint64_t first, std::uint64_t count) const;

  /// Reads the leaves [first, first + count) one after the other into `out`; returns how many
  /// bytes. Checks that size, mtime and inode of each file are those seen when it was hashed; the
  /// bytes are not hashed again.
  /// Errors: kNotFound, with "changed" and the path in the text, when a file is not as it was or
  /// is gone; kInvalidArgument when `out` is too small or the range is outside; kIo.
  Result<std::size_t> read_leaves(std::uint64_t first, std::uint64_t count, MutableBytes out) const;

  /// Whether the file of an entry is as it was when hashed, by its stamp. Errors: as read_leaves().
  Result<> check_file(std::size_t entry) const;
  /// Whether anything stands where the entry's file should.
  bool exists(std::size_t entry) const;

  /// Entries that read_leaves() found changed since open, each once.
  std::vector<std::size_t> changed_entries() const;

 private:
  struct OpenFile {
    std::size_t entry = 0;
    std::uint64_t used = 0;  ///< Larger is later.
    std::shared_ptr<const runtime::File> file;
  };

  Dataset() = default;
  Result<std::shared_ptr<const runtime::File>> file_of(std::size_t entry) const;
  Error changed(std::size_t entry, std::string_view how) const;
  std::string full_path(std::size_t entry) const;

  Source source_;
  limits::Content limits_;
  runtime::Directory folder_;  ///< Closed when the root is a file.

  mutable std::mutex mutex_;
  mutable std::vector<OpenFile> open_;
  mutable std::uint64_t clock_ = 0;
  mutable std::vector<std::size_t> changed_;
};

}  // namespace warren::content
