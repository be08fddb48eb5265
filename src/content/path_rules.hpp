#pragma once
// Which names and paths from a peer may come to exist on this disk. Refused, never repaired.
// Each refusal names the path and the rule.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.hpp"
#include "content/tree.hpp"

namespace warren::content {

inline constexpr std::size_t kNameBytesMax = 255;   ///< Source: NAME_MAX of Linux.
inline constexpr std::size_t kPathBytesMax = 4096;  ///< Source: PATH_MAX of Linux.
inline constexpr std::size_t kPathDepthMax = 64;

/// One name: not empty, ".", "..", over 255 bytes, with '/' or NUL, or not UTF-8. Errors: kDenied.
Result<> check_name(std::string_view name);

/// A relative path of such names joined by single '/': at most 4,096 bytes and 64 names; so not
/// absolute, and without empty parts. Errors: kDenied.
Result<> check_path(std::string_view path);

/// A symlink that may be made at `path`: relative, and not leading out of the root even when read
/// name by name. Errors: kDenied.
Result<> check_symlink(std::string_view path, std::string_view target);

/// Names that are the same text, however composed, have one form: NFC. `name` must be UTF-8.
std::string normal_name(std::string_view name);
/// As normal_name, and without the difference of case: NFC of the case-folded NFD.
std::string folded_name(std::string_view name);

/// What makes two names of one folder too alike.
enum class Alike : std::uint8_t {
  kNormalisation,  ///< The same text composed differently: looks the same, so never allowed.
  kCase,           ///< Also by case: for a disk that ignores it. Linux headers have such pairs.
};

/// Finds names in one folder that are alike. Add each name of the folder once.
class SiblingNames {
 public:
  explicit SiblingNames(Alike rule) : rule_(rule) {}
  /// Errors: kDenied, naming both.
  Result<> add(std::string_view name);

 private:
  Alike rule_;
  std::unordered_map<std::string, std::string> by_form_;
};

/// Whether a folder that ignores case (Directory::ignores_case) could hold `tree`.
/// Errors: kDenied, naming the first two that collide.
Result<> check_case_collisions(const Tree& tree);

}  // namespace warren::content
