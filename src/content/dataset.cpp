#include "content/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "content/tree_reader.hpp"

namespace warren::content {

using runtime::Directory;
using runtime::File;
using runtime::FileStamp;

Result<std::vector<FileStamp>> stamps_of(const Tree& tree, const std::string& path) {
  std::vector<FileStamp> stamps(tree.entries.size());
  Directory folder;
  if (tree.entries.at(0).kind == EntryKind::kDirectory) {
    WARREN_TRY(folder, Directory::open(path));
  }
  for (std::size_t i = 0; i < stamps.size(); ++i) {
    const Entry& entry = tree.entries[i];
    if (entry.kind != EntryKind::kFile) continue;
    WARREN_TRY(const runtime::FileInfo info,
               folder ? folder.info(entry.path) : runtime::file_info(path));
    if (info.kind != runtime::FileKind::kRegular || info.stamp.size != entry.bytes) {
      return fail(ErrorCode::kConflict, fmt::format("{}/{} is not as it was", path, entry.path));
    }
    stamps[i] = info.stamp;
  }
  return stamps;
}

Result<std::shared_ptr<const Dataset>> Dataset::open(Source source, limits::Content limits) {
  if (source.stamps.size() != source.tree->entries.size()) {
    return fail(ErrorCode::kInternal,
                fmt::format("{} stamps for {} entries of {}", source.stamps.size(),
                            source.tree->entries.size(), source.path));
  }
  const std::shared_ptr<Dataset> dataset(new Dataset());
  if (source.tree->entries.at(0).kind == EntryKind::kDirectory) {
    auto folder = Directory::open(source.path);
    if (!folder) {
      return fail(ErrorCode::kNotFound,
                  fmt::format("the shared folder changed: {}", folder.error().message()));
    }
    dataset->folder_ = std::move(*folder);
  }
  dataset->source_ = std::move(source);
  dataset->limits_ = limits;
  return dataset;
}

Result<std::uint64_t> Dataset::leaves_bytes(std::uint64_t first, std::uint64_t count) const {
  const std::uint64_t total = source_.tree->leaves.size();
  if (first > total || count > total - first) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("chunks {} to {} of a dataset that has {}",
                                                         first, first + count, total));
  }
  std::uint64_t bytes = 0;
  for (std::uint64_t i = first; i < first + count; ++i) bytes += source_.tree->leaves[i].bytes;
  return bytes;
}

Result<std::size_t> Dataset::read_leaves(std::uint64_t first, std::uint64_t count,
                                         MutableBytes out) const {
  WARREN_TRY(const std::uint64_t wanted, leaves_bytes(first, count));
  if (wanted > out.size()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} bytes of chunks into a buffer of {}", wanted, out.size()));
  }
  std::size_t done = 0;
  const std::uint64_t end = first + count;
  for (std::uint64_t leaf = first; leaf < end;) {
    const LeafPlace place = place_of_leaf(*source_.tree, leaf);
    const Entry& entry = source_.tree->entries[place.entry];
    const std::uint64_t last = std::min(end, entry.first_leaf + entry.leaf_count);
    std::size_t bytes = 0;
    for (std::uint64_t i = leaf; i < last; ++i) bytes += source_.tree->leaves[i].bytes;

    WARREN_TRY(const std::shared_ptr<const File> file, file_of(place.entry));
    WARREN_TRY(const std::size_t n, file->read_at(place.offset, out.subspan(done, bytes)));
    // After the read: whatever was written before or during it shows in the stamp.
    WARREN_TRY(const runtime::FileInfo now, file->info());
    if (n != bytes || now.stamp != source_.stamps[place.entry]) {
      return fail(changed(place.entry, "its size or time differs"));
    }
    done += n;
    leaf = last;
  }
  return done;
}

Result<> Dataset::check_file(std::size_t entry) const {
  WARREN_TRY(const std::shared_ptr<const File> file, file_of(entry));
  WARREN_TRY(const runtime::FileInfo now, file->info());
  if (now.stamp != source_.stamps[entry]) {
    return fail(changed(entry, "its size or time differs"));
  }
  return {};
}

bool Dataset::exists(std::size_t entry) const {
  return folder_ ? folder_.info(source_.tree->entries[entry].path).has_value()
                 : runtime::file_info(source_.path).has_value();
}

std::vector<std::size_t> Dataset::changed_entries() const {
  const std::lock_guard lock(mutex_);
  return changed_;
}

Result<std::shared_ptr<const File>> Dataset::file_of(std::size_t entry) const {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(open_, entry, &OpenFile::entry);
    if (found != open_.end()) {
      found->used = ++clock_;
      return found->file;
    }
  }
  const std::string& path = source_.tree->entries[entry].path;
  auto opened = folder_ ? folder_.open_file(path) : File::open(source_.path);
  if (!opened) return fail(changed(entry, opened.error().message()));
  WARREN_TRY(const runtime::FileInfo info, opened->info());
  if (info.stamp != source_.stamps[entry]) {
    return fail(changed(entry, "its size, time or inode differs"));
  }
  auto file = std::make_shared<const File>(std::move(*opened));
  // A small file is read once and whole: keeping it open would only push others out.
  if (source_.tree->entries[entry].leaf_count <= 1) return file;
  const std::lock_guard lock(mutex_);
  if (open_.size() >= limits_.files_open_max) {
    open_.erase(std::ranges::min_element(open_, {}, &OpenFile::used));
  }
  open_.push_back({entry, ++clock_, file});
  return file;
}

std::string Dataset::full_path(std::size_t entry) const {
  const std::string& path = source_.tree->entries[entry].path;
  return path.empty() ? source_.path : source_.path + '/' + path;
}

Error Dataset::changed(std::size_t entry, std::string_view how) const {
  {
    const std::lock_guard lock(mutex_);
    if (std::ranges::find(changed_, entry) == changed_.end()) {
      changed_.push_back(entry);
      if (source_.changes) source_.changes->add({source_.share_id, entry});
    }
    std::erase_if(open_, [entry](const OpenFile& file) { return file.entry == entry; });
  }
  return {ErrorCode::kNotFound,
          fmt::format("{} changed since it was shared: {}", full_path(entry), how),
          "share it again to bring the dataset up to date"};
}

}  // namespace warren::content
