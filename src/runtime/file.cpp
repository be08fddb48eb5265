#include "runtime/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "base/check.hpp"

namespace warren::runtime {
namespace {

// A racing rename makes openat2 answer EAGAIN although nothing is wrong. Source: openat2(2).
constexpr int kRaceRetriesMax = 32;
constexpr std::size_t kRemoveDepthMax = 512;

FileKind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::kRegular;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  if (S_ISLNK(mode)) return FileKind::kSymlink;
  return FileKind::kOther;
}

FileInfo info_of(const struct stat& found) {
  FileInfo info;
  info.kind = kind_of(found.st_mode);
  info.mode = found.st_mode & 07777u;
  info.stamp.size = static_cast<std::uint64_t>(found.st_size);
  info.stamp.mtime_ns =
      static_cast<std::int64_t>(found.st_mtim.tv_sec) * 1'000'000'000 + found.st_mtim.tv_nsec;
  info.stamp.inode = found.st_ino;
  info.stamp.device = found.st_dev;
  return info;
}

Result<FileInfo> info_of_fd(int fd, std::string_view what) {
  struct stat found{};
  if (::fstat(fd, &found) != 0) return fail(system_error(fmt::format("stat {}", what), errno));
  return info_of(found);
}

Result<std::uint64_t> free_bytes_of_fd(int fd) {
  struct statvfs found{};
  if (::fstatvfs(fd, &found) != 0) return fail(system_error("ask for free space", errno));
  return static_cast<std::uint64_t>(found.f_bavail) * found.f_frsize;
}

bool lies_in_memory(int fd) {
  struct statfs found{};
  return ::fstatfs(fd, &found) == 0 && found.f_type == TMPFS_MAGIC;
}

// The error of a write that may have failed for want of space, with the numbers.
Error space_error(std::string_view what, std::uint64_t wanted, int fd, int number) {
  if (number != ENOSPC && number != EDQUOT) return system_error(what, number);
  const auto free = free_bytes_of_fd(fd);
  return {ErrorCode::kNoSpace,
          fmt::format("{}: no space left (need {}, {} free)", what, human_bytes(wanted),
                      free ? human_bytes(*free) : std::string("unknown")),
          "free space on that disk; what is complete so far is kept"};
}

// openat2 says EXDEV for a path that would leave the folder, ELOOP for a symlink on the way.
Error open_error(std::string_view path, int number) {
  const auto text = fmt::format("open {}", path);
  if (number == EXDEV) return {ErrorCode::kDenied, text + ": the path leaves its folder"};
  if (number == ELOOP) return {ErrorCode::kDenied, text + ": a symlink stands in the path"};
  if (number == ENOSYS) {
    return {ErrorCode::kUnsupported, text + ": the kernel has no openat2",
            "Linux 5.6 or newer is needed, and a sandbox must allow openat2"};
  }
  return system_error(text, number);
}

Result<UniqueFd> require_regular(UniqueFd fd, std::string_view path) {
  WARREN_TRY(const FileInfo info, info_of_fd(fd.get(), path));
  if (info.kind != FileKind::kRegular) {
    return fail(ErrorCode::kDenied, fmt::format("open {}: not a regular file", path));
  }
  return fd;
}

}  // namespace

void UniqueFd::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return value < 100 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                     : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

Result<std::string> canonical_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> found(::realpath(path.c_str(), nullptr),
                                                          &std::free);
  if (!found) return fail(system_error(fmt::format("find {}", path), errno));
  return std::string(found.get());
}

Result<FileInfo> file_info(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) {
    return fail(system_error(fmt::format("stat {}", path), errno));
  }
  return info_of(found);
}

// -------------------------------------------------------------------------------------- File

Result<File> File::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail(system_error(fmt::format("open {}", path), errno));
  WARREN_TRY(UniqueFd regular, require_regular(std::move(fd), path));
  return File(std::move(regular));
}

Result<File> File::create(const std::string& path, std::uint32_t mode) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return fail(system_error(fmt::format("create {}", path), errno));
  return File(std::move(fd));
}

Result<std::size_t> File::read_at(std::uint64_t offset, MutableBytes out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(fmt::format("read at {}", offset + done), errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Result<> File::write_at(std::uint64_t offset, BytesView bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                               static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return fail(space_error(fmt::format("write at {}", offset + done), bytes.size() - done,
                              fd_.get(), n == 0 ? ENOSPC : errno));
    }
    done += static_cast<std::size_t>(n);
  }
  return {};
}

Result<> File::preallocate(std::uint64_t bytes) const {
  if (bytes == 0) return {};
  WARREN_TRY(const FileInfo before, info());
  if (lies_in_memory(fd_.get())) {
    // Reserving there clears every page, which costs as much as writing the file once more.
    WARREN_TRY(const std::uint64_t free, free_bytes_of_fd(fd_.get()));
    if (bytes > before.stamp.size && bytes - before.stamp.size > free) {
      return fail(space_error("reserve space", bytes - before.stamp.size, fd_.get(), ENOSPC));
    }
    return bytes > before.stamp.size ? truncate(bytes) : Result<>();
  }
  int failed = 0;
  do {
    failed = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
  } while (failed == EINTR);
  if (failed == 0) return {};
  if (failed != EOPNOTSUPP && failed != ENOSYS) {
    // A failed fallocate may leave the file longer than it was.
    if (::ftruncate(fd_.get(), static_cast<off_t>(before.stamp.size)) != 0) {
      return fail(system_error("shorten a file after a failed reservation", errno));
    }
    return fail(space_error("reserve disk space", bytes - before.stamp.size, fd_.get(), failed));
  }
  return truncate(bytes);
}

Result<> File::truncate(std::uint64_t bytes) const {
  if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) == 0) return {};
  return fail(space_error(fmt::format("set the size to {}", bytes), bytes, fd_.get(), errno));
}

Result<> File::sync_data() const {
  if (::fdatasync(fd_.get()) == 0) return {};
  return fail(space_error("bring a file to disk", 0, fd_.get(), errno));
}

Result<FileInfo> File::info() const { return info_of_fd(fd_.get(), "an open file"); }

// --------------------------------------------------------------------------------- Directory

Result<Directory> Directory::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(system_error(fmt::format("open folder {}", path), errno));
  return Directory(std::move(fd));
}

Result<UniqueFd> Directory::open_beneath(std::string_view path, std::uint64_t flags,
                                         std::uint32_t mode) const {
  if (path.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::kDenied, "open: the path holds a NUL");
  }
  const std::string text(path.empty() ? std::string_view(".") : path);
  struct open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, fd_.get(), text.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    const bool again = errno == EINTR || (errno == EAGAIN && attempt < kRaceRetriesMax);
    if (!again) return fail(open_error(path, errno));
  }
}

Result<Directory::Parent> Directory::parent_of(std::string_view path) const {
  const std::size_t slash = path.rfind('/');
  Parent parent;
  parent.name = std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
  if (parent.name.empty() || parent.name == "." || parent.name == ".." ||
      path.find('\0') != std::string_view::npos || path.starts_with('/')) {
    return fail(ErrorCode::kDenied, fmt::format("'{}' names nothing inside its folder", path));
  }
  parent.fd = fd_.get();
  if (slash != std::string_view::npos) {
    WARREN_TRY(parent.opened, open_beneath(path.substr(0, slash), O_PATH | O_DIRECTORY, 0));
    parent.fd = parent.opened.get();
  }
  return parent;
}

Result<Directory> Directory::open_directory(std::string_view path) const {
  WARREN_TRY(UniqueFd fd, open_beneath(path, O_RDONLY | O_DIRECTORY, 0));
  return Directory(std::move(fd));
}

Result<File> Directory::open_file(std::string_view path) const {
  WARREN_TRY(UniqueFd fd, open_beneath(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0));
  WARREN_TRY(UniqueFd regular, require_regular(std::move(fd), path));
  return File(std::move(regular));
}

Result<File> Directory::open_file_for_writing(std::string_view path) const {
  WARREN_TRY(UniqueFd fd, open_beneath(path, O_RDWR | O_NONBLOCK | O_NOCTTY, 0));
  WARREN_TRY(UniqueFd regular, require_regular(std::move(fd), path));
  return File(std::move(regular));
}

Result<File> Directory::create_file(std::string_view path, std::uint32_t mode) const {
  auto fd = open_beneath(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (!fd) {
    if (fd.error().code() != ErrorCode::kNoSpace) return fail(std::move(fd).error());
    return fail(space_error(fmt::format("create {}", path), 4096, fd_.get(), ENOSPC));
  }
  return File(std::move(*fd));
}

Result<> Directory::make_directory(std::string_view path, std::uint32_t mode) const {
  WARREN_TRY(const Parent parent, parent_of(path));
  if (::mkdirat(parent.fd, parent.name.c_str(), mode) == 0) return {};
  return fail(space_error(fmt::format("make folder {}", path), 4096, fd_.get(), errno));
}

Result<> Directory::make_directories(std::string_view path, std::uint32_t mode) const {
  for (std::size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const auto made = make_directory(path.substr(0, end), mode);
    if (made) continue;
    if (made.error().code() != ErrorCode::kExists) return made;
    WARREN_TRY(const FileInfo there, info(path.substr(0, end)));
    if (there.kind != FileKind::kDirectory) return made;
  }
  return {};
}

Result<> Directory::make_symlink(std::string_view path, const std::string& target) const {
  WARREN_TRY(const Parent parent, parent_of(path));
  if (::symlinkat(target.c_str(), parent.fd, parent.name.c_str()) == 0) return {};
  return fail(space_error(fmt::format("make symlink {}", path), 4096, fd_.get(), errno));
}

Result<std::string> Directory::read_symlink(std::string_view path) const {
  WARREN_TRY(const Parent parent, parent_of(path));
  std::array<char, PATH_MAX + 1> target{};
  const ssize_t n = ::readlinkat(parent.fd, parent.name.c_str(), target.data(), target.size());
  if (n < 0) return fail(system_error(fmt::format("read symlink {}", path), errno));
  return std::string(target.data(), static_cast<std::size_t>(n));
}

Result<FileInfo> Directory::info(std::string_view path) const {
  if (path.empty() || path == ".") return info();
  WARREN_TRY(const Parent parent, parent_of(path));
  struct stat found{};
  if (::fstatat(parent.fd, parent.name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(system_error(fmt::format("stat {}", path), errno));
  }
  return info_of(found);
}

Result<> Directory::set_mode(std::string_view path, std::uint32_t mode) const {
  WARREN_TRY(const UniqueFd fd, open_beneath(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0));
  if (::fchmod(fd.get(), mode) == 0) return {};
  return fail(system_error(fmt::format("set the mode of {}", path), errno));
}

Result<> Directory::rename(std::string_view from, std::string_view to, unsigned flags) const {
  WARREN_TRY(const Parent source, parent_of(from));
  WARREN_TRY(const Parent target, parent_of(to));
  if (::renameat2(source.fd, source.name.c_str(), target.fd, target.name.c_str(), flags) == 0) {
    return {};
  }
  return fail(space_error(fmt::format("rename {} to {}", from, to), 4096, fd_.get(), errno));
}

Result<> Directory::rename_noreplace(std::string_view from, std::string_view to) const {
  return rename(from, to, RENAME_NOREPLACE);
}

Result<> Directory::rename_replace(std::string_view from, std::string_view to) const {
  return rename(from, to, 0);
}

Result<> Directory::remove(std::string_view path) const {
  WARREN_TRY(const Parent parent, parent_of(path));
  if (::unlinkat(parent.fd, parent.name.c_str(), 0) == 0) return {};
  if ((errno == EISDIR || errno == EPERM) &&
      ::unlinkat(parent.fd, parent.name.c_str(), AT_REMOVEDIR) == 0) {
    return {};
  }
  return fail(system_error(fmt::format("remove {}", path), errno));
}

Result<> Directory::remove_all(std::string_view path) const {
  struct Level {
    std::string path;
    std::vector<DirectoryItem> left;
  };
  std::vector<Level> levels;  // Folders being emptied, the deepest last.
  const auto take = [&](std::string target, FileKind kind) -> Result<> {
    if (kind != FileKind::kDirectory) return remove(target);
    if (levels.size() >= kRemoveDepthMax) {
      return fail(ErrorCode::kTooLarge,
                  fmt::format("remove {}: more than {} levels deep", path, kRemoveDepthMax));
    }
    WARREN_TRY(const Directory folder, open_directory(target));
    WARREN_TRY(std::vector<DirectoryItem> items, folder.list());
    levels.push_back({std::move(target), std::move(items)});
    return {};
  };

  const auto there = info(path);
  if (!there && there.error().code() == ErrorCode::kNotFound) return {};
  if (!there) return fail(there.error());
  WARREN_TRY_VOID(take(std::string(path), there->kind));
  while (!levels.empty()) {
    if (levels.back().left.empty()) {
      WARREN_TRY_VOID(remove(levels.back().path));
      levels.pop_back();
      continue;
    }
    const DirectoryItem item = std::move(levels.back().left.back());
    levels.back().left.pop_back();
    WARREN_TRY_VOID(take(levels.back().path + '/' + item.name, item.kind));
  }
  return {};
}

Result<std::vector<DirectoryItem>> Directory::list(std::size_t items_max) const {
  // The position of a listing belongs to the open folder: two lists of one take turns.
  static std::array<std::mutex, 64> turns;
  const std::lock_guard turn(turns[static_cast<std::size_t>(fd_.get()) % turns.size()]);
  if (::lseek(fd_.get(), 0, SEEK_SET) != 0) return fail(system_error("list a folder", errno));

  std::vector<DirectoryItem> items;
  alignas(dirent64) std::array<char, 16u << 10> buffer;
  for (;;) {
    const ssize_t got = ::getdents64(fd_.get(), buffer.data(), buffer.size());
    if (got < 0) return fail(system_error("list a folder", errno));
    if (got == 0) return items;
    for (ssize_t at = 0; at < got;) {
      const auto* found = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += found->d_reclen;
      const std::string_view name(found->d_name);
      // Some file systems leave what was removed in the list, without a number.
      if (found->d_ino == 0 || name == "." || name == "..") continue;
      if (items.size() >= items_max) {
        return fail(ErrorCode::kTooLarge,
                    fmt::format("list a folder: it holds more than {} names", items_max));
      }
      FileKind kind = FileKind::kOther;
      switch (found->d_type) {
        case DT_REG: kind = FileKind::kRegular; break;
        case DT_DIR: kind = FileKind::kDirectory; break;
        case DT_LNK: kind = FileKind::kSymlink; break;
        case DT_UNKNOWN: {  // Some file systems do not say.
          const auto there = info(name);
          if (there) kind = there->kind;
          break;
        }
        default: break;
      }
      items.push_back({std::string(name), kind});
    }
  }
}

Result<> Directory::sync() const {
  if (::fsync(fd_.get()) == 0) return {};
  return fail(space_error("bring a folder to disk", 0, fd_.get(), errno));
}

Result<> Directory::sync_filesystem() const {
  if (::syncfs(fd_.get()) == 0) return {};
  return fail(space_error("bring a file system to disk", 0, fd_.get(), errno));
}

Result<std::uint64_t> Directory::free_bytes() const { return free_bytes_of_fd(fd_.get()); }

Result<FileInfo> Directory::info() const { return info_of_fd(fd_.get(), "an open folder"); }

Result<bool> Directory::ignores_case() const {
  constexpr std::string_view kProbe = ".warren-Case-Probe";
  constexpr std::string_view kOther = ".warren-case-probe";
  const auto probe = create_file(kProbe, 0600);
  if (!probe && probe.error().code() != ErrorCode::kExists) return fail(probe.error());
  const auto there = info(kOther);
  if (probe) WARREN_TRY_VOID(remove(kProbe));
  if (there) return true;
  if (there.error().code() == ErrorCode::kNotFound) return false;
  return fail(there.error());
}

}  // namespace warren::runtime
