#pragma once
// What the swarm keeps of connections, handlers and inbound streams. Internal to the module.

#include <map>
#include <memory>
#include <utility>

#include "swarm/swarm.hpp"

namespace warren::swarm {

/// Two connections to one peer that came up within this time were dialled from both sides at once.
/// Source: above the stagger of a dial and a round trip, below a restart of a node.
inline constexpr Duration kSimultaneousWindow = 2s;

/// A connection and what the swarm counts on it.
struct Swarm::Link {
  std::shared_ptr<Connection> connection;
  TimePoint since;
  std::size_t streams_inbound = 0;
  bool dropped = false;

  /// Whether streams should rather go here than to `other`.
  bool better_than(const Link& other) const {
    const Duration apart = since > other.since ? since - other.since : other.since - since;
    if (apart <= kSimultaneousWindow && dialer() != other.dialer()) {
      return dialer() < other.dialer();
    }
    return since >= other.since;
  }

  const PeerId& dialer() const {
    const transport::ConnectionInfo& info = connection->info();
    return info.outbound ? info.local_peer : info.remote_peer;
  }
};

struct Swarm::Handler {
  StreamHandler serve;
  HandlerLimits limits;
  std::size_t running = 0;
  std::map<PeerId, std::size_t> running_by_peer;
};

/// Counts an inbound stream as long as its task exists, and on its handler once it has one.
struct Swarm::StreamSlot {
  StreamSlot(Swarm& counted_in, LinkPtr counted_on)
      : swarm(counted_in), link(std::move(counted_on)), peer(link->connection->info().remote_peer) {
    ++swarm.streams_inbound_;
    ++link->streams_inbound;
  }
  ~StreamSlot() {
    --swarm.streams_inbound_;
    --link->streams_inbound;
    if (!handler) return;
    --handler->running;
    const auto found = handler->running_by_peer.find(peer);
    if (--found->second == 0) handler->running_by_peer.erase(found);
  }
  StreamSlot(const StreamSlot&) = delete;
  StreamSlot& operator=(const StreamSlot&) = delete;

  /// False at one of the handler's limits.
  bool take(std::shared_ptr<Handler> wanted) {
    const auto found = wanted->running_by_peer.find(peer);
    const std::size_t of_peer = found == wanted->running_by_peer.end() ? 0 : found->second;
    if (wanted->running >= wanted->limits.streams_max ||
        of_peer >= wanted->limits.streams_per_peer_max) {
      return false;
    }
    handler = std::move(wanted);
    ++handler->running;
    ++handler->running_by_peer[peer];
    return true;
  }

  Swarm& swarm;
  LinkPtr link;
  PeerId peer;
  std::shared_ptr<Handler> handler;
};

}  // namespace warren::swarm
