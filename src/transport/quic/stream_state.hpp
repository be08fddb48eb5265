#pragma once
// One stream: what is to be sent, what arrived, who waits. Without QUIC in it: a connection calls
// in from one side, the handle (QuicStream) from the other.

#include <deque>
#include <memory>
#include <optional>

#include "transport/transport.hpp"

namespace warren::transport::quic {

class StreamState;

/// A flow-control window of ours, and how fast it is used up.
struct WindowUse {
  std::uint64_t bytes = 0;
  std::uint64_t consumed_bytes = 0;
  TimePoint since{};

  /// Counts bytes that were taken. True: half of the window was taken within `busy_time`, so a
  /// larger one would be of use.
  bool consume(std::size_t count, TimePoint now, Duration busy_time) {
    consumed_bytes += count;
    if (consumed_bytes < bytes / 2) return false;
    const bool busy = now - since <= busy_time;
    consumed_bytes = 0;
    since = now;
    return busy;
  }
};

/// What a stream needs of its connection.
class StreamOwner {
 public:
  /// The stream has something to send. May be called again while it still has.
  virtual void stream_ready(StreamState& stream) = 0;
  /// `count` bytes of this stream left our buffers: the peer may send as many again.
  virtual void give_credit(std::int64_t stream_id, std::size_t count) = 0;
  virtual void stop_reading(std::int64_t stream_id, CloseCode code) = 0;
  virtual void stop_writing(std::int64_t stream_id, CloseCode code) = 0;
  /// Asks for memory for bytes that were written by copy and that the peer has not acknowledged.
  /// False: there is none.
  virtual bool reserve_copied(std::size_t bytes) = 0;
  virtual void release_copied(std::size_t bytes) = 0;
  /// The last byte of a stream that finish() left behind was taken: forget it.
  virtual void stream_drained(std::int64_t stream_id) = 0;

 protected:
  ~StreamOwner() = default;
};

/// Shared by its handle and its connection; lives as long as either needs it.
class StreamState {
 public:
  StreamState(runtime::Runtime& runtime, StreamOwner& owner, std::int64_t id,
              std::size_t unsent_bytes_max);

  std::int64_t id() const { return id_; }

  // ---- the handle's side
  /// Reads until `least` bytes are in `out`, or the end. Source: Stream::read_some, read_full.
  awaitable<Result<std::size_t>> read(MutableBytes out, std::size_t least, TimePoint deadline);
  /// A copy is counted until it is acknowledged; small ones are gathered. Errors: also kLimited.
  awaitable<Result<>> write(BytesView bytes, TimePoint deadline);
  awaitable<Result<>> write(SharedBytes bytes, TimePoint deadline);
  awaitable<Result<>> flush(TimePoint deadline);
  void close_write();
  void reset(CloseCode code);
  /// The handle went: break off what is not at its end, drop what nobody will read.
  void release();

  // ---- the connection's side
  void on_data(BytesView bytes, bool fin);
  void on_acked(std::uint64_t count);
  void on_reset(std::uint64_t code);
  void on_stop_sending(std::uint64_t code);
  /// Both sides are at their end for the library. True: bytes are left that nobody has read, so
  /// the owner has to stay for their credit, until stream_drained().
  [[nodiscard]] bool finish();
  /// The connection has ended, or forgets the stream.
  void detach(const Error& reason);

  bool wants_to_send() const;
  struct Gathered {
    std::size_t count = 0;
    bool fin = false;  ///< The views are all that is left.
  };
  /// Fills up to `views.size()` views of unsent bytes, in order.
  Gathered gather(std::span<BytesView> views) const;
  /// `count` bytes of what gather() gave went out, with the end if `fin`.
  void on_sent(std::size_t count, bool fin);

  bool queued = false;  ///< Whether it stands in its connection's send queue.
  WindowUse window;     ///< For its connection, which grows it.

 private:
  /// Bytes to send: the caller's, or a copy of our own, which may grow up to its capacity and so
  /// stays where it is.
  struct Chunk {
    SharedBytes shared;
    std::unique_ptr<Bytes> own;
    BytesView view() const { return own ? BytesView(*own) : shared.view(); }
    std::size_t size() const { return view().size(); }
  };

  awaitable<Result<>> wait_for_room(TimePoint deadline);
  bool gather_small(BytesView bytes);
  void release_chunk(const Chunk& chunk);
  std::size_t take_buffered(MutableBytes out);
  void buffer(BytesView bytes);
  void credit(std::size_t count);
  void end_both(const Error& error);
  /// Lets go of what the library has not seen; what it sent stays until acknowledged.
  void drop_unsent();
  bool write_open() const { return !fin_queued_ && !send_error_; }

  StreamOwner* owner_;  // Null once the connection has let go.
  std::int64_t id_;
  std::size_t unsent_bytes_max_;
  bool released_ = false;
  bool finished_ = false;

  // Receiving. Bytes go straight to a waiting reader, else into blocks_.
  std::unique_ptr<runtime::Signal> readable_;
  MutableBytes destination_;
  std::size_t destination_filled_ = 0;
  std::size_t destination_least_ = 0;
  bool reading_ = false;
  std::deque<Bytes> blocks_;
  std::size_t front_offset_ = 0;  // Consumed of blocks_.front().
  std::size_t buffered_bytes_ = 0;
  bool fin_received_ = false;
  std::optional<Error> receive_error_;

  // Sending. chunks_ holds what is not yet acknowledged; the first unsent byte lies
  // send_offset_ into chunks_[send_index_].
  std::unique_ptr<runtime::Signal> writable_;
  std::unique_ptr<runtime::Signal> acknowledged_;
  std::deque<Chunk> chunks_;
  std::size_t send_index_ = 0;
  std::size_t send_offset_ = 0;
  std::size_t front_acked_ = 0;
  std::size_t unsent_bytes_ = 0;
  std::size_t unacked_bytes_ = 0;  // Sent and not yet acknowledged.
  bool writing_ = false;
  bool fin_queued_ = false;
  bool fin_sent_ = false;
  std::optional<Error> send_error_;
};

/// The handle.
class QuicStream final : public Stream {
 public:
  explicit QuicStream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
  ~QuicStream() override { state_->release(); }

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    return state_->read(out, std::min<std::size_t>(1, out.size()), deadline);
  }
  awaitable<Result<std::size_t>> read_full(MutableBytes out, TimePoint deadline) override {
    return state_->read(out, out.size(), deadline);
  }
  awaitable<Result<>> write(BytesView bytes, TimePoint deadline) override {
    return state_->write(bytes, deadline);
  }
  awaitable<Result<>> write(SharedBytes bytes, TimePoint deadline) override {
    return state_->write(std::move(bytes), deadline);
  }
  awaitable<Result<>> flush(TimePoint deadline) override { return state_->flush(deadline); }
  void close_write() override { state_->close_write(); }
  void reset(CloseCode code) override { state_->reset(code); }
  std::uint64_t id() const override { return static_cast<std::uint64_t>(state_->id()); }

 private:
  std::shared_ptr<StreamState> state_;
};

}  // namespace warren::transport::quic
