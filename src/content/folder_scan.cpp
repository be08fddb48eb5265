#include "content/folder_scan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "content/path_rules.hpp"

namespace warren::content {
namespace {

using runtime::Directory;
using runtime::FileInfo;
using runtime::FileKind;

// Folders and names that one step() takes at most: a few milliseconds.
constexpr std::size_t kStepFoldersMax = 64;
constexpr std::size_t kStepNamesMax = 4'096;

}  // namespace

Result<FolderScan> FolderScan::open(const std::string& path, const limits::Tree& tree_limits,
                                    const limits::Content& content_limits,
                                    std::function<bool(std::string_view)> leave_out) {
  FolderScan scan;
  scan.tree_limits_ = tree_limits;
  scan.content_limits_ = content_limits;
  scan.leave_out_ = std::move(leave_out);
  WARREN_TRY(const FileInfo info, runtime::file_info(path));
  ScanItem root;
  root.kind = info.kind;
  switch (info.kind) {
    case FileKind::kDirectory: {
      WARREN_TRY(scan.base_, Directory::open(path));
      break;
    }
    case FileKind::kRegular: {
      const std::size_t slash = path.rfind('/');
      WARREN_TRY(scan.base_, Directory::open(slash == 0 ? "/" : path.substr(0, slash)));
      scan.file_name_ = path.substr(slash + 1);
      root.stamp = info.stamp;
      break;
    }
    case FileKind::kSymlink:
    case FileKind::kOther:
      return fail(ErrorCode::kUnsupported, fmt::format("{} is neither a file nor a folder", path));
  }
  scan.items_.push_back(std::move(root));
  return scan;
}

Result<bool> FolderScan::step(Progress& progress) {
  if (next_ == 0 && !file_name_.empty()) {
    next_ = 1;
    progress.files_found += 1;
    progress.bytes_found += items_[0].stamp.size;
  }
  const std::size_t names_before = items_.size();
  for (std::size_t folders = 0; next_ < items_.size() && folders < kStepFoldersMax; ++next_) {
    if (items_[next_].kind != FileKind::kDirectory || items_[next_].left_out) continue;
    ++folders;
    WARREN_TRY_VOID(read_folder(next_, progress));
    if (items_.size() - names_before > kStepNamesMax) {
      ++next_;
      break;
    }
  }
  return next_ < items_.size();
}

Result<> FolderScan::read_folder(std::size_t index, Progress& progress) {
  const std::string path = path_of(index);
  const auto folder = base_.open_directory(path);
  auto listed = folder ? folder->list(tree_limits_.entries_max)
                       : Result<std::vector<runtime::DirectoryItem>>(fail(folder.error()));
  if (!listed) {
    if (index == 0 || listed.error().code() == ErrorCode::kTooLarge) return fail(listed.error());
    leave_out(index, std::move(listed).error());
    return {};
  }
  std::ranges::sort(*listed, {}, &runtime::DirectoryItem::name);
  if (!listed->empty() && items_[index].depth >= tree_limits_.depth_max) {
    leave_out(index, Error(ErrorCode::kDenied, fmt::format("it lies more than {} folders deep",
                                                           tree_limits_.depth_max)));
    return {};
  }
  if (items_.size() + listed->size() > tree_limits_.entries_max) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("more than {} files and folders", tree_limits_.entries_max),
                "share its folders one by one");
  }

  SiblingNames names(Alike::kNormalisation);
  const std::size_t first = items_.size();
  for (runtime::DirectoryItem& found : *listed) {
    if (index == 0 && leave_out_ && leave_out_(found.name)) continue;
    std::string full = path.empty() ? found.name : path + '/' + found.name;
    auto allowed = check_name(found.name);
    if (allowed && full.size() > kPathBytesMax) {
      allowed = fail(ErrorCode::kDenied, fmt::format("a path of {} bytes, at most {} are allowed",
                                                     full.size(), kPathBytesMax));
    }
    if (allowed) allowed = names.add(found.name);
    if (!allowed) {
      skip(std::move(full), std::move(allowed).error());
      continue;
    }
    ScanItem item;
    item.kind = found.kind;
    item.parent = index;
    item.depth = items_[index].depth + 1;
    if (found.kind == FileKind::kRegular || found.kind == FileKind::kOther) {
      const auto info = folder->info(found.name);
      if (!info) {
        skip(std::move(full), info.error());
        continue;
      }
      item.kind = info->kind;
      item.stamp = info->stamp;
    }
    if (item.kind == FileKind::kSymlink) {
      auto target = folder->read_symlink(found.name);
      if (target && (target->empty() || target->size() >= kPathBytesMax)) {
        target = fail(ErrorCode::kDenied, "its target is empty or too long");
      }
      if (!target) {
        skip(std::move(full), std::move(target).error());
        continue;
      }
      item.symlink_target = std::move(*target);
    }
    if (item.kind == FileKind::kOther) {
      skip(std::move(full), Error(ErrorCode::kUnsupported, "a device, socket or pipe"));
      continue;
    }
    if (item.kind == FileKind::kRegular) {
      progress.files_found += 1;
      progress.bytes_found += item.stamp.size;
    }
    item.name = std::move(found.name);
    items_.push_back(std::move(item));
  }
  items_[index].first_child = first;
  items_[index].child_count = items_.size() - first;
  return {};
}

std::string FolderScan::path_of(std::size_t item) const {
  std::vector<std::size_t> up;
  std::size_t bytes = 0;
  for (std::size_t i = item; i != 0; i = items_[i].parent) {
    up.push_back(i);
    bytes += items_[i].name.size() + 1;
  }
  std::string path;
  path.reserve(bytes);
  for (auto it = up.rbegin(); it != up.rend(); ++it) {
    if (!path.empty()) path += '/';
    path += items_[*it].name;
  }
  return path;
}

std::string FolderScan::path_from_base(std::size_t item) const {
  return item == 0 ? file_name_ : path_of(item);
}

Result<runtime::File> FolderScan::open_file(std::size_t item) const {
  return base_.open_file(path_from_base(item));
}

Result<FileInfo> FolderScan::info(std::size_t item) const {
  return base_.info(path_from_base(item));
}

void FolderScan::leave_out(std::size_t item, Error error) {
  items_[item].left_out = true;
  skip(path_of(item), std::move(error));
}

void FolderScan::skip(std::string path, Error error) {
  ++skipped_count_;
  if (skipped_.size() < content_limits_.skipped_max) {
    skipped_.push_back({std::move(path), std::move(error)});
  }
}

}  // namespace warren::content
