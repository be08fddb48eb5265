#include "multiformats/multiaddr.hpp"

#include <fmt/core.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>

#include "base/limits.hpp"
#include "base/varint.hpp"
#include "multiformats/address_protocols.hpp"
#include "multiformats/quote.hpp"

namespace warren::multiformats {
namespace {

constexpr std::size_t kBytesMax = limits::Messages{}.multiaddr_bytes_max;
// Every byte of a value can take three characters of text, and names stand between them.
constexpr std::size_t kTextMax = 4 * kBytesMax;

struct Part {
  const AddressProtocol* protocol = nullptr;
  BytesView value;
  std::size_t size = 0;  // Bytes of the whole component.
};

// Reads the component at the front of `bytes`, which is not empty.
Result<Part> read_part(BytesView bytes) {
  WARREN_TRY(const Uvarint code, read_whole_uvarint(bytes));
  const AddressProtocol* const protocol =
      code.value <= UINT32_MAX ? find_address_protocol(static_cast<std::uint32_t>(code.value))
                               : nullptr;
  if (protocol == nullptr) {
    return fail(ErrorCode::kUnsupported, fmt::format("protocol code {} is unknown", code.value));
  }
  std::size_t header_bytes = code.size;
  auto value_bytes = static_cast<std::uint64_t>(std::max(protocol->value_bytes, 0));
  if (protocol->value_bytes == kVariableSize) {
    WARREN_TRY(const Uvarint length, read_whole_uvarint(bytes.subspan(code.size)));
    header_bytes += length.size;
    value_bytes = length.value;
  }
  if (bytes.size() - header_bytes < value_bytes) {
    return fail(ErrorCode::kMalformed,
                fmt::format("/{} has a value of {} bytes, but {} are left", protocol->name,
                            value_bytes, bytes.size() - header_bytes));
  }
  const auto size = static_cast<std::size_t>(value_bytes);
  const BytesView value = bytes.subspan(header_bytes, size);
  WARREN_TRY_VOID(check_value(*protocol, value));
  return Part{protocol, value, header_bytes + size};
}

// Walks over bytes that were checked when the address was made.
template <class Visitor>
void for_each_part(BytesView bytes, Visitor visit) {
  while (!bytes.empty()) {
    const Part part = *read_part(bytes);
    visit(part);
    bytes = bytes.subspan(part.size);
  }
}

std::vector<Part> parts_of(BytesView bytes) {
  std::vector<Part> parts;
  for_each_part(bytes, [&parts](const Part& part) { parts.push_back(part); });
  return parts;
}

void append_part(Bytes& out, const AddressProtocol& protocol, BytesView value) {
  append_uvarint(out, protocol.code);
  if (protocol.value_bytes == kVariableSize) append_uvarint(out, value.size());
  append(out, value);
}

void append_part(Bytes& out, Protocol code, BytesView value = {}) {
  append_part(out, *find_address_protocol(static_cast<std::uint32_t>(code)), value);
}

bool is(const Part& part, Protocol protocol) {
  return part.protocol->code == static_cast<std::uint32_t>(protocol);
}

// A unix path that does not start with '/' is written as one segment without one, which only the
// end of an address can tell from the old form (see take_segment).
bool is_relative_path(const Part& part) {
  return part.protocol->kind == ValueKind::kUnixPath && part.value.front() != '/';
}

// Cuts what lies up to the next '/' off the front of `rest`.
std::string_view take_segment(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view segment = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  return segment;
}

// The value text of `protocol` at the front of `rest`. A unix path is one percent-escaped segment
// ("%2Ftmp%2Fsocket"); in the old form ("tmp/socket") the rest of the address is the path.
Result<Bytes> take_value(const AddressProtocol& protocol, std::string_view& rest) {
  const std::string_view whole = rest;
  WARREN_TRY(Bytes value, value_from_text(protocol, take_segment(rest)));
  if (protocol.kind != ValueKind::kUnixPath || value.front() == '/' || rest.empty()) return value;
  rest = {};
  return value_from_text(protocol, "/" + std::string(whole));
}

Result<Bytes> bytes_of_text(std::string_view text) {
  if (!text.starts_with('/')) {
    return fail(ErrorCode::kInvalidArgument, "it does not start with '/'");
  }
  std::string_view rest = text.substr(1);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty()) return fail(ErrorCode::kInvalidArgument, "it is empty");
  Bytes bytes;
  while (!rest.empty()) {
    const std::string_view name = take_segment(rest);
    const AddressProtocol* const protocol = find_address_protocol(name);
    if (protocol == nullptr) {
      return fail(name.empty() ? ErrorCode::kInvalidArgument : ErrorCode::kUnsupported,
                  fmt::format("protocol {} is unknown", quote(name)));
    }
    Bytes value;
    if (protocol->kind != ValueKind::kNone) {
      if (rest.empty()) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("/{} needs a value", name));
      }
      auto taken = take_value(*protocol, rest);
      if (!taken) return fail(std::move(taken).error().in(fmt::format("/{}", name)));
      value = std::move(*taken);
    }
    append_part(bytes, *protocol, value);
  }
  return bytes;
}

// The interface index of a zone: decimal, as it is written here, or the name of an interface of
// this machine, as people type it. 0 when unknown.
std::uint32_t scope_of_zone(BytesView zone) {
  const std::string name(as_text(zone));
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error == std::errc{} && end == name.data() + name.size()) return index;
  return ::if_nametoindex(name.c_str());
}

Bytes bytes_of_endpoint(const Endpoint& endpoint, Protocol transport) {
  Bytes bytes;
  if (endpoint.scope_id != 0 && endpoint.ip.is_v6()) {
    append_part(bytes, Protocol::kIp6Zone, as_bytes(std::to_string(endpoint.scope_id)));
  }
  append_part(bytes, endpoint.ip.is_v6() ? Protocol::kIp6 : Protocol::kIp4, endpoint.ip.bytes());
  const std::uint8_t port[] = {static_cast<std::uint8_t>(endpoint.port >> 8),
                               static_cast<std::uint8_t>(endpoint.port)};
  append_part(bytes, transport, port);
  return bytes;
}

// The place of the transport's port in an address that starts with [ip6zone] ip4|ip6 tcp|udp;
// 0 when it is not of this shape.
std::size_t transport_index(const std::vector<Part>& parts) {
  const std::size_t ip = !parts.empty() && is(parts[0], Protocol::kIp6Zone) ? 1 : 0;
  if (parts.size() < ip + 2) return 0;
  const bool v4 = ip == 0 && is(parts[ip], Protocol::kIp4);
  if (!v4 && !is(parts[ip], Protocol::kIp6)) return 0;
  const Part& transport = parts[ip + 1];
  return is(transport, Protocol::kUdp) || is(transport, Protocol::kTcp) ? ip + 1 : 0;
}

// Whether from `index` on there is nothing, or one /p2p.
bool ends_or_names_peer(const std::vector<Part>& parts, std::size_t index) {
  return index == parts.size() || (index + 1 == parts.size() && is(parts[index], Protocol::kP2p));
}

}  // namespace

Result<Multiaddr> Multiaddr::parse(std::string_view text) {
  if (text.size() > kTextMax) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("an address of {} characters; {} is the most", text.size(), kTextMax));
  }
  auto bytes = bytes_of_text(text);
  if (!bytes) {
    return fail(bytes.error().code(),
                fmt::format("{} is not a multiaddr: {}", quote(text), bytes.error().message()),
                "an address looks like /ip4/192.0.2.1/udp/4001/quic-v1");
  }
  return from_bytes(*bytes);
}

Result<Multiaddr> Multiaddr::from_bytes(BytesView bytes) {
  if (bytes.empty()) return fail(ErrorCode::kMalformed, "an empty multiaddr");
  if (bytes.size() > kBytesMax) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("a multiaddr of {} bytes; {} is the most", bytes.size(), kBytesMax));
  }
  for (BytesView rest = bytes; !rest.empty();) {
    auto part = read_part(rest);
    if (!part) return fail(std::move(part).error().in("multiaddr"));
    rest = rest.subspan(part->size);
    if (is_relative_path(*part) && !rest.empty()) {
      return fail(ErrorCode::kMalformed, "multiaddr: components behind a relative unix path");
    }
  }
  Multiaddr address;
  address.bytes_ = as_text(bytes);
  return address;
}

Multiaddr Multiaddr::quic(const Endpoint& endpoint) {
  Bytes bytes = bytes_of_endpoint(endpoint, Protocol::kUdp);
  append_part(bytes, Protocol::kQuicV1);
  Multiaddr address;
  address.bytes_ = as_text(bytes);
  return address;
}

Multiaddr Multiaddr::tcp(const Endpoint& endpoint) {
  Multiaddr address;
  address.bytes_ = as_text(bytes_of_endpoint(endpoint, Protocol::kTcp));
  return address;
}

Multiaddr Multiaddr::memory(std::uint64_t id) {
  Bytes bytes;
  append_part(bytes, Protocol::kMemory, as_bytes(std::to_string(id)));
  Multiaddr address;
  address.bytes_ = as_text(bytes);
  return address;
}

std::string Multiaddr::to_string() const {
  std::string text;
  for_each_part(bytes(), [&text](const Part& part) {
    text += '/';
    text += part.protocol->name;
    if (part.protocol->kind == ValueKind::kNone) return;
    text += '/';
    text += value_to_text(*part.protocol, part.value);
  });
  return text;
}

std::vector<Component> Multiaddr::components() const {
  std::vector<Component> components;
  for_each_part(bytes(), [&components](const Part& part) {
    components.push_back({static_cast<Protocol>(part.protocol->code), to_bytes(part.value)});
  });
  return components;
}

bool Multiaddr::has(Protocol protocol) const {
  return std::ranges::any_of(parts_of(bytes()),
                             [protocol](const Part& part) { return is(part, protocol); });
}

std::optional<Endpoint> Multiaddr::endpoint() const {
  const std::vector<Part> parts = parts_of(bytes());
  const std::size_t index = transport_index(parts);
  if (index == 0) return std::nullopt;
  const BytesView port = parts[index].value;
  Endpoint endpoint{*IpAddress::from_bytes(parts[index - 1].value),
                    static_cast<std::uint16_t>(port[0] << 8 | port[1]), 0};
  if (index == 2 && endpoint.ip.is_v6()) endpoint.scope_id = scope_of_zone(parts[0].value);
  return endpoint;
}

bool Multiaddr::is_quic() const {
  const std::vector<Part> parts = parts_of(bytes());
  const std::size_t index = transport_index(parts);
  return index != 0 && is(parts[index], Protocol::kUdp) && index + 1 < parts.size() &&
         is(parts[index + 1], Protocol::kQuicV1) && ends_or_names_peer(parts, index + 2);
}

bool Multiaddr::is_tcp() const {
  const std::vector<Part> parts = parts_of(bytes());
  const std::size_t index = transport_index(parts);
  return index != 0 && is(parts[index], Protocol::kTcp) && ends_or_names_peer(parts, index + 1);
}

std::optional<std::uint64_t> Multiaddr::memory_id() const {
  const std::vector<Part> parts = parts_of(bytes());
  if (parts.empty() || !is(parts[0], Protocol::kMemory)) return std::nullopt;
  if (!ends_or_names_peer(parts, 1)) return std::nullopt;
  const std::string_view text = as_text(parts[0].value);
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return id;
}

std::optional<PeerId> Multiaddr::peer_id() const {
  std::optional<PeerId> last;
  for_each_part(bytes(), [&last](const Part& part) {
    if (is(part, Protocol::kP2p)) last = *PeerId::from_bytes(part.value);
  });
  return last;
}

Multiaddr Multiaddr::without_peer() const {
  const std::vector<Part> parts = parts_of(bytes());
  Multiaddr shorter = *this;
  if (!parts.empty() && is(parts.back(), Protocol::kP2p)) {
    shorter.bytes_.resize(bytes_.size() - parts.back().size);
  }
  return shorter;
}

Multiaddr Multiaddr::with_peer(const PeerId& peer) const {
  Bytes end;
  append_part(end, Protocol::kP2p, peer.bytes());
  const std::vector<Part> parts = parts_of(bytes());
  if (!parts.empty() && is(parts.back(), Protocol::kP2p) &&
      std::ranges::equal(parts.back().value, peer.bytes())) {
    return *this;
  }
  Multiaddr longer = *this;
  longer.bytes_ += as_text(end);
  return longer;
}

Multiaddr Multiaddr::encapsulate(const Multiaddr& inner) const {
  Multiaddr joined = *this;
  joined.bytes_ += inner.bytes_;
  return joined;
}

Multiaddr Multiaddr::decapsulate(const Multiaddr& inner) const {
  if (inner.empty()) return *this;
  std::size_t offset = 0;
  std::size_t cut = bytes_.size();
  for_each_part(bytes(), [&](const Part& part) {
    if (std::string_view(bytes_).substr(offset).starts_with(inner.bytes_)) cut = offset;
    offset += part.size;
  });
  Multiaddr outer = *this;
  outer.bytes_.resize(cut);
  return outer;
}

}  // namespace warren::multiformats
