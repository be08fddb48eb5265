#include "library/sentinel.hpp"

#include <algorithm>
#include <cctype>

#include "library/entry.hpp"
#include "peers/text.hpp"

namespace warren::library {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\v\f";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string_view without_quotes(std::string_view text) {
  const bool quoted = text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
                      text.back() == text.front();
  return quoted ? text.substr(1, text.size() - 2) : text;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

void take(std::string& field, std::string_view value, std::size_t bytes_max) {
  if (field.empty() && value.size() <= bytes_max && peers::is_plain_text(value)) field = value;
}

/// Calls `f` with each line, trimmed.
template <class F>
void for_each_line(std::string_view text, F f) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    f(trimmed(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

SentinelContent read_keys(std::string_view text) {
  SentinelContent content;
  for_each_line(text, [&](std::string_view line) {
    if (line.empty() || line.front() == '#' || line.front() == ';' || line.front() == '[') return;
    const std::size_t end = line.find_first_of("=:");
    if (end == std::string_view::npos) return;
    const std::string_view key = trimmed(line.substr(0, end));
    const std::string_view value = without_quotes(trimmed(line.substr(end + 1)));
    if (same_word(key, "version")) take(content.version, value, kVersionBytesMax);
    if (same_word(key, "name") || same_word(key, "title")) {
      take(content.name, value, kNameBytesMax);
    }
    if (same_word(key, "topic") && check_topic(value)) {
      take(content.topic, value, kTopicBytesMax);
    }
  });
  return content;
}

SentinelContent read_line(std::string_view text) {
  SentinelContent content;
  bool first = true;
  for_each_line(text, [&](std::string_view line) {
    if (line.empty() || !std::exchange(first, false)) return;
    take(content.version, without_quotes(line), kVersionBytesMax);
  });
  return content;
}

}  // namespace

std::string_view format_name(SentinelFormat format) noexcept {
  switch (format) {
    case SentinelFormat::kAuto: return "auto";
    case SentinelFormat::kLine: return "line";
    case SentinelFormat::kKeys: return "keys";
  }
  return "unknown";
}

Result<SentinelFormat> parse_format(std::string_view text) {
  for (const auto format : {SentinelFormat::kAuto, SentinelFormat::kLine, SentinelFormat::kKeys}) {
    if (text == format_name(format)) return format;
  }
  return fail(ErrorCode::kInvalidArgument, "the format of a sentinel is 'auto', 'line' or 'keys'");
}

SentinelContent read_sentinel(BytesView bytes, SentinelFormat format) {
  std::string_view text = as_text(bytes);
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (format == SentinelFormat::kLine) return read_line(text);
  SentinelContent content = read_keys(text);
  if (content.version.empty() && format == SentinelFormat::kAuto) {
    SentinelContent line = read_line(text);
    const bool a_key = line.version.find_first_of("=:[") != std::string::npos;
    if (!a_key) content.version = std::move(line.version);
  }
  return content;
}

}  // namespace warren::library
