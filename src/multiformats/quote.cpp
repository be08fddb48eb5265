#include "multiformats/quote.hpp"

#include <fmt/core.h>

namespace warren::multiformats {

std::string quote(std::string_view text) {
  constexpr std::size_t kShownMax = 120;
  std::string quoted = "'";
  for (const char c : text.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      quoted += c;
    } else {
      quoted += fmt::format("\\x{:02x}", byte);
    }
  }
  if (text.size() > kShownMax) quoted += "...";
  return quoted += '\'';
}

}  // namespace warren::multiformats
