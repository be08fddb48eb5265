#include "catalog/patterns.hpp"

#include <algorithm>
#include <cstddef>

#include "library/entry.hpp"

namespace warren::catalog {
namespace {

/// Bytes of the character that begins at `at`: one of UTF-8, which '?' stands for.
std::size_t character_bytes(std::string_view text, std::size_t at) {
  std::size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
  return end - at;
}

/// Takes at most pattern.size() * text.size() steps: only the last '*' is ever tried again.
bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      t += character_bytes(text, t);
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      star_text += character_bytes(text, star_text);
      t = star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool is_glob(std::string_view pattern) {
  return pattern.find_first_of("*?") != std::string_view::npos;
}

}  // namespace

Result<> check_topic_pattern(std::string_view pattern) {
  // As a topic in which each '*' is a letter.
  std::string topic(pattern);
  std::ranges::replace(topic, '*', 'a');
  const auto checked = library::check_topic(topic);
  if (pattern.empty() || !checked) {
    return fail(ErrorCode::kInvalidArgument,
                pattern.empty() ? "an empty topic pattern" : checked.error().message(),
                "a topic, in which '*' stands for any part of it: weather, weather/*, */papers, *");
  }
  return {};
}

bool topic_matches(std::string_view pattern, std::string_view topic) {
  if (pattern.ends_with("/*") && topic_matches(pattern.substr(0, pattern.size() - 2), topic)) {
    return true;
  }
  return glob_matches(pattern, topic);
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view topic) {
  return std::ranges::any_of(patterns, [topic](const std::string& pattern) {
    return pattern.empty() || topic_matches(pattern, topic);
  });
}

bool name_matches(std::string_view pattern, std::string_view text) {
  const std::string wanted = lower(pattern);
  const std::string given = lower(text);
  if (is_glob(wanted)) return glob_matches(wanted, given);
  return given.find(wanted) != std::string::npos;
}

std::string glob_of_topic(std::string_view pattern) { return std::string(pattern); }

std::string glob_of_name(std::string_view pattern) {
  const bool glob = is_glob(pattern);
  std::string out = glob ? "" : "*";
  for (const char c : lower(pattern)) {
    if (c == '[') {
      out += "[[]";
    } else {
      out += c;
    }
  }
  if (!glob) out += '*';
  return out;
}

}  // namespace warren::catalog
