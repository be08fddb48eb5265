#include "discovery/mdns/dns_name.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>

namespace warren::discovery {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_text(std::string_view a, std::string_view b) {
  // Length bytes are at most 63, below 'A': lower() leaves them alone.
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

Result<DnsName> DnsName::child(std::string_view label, const DnsName& parent) {
  if (label.empty() || label.size() > kDnsLabelBytesMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a label of a domain name has 1 to {} bytes, not {}", kDnsLabelBytesMax,
                            label.size()));
  }
  if (1 + label.size() + parent.wire_.size() > kDnsNameBytesMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a domain name has at most {} bytes", kDnsNameBytesMax));
  }
  DnsName name;
  name.wire_.reserve(1 + label.size() + parent.wire_.size());
  name.wire_.push_back(static_cast<char>(label.size()));
  name.wire_.append(label).append(parent.wire_);
  return name;
}

Result<DnsName> DnsName::parse(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  DnsName name;
  while (!text.empty()) {
    const std::size_t dot = text.rfind('.');
    const std::string_view label = dot == text.npos ? text : text.substr(dot + 1);
    WARREN_TRY(name, child(label, name));
    if (dot == text.npos) break;
    text = text.substr(0, dot);
    if (text.empty()) return child({}, name);  // The text began with a dot.
  }
  return name;
}

std::string_view DnsName::first_label() const noexcept {
  if (wire_.empty()) return {};
  return std::string_view(wire_).substr(1, static_cast<std::uint8_t>(wire_[0]));
}

DnsName DnsName::parent() const {
  DnsName rest;
  if (!wire_.empty()) rest.wire_ = wire_.substr(1 + first_label().size());
  return rest;
}

std::string DnsName::to_string() const {
  std::string text;
  for (std::size_t at = 0; at < wire_.size();) {
    const std::size_t length = static_cast<std::uint8_t>(wire_[at]);
    if (at != 0) text.push_back('.');
    for (const char c : std::string_view(wire_).substr(at + 1, length)) {
      const bool plain = c > ' ' && c < 0x7f && c != '.' && c != '\\';
      if (plain) {
        text.push_back(c);
      } else {
        text += fmt::format("\\{:03}", static_cast<std::uint8_t>(c));
      }
    }
    at += 1 + length;
  }
  return text.empty() ? "." : text;
}

bool same_name(const DnsName& a, const DnsName& b) noexcept {
  return a.wire().size() == b.wire().size() && same_text(a.wire(), b.wire());
}

bool is_child_of(const DnsName& name, const DnsName& parent) noexcept {
  const std::size_t label = name.first_label().size();
  return label != 0 && name.wire().size() == 1 + label + parent.wire().size() &&
         same_text(name.wire().substr(1 + label), parent.wire());
}

}  // namespace warren::discovery
