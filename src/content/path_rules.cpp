#include "content/path_rules.hpp"

#include <fmt/format.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include <cstdlib>
#include <memory>

#include "base/bytes.hpp"
#include "base/check.hpp"

namespace warren::content {
namespace {

// A name as an error may show it: what is not printable ASCII or well-formed is written as \xNN,
// so that no name can act on the terminal that shows it, and cut after 80 bytes.
std::string shown(std::string_view name) {
  constexpr std::size_t kShownMax = 80;
  const bool utf8 = u8_check(as_bytes(name).data(), name.size()) == nullptr;
  std::string out;
  for (const char c : name.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || (byte >= 0x80 && !utf8)) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  // A character cut in two would no longer be UTF-8.
  while (utf8 && !out.empty() && u8_check(as_bytes(out).data(), out.size()) != nullptr) {
    out.pop_back();
  }
  if (name.size() > kShownMax) out += "...";
  return out;
}

std::unexpected<Error> refuse(std::string_view name, std::string_view rule) {
  return fail(ErrorCode::kDenied, fmt::format("the name '{}' is refused: {}", shown(name), rule));
}

using Unistring = std::unique_ptr<std::uint8_t, decltype(&std::free)>;

std::string owned(std::uint8_t* text, std::size_t size) {
  const Unistring holder(text, &std::free);
  WARREN_CHECK(text != nullptr);  // Only memory or ill-formed input fail, and that was checked.
  return {reinterpret_cast<const char*>(text), size};
}

bool is_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

}  // namespace

Result<> check_name(std::string_view name) {
  if (name.empty()) return refuse(name, "it is empty");
  if (name.size() > kNameBytesMax) {
    return refuse(name,
                  fmt::format("{} bytes, at most {} are allowed", name.size(), kNameBytesMax));
  }
  if (name == "." || name == "..") return refuse(name, "it stands for a folder, not for a name");
  if (name.find('/') != std::string_view::npos) return refuse(name, "it holds a '/'");
  if (name.find('\0') != std::string_view::npos) return refuse(name, "it holds a NUL");
  if (u8_check(as_bytes(name).data(), name.size()) != nullptr) {
    return refuse(name, "it is not UTF-8");
  }
  return {};
}

Result<> check_path(std::string_view path) {
  if (path.empty()) return refuse(path, "it is empty");
  if (path.size() > kPathBytesMax) {
    return refuse(path, fmt::format("a path of {} bytes, at most {} are allowed", path.size(),
                                    kPathBytesMax));
  }
  if (path.starts_with('/')) return refuse(path, "it is absolute");
  std::size_t depth = 0;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    if (++depth > kPathDepthMax) {
      return refuse(path, fmt::format("more than {} levels deep", kPathDepthMax));
    }
    if (const auto ok = check_name(path.substr(start, end - start)); !ok) {
      return fail(ErrorCode::kDenied,
                  fmt::format("the path '{}' is refused: {}", shown(path), ok.error().message()));
    }
    start = end + 1;
  }
  return {};
}

Result<> check_symlink(std::string_view path, std::string_view target) {
  const auto refuse_link = [&](std::string_view rule) {
    return fail(ErrorCode::kDenied, fmt::format("the symlink '{}' to '{}' is refused: {}",
                                                shown(path), shown(target), rule));
  };
  if (target.empty()) return refuse_link("its target is empty");
  if (target.size() >= kPathBytesMax) {
    return refuse_link(fmt::format("its target has {} bytes", target.size()));
  }
  if (target.find('\0') != std::string_view::npos) return refuse_link("its target holds a NUL");
  if (target.starts_with('/')) return refuse_link("its target is absolute");

  // Depth of the folder in which the link stands; no ".." may go above the root. A name on the way
  // may itself be a symlink, so ".." after a name is not taken back: it could lead out.
  std::size_t depth = 0;
  for (const char c : path) depth += c == '/' ? 1 : 0;
  bool named = false;
  for (std::size_t start = 0; start <= target.size();) {
    const std::size_t end = std::min(target.find('/', start), target.size());
    const std::string_view part = target.substr(start, end - start);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      named = true;
      continue;
    }
    if (named) return refuse_link("its target goes up after it went down");
    if (depth == 0) return refuse_link("its target is outside the shared folder");
    --depth;
  }
  return {};
}

std::string normal_name(std::string_view name) {
  if (is_ascii(name)) return std::string(name);
  std::size_t size = 0;
  std::uint8_t* text =
      u8_normalize(UNINORM_NFC, as_bytes(name).data(), name.size(), nullptr, &size);
  return owned(text, size);
}

std::string folded_name(std::string_view name) {
  if (is_ascii(name)) {
    std::string lower(name);
    for (char& c : lower) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
    return lower;
  }
  std::size_t size = 0;
  // The empty language: the same fold everywhere, without the Turkish exception.
  std::uint8_t* text =
      u8_casefold(as_bytes(name).data(), name.size(), "", UNINORM_NFC, nullptr, &size);
  return owned(text, size);
}

Result<> SiblingNames::add(std::string_view name) {
  const std::string form = rule_ == Alike::kCase ? folded_name(name) : normal_name(name);
  const auto [there, added] = by_form_.emplace(form, name);
  if (added) return {};
  if (there->second == name) return refuse(name, "the folder has it twice");
  return fail(ErrorCode::kDenied,
              fmt::format("the names '{}' and '{}' of one folder are refused: they differ only in "
                          "{}",
                          shown(there->second), shown(name),
                          rule_ == Alike::kCase ? "case or in how characters are composed"
                                                : "how characters are composed"));
}

Result<> check_case_collisions(const Tree& tree) {
  // Entries come depth first, so the folders that are still open are those above the entry.
  std::vector<std::pair<std::string, SiblingNames>> open;
  open.emplace_back("", SiblingNames(Alike::kCase));
  for (const Entry& entry : tree.entries) {
    if (entry.path.empty()) continue;
    const std::size_t slash = entry.path.rfind('/');
    const std::string_view path(entry.path);
    const std::string_view folder = slash == std::string::npos ? "" : path.substr(0, slash);
    while (open.size() > 1 && open.back().first != folder) open.pop_back();
    const std::string_view name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (auto ok = open.back().second.add(name); !ok) {
      return fail(
          std::move(ok).error().in(fmt::format("in '{}'", folder.empty() ? "." : shown(folder))));
    }
    if (entry.kind == EntryKind::kDirectory) {
      open.emplace_back(entry.path, SiblingNames(Alike::kCase));
    }
  }
  return {};
}

}  // namespace warren::content
