#include "transfer/existing.hpp"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "content/unixfs.hpp"
#include "crypto/sha256.hpp"
#include "runtime/file.hpp"
#include "transfer/destination.hpp"

namespace warren::transfer {
namespace {

using content::Entry;
using content::EntryKind;
using runtime::Directory;
using runtime::File;
using runtime::FileKind;

constexpr std::size_t kItemsMax = 10'000'000;

FileKind file_kind(EntryKind kind) {
  switch (kind) {
    case EntryKind::kFile: return FileKind::kRegular;
    case EntryKind::kDirectory: return FileKind::kDirectory;
    case EntryKind::kSymlink: return FileKind::kSymlink;
  }
  return FileKind::kOther;
}

class Comparison {
 public:
  using LeaveOut = std::function<bool(std::string_view name)>;

  Comparison(const content::Tree& tree, const Directory& directory, std::string name,
             const LeaveOut& leave_out, CompareProgress& progress)
      : tree_(tree),
        directory_(directory),
        name_(std::move(name)),
        leave_out_(leave_out),
        progress_(progress) {
    for (const Entry& entry : tree_.entries) {
      if (entry.path.empty() || left_out(entry)) continue;
      const std::size_t slash = entry.path.rfind('/');
      ++children_[slash == std::string::npos ? std::string() : entry.path.substr(0, slash)];
    }
  }

  // Cheap differences first: all names, kinds and sizes, then the bytes.
  Result<bool> equal() {
    for (const Entry& entry : tree_.entries) {
      if (left_out(entry)) continue;
      WARREN_TRY(const bool alike, same_outside(entry));
      if (!alike) return differs(entry);
    }
    buffer_.resize(content::kLeafBytesMax);
    for (const Entry& entry : tree_.entries) {
      if (entry.kind != EntryKind::kFile) continue;
      WARREN_TRY(const bool alike, same_bytes(entry));
      if (!alike) return differs(entry);
    }
    return true;
  }
  const std::string& where() const { return where_; }

 private:
  static bool left_out(const Entry& entry) {
    return entry.kind == EntryKind::kSymlink && !makes_symlink(entry);
  }
  std::string path_of(const Entry& entry) const {
    return entry.path.empty() ? name_ : name_ + "/" + entry.path;
  }
  bool differs(const Entry& entry) {
    where_ = path_of(entry);
    return false;
  }

  Result<bool> same_outside(const Entry& entry) {
    const std::string path = path_of(entry);
    const auto info = directory_.info(path);
    if (!info && info.error().code() == ErrorCode::kNotFound) return false;
    if (!info) return fail(info.error());
    if (info->kind != file_kind(entry.kind)) return false;
    switch (entry.kind) {
      case EntryKind::kFile: return info->stamp.size == entry.bytes;
      case EntryKind::kSymlink: {
        WARREN_TRY(const std::string target, directory_.read_symlink(path));
        return target == entry.symlink_target;
      }
      case EntryKind::kDirectory: {
        WARREN_TRY(const Directory opened, directory_.open_directory(path));
        WARREN_TRY(auto items, opened.list(kItemsMax));
        if (entry.path.empty() && leave_out_) {
          std::erase_if(items, [this](const auto& item) { return leave_out_(item.name); });
        }
        const auto found = children_.find(entry.path);
        return items.size() == (found == children_.end() ? 0 : found->second);
      }
    }
    return false;
  }

  Result<bool> same_bytes(const Entry& entry) {
    WARREN_TRY(const File file, directory_.open_file(path_of(entry)));
    std::uint64_t offset = 0;
    for (std::uint64_t leaf = entry.first_leaf; leaf < entry.first_leaf + entry.leaf_count;
         ++leaf) {
      if (progress_.stop) return fail(ErrorCode::kCancelled, "cancelled");
      const content::Leaf& expected = tree_.leaves[leaf];
      if (expected.bytes > buffer_.size()) return false;
      const MutableBytes chunk = MutableBytes(buffer_).first(expected.bytes);
      WARREN_TRY(const std::size_t count, file.read_at(offset, chunk));
      if (count != chunk.size() || crypto::sha256(chunk) != expected.digest.bytes) return false;
      offset += count;
      progress_.bytes_compared += count;
    }
    return true;
  }

  const content::Tree& tree_;
  const Directory& directory_;
  std::string name_;
  const LeaveOut& leave_out_;
  CompareProgress& progress_;
  std::unordered_map<std::string, std::uint64_t> children_;  // By path of the folder.
  Bytes buffer_;
  std::string where_;
};

}  // namespace

Result<Existing> compare_existing(const content::Tree& tree, const std::string& directory,
                                  const std::string& name,
                                  const std::function<bool(std::string_view name)>& leave_out,
                                  CompareProgress& progress, std::string& where) {
  WARREN_TRY(const Directory opened, Directory::open(directory));
  const auto info = opened.info(name);
  if (!info && info.error().code() == ErrorCode::kNotFound) return Existing::kNone;
  if (!info) return fail(info.error());
  Comparison comparison(tree, opened, name, leave_out, progress);
  WARREN_TRY(const bool equal, comparison.equal());
  where = comparison.where();
  return equal ? Existing::kIdentical : Existing::kDifferent;
}

}  // namespace warren::transfer
