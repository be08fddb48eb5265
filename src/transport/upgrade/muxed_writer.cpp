// The writing half of a muxed connection. Bytes go from where the caller holds them straight into
// the encrypted frame; nothing is queued in between.

#include "base/check.hpp"
#include "transport/upgrade/muxed_connection.hpp"

namespace warren::transport {
namespace {

using muxer::yamux::kHeaderBytes;

constexpr std::size_t kPartsMax = 64;  // Pieces of memory in one seal.

}  // namespace

awaitable<void> MuxedConnection::write_loop(std::shared_ptr<MuxedConnection> self) {
  MuxedConnection& c = *self;
  BufferPool& pool = c.host_->buffers;
  const bool pooled = c.send_buffer_bytes() == BufferPool::kBufferBytes;
  Buffer buffer;
  while (!c.end_) {
    if (!c.has_output()) {
      pool.give(std::exchange(buffer, {}));
      const runtime::Wake wake = co_await c.wake_writer_->wait_until(kNever);
      if (wake == runtime::Wake::kCancelled) break;
      continue;
    }
    if (buffer.empty()) buffer = pooled ? pool.take() : Buffer(c.send_buffer_bytes());
    const auto sealed = c.gather(buffer.bytes());
    if (!sealed) {
      c.end(sealed.error(), std::nullopt);
      break;
    }
    if (*sealed == 0) continue;
    const BytesView part = buffer.bytes().first(*sealed);
    const auto written = co_await c.stream_->write_all(std::span(&part, 1), kNever);
    // The reader sees why, behind what has arrived.
    if (!written) break;
    c.bytes_sent_ += *sealed;
  }
  pool.give(std::exchange(buffer, {}));
  if (!c.farewell_.empty()) {
    const BytesView part = c.farewell_;
    (void)co_await c.stream_->write_all(std::span(&part, 1), kNever);
  }
  c.writing_ended_ = true;
  c.task_ended_->notify();
}

/// Gives the last words time to go out and to be heard, then closes.
awaitable<void> MuxedConnection::say_goodbye(std::shared_ptr<MuxedConnection> self) {
  MuxedConnection& c = *self;
  const TimePoint deadline = c.runtime_.now() + c.host_->config.goodbye_time_max;
  runtime::Wake wake = runtime::Wake::kNotified;
  while (!c.writing_ended_ && wake == runtime::Wake::kNotified) {
    wake = co_await c.task_ended_->wait_until(deadline);
  }
  (void)c.stream_->close_write();
  while (!c.reading_ended_ && wake == runtime::Wake::kNotified) {
    wake = co_await c.task_ended_->wait_until(deadline);
  }
  c.stream_->close();
}

bool MuxedConnection::has_output() const {
  return !ready_.empty() || !session_.output().empty() || control_sent_ < control_.size() ||
         !raw_output_.empty();
}

std::size_t MuxedConnection::send_buffer_bytes() const {
  return std::max(BufferPool::kBufferBytes, channel_->sealed_bytes_max(channel_->bulk_bytes()));
}

/// Fills `out` with what there is to send, as far as it goes, and returns how many bytes that is.
Result<std::size_t> MuxedConnection::gather(MutableBytes out) {
  std::size_t used = std::min(raw_output_.size(), out.size());
  std::copy_n(raw_output_.begin(), used, out.begin());
  raw_output_.erase(raw_output_.begin(), raw_output_.begin() + static_cast<std::ptrdiff_t>(used));
  const std::size_t most = channel_->sealed_bytes_max(channel_->bulk_bytes());
  while (raw_output_.empty() && out.size() - used >= most) {
    WARREN_TRY(const std::size_t count, seal_next(out.subspan(used)));
    if (count == 0) break;
    used += count;
  }
  return used;
}

/// Seals control frames that wait, then data frames behind them, as one frame of the channel.
/// 0: there is nothing.
Result<std::size_t> MuxedConnection::seal_next(MutableBytes out) {
  parts_.clear();
  frames_ = 0;
  if (control_sent_ == control_.size()) {
    control_ = std::exchange(session_.output(), {});
    control_sent_ = 0;
  }
  const BytesView control = BytesView(control_).subspan(control_sent_);
  const std::size_t control_count = std::min(control.size(), channel_->bulk_bytes());
  if (control_count > 0) parts_.push_back(control.first(control_count));
  control_sent_ += control_count;
  // A data frame is made only when all control frames that came before it go out before it.
  if (control_sent_ == control_.size() && session_.output().empty()) add_frames(control_count);
  if (parts_.empty()) return std::size_t{0};
  auto sealed = channel_->seal(parts_, out);
  keep_.clear();
  for (const StreamId id : std::exchange(sealed_ends_, {})) {
    forget_finished(id);
    const auto found = streams_.find(id);
    if (found != streams_.end() && found->second->unwanted()) reset_stream(*found->second);
  }
  return sealed;
}

/// Adds frames of the streams that have data and window, in turn. `used` bytes of the plaintext are
/// there already.
void MuxedConnection::add_frames(std::size_t used) {
  const std::size_t bulk = channel_->bulk_bytes();
  while (!ready_.empty() && frames_ < kFramesMax && parts_.size() + 2 <= kPartsMax &&
         used + kHeaderBytes < bulk) {
    const StreamPtr state = ready_.front();
    const std::size_t window = state->attached() ? session_.sendable(state->id()) : 0;
    const std::size_t wanted = std::min(state->unsent_bytes(), window);
    if (!state->attached() || !state->wants_to_send() ||
        (wanted == 0 && state->unsent_bytes() > 0)) {
      ready_.pop_front();  // on_window() brings it back.
      state->queued = false;
      continue;
    }
    const std::size_t room = bulk - used - kHeaderBytes;
    // Bulk begins a frame of the channel rather than filling the rest of one.
    if (wanted > room && used > 0 && room < bulk / 4) return;
    auto& header = headers_[frames_++];
    parts_.emplace_back(header);
    const auto taken = state->take_unsent(std::min(wanted, room), parts_, kPartsMax, keep_);
    header = session_.send_data(state->id(), taken.count, taken.end);
    used += kHeaderBytes + taken.count;
    if (taken.end) sealed_ends_.push_back(state->id());
    if (state->released()) state->linger_until = runtime_.now() + host_->config.linger_time_max;
    ready_.pop_front();
    state->queued = state->wants_to_send();
    if (state->queued) ready_.push_back(state);
  }
}

/// What is said last, as far as it is ready: `end()` lets the streams go behind it.
void MuxedConnection::make_farewell(std::optional<GoAwayCode> go_away) {
  const std::size_t most = channel_->sealed_bytes_max(channel_->bulk_bytes());
  Bytes out;
  bool intact = true;
  const auto add = [&](auto&& make, std::size_t room) {
    const std::size_t before = out.size();
    out.resize(before + room);
    const Result<std::size_t> made = make(MutableBytes(out).subspan(before));
    intact = made.has_value();
    out.resize(before + made.value_or(0));
    return intact && *made > 0;
  };
  if (go_away == GoAwayCode::kNormal && has_output()) {
    add([this](MutableBytes room) { return gather(room); }, send_buffer_bytes());
  }
  ready_.clear();
  append(out, std::exchange(raw_output_, {}));
  if (go_away && intact) {
    session_.go_away(*go_away);
    while (add([this](MutableBytes room) { return seal_next(room); }, most)) {
    }
  }
  if (intact) append(out, channel_->close());
  farewell_ = std::move(out);
}

}  // namespace warren::transport
