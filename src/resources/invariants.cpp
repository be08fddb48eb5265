// Every sum is the sum of its parts; nothing is above its limit.

#include <map>

#include "base/check.hpp"
#include "resources/core.hpp"

namespace warren::resources {
namespace {

using detail::Scope;

void add(Usage& sum, const Usage& part) {
  for (std::size_t i = 0; i < kHeldResources; ++i) sum.held[i] += part.held[i];
}

Usage of(const std::map<const Scope*, Usage>& sums, const Scope& scope) {
  const auto found = sums.find(&scope);
  return found == sums.end() ? Usage{} : found->second;
}

bool within(const Usage& usage, const limits::Holdings& most) {
  return usage.of(Resource::kMemory) <= most.memory_bytes &&
         usage.of(Resource::kStreamsInbound) <= most.streams_inbound &&
         usage.of(Resource::kStreamsOutbound) <= most.streams_outbound &&
         usage.of(Resource::kStreams) <= most.streams &&
         usage.of(Resource::kConnectionsInbound) <= most.connections_inbound &&
         usage.of(Resource::kConnectionsOutbound) <= most.connections_outbound &&
         usage.of(Resource::kConnections) <= most.connections &&
         usage.of(Resource::kDescriptors) <= most.descriptors;
}

}  // namespace

void Manager::check_invariants() const {
  const detail::Core& core = *core_;
  std::map<const Scope*, Usage> in_connections;  // Of their streams.
  std::map<const Scope*, Usage> sums;            // Of all above.
  for (const Scope* stream : core.streams) {
    add(in_connections[stream->connection.get()], stream->usage);
    if (stream->protocol != nullptr) add(sums[stream->protocol.get()], stream->usage);
    if (stream->protocol_peer != nullptr) add(sums[stream->protocol_peer.get()], stream->usage);
    WARREN_CHECK(within(stream->usage, stream->limits));
  }
  for (const Scope* connection : core.connections) {
    // A connection has memory of its own beside that of its streams, and is itself counted in it.
    const Usage of_streams = of(in_connections, *connection);
    WARREN_CHECK(connection->usage.memory_bytes() >= of_streams.memory_bytes());
    for (const Resource resource :
         {Resource::kStreams, Resource::kStreamsInbound, Resource::kStreamsOutbound}) {
      WARREN_CHECK(connection->usage.of(resource) == of_streams.of(resource));
    }
    WARREN_CHECK(connection->usage.connections() <= 1);
    WARREN_CHECK(within(connection->usage, connection->limits));
    add(sums[connection->pool], connection->usage);
    if (connection->peer != nullptr) add(sums[connection->peer.get()], connection->usage);
    WARREN_CHECK((connection->peer == nullptr) || (connection->pool != &core.transient));
  }
  for (const Scope* pool : {&core.node, &core.transient, &core.allowed}) {
    WARREN_CHECK(pool->usage == of(sums, *pool));
    WARREN_CHECK(within(pool->usage, pool->limits));
  }
  const auto check_table = [&](const auto& table, bool limit_may_sink) {
    for (const auto& [key, weak] : table) {
      const auto scope = weak.lock();
      if (scope == nullptr) continue;
      WARREN_CHECK(scope->usage == of(sums, *scope));
      WARREN_CHECK(limit_may_sink || within(scope->usage, scope->limits));
    }
  };
  check_table(core.peers, false);
  check_table(core.protocols, true);
  check_table(core.protocol_peers, true);
  WARREN_CHECK(core.sources.size() <= 2 * core.limits.sources_max);
}

}  // namespace warren::resources
