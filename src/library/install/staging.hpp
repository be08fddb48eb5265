#pragma once
// Fills the staging folder of an entry: with what its archives hold, or, without any, with a copy
// of its files.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "content/importer.hpp"
#include "content/tree.hpp"
#include "library/install/archive_reader.hpp"
#include "library/install/limits.hpp"
#include "runtime/file.hpp"

namespace warren::install {

/// Writes beneath one folder, whose calls never leave it nor follow a symlink. Modes are 0644, or
/// 0755 for folders and what can be run; owners, times and other attributes are not taken.
class DiskSink final : public UnpackSink {
 public:
  DiskSink(runtime::Directory folder, std::uint64_t free_bytes_min)
      : folder_(std::move(folder)), free_bytes_min_(free_bytes_min) {}

  Result<> folder(const std::string& path) override;
  /// Errors: also kNoSpace.
  Result<> begin_file(const std::string& path, bool executable,
                      std::optional<std::uint64_t> bytes) override;
  Result<> write(std::uint64_t offset, BytesView bytes) override;
  Result<> end_file(std::uint64_t bytes) override;
  /// Made by finish(): nothing can be written through a link that is not there.
  Result<> symlink(const std::string& path, const std::string& target) override;
  Result<std::uint64_t> copy(const std::string& path, const std::string& from) override;
  Result<> finish();

  /// Of the file that was begun last.
  const runtime::File& file() const { return file_; }
  /// Errors: kNoSpace unless so many bytes fit and free_bytes_min stay.
  Result<> check_space(std::uint64_t bytes);
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  Result<> make_folder_of(const std::string& path);

  runtime::Directory folder_;
  std::uint64_t free_bytes_min_;
  runtime::File file_;
  std::uint64_t file_end_ = 0;
  std::uint64_t unchecked_bytes_ = 0;  ///< Written since the space was looked at.
  std::uint64_t bytes_written_ = 0;
  std::vector<std::pair<std::string, std::string>> symlinks_;
};

/// The files of an entry that are not on this disk.
struct RemoteFiles {
  std::shared_ptr<const content::Tree> tree;
  /// Reads the file Tree::entries[entry] until `out` is full or the file ends. Verified. Blocks for
  /// as long as it takes.
  std::function<Result<std::size_t>(std::size_t entry, std::uint64_t offset, MutableBytes out)>
      read;
};

/// Blocks in short parts, but for what it waits for remote files: the worker pool's, or with those
/// a thread of its own, one call at a time.
class Fill {
 public:
  /// `entry`: its open folder, in which the staging folder is and is empty but for the marker.
  /// `progress`: told how far it is; kCancelled once its `stop` is set. With `remote` the files are
  /// those, not what lies in the folder; what they unpack to is not known before, and at least what
  /// they have. Errors: kNoSpace, of the system, ArchiveReader::open.
  static Result<std::unique_ptr<Fill>> begin(const runtime::Directory& entry,
                                             limits::Install limits,
                                             std::shared_ptr<content::Progress> progress,
                                             RemoteFiles remote = {});
  ~Fill();
  /// Goes on for some ten milliseconds. False: all is there. Errors: kCancelled,
  /// ArchiveReader::step, RemoteFiles::read, of the system.
  Result<bool> step();
  std::uint64_t files() const;
  std::uint64_t bytes() const;

 private:
  struct Part {
    std::string path;
    bool folder = false;
  };

  struct Archive {
    std::string name;
    std::size_t entry = 0;    ///< Of the tree, when it is remote.
    std::uint64_t bytes = 0;  ///< Same.
  };

  Fill(runtime::Directory entry, runtime::Directory staging, limits::Install limits,
       std::shared_ptr<content::Progress> progress, RemoteFiles remote);
  Result<> choose();
  Result<> choose_remote();
  Result<> check_count() const;
  Result<> check_fits(std::uint64_t bytes);
  Result<bool> unpack_more();
  Result<bool> copy_more();
  Result<> copy_folder(const std::string& path);
  Result<> begin_copy(const std::string& path);
  Result<bool> copy_remote();
  Result<std::uint64_t> copy_remote_bytes(const content::Entry& entry);
  Result<ArchiveReader::Input> open_archive(const Archive& archive) const;

  runtime::Directory entry_;
  limits::Install limits_;
  std::shared_ptr<content::Progress> progress_;
  UnpackRules rules_;
  DiskSink sink_;

  bool unpacking_ = false;
  std::deque<Archive> archives_;
  std::unique_ptr<ArchiveReader> reader_;

  std::deque<Part> to_copy_;
  runtime::File from_;
  std::uint64_t copied_ = 0;  ///< Of the file at the front, or the remote file.

  RemoteFiles remote_;
  std::size_t next_ = 0;  ///< Of the tree: to be copied.
  bool in_file_ = false;  ///< That one was begun.
  Bytes buffer_;
};

}  // namespace warren::install
