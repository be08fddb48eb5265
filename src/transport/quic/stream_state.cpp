#include "transport/quic/stream_state.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"
#include "transport/stream_wait.hpp"

namespace warren::transport::quic {
namespace {

constexpr std::size_t kBlockBytes = 64 << 10;  // Small frames are gathered into blocks of this.
// Small writes are gathered into chunks of the first size, and of the second while more of them
// wait.
constexpr std::size_t kChunkBytesMin = 512;
constexpr std::size_t kChunkBytes = 8u << 10;

}  // namespace

StreamState::StreamState(runtime::Runtime& runtime, StreamOwner& owner, std::int64_t id,
                         std::size_t unsent_bytes_max)
    : owner_(&owner),
      id_(id),
      unsent_bytes_max_(unsent_bytes_max),
      readable_(runtime.make_signal()),
      writable_(runtime.make_signal()),
      acknowledged_(runtime.make_signal()) {}

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
    if (fin_received_) break;
    destination_ = out.subspan(done);
    destination_filled_ = 0;
    destination_least_ = least - done;
    const runtime::Wake wake = co_await readable_->wait_until(deadline);
    destination_ = {};
    done += destination_filled_;
    // What came after the destination was full lies in the blocks.
    if (buffered_bytes_ > 0 && done < out.size()) done += take_buffered(out.subspan(done));
    if (wake != runtime::Wake::kNotified && done < least) co_return fail(wake_error(wake));
  }
  co_return done;
}

void StreamState::on_data(BytesView bytes, bool fin) {
  if (fin) fin_received_ = true;
  if (released_) {
    credit(bytes.size());
    return;
  }
  if (destination_filled_ < destination_.size() && buffered_bytes_ == 0 && !bytes.empty()) {
    const std::size_t count = std::min(bytes.size(), destination_.size() - destination_filled_);
    std::copy_n(bytes.data(), count, destination_.data() + destination_filled_);
    destination_filled_ += count;
    credit(count);
    bytes = bytes.subspan(count);
    if (destination_filled_ >= destination_least_) readable_->notify();
  }
  if (!bytes.empty()) buffer(bytes);
  if (fin) readable_->notify();
}

void StreamState::buffer(BytesView bytes) {
  buffered_bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (blocks_.empty() || blocks_.back().size() == blocks_.back().capacity()) {
      blocks_.emplace_back();
      blocks_.back().reserve(bytes.size() < 4096 && blocks_.size() == 1 ? 4096 : kBlockBytes);
    }
    Bytes& block = blocks_.back();
    const std::size_t count = std::min(bytes.size(), block.capacity() - block.size());
    append(block, bytes.first(count));
    bytes = bytes.subspan(count);
  }
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
  credit(done);
  return done;
}

void StreamState::credit(std::size_t count) {
  if (count == 0 || owner_ == nullptr) return;
  owner_->give_credit(id_, count);
  // The handle that calls keeps this object; the owner's share of it goes here.
  if (finished_ && buffered_bytes_ == 0) std::exchange(owner_, nullptr)->stream_drained(id_);
}

void StreamState::on_reset(std::uint64_t code) {
  if (fin_received_ || receive_error_) return;
  receive_error_ =
      Error(ErrorCode::kReset, fmt::format("the peer reset the stream (0x{:x})", code));
  readable_->notify();
}

// --------------------------------------------------------------------------------- sending

awaitable<Result<>> StreamState::wait_for_room(TimePoint deadline) {
  while (!send_error_ && unsent_bytes_ >= unsent_bytes_max_) {
    const runtime::Wake wake = co_await writable_->wait_until(deadline);
    if (wake != runtime::Wake::kNotified) co_return fail(wake_error(wake));
  }
  if (send_error_) co_return fail(*send_error_);
  if (fin_queued_) co_return fail(ErrorCode::kClosed, "written after close_write");
  co_return Result<>{};
}

awaitable<Result<>> StreamState::write(SharedBytes bytes, TimePoint deadline) {
  const Turn turn(writing_);
  WARREN_CO_TRY_VOID(co_await wait_for_room(deadline));
  if (bytes.empty()) co_return Result<>{};
  unsent_bytes_ += bytes.size();
  chunks_.push_back({.shared = std::move(bytes), .own = nullptr});
  owner_->stream_ready(*this);
  co_return Result<>{};
}

awaitable<Result<>> StreamState::write(BytesView bytes, TimePoint deadline) {
  const Turn turn(writing_);
  WARREN_CO_TRY_VOID(co_await wait_for_room(deadline));
  if (bytes.empty()) co_return Result<>{};
  if (!gather_small(bytes)) {
    const std::size_t small = unsent_bytes_ > 0 ? kChunkBytes : kChunkBytesMin;
    auto own = std::make_unique<Bytes>();
    own->reserve(std::max(bytes.size(), small));
    if (!owner_->reserve_copied(own->capacity())) {
      co_return fail(ErrorCode::kLimited, "no memory is left for what the peer does not take");
    }
    append(*own, bytes);
    chunks_.push_back({.shared = {}, .own = std::move(own)});
  }
  unsent_bytes_ += bytes.size();
  owner_->stream_ready(*this);
  co_return Result<>{};
}

/// Appends to the last chunk when it is a copy with room, and not all of it has gone.
bool StreamState::gather_small(BytesView bytes) {
  if (send_index_ >= chunks_.size()) return false;
  const std::unique_ptr<Bytes>& last = chunks_.back().own;
  if (!last || last->capacity() - last->size() < bytes.size()) return false;
  append(*last, bytes);
  return true;
}

void StreamState::release_chunk(const Chunk& chunk) {
  if (chunk.own && owner_ != nullptr) owner_->release_copied(chunk.own->capacity());
}

awaitable<Result<>> StreamState::flush(TimePoint deadline) {
  while (!send_error_ && (unsent_bytes_ > 0 || unacked_bytes_ > 0)) {
    const runtime::Wake wake = co_await acknowledged_->wait_until(deadline);
    if (wake != runtime::Wake::kNotified) co_return fail(wake_error(wake));
  }
  if (send_error_) co_return fail(*send_error_);
  co_return Result<>{};
}

void StreamState::close_write() {
  if (!write_open()) return;
  fin_queued_ = true;
  if (owner_ != nullptr) owner_->stream_ready(*this);
}

bool StreamState::wants_to_send() const {
  return !send_error_ && (unsent_bytes_ > 0 || (fin_queued_ && !fin_sent_));
}

StreamState::Gathered StreamState::gather(std::span<BytesView> views) const {
  Gathered gathered;
  std::size_t bytes = 0;
  for (std::size_t i = send_index_; i < chunks_.size() && gathered.count < views.size(); ++i) {
    const BytesView chunk = chunks_[i].view().subspan(i == send_index_ ? send_offset_ : 0);
    bytes += chunk.size();
    views[gathered.count++] = chunk;
  }
  gathered.fin = fin_queued_ && bytes == unsent_bytes_;
  return gathered;
}

void StreamState::on_sent(std::size_t count, bool fin) {
  WARREN_CHECK(count <= unsent_bytes_);
  unsent_bytes_ -= count;
  unacked_bytes_ += count;
  if (fin) fin_sent_ = true;
  while (count > 0) {
    const std::size_t left = chunks_[send_index_].size() - send_offset_;
    if (count < left) {
      send_offset_ += count;
      break;
    }
    count -= left;
    ++send_index_;
    send_offset_ = 0;
  }
  if (writing_ && unsent_bytes_ < unsent_bytes_max_ / 2) writable_->notify();
}

void StreamState::on_acked(std::uint64_t count) {
  WARREN_CHECK(count <= unacked_bytes_);
  unacked_bytes_ -= static_cast<std::size_t>(count);
  front_acked_ += static_cast<std::size_t>(count);
  while (!chunks_.empty() && send_index_ > 0 && front_acked_ >= chunks_.front().size()) {
    front_acked_ -= chunks_.front().size();
    release_chunk(chunks_.front());
    chunks_.pop_front();
    --send_index_;
  }
  if (unacked_bytes_ == 0 && unsent_bytes_ == 0) acknowledged_->notify();
}

void StreamState::on_stop_sending(std::uint64_t code) {
  if (send_error_ || (fin_sent_ && unacked_bytes_ == 0)) return;
  send_error_ = Error(ErrorCode::kReset, fmt::format("the peer stopped reading (0x{:x})", code));
  drop_unsent();
  writable_->notify();
  acknowledged_->notify();
}

void StreamState::drop_unsent() {
  const std::size_t kept = send_index_ + (send_offset_ > 0 ? 1 : 0);
  while (chunks_.size() > kept) {
    release_chunk(chunks_.back());
    chunks_.pop_back();
  }
  unsent_bytes_ = 0;
}

// --------------------------------------------------------------------------------- ending

void StreamState::reset(CloseCode code) {
  const bool receiving = !fin_received_ && !receive_error_;
  const bool sending = !send_error_ && !fin_sent_;
  if (owner_ != nullptr) {
    if (receiving) owner_->stop_reading(id_, code);
    if (sending) owner_->stop_writing(id_, code);
  }
  const Error error(ErrorCode::kReset, "the stream was reset here");
  if (receiving) receive_error_ = error;
  if (sending) {
    send_error_ = error;
    drop_unsent();
  }
  readable_->notify();
  writable_->notify();
  acknowledged_->notify();
}

void StreamState::release() {
  if (owner_ != nullptr && !finished_) {
    if (!fin_received_ && !receive_error_) owner_->stop_reading(id_, CloseCode::kNone);
    if (write_open()) {
      send_error_ = Error(ErrorCode::kReset, "the stream was dropped here");
      owner_->stop_writing(id_, CloseCode::kNone);
      drop_unsent();
    }
  }
  released_ = true;
  const std::size_t unread = std::exchange(buffered_bytes_, 0);
  blocks_.clear();
  credit(unread);
}

bool StreamState::finish() {
  finished_ = true;
  end_both(Error(ErrorCode::kReset, "the peer broke the stream off"));
  if (buffered_bytes_ > 0 && !released_) return true;
  owner_ = nullptr;
  return false;
}

void StreamState::detach(const Error& reason) {
  end_both(reason);
  owner_ = nullptr;
}

void StreamState::end_both(const Error& error) {
  // A stream whose end has arrived stays readable: only what was to come is lost.
  if (!fin_received_ && !receive_error_) receive_error_ = error;
  if (!send_error_ && (unsent_bytes_ > 0 || unacked_bytes_ > 0 || !fin_sent_)) send_error_ = error;
  for (const Chunk& chunk : chunks_) release_chunk(chunk);
  chunks_.clear();
  send_index_ = send_offset_ = front_acked_ = unsent_bytes_ = unacked_bytes_ = 0;
  readable_->notify();
  writable_->notify();
  acknowledged_->notify();
}

}  // namespace warren::transport::quic
