#pragma once
// What stands on the disk under one path: names, kinds and stamps, and what can not be shared.

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "content/importer.hpp"
#include "runtime/file.hpp"

namespace warren::content {

/// One name that was found. Items stand in breadth-first order, so the items of a folder are
/// consecutive, sorted by name, and come after it.
struct ScanItem {
  std::string name;
  std::size_t parent = 0;
  std::size_t first_child = 0;  ///< Of a folder.
  std::size_t child_count = 0;
  std::size_t depth = 0;
  runtime::FileKind kind = runtime::FileKind::kOther;
  bool left_out = false;     ///< Listed in `skipped`; no part of the dataset.
  runtime::FileStamp stamp;  ///< Of a file.
  std::string symlink_target;
};

/// Walks a folder in steps. One thread at a time.
class FolderScan {
 public:
  /// `path` is absolute and without symlinks; `leave_out` as in ImportOptions. Errors: kNotFound,
  /// kDenied, kUnsupported.
  static Result<FolderScan> open(const std::string& path, const limits::Tree& tree_limits,
                                 const limits::Content& content_limits,
                                 std::function<bool(std::string_view)> leave_out = {});

  /// Reads a few more folders; false when all are read. Errors: kTooLarge.
  Result<bool> step(Progress& progress);

  std::vector<ScanItem>& items() noexcept { return items_; }
  /// Relative to the root; empty for the root.
  std::string path_of(std::size_t item) const;
  /// Opens the file of an item for reading.
  Result<runtime::File> open_file(std::size_t item) const;
  /// Looks at the file of an item again.
  Result<runtime::FileInfo> info(std::size_t item) const;
  /// Leaves the item out of the dataset, for this reason.
  void leave_out(std::size_t item, Error error);

  std::vector<Skipped>& skipped() noexcept { return skipped_; }
  std::uint64_t skipped_count() const noexcept { return skipped_count_; }

 private:
  void skip(std::string path, Error error);
  Result<> read_folder(std::size_t index, Progress& progress);
  /// What the folder `base_` is asked for to reach this item.
  std::string path_from_base(std::size_t item) const;

  limits::Tree tree_limits_;
  limits::Content content_limits_;
  std::function<bool(std::string_view)> leave_out_;
  runtime::Directory base_;  ///< The root, or the folder that the root file stands in.
  std::string file_name_;    ///< Of a root that is a file; else empty.
  std::vector<ScanItem> items_;
  std::size_t next_ = 0;  ///< First item not looked into yet.
  std::vector<Skipped> skipped_;
  std::uint64_t skipped_count_ = 0;
};

}  // namespace warren::content
