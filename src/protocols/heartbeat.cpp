#include "protocols/heartbeat.hpp"

#include <utility>

#include "base/log.hpp"

namespace warren::protocols {

using swarm::Connection;
using Verdict = HeartbeatMachine::Verdict;

Heartbeat::Heartbeat(swarm::Swarm& swarm, HeartbeatListener listener, HeartbeatConfig config)
    : swarm_(swarm),
      listener_(std::move(listener)),
      machine_(config, swarm.runtime().rng()),
      wake_(swarm.runtime().make_signal()),
      tasks_(swarm.runtime(), config.pings_max + 1) {
  swarm_.on_connection([this](const swarm::ConnectionEvent& event) { on_connection(event); });
}

Heartbeat::~Heartbeat() = default;

awaitable<void> Heartbeat::close() {
  co_await tasks_.join();
  watched_.clear();
}

void Heartbeat::on_connection(const swarm::ConnectionEvent& event) {
  const PeerId& peer = event.connection->info().remote_peer;
  const auto connections = swarm_.connections_to(peer);
  if (connections.empty()) {
    machine_.forget(peer);
    watched_.erase(peer);
    return;
  }
  watch(peer, connections.front());
  if (!running_) running_ = tasks_.spawn(run());
  // A new peer is due after all that wait already, unless there was none: the loop need not wake
  // for each.
  if (machine_.next_wake() < woken_at_) wake_->notify();
}

/// Watches `connection`, which is the preferred one to `peer` now.
void Heartbeat::watch(const PeerId& peer, const std::shared_ptr<Connection>& connection) {
  Watched& watched = watched_[peer];
  if (watched.connection.lock() == connection) return;
  watched.connection = connection;
  watched.session.reset();
  machine_.watch(peer, connection->stats().bytes_received, swarm_.runtime().now());
}

awaitable<void> Heartbeat::run() {
  runtime::Runtime& runtime = swarm_.runtime();
  for (;;) {
    while (const auto peer = machine_.next_due(runtime.now())) check(*peer);
    woken_at_ = machine_.next_wake();
    const runtime::Wake wake = co_await wake_->wait_until(woken_at_);
    if (wake == runtime::Wake::kCancelled) co_return;
  }
}

void Heartbeat::check(const PeerId& peer) {
  const auto connections = swarm_.connections_to(peer);
  if (connections.empty()) {  // Its event is on the way.
    machine_.forget(peer);
    return;
  }
  const std::shared_ptr<Connection>& connection = connections.front();
  if (watched_[peer].connection.lock() != connection) {
    watch(peer, connection);
    return;
  }
  const transport::ConnectionStats stats = connection->stats();
  const TimePoint now = swarm_.runtime().now();
  if (machine_.check(peer, stats.bytes_received, now) == Verdict::kPing) {
    if (!tasks_.spawn(ping(peer, connection))) machine_.put_off(peer, now);
  } else if (stats.rtt > Duration{} && listener_.on_round_trip) {
    listener_.on_round_trip(peer, stats.rtt);
  }
}

awaitable<void> Heartbeat::ping(PeerId peer, std::shared_ptr<Connection> connection) {
  runtime::Runtime& runtime = swarm_.runtime();
  for (;;) {
    const auto round_trip =
        co_await ping_once(peer, connection, runtime.now() + machine_.config().ping_time_max);
    const auto watched = watched_.find(peer);
    // Another connection took its place, or it has gone.
    if (watched == watched_.end() || watched->second.connection.lock() != connection) co_return;
    const std::uint64_t received = connection->stats().bytes_received;
    const TimePoint now = runtime.now();
    if (round_trip) {
      machine_.answered(peer, received, now);
      if (listener_.on_round_trip) listener_.on_round_trip(peer, *round_trip);
      break;
    }
    watched->second.session.reset();
    const ErrorCode code = round_trip.error().code();
    log::debug("heartbeat", "{}: {}", peer.to_string(), round_trip.error().message());
    if (code == ErrorCode::kCancelled) co_return;
    if (code == ErrorCode::kTimedOut) {
      const Verdict verdict = machine_.missed(peer, received, now);
      if (verdict == Verdict::kPing) continue;
      if (verdict == Verdict::kDead) give_up(peer, *connection);
    } else if (code == ErrorCode::kLimited || code == ErrorCode::kNotFound) {
      machine_.put_off(peer, now);  // Ours to blame, or its end is being told just now.
    } else {
      machine_.refused(peer, received, code == ErrorCode::kUnsupported, now);
    }
    break;
  }
  if (machine_.next_wake() < woken_at_) wake_->notify();
}

void Heartbeat::give_up(const PeerId& peer, Connection& connection) {
  log::info("heartbeat", "{} answered none of two pings", peer.to_string());
  const PeerId dead = peer;  // A listener may cause the entry to go.
  connection.close(transport::CloseCode::kNone, "no answer to two pings");
  if (listener_.on_dead) listener_.on_dead(dead);
}

/// On the stream of the ping before it, if that is still there.
awaitable<Result<Duration>> Heartbeat::ping_once(PeerId peer,
                                                 std::shared_ptr<Connection> connection,
                                                 TimePoint deadline) {
  const auto watched = watched_.find(peer);
  if (watched == watched_.end()) co_return fail(ErrorCode::kNotFound, "the peer has just gone");
  std::unique_ptr<PingSession> session = std::move(watched->second.session);
  if (session != nullptr) {
    const auto round_trip = co_await session->ping(deadline);
    const bool over = !round_trip && (round_trip.error().code() == ErrorCode::kReset ||
                                      round_trip.error().code() == ErrorCode::kClosed);
    if (!over) {
      if (round_trip) keep(peer, connection, std::move(session));
      co_return round_trip;
    }
    // The peer closes streams that were quiet for a while: its own affair, a new one will do.
    session.reset();
    if (connection->closed()) co_return round_trip;
  }
  WARREN_CO_TRY(session, co_await PingSession::open(swarm_, connection, deadline));
  WARREN_CO_TRY(const Duration round_trip, co_await session->ping(deadline));
  keep(peer, connection, std::move(session));
  co_return round_trip;
}

void Heartbeat::keep(const PeerId& peer, const std::shared_ptr<Connection>& connection,
                     std::unique_ptr<PingSession> session) {
  const auto watched = watched_.find(peer);
  if (watched == watched_.end() || watched->second.connection.lock() != connection) return;
  watched->second.session = std::move(session);
}

}  // namespace warren::protocols
