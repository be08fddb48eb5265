#pragma once
// Connections to peers, and streams on them by protocol id.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/limits.hpp"
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

struct HandlerLimits {
  std::size_t streams_per_peer_max = 64;  ///< Beyond: the stream is reset with kResourceLimit.
  std::size_t streams_max = 1024;         ///< Over all peers.
};

struct ConnectionEvent {
  enum class Kind { kConnected, kDisconnected } kind;
  std::shared_ptr<Connection> connection;
  bool first_or_last = false;  ///< The first connection to this peer, or the last that went.
};

struct SwarmConfig {
  limits::Connections limits;
  /// Head start of a better address over the next. Source: go-libp2p's dial ranker.
  Duration dial_stagger_private = 30ms;
  Duration dial_stagger_public = 250ms;
};

/// Owns transports, listeners and connections of one node. Core thread only.
class Swarm {
 public:
  Swarm(runtime::Runtime& runtime, PeerId local_peer, SwarmConfig config = {});
  ~Swarm();

  void add_transport(std::unique_ptr<transport::Transport> transport);

  /// Serves `protocol` from now on. Replaces an earlier handler. `on_protocols_changed` listeners
  /// (identify push) hear of it.
  void set_handler(std::string protocol, StreamHandler handler, HandlerLimits limits = {});
  void remove_handler(std::string_view protocol);
  std::vector<std::string> protocols() const;

  /// Errors: as Transport::listen.
  Result<Multiaddr> listen(const Multiaddr& address);
  /// As bound, unspecified IPs replaced by those of the interfaces; without /p2p.
  std::vector<Multiaddr> listen_addresses() const;

  /// A connection to `peer`: one that is there, else the addresses are tried in order of rank (LAN
  /// first, then QUIC, TCP), several at once, and the first good one is kept. Two calls for the
  /// same peer share one attempt. Errors: the most telling one of the attempts; kNotFound without
  /// addresses. Cancel: gives up this caller's wait.
  awaitable<Result<std::shared_ptr<Connection>>> connect(PeerId peer,
                                                         std::vector<Multiaddr> addresses,
                                                         TimePoint deadline);
  /// Whoever answers at `address`; with a /p2p in it only that peer.
  awaitable<Result<std::shared_ptr<Connection>>> connect(Multiaddr address, TimePoint deadline);

  /// Opens a stream to a connected peer and agrees on the first of `protocols` that it speaks.
  /// Errors: kNotFound (not connected), kUnsupported (it speaks none), kTimedOut, kReset.
  awaitable<Result<ProtocolStream>> open_stream(PeerId peer, std::vector<std::string> protocols,
                                                TimePoint deadline);

  std::vector<std::shared_ptr<Connection>> connections() const;
  std::vector<std::shared_ptr<Connection>> connections_to(const PeerId& peer) const;
  bool is_connected(const PeerId& peer) const;
  /// Closes every connection to `peer`. Returns how many there were.
  std::size_t disconnect(const PeerId& peer);

  using EventListener = std::function<void(const ConnectionEvent&)>;
  /// Called on the core thread, in order, never from inside a call into the swarm by the listener.
  void on_connection(EventListener listener);
  void on_protocols_changed(std::function<void()> listener);

  const PeerId& local_peer() const { return local_peer_; }
  runtime::Runtime& runtime() { return runtime_; }

  /// Stops listening, closes every connection, waits for every handler.
  awaitable<void> close();

 private:
  runtime::Runtime& runtime_;
  PeerId local_peer_;
  SwarmConfig config_;
};

}  // namespace warren::swarm
