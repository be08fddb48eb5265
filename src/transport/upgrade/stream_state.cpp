#include "transport/upgrade/stream_state.hpp"

#include <algorithm>

#include "transport/stream_wait.hpp"

namespace warren::transport {
namespace {

constexpr std::size_t kBlockBytes = 64u << 10;  // Small frames are gathered into blocks of this.
constexpr std::size_t kSmallBlockBytes = 4u << 10;
// Writes of fewer bytes are gathered into one chunk, up to kGatheredBytesMax.
constexpr std::size_t kSmallWriteBytes = 4u << 10;
constexpr std::size_t kGatheredBytesMax = 16u << 10;

}  // namespace

StreamState::StreamState(runtime::Runtime& runtime, std::weak_ptr<StreamOwner> owner,
                         std::uint32_t id, std::size_t unsent_bytes_max)
    : owner_(std::move(owner)),
      id_(id),
      unsent_bytes_max_(unsent_bytes_max),
      readable_(runtime.make_signal()),
      writable_(runtime.make_signal()),
      flushed_(runtime.make_signal()) {}

// ------------------------------------------------------------------------------- receiving

awaitable<Result<std::size_t>> StreamState::read(MutableBytes out, std::size_t least,
                                                 TimePoint deadline) {
  const Turn turn(reading_);
  std::size_t done = take_buffered(out);
  while (done < least) {
    if (receive_error_) {
      if (done > 0 && least == 1) break;
      co_return fail(*receive_error_);
    }
    if (end_received_) break;
    destination_ = out.subspan(done);
    destination_filled_ = 0;
    destination_least_ = least - done;
    const runtime::Wake wake = co_await readable_->wait_until(deadline);
    destination_ = {};
    done += destination_filled_;
    destination_filled_ = 0;
    // What came after the destination was full lies in the blocks.
    if (buffered_bytes_ > 0 && done < out.size()) done += take_buffered(out.subspan(done));
    if (wake != runtime::Wake::kNotified && done < least) co_return fail(wake_error(wake));
  }
  co_return done;
}

bool StreamState::on_data(BytesView bytes) {
  if (released_) {
    unwanted_ = true;
    return false;
  }
  bool filled = false;
  std::size_t count = 0;
  if (destination_filled_ < destination_.size() && buffered_bytes_ == 0) {
    count = std::min(bytes.size(), destination_.size() - destination_filled_);
    std::copy_n(bytes.data(), count, destination_.data() + destination_filled_);
    destination_filled_ += count;
    if (destination_filled_ >= destination_least_) {
      readable_->notify();
      filled = true;
    }
  }
  if (count < bytes.size() && !buffer(bytes.subspan(count))) return false;
  if (count > 0) {
    if (const auto owner = owner_.lock(); owner && attached_) owner->stream_consumed(*this, count);
  }
  return filled;
}

// Without room the stream is broken off: the peer was promised a window, not memory for ever.
bool StreamState::buffer(BytesView bytes) {
  const auto owner = owner_.lock();
  if (!owner) return false;
  if (!owner->reserve_buffer(static_cast<std::ptrdiff_t>(bytes.size()))) {
    owner->reset_stream(*this);
    const Error error(ErrorCode::kLimited, "no memory is left for what arrives on the stream");
    receive_error_ = error;
    send_error_ = error;
    return false;
  }
  buffered_bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (blocks_.empty() || blocks_.back().size() == blocks_.back().capacity()) {
      blocks_.emplace_back();
      const bool small = bytes.size() < kSmallBlockBytes && blocks_.size() == 1;
      blocks_.back().reserve(small ? kSmallBlockBytes : kBlockBytes);
    }
    Bytes& block = blocks_.back();
    const std::size_t count = std::min(bytes.size(), block.capacity() - block.size());
    append(block, bytes.first(count));
    bytes = bytes.subspan(count);
  }
  return true;
}

std::size_t StreamState::take_buffered(MutableBytes out) {
  std::size_t done = 0;
  while (done < out.size() && buffered_bytes_ > 0) {
    const Bytes& block = blocks_.front();
    const std::size_t count = std::min(out.size() - done, block.size() - front_offset_);
    std::copy_n(block.data() + front_offset_, count, out.data() + done);
    done += count;
    front_offset_ += count;
    buffered_bytes_ -= count;
    if (front_offset_ == block.size()) {
      blocks_.pop_front();
      front_offset_ = 0;
    }
  }
  if (done == 0) return 0;
  if (const auto owner = owner_.lock()) {
    (void)owner->reserve_buffer(-static_cast<std::ptrdiff_t>(done));
    if (attached_) owner->stream_consumed(*this, done);
  }
  return done;
}

void StreamState::drop_buffered() {
  blocks_.clear();
  front_offset_ = 0;
  const std::size_t dropped = std::exchange(buffered_bytes_, 0);
  if (dropped == 0) return;
  if (const auto owner = owner_.lock()) {
    (void)owner->reserve_buffer(-static_cast<std::ptrdiff_t>(dropped));
  }
}

void StreamState::on_end() {
  end_received_ = true;
  readable_->notify();
}

// --------------------------------------------------------------------------------- sending

awaitable<Result<>> StreamState::wait_for_room(TimePoint deadline) {
  while (!send_error_ && !end_queued_ && unsent_bytes_ >= unsent_bytes_max_) {
    const runtime::Wake wake = co_await writable_->wait_until(deadline);
    if (wake != runtime::Wake::kNotified) co_return fail(wake_error(wake));
  }
  if (send_error_) co_return fail(*send_error_);
  if (end_queued_) co_return fail(ErrorCode::kClosed, "written after close_write");
  co_return Result<>{};
}

awaitable<Result<>> StreamState::write(BytesView bytes, TimePoint deadline) {
  const Turn turn(writing_);
  WARREN_CO_TRY_VOID(co_await wait_for_room(deadline));
  if (bytes.empty()) co_return Result<>{};
  // Counted until it is encrypted: the peer decides when that is.
  const auto owner = owner_.lock();
  if (!owner || !owner->reserve_buffer(static_cast<std::ptrdiff_t>(bytes.size()))) {
    co_return fail(ErrorCode::kLimited, "no memory is left for what the peer does not take");
  }
  copied_bytes_ += bytes.size();
  Bytes* last = chunks_.empty() ? nullptr : chunks_.back().own.get();
  if (last != nullptr && bytes.size() < kSmallWriteBytes &&
      last->size() + bytes.size() <= kGatheredBytesMax) {
    append(*last, bytes);
  } else {
    chunks_.push_back({.shared = {}, .own = std::make_shared<Bytes>(to_bytes(bytes))});
  }
  unsent_bytes_ += bytes.size();
  if (attached_) owner->stream_ready(*this);
  co_return Result<>{};
}

awaitable<Result<>> StreamState::write(SharedBytes bytes, TimePoint deadline) {
  const Turn turn(writing_);
  WARREN_CO_TRY_VOID(co_await wait_for_room(deadline));
  if (bytes.empty()) co_return Result<>{};
  unsent_bytes_ += bytes.size();
  chunks_.push_back({.shared = std::move(bytes), .own = nullptr});
  if (const auto owner = owner_.lock(); owner && attached_) owner->stream_ready(*this);
  co_return Result<>{};
}

void StreamState::release_copied(std::size_t count) {
  if (count == 0) return;
  copied_bytes_ -= count;
  if (const auto owner = owner_.lock()) {
    (void)owner->reserve_buffer(-static_cast<std::ptrdiff_t>(count));
  }
}

StreamState::Taken StreamState::take_unsent(std::size_t count, std::vector<BytesView>& parts,
                                            std::size_t parts_max, std::vector<SharedBytes>& keep) {
  Taken taken;
  while (taken.count < count && !chunks_.empty() && parts.size() < parts_max) {
    Chunk& chunk = chunks_.front();
    const BytesView rest = chunk.view().subspan(front_sent_);
    const std::size_t n = std::min(rest.size(), count - taken.count);
    parts.push_back(rest.first(n));
    taken.count += n;
    if (n < rest.size()) {
      front_sent_ += n;
      break;
    }
    if (chunk.own) release_copied(chunk.own->size());
    keep.push_back(chunk.own ? SharedBytes(chunk.own, {}) : std::move(chunk.shared));
    chunks_.pop_front();
    front_sent_ = 0;
  }
  unsent_bytes_ -= taken.count;
  sent_count_ += taken.count;
  // The end goes in a frame of its own: js-libp2p 3.3 heeds the flags of a frame before its bytes,
  // and drops those that come with the end.
  taken.end = end_queued_ && unsent_bytes_ == 0 && taken.count == 0;
  if (taken.end) {
    end_sent_ = true;
    ++sent_count_;
  }
  if (writing_ && unsent_bytes_ < unsent_bytes_max_ / 2) writable_->notify();
  if (!wants_to_send()) flushed_->notify();
  return taken;
}

awaitable<Result<>> StreamState::flush(TimePoint deadline) {
  while (!send_error_ && wants_to_send()) {
    const runtime::Wake wake = co_await flushed_->wait_until(deadline);
    if (wake != runtime::Wake::kNotified) co_return fail(wake_error(wake));
  }
  if (send_error_) co_return fail(*send_error_);
  const std::uint64_t count = sent_count_;
  if (count <= confirmed_count_) co_return Result<>{};
  const auto owner = owner_.lock();
  const std::uint64_t number = owner ? owner->ask_confirmation(*this) : 0;
  if (number == 0) {
    co_return fail(ErrorCode::kClosed, "the connection ended before the peer confirmed all bytes");
  }
  while (!send_error_ && confirmed_number_ < number) {
    const runtime::Wake wake = co_await flushed_->wait_until(deadline);
    if (wake != runtime::Wake::kNotified) co_return fail(wake_error(wake));
  }
  if (confirmed_number_ < number) co_return fail(*send_error_);
  confirmed_count_ = std::max(confirmed_count_, count);
  co_return Result<>{};
}

void StreamState::on_confirmed(std::uint64_t number) {
  if (send_error_) return;  // A reset came first: what it dropped the peer does not have.
  confirmed_number_ = std::max(confirmed_number_, number);
  flushed_->notify();
}

void StreamState::close_write() {
  if (!write_open()) return;
  end_queued_ = true;
  if (const auto owner = owner_.lock(); owner && attached_) owner->stream_ready(*this);
}

// --------------------------------------------------------------------------------- ending

void StreamState::reset() {
  const bool receiving = !end_received_ && !receive_error_;
  const bool sending = !end_sent_ && !send_error_;
  if (!receiving && !sending) return;
  const Error error(ErrorCode::kReset, "the stream was reset here");
  // What is dropped unread must not look like an end.
  if (buffered_bytes_ > 0 && !receive_error_) receive_error_ = error;
  drop_buffered();
  if (const auto owner = owner_.lock(); owner && attached_) owner->reset_stream(*this);
  end_both(error);
}

void StreamState::release() {
  released_ = true;
  unwanted_ = buffered_bytes_ > 0 && !end_received_;
  drop_buffered();
  const auto owner = owner_.lock();
  if (!owner || !attached_ || (end_received_ && end_sent_)) return;
  if (end_queued_ && !send_error_) {
    owner->linger(*this);
  } else {
    owner->reset_stream(*this);
  }
}

void StreamState::detach(const Error& reason) {
  attached_ = false;
  end_both(reason);
}

// A stream whose end has arrived stays readable: only what was to come is lost.
void StreamState::end_both(const Error& error) {
  if (!end_received_ && !receive_error_) receive_error_ = error;
  if (!send_error_ && (!end_sent_ || confirmed_count_ < sent_count_)) send_error_ = error;
  chunks_.clear();
  release_copied(copied_bytes_);
  front_sent_ = 0;
  unsent_bytes_ = 0;
  readable_->notify();
  writable_->notify();
  flushed_->notify();
}

// ------------------------------------------------------------------------------ the handle

awaitable<Result<std::size_t>> MuxedStream::read_some(MutableBytes out, TimePoint deadline) {
  return state_->read(out, std::min<std::size_t>(1, out.size()), deadline);
}
awaitable<Result<std::size_t>> MuxedStream::read_full(MutableBytes out, TimePoint deadline) {
  return state_->read(out, out.size(), deadline);
}
awaitable<Result<>> MuxedStream::write(BytesView bytes, TimePoint deadline) {
  return state_->write(bytes, deadline);
}
awaitable<Result<>> MuxedStream::write(SharedBytes bytes, TimePoint deadline) {
  return state_->write(std::move(bytes), deadline);
}
awaitable<Result<>> MuxedStream::flush(TimePoint deadline) { return state_->flush(deadline); }

}  // namespace warren::transport
