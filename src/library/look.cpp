#include "library/look.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/varint.hpp"
#include "content/path_rules.hpp"
#include "crypto/sha256.hpp"
#include "library/reserved.hpp"

namespace warren::library {
namespace {

using runtime::Directory;
using runtime::DirectoryItem;
using runtime::FileInfo;
using runtime::FileKind;
using runtime::FileStamp;

void append_text(Bytes& out, std::string_view text) {
  append_uvarint(out, text.size());
  append(out, as_bytes(text));
}

void append_number(Bytes& out, std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

void append_stamp(Bytes& out, const FileStamp& stamp) {
  append_number(out, stamp.size);
  append_number(out, static_cast<std::uint64_t>(stamp.mtime_ns));
  append_number(out, stamp.inode);
}

Result<SentinelContent> read_sentinel_of(const Directory& entry, std::string_view path,
                                         SentinelFormat format, const limits::Library& limits) {
  WARREN_TRY(const runtime::File file, entry.open_file(path));
  Bytes bytes(limits.sentinel_bytes_max);
  WARREN_TRY(const std::size_t size, file.read_at(0, bytes));
  bytes.resize(size);
  return read_sentinel(bytes, format);
}

/// What an operation that was killed leaves in the top of an entry: its log, or one that was being
/// written, or what it was making, when that is marked as ours.
bool is_left_behind(const Directory& entry, const DirectoryItem& item) {
  if (item.name == kIntentFile || item.name == kIntentParts) return true;
  if (item.name != kInstallingFolder || item.kind != FileKind::kDirectory) return false;
  return entry.info(fmt::format("{}/{}", kInstallingFolder, kOwnedMarker)).has_value();
}

/// The files of an entry, path by path.
class Walk {
 public:
  Walk(const limits::Library& limits, const std::atomic<bool>& stop)
      : limits_(limits), stop_(stop) {}

  Result<> walk(const Directory& folder, const std::string& prefix, std::size_t depth) {
    if (stop_) return fail(ErrorCode::kCancelled, "stopped");
    WARREN_TRY(std::vector<DirectoryItem> items, folder.list(limits_.names_max - names_));
    names_ += items.size();
    std::vector<std::string> folders;
    for (DirectoryItem& item : items) {
      if (prefix.empty() && is_reserved(item.name)) continue;
      if (item.kind == FileKind::kOther) continue;
      if (item.kind == FileKind::kDirectory) {
        others_.push_back({prefix + item.name + '/', {}});
        if (depth < content::kPathDepthMax) folders.push_back(std::move(item.name));
        continue;
      }
      const auto info = folder.info(item.name);
      if (!info || info->kind != item.kind) continue;  // It went meanwhile.
      auto& list = item.kind == FileKind::kRegular ? files_ : others_;
      list.push_back({prefix + item.name, info->stamp});
    }
    for (const std::string& name : folders) {
      const auto inner = folder.open_directory(name);
      if (!inner) continue;  // It went meanwhile, or is closed to us: as when it is hashed.
      WARREN_TRY_VOID(walk(*inner, prefix + name + "/", depth + 1));
    }
    return {};
  }

  Measure result() {
    std::ranges::sort(files_, {}, &Found::path);
    std::ranges::sort(others_, {}, &Found::path);
    Measure measured;
    crypto::Sha256 manifest;
    crypto::Sha256 stamps;
    Bytes record;
    for (const Found& file : files_) {
      ++measured.files;
      measured.bytes += file.stamp.size;
      record.clear();
      append_text(record, file.path);
      append_number(record, file.stamp.size);
      manifest.update(record);
      append_stamp(record, file.stamp);
      stamps.update(record);
    }
    for (const Found& other : others_) {
      record.assign(1, 0);  // No path is empty: no file has a record that begins so.
      append_text(record, other.path);
      append_stamp(record, other.stamp);
      stamps.update(record);
    }
    measured.manifest.bytes = manifest.finish();
    measured.stamps.bytes = stamps.finish();
    return measured;
  }

 private:
  struct Found {
    std::string path;
    FileStamp stamp;
  };
  const limits::Library& limits_;
  const std::atomic<bool>& stop_;
  std::vector<Found> files_;
  std::vector<Found>
      others_;  ///< Links, and folders: those without their stamps, which any work shows in.
  std::size_t names_ = 0;
};

}  // namespace

Result<Look> look_at(const Directory& folder, std::string_view id, const SentinelSettings& sentinel,
                     const limits::Library& limits, const Digest& known) {
  WARREN_TRY(const Directory entry, folder.open_directory(id));
  WARREN_TRY(std::vector<DirectoryItem> items, entry.list(limits.top_names_max));
  std::ranges::sort(items, {}, &DirectoryItem::name);
  Look look;
  Bytes record;
  crypto::Sha256 hash;
  bool sentinel_there = false;
  look.empty = true;
  for (const DirectoryItem& item : items) {
    if (item.name == kInstalledFolder) {
      look.installed = item.kind == FileKind::kDirectory;
      record.assign(1, look.installed ? 1 : 0);
      hash.update(record);
      continue;
    }
    if (is_left_behind(entry, item)) look.in_operation = true;
    if (is_reserved(item.name)) continue;
    look.empty = false;
    record.clear();
    append_text(record, item.name);
    record.push_back(static_cast<std::uint8_t>(item.kind));
    if (item.kind != FileKind::kOther) {
      const auto info = entry.info(item.name);
      if (!info) continue;  // It went meanwhile: the watch tells.
      append_stamp(record, info->stamp);
    }
    hash.update(record);
    if (!sentinel.file.empty() && item.name == sentinel.file && item.kind == FileKind::kRegular) {
      sentinel_there = true;
    }
  }
  const std::string of_local = fmt::format("{}/{}", kInstalledFolder, kInstalledRecord);
  const bool alone = look.empty && look.installed;
  if (alone) {
    const auto info = entry.info(of_local);
    record.clear();
    append_stamp(record, info ? info->stamp : FileStamp{});
    hash.update(record);
  }
  look.fingerprint.bytes = hash.finish();
  look.unchanged = look.fingerprint == known;
  if (look.unchanged) return look;
  if (alone) {
    if (auto content = read_sentinel_of(entry, of_local, SentinelFormat::kKeys, limits)) {
      look.sentinel = std::move(*content);
    }
  }
  if (!sentinel_there) return look;
  // One that cannot be read is none: the version would be made up.
  if (auto content = read_sentinel_of(entry, sentinel.file, sentinel.format, limits)) {
    look.has_sentinel = true;
    look.sentinel = std::move(*content);
  }
  return look;
}

Result<Measure> measure(const Directory& folder, std::string_view id, const limits::Library& limits,
                        const std::atomic<bool>& stop) {
  WARREN_TRY(const Directory entry, folder.open_directory(id));
  Walk walk(limits, stop);
  WARREN_TRY_VOID(walk.walk(entry, "", 1));
  return walk.result();
}

}  // namespace warren::library
