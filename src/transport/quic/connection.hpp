#pragma once
// One QUIC connection: an ngtcp2 connection, its TLS session, its streams.

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "resources/manager.hpp"
#include "runtime/wait_list.hpp"
#include "transport/quic/config.hpp"
#include "transport/quic/library_memory.hpp"
#include "transport/quic/ngtcp2_compat.hpp"
#include "transport/quic/stream_state.hpp"
#include "transport/quic/tls_context.hpp"
#include "transport/transport.hpp"

namespace warren::transport::quic {

class QuicConnection;

/// A connection id as a key.
struct CidKey {
  std::array<std::uint8_t, NGTCP2_MAX_CIDLEN> bytes{};
  std::uint8_t size = 0;
  CidKey() = default;
  explicit CidKey(BytesView id);
  explicit CidKey(const ngtcp2_cid& id) : CidKey(BytesView(id.data, id.datalen)) {}
  bool operator==(const CidKey&) const = default;
};
struct CidHash {
  std::size_t operator()(const CidKey& key) const noexcept;
};

/// What a connection needs of the endpoint that owns it.
class ConnectionOwner {
 public:
  virtual runtime::Runtime& runtime() = 0;
  virtual const QuicConfig& config() const = 0;
  virtual Endpoint local_endpoint() const = 0;
  virtual void register_cid(const CidKey& id, QuicConnection& connection) = 0;
  virtual void unregister_cid(const CidKey& id) = 0;
  /// A stateless reset token for one of our connection ids.
  virtual void make_reset_token(const ngtcp2_cid& id, std::uint8_t* token) = 0;
  /// The connection has something to send: flush it in this turn of the loop.
  virtual void connection_dirty(QuicConnection& connection) = 0;
  /// The peer is proven and streams may be opened; its scope has been told.
  virtual void connection_ready(QuicConnection& connection) = 0;
  /// Sends one batch; false when the socket is full. Errors: kUnreachable and others, after which
  /// the batch is gone.
  virtual Result<bool> send(const runtime::SendBatch& batch) = 0;
  /// A buffer of at least 128 KiB for building packets, valid until the call returns.
  virtual MutableBytes packet_buffer() = 0;

 protected:
  ~ConnectionOwner() = default;
};

/// How to start one.
struct ConnectionStart {
  bool server = false;
  Endpoint remote;
  IpAddress local_ip;  ///< Where the first packet was sent to; unspecified for a dial.
  std::optional<PeerId> expected;
  TimePoint handshake_deadline;
  /// Counts the connection; holds the handshake's window already.
  std::unique_ptr<resources::ConnectionScope> scope;
  // Of a server: from the first packet.
  ngtcp2_pkt_hd header{};
  std::optional<ngtcp2_cid> original_dcid;  ///< Set when the client came back with a Retry token.
};

class QuicConnection final : public Connection, public StreamOwner {
 public:
  static Result<std::shared_ptr<QuicConnection>> create(ConnectionOwner& owner,
                                                        const TlsContext& tls, PeerId local_peer,
                                                        ConnectionStart start);
  ~QuicConnection() override;

  // ---- Connection
  const ConnectionInfo& info() const override { return info_; }
  ConnectionStats stats() const override;
  awaitable<Result<std::unique_ptr<Stream>>> open_stream(TimePoint deadline) override;
  awaitable<Result<std::unique_ptr<Stream>>> accept_stream() override;
  void close(CloseCode code, std::string_view reason) override;
  bool closed() const override { return end_.has_value(); }
  std::string close_reason() const override { return end_ ? end_->message() : std::string(); }
  resources::ConnectionScope* scope() override { return scope_.get(); }

  // ---- the endpoint's side
  /// Waits until the peer is proven. Errors: why it is not.
  awaitable<Result<>> wait_ready(TimePoint deadline);
  void read_packet(const runtime::ReceivedBatch& batch, BytesView packet, TimePoint now);
  void handle_expiry(TimePoint now);
  /// Sends what there is to send. False: the socket is full; call again when it is writable.
  bool flush(TimePoint now);
  /// When handle_expiry wants to be called; kNever when it does not.
  TimePoint expiry() const;
  /// Whether nothing is left to do and the endpoint may forget it.
  bool finished() const { return finished_; }
  bool ready() const { return ready_; }
  /// Whether any packet of the peer could be decrypted.
  bool heard() const { return heard_; }
  bool inbound() const { return server_; }
  std::uint64_t window_bytes() const { return window_.bytes; }
  const std::vector<CidKey>& cids() const { return cids_; }
  /// The endpoint goes away: no further use of the owner.
  void detach(const Error& reason);

  // ---- StreamOwner
  void stream_ready(StreamState& stream) override;
  void give_credit(std::int64_t stream_id, std::size_t count) override;
  bool reserve_copied(std::size_t bytes) override;
  void release_copied(std::size_t bytes) override;
  void stop_reading(std::int64_t stream_id, CloseCode code) override;
  void stop_writing(std::int64_t stream_id, CloseCode code) override;
  void stream_drained(std::int64_t stream_id) override { unread_.erase(stream_id); }

  const Endpoint& remote() const { return remote_; }
  const LibraryMemory& library() const { return library_; }
  /// It is to be closed with kResourceLimit: not at once, the library may be in the middle of a
  /// packet, but as soon as the endpoint gets to it.
  void refuse(Error why) { refusal_ = std::move(why); }
  /// Closes it if it was refused.
  void close_if_refused();

  bool dirty = false;            ///< Stands in the endpoint's list of those to flush.
  TimePoint timer_key = kNever;  ///< Its place in the endpoint's timer set.

 private:
  friend struct Callbacks;
  QuicConnection(ConnectionOwner& owner, PeerId local_peer, ConnectionStart& start);
  Result<> start_tls(const TlsContext& tls);
  Result<> start_quic(const ConnectionStart& start);
  void on_handshake_completed();
  /// Whether the library may hold so much in all: as much as its window, and more as far as the
  /// resource manager gives it.
  bool allow_library(std::size_t bytes);
  /// Promises the peer up to `bytes` more of the connection's window; less, or nothing, when the
  /// memory is not there.
  void grow_window(std::uint64_t bytes, resources::Need need);
  /// Grows the windows of a peer that keeps them in use.
  void tune_windows(std::int64_t stream_id, std::size_t consumed);
  std::shared_ptr<StreamState> add_stream(std::int64_t id);
  void remove_stream(std::int64_t id);
  /// Ends it for `error`; tells the peer unless it is `silent`.
  void fail_with(Error error, const ngtcp2_ccerr* tell);
  void on_library_error(int code);
  void enter_end(Error error);
  ngtcp2_ssize write_packet(ngtcp2_path& path, ngtcp2_pkt_info& info, MutableBytes out,
                            std::uint64_t now);
  bool send_batch(BytesView bytes, std::size_t segment, std::uint8_t ecn, const Endpoint& to);
  bool send_blocked();
  /// True: the socket took it, or lost it.
  bool hand_over(const runtime::SendBatch& batch);
  /// Without an answer yet, and the machine knows no way to the peer.
  bool no_route() const { return unreachable_ && !ready_ && !end_; }
  void fail_without_route();

  ConnectionOwner* owner_;  // Null once detached.
  runtime::Runtime& runtime_;
  bool server_;
  Endpoint local_;
  Endpoint remote_;
  IpAddress local_ip_;   // What the peer sends to, and we send from.
  IpAddress packet_to_;  // Of the packet in hand.
  std::optional<PeerId> expected_;
  TimePoint handshake_deadline_;
  std::uint64_t window_bytes_max_;
  std::uint64_t stream_window_bytes_max_;
  std::uint64_t first_stream_window_bytes_;
  std::unique_ptr<resources::ConnectionScope> scope_;
  std::size_t unsent_bytes_max_;
  std::size_t library_bytes_max_;
  ConnectionInfo info_;
  std::optional<Error> verify_error_;
  std::uint64_t late_crypto_bytes_ = 0;  // Of TLS, after the handshake.
  std::optional<Error> refusal_;
  std::optional<Error> unreachable_;  // By the last batch.

  struct DeleteConn {
    void operator()(ngtcp2_conn* conn) const { ngtcp2_conn_del(conn); }
  };
  LibraryMemory library_;
  std::size_t copied_bytes_ = 0;            // Of writers, unacknowledged.
  std::size_t copied_reserved_bytes_ = 0;   // For them, of scope_.
  std::size_t library_reserved_bytes_ = 0;  // Beyond the window; part of what scope_ holds.
  ngtcp2_crypto_conn_ref ref_{};
  TlsSession tls_;
  std::unique_ptr<ngtcp2_conn, DeleteConn> conn_;
  std::vector<CidKey> cids_;

  bool ready_ = false;
  bool finished_ = false;
  bool ending_ = false;  // fail_with() is at work: an error of its last flush changes nothing.
  std::optional<Error> end_;
  TimePoint end_until_ = kNever;  // Closing or draining until then.
  Bytes close_packet_;            // Repeated, ever more seldom, to a peer that still sends.
  std::uint64_t packets_after_close_ = 0;

  std::unordered_map<std::int64_t, std::shared_ptr<StreamState>> streams_;
  // Closed for the library, but with bytes that nobody has read: their credit is still to come.
  std::unordered_map<std::int64_t, std::shared_ptr<StreamState>> unread_;
  std::deque<StreamState*> send_queue_;
  std::vector<StreamState*> flow_blocked_;  // Out of the queue until a packet arrives.
  bool small_packets_ = false;              // Large ones seem to get lost on this path.
  bool heard_ = false;
  bool received_ = false;       // Since the last flush.
  std::size_t turn_bytes_ = 0;  // Sent by the front of send_queue_ in its turn.
  std::deque<std::unique_ptr<Stream>> accepted_;
  std::unique_ptr<runtime::Signal> ready_signal_;
  std::unique_ptr<runtime::Signal> accept_signal_;
  runtime::WaitList stream_credit_;

  struct Blocked {
    Bytes bytes;
    std::size_t segment = 0;
    std::uint8_t ecn = 0;
    Endpoint to;
  };
  std::optional<Blocked> blocked_;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  WindowUse window_;
};

}  // namespace warren::transport::quic
