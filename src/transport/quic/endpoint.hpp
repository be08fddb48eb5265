#pragma once
// One UDP socket and the QUIC connections on it, inbound and outbound.

#include <deque>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "runtime/task_group.hpp"
#include "transport/quic/connection.hpp"

namespace warren::transport::quic {

class QuicEndpoint final : private ConnectionOwner {
 public:
  /// Runtime, TLS context and resource manager must outlive it. `secret`: what reset tokens are
  /// made of; the same after a restart, so that old connections of peers can be told that they have
  /// ended. Call start() once, and join() before destruction.
  QuicEndpoint(runtime::Runtime& runtime, const TlsContext& tls, PeerId local_peer,
               const QuicConfig& config, resources::Manager& resources, BytesView secret,
               std::unique_ptr<runtime::DatagramSocket> socket);
  ~QuicEndpoint();

  void start();
  Endpoint local() const { return socket_->local(); }
  /// From now on inbound handshakes are answered. Before, the socket only dials.
  void start_accepting() { accepting_ = true; }
  bool accepting() const { return accepting_; }
  /// Ends accept() with kClosed; the connections that are there go on.
  void stop_accepting();
  /// Errors as Transport::dial.
  awaitable<Result<std::shared_ptr<Connection>>> dial(Endpoint to, std::optional<PeerId> expected,
                                                      TimePoint deadline);
  /// The next inbound connection whose peer is proven. One caller at a time.
  awaitable<Result<std::shared_ptr<Connection>>> accept();
  std::size_t connections() const { return connections_.size(); }
  /// Tells every peer goodbye and ends every pending call with kClosed. join() afterwards.
  void close();
  awaitable<void> join() { return tasks_.join(); }

 private:
  // ConnectionOwner.
  runtime::Runtime& runtime() override { return runtime_; }
  const QuicConfig& config() const override { return config_; }
  Endpoint local_endpoint() const override { return socket_->local(); }
  void register_cid(const CidKey& id, QuicConnection& connection) override;
  void unregister_cid(const CidKey& id) override;
  void make_reset_token(const ngtcp2_cid& id, std::uint8_t* token) override;
  void connection_dirty(QuicConnection& connection) override;
  void connection_ready(QuicConnection& connection) override;
  Result<bool> send(const runtime::SendBatch& batch) override;
  MutableBytes packet_buffer() override { return packet_buffer_; }

  awaitable<void> receive_loop();
  awaitable<void> flush_loop();
  awaitable<void> timer_loop();
  awaitable<void> writable_loop();

  void read_batch(const runtime::ReceivedBatch& batch, TimePoint now);
  void read_unknown(const runtime::ReceivedBatch& batch, BytesView packet,
                    const ngtcp2_version_cid& ids, TimePoint now);
  void accept_packet(const runtime::ReceivedBatch& batch, BytesView packet, TimePoint now);
  void send_retry(const runtime::ReceivedBatch& batch, const ngtcp2_pkt_hd& header, TimePoint now);
  void send_version_negotiation(const runtime::ReceivedBatch& batch, const ngtcp2_version_cid& ids);
  void send_stateless_reset(const runtime::ReceivedBatch& batch, BytesView packet,
                            const ngtcp2_version_cid& ids, TimePoint now);
  void flush_dirty(TimePoint now);
  void rearm(QuicConnection& connection);
  void adopt(std::shared_ptr<QuicConnection> connection);
  void forget(QuicConnection& connection);
  /// Counts a connection and its first window. Errors: kLimited.
  Result<std::unique_ptr<resources::ConnectionScope>> open_scope(
      resources::Direction direction, const Endpoint& remote,
      const std::optional<PeerId>& expected);
  /// Whether so many handshakes are in progress, or such that were none, that who begins one has to
  /// show his address first.
  bool is_under_pressure(TimePoint now);
  void send_refusal(const runtime::ReceivedBatch& batch, const ngtcp2_pkt_hd& header,
                    TimePoint now);
  bool read_as_reset(const runtime::ReceivedBatch& batch, BytesView packet, TimePoint now);

  runtime::Runtime& runtime_;
  const TlsContext& tls_;
  PeerId local_peer_;
  QuicConfig config_;
  resources::Manager& resources_;
  std::unique_ptr<runtime::DatagramSocket> socket_;
  std::array<std::uint8_t, 32> secret_{};  // Of Retry and reset tokens.
  std::vector<std::uint8_t> packet_buffer_;

  std::unordered_map<const QuicConnection*, std::shared_ptr<QuicConnection>> connections_;
  std::unordered_map<CidKey, QuicConnection*, CidHash> by_cid_;
  std::set<std::pair<TimePoint, QuicConnection*>> timers_;
  TimePoint armed_ = kNever;
  std::vector<QuicConnection*> dirty_;
  std::deque<std::shared_ptr<Connection>> accepted_;
  std::size_t half_open_ = 0;
  // First packets that were garbage; each counts as a handshake for as long as one may take.
  std::deque<TimePoint> garbage_until_;
  TimePoint resets_allowed_from_{};
  TimePoint refusals_allowed_from_{};
  bool accepting_ = false;
  bool closed_ = false;
  bool blocked_ = false;

  std::unique_ptr<runtime::Signal> flush_signal_;
  std::unique_ptr<runtime::Signal> timer_signal_;
  std::unique_ptr<runtime::Signal> blocked_signal_;
  std::unique_ptr<runtime::Signal> accept_signal_;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::transport::quic
