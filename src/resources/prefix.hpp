#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/endpoint.hpp"
#include "base/result.hpp"

namespace warren::resources {

/// The addresses that share their first `bits` bits with `ip`.
struct Prefix {
  IpAddress ip;
  std::uint8_t bits = 0;  ///< 0 to 32 for IPv4, to 128 for IPv6.

  /// The bits of `ip` behind the first `bits` become 0. `bits` is cut to what `ip` has.
  static Prefix of(const IpAddress& ip, std::uint8_t bits);
  bool contains(const IpAddress& other) const;
  /// "192.0.2.0/24", or an address alone. Errors: kInvalidArgument.
  static Result<Prefix> parse(std::string_view text);
  /// An address alone when it is a whole one.
  std::string to_string() const;
  auto operator<=>(const Prefix&) const = default;
};

}  // namespace warren::resources
