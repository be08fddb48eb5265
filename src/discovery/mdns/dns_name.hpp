#pragma once
// Domain names as labels of bytes. Source: RFC 1035 section 3.1; RFC 6762 section 16.

#include <compare>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace warren::discovery {

/// Bytes of one label. Source: RFC 1035 section 2.3.4.
inline constexpr std::size_t kDnsLabelBytesMax = 63;
/// Bytes of a name with its lengths, without the final zero. Source: same, 255 with the zero.
inline constexpr std::size_t kDnsNameBytesMax = 254;

/// A domain name as it stands on the wire without its final zero: labels of 1 to 63 bytes, each
/// behind its length, at most 254 bytes. The root is empty. Compares exactly; same_name() does not
/// look at the case of ASCII letters.
class DnsName {
 public:
  DnsName() = default;
  /// "_p2p._udp.local", with or without a final dot. A dot always separates labels.
  /// Errors: kInvalidArgument for an empty or overlong label or name.
  static Result<DnsName> parse(std::string_view text);

  bool empty() const noexcept { return wire_.empty(); }
  std::string_view wire() const noexcept { return wire_; }
  /// The first label, without its length; empty for the root.
  std::string_view first_label() const noexcept;
  /// The name without its first label.
  DnsName parent() const;
  /// `label` (1 to 63 bytes) in front of `parent`. Errors: kInvalidArgument.
  static Result<DnsName> child(std::string_view label, const DnsName& parent);
  /// For logs: unprintable bytes and dots inside labels as \DDD.
  std::string to_string() const;

  auto operator<=>(const DnsName&) const = default;

 private:
  friend class DnsReader;
  std::string wire_;
};

/// Whether both name the same thing. Source: RFC 6762 section 16, ASCII case only.
bool same_name(const DnsName& a, const DnsName& b) noexcept;
/// Whether `name` is one label in front of `parent`.
bool is_child_of(const DnsName& name, const DnsName& parent) noexcept;

}  // namespace warren::discovery
