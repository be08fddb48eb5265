#pragma once
// One stream of a muxed connection: what is to be sent, what arrived, who waits. Knows no frames:
// its connection calls in from one side, the handle (MuxedStream) from the other. Internal to the
// module.

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "transport/transport.hpp"

namespace warren::transport {

class StreamState;

/// What a stream needs of its connection.
class StreamOwner {
 public:
  /// The stream has something to send. May be called again while it still has.
  virtual void stream_ready(StreamState& stream) = 0;
  /// `count` bytes that arrived have left our buffers, or went straight to a reader.
  virtual void stream_consumed(StreamState& stream, std::size_t count) = 0;
  /// Asks for room to keep `bytes` that came and nobody has taken yet, or that were written and
  /// wait to go out; negative: they have gone. False: there is none.
  virtual bool reserve_buffer(std::ptrdiff_t bytes) = 0;
  /// Breaks both directions off and forgets the stream.
  virtual void reset_stream(StreamState& stream) = 0;
  /// The handle went although not both directions are at their end: what is left to send goes out,
  /// what comes is of no use.
  virtual void linger(StreamState& stream) = 0;
  /// Asks the peer for a sign that it has received what this stream has sent so far;
  /// on_confirmed() tells, with the number that comes back now. 0: the connection has ended.
  virtual std::uint64_t ask_confirmation(StreamState& stream) = 0;

 protected:
  ~StreamOwner() = default;
};

/// Shared by its handle and its connection; lives as long as either needs it.
class StreamState : public std::enable_shared_from_this<StreamState> {
 public:
  StreamState(runtime::Runtime& runtime, std::weak_ptr<StreamOwner> owner, std::uint32_t id,
              std::size_t unsent_bytes_max);
  ~StreamState() {
    drop_buffered();
    release_copied(copied_bytes_);
  }
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;

  std::uint32_t id() const { return id_; }

  // ---- the handle's side
  /// Reads until `least` bytes are in `out`, or the end. Source: Stream::read_some, read_full.
  awaitable<Result<std::size_t>> read(MutableBytes out, std::size_t least, TimePoint deadline);
  awaitable<Result<>> write(BytesView bytes, TimePoint deadline);
  awaitable<Result<>> write(SharedBytes bytes, TimePoint deadline);
  awaitable<Result<>> flush(TimePoint deadline);
  void close_write();
  void reset();
  /// The handle went.
  void release();

  // ---- the connection's side
  /// Bytes that arrived. True: they filled what a reader waits for, which should have its turn.
  [[nodiscard]] bool on_data(BytesView bytes);
  void on_end();
  /// The peer has what was sent before ask_confirmation() gave `number`.
  void on_confirmed(std::uint64_t number);
  /// Both directions came to their end: the connection forgets the stream.
  void detach() { attached_ = false; }
  /// The same, but what has not come to its end fails with `reason`.
  void detach(const Error& reason);
  bool attached() const { return attached_; }
  bool released() const { return released_; }
  /// The handle is gone, and the peer sends what nobody will read.
  bool unwanted() const { return unwanted_; }

  bool wants_to_send() const {
    return !send_error_ && (unsent_bytes_ > 0 || (end_queued_ && !end_sent_));
  }
  std::size_t unsent_bytes() const { return unsent_bytes_; }
  struct Taken {
    std::size_t count = 0;
    bool end = false;  ///< The end of the stream; no bytes come with it.
  };
  /// Takes up to `count` unsent bytes: appends views of them to `parts`, up to `parts_max` in all,
  /// and what the views need to `keep`.
  Taken take_unsent(std::size_t count, std::vector<BytesView>& parts, std::size_t parts_max,
                    std::vector<SharedBytes>& keep);

  bool queued = false;     ///< Whether it stands in its connection's send queue.
  TimePoint linger_until;  ///< For the connection, once released.

 private:
  /// Bytes to send: given to hold, or copies of small writes gathered into one block.
  struct Chunk {
    SharedBytes shared;
    std::shared_ptr<Bytes> own;
    BytesView view() const { return own ? BytesView(*own) : shared.view(); }
  };

  awaitable<Result<>> wait_for_room(TimePoint deadline);
  std::size_t take_buffered(MutableBytes out);
  bool buffer(BytesView bytes);
  void drop_buffered();
  void release_copied(std::size_t count);
  void end_both(const Error& error);
  bool write_open() const { return !end_queued_ && !send_error_; }

  std::weak_ptr<StreamOwner> owner_;
  std::uint32_t id_;
  std::size_t unsent_bytes_max_;
  bool attached_ = true;
  bool released_ = false;
  bool unwanted_ = false;

  // Receiving. Bytes go straight to a waiting reader, else into blocks_.
  std::unique_ptr<runtime::Signal> readable_;
  MutableBytes destination_;
  std::size_t destination_filled_ = 0;
  std::size_t destination_least_ = 0;
  bool reading_ = false;
  std::deque<Bytes> blocks_;
  std::size_t front_offset_ = 0;  // Consumed of blocks_.front().
  std::size_t buffered_bytes_ = 0;
  bool end_received_ = false;
  std::optional<Error> receive_error_;

  // Sending. The first unsent byte lies front_sent_ into chunks_.front().
  std::unique_ptr<runtime::Signal> writable_;
  std::unique_ptr<runtime::Signal> flushed_;
  std::deque<Chunk> chunks_;
  std::size_t front_sent_ = 0;
  std::size_t unsent_bytes_ = 0;
  std::size_t copied_bytes_ = 0;       // Of chunks_ that are our own.
  std::uint64_t sent_count_ = 0;       // Bytes and the end, as far as they were handed over.
  std::uint64_t confirmed_count_ = 0;  // Of those, what the peer is known to have.
  std::uint64_t confirmed_number_ = 0;
  bool writing_ = false;
  bool end_queued_ = false;
  bool end_sent_ = false;
  std::optional<Error> send_error_;
};

/// The handle.
class MuxedStream final : public Stream {
 public:
  explicit MuxedStream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
  ~MuxedStream() override { state_->release(); }

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override;
  awaitable<Result<std::size_t>> read_full(MutableBytes out, TimePoint deadline) override;
  awaitable<Result<>> write(BytesView bytes, TimePoint deadline) override;
  awaitable<Result<>> write(SharedBytes bytes, TimePoint deadline) override;
  awaitable<Result<>> flush(TimePoint deadline) override;
  void close_write() override { state_->close_write(); }
  void reset(CloseCode) override { state_->reset(); }
  std::uint64_t id() const override { return state_->id(); }

 private:
  std::shared_ptr<StreamState> state_;
};

}  // namespace warren::transport
