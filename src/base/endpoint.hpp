#pragma once
// IP addresses and UDP/TCP endpoints, without any system header.

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren {

/// An IPv4 or IPv6 address in network byte order. IPv4-mapped IPv6 is never stored: it is IPv4.
class IpAddress {
 public:
  constexpr IpAddress() = default;  ///< 0.0.0.0
  static constexpr IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    IpAddress ip;
    ip.bytes_ = {a, b, c, d};
    return ip;
  }
  /// `raw` has 4 or 16 bytes. ::ffff:a.b.c.d becomes a.b.c.d.
  static Result<IpAddress> from_bytes(BytesView raw);
  /// "192.0.2.1" or "2001:db8::1"; no scope, no brackets.
  static Result<IpAddress> parse(std::string_view text);

  constexpr bool is_v6() const noexcept { return v6_; }
  BytesView bytes() const noexcept { return BytesView(bytes_).first(v6_ ? 16 : 4); }
  bool is_unspecified() const noexcept;
  bool is_loopback() const noexcept;
  bool is_multicast() const noexcept;
  /// 169.254/16 or fe80::/10.
  bool is_link_local() const noexcept;
  /// Loopback, link-local, RFC 1918, RFC 6598 or fc00::/7: not reachable from the Internet.
  bool is_private() const noexcept;
  std::string to_string() const;

  constexpr auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  bool v6_ = false;
};

struct Endpoint {
  IpAddress ip;
  std::uint16_t port = 0;
  /// Interface index of a link-local IPv6 address, else 0.
  std::uint32_t scope_id = 0;

  /// "192.0.2.1:4001", "[fe80::1%2]:4001".
  std::string to_string() const;
  constexpr auto operator<=>(const Endpoint&) const = default;
};

}  // namespace warren

template <>
struct std::hash<warren::Endpoint> {
  std::size_t operator()(const warren::Endpoint& endpoint) const noexcept {
    const auto bytes = endpoint.ip.bytes();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return std::hash<std::string_view>{}(text) ^
           (std::size_t{endpoint.port} * 0x9e3779b97f4a7c15u) ^ endpoint.scope_id;
  }
};
