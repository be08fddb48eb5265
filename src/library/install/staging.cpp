#include "library/install/staging.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "library/install/names.hpp"
#include "runtime/file_copy.hpp"

namespace warren::install {

using runtime::Directory;
using runtime::DirectoryItem;
using runtime::File;
using runtime::FileInfo;
using runtime::FileKind;

namespace {

/// Between two looks at what is free.
constexpr std::uint64_t kSpaceCheckBytes = 32u << 20;
/// In one step: some ten milliseconds.
constexpr std::uint64_t kStepBytes = 8u << 20;
constexpr std::uint64_t kNameCost = 16u << 10;
constexpr std::size_t kRemoteReadBytes = 256u << 10;
constexpr std::uint32_t kFileMode = 0644;
constexpr std::uint32_t kProgramMode = 0755;

}  // namespace

// ----------------------------------------------------------------------------------- DiskSink

Result<> DiskSink::check_space(std::uint64_t bytes) {
  WARREN_TRY(const std::uint64_t free, folder_.free_bytes());
  if (bytes <= free && free - bytes >= free_bytes_min_) return {};
  return fail(ErrorCode::kNoSpace,
              fmt::format("no space to unpack: {} are needed besides the {} that stay free, {} are "
                          "free",
                          runtime::human_bytes(bytes), runtime::human_bytes(free_bytes_min_),
                          runtime::human_bytes(free)),
              "free space on that disk");
}

Result<> DiskSink::folder(const std::string& path) { return folder_.make_directories(path); }

Result<> DiskSink::make_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? Result<>() : folder(path.substr(0, slash));
}

Result<> DiskSink::begin_file(const std::string& path, bool executable,
                              std::optional<std::uint64_t> bytes) {
  if (bytes && *bytes > kSpaceCheckBytes) WARREN_TRY_VOID(check_space(*bytes));
  WARREN_TRY_VOID(make_folder_of(path));
  WARREN_TRY(file_, folder_.create_file(path, executable ? kProgramMode : kFileMode));
  file_end_ = 0;
  return {};
}

Result<> DiskSink::write(std::uint64_t offset, BytesView bytes) {
  unchecked_bytes_ += bytes.size();
  if (unchecked_bytes_ > kSpaceCheckBytes) {
    unchecked_bytes_ = 0;
    WARREN_TRY_VOID(check_space(bytes.size()));
  }
  WARREN_TRY_VOID(file_.write_at(offset, bytes));
  file_end_ = std::max(file_end_, offset + bytes.size());
  bytes_written_ += bytes.size();
  return {};
}

Result<> DiskSink::end_file(std::uint64_t bytes) {
  if (bytes > file_end_) WARREN_TRY_VOID(file_.truncate(bytes));
  file_ = File();
  return {};
}

Result<> DiskSink::symlink(const std::string& path, const std::string& target) {
  symlinks_.emplace_back(path, target);
  return {};
}

Result<std::uint64_t> DiskSink::copy(const std::string& path, const std::string& from) {
  WARREN_TRY(const File source, folder_.open_file(from));
  WARREN_TRY(const FileInfo info, source.info());
  WARREN_TRY_VOID(check_space(info.stamp.size));
  WARREN_TRY_VOID(make_folder_of(path));
  WARREN_TRY(const File target,
             folder_.create_file(path, (info.mode & 0100) != 0 ? kProgramMode : kFileMode));
  for (std::uint64_t done = 0; done < info.stamp.size;) {
    WARREN_TRY(const std::uint64_t more,
               runtime::copy_bytes(source, target, done, info.stamp.size - done));
    if (more == 0) break;
    done += more;
  }
  return info.stamp.size;
}

Result<> DiskSink::finish() {
  for (const auto& [path, target] : symlinks_) {
    WARREN_TRY_VOID(make_folder_of(path));
    WARREN_TRY_VOID(folder_.make_symlink(path, target));
  }
  symlinks_.clear();
  return {};
}

// --------------------------------------------------------------------------------------- Fill

Fill::Fill(Directory entry, Directory staging, limits::Install limits,
           std::shared_ptr<content::Progress> progress, RemoteFiles remote)
    : entry_(std::move(entry)),
      limits_(limits),
      progress_(std::move(progress)),
      rules_(limits),
      sink_(std::move(staging), limits.free_bytes_min),
      remote_(std::move(remote)) {}

Fill::~Fill() = default;

Result<std::unique_ptr<Fill>> Fill::begin(const Directory& entry, limits::Install limits,
                                          std::shared_ptr<content::Progress> progress,
                                          RemoteFiles remote) {
  WARREN_TRY(Directory own, entry.open_directory(""));
  WARREN_TRY(Directory staging, entry.open_directory(kInstallingFolder));
  WARREN_TRY(const bool ignores_case, staging.ignores_case());
  std::unique_ptr<Fill> fill(
      new Fill(std::move(own), std::move(staging), limits, std::move(progress), std::move(remote)));
  if (ignores_case) fill->rules_.ignore_case();
  WARREN_TRY_VOID(fill->remote_.tree ? fill->choose_remote() : fill->choose());
  return fill;
}

/// What is in the top of the entry decides; and whether there is room for it.
Result<> Fill::choose() {
  WARREN_TRY(const auto items, entry_.list(limits_.names_max));
  for (const DirectoryItem& item : items) {
    if (library::is_reserved(item.name)) continue;
    if (item.kind == FileKind::kRegular && is_archive_name(item.name)) {
      archives_.push_back({item.name});
    }
    to_copy_.push_back({item.name, item.kind == FileKind::kDirectory});
  }
  std::ranges::sort(archives_, {}, &Archive::name);
  unpacking_ = !archives_.empty();
  WARREN_TRY_VOID(check_count());
  std::uint64_t needed = 0;
  for (const Archive& archive : archives_) {
    WARREN_TRY(ArchiveReader::Input input, open_archive(archive));
    progress_->bytes_found += input.bytes;
    ++progress_->files_found;
    WARREN_TRY(const std::uint64_t promised, ArchiveReader::promised_bytes(std::move(input)));
    if (__builtin_add_overflow(needed, promised, &needed)) needed = UINT64_MAX;
  }
  WARREN_TRY_VOID(check_fits(needed));
  progress_->walking = !unpacking_;
  return {};
}

/// Their lists are not read before: they stand at the end, or all over an archive.
Result<> Fill::choose_remote() {
  const auto& entries = remote_.tree->entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const content::Entry& entry = entries[i];
    const bool top = entry.path.find('/') == std::string::npos;
    if (entry.kind != content::EntryKind::kFile || !top || library::is_reserved(entry.path)) {
      continue;
    }
    if (is_archive_name(entry.path)) archives_.push_back({entry.path, i, entry.bytes});
  }
  std::ranges::sort(archives_, {}, &Archive::name);
  unpacking_ = !archives_.empty();
  WARREN_TRY_VOID(check_count());
  std::uint64_t needed = unpacking_ ? 0 : remote_.tree->bytes_total;
  for (const Archive& archive : archives_) {
    if (__builtin_add_overflow(needed, archive.bytes, &needed)) needed = UINT64_MAX;
    ++progress_->files_found;
  }
  progress_->bytes_found += needed;
  progress_->walking = false;
  return check_fits(needed);
}

Result<> Fill::check_count() const {
  if (archives_.size() <= limits_.archives_max) return {};
  return fail(ErrorCode::kTooLarge,
              fmt::format("{} archives, {} at most", archives_.size(), limits_.archives_max));
}

Result<> Fill::check_fits(std::uint64_t bytes) {
  if (auto fits = rules_.would_fit(bytes); !fits) {
    return fail(std::move(fits).error().in(archives_.size() == 1 ? shown(archives_.front().name)
                                                                 : "the archives"));
  }
  return sink_.check_space(bytes);
}

Result<ArchiveReader::Input> Fill::open_archive(const Archive& archive) const {
  // The lists of archives, and what is skipped in them, are read without a step in between.
  const auto stopped = [progress = progress_]() -> Result<> {
    if (progress->stop) return fail(ErrorCode::kCancelled, "stopped");
    return {};
  };
  if (remote_.tree) {
    return ArchiveReader::Input{archive.name, archive.bytes,
                                [stopped, read = remote_.read, entry = archive.entry](
                                    std::uint64_t offset, MutableBytes out) -> Result<std::size_t> {
                                  WARREN_TRY_VOID(stopped());
                                  return read(entry, offset, out);
                                }};
  }
  WARREN_TRY(File file, entry_.open_file(archive.name));
  WARREN_TRY(const FileInfo info, file.info());
  auto shared = std::make_shared<const File>(std::move(file));
  return ArchiveReader::Input{
      archive.name, info.stamp.size,
      [stopped, shared](std::uint64_t offset, MutableBytes out) -> Result<std::size_t> {
        WARREN_TRY_VOID(stopped());
        return shared->read_at(offset, out);
      }};
}

Result<bool> Fill::step() {
  if (progress_->stop) {
    return fail(ErrorCode::kCancelled, "stopped; the entry is as it was before");
  }
  WARREN_TRY(const bool more, unpacking_     ? unpack_more()
                              : remote_.tree ? copy_remote()
                                             : copy_more());
  if (more) return true;
  WARREN_TRY_VOID(sink_.finish());
  return false;
}

Result<bool> Fill::unpack_more() {
  if (!reader_) {
    if (archives_.empty()) return false;
    WARREN_TRY(ArchiveReader::Input input, open_archive(archives_.front()));
    WARREN_TRY(reader_, ArchiveReader::open(std::move(input), rules_));
  }
  const std::uint64_t before = reader_->bytes_read();
  WARREN_TRY(const bool more, reader_->step(sink_, kStepBytes));
  // Parts of an archive may be read twice: its list, and where it is looked for.
  const std::uint64_t done = progress_->bytes_done + (reader_->bytes_read() - before);
  progress_->bytes_done = std::min<std::uint64_t>(done, progress_->bytes_found);
  if (more) return true;
  ++progress_->files_done;
  reader_.reset();
  archives_.pop_front();
  return !archives_.empty();
}

Result<bool> Fill::copy_more() {
  for (std::uint64_t given = 0; given < kStepBytes; given += kNameCost) {
    if (to_copy_.empty()) {
      progress_->walking = false;
      return false;
    }
    const std::string path = to_copy_.front().path;
    if (!from_) {
      if (to_copy_.front().folder) {
        to_copy_.pop_front();
        WARREN_TRY_VOID(copy_folder(path));
      } else {
        WARREN_TRY_VOID(begin_copy(path));
      }
      continue;
    }
    WARREN_TRY(const std::uint64_t more,
               runtime::copy_bytes(from_, sink_.file(), copied_, kStepBytes - given));
    copied_ += more;
    given += more;
    progress_->bytes_done += more;
    WARREN_TRY_VOID(rules_.add_bytes(more));
    if (more > 0) continue;
    WARREN_TRY_VOID(sink_.end_file(0));
    from_ = File();
    to_copy_.pop_front();
    ++progress_->files_done;
  }
  return true;
}

Result<> Fill::copy_folder(const std::string& path) {
  WARREN_TRY_VOID(rules_.add(path, Made::kFolder));
  WARREN_TRY_VOID(sink_.folder(path));
  WARREN_TRY(const Directory folder, entry_.open_directory(path));
  WARREN_TRY(const auto items, folder.list(limits_.names_max));
  for (const DirectoryItem& item : items) {
    to_copy_.push_back({path + '/' + item.name, item.kind == FileKind::kDirectory});
  }
  return {};
}

/// What is no file nor a symlink that stays inside is left out, as it is when it is shared.
Result<> Fill::begin_copy(const std::string& path) {
  WARREN_TRY(const FileInfo info, entry_.info(path));
  if (info.kind == FileKind::kSymlink) {
    WARREN_TRY(const std::string target, entry_.read_symlink(path));
    to_copy_.pop_front();
    if (!content::check_symlink(path, target)) return {};
    WARREN_TRY_VOID(rules_.add_symlink(path, target));
    return sink_.symlink(path, target);
  }
  if (info.kind != FileKind::kRegular) {
    to_copy_.pop_front();
    return {};
  }
  WARREN_TRY(File file, entry_.open_file(path));
  WARREN_TRY_VOID(rules_.add(path, Made::kFile));
  WARREN_TRY_VOID(rules_.would_fit(info.stamp.size));
  WARREN_TRY_VOID(sink_.check_space(info.stamp.size));
  WARREN_TRY_VOID(sink_.begin_file(path, (info.mode & 0111) != 0, info.stamp.size));
  progress_->bytes_found += info.stamp.size;
  ++progress_->files_found;
  from_ = std::move(file);
  copied_ = 0;
  return {};
}

/// Of an entry without archives all files, as they would be when it were here.
Result<bool> Fill::copy_remote() {
  const auto& entries = remote_.tree->entries;
  for (std::uint64_t given = 0; given < kStepBytes;) {
    if (next_ == entries.size()) return false;
    const content::Entry& entry = entries[next_];
    if (library::is_reserved(entry.path.substr(0, entry.path.find('/')))) {
      ++next_;
      continue;
    }
    if (entry.kind == content::EntryKind::kFile) {
      WARREN_TRY(const std::uint64_t more, copy_remote_bytes(entry));
      given += std::max(more, kNameCost);
      continue;
    }
    ++next_;
    given += kNameCost;
    if (entry.path.empty()) continue;
    if (entry.kind == content::EntryKind::kDirectory) {
      WARREN_TRY_VOID(rules_.add(entry.path, Made::kFolder));
      WARREN_TRY_VOID(sink_.folder(entry.path));
    } else if (content::check_symlink(entry.path, entry.symlink_target)) {
      WARREN_TRY_VOID(rules_.add_symlink(entry.path, entry.symlink_target));
      WARREN_TRY_VOID(sink_.symlink(entry.path, entry.symlink_target));
    }
  }
  return true;
}

/// Of the file that is next, and then on to what is behind it.
Result<std::uint64_t> Fill::copy_remote_bytes(const content::Entry& entry) {
  if (!std::exchange(in_file_, true)) {
    WARREN_TRY_VOID(rules_.add(entry.path, Made::kFile));
    WARREN_TRY_VOID(rules_.would_fit(entry.bytes));
    WARREN_TRY_VOID(sink_.begin_file(entry.path, false, entry.bytes));
    copied_ = 0;
    ++progress_->files_found;
  }
  buffer_.resize(kRemoteReadBytes);
  const std::uint64_t left = entry.bytes - copied_;
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size()));
  WARREN_TRY(const std::size_t more,
             remote_.read(next_, copied_, MutableBytes(buffer_).first(wanted)));
  if (more < wanted) return fail(ErrorCode::kMalformed, shown(entry.path) + " ends too early");
  WARREN_TRY_VOID(rules_.add_bytes(more));
  WARREN_TRY_VOID(sink_.write(copied_, BytesView(buffer_).first(more)));
  copied_ += more;
  progress_->bytes_done += more;
  if (copied_ < entry.bytes) return more;
  WARREN_TRY_VOID(sink_.end_file(0));
  in_file_ = false;
  ++next_;
  ++progress_->files_done;
  return more;
}

std::uint64_t Fill::files() const { return rules_.files(); }
std::uint64_t Fill::bytes() const { return rules_.bytes(); }

}  // namespace warren::install
