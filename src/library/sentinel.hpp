#pragma once
// The sentinel: a small file in the top of an entry that says its version. Written last, it also
// says that the entry is complete. Source: row LA19 of the systems' map.

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::library {

/// How the version stands in the file.
enum class SentinelFormat : std::uint8_t {
  kAuto = 0,  ///< As kKeys when a line has the key `version`, else as kLine.
  kLine = 1,  ///< The first line that is not empty.
  kKeys = 2,  ///< Lines `key = value` or `key: value`, as INI files and simple YAML have them.
};
/// "auto", "line", "keys". Errors of the way back: kInvalidArgument.
std::string_view format_name(SentinelFormat format) noexcept;
Result<SentinelFormat> parse_format(std::string_view text);

struct SentinelSettings {
  std::string file = "version.ini";  ///< A path name; empty: none is looked for.
  SentinelFormat format = SentinelFormat::kAuto;
  /// Whether an entry without it is incomplete and shown to nobody as ready.
  bool required = false;
  bool operator==(const SentinelSettings&) const = default;
};

/// What a sentinel says. Values that do not fit an entry (too long, no plain text) are left out.
struct SentinelContent {
  std::string version;
  std::string name;   ///< Key `name` or `title`.
  std::string topic;  ///< Key `topic`.
};

/// Reads any bytes; what is not understood is left out. Keys are compared without case; sections
/// ([x]) and comments (# ;) are skipped; quotes around a value are taken off.
SentinelContent read_sentinel(BytesView bytes, SentinelFormat format);

}  // namespace warren::library
