#include "resources/prefix.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace warren::resources {
namespace {

std::uint8_t whole_bits(const IpAddress& ip) { return ip.is_v6() ? 128 : 32; }

}  // namespace

Prefix Prefix::of(const IpAddress& ip, std::uint8_t bits) {
  const std::uint8_t kept = std::min(bits, whole_bits(ip));
  Bytes raw = to_bytes(ip.bytes());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const std::size_t first = i * 8;
    if (first >= kept) {
      raw[i] = 0;
    } else if (kept - first < 8) {
      raw[i] = static_cast<std::uint8_t>(raw[i] & (0xff00u >> (kept - first)));
    }
  }
  const auto masked = IpAddress::from_bytes(raw);
  // The front of a mapped address cannot come out of one that is not: those are IPv4 already.
  return {masked ? *masked : ip, kept};
}

bool Prefix::contains(const IpAddress& other) const {
  return other.is_v6() == ip.is_v6() && of(other, bits).ip == of(ip, bits).ip;
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  WARREN_TRY(const IpAddress ip, IpAddress::parse(text.substr(0, slash)));
  if (slash == std::string_view::npos) return Prefix{ip, whole_bits(ip)};
  const std::string_view digits = text.substr(slash + 1);
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.size() > 3 ||
      bits > whole_bits(ip)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not a prefix: behind the slash stands a number of bits, 0 to "
                            "{}",
                            text, whole_bits(ip)));
  }
  return of(ip, static_cast<std::uint8_t>(bits));
}

std::string Prefix::to_string() const {
  if (bits == whole_bits(ip)) return ip.to_string();
  return fmt::format("{}/{}", ip.to_string(), bits);
}

}  // namespace warren::resources
