#include "base/endpoint.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace warren {
namespace {
constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}  // namespace

Result<IpAddress> IpAddress::from_bytes(BytesView raw) {
  IpAddress ip;
  if (raw.size() == 16 && std::ranges::equal(raw.first(12), kMappedPrefix)) raw = raw.subspan(12);
  if (raw.size() != 4 && raw.size() != 16) {
    return fail(ErrorCode::kMalformed, fmt::format("an IP address of {} bytes", raw.size()));
  }
  std::ranges::copy(raw, ip.bytes_.begin());
  ip.v6_ = raw.size() == 16;
  return ip;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string zero_ended(text);
  std::array<std::uint8_t, 16> raw{};
  if (zero_ended.size() == text.size() && std::strlen(zero_ended.c_str()) == text.size()) {
    if (::inet_pton(AF_INET, zero_ended.c_str(), raw.data()) == 1) {
      return from_bytes(BytesView(raw).first(4));
    }
    if (::inet_pton(AF_INET6, zero_ended.c_str(), raw.data()) == 1) return from_bytes(raw);
  }
  return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is not an IP address", text));
}

bool IpAddress::is_unspecified() const noexcept {
  return std::ranges::all_of(bytes(), [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const noexcept {
  if (!v6_) return bytes_[0] == 127;
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_multicast() const noexcept {
  return v6_ ? bytes_[0] == 0xff : (bytes_[0] & 0xf0) == 0xe0;
}

bool IpAddress::is_link_local() const noexcept {
  return v6_ ? bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80
             : bytes_[0] == 169 && bytes_[1] == 254;
}

bool IpAddress::is_private() const noexcept {
  if (is_loopback() || is_link_local()) return true;
  if (v6_) return (bytes_[0] & 0xfe) == 0xfc;
  return bytes_[0] == 10 || (bytes_[0] == 172 && (bytes_[1] & 0xf0) == 16) ||
         (bytes_[0] == 192 && bytes_[1] == 168) || (bytes_[0] == 100 && (bytes_[1] & 0xc0) == 64);
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), text, sizeof text);
  return text;
}

std::string Endpoint::to_string() const {
  if (!ip.is_v6()) return fmt::format("{}:{}", ip.to_string(), port);
  if (scope_id == 0) return fmt::format("[{}]:{}", ip.to_string(), port);
  return fmt::format("[{}%{}]:{}", ip.to_string(), scope_id, port);
}

}  // namespace warren
