#include <fmt/core.h>

#include <algorithm>

#include "runtime/resolver.hpp"

namespace warren::runtime {
namespace {

constexpr std::size_t kNameBytesMax = 253;
constexpr std::size_t kLabelBytesMax = 63;

bool may_stand_in_a_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

}  // namespace

Result<> check_host_name(std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    std::string shown(name.substr(0, kNameBytesMax));
    std::ranges::replace_if(shown, [](char c) { return c < ' ' || c > '~'; }, '?');
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is no host name: {}", shown, why),
                "write it in letters, digits, '-' and '.', as in node.example.org");
  };
  std::string_view rest = name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
  if (rest.empty()) return refuse("it is empty");
  if (rest.size() > kNameBytesMax) return refuse("it is longer than 253 characters");
  while (!rest.empty()) {
    const std::string_view label = rest.substr(0, rest.find('.'));
    if (label.empty()) return refuse("two dots stand together, or one at the front");
    if (label.size() > kLabelBytesMax) return refuse("a part is longer than 63 characters");
    if (!std::ranges::all_of(label, may_stand_in_a_name)) {
      return refuse("it has another character in it");
    }
    rest.remove_prefix(std::min(label.size() + 1, rest.size()));
  }
  return {};
}

}  // namespace warren::runtime
