#pragma once
// Which names an archive may make, and how much. What breaks a rule is refused, never repaired.
// Without I/O.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.hpp"
#include "content/path_rules.hpp"
#include "library/install/limits.hpp"

namespace warren::install {

enum class Made : std::uint8_t { kFolder, kFile, kSymlink };

/// A name of an archive as an error may show it.
std::string shown(std::string_view name);

/// The path without what only tells that it is relative or a folder: leading "./", a '/' at the
/// end. Empty: the folder that is unpacked into.
std::string_view plain_path(std::string_view path);

/// All that is unpacked into one folder, from however many archives.
class UnpackRules {
 public:
  explicit UnpackRules(limits::Install limits) : limits_(limits) {}

  /// The folder takes "A" and "a" for one name.
  void ignore_case() { alike_ = content::Alike::kCase; }

  /// `path` comes next, with the folders above it. A folder may come again. Errors: kDenied (a path
  /// that content::check_path refuses, one that is there, or that lies in a file or behind a
  /// symlink, one too like another, the name of our marker), kTooLarge.
  Result<> add(std::string_view path, Made kind);
  /// Errors: add(); kDenied for a target that leads out.
  Result<> add_symlink(std::string_view path, std::string_view target);
  /// `path` is the file `from` once more. Errors: add(); kDenied unless `from` is a file.
  Result<> add_copy(std::string_view path, std::string_view from);
  /// So many bytes more. Errors: kTooLarge.
  Result<> add_bytes(std::uint64_t bytes);
  /// Whether so many more would be allowed. Errors: kTooLarge.
  Result<> would_fit(std::uint64_t bytes) const;

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t files() const { return files_; }

 private:
  Result<> add_name(std::string_view path, Made kind);

  limits::Install limits_;
  content::Alike alike_ = content::Alike::kNormalisation;
  std::unordered_map<std::string, Made> made_;
  std::unordered_map<std::string, content::SiblingNames> siblings_;  ///< By folder.
  std::size_t path_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t files_ = 0;
};

}  // namespace warren::install
