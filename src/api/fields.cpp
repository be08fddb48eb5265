#include "api/fields.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "node/escape.hpp"

namespace warren::api {
namespace {

/// Longest text in a body: a path.
constexpr std::size_t kTextBytesMax = 4096;

bool is_text(const Json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.size() <= kTextBytesMax && text.find('\0') == std::string::npos;
}

}  // namespace

std::string Fields::required_text(std::string_view name) {
  std::string value = text(name);
  if (value.empty()) wrong(name, "is missing");
  return value;
}

std::string Fields::text(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (is_text(*value)) return value->get<std::string>();
  wrong(name, fmt::format("must be a text of at most {} bytes without NUL", kTextBytesMax));
  return {};
}

std::uint64_t Fields::number(std::string_view name, std::uint64_t fallback, std::uint64_t least,
                             std::uint64_t most) {
  const Json* value = find(name);
  if (value == nullptr) return fallback;
  if (value->is_number_unsigned() || (value->is_number_integer() && *value >= 0)) {
    const auto found = value->get<std::uint64_t>();
    if (found >= least && found <= most) return found;
  }
  wrong(name, fmt::format("must be a whole number from {} to {}", least, most));
  return fallback;
}

Duration Fields::seconds(std::string_view name, Duration fallback, Duration least, Duration most) {
  using Seconds = std::chrono::duration<double>;
  const Json* value = find(name);
  if (value == nullptr) return fallback;
  if (value->is_number()) {
    const auto found = value->get<double>();
    if (found >= Seconds(least).count() && found <= Seconds(most).count()) {
      return std::chrono::duration_cast<Duration>(Seconds(found));
    }
  }
  wrong(name, fmt::format("must be a number of seconds from {} to {}", Seconds(least).count(),
                          Seconds(most).count()));
  return fallback;
}

std::vector<std::string> Fields::texts(std::string_view name, std::size_t most) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  bool good = value->is_array() && value->size() <= most;
  std::vector<std::string> all;
  for (std::size_t i = 0; good && i < value->size(); ++i) {
    good = is_text((*value)[i]);
    if (good) all.push_back((*value)[i].get<std::string>());
  }
  if (!good) wrong(name, fmt::format("must be a list of at most {} texts", most));
  return all;
}

std::optional<bool> Fields::flag(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  wrong(name, "must be true or false");
  return std::nullopt;
}

std::optional<std::string> Fields::optional_text(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return text(name);
}

std::optional<std::map<std::string, std::string, std::less<>>> Fields::texts_by_name(
    std::string_view name, std::size_t most) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  std::map<std::string, std::string, std::less<>> texts;
  if (value->is_object() && value->size() <= most &&
      std::ranges::all_of(*value, [](const Json& item) { return is_text(item); })) {
    for (const auto& [key, item] : value->items()) texts.emplace(key, item.get<std::string>());
    return texts;
  }
  wrong(name, fmt::format("must be an object of at most {} texts", most));
  return std::nullopt;
}

Result<> Fields::finish() const {
  if (error_) return fail(*error_);
  for (const auto& [name, value] : body_.items()) {
    if (!known_.contains(name)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("unknown field '{}'", node::escape_for_display(name)));
    }
  }
  return {};
}

const Json* Fields::find(std::string_view name) {
  known_.emplace(name);
  const auto found = body_.find(std::string(name));
  return found == body_.end() || found->is_null() ? nullptr : &*found;
}

void Fields::wrong(std::string_view name, std::string_view what) {
  if (!error_) {
    error_.emplace(ErrorCode::kInvalidArgument, fmt::format("the field '{}' {}", name, what));
  }
}

}  // namespace warren::api
