#pragma once
// One connection on a byte stream: a Yamux session inside a secure channel. A task reads, a task
// writes, a third says goodbye; all are owned by the upgrader. Internal to the module.

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "muxer/yamux/session.hpp"
#include "resources/manager.hpp"
#include "runtime/task_group.hpp"
#include "runtime/wait_list.hpp"
#include "security/secure_channel.hpp"
#include "transport/transport.hpp"
#include "transport/upgrade/buffer_pool.hpp"
#include "transport/upgrade/stream_state.hpp"
#include "transport/upgrade/upgrade_config.hpp"

namespace warren::transport {

/// What the connections of one upgrader share. Outlives them.
struct ConnectionHost {
  ConnectionHost(runtime::Runtime& own_runtime, UpgradeConfig own_config);

  runtime::Runtime& runtime;
  const UpgradeConfig config;
  BufferPool buffers;
  std::int64_t window_bytes = 0;  ///< By which windows have grown, over all connections.
  runtime::TaskGroup tasks;  ///< Three for a connection at most.
};

/// A connection that was proven, before it begins.
struct ProvenStream {
  std::unique_ptr<runtime::ByteStream> stream;
  std::unique_ptr<security::SecureChannel> channel;
  std::unique_ptr<resources::ConnectionScope> scope;  ///< With its peer; may be empty.
  ConnectionInfo info;
  Bytes ciphertext;  ///< Read, and not yet opened.
  Bytes plaintext;   ///< Opened, and not yet given to the muxer.
};

class MuxedConnection final : public StreamOwner,
                              private muxer::yamux::SessionHandler,
                              public std::enable_shared_from_this<MuxedConnection> {
 public:
  /// Starts its tasks. Null when the host runs too many or is closing.
  static std::shared_ptr<MuxedConnection> start(std::shared_ptr<ConnectionHost> host,
                                                ProvenStream proven);
  ~MuxedConnection();

  const ConnectionInfo& info() const { return info_; }
  ConnectionStats stats() const;
  awaitable<Result<std::unique_ptr<Stream>>> open_stream(TimePoint deadline);
  awaitable<Result<std::unique_ptr<Stream>>> accept_stream();
  void close(CloseCode code, std::string_view reason);
  bool closed() const { return end_.has_value(); }
  std::string close_reason() const { return end_ ? end_->message() : ""; }
  resources::ConnectionScope* scope() { return scope_.get(); }

 private:
  using StreamId = muxer::yamux::StreamId;
  using GoAwayCode = muxer::yamux::GoAwayCode;
  using StreamPtr = std::shared_ptr<StreamState>;

  MuxedConnection(std::shared_ptr<ConnectionHost> host, ProvenStream proven);
  muxer::yamux::SessionConfig session_config();
  bool reserve_window(std::int64_t bytes);
  bool count_memory(std::int64_t window_bytes, std::size_t buffered_bytes, resources::Need need);

  // ---- StreamOwner
  void stream_ready(StreamState& stream) override;
  void stream_consumed(StreamState& stream, std::size_t count) override;
  bool reserve_buffer(std::ptrdiff_t bytes) override;
  void reset_stream(StreamState& stream) override;
  void linger(StreamState& stream) override;
  std::uint64_t ask_confirmation(StreamState& stream) override;

  // ---- SessionHandler
  void on_stream(StreamId id) override;
  void on_data(StreamId id, BytesView bytes) override;
  void on_end(StreamId id) override;
  void on_reset(StreamId id) override;
  void on_window(StreamId id) override;
  void on_backlog() override;
  void on_go_away(GoAwayCode code) override;
  void on_pong() override;

  StreamPtr add_stream(StreamId id);
  StreamPtr take_stream(StreamId id);
  void forget_finished(StreamId id);
  bool is_ours(StreamId id) const { return (id % 2 == 1) == info_.outbound; }
  void wake_writer() { wake_writer_->notify(); }

  // ---- reading (muxed_reader.cpp)
  static awaitable<void> read_loop(std::shared_ptr<MuxedConnection> self, Bytes plaintext);
  static awaitable<Result<>> read_all(std::shared_ptr<MuxedConnection> self, Bytes plaintext);
  static awaitable<void> discard_rest(std::shared_ptr<MuxedConnection> self);
  void prepare_room();
  Result<bool> open_one();
  Result<> take_plaintext(BytesView plaintext);
  Result<> on_bytes_end();
  Result<> handle_timers();
  TimePoint read_deadline() const;

  // ---- writing (muxed_writer.cpp)
  static awaitable<void> write_loop(std::shared_ptr<MuxedConnection> self);
  static awaitable<void> say_goodbye(std::shared_ptr<MuxedConnection> self);
  bool has_output() const;
  Result<std::size_t> gather(MutableBytes out);
  Result<std::size_t> seal_next(MutableBytes out);
  void add_frames(std::size_t used);
  std::size_t send_buffer_bytes() const;

  // ---- ending
  void end(Error error, std::optional<GoAwayCode> go_away);
  void make_farewell(std::optional<GoAwayCode> go_away);
  void detach_all();

  std::shared_ptr<ConnectionHost> host_;
  runtime::Runtime& runtime_;
  std::unique_ptr<runtime::ByteStream> stream_;
  std::unique_ptr<security::SecureChannel> channel_;
  std::unique_ptr<resources::ConnectionScope> scope_;
  ConnectionInfo info_;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::int64_t window_bytes_ = 0;   ///< Of the host's, those of this connection.
  std::size_t buffered_bytes_ = 0;  ///< Arrived, and taken by no reader.
  std::size_t counted_bytes_ = 0;   ///< What the scope knows of these two.
  muxer::yamux::Session session_;

  std::unordered_map<StreamId, StreamPtr> streams_;
  std::deque<StreamPtr> accepted_;  ///< Not yet taken by accept_stream().
  std::size_t own_streams_ = 0;
  std::vector<StreamPtr> lingering_;
  std::vector<StreamId> ended_;  ///< By the peer since the session was last asked about them.
  std::unique_ptr<runtime::Signal> accept_signal_;
  runtime::WaitList stream_credit_;
  bool go_away_received_ = false;
  bool goodbye_received_ = false;
  bool channel_ended_ = false;

  // Confirmations: pings are numbered from 1.
  std::uint64_t pings_sent_ = 0;
  std::uint64_t ping_wanted_ = 0;
  std::vector<std::pair<std::uint64_t, std::weak_ptr<StreamState>>> confirming_;

  // Reading. Bytes [begin_, end_of_bytes_) of the buffer are not opened yet.
  Buffer receive_buffer_;
  std::size_t begin_ = 0;
  std::size_t end_of_bytes_ = 0;
  std::size_t small_reads_ = 0;
  bool room_filled_ = false;    ///< The last read filled all that the buffer had.
  bool reader_filled_ = false;  ///< A reader got all it waits for since this was reset.
  bool reading_ended_ = false;

  // Writing.
  std::unique_ptr<runtime::Signal> wake_writer_;
  std::unique_ptr<runtime::Signal> task_ended_;  ///< For say_goodbye().
  std::deque<StreamPtr> ready_;
  Bytes raw_output_;  ///< Of the channel itself.
  Bytes control_;     ///< Control frames taken out of the session.
  std::size_t control_sent_ = 0;
  std::vector<BytesView> parts_;
  std::vector<SharedBytes> keep_;
  std::vector<StreamId> sealed_ends_;
  std::size_t frames_ = 0;
  static constexpr std::size_t kFramesMax = 32;  ///< Gathered into one seal.
  std::array<std::array<std::uint8_t, muxer::yamux::kHeaderBytes>, kFramesMax> headers_;
  Bytes farewell_;
  bool writing_ended_ = false;

  std::optional<Error> end_;
};

/// The handle. Destroying it closes.
class MuxedConnectionHandle final : public Connection {
 public:
  explicit MuxedConnectionHandle(std::shared_ptr<MuxedConnection> connection)
      : connection_(std::move(connection)) {}
  ~MuxedConnectionHandle() override { connection_->close(CloseCode::kNone, {}); }

  const ConnectionInfo& info() const override { return connection_->info(); }
  ConnectionStats stats() const override { return connection_->stats(); }
  awaitable<Result<std::unique_ptr<Stream>>> open_stream(TimePoint deadline) override {
    return connection_->open_stream(deadline);
  }
  awaitable<Result<std::unique_ptr<Stream>>> accept_stream() override {
    return connection_->accept_stream();
  }
  void close(CloseCode code, std::string_view reason) override { connection_->close(code, reason); }
  bool closed() const override { return connection_->closed(); }
  std::string close_reason() const override { return connection_->close_reason(); }
  resources::ConnectionScope* scope() override { return connection_->scope(); }

 private:
  std::shared_ptr<MuxedConnection> connection_;
};

}  // namespace warren::transport
