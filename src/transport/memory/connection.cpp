#include "transport/memory/connection.hpp"

#include <fmt/core.h>

#include "runtime/cancellation.hpp"

namespace warren::transport::memory {
namespace {

/// The peer opened a stream.
void on_open(const std::shared_ptr<ConnectionState>& self, std::uint64_t id) {
  auto state = std::make_shared<StreamState>(self->runtime, id, self->peer_window);
  self->streams[id] = state;
  self->inbound.push_back(std::make_unique<MemoryStream>(self, std::move(state)));
  self->inbound_arrived->notify();
}

}  // namespace

void ConnectionState::send(std::size_t payload_bytes, Act act) {
  hub->link->carry(channel, config.node, peer_node, payload_bytes + kMessageBytes,
                   [weak = peer, act = std::move(act)]() mutable {
                     const auto other = weak.lock();
                     if (other && !other->closed) act(other);
                   });
}

void ConnectionState::send_to_stream(
    std::uint64_t id, std::size_t payload_bytes,
    std::move_only_function<void(ConnectionState&, StreamState&)> act) {
  send(payload_bytes,
       [id, act = std::move(act)](const std::shared_ptr<ConnectionState>& other) mutable {
         const auto found = other->streams.find(id);
         if (found == other->streams.end()) return;
         const std::shared_ptr<StreamState> stream = found->second;
         act(*other, *stream);
       });
}

void ConnectionState::end(ErrorCode code, std::string reason) {
  if (std::exchange(closed, true)) return;
  close_code = code;
  close_reason = std::move(reason);
  // Handles that nobody accepted erase themselves from `streams`.
  const auto unaccepted = std::exchange(inbound, {});
  for (const auto& [id, stream] : streams) {
    const Error error(code, "the connection has ended: " + close_reason);
    stream->read_error = error;
    stream->write_error = error;
    stream->arrived.clear();
    stream->wake();
  }
  inbound_arrived->notify();
  stream_credit.notify_all();
}

ConnectionStats MemoryConnection::stats() const {
  ConnectionStats stats = state_->stats;
  stats.streams_open = state_->streams.size();
  return stats;
}

awaitable<Result<std::unique_ptr<Stream>>> MemoryConnection::open_stream(TimePoint deadline) {
  const std::shared_ptr<ConnectionState> self = state_;
  for (;;) {
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (self->closed) {
      co_return fail(ErrorCode::kClosed,
                     "open a stream: the connection has ended: " + self->close_reason);
    }
    if (self->outbound_open < self->peer_streams_max) break;
    const runtime::Wake wake = co_await self->stream_credit.wait_until(deadline);
    if (wake == runtime::Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut,
                     fmt::format("open a stream: all {} that {} allows stayed in use",
                                 self->peer_streams_max, self->info.remote_peer.to_string()));
    }
  }
  ++self->outbound_open;
  // Even ids are the dialler's, odd ones the listener's.
  const std::uint64_t id = self->next_stream++ * 2 + (self->info.outbound ? 0 : 1);
  auto stream = std::make_shared<StreamState>(self->runtime, id, self->peer_window);
  self->streams[id] = stream;
  self->send(0, [id](const std::shared_ptr<ConnectionState>& other) { on_open(other, id); });
  co_return std::make_unique<MemoryStream>(self, std::move(stream));
}

awaitable<Result<std::unique_ptr<Stream>>> MemoryConnection::accept_stream() {
  const std::shared_ptr<ConnectionState> self = state_;
  for (;;) {
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (self->closed) {
      co_return fail(ErrorCode::kClosed, "the connection has ended: " + self->close_reason);
    }
    if (!self->inbound.empty()) {
      auto stream = std::move(self->inbound.front());
      self->inbound.pop_front();
      co_return stream;
    }
    co_await self->inbound_arrived->wait_until(kNever);
  }
}

void MemoryConnection::close(CloseCode code, std::string_view reason) {
  close_connection(state_, code, reason);
}

void close_connection(const std::shared_ptr<ConnectionState>& state, CloseCode code,
                      std::string_view reason) {
  if (state->closed) return;
  const std::string why = fmt::format("code {:#x}{}{}", static_cast<std::uint64_t>(code),
                                      reason.empty() ? "" : ", ", reason);
  const ErrorCode seen = code == CloseCode::kNone ? ErrorCode::kClosed : ErrorCode::kReset;
  state->send(reason.size(), [seen, why](const std::shared_ptr<ConnectionState>& other) {
    other->end(seen, "closed by the peer: " + why);
  });
  state->end(ErrorCode::kClosed, "closed here: " + why);
}

}  // namespace warren::transport::memory
