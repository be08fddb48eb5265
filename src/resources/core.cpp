#include "resources/core.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"
#include "base/log.hpp"

namespace warren::resources::detail {
namespace {

std::uint64_t limit_of(const limits::Holdings& limits, Resource resource) {
  switch (resource) {
    case Resource::kMemory: return limits.memory_bytes;
    case Resource::kStreamsInbound: return limits.streams_inbound;
    case Resource::kStreamsOutbound: return limits.streams_outbound;
    case Resource::kStreams: return limits.streams;
    case Resource::kConnectionsInbound: return limits.connections_inbound;
    case Resource::kConnectionsOutbound: return limits.connections_outbound;
    case Resource::kConnections: return limits.connections;
    case Resource::kDescriptors: return limits.descriptors;
    case Resource::kRate: return 0;
  }
  return 0;
}

std::string_view noun(Resource resource) {
  switch (resource) {
    case Resource::kMemory: return "bytes";
    case Resource::kStreamsInbound: return "inbound streams";
    case Resource::kStreamsOutbound: return "outbound streams";
    case Resource::kStreams: return "streams";
    case Resource::kConnectionsInbound: return "inbound connections";
    case Resource::kConnectionsOutbound: return "outbound connections";
    case Resource::kConnections: return "connections";
    case Resource::kDescriptors: return "file descriptors";
    case Resource::kRate: return "connections in a time";
  }
  return "";
}

std::string place(const Scope& scope) {
  switch (scope.kind) {
    case ScopeKind::kNode: return "in this node";
    case ScopeKind::kTransient: return "in handshakes";
    case ScopeKind::kAllowed: return "in the share of the allow list";
    case ScopeKind::kPeer: return "with one peer";
    case ScopeKind::kProtocol: return fmt::format("of {}", scope.protocol_name);
    case ScopeKind::kProtocolPeer: return fmt::format("of {} with one peer", scope.protocol_name);
    case ScopeKind::kConnection: return "on one connection";
    case ScopeKind::kStream: return "on one stream";
    case ScopeKind::kSource: return "from one address";
  }
  return "";
}

std::string_view subject(Resource resource) {
  switch (resource) {
    case Resource::kMemory: return "memory";
    case Resource::kStreamsInbound:
    case Resource::kStreamsOutbound:
    case Resource::kStreams: return "a stream";
    case Resource::kConnectionsInbound:
    case Resource::kConnectionsOutbound:
    case Resource::kConnections:
    case Resource::kDescriptors:
    case Resource::kRate: return "a connection";
  }
  return "";
}

}  // namespace

// ------------------------------------------------------------------------------------ scope

Scope::Scope(std::shared_ptr<Core> of, ScopeKind what, const limits::Holdings& most)
    : core(std::move(of)), kind(what), limits(most) {
  if (kind == ScopeKind::kConnection) core->connections.insert(this);
  if (kind == ScopeKind::kStream) core->streams.insert(this);
}

Scope::~Scope() {
  if (core == nullptr) return;
  WARREN_CHECK(usage == Usage{});
  switch (kind) {
    case ScopeKind::kConnection: core->connections.erase(this); break;
    case ScopeKind::kStream: core->streams.erase(this); break;
    // A new scope may stand in the place already only when this one was let go before.
    case ScopeKind::kPeer: core->peers.erase(peer_id); break;
    case ScopeKind::kProtocol: core->protocols.erase(protocol_name); break;
    case ScopeKind::kProtocolPeer: core->protocol_peers.erase({protocol_name, peer_id}); break;
    case ScopeKind::kNode:
    case ScopeKind::kTransient:
    case ScopeKind::kAllowed:
    case ScopeKind::kSource: break;
  }
}

Chain::Chain(Scope& scope) {
  add(&scope);
  Scope* connection = &scope;
  if (scope.kind == ScopeKind::kStream) {
    add(scope.protocol_peer.get());
    add(scope.protocol.get());
    connection = scope.connection.get();
    add(connection);
  }
  add(connection->peer.get());
  add(connection->pool);
}

// ------------------------------------------------------------------------------------- core

Core::Core(std::function<TimePoint()> clock, Manager::Options options)
    : now(std::move(clock)),
      limits(options.limits),
      refusals(options.report ? std::move(options.report)
                              : [](std::string line) { log::warn("limits", "{}", line); }),
      sources(limits),
      node(nullptr, ScopeKind::kNode, limits.node),
      transient(nullptr, ScopeKind::kTransient, limits.transient),
      allowed(nullptr, ScopeKind::kAllowed, limits.allowed) {}

Result<> Core::charge(std::span<Scope* const> scopes, const Usage& delta, Need need,
                      const std::string& who) {
  for (const Scope* scope : scopes) {
    for (std::size_t i = 0; i < kHeldResources; ++i) {
      if (delta.held[i] == 0) continue;
      const auto resource = static_cast<Resource>(i);
      std::uint64_t most = limit_of(scope->limits, resource);
      if (need == Need::kOptional) most -= most / 4;
      const std::uint64_t used = scope->usage.held[i];
      if (used <= most && delta.held[i] <= most - used) continue;
      const std::string why =
          resource == Resource::kMemory
              ? fmt::format("{} of {} bytes are in use {}, {} more are asked for", used, most,
                            place(*scope), delta.held[i])
              : fmt::format("{} {} {} are the most", most, noun(resource), place(*scope));
      if (need == Need::kOptional) {
        refusals.add_optional();
      } else {
        refusals.add(scope->kind, resource, who, why, now());
      }
      return fail(ErrorCode::kLimited,
                  fmt::format("{} {} is refused: {}", subject(resource), who, why));
    }
  }
  for (Scope* scope : scopes) {
    for (std::size_t i = 0; i < kHeldResources; ++i) scope->usage.held[i] += delta.held[i];
  }
  return {};
}

bool Core::fits(const Scope& scope, const Usage& delta) const {
  for (std::size_t i = 0; i < kHeldResources; ++i) {
    const std::uint64_t most = limit_of(scope.limits, static_cast<Resource>(i));
    const std::uint64_t used = scope.usage.held[i];
    if (delta.held[i] > 0 && (used > most || delta.held[i] > most - used)) return false;
  }
  return true;
}

void Core::uncharge(std::span<Scope* const> scopes, const Usage& delta) {
  for (Scope* scope : scopes) {
    for (std::size_t i = 0; i < kHeldResources; ++i) {
      WARREN_CHECK(scope->usage.held[i] >= delta.held[i]);
      scope->usage.held[i] -= delta.held[i];
    }
  }
}

Usage Core::total() const {
  Usage sum;
  for (std::size_t i = 0; i < kHeldResources; ++i) {
    sum.held[i] = node.usage.held[i] + transient.usage.held[i] + allowed.usage.held[i];
  }
  return sum;
}

void Core::note_peak() {
  const Usage sum = total();
  for (std::size_t i = 0; i < kHeldResources; ++i) {
    peak.held[i] = std::max(peak.held[i], sum.held[i]);
  }
}

std::shared_ptr<Scope> Core::peer_scope(const PeerId& peer) {
  std::weak_ptr<Scope>& place = peers[peer];
  if (auto there = place.lock()) return there;
  auto made = std::make_shared<Scope>(shared_from_this(), ScopeKind::kPeer, limits.peer);
  made->peer_id = peer;
  place = made;
  return made;
}

std::shared_ptr<Scope> Core::protocol_scope(const std::string& protocol) {
  std::weak_ptr<Scope>& place = protocols[protocol];
  if (auto there = place.lock()) return there;
  auto made = std::make_shared<Scope>(shared_from_this(), ScopeKind::kProtocol,
                                      protocol_limits(protocol, false));
  made->protocol_name = protocol;
  place = made;
  return made;
}

std::shared_ptr<Scope> Core::protocol_peer_scope(const std::string& protocol, const PeerId& peer) {
  std::weak_ptr<Scope>& place = protocol_peers[{protocol, peer}];
  if (auto there = place.lock()) return there;
  auto made = std::make_shared<Scope>(shared_from_this(), ScopeKind::kProtocolPeer,
                                      protocol_limits(protocol, true));
  made->protocol_name = protocol;
  made->peer_id = peer;
  place = made;
  return made;
}

limits::Holdings Core::protocol_limits(const std::string& protocol, bool of_one_peer) const {
  limits::Holdings most = of_one_peer ? limits.protocol_peer : limits.protocol;
  const auto found = protocol_maxima.find(protocol);
  if (found == protocol_maxima.end()) return most;
  most.streams_inbound = of_one_peer ? found->second.second : found->second.first;
  most.streams = most.streams_inbound + most.streams_outbound;
  return most;
}

bool Core::is_allowed(const IpAddress& ip) const {
  return std::ranges::any_of(allowed_prefixes,
                             [&](const Prefix& prefix) { return prefix.contains(ip); });
}

// ---------------------------------------------------------------------------------- amounts

namespace {
std::uint64_t& at(Usage& usage, Resource resource) {
  return usage.held[static_cast<std::size_t>(resource)];
}
}  // namespace

Usage one_connection(Direction direction, bool uses_descriptor) {
  Usage usage;
  at(usage, direction == Direction::kInbound ? Resource::kConnectionsInbound
                                             : Resource::kConnectionsOutbound) = 1;
  at(usage, Resource::kConnections) = 1;
  at(usage, Resource::kDescriptors) = uses_descriptor ? 1 : 0;
  return usage;
}

Usage one_stream(Direction direction) {
  Usage usage;
  at(usage,
     direction == Direction::kInbound ? Resource::kStreamsInbound : Resource::kStreamsOutbound) = 1;
  at(usage, Resource::kStreams) = 1;
  return usage;
}

Usage memory(std::size_t bytes) {
  Usage usage;
  at(usage, Resource::kMemory) = bytes;
  return usage;
}

}  // namespace warren::resources::detail
