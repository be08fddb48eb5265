#pragma once
// Connections to peers, and streams on them by protocol id.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "resources/manager.hpp"
#include "runtime/task_group.hpp"
#include "transport/transport.hpp"

namespace warren::swarm {

using runtime::awaitable;
using transport::CloseCode;
using transport::Connection;
using transport::Stream;

/// A stream on which both sides have agreed to speak `protocol`.
struct ProtocolStream {
  std::unique_ptr<Stream> stream;
  std::string protocol;
  std::shared_ptr<Connection> connection;
  const PeerId& peer() const { return connection->info().remote_peer; }
};

/// Serves one inbound stream, to its end. It runs in the swarm's task group and is cancelled when
/// the swarm closes. Destroying the stream resets what it left open.
using StreamHandler = std::function<awaitable<void>(ProtocolStream)>;

/// Inbound; kept by the resource manager. Beyond: the stream is reset with kResourceLimit.
struct HandlerLimits {
  std::size_t streams_per_peer_max = 128;
  std::size_t streams_max = 1024;  ///< Over all peers.
};

struct ConnectionEvent {
  enum class Kind { kConnected, kDisconnected } kind;
  std::shared_ptr<Connection> connection;
  bool first_or_last = false;  ///< The first connection to this peer, or the last that went.
};

struct SwarmConfig {
  limits::Connections limits{};
  /// Counts connections and streams; must outlive the swarm. Null: the swarm makes one of its own,
  /// of default limits, limits.connections_max and limits.streams_inbound_max.
  resources::Manager* resources = nullptr;
  /// Addresses of one peer that are tried at the same time; the next one waits for a failure.
  std::size_t dials_per_peer_max = 8;
  /// Head start of a better address over the next. Source: go-libp2p's dial ranker.
  Duration dial_stagger_private = 30ms;
  Duration dial_stagger_public = 250ms;
  /// How long an address that failed is left alone: doubles from the least to the most, with a
  /// fifth of jitter. An explicit connect(address) does not wait for it.
  Duration backoff_min = 5s;
  Duration backoff_max = 5min;
};

/// What a swarm holds and has refused; for status, metrics and tests.
struct SwarmStats {
  std::size_t connections = 0;
  std::size_t streams_inbound = 0;        ///< Negotiating or being served.
  std::size_t dials = 0;                  ///< Addresses being tried.
  std::uint64_t connections_refused = 0;  ///< Inbound, at a limit, after their handshake.
  std::uint64_t streams_refused = 0;      ///< Inbound, at a limit.
  std::uint64_t negotiations_failed = 0;  ///< Inbound.
  std::size_t tasks_failed = 0;           ///< Handlers that ended by an exception: our own bugs.
};

/// Whether addresses that failed lately are dialled nevertheless.
enum class Retry {
  kLeaveFailedAlone,  ///< For what a program does by itself.
  kTryAll,            ///< For a person who asks for it.
};

class Dialer;

/// Owns transports, listeners and connections of one node. Core thread only. It must be closed
/// before it is destroyed, and outlives every call into it.
class Swarm {
 public:
  Swarm(runtime::Runtime& runtime, PeerId local_peer, SwarmConfig config = {});
  ~Swarm();
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;

  void add_transport(std::unique_ptr<transport::Transport> transport);

  /// Serves `protocol` from now on. Replaces an earlier handler; streams that it serves go on.
  /// `on_protocols_changed` listeners (identify push) hear of it. `protocol` must be
  /// negotiate::is_valid_protocol (checked).
  void set_handler(std::string protocol, StreamHandler handler, HandlerLimits limits = {});
  void remove_handler(std::string_view protocol);
  /// In alphabetical order.
  std::vector<std::string> protocols() const;

  /// Errors: as Transport::listen; kUnsupported when no transport can.
  Result<Multiaddr> listen(const Multiaddr& address);
  /// Takes no further connections at an address that listen() returned; those that are there go on.
  /// Errors: kNotFound.
  Result<> unlisten(const Multiaddr& bound);
  /// As bound, unspecified IPs replaced by those of the interfaces that are up (no link-local
  /// IPv6, which means nothing to another machine); without /p2p.
  std::vector<Multiaddr> listen_addresses() const;

  /// A connection to `peer`: one that is there, else the addresses are tried in order of rank (LAN
  /// first, then QUIC, TCP), several at once, and the first good one is kept. Two calls for the
  /// same peer share one attempt. Errors: the most telling one of the attempts, its text naming
  /// each; kNotFound without addresses; kLimited at dials_max, connections_max or while every
  /// address is left alone after a failure; kClosed. Cancel: gives up this caller's wait.
  awaitable<Result<std::shared_ptr<Connection>>> connect(PeerId peer,
                                                         std::vector<Multiaddr> addresses,
                                                         TimePoint deadline,
                                                         Retry retry = Retry::kLeaveFailedAlone);
  /// Whoever answers at `address`; with a /p2p in it only that peer. Tries at once, whatever failed
  /// before.
  awaitable<Result<std::shared_ptr<Connection>>> connect(Multiaddr address, TimePoint deadline);

  /// Opens a stream to a connected peer and agrees on the first of `protocols` that it speaks.
  /// With a single protocol nothing is waited for: the proposal goes out with the first data, and
  /// a peer that does not speak it shows as kUnsupported (or kReset) when the stream is first read.
  /// Errors: kNotFound (not connected), kUnsupported (it speaks none), kTimedOut, kReset, kClosed.
  awaitable<Result<ProtocolStream>> open_stream(PeerId peer, std::vector<std::string> protocols,
                                                TimePoint deadline);
  /// The same on one connection.
  awaitable<Result<ProtocolStream>> open_stream(std::shared_ptr<Connection> connection,
                                                std::vector<std::string> protocols,
                                                TimePoint deadline);

  /// Who may be connected: asked of each new connection once its peer is proven, and before each
  /// dial to a peer that is named. A refusal closes the connection with `kGated`; the error says
  /// why, to the one who dials. Unset: everybody.
  using Gate = std::function<Result<>(const PeerId& peer, const Multiaddr& remote, bool outbound)>;
  void set_gate(Gate gate) { gate_ = std::move(gate); }

  std::vector<std::shared_ptr<Connection>> connections() const;
  /// The preferred one first. Both sides prefer the same: the newest; of two that were dialled from
  /// both sides at the same time, the one dialled by the smaller peer id. The other of those two is
  /// closed with kSupplanted as soon as it has no streams.
  std::vector<std::shared_ptr<Connection>> connections_to(const PeerId& peer) const;
  bool is_connected(const PeerId& peer) const;
  /// Closes every connection to `peer`. Returns how many there were.
  std::size_t disconnect(const PeerId& peer, CloseCode code = CloseCode::kNone,
                         std::string_view why = "disconnected");

  using EventListener = std::function<void(const ConnectionEvent&)>;
  /// Called on the core thread, in order, never from inside a call into the swarm by the listener.
  /// A listener stays until close() has ended.
  void on_connection(EventListener listener);
  /// Called in the same way when protocols() or listen_addresses() may have changed.
  void on_protocols_changed(std::function<void()> listener);

  const PeerId& local_peer() const { return local_peer_; }
  runtime::Runtime& runtime() { return runtime_; }
  SwarmStats stats() const;
  resources::Manager& resources() { return *resources_; }
  const resources::Manager& resources() const { return *resources_; }

  /// Stops listening, closes every connection, waits for every handler. The last events are
  /// delivered before it returns. Not from inside a handler or listener. Cancel: unsafe.
  awaitable<void> close();

 private:
  struct Link;
  struct Handler;
  struct StreamSlot;
  class CountedStream;
  using LinkPtr = std::shared_ptr<Link>;

  Result<std::shared_ptr<Connection>> adopt(std::shared_ptr<Connection> connection);
  void drop(const LinkPtr& link);
  Result<> count(Link& link);
  /// Where `connection` is counted; null once it was dropped.
  resources::ConnectionScope* scope_of(const std::shared_ptr<Connection>& connection) const;
  bool was_dialled_from_both_sides(const Link& link) const;
  awaitable<void> retire_spare(PeerId peer);
  LinkPtr preferred(const PeerId& peer) const;
  void post(ConnectionEvent event);
  void post_protocols_changed();
  void start_delivery();
  void deliver_all();
  transport::Transport* transport_for(const Multiaddr& address) const;
  awaitable<void> deliver_events();
  awaitable<void> accept_connections(std::shared_ptr<transport::Listener> listener);
  awaitable<void> accept_streams(LinkPtr link);
  awaitable<void> serve_stream(LinkPtr link, std::unique_ptr<Stream> stream,
                               std::unique_ptr<StreamSlot> slot);

  runtime::Runtime& runtime_;
  PeerId local_peer_;
  SwarmConfig config_;
  std::unique_ptr<resources::Manager> own_resources_;
  resources::Manager* resources_;
  std::vector<std::unique_ptr<transport::Transport>> transports_;
  std::vector<std::shared_ptr<transport::Listener>> listeners_;
  std::map<std::string, std::shared_ptr<Handler>, std::less<>> handlers_;
  std::map<PeerId, std::vector<LinkPtr>> links_;  // Of one peer: oldest first.
  std::size_t links_count_ = 0;
  SwarmStats counted_;
  std::deque<ConnectionEvent> events_;
  Gate gate_;
  bool protocols_changed_ = false;
  bool delivering_ = false;
  bool closing_ = false;
  std::vector<EventListener> event_listeners_;
  std::vector<std::function<void()>> protocol_listeners_;
  std::unique_ptr<Dialer> dialer_;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::swarm
