#include "transport/memory/memory_transport.hpp"

#include <fmt/core.h>

#include "runtime/cancellation.hpp"
#include "transport/memory/byte_stream.hpp"
#include "transport/memory/listener.hpp"

namespace warren::transport::memory {
namespace {

using runtime::Wake;

constexpr std::size_t kHandshakeBytes = 256;  // About what a key and its proof take.

/// A dial in progress. Held by the dialler and by the messages under way.
struct Attempt {
  std::unique_ptr<runtime::Signal> answered;
  std::shared_ptr<ConnectionState> dialler;
  std::shared_ptr<ConnectionState> listener;  ///< Its side, once it has answered.
  bool refused = false;
};

/// Makes the two sides know each other.
void introduce(const std::shared_ptr<ConnectionState>& a,
               const std::shared_ptr<ConnectionState>& b) {
  const auto tell = [](const std::shared_ptr<ConnectionState>& to,
                       const std::shared_ptr<ConnectionState>& about) {
    to->peer = about;
    to->peer_node = about->config.node;
    to->peer_window = about->config.stream_window_bytes;
    to->peer_streams_max = about->config.streams_inbound_max;
    to->info.remote_peer = about->info.local_peer;
    to->info.remote_address = about->info.local_address;
  };
  tell(a, b);
  tell(b, a);
}

/// At the listener: answers a dialler, or refuses it.
void answer(HubState& hub, std::uint64_t id, const std::shared_ptr<Attempt>& attempt,
            const crypto::PublicKey& dialler_key, std::uint64_t listener_node,
            std::uint64_t channel_back) {
  const auto listener = hub.find(id);
  const bool full = listener && listener->waiting.size() >= listener->backlog_max;
  auto side = listener && !full ? listener->make_side() : nullptr;
  if (side) {
    side->info.remote_key = dialler_key;
    side->info.local_address = Multiaddr::memory(id);
    introduce(attempt->dialler, side);
  }
  const std::uint64_t channel = side ? side->channel : channel_back;
  hub.link->carry(channel, listener_node, attempt->dialler->config.node, kHandshakeBytes,
                  [attempt, side] {
                    attempt->refused = side == nullptr;
                    attempt->listener = side;
                    attempt->answered->notify();
                  });
}

/// At the listener: the dialler has accepted its identity, the connection stands.
void establish(HubState& hub, std::uint64_t id, const std::shared_ptr<ConnectionState>& side,
               Duration rtt) {
  if (side->closed) return;
  side->stats.rtt = rtt;
  const auto listener = hub.find(id);
  if (!listener || listener->closed) {
    close_connection(side, CloseCode::kNone, "the listener is closed");
  } else if (listener->waiting.size() >= listener->backlog_max) {
    close_connection(side, CloseCode::kResourceLimit, "too many connections wait to be accepted");
  } else {
    listener->waiting.push_back(std::make_shared<MemoryConnection>(side));
    listener->arrived->notify();
  }
}

RawStream with_addresses(std::unique_ptr<HubStream> stream) {
  RawStream raw;
  raw.local_address = stream->local_address();
  raw.remote_address = stream->remote_address();
  raw.stream = std::move(stream);
  return raw;
}

awaitable<Result<RawStream>> prepare(std::unique_ptr<runtime::ByteStream> stream, TimePoint) {
  // What a listener of a hub accepts is nothing else.
  std::unique_ptr<HubStream> of_hub(static_cast<HubStream*>(stream.release()));
  co_return with_addresses(std::move(of_hub));
}

}  // namespace

awaitable<Result<std::shared_ptr<Connection>>> MemoryListener::accept() {
  const std::shared_ptr<ListenerState> self = state_;
  for (;;) {
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (self->closed) co_return fail(ErrorCode::kClosed, "the listener is closed");
    if (!self->waiting.empty()) {
      auto connection = std::move(self->waiting.front());
      self->waiting.pop_front();
      co_return connection;
    }
    co_await self->arrived->wait_until(kNever);
  }
}

void MemoryListener::close() { close_listener(*hub_, *state_); }

void close_listener(HubState& hub, ListenerState& state) {
  if (std::exchange(state.closed, true)) return;
  hub.listeners.erase(state.id);
  const auto unaccepted = std::exchange(state.waiting, {});
  state.arrived->notify();
}

MemoryTransport::MemoryTransport(runtime::Runtime& runtime, const Hub& hub,
                                 crypto::PublicKey identity, MemoryConfig config)
    : local_(std::make_shared<Local>(runtime, hub.state(), std::move(identity), config)) {
  if (config.securities.empty()) return;
  upgrader_ = std::make_unique<Upgrader>(runtime, local_->key, std::move(config.securities),
                                         "memory", config.upgrade);
}

MemoryTransport::~MemoryTransport() { close_all(); }

bool MemoryTransport::can_dial(const Multiaddr& address) const {
  return address.memory_id().has_value();
}
bool MemoryTransport::can_listen(const Multiaddr& address) const {
  return address.memory_id().has_value();
}

std::shared_ptr<ConnectionState> MemoryTransport::make_side(const std::shared_ptr<Local>& local,
                                                            bool outbound) {
  auto side = std::make_shared<ConnectionState>(local->runtime, local->hub, local->config);
  side->info.local_peer = local->peer;
  side->info.outbound = outbound;
  side->info.transport = "memory";
  std::erase_if(local->connections, [](const auto& entry) { return entry.second.expired(); });
  local->connections[++local->serial] = side;
  return side;
}

awaitable<Result<std::shared_ptr<Connection>>> MemoryTransport::dial(Multiaddr address,
                                                                     std::optional<PeerId> expected,
                                                                     TimePoint deadline) {
  const std::shared_ptr<Local> local = local_;
  const bool stop = co_await runtime::cancelled();
  if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
  const std::string what = fmt::format("dial {}", address.to_string());
  if (local->closed) co_return fail(ErrorCode::kClosed, what + ": the transport is closed");
  const auto id = address.memory_id();
  if (!id) co_return fail(ErrorCode::kUnsupported, what + ": not a /memory address");
  if (!expected) expected = address.peer_id();
  if (upgrader_) {
    WARREN_CO_TRY(auto stream, co_await connect_on_hub(local->runtime, local->hub,
                                                       local->config.node, *id, deadline));
    co_return co_await upgrader_->dial(with_addresses(std::move(stream)), std::move(expected),
                                       deadline);
  }
  const auto listener = local->hub->find(*id);
  if (!listener) co_return fail(ErrorCode::kUnreachable, what + ": nobody listens there");

  const auto attempt = std::make_shared<Attempt>();
  attempt->answered = local->runtime.make_signal();
  attempt->dialler = make_side(local, true);
  attempt->dialler->info.local_address = Multiaddr::memory(local->hub->new_id(local->config.node));
  const crypto::PublicKey listener_key = listener->key;
  const TimePoint begin = local->runtime.now();
  local->hub->link->carry(
      attempt->dialler->channel, local->config.node, listener->node, kHandshakeBytes,
      [hub = local->hub, id = *id, attempt, key = local->key, node = listener->node,
       back = local->hub->link->new_channel()] { answer(*hub, id, attempt, key, node, back); });
  const Wake wake = co_await attempt->answered->wait_until(deadline);
  if (wake == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  if (wake == Wake::kTimedOut) co_return fail(ErrorCode::kTimedOut, what + ": no answer in time");
  if (attempt->refused) co_return fail(ErrorCode::kUnreachable, what + ": refused");
  if (local->closed) co_return fail(ErrorCode::kClosed, what + ": the transport is closed");

  const std::shared_ptr<ConnectionState> self = attempt->dialler;
  if (expected && *expected != self->info.remote_peer) {
    co_return fail(ErrorCode::kIntegrity,
                   fmt::format("{}: expected peer {}, but {} answered", what, expected->to_string(),
                               self->info.remote_peer.to_string()));
  }
  self->info.remote_key = listener_key;
  self->stats.rtt = local->runtime.now() - begin;
  self->hub->link->carry(self->channel, self->config.node, self->peer_node, kHandshakeBytes,
                         [hub = self->hub, id = *id, side = attempt->listener,
                          rtt = self->stats.rtt] { establish(*hub, id, side, rtt); });
  co_return std::make_shared<MemoryConnection>(self);
}

Result<std::unique_ptr<Listener>> MemoryTransport::listen(const Multiaddr& address) {
  auto id = address.memory_id();
  const std::string what = fmt::format("listen on {}", address.to_string());
  if (local_->closed) return fail(ErrorCode::kClosed, what + ": the transport is closed");
  if (!id) return fail(ErrorCode::kUnsupported, what + ": not a /memory address");
  if (*id == 0) id = local_->hub->new_id(local_->config.node);
  if (local_->hub->find(*id) || local_->hub->find_stream_port(*id)) {
    return fail(ErrorCode::kConflict, what + ": the id is taken");
  }
  if (upgrader_) {
    auto source = listen_on_hub(local_->runtime, local_->hub, local_->config.node, *id,
                                local_->config.backlog_max);
    return upgrader_->listen(std::move(source),
                             {.address = Multiaddr::memory(*id), .prepare = &prepare});
  }
  const auto state = std::make_shared<ListenerState>(local_->runtime, *id);
  state->node = local_->config.node;
  state->key = local_->key;
  state->backlog_max = local_->config.backlog_max;
  state->make_side = [weak = std::weak_ptr<Local>(local_)]() -> std::shared_ptr<ConnectionState> {
    const auto local = weak.lock();
    return local && !local->closed ? make_side(local, false) : nullptr;
  };
  local_->hub->listeners[*id] = state;
  std::erase_if(local_->listeners, [](const auto& entry) { return entry.second.expired(); });
  local_->listeners[++local_->serial] = state;
  return std::make_unique<MemoryListener>(local_->hub, state);
}

void MemoryTransport::close_all() {
  local_->closed = true;
  for (const auto& [serial, weak] : std::exchange(local_->listeners, {})) {
    if (const auto listener = weak.lock()) close_listener(*local_->hub, *listener);
  }
  for (const auto& [serial, weak] : std::exchange(local_->connections, {})) {
    if (const auto connection = weak.lock()) {
      close_connection(connection, CloseCode::kNone, "the transport is closed");
    }
  }
}

awaitable<void> MemoryTransport::close() {
  close_all();
  if (upgrader_) co_await upgrader_->close();
}

}  // namespace warren::transport::memory
