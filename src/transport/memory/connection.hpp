#pragma once
// Connections and streams of the memory transport. Internal to the module.

#include <deque>
#include <map>
#include <memory>

#include "runtime/wait_list.hpp"
#include "transport/memory/hub.hpp"
#include "transport/memory/memory_transport.hpp"

namespace warren::transport::memory {

/// Bytes that a message without payload takes on the link.
inline constexpr std::size_t kMessageBytes = 24;

/// One side of a stream. Held by its handle, by its connection and by pending calls.
struct StreamState {
  StreamState(runtime::Runtime& runtime, std::uint64_t stream_id, std::size_t window)
      : id(stream_id),
        send_window(window),
        readable(runtime.make_signal()),
        writable(runtime.make_signal()) {}

  bool read_done() const { return end_arrived || read_error.has_value(); }
  bool write_done() const { return end_sent || write_error.has_value(); }
  void wake() {
    readable->notify();
    writable->notify();
  }

  std::uint64_t id;
  std::deque<SharedBytes> arrived;
  std::size_t front_read = 0;  ///< Of arrived.front().
  std::size_t uncredited = 0;  ///< Read, and the peer has not been told.
  bool end_arrived = false;
  std::size_t send_window;
  std::size_t outstanding = 0;  ///< Sent, and not known to be read by the peer.
  std::uint64_t flushes_sent = 0;
  std::uint64_t flushes_done = 0;
  bool end_sent = false;
  std::optional<Error> read_error;  ///< Reading fails with it from now on.
  std::optional<Error> write_error;
  bool reading = false;
  bool writing = false;
  std::unique_ptr<runtime::Signal> readable;
  std::unique_ptr<runtime::Signal> writable;  ///< For write() and flush().
};

/// One side of a connection.
struct ConnectionState {
  ConnectionState(runtime::Runtime& own_runtime, std::shared_ptr<HubState> own_hub,
                  const MemoryConfig& own_config)
      : runtime(own_runtime),
        hub(std::move(own_hub)),
        config(own_config),
        channel(hub->link->new_channel()),
        inbound_arrived(own_runtime.make_signal()),
        stream_credit(own_runtime) {}

  using Act = std::move_only_function<void(const std::shared_ptr<ConnectionState>&)>;
  /// Runs `act` on the other side when the message has arrived there, unless it is closed by then.
  void send(std::size_t payload_bytes, Act act);
  /// The same, but only when it still has the stream.
  void send_to_stream(std::uint64_t id, std::size_t payload_bytes,
                      std::move_only_function<void(ConnectionState&, StreamState&)> act);
  /// Ends this side only.
  void end(ErrorCode code, std::string reason);

  runtime::Runtime& runtime;
  std::shared_ptr<HubState> hub;
  MemoryConfig config;
  std::uint64_t channel;
  std::uint64_t peer_node = 0;
  std::size_t peer_window = 0;
  std::size_t peer_streams_max = 0;
  std::weak_ptr<ConnectionState> peer;
  ConnectionInfo info;
  ConnectionStats stats;

  std::map<std::uint64_t, std::shared_ptr<StreamState>> streams;
  std::deque<std::unique_ptr<Stream>> inbound;  ///< Not yet accepted; at most streams_inbound_max.
  std::unique_ptr<runtime::Signal> inbound_arrived;
  std::size_t outbound_open = 0;
  std::uint64_t next_stream = 0;
  runtime::WaitList stream_credit;
  bool closed = false;
  ErrorCode close_code = ErrorCode::kClosed;
  std::string close_reason;
};

/// The handle of a connection. Destroying it closes.
class MemoryConnection final : public Connection {
 public:
  explicit MemoryConnection(std::shared_ptr<ConnectionState> state) : state_(std::move(state)) {}
  ~MemoryConnection() override { MemoryConnection::close(); }

  const ConnectionInfo& info() const override { return state_->info; }
  ConnectionStats stats() const override;
  awaitable<Result<std::unique_ptr<Stream>>> open_stream(TimePoint deadline) override;
  awaitable<Result<std::unique_ptr<Stream>>> accept_stream() override;
  void close(CloseCode code = CloseCode::kNone, std::string_view reason = {}) override;
  bool closed() const override { return state_->closed; }
  std::string close_reason() const override { return state_->close_reason; }

 private:
  std::shared_ptr<ConnectionState> state_;
};

/// Ends both sides: this one now, the other when the message has arrived.
void close_connection(const std::shared_ptr<ConnectionState>& state, CloseCode code,
                      std::string_view reason);

class MemoryStream final : public Stream {
 public:
  MemoryStream(std::shared_ptr<ConnectionState> connection, std::shared_ptr<StreamState> state)
      : connection_(std::move(connection)), state_(std::move(state)) {}
  ~MemoryStream() override;

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override;
  awaitable<Result<std::size_t>> read_full(MutableBytes out, TimePoint deadline) override;
  awaitable<Result<>> write(BytesView bytes, TimePoint deadline) override;
  awaitable<Result<>> write(SharedBytes bytes, TimePoint deadline) override;
  awaitable<Result<>> flush(TimePoint deadline) override;
  void close_write() override;
  void reset(CloseCode code = CloseCode::kNone) override;
  std::uint64_t id() const override { return state_->id; }

 private:
  std::shared_ptr<ConnectionState> connection_;
  std::shared_ptr<StreamState> state_;
};

}  // namespace warren::transport::memory
