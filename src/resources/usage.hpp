#pragma once
// The words of the resource manager: what is counted, where, and how much of it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace warren::resources {

enum class Direction : std::uint8_t { kInbound, kOutbound };

/// Whether a reservation may use all of a limit, or only three quarters of it: what makes a
/// transfer faster must leave room for what a connection cannot do without.
enum class Need : std::uint8_t { kNecessary, kOptional };

/// What is counted. An inbound stream counts in kStreamsInbound and kStreams, and so on.
enum class Resource : std::uint8_t {
  kMemory,
  kStreamsInbound,
  kStreamsOutbound,
  kStreams,
  kConnectionsInbound,
  kConnectionsOutbound,
  kConnections,
  kDescriptors,
  kRate,  ///< New connections of one address in a time; refused, never held.
};
inline constexpr std::size_t kResources = 9;
inline constexpr std::size_t kHeldResources = 8;  ///< All but kRate.

/// Who holds it. A connection stands in one of the first three; with a proven peer also in that
/// peer. A stream stands in its connection and all that this stands in, and, once it has a
/// protocol, in that protocol and that protocol's share of the peer.
enum class ScopeKind : std::uint8_t {
  kNode,          ///< Connections with a proven peer.
  kTransient,     ///< Connections whose peer is not proven yet.
  kAllowed,       ///< What is on the allow list and found no room in the two above.
  kPeer,          ///< All connections of one peer.
  kProtocol,      ///< All streams of one protocol.
  kProtocolPeer,  ///< The streams of one protocol with one peer.
  kConnection,
  kStream,
  kSource,  ///< Inbound connections of one address or prefix, from their first packet on.
};
inline constexpr std::size_t kScopeKinds = 9;

/// Stable snake_case names, for example "streams_inbound" and "protocol_peer".
std::string_view resource_name(Resource resource);
std::string_view scope_name(ScopeKind kind);

/// How much of each is held.
struct Usage {
  std::array<std::uint64_t, kHeldResources> held{};
  std::uint64_t of(Resource resource) const { return held[static_cast<std::size_t>(resource)]; }
  std::uint64_t memory_bytes() const { return of(Resource::kMemory); }
  std::uint64_t streams() const { return of(Resource::kStreams); }
  std::uint64_t connections() const { return of(Resource::kConnections); }
  bool operator==(const Usage&) const = default;
};

struct Refusals {
  ScopeKind scope;
  Resource resource;
  std::uint64_t count = 0;
};

}  // namespace warren::resources
