#include "peers/text.hpp"

#include <cstdint>

namespace warren::peers {
namespace {

struct Form {
  std::uint8_t mask, lead;
  std::size_t more;          // Bytes that follow.
  std::uint32_t first_code;  // Below it a shorter form exists.
};

constexpr Form kForms[] = {
    {0x80, 0x00, 0, 0}, {0xe0, 0xc0, 1, 0x80}, {0xf0, 0xe0, 2, 0x800}, {0xf8, 0xf0, 3, 0x10000}};

}  // namespace

bool is_plain_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const Form* form = nullptr;
    for (const Form& candidate : kForms) {
      if ((byte & candidate.mask) == candidate.lead) form = &candidate;
    }
    if (form == nullptr || text.size() - i <= form->more) return false;
    std::uint32_t code = byte & static_cast<std::uint8_t>(~form->mask);
    for (std::size_t k = 1; k <= form->more; ++k) {
      const auto next = static_cast<std::uint8_t>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3fu);
    }
    if (code < form->first_code || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      return false;
    }
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
    i += form->more + 1;
  }
  return true;
}

bool is_loopback_in(const resources::Prefix& prefix) {
  const IpAddress first4 = IpAddress::v4(127, 0, 0, 0);
  const auto only6 = IpAddress::parse("::1");
  return prefix.ip.is_loopback() || prefix.contains(first4) || (only6 && prefix.contains(*only6));
}

}  // namespace warren::peers
