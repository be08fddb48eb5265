// The reading half of a muxed connection.

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "transport/upgrade/muxed_connection.hpp"

namespace warren::transport {
namespace {

namespace asio = boost::asio;

// A connection that receives little reads into a buffer of this.
constexpr std::size_t kSmallBufferBytes = 16u << 10;
// So many reads that would have fitted into a small buffer give the large one back.
constexpr std::size_t kSmallReadsMax = 16;
// Frames of the channel, full ones or empty, until other connections have their turn.
constexpr std::size_t kFramesPerTurnMax = 64;
// Answers that wait from which on the writer has its turn before the next frame.
constexpr std::size_t kAnswerBytesMax = 4u << 10;

}  // namespace

awaitable<void> MuxedConnection::read_loop(std::shared_ptr<MuxedConnection> self, Bytes plaintext) {
  const auto result = co_await read_all(self, std::move(plaintext));
  if (!result) {
    const ErrorCode code = result.error().code();
    // The session has said more already where the peer broke a rule.
    const bool told = code == ErrorCode::kMalformed || code == ErrorCode::kLimited;
    self->end(result.error(), told ? std::optional(GoAwayCode::kProtocolError) : std::nullopt);
  }
  co_await discard_rest(self);
  self->host_->buffers.give(std::exchange(self->receive_buffer_, {}));
  self->reading_ended_ = true;
  self->task_ended_->notify();
}

/// Until the connection ends here (no error), or the bytes or what is in them do.
awaitable<Result<>> MuxedConnection::read_all(std::shared_ptr<MuxedConnection> self,
                                              Bytes plaintext) {
  MuxedConnection& c = *self;
  WARREN_CO_TRY_VOID(c.take_plaintext(plaintext));
  std::size_t frames = 0;  // Since others had their turn.
  for (;;) {
    for (;;) {
      WARREN_CO_TRY(const bool opened, c.open_one());
      if (!opened) break;
      // Whoever got what it waits for takes it now: then what comes next lands in its hands too.
      // And a peer that asks much is answered before it is heard on.
      const bool much_to_say = c.session_.output().size() >= kAnswerBytesMax;
      if (std::exchange(c.reader_filled_, false) || much_to_say || ++frames >= kFramesPerTurnMax) {
        frames = 0;
        co_await asio::post(c.runtime_.executor(), asio::use_awaitable);
      }
      if (c.end_) co_return Result<>{};
    }
    if (c.end_) co_return Result<>{};
    if (c.channel_ended_) co_return c.on_bytes_end();
    c.prepare_room();
    const MutableBytes room = c.receive_buffer_.bytes().subspan(c.end_of_bytes_);
    const auto got = co_await c.stream_->read_some(room, c.read_deadline());
    if (c.end_) co_return Result<>{};
    if (!got && got.error().code() == ErrorCode::kTimedOut) {
      c.small_reads_ = kSmallReadsMax;  // Silence: a large buffer goes back.
      WARREN_CO_TRY_VOID(c.handle_timers());
      continue;
    }
    if (!got) co_return fail(got.error());
    if (*got == 0) co_return c.on_bytes_end();
    c.end_of_bytes_ += *got;
    c.bytes_received_ += *got;
    c.room_filled_ = *got == room.size();
    c.small_reads_ = *got <= kSmallBufferBytes / 2 ? c.small_reads_ + 1 : 0;
  }
}

/// The goodbye is on its way: what still comes is dropped, so that closing does not reset.
awaitable<void> MuxedConnection::discard_rest(std::shared_ptr<MuxedConnection> self) {
  if (self->receive_buffer_.size() == 0) self->receive_buffer_ = Buffer(kSmallBufferBytes);
  for (;;) {
    const auto got = co_await self->stream_->read_some(self->receive_buffer_.bytes(), kNever);
    if (!got || *got == 0) co_return;
  }
}

/// Moves what is left to the front and picks the size of the buffer by what came of late.
void MuxedConnection::prepare_room() {
  const std::size_t left = end_of_bytes_ - begin_;
  const std::size_t large = std::max(BufferPool::kBufferBytes, 2 * channel_->frame_bytes_max());
  const bool is_large = receive_buffer_.size() >= large;
  Buffer next;
  if (!is_large && (room_filled_ || left == receive_buffer_.size())) {
    next = large == BufferPool::kBufferBytes ? host_->buffers.take() : Buffer(large);
  } else if (is_large && small_reads_ >= kSmallReadsMax && left < kSmallBufferBytes / 2) {
    next = Buffer(kSmallBufferBytes);
  }
  room_filled_ = false;
  if (!next.empty()) {
    std::memcpy(next.bytes().data(), receive_buffer_.bytes().data() + begin_, left);
    host_->buffers.give(std::exchange(receive_buffer_, std::move(next)));
  } else if (begin_ > 0 && left > 0) {
    std::memmove(receive_buffer_.bytes().data(), receive_buffer_.bytes().data() + begin_, left);
  }
  begin_ = 0;
  end_of_bytes_ = left;
}

/// Opens the frame at the front, if it is whole.
Result<bool> MuxedConnection::open_one() {
  if (channel_ended_ || begin_ == end_of_bytes_) return false;
  const auto opened =
      channel_->open(receive_buffer_.bytes().subspan(begin_, end_of_bytes_ - begin_));
  const Bytes said = channel_->take_output();
  if (!said.empty()) {
    append(raw_output_, said);
    wake_writer();
  }
  if (!opened) return fail(opened.error());
  if (opened->taken == 0) return false;
  begin_ += opened->taken;
  WARREN_TRY_VOID(take_plaintext(opened->plaintext));
  if (opened->end) {
    channel_ended_ = true;
    goodbye_received_ = true;
  }
  return true;
}

Result<> MuxedConnection::take_plaintext(BytesView plaintext) {
  if (plaintext.empty()) return {};
  const auto read = session_.read(plaintext, runtime_.now());
  for (const StreamId id : std::exchange(ended_, {})) forget_finished(id);
  // Neither side has anything left to say.
  if (read && goodbye_received_ && session_.stream_count() == 0) return on_bytes_end();
  if (!session_.output().empty()) wake_writer();
  return read;
}

Result<> MuxedConnection::on_bytes_end() {
  if (!goodbye_received_) {
    return fail(ErrorCode::kReset, "the bytes of the connection ended without a goodbye");
  }
  return fail(ErrorCode::kClosed, "the peer closed the connection");
}

TimePoint MuxedConnection::read_deadline() const {
  TimePoint at = session_.next_timer();
  for (const StreamPtr& state : lingering_) at = std::min(at, state->linger_until);
  return at;
}

Result<> MuxedConnection::handle_timers() {
  const TimePoint now = runtime_.now();
  WARREN_TRY_VOID(session_.handle_timer(now));
  const std::vector<StreamPtr> lingering = lingering_;
  for (const StreamPtr& state : lingering) {
    if (state->linger_until <= now) reset_stream(*state);
  }
  if (!session_.output().empty()) wake_writer();
  return {};
}

}  // namespace warren::transport
