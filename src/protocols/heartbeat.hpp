#pragma once
// Finds connections whose other end is silently gone: pings peers that have been quiet, over
// /ipfs/ping/1.0.0, and measures the round trip by the way.

#include <functional>
#include <map>
#include <memory>

#include "protocols/heartbeat_machine.hpp"
#include "protocols/ping.hpp"
#include "swarm/swarm.hpp"

namespace warren::protocols {

struct HeartbeatListener {
  /// A round trip to a connected peer: of a ping, or the transport's own measure where the peer was
  /// not quiet.
  std::function<void(const PeerId& peer, Duration round_trip)> on_round_trip;
  /// No answer to a ping and to the one after it. The connection has just been closed.
  std::function<void(const PeerId& peer)> on_dead;
};

/// Watches the preferred connection to each peer from its construction on. One timer for all of
/// them. Keeps one stream of pings open on each connection that is quiet: a ping then costs two
/// small packets. The swarm must outlive it and be closed before it is. Core thread only.
class Heartbeat {
 public:
  Heartbeat(swarm::Swarm& swarm, HeartbeatListener listener, HeartbeatConfig config = {});
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  const HeartbeatStats& stats() const { return machine_.stats(); }
  /// Waits for pings in progress. Call it after Swarm::close(). Cancel: unsafe.
  awaitable<void> close();

 private:
  struct Watched {
    std::weak_ptr<swarm::Connection> connection;
    std::unique_ptr<PingSession> session;
  };
  void on_connection(const swarm::ConnectionEvent& event);
  void watch(const PeerId& peer, const std::shared_ptr<swarm::Connection>& connection);
  void check(const PeerId& peer);
  void give_up(const PeerId& peer, swarm::Connection& connection);
  void keep(const PeerId& peer, const std::shared_ptr<swarm::Connection>& connection,
            std::unique_ptr<PingSession> session);
  awaitable<void> run();
  awaitable<void> ping(PeerId peer, std::shared_ptr<swarm::Connection> connection);
  awaitable<Result<Duration>> ping_once(PeerId peer, std::shared_ptr<swarm::Connection> connection,
                                        TimePoint deadline);

  swarm::Swarm& swarm_;
  HeartbeatListener listener_;
  HeartbeatMachine machine_;
  std::map<PeerId, Watched> watched_;
  bool running_ = false;
  TimePoint woken_at_ = kNever;  ///< When the loop wakes next.
  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::protocols
