#include "multiformats/address_protocols.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/endpoint.hpp"
#include "multiformats/multibase.hpp"
#include "multiformats/multihash.hpp"
#include "multiformats/peer_id.hpp"
#include "multiformats/quote.hpp"

namespace warren::multiformats {
namespace {

constexpr int V = kVariableSize;

// The first entry of a code gives the name that is written.
constexpr auto kTable = std::to_array<AddressProtocol>({
    {4, "ip4", 4, ValueKind::kIp4},
    {6, "tcp", 2, ValueKind::kPort},
    {33, "dccp", 2, ValueKind::kPort},
    {41, "ip6", 16, ValueKind::kIp6},
    {42, "ip6zone", V, ValueKind::kName},
    {43, "ipcidr", 1, ValueKind::kPrefix},
    {53, "dns", V, ValueKind::kName},
    {54, "dns4", V, ValueKind::kName},
    {55, "dns6", V, ValueKind::kName},
    {56, "dnsaddr", V, ValueKind::kName},
    {132, "sctp", 2, ValueKind::kPort},
    {273, "udp", 2, ValueKind::kPort},
    {275, "p2p-webrtc-star", 0, ValueKind::kNone},
    {276, "p2p-webrtc-direct", 0, ValueKind::kNone},
    {277, "p2p-stardust", 0, ValueKind::kNone},
    {280, "webrtc-direct", 0, ValueKind::kNone},
    {281, "webrtc", 0, ValueKind::kNone},
    {290, "p2p-circuit", 0, ValueKind::kNone},
    {301, "udt", 0, ValueKind::kNone},
    {302, "utp", 0, ValueKind::kNone},
    {400, "unix", V, ValueKind::kUnixPath},
    {421, "p2p", V, ValueKind::kPeer},
    {421, "ipfs", V, ValueKind::kPeer},
    {443, "https", 0, ValueKind::kNone},
    {444, "onion", 12, ValueKind::kOnion},
    {445, "onion3", 37, ValueKind::kOnion3},
    {446, "garlic64", V, ValueKind::kGarlic64},
    {447, "garlic32", V, ValueKind::kGarlic32},
    {448, "tls", 0, ValueKind::kNone},
    {449, "sni", V, ValueKind::kName},
    {454, "noise", 0, ValueKind::kNone},
    {460, "quic", 0, ValueKind::kNone},
    {461, "quic-v1", 0, ValueKind::kNone},
    {465, "webtransport", 0, ValueKind::kNone},
    {466, "certhash", V, ValueKind::kMultihash},
    {477, "ws", 0, ValueKind::kNone},
    {478, "wss", 0, ValueKind::kNone},
    {479, "p2p-websocket-star", 0, ValueKind::kNone},
    {480, "http", 0, ValueKind::kNone},
    {481, "http-path", V, ValueKind::kSegment},
    {777, "memory", V, ValueKind::kName},
});

constexpr std::size_t kNameBytesMax = 255;  // Source: RFC 1035, section 2.3.4.
// Source: go-multiaddr: a destination of 387 bytes or more; a hash of 32, or of 35 or more when
// the lease set is encrypted.
constexpr std::size_t kGarlic64BytesMin = 386;
constexpr std::size_t kGarlic32Bytes = 32;
constexpr std::size_t kGarlic32EncryptedBytesMin = 35;

auto wrong(std::string reason) { return fail(ErrorCode::kInvalidArgument, std::move(reason)); }

Result<std::uint16_t> number_from_text(std::string_view text, unsigned max) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // One text for each number: no sign, no leading zero.
  const bool canonical = !text.empty() && (text.size() == 1 || text.front() != '0');
  if (error != std::errc{} || end != text.data() + text.size() || !canonical || value > max) {
    return wrong(fmt::format("{} is not a number from 0 to {}", quote(text), max));
  }
  return static_cast<std::uint16_t>(value);
}

void append_port(Bytes& out, std::uint16_t port) {
  out.push_back(static_cast<std::uint8_t>(port >> 8));
  out.push_back(static_cast<std::uint8_t>(port));
}

std::uint16_t port_at(BytesView value, std::size_t offset) {
  return static_cast<std::uint16_t>(value[offset] << 8 | value[offset + 1]);
}

// IpAddress turns ::ffff:a.b.c.d into IPv4, which /ip6 has to spell out again.
Result<Bytes> ip_from_text(std::string_view text, bool want_v6) {
  const bool looks_v6 = text.find(':') != std::string_view::npos;
  auto ip = IpAddress::parse(text);
  if (!ip || looks_v6 != want_v6) {
    return wrong(fmt::format("{} is not an IPv{} address", quote(text), want_v6 ? 6 : 4));
  }
  Bytes raw;
  if (want_v6 && !ip->is_v6()) raw = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  append(raw, ip->bytes());
  return raw;
}

std::string ip6_to_text(BytesView value) {
  const auto ip = IpAddress::from_bytes(value);
  return ip->is_v6() ? ip->to_string() : "::ffff:" + ip->to_string();
}

Result<Bytes> onion_from_text(std::string_view text, std::size_t key_bytes) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return wrong(fmt::format("{} has no ':' and port", quote(text)));
  }
  WARREN_TRY(Bytes value, decode_bare(Base::kBase32, text.substr(0, colon)));
  if (value.size() != key_bytes) {
    return wrong(fmt::format("an onion name of {} bytes, not {}", value.size(), key_bytes));
  }
  WARREN_TRY(const std::uint16_t port, number_from_text(text.substr(colon + 1), 65'535));
  append_port(value, port);
  return value;
}

std::string onion_to_text(BytesView value) {
  const std::size_t key_bytes = value.size() - 2;
  return fmt::format("{}:{}", encode_bare(Base::kBase32, value.first(key_bytes)),
                     port_at(value, key_bytes));
}

// I2P's base 64 is base64url with '~' instead of '_', and with padding.
// Source: I2P specification, common structures.
std::string garlic64_to_text(BytesView value) {
  std::string text = encode_bare(Base::kBase64url, value);
  std::ranges::replace(text, '_', '~');
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

Result<Bytes> garlic64_from_text(std::string_view text) {
  if (text.find('_') != std::string_view::npos) {
    return wrong("'_' is no digit of I2P's base 64");
  }
  std::string url(text);
  std::ranges::replace(url, '~', '_');
  while (url.ends_with('=')) url.pop_back();
  return decode_bare(Base::kBase64url, url);
}

bool is_unreserved(std::uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

std::string percent_escape(BytesView value) {
  std::string text;
  for (const std::uint8_t byte : value) {
    if (is_unreserved(byte)) {
      text += static_cast<char>(byte);
    } else {
      text += fmt::format("%{:02X}", byte);
    }
  }
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<Bytes> percent_unescape(std::string_view text) {
  Bytes value;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      value.push_back(static_cast<std::uint8_t>(text[i]));
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return wrong(fmt::format("a '%' without two hexadecimal digits in {}", quote(text)));
    }
    value.push_back(static_cast<std::uint8_t>(high << 4 | low));
    i += 2;
  }
  return value;
}

Result<> check_name(BytesView value) {
  const bool printable =
      std::ranges::all_of(value, [](std::uint8_t c) { return c > 0x20 && c < 0x7f && c != '/'; });
  if (value.empty() || value.size() > kNameBytesMax || !printable) {
    return wrong(fmt::format("{} is not a name of 1 to {} printable ASCII characters without '/'",
                             quote(as_text(value)), kNameBytesMax));
  }
  return {};
}

Result<> check_segment(BytesView value) {
  if (value.empty()) return wrong("an empty path");
  if (std::ranges::find(value, 0) != value.end()) return wrong("a path with a NUL");
  return {};
}

// What a value of variable size, or an IPv6 value, must fulfil beyond its size.
Result<> check_meaning(ValueKind kind, BytesView value) {
  switch (kind) {
    case ValueKind::kName: return check_name(value);
    case ValueKind::kSegment:
    case ValueKind::kUnixPath: return check_segment(value);
    case ValueKind::kPeer: {
      WARREN_TRY_VOID(PeerId::from_bytes(value));
      return {};
    }
    case ValueKind::kMultihash: {
      WARREN_TRY_VOID(read_whole_multihash(value));
      return {};
    }
    case ValueKind::kGarlic64:
      if (value.size() >= kGarlic64BytesMin) return {};
      return wrong(fmt::format("a garlic64 value of {} bytes; {} is the least", value.size(),
                               kGarlic64BytesMin));
    case ValueKind::kGarlic32:
      if (value.size() == kGarlic32Bytes || value.size() >= kGarlic32EncryptedBytesMin) return {};
      return wrong(
          fmt::format("a garlic32 value of {} bytes, not 32 and not 35 or more", value.size()));
    case ValueKind::kNone:
    case ValueKind::kIp4:
    case ValueKind::kIp6:
    case ValueKind::kPort:
    case ValueKind::kPrefix:
    case ValueKind::kOnion:
    case ValueKind::kOnion3: return {};
  }
  return {};
}

Result<Bytes> unchecked_from_text(ValueKind kind, std::string_view text) {
  switch (kind) {
    case ValueKind::kNone: return Bytes{};
    case ValueKind::kIp4: return ip_from_text(text, false);
    case ValueKind::kIp6: return ip_from_text(text, true);
    case ValueKind::kPort: {
      WARREN_TRY(const std::uint16_t port, number_from_text(text, 65'535));
      Bytes value;
      append_port(value, port);
      return value;
    }
    case ValueKind::kPrefix: {
      WARREN_TRY(const std::uint16_t prefix, number_from_text(text, 255));
      return Bytes{static_cast<std::uint8_t>(prefix)};
    }
    case ValueKind::kName: return to_bytes(text);
    case ValueKind::kSegment:
    case ValueKind::kUnixPath: return percent_unescape(text);
    case ValueKind::kPeer: {
      WARREN_TRY(const PeerId id, PeerId::parse(text));
      return to_bytes(id.bytes());
    }
    case ValueKind::kOnion: return onion_from_text(text, 10);
    case ValueKind::kOnion3: return onion_from_text(text, 35);
    case ValueKind::kGarlic64: return garlic64_from_text(text);
    case ValueKind::kGarlic32: return decode_bare(Base::kBase32, text);
    case ValueKind::kMultihash: return decode_multibase(text);
  }
  return Bytes{};
}

}  // namespace

const AddressProtocol* find_address_protocol(std::uint32_t code) {
  const auto found = std::ranges::find(kTable, code, &AddressProtocol::code);
  return found == kTable.end() ? nullptr : &*found;
}

const AddressProtocol* find_address_protocol(std::string_view name) {
  const auto found = std::ranges::find(kTable, name, &AddressProtocol::name);
  return found == kTable.end() ? nullptr : &*found;
}

Result<Bytes> value_from_text(const AddressProtocol& protocol, std::string_view text) {
  auto value = unchecked_from_text(protocol.kind, text);
  if (!value) return wrong(value.error().message());
  if (auto checked = check_meaning(protocol.kind, *value); !checked) {
    return wrong(checked.error().message());
  }
  return value;
}

std::string value_to_text(const AddressProtocol& protocol, BytesView value) {
  switch (protocol.kind) {
    case ValueKind::kNone: return {};
    case ValueKind::kIp4: return IpAddress::from_bytes(value)->to_string();
    case ValueKind::kIp6: return ip6_to_text(value);
    case ValueKind::kPort: return fmt::format("{}", port_at(value, 0));
    case ValueKind::kPrefix: return fmt::format("{}", value[0]);
    case ValueKind::kName: return std::string(as_text(value));
    case ValueKind::kSegment:
    case ValueKind::kUnixPath: return percent_escape(value);
    case ValueKind::kPeer: return PeerId::from_bytes(value)->to_string();
    case ValueKind::kOnion:
    case ValueKind::kOnion3: return onion_to_text(value);
    case ValueKind::kGarlic64: return garlic64_to_text(value);
    case ValueKind::kGarlic32: return encode_bare(Base::kBase32, value);
    case ValueKind::kMultihash: return encode_multibase(Base::kBase64url, value);
  }
  return {};
}

Result<> check_value(const AddressProtocol& protocol, BytesView value) {
  if (auto checked = check_meaning(protocol.kind, value); !checked) {
    return fail(ErrorCode::kMalformed,
                fmt::format("/{}: {}", protocol.name, checked.error().message()));
  }
  return {};
}

}  // namespace warren::multiformats
