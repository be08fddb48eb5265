#pragma once
// What the swarm keeps of connections, handlers and inbound streams. Internal to the module.

#include <memory>
#include <utility>

#include "swarm/swarm.hpp"

namespace warren::swarm {

/// Two connections to one peer that came up within this time were dialled from both sides at once.
/// Source: above the stagger of a dial and a round trip, below a restart of a node.
inline constexpr Duration kSimultaneousWindow = 2s;
/// How long the spare one of the two is kept at least: until both sides know of both.
inline constexpr Duration kSpareTime = 5s;

/// A connection and what the swarm counts on it.
struct Swarm::Link {
  std::shared_ptr<Connection> connection;
  /// Counts it; the transport's, or else own_scope.
  resources::ConnectionScope* scope = nullptr;
  std::unique_ptr<resources::ConnectionScope> own_scope;
  TimePoint since;
  bool dropped = false;

  /// Whether streams should rather go here than to `other`.
  bool better_than(const Link& other) const {
    return is_twin_of(other) ? dialer() < other.dialer() : since >= other.since;
  }

  /// Whether the two were dialled from both sides at the same time.
  bool is_twin_of(const Link& other) const {
    const Duration apart = since > other.since ? since - other.since : other.since - since;
    return apart <= kSimultaneousWindow && dialer() != other.dialer();
  }

  const PeerId& dialer() const {
    const transport::ConnectionInfo& info = connection->info();
    return info.outbound ? info.local_peer : info.remote_peer;
  }
};

struct Swarm::Handler {
  StreamHandler serve;
};

/// What an inbound stream holds as long as its task exists.
struct Swarm::StreamSlot {
  LinkPtr link;
  std::unique_ptr<resources::StreamScope> scope;
  /// Kept, with what it captured, for as long as it serves.
  std::shared_ptr<Handler> handler;
  const PeerId& peer() const { return link->connection->info().remote_peer; }
};

/// An outbound stream, counted as long as its handle exists. Every call goes straight on.
class Swarm::CountedStream final : public Stream {
 public:
  CountedStream(std::unique_ptr<Stream> stream, std::unique_ptr<resources::StreamScope> scope)
      : scope_(std::move(scope)), stream_(std::move(stream)) {}

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    return stream_->read_some(out, deadline);
  }
  awaitable<Result<std::size_t>> read_full(MutableBytes out, TimePoint deadline) override {
    return stream_->read_full(out, deadline);
  }
  awaitable<Result<>> write(BytesView bytes, TimePoint deadline) override {
    return stream_->write(bytes, deadline);
  }
  awaitable<Result<>> write(SharedBytes bytes, TimePoint deadline) override {
    return stream_->write(std::move(bytes), deadline);
  }
  awaitable<Result<>> flush(TimePoint deadline) override { return stream_->flush(deadline); }
  void close_write() override { stream_->close_write(); }
  void reset(CloseCode code) override { stream_->reset(code); }
  std::uint64_t id() const override { return stream_->id(); }

 private:
  std::unique_ptr<resources::StreamScope> scope_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace warren::swarm
