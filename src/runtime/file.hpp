#pragma once
// Files and folders: the only place that makes file system calls. All of it blocks; call it on
// the worker pool. Names that come from a peer go through a Directory, whose calls never leave it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::runtime {

/// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  ~UniqueFd() { reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;
  /// Gives the descriptor away; the caller closes it.
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// What tells that a file is still the one that was read: any change to its content changes one
/// of these, except a write within the clock tick of the file system that keeps the size.
struct FileStamp {
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;  ///< Since 1970.
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  auto operator<=>(const FileStamp&) const = default;
};

enum class FileKind : std::uint8_t { kRegular, kDirectory, kSymlink, kOther };

struct FileInfo {
  FileKind kind = FileKind::kOther;
  FileStamp stamp;
  std::uint32_t mode = 0;  ///< The twelve permission bits.
};

struct DirectoryItem {
  std::string name;
  FileKind kind = FileKind::kOther;
};

/// An open regular file. Any thread; positions are always explicit.
class File {
 public:
  File() = default;
  explicit File(UniqueFd fd) : fd_(std::move(fd)) {}

  /// Opens for reading; follows symlinks. For paths that a person gave.
  static Result<File> open(const std::string& path);
  /// Creates `path` with `mode`, or fails with kExists. Follows symlinks in its folders.
  static Result<File> create(const std::string& path, std::uint32_t mode = 0644);

  /// Reads until `out` is full or the file ends; returns how many bytes. Errors: kIo.
  Result<std::size_t> read_at(std::uint64_t offset, MutableBytes out) const;
  /// Writes all of `bytes`. Errors: kNoSpace with the numbers, kIo.
  Result<> write_at(std::uint64_t offset, BytesView bytes) const;
  /// Gives the file `bytes` of size with disk space behind them, so that later writes into it do
  /// not fail for want of space. A file system without reservation only sets the size.
  /// Errors: kNoSpace with what is free; the file keeps its former size.
  Result<> preallocate(std::uint64_t bytes) const;
  Result<> truncate(std::uint64_t bytes) const;
  /// Waits until the content is on the disk (fdatasync).
  Result<> sync_data() const;
  Result<FileInfo> info() const;
  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

 private:
  UniqueFd fd_;
};

/// An open folder, and the calls relative to it. `path` parameters are relative, '/'-separated and
/// resolved with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS: a path that would
/// leave the folder, or pass through a symlink, is kDenied. The empty path and "." are the folder
/// itself where that makes sense. Source: openat2(2). Any thread.
class Directory {
 public:
  Directory() = default;

  /// Opens the folder at `path`; follows symlinks. For paths that a person gave.
  static Result<Directory> open(const std::string& path);

  Result<Directory> open_directory(std::string_view path) const;
  /// Errors: kNotFound, kDenied (also: not a regular file).
  Result<File> open_file(std::string_view path) const;
  /// As open_file, for reading and writing.
  Result<File> open_file_for_writing(std::string_view path) const;
  /// Creates a regular file for reading and writing. Errors: kExists, kNoSpace, kDenied.
  Result<File> create_file(std::string_view path, std::uint32_t mode = 0644) const;
  /// Errors: kExists when there is anything of that name.
  Result<> make_directory(std::string_view path, std::uint32_t mode = 0755) const;
  /// Makes `path` and the folders above it where they do not exist.
  Result<> make_directories(std::string_view path, std::uint32_t mode = 0755) const;
  Result<> make_symlink(std::string_view path, const std::string& target) const;
  Result<std::string> read_symlink(std::string_view path) const;
  /// Of what the name stands for itself, never of what a symlink points to.
  Result<FileInfo> info(std::string_view path) const;
  Result<> set_mode(std::string_view path, std::uint32_t mode) const;
  /// Renames within this folder; never replaces. Errors: kExists when `to` is there.
  Result<> rename_noreplace(std::string_view from, std::string_view to) const;
  /// Renames within this folder; replaces `to` if both are files.
  Result<> rename_replace(std::string_view from, std::string_view to) const;
  /// Removes a file, a symlink or an empty folder.
  Result<> remove(std::string_view path) const;
  /// Removes `path` and all that is in it, without following symlinks. A missing one is no error.
  /// Errors: kTooLarge beyond 512 levels.
  Result<> remove_all(std::string_view path) const;
  /// Names in this folder without "." and "..", in no order. Errors: kTooLarge beyond `items_max`.
  Result<std::vector<DirectoryItem>> list(std::size_t items_max = 10'000'000) const;
  /// Waits until the names in this folder are on the disk (fsync of the folder).
  Result<> sync() const;
  /// Waits until everything written to this folder's file system is on the disk (syncfs).
  Result<> sync_filesystem() const;
  /// Bytes that an ordinary user may still write to this file system.
  Result<std::uint64_t> free_bytes() const;
  Result<FileInfo> info() const;
  /// Whether this folder takes "A" and "a" for one name; found out by making a file for a moment.
  Result<bool> ignores_case() const;

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

 private:
  explicit Directory(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<UniqueFd> open_beneath(std::string_view path, std::uint64_t flags,
                                std::uint32_t mode) const;
  /// The folder above `path`, and its last name.
  struct Parent {
    UniqueFd opened;  ///< Empty when it is this folder itself.
    int fd = -1;
    std::string name;
  };
  Result<Parent> parent_of(std::string_view path) const;
  Result<> rename(std::string_view from, std::string_view to, unsigned flags) const;

  UniqueFd fd_;
};

/// The absolute path without symlinks of something that exists. For paths that a person gave.
Result<std::string> canonical_path(const std::string& path);

/// What is at `path`, following symlinks.
Result<FileInfo> file_info(const std::string& path);

/// "1.4 GiB", "312 MiB", "17 B": for the texts of errors.
std::string human_bytes(std::uint64_t bytes);

}  // namespace warren::runtime
