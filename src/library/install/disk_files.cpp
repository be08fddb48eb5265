#include "library/install/disk_files.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace warren::install {

using runtime::Directory;
using runtime::File;
using runtime::FileInfo;
using runtime::FileKind;

Result<What> DiskFiles::look(std::string_view path) {
  const auto found = entry_.info(path);
  if (!found && found.error().code() == ErrorCode::kNotFound) return What::kNothing;
  if (!found) return fail(found.error());
  switch (found->kind) {
    case FileKind::kRegular: return What::kFile;
    case FileKind::kDirectory: return What::kFolder;
    case FileKind::kSymlink:
    case FileKind::kOther: break;
  }
  return What::kOther;
}

Result<std::vector<std::string>> DiskFiles::names(std::string_view folder) {
  WARREN_TRY(const Directory opened, entry_.open_directory(folder));
  WARREN_TRY(auto items, opened.list());
  std::vector<std::string> names;
  names.reserve(items.size());
  for (runtime::DirectoryItem& item : items) names.push_back(std::move(item.name));
  std::ranges::sort(names);
  return names;
}

Result<Bytes> DiskFiles::read(std::string_view path, std::size_t bytes_max) {
  WARREN_TRY(const File file, entry_.open_file(path));
  WARREN_TRY(const FileInfo info, file.info());
  if (info.stamp.size > bytes_max) {
    return fail(ErrorCode::kTooLarge, fmt::format("{} has {} bytes, {} are expected at most", path,
                                                  info.stamp.size, bytes_max));
  }
  Bytes bytes(static_cast<std::size_t>(info.stamp.size));
  WARREN_TRY(const std::size_t size, file.read_at(0, bytes));
  bytes.resize(size);
  return bytes;
}

Result<> DiskFiles::write(std::string_view path, BytesView bytes) {
  const auto removed = entry_.remove(path);
  if (!removed && removed.error().code() != ErrorCode::kNotFound) return removed;
  WARREN_TRY(const File file, entry_.create_file(path));
  return file.write_at(0, bytes);
}

Result<> DiskFiles::make_folder(std::string_view path) { return entry_.make_directory(path); }

Result<> DiskFiles::rename(std::string_view from, std::string_view to) {
  return entry_.rename_noreplace(from, to);
}

Result<> DiskFiles::replace(std::string_view from, std::string_view to) {
  return entry_.rename_replace(from, to);
}

Result<> DiskFiles::remove(std::string_view path) { return entry_.remove(path); }

Result<> DiskFiles::remove_tree(std::string_view path) { return entry_.remove_all(path); }

Result<> DiskFiles::sync_file(std::string_view path) {
  WARREN_TRY(const File file, entry_.open_file_for_writing(path));
  return file.sync_data();
}

Result<> DiskFiles::sync_folder(std::string_view path) {
  WARREN_TRY(const Directory folder, entry_.open_directory(path));
  return folder.sync();
}

Result<> DiskFiles::sync_tree(std::string_view path) {
  WARREN_TRY(const Directory folder, entry_.open_directory(path));
  return folder.sync_filesystem();
}

}  // namespace warren::install
