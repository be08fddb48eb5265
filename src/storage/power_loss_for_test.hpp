#pragma once
// What a disk may hold after a loss of power. A log of what was done to the files of a folder, in
// order; from it the states that may be found when the power failed after any of it; and a layer
// under SQLite that keeps such a log of its databases.

#include <sqlite3.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.hpp"

namespace warren::storage::test {

/// What becomes of what was done since the last sync. Of names, which a file system keeps in order,
/// the first ones last.
enum class Left : std::uint8_t {
  kNothing,
  kAll,
  kHalfOfLast512,   ///< All, and of the last write the first half of its sectors.
  kHalfOfLast4096,  ///< The same with larger ones.
  kLaterAlone,      ///< The later half of it, without the earlier.
  kSomeSectors,     ///< Each sector of 512 bytes or not, by chance; some names.
};
inline constexpr std::array kLeft{Left::kNothing,        Left::kAll,        Left::kHalfOfLast512,
                                  Left::kHalfOfLast4096, Left::kLaterAlone, Left::kSomeSectors};

/// A new folder, in memory where the machine has that: these tests write a lot. The caller removes
/// it.
inline std::filesystem::path make_folder() {
  const std::filesystem::path memory = "/dev/shm";
  const std::filesystem::path parent =
      std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
  std::string name = (parent / "warren-power-XXXXXX").string();
  WARREN_CHECK(::mkdtemp(name.data()) != nullptr);
  return std::filesystem::canonical(name);
}

/// Files by their path in the folder.
using Found = std::map<std::string, std::string>;

/// One thread at a time.
class DiskLog {
 public:
  /// Only what lies in `folder` is kept.
  explicit DiskLog(std::filesystem::path folder) : folder_(folder.string() + '/') {}

  /// Whether what is done is kept now.
  bool recording = true;
  /// A disk that says "synced" and is not, for the files of which this says so. Shows that a test
  /// can fail.
  std::function<bool(std::string_view path)> forgets_syncs;
  /// To sync a file keeps its name too, as the file systems of Linux do. POSIX does not say so.
  bool names_are_synced_with_files = false;
  /// What time an operation is noted with. Unset: 0.
  std::function<std::int64_t()> clock;

  /// What was done so far: the power may fail after any number of them.
  std::size_t size() const { return operations_.size(); }
  std::int64_t time_of(std::size_t operation) const { return operations_.at(operation).time; }

  // Paths are absolute.
  void write(std::string_view path, std::uint64_t offset, std::string_view bytes) {
    if (Operation* made = add(Kind::kWrite, path)) {
      made->offset = offset;
      made->bytes = bytes;
    }
  }
  void resize(std::string_view path, std::uint64_t bytes) {
    if (Operation* made = add(Kind::kResize, path)) made->offset = bytes;
  }
  /// Makes it at least so long.
  void extend(std::string_view path, std::uint64_t bytes) {
    if (Operation* made = add(Kind::kExtend, path)) made->offset = bytes;
  }
  void remove(std::string_view path) { add(Kind::kRemove, path); }
  void sync(std::string_view path) { add(Kind::kSync, path); }
  /// Of the folder.
  void sync_names() { add_sync(Kind::kSyncNames); }
  void sync_all() { add_sync(Kind::kSyncAll); }

  /// Of the writes of which `counts(path, time)` says so.
  template <class F>
  std::uint64_t bytes_written(F counts) const {
    std::uint64_t bytes = 0;
    for (const Operation& operation : operations_) {
      if (counts(operation.path, operation.time)) bytes += operation.bytes.size();
    }
    return bytes;
  }

  /// What may be found when the power failed after the first `done` operations.
  Found after(std::size_t done, Left left, std::uint64_t seed = 1) const;

  static void make(const std::filesystem::path& folder, const Found& found) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    for (const auto& [path, content] : found) {
      std::filesystem::create_directories((folder / path).parent_path());
      std::ofstream(folder / path, std::ios::binary) << content;
    }
  }

 private:
  enum class Kind : std::uint8_t {
    kWrite,
    kResize,
    kExtend,
    kRemove,
    kSync,
    kSyncNames,
    kSyncAll,
  };
  struct Operation {
    Kind kind = Kind::kWrite;
    std::string path{};
    std::uint64_t offset = 0;
    std::string bytes{};
    std::int64_t time = 0;
  };
  struct File {
    std::string synced{};
    std::vector<const Operation*> pending{};
  };
  struct NameChange {
    std::string path;
    std::optional<std::size_t> file;  ///< Unset: the name goes.
  };

  std::int64_t now() const { return clock ? clock() : 0; }
  Operation* add(Kind kind, std::string_view path) {
    if (!recording || !path.starts_with(folder_)) return nullptr;
    operations_.push_back(
        {.kind = kind, .path = std::string(path.substr(folder_.size())), .time = now()});
    return &operations_.back();
  }
  void add_sync(Kind kind) {
    if (recording) operations_.push_back({.kind = kind, .time = now()});
  }
  static void apply(std::string& content, const Operation& operation) {
    switch (operation.kind) {
      case Kind::kWrite:
        if (content.size() < operation.offset + operation.bytes.size()) {
          content.resize(operation.offset + operation.bytes.size());
        }
        content.replace(operation.offset, operation.bytes.size(), operation.bytes);
        break;
      case Kind::kResize: content.resize(operation.offset); break;
      case Kind::kExtend: content.resize(std::max(content.size(), operation.offset)); break;
      case Kind::kRemove:
      case Kind::kSync:
      case Kind::kSyncNames:
      case Kind::kSyncAll: break;
    }
  }
  /// The sectors of `operation` of which `kept(number)` says so.
  template <class F>
  static void apply_sectors(std::string& content, const Operation& operation, std::size_t sector,
                            F kept) {
    if (operation.kind != Kind::kWrite) {
      if (kept(0)) apply(content, operation);
      return;
    }
    for (std::size_t at = 0, number = 0; at < operation.bytes.size(); ++number) {
      const std::size_t in_sector = (operation.offset + at) % sector;
      const std::size_t count = std::min(sector - in_sector, operation.bytes.size() - at);
      if (kept(number)) {
        apply(content, {.kind = Kind::kWrite,
                        .offset = operation.offset + at,
                        .bytes = operation.bytes.substr(at, count)});
      }
      at += count;
    }
  }
  static std::string content_of(const File& file, Left left, const Operation* last,
                                std::mt19937_64& random);

  std::string folder_;
  std::vector<Operation> operations_;
};

inline std::string DiskLog::content_of(const File& file, Left left, const Operation* last,
                                       std::mt19937_64& random) {
  std::string content = file.synced;
  if (left == Left::kNothing) return content;
  for (std::size_t i = 0; i < file.pending.size(); ++i) {
    const Operation& operation = *file.pending[i];
    if (left == Left::kSomeSectors) {
      apply_sectors(content, operation, 512, [&](std::size_t) { return random() % 2 == 0; });
    } else if (left == Left::kLaterAlone) {
      if (i >= file.pending.size() / 2) apply(content, operation);
    } else if (left != Left::kAll && &operation == last) {
      const std::size_t sector = left == Left::kHalfOfLast512 ? 512 : 4096;
      const std::size_t sectors = operation.bytes.size() / sector;
      apply_sectors(content, operation, sector,
                    [&](std::size_t number) { return number < (sectors + 1) / 2; });
    } else {
      apply(content, operation);
    }
  }
  return content;
}

inline Found DiskLog::after(std::size_t done, Left left, std::uint64_t seed) const {
  std::vector<File> files;
  std::map<std::string, std::size_t> names;
  std::map<std::string, std::size_t> synced_names;
  std::vector<NameChange> changes;
  const Operation* last = nullptr;
  const auto sync = [](File& file) {
    for (const Operation* operation : file.pending) apply(file.synced, *operation);
    file.pending.clear();
  };
  const auto sync_names = [&] {
    synced_names = names;
    changes.clear();
  };
  for (std::size_t i = 0; i < done; ++i) {
    const Operation& operation = operations_[i];
    if (operation.kind == Kind::kSyncNames || operation.kind == Kind::kSyncAll) {
      sync_names();
      if (operation.kind == Kind::kSyncNames) continue;
      for (const auto& [path, file] : names) {
        if (!forgets_syncs || !forgets_syncs(path)) sync(files[file]);
      }
      continue;
    }
    if (operation.kind == Kind::kRemove) {
      names.erase(operation.path);
      changes.push_back({operation.path, std::nullopt});
      continue;
    }
    auto known = names.find(operation.path);
    if (known == names.end()) {
      files.emplace_back();
      known = names.emplace(operation.path, files.size() - 1).first;
      changes.push_back({operation.path, known->second});
    }
    File& file = files[known->second];
    if (operation.kind != Kind::kSync) {
      file.pending.push_back(&operation);
      last = &operation;
    } else if (!forgets_syncs || !forgets_syncs(operation.path)) {
      sync(file);
      if (names_are_synced_with_files) {
        synced_names[operation.path] = known->second;
        std::erase_if(changes,
                      [&](const NameChange& change) { return change.path == operation.path; });
      }
    }
  }

  std::mt19937_64 random(seed * 1'000'003 + done);
  std::size_t kept = left == Left::kNothing ? 0 : changes.size();
  if (left == Left::kSomeSectors) kept = random() % (changes.size() + 1);
  for (std::size_t i = 0; i < kept; ++i) {
    if (changes[i].file) {
      synced_names[changes[i].path] = *changes[i].file;
    } else {
      synced_names.erase(changes[i].path);
    }
  }
  Found found;
  for (const auto& [path, file] : synced_names) {
    found[path] = content_of(files[file], left, last, random);
  }
  return found;
}

/// While it lives, every database that is opened anew is noted in `log`. The index of a write-ahead
/// log in shared memory is not: it does not outlive the machine.
class RecordedDatabases {
 public:
  explicit RecordedDatabases(DiskLog& log) {
    system_ = sqlite3_vfs_find(nullptr);
    WARREN_CHECK(system_ != nullptr);
    layer_.vfs = *system_;
    layer_.vfs.zName = "recorded";
    layer_.vfs.szOsFile = static_cast<int>(sizeof(File)) + system_->szOsFile;
    layer_.vfs.pAppData = this;
    layer_.vfs.pNext = nullptr;
    layer_.vfs.xOpen = open;
    layer_.vfs.xDelete = remove;
    layer_.log = &log;
    WARREN_CHECK(sqlite3_vfs_register(&layer_.vfs, 1) == SQLITE_OK);
  }
  ~RecordedDatabases() {
    sqlite3_vfs_unregister(&layer_.vfs);
    sqlite3_vfs_register(system_, 1);
  }
  RecordedDatabases(const RecordedDatabases&) = delete;
  RecordedDatabases& operator=(const RecordedDatabases&) = delete;

 private:
  struct Layer {
    sqlite3_vfs vfs{};
    DiskLog* log = nullptr;
  };
  /// The file of the system lies behind it.
  struct File {
    sqlite3_file base{};
    DiskLog* log = nullptr;
    const char* path = nullptr;  ///< SQLite's, as long as the file is open.
    bool name_is_new = false;
    sqlite3_file* system() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static const sqlite3_io_methods& methods(sqlite3_file* file) {
    return *of(file).system()->pMethods;
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* given) {
    const auto* self = static_cast<RecordedDatabases*>(vfs->pAppData);
    auto* file = new (out) File;
    file->log = self->layer_.log;
    file->path = path;
    const bool is_log = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    file->name_is_new = is_log && path != nullptr && !std::filesystem::exists(path);
    const int opened = self->system_->xOpen(self->system_, path, file->system(), flags, given);
    if (opened == SQLITE_OK && path != nullptr) file->log->extend(path, 0);
    file->base.pMethods = file->system()->pMethods == nullptr ? nullptr : &kMethods;
    return opened;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync_names) {
    const auto* self = static_cast<RecordedDatabases*>(vfs->pAppData);
    const bool there = std::filesystem::exists(path);
    const int removed = self->system_->xDelete(self->system_, path, sync_names);
    if (removed != SQLITE_OK || !there) return removed;
    self->layer_.log->remove(path);
    if (sync_names != 0) self->layer_.log->sync_names();
    return removed;
  }

  static int close(sqlite3_file* file) { return methods(file).xClose(of(file).system()); }
  static int read(sqlite3_file* file, void* out, int count, sqlite3_int64 offset) {
    return methods(file).xRead(of(file).system(), out, count, offset);
  }
  static int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
    if (of(file).path != nullptr) {
      of(file).log->write(
          of(file).path, static_cast<std::uint64_t>(offset),
          std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(count)));
    }
    return methods(file).xWrite(of(file).system(), bytes, count, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 bytes) {
    if (of(file).path != nullptr) {
      of(file).log->resize(of(file).path, static_cast<std::uint64_t>(bytes));
    }
    return methods(file).xTruncate(of(file).system(), bytes);
  }
  /// The system syncs the folder too when it syncs a log for the first time: os_unix.c, unixSync().
  static int sync(sqlite3_file* file, int flags) {
    if (of(file).path != nullptr) of(file).log->sync(of(file).path);
    if (std::exchange(of(file).name_is_new, false)) of(file).log->sync_names();
    return methods(file).xSync(of(file).system(), flags);
  }
  static int file_size(sqlite3_file* file, sqlite3_int64* out) {
    return methods(file).xFileSize(of(file).system(), out);
  }
  static int lock(sqlite3_file* file, int kind) {
    return methods(file).xLock(of(file).system(), kind);
  }
  static int unlock(sqlite3_file* file, int kind) {
    return methods(file).xUnlock(of(file).system(), kind);
  }
  static int check_reserved(sqlite3_file* file, int* out) {
    return methods(file).xCheckReservedLock(of(file).system(), out);
  }
  static int control(sqlite3_file* file, int what, void* argument) {
    return methods(file).xFileControl(of(file).system(), what, argument);
  }
  static int sector_size(sqlite3_file* file) {
    return methods(file).xSectorSize(of(file).system());
  }
  static int characteristics(sqlite3_file* file) {
    return methods(file).xDeviceCharacteristics(of(file).system());
  }
  static int shm_map(sqlite3_file* file, int page, int count, int extend, void volatile** out) {
    return methods(file).xShmMap(of(file).system(), page, count, extend, out);
  }
  static int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
    return methods(file).xShmLock(of(file).system(), offset, count, flags);
  }
  static void shm_barrier(sqlite3_file* file) { methods(file).xShmBarrier(of(file).system()); }
  static int shm_unmap(sqlite3_file* file, int remove_it) {
    return methods(file).xShmUnmap(of(file).system(), remove_it);
  }
  // Version 2: without memory maps of the database, which would go past this.
  static constexpr sqlite3_io_methods kMethods{2,
                                               close,
                                               read,
                                               write,
                                               truncate,
                                               sync,
                                               file_size,
                                               lock,
                                               unlock,
                                               check_reserved,
                                               control,
                                               sector_size,
                                               characteristics,
                                               shm_map,
                                               shm_lock,
                                               shm_barrier,
                                               shm_unmap,
                                               nullptr,
                                               nullptr};

  sqlite3_vfs* system_ = nullptr;
  Layer layer_;
};

}  // namespace warren::storage::test
