#include "transfer/destination.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "content/path_rules.hpp"
#include "content/unixfs.hpp"
#include "crypto/sha256.hpp"

namespace warren::transfer {
namespace {

using content::Entry;
using content::EntryKind;
using runtime::Directory;
using runtime::File;
using runtime::FileKind;

constexpr std::size_t kOpenFilesMax = 32;
constexpr std::size_t kOpenFoldersMax = 16;
// More files than this are brought to the disk by one sync of the file system: one fdatasync each
// costs a journal commit each.
constexpr std::size_t kSyncSinglyMax = 64;

std::string_view folder_part(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}
std::string_view name_part(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string temporary_path(const DestinationPaths& paths, const Entry& entry) {
  return entry.path.empty() ? paths.temporary_name : paths.temporary_name + "/" + entry.path;
}

Result<> but_exists_is_fine(Result<> made) {
  if (!made && made.error().code() != ErrorCode::kExists) return made;
  return {};
}

}  // namespace

Result<> check_leaf_sizes(const content::Tree& tree) {
  for (const content::Leaf& leaf : tree.leaves) {
    if (leaf.bytes <= content::kLeafBytesMax) continue;
    return fail(ErrorCode::kUnsupported,
                "the dataset has a chunk of " + std::to_string(leaf.bytes) + " bytes",
                "chunks of up to 1 MiB can be fetched");
  }
  return {};
}

// ------------------------------------------------------------------------------- preparation

Result<std::unique_ptr<Destination>> Destination::prepare(std::shared_ptr<const content::Tree> tree,
                                                          DestinationPaths paths, LeafSet& done,
                                                          const LeafSet& synced, DiskHooks hooks) {
  WARREN_CHECK(!tree->entries.empty() && done.size() == tree->leaves.size());
  std::unique_ptr<Destination> self(new Destination());
  self->tree_ = std::move(tree);
  self->paths_ = std::move(paths);
  self->hooks_ = std::move(hooks);
  WARREN_TRY_VOID(check_leaf_sizes(*self->tree_));
  WARREN_TRY(Directory directory, Directory::open(self->paths_.directory));
  self->directory_ = std::make_shared<const Directory>(std::move(directory));
  WARREN_TRY(const bool ignores_case, self->directory_->ignores_case());
  if (ignores_case) WARREN_TRY_VOID(content::check_case_collisions(*self->tree_));
  WARREN_TRY_VOID(self->make_folders());
  for (std::size_t i = 0; i < self->tree_->entries.size(); ++i) {
    const Entry& entry = self->tree_->entries[i];
    if (entry.kind != EntryKind::kFile) continue;
    if (entry.leaf_count > 0) self->files_.push_back(i);
    WARREN_TRY_VOID(self->make_file(i, done));
    for (std::uint64_t leaf = entry.first_leaf; leaf < entry.first_leaf + entry.leaf_count;
         ++leaf) {
      if (!done.contains(leaf) || synced.contains(leaf)) continue;
      self->dirty_.insert(i);
      break;
    }
  }
  return self;
}

Result<> Destination::drop_missing(const content::Tree& tree, const DestinationPaths& paths,
                                   LeafSet& done) {
  WARREN_TRY(const Directory directory, Directory::open(paths.directory));
  for (const Entry& entry : tree.entries) {
    bool any_done = false;
    for (std::uint64_t leaf = entry.first_leaf; leaf < entry.first_leaf + entry.leaf_count;
         ++leaf) {
      any_done = any_done || done.contains(leaf);
    }
    if (!any_done) continue;
    const auto info = directory.info(temporary_path(paths, entry));
    if (info && info->kind == FileKind::kRegular && info->stamp.size == entry.bytes) continue;
    for (std::uint64_t leaf = entry.first_leaf; leaf < entry.first_leaf + entry.leaf_count;
         ++leaf) {
      done.remove(leaf);
    }
  }
  return {};
}

Result<> Destination::make_folders() {
  if (tree_->entries.front().kind != EntryKind::kDirectory) return {};
  WARREN_TRY_VOID(but_exists_is_fine(directory_->make_directory(paths_.temporary_name, 0755)));
  WARREN_TRY(Directory root, directory_->open_directory(paths_.temporary_name));
  root_ = std::make_shared<const Directory>(std::move(root));
  for (const Entry& entry : tree_->entries) {
    if (entry.kind != EntryKind::kDirectory || entry.path.empty()) continue;
    WARREN_TRY_VOID(but_exists_is_fine(root_->make_directory(entry.path, 0755)));
  }
  return {};
}

// Empty files and files of several leaves come to exist here, files of one leaf when it is
// written. What an earlier run left is looked at first.
Result<> Destination::make_file(std::size_t index, LeafSet& done) {
  const Entry& entry = tree_->entries[index];
  bool any_done = false;
  for (std::uint64_t leaf = entry.first_leaf; leaf < entry.first_leaf + entry.leaf_count; ++leaf) {
    any_done = any_done || done.contains(leaf);
  }
  if (entry.leaf_count == 1 && !any_done) return {};
  WARREN_TRY(const Place place, place_of(index));
  const auto info = place.folder->info(place.name);
  if (info && info->kind == FileKind::kRegular && info->stamp.size == entry.bytes) return {};
  for (std::uint64_t leaf = entry.first_leaf; leaf < entry.first_leaf + entry.leaf_count; ++leaf) {
    done.remove(leaf);
  }
  if (entry.leaf_count == 1) return {};
  if (info) WARREN_TRY_VOID(place.folder->remove(place.name));
  WARREN_TRY(const File file, place.folder->create_file(place.name, 0644));
  return file.preallocate(entry.bytes);
}

Result<> Destination::before_write(std::uint64_t bytes) const {
  return hooks_.before_write ? hooks_.before_write(bytes) : Result<>();
}

Result<std::uint64_t> Destination::free_bytes(const std::string& directory,
                                              const DiskHooks& hooks) {
  if (hooks.free_bytes) return hooks.free_bytes();
  WARREN_TRY(const Directory opened, Directory::open(directory));
  return opened.free_bytes();
}

Result<std::uint64_t> Destination::bytes_needed(const content::Tree& tree,
                                                const DestinationPaths& paths,
                                                const LeafSet& done) {
  WARREN_TRY(const Directory directory, Directory::open(paths.directory));
  std::uint64_t bytes = 0;
  for (const Entry& entry : tree.entries) {
    if (entry.kind != EntryKind::kFile || entry.leaf_count == 0) continue;
    if (entry.leaf_count == 1) {
      bytes += done.contains(entry.first_leaf) ? 0 : entry.bytes;
      continue;
    }
    const auto info = directory.info(temporary_path(paths, entry));
    const bool reserved =
        info && info->kind == FileKind::kRegular && info->stamp.size == entry.bytes;
    bytes += reserved ? 0 : entry.bytes;
  }
  return bytes;
}

Result<> Destination::remove(const DestinationPaths& paths) {
  auto directory = Directory::open(paths.directory);
  if (!directory && directory.error().code() == ErrorCode::kNotFound) return {};
  if (!directory) return fail(std::move(directory).error());
  return directory->remove_all(paths.temporary_name);
}

// ------------------------------------------------------------------------------------ places

Result<Destination::Place> Destination::place_of(std::size_t index) {
  const std::string& path = tree_->entries[index].path;
  if (!root_) return Place{directory_, paths_.temporary_name};
  const std::string_view folder = folder_part(path);
  if (folder.empty()) return Place{root_, path};
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(open_folders_, folder, &OpenFolder::path);
    if (found != open_folders_.end()) {
      open_folders_.splice(open_folders_.begin(), open_folders_, found);
      return Place{found->folder, std::string(name_part(path))};
    }
  }
  WARREN_TRY(Directory opened, root_->open_directory(folder));
  auto shared = std::make_shared<const Directory>(std::move(opened));
  const std::lock_guard lock(mutex_);
  open_folders_.push_front({std::string(folder), shared});
  if (open_folders_.size() > kOpenFoldersMax) open_folders_.pop_back();
  return Place{std::move(shared), std::string(name_part(path))};
}

Result<std::shared_ptr<const File>> Destination::file_of(std::size_t index) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(open_files_, index, &OpenFile::entry);
    if (found != open_files_.end()) {
      open_files_.splice(open_files_.begin(), open_files_, found);
      return found->file;
    }
  }
  WARREN_TRY(const Place place, place_of(index));
  WARREN_TRY(File opened, place.folder->open_file_for_writing(place.name));
  auto shared = std::make_shared<const File>(std::move(opened));
  const std::lock_guard lock(mutex_);
  open_files_.push_front({index, shared});
  if (open_files_.size() > kOpenFilesMax) open_files_.pop_back();
  return shared;
}

// The index in files_ of the file that `leaf` belongs to.
std::size_t Destination::file_position(std::uint64_t leaf) const {
  const auto behind = std::ranges::upper_bound(
      files_, leaf, {}, [this](std::size_t index) { return tree_->entries[index].first_leaf; });
  return static_cast<std::size_t>(behind - files_.begin()) - 1;
}

// ----------------------------------------------------------------------------------- writing

WriteResult Destination::write(std::uint64_t first, std::uint64_t count, BytesView bytes) {
  WriteResult result;
  std::size_t position = file_position(first);
  for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
    const content::Leaf& expected = tree_->leaves[leaf];
    const BytesView chunk = bytes.first(expected.bytes);
    bytes = bytes.subspan(expected.bytes);
    while (position + 1 < files_.size() &&
           tree_->entries[files_[position + 1]].first_leaf <= leaf) {
      ++position;
    }
    if (crypto::sha256(chunk) != expected.digest.bytes) {
      result.bad.push_back(leaf);
    } else if (auto written = write_leaf(files_[position], leaf, chunk); !written) {
      result.error = std::move(written).error();
      return result;
    }
    ++result.written;
  }
  return result;
}

Result<> Destination::write_leaf(std::size_t index, std::uint64_t leaf, BytesView bytes) {
  const Entry& entry = tree_->entries[index];
  WARREN_TRY_VOID(before_write(bytes.size()));
  if (entry.leaf_count == 1) {
    WARREN_TRY_VOID(write_small_file(index, bytes));
  } else {
    // All leaves of a file but the last are of one size.
    const std::uint64_t offset =
        (leaf - entry.first_leaf) * std::uint64_t{tree_->leaves[entry.first_leaf].bytes};
    WARREN_TRY(const auto file, file_of(index));
    WARREN_TRY_VOID(file->write_at(offset, bytes));
  }
  const std::lock_guard lock(mutex_);
  dirty_.insert(index);
  return {};
}

Result<> Destination::write_small_file(std::size_t index, BytesView bytes) {
  WARREN_TRY(const Place place, place_of(index));
  auto created = place.folder->create_file(place.name, 0644);
  if (!created && created.error().code() == ErrorCode::kExists) {
    // A run before this one was stopped between writing it and noting that down.
    WARREN_TRY(const File file, place.folder->open_file_for_writing(place.name));
    WARREN_TRY_VOID(file.truncate(bytes.size()));
    return file.write_at(0, bytes);
  }
  if (!created) return fail(std::move(created).error());
  return created->write_at(0, bytes);
}

// ----------------------------------------------------------------------------------- the end

Result<> Destination::sync() {
  std::set<std::size_t> dirty;
  {
    const std::lock_guard lock(mutex_);
    dirty.swap(dirty_);
  }
  Result<> synced = sync_entries(dirty);
  if (!synced) {
    const std::lock_guard lock(mutex_);
    dirty_.merge(dirty);
  }
  return synced;
}

Result<> Destination::sync_entries(const std::set<std::size_t>& entries) {
  if (entries.size() > kSyncSinglyMax) return directory_->sync_filesystem();
  for (const std::size_t index : entries) {
    WARREN_TRY(const auto file, file_of(index));
    WARREN_TRY_VOID(file->sync_data());
  }
  return {};
}

bool makes_symlink(const Entry& entry) {
  return content::check_symlink(entry.path, entry.symlink_target).has_value();
}

Result<> Destination::make_symlinks() {
  for (std::size_t i = 0; i < tree_->entries.size(); ++i) {
    const Entry& entry = tree_->entries[i];
    if (entry.kind != EntryKind::kSymlink || !makes_symlink(entry)) continue;
    WARREN_TRY(const Place place, place_of(i));
    // One of a run that was stopped at the end may be there.
    const auto existing = place.folder->read_symlink(place.name);
    if (existing && *existing == entry.symlink_target) continue;
    WARREN_TRY_VOID(place.folder->make_symlink(place.name, entry.symlink_target));
  }
  return {};
}

Result<> Destination::sync_folders() {
  if (!root_) return {};
  const auto folders = std::ranges::count(tree_->entries, EntryKind::kDirectory, &Entry::kind);
  if (static_cast<std::size_t>(folders) > kSyncSinglyMax) return directory_->sync_filesystem();
  for (const Entry& entry : tree_->entries) {
    if (entry.kind != EntryKind::kDirectory) continue;
    WARREN_TRY(const Directory folder, root_->open_directory(entry.path));
    WARREN_TRY_VOID(folder.sync());
  }
  return {};
}

Result<> Destination::finish() {
  WARREN_TRY_VOID(make_symlinks());
  WARREN_TRY_VOID(sync());
  return sync_folders();
}

Result<> Destination::place() {
  WARREN_TRY_VOID(finish());
  auto renamed = directory_->rename_noreplace(paths_.temporary_name, paths_.final_name);
  if (!renamed && renamed.error().code() == ErrorCode::kExists) {
    return fail(ErrorCode::kExists,
                paths_.directory + "/" + paths_.final_name + " has appeared meanwhile",
                "move it away and resume, or choose another folder with --out");
  }
  if (!renamed) return renamed;
  return directory_->sync();
}

}  // namespace warren::transfer
