#include "api/router.hpp"

#include <fmt/format.h>

#include <optional>

namespace warren::api {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return std::nullopt;
}

}  // namespace

void Router::add(std::string method, std::string_view pattern, Handler handler) {
  Route route{.method = std::move(method), .segments = {}, .handler = std::move(handler)};
  for (const std::string_view segment : split(pattern, '/')) route.segments.emplace_back(segment);
  routes_.push_back(std::move(route));
}

Result<Router::Match> Router::find(std::string_view method, std::string_view target) const {
  Match match;
  const std::size_t mark = target.find('?');
  if (mark != std::string_view::npos) {
    for (const std::string_view pair : split(target.substr(mark + 1), '&')) {
      if (pair.empty()) continue;
      const std::size_t equals = pair.find('=');
      WARREN_TRY(std::string name, percent_decode(pair.substr(0, equals)));
      std::string value;
      if (equals != std::string_view::npos) {
        WARREN_TRY(value, percent_decode(pair.substr(equals + 1)));
      }
      match.query.insert_or_assign(std::move(name), std::move(value));
    }
  }
  std::vector<std::string> segments;
  for (const std::string_view segment : split(target.substr(0, mark), '/')) {
    WARREN_TRY(std::string decoded, percent_decode(segment));
    segments.push_back(std::move(decoded));
  }
  bool path_exists = false;
  for (const Route& route : routes_) {
    if (route.segments.size() != segments.size()) continue;
    match.path.clear();
    bool fits = true;
    for (std::size_t i = 0; fits && i < segments.size(); ++i) {
      const std::string& wanted = route.segments[i];
      if (wanted.starts_with('{')) {
        fits = !segments[i].empty();
        match.path[wanted.substr(1, wanted.size() - 2)] = segments[i];
      } else {
        fits = wanted == segments[i];
      }
    }
    if (!fits) continue;
    path_exists = true;
    if (route.method != method) continue;
    match.handler = &route.handler;
    return match;
  }
  if (path_exists) {
    return fail(ErrorCode::kUnsupported, fmt::format("this path does not take {}", method));
  }
  return fail(ErrorCode::kNotFound, "the daemon has no such route",
              "the daemon may be of another version: restart it with 'warren up'");
}

std::vector<std::string> Router::list() const {
  std::vector<std::string> all;
  for (const Route& route : routes_) {
    all.push_back(fmt::format("{} {}", route.method, fmt::join(route.segments, "/")));
  }
  return all;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto high = i + 1 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
    if (!high || !low || (*high == 0 && *low == 0)) {
      return fail(ErrorCode::kInvalidArgument, "the path or query has a bad % escape");
    }
    out += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace warren::api
