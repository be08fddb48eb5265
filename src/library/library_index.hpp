#pragma once
// Library folders and their entries on disk, so that a start with nothing changed costs one look at
// each entry. Schema: README.md.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "library/library_set.hpp"
#include "library/limits.hpp"
#include "library/sentinel.hpp"
#include "storage/database.hpp"

namespace warren::library {

using FolderId = std::int64_t;

/// A library folder and what a person said of it.
struct FolderSettings {
  std::string path;  ///< Absolute, without symlinks.
  SentinelSettings sentinel;
  std::string topic;  ///< Of entries that say none; empty: none.
  peers::AccessRule audience;
  /// Entry to version: entries with another version are neither served nor taken. Entries that are
  /// not in it may have any.
  std::map<std::string, std::string, std::less<>> expected;
  bool operator==(const FolderSettings&) const = default;
};

struct Folder {
  FolderId id = 0;
  FolderSettings settings;
  WallTime added_at{};
  /// Of the folder when its names were last read: tells a disk that is not mounted from a folder
  /// that was emptied. 0: not read yet.
  std::uint64_t inode = 0;
};

/// An entry as the index keeps it.
struct IndexedEntry {
  PublishedEntry published;
  FolderId folder = 0;
  Digest fingerprint;  ///< Look::fingerprint, as of the last look.
  Digest stamps;       ///< Measure::stamps, as of the last walk; zeros: not walked yet.
  /// Measure::stamps when the root was computed; zeros: not yet. Other than `stamps`: it is to be
  /// hashed again.
  Digest hashed_stamps;
};

/// What one transaction writes.
struct IndexBatch {
  std::vector<IndexedEntry> changed;
  std::vector<std::string> removed;
};

/// One database. Any thread, one at a time; every call blocks: the pool's.
class LibraryIndex {
 public:
  /// Errors: as storage::Database::open(). A new one, or one without a revision, begins with
  /// `new_epoch`.
  static Result<std::unique_ptr<LibraryIndex>> open(const std::string& path,
                                                    std::uint64_t new_epoch,
                                                    limits::Library limits = {});

  struct Content {
    std::vector<Folder> folders;
    std::vector<RemovedEntry> removed;
    Revision revision;
    std::uint64_t complete_since = 0;
    std::size_t skipped = 0;  ///< Rows that made no sense; what they said is looked at anew.
  };
  /// All but the entries.
  Result<Content> load();

  struct Page {
    std::vector<IndexedEntry> entries;
    std::size_t skipped = 0;
    std::string last;   ///< Where the next page begins.
    bool more = false;  ///< There may be one.
  };
  /// Up to `count` entries behind the id `after`, in order of id; of the folders of `content`
  /// alone.
  Result<Page> load_entries(const Content& content, std::string_view after, std::size_t count);

  /// Errors: kExists (the path is a library folder), kLimited.
  Result<Folder> add_folder(const FolderSettings& settings, WallTime now);
  /// All but its path and when it was added. Errors: kNotFound.
  Result<> change_folder(const Folder& folder);
  /// Its entries are removed with apply(), before. Errors: kNotFound; kConflict when it has some.
  Result<> remove_folder(FolderId id);

  /// Writes the changes and `revision` in one transaction; returns when they survive a loss of
  /// power. Changed entries need `added_at` and `changed_at` set. With `published` false, only what
  /// peers do not see has changed, and the disk is not waited for.
  Result<> apply(const IndexBatch& batch, Revision revision, std::uint64_t complete_since,
                 bool published);
  /// A new epoch: removals are forgotten.
  Result<> begin_epoch(Revision revision);

 private:
  LibraryIndex(std::unique_ptr<storage::Database> database, limits::Library limits);
  void write_revision(Revision revision, std::uint64_t complete_since);
  void write_expected(FolderId id, const FolderSettings& settings);

  std::mutex mutex_;
  limits::Library limits_;
  std::unique_ptr<storage::Database> database_;
};

}  // namespace warren::library
