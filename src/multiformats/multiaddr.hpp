#pragma once
// Self-describing addresses. Source: multiformats/multiaddr, README.md and protocols.csv;
// libp2p specs, addressing/README.md.

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/endpoint.hpp"
#include "base/result.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::multiformats {

/// Protocol codes that the code names. Every code of the published table parses.
enum class Protocol : std::uint32_t {
  kIp4 = 4,
  kTcp = 6,
  kIp6 = 41,
  kIp6Zone = 42,
  kDns = 53,
  kDns4 = 54,
  kDns6 = 55,
  kDnsaddr = 56,
  kUdp = 273,
  kP2pCircuit = 290,
  kUnix = 400,
  kP2p = 421,
  kTls = 448,
  kSni = 449,
  kNoise = 454,
  kQuic = 460,
  kQuicV1 = 461,
  kWebtransport = 465,
  kCerthash = 466,
  kWs = 477,
  kWss = 478,
  kMemory = 777,
  kWebrtcDirect = 280,
  kWebrtc = 281,
  kHttpPath = 481,
};

/// One component: protocol code and raw value (ports big-endian, p2p as multihash bytes).
struct Component {
  Protocol protocol;
  Bytes value;
  auto operator<=>(const Component&) const = default;
};

/// An address by value, never empty unless default-constructed; compares by its binary form.
class Multiaddr {
 public:
  Multiaddr() = default;
  /// Errors: kInvalidArgument with the part that is wrong, kUnsupported for a protocol name that
  /// is not in the table, kTooLarge beyond limits::Messages::multiaddr_bytes_max.
  static Result<Multiaddr> parse(std::string_view text);
  /// Errors: kMalformed, kUnsupported for a code that is not in the table; kTooLarge.
  static Result<Multiaddr> from_bytes(BytesView bytes);

  /// /ip4/.../udp/PORT/quic-v1, /ip4/.../tcp/PORT. A link-local IPv6 scope becomes
  /// /ip6zone/INDEX.
  static Multiaddr quic(const Endpoint& endpoint);
  static Multiaddr tcp(const Endpoint& endpoint);
  static Multiaddr memory(std::uint64_t id);

  bool empty() const noexcept { return bytes_.empty(); }
  BytesView bytes() const noexcept { return as_bytes(bytes_); }
  /// Canonical text: /p2p in base58btc, /unix and /http-path as one percent-escaped segment.
  /// Parses back to the same address.
  std::string to_string() const;
  std::vector<Component> components() const;
  bool has(Protocol protocol) const;

  /// The IP and UDP or TCP port at the front (after an ip6zone), if it is such an address. The
  /// zone may be an interface's index or name; an unknown name gives scope 0.
  std::optional<Endpoint> endpoint() const;
  /// /ip4|ip6/.../udp/.../quic-v1, with or without /p2p behind it; no relay.
  bool is_quic() const;
  /// /ip4|ip6/.../tcp/... alone, with or without /p2p behind it.
  bool is_tcp() const;
  std::optional<std::uint64_t> memory_id() const;
  /// The last /p2p component: whom the address leads to.
  std::optional<PeerId> peer_id() const;
  /// Without a /p2p at the end.
  Multiaddr without_peer() const;
  /// With /p2p/<peer> appended; unchanged if it ends so already.
  Multiaddr with_peer(const PeerId& peer) const;
  Multiaddr encapsulate(const Multiaddr& inner) const;
  /// Cut before the last place where `inner` stands in it; unchanged if there is none. Empty when
  /// nothing is left.
  Multiaddr decapsulate(const Multiaddr& inner) const;

  auto operator<=>(const Multiaddr&) const = default;

 private:
  friend struct std::hash<Multiaddr>;
  std::string bytes_;
};

}  // namespace warren::multiformats

template <>
struct std::hash<warren::multiformats::Multiaddr> {
  std::size_t operator()(const warren::multiformats::Multiaddr& address) const noexcept {
    return std::hash<std::string>{}(address.bytes_);
  }
};

namespace warren {
using multiformats::Multiaddr;
}
