#include "library/install/unpack_rules.hpp"

#include <fmt/format.h>

#include "library/install/names.hpp"
#include "runtime/file.hpp"

namespace warren::install {
namespace {

constexpr std::size_t kShownMax = 120;

std::unexpected<Error> refuse(std::string_view path, std::string_view why) {
  return fail(ErrorCode::kDenied, fmt::format("'{}' is refused: {}", shown(path), why));
}

std::string_view kind_name(Made kind) {
  switch (kind) {
    case Made::kFolder: return "a folder";
    case Made::kFile: return "a file";
    case Made::kSymlink: return "a symlink";
  }
  return "something";
}

}  // namespace

std::string shown(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  if (name.size() > kShownMax) out += "...";
  return out;
}

std::string_view plain_path(std::string_view path) {
  while (path.starts_with("./")) {
    path.remove_prefix(2);
    while (path.starts_with('/')) path.remove_prefix(1);
  }
  if (path.ends_with('/') && path.size() > 1) path.remove_suffix(1);
  return path == "." || path.empty() ? std::string_view() : path;
}

Result<> UnpackRules::add(std::string_view path, Made kind) {
  WARREN_TRY_VOID(content::check_path(path));
  // The folders above it, from the top.
  for (std::size_t end = path.find('/'); end != std::string_view::npos;
       end = path.find('/', end + 1)) {
    const std::string_view above = path.substr(0, end);
    const auto known = made_.find(std::string(above));
    if (known == made_.end()) {
      WARREN_TRY_VOID(add_name(above, Made::kFolder));
    } else if (known->second != Made::kFolder) {
      return refuse(path, fmt::format("'{}' is {}", shown(above), kind_name(known->second)));
    }
  }
  const auto known = made_.find(std::string(path));
  if (known == made_.end()) return add_name(path, kind);
  if (kind == Made::kFolder && known->second == Made::kFolder) return {};
  return refuse(path, fmt::format("there is {} of this name", kind_name(known->second)));
}

Result<> UnpackRules::add_name(std::string_view path, Made kind) {
  if (path == kOwnedMarker || path == kInstalledRecord) {
    return refuse(path, "the name belongs to Warren");
  }
  if (made_.size() >= limits_.names_max) {
    return fail(ErrorCode::kTooLarge, fmt::format("it has more than {} names", limits_.names_max));
  }
  path_bytes_ += path.size();
  if (path_bytes_ > limits_.path_bytes_max) {
    return fail(ErrorCode::kTooLarge, fmt::format("its paths have more than {}",
                                                  runtime::human_bytes(limits_.path_bytes_max)));
  }
  const std::size_t slash = path.rfind('/');
  const bool top = slash == std::string_view::npos;
  const std::string folder(top ? std::string_view() : path.substr(0, slash));
  auto& siblings = siblings_.try_emplace(folder, alike_).first->second;
  WARREN_TRY_VOID(siblings.add(top ? path : path.substr(slash + 1)));
  made_.emplace(path, kind);
  if (kind != Made::kFolder) ++files_;
  return {};
}

Result<> UnpackRules::add_symlink(std::string_view path, std::string_view target) {
  WARREN_TRY_VOID(content::check_path(path));
  WARREN_TRY_VOID(content::check_symlink(path, target));
  path_bytes_ += target.size();
  return add(path, Made::kSymlink);
}

Result<> UnpackRules::add_copy(std::string_view path, std::string_view from) {
  const auto known = made_.find(std::string(from));
  if (known == made_.end() || known->second != Made::kFile) {
    return refuse(path,
                  fmt::format("it is a link to '{}', which is no file before it", shown(from)));
  }
  return add(path, Made::kFile);
}

Result<> UnpackRules::would_fit(std::uint64_t bytes) const {
  if (bytes <= limits_.bytes_max && bytes_ <= limits_.bytes_max - bytes) return {};
  return fail(ErrorCode::kTooLarge,
              fmt::format("unpacked it has more than {}", runtime::human_bytes(limits_.bytes_max)));
}

Result<> UnpackRules::add_bytes(std::uint64_t bytes) {
  WARREN_TRY_VOID(would_fit(bytes));
  bytes_ += bytes;
  return {};
}

}  // namespace warren::install
