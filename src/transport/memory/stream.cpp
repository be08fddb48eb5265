// Streams of the memory transport: a window of bytes, an end and a reset for each direction.

#include <fmt/core.h>

#include <algorithm>

#include "runtime/cancellation.hpp"
#include "transport/memory/connection.hpp"
#include "transport/stream_wait.hpp"

namespace warren::transport::memory {
namespace {

using runtime::Wake;

// Largest piece in one message, so that a slow link lets other streams in between.
constexpr std::size_t kPieceBytesMax = 64u << 10;

Error broken_by_peer(CloseCode code) {
  return {ErrorCode::kReset,
          fmt::format("the peer reset the stream, code {:#x}", static_cast<std::uint64_t>(code))};
}

/// Copies what has arrived into `out`, and returns credit to the writer now and then.
std::size_t take(ConnectionState& connection, StreamState& stream, MutableBytes out) {
  std::size_t count = 0;
  while (count < out.size() && !stream.arrived.empty()) {
    const BytesView rest = stream.arrived.front().view().subspan(stream.front_read);
    const std::size_t n = std::min(rest.size(), out.size() - count);
    std::ranges::copy(rest.first(n), out.subspan(count).begin());
    count += n;
    stream.front_read += n;
    if (n < rest.size()) break;
    stream.arrived.pop_front();
    stream.front_read = 0;
  }
  stream.uncredited += count;
  const bool due = stream.uncredited >= connection.config.stream_window_bytes / 4;
  if (due && !stream.end_arrived && !connection.closed) {
    connection.send_to_stream(
        stream.id, 0,
        [n = std::exchange(stream.uncredited, 0)](ConnectionState&, StreamState& writer) {
          writer.outstanding -= n;
          writer.writable->notify();
        });
  }
  return count;
}

/// Reads until `out` holds `least` bytes or the stream ends.
awaitable<Result<std::size_t>> read(std::shared_ptr<ConnectionState> connection,
                                    std::shared_ptr<StreamState> stream, MutableBytes out,
                                    std::size_t least, TimePoint deadline) {
  const Turn turn(stream->reading);
  std::size_t count = 0;
  for (;;) {
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (stream->read_error) co_return fail(*stream->read_error);
    count += take(*connection, *stream, out.subspan(count));
    if (count >= least || stream->end_arrived) co_return count;
    const Wake wake = co_await stream->readable->wait_until(deadline);
    if (wake == Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut,
                     fmt::format("read: {} of {} bytes came in time", count, least));
    }
  }
}

void send_piece(ConnectionState& connection, StreamState& stream, SharedBytes piece) {
  const std::size_t size = piece.size();
  stream.outstanding += size;
  connection.stats.bytes_sent += size;
  connection.send_to_stream(
      stream.id, size,
      [piece = std::move(piece)](ConnectionState& other, StreamState& reader) mutable {
        other.stats.bytes_received += piece.size();
        if (reader.read_error) return;  // Nobody reads any more.
        reader.arrived.push_back(std::move(piece));
        reader.readable->notify();
      });
}

/// `cut(at, n)` gives bytes [at, at + n) to keep.
template <class Cut>
awaitable<Result<>> write_pieces(std::shared_ptr<ConnectionState> connection,
                                 std::shared_ptr<StreamState> stream, std::size_t size, Cut cut,
                                 TimePoint deadline) {
  const Turn turn(stream->writing);
  std::size_t at = 0;
  for (;;) {
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (stream->write_error) co_return fail(*stream->write_error);
    if (stream->end_sent) co_return fail(ErrorCode::kClosed, "the stream is closed for writing");
    while (at < size && stream->outstanding < stream->send_window) {
      const std::size_t room = stream->send_window - stream->outstanding;
      const std::size_t n = std::min({room, size - at, kPieceBytesMax});
      send_piece(*connection, *stream, cut(at, n));
      at += n;
    }
    if (at == size) co_return Result<>{};
    const Wake wake = co_await stream->writable->wait_until(deadline);
    if (wake == Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut,
                     fmt::format("write: the peer took {} of {} bytes in time", at, size));
    }
  }
}

/// Breaks off what is not at its end yet; `error` is what this side's calls then fail with.
void break_off(ConnectionState& connection, StreamState& stream, CloseCode code,
               const Error& error) {
  const bool writes = !stream.write_done();
  const bool reads = !stream.read_done();
  if (writes) stream.write_error = error;
  if (reads) stream.read_error = error;
  stream.wake();
  if (!writes && !reads) return;
  // One message for both, so that the peer never sees half of it.
  connection.send_to_stream(stream.id, 0,
                            [code, writes, reads](ConnectionState&, StreamState& other) {
                              if (writes && !other.read_done()) {
                                other.read_error = broken_by_peer(code);
                                other.arrived.clear();
                              }
                              if (reads && !other.write_done())
                                other.write_error = broken_by_peer(code);
                              other.wake();
                            });
}

}  // namespace

MemoryStream::~MemoryStream() {
  const bool inbound = (state_->id % 2 == 0) != connection_->info.outbound;
  if (!connection_->closed) {
    break_off(*connection_, *state_, CloseCode::kNone,
              {ErrorCode::kReset, "the handle of the stream is gone"});
    // The last word of an inbound stream gives its place back to the peer.
    if (inbound) {
      connection_->send(0, [](const std::shared_ptr<ConnectionState>& other) {
        --other->outbound_open;
        other->stream_credit.notify_all();
      });
    }
  }
  state_->arrived.clear();
  connection_->streams.erase(state_->id);
}

awaitable<Result<std::size_t>> MemoryStream::read_some(MutableBytes out, TimePoint deadline) {
  return read(connection_, state_, out, std::min<std::size_t>(out.size(), 1), deadline);
}

awaitable<Result<std::size_t>> MemoryStream::read_full(MutableBytes out, TimePoint deadline) {
  return read(connection_, state_, out, out.size(), deadline);
}

awaitable<Result<>> MemoryStream::write(BytesView bytes, TimePoint deadline) {
  return write_pieces(
      connection_, state_, bytes.size(),
      [bytes](std::size_t at, std::size_t n) {
        return SharedBytes(to_bytes(bytes.subspan(at, n)));
      },
      deadline);
}

awaitable<Result<>> MemoryStream::write(SharedBytes bytes, TimePoint deadline) {
  const std::size_t size = bytes.size();
  return write_pieces(
      connection_, state_, size,
      [bytes = std::move(bytes)](std::size_t at, std::size_t n) { return bytes.slice(at, n); },
      deadline);
}

awaitable<Result<>> MemoryStream::flush(TimePoint deadline) {
  // The channel keeps the order: when the answer is back, all that went before has arrived.
  const std::shared_ptr<StreamState> stream = state_;
  const std::shared_ptr<ConnectionState> connection = connection_;
  const Turn turn(stream->writing);
  const std::uint64_t number = ++stream->flushes_sent;
  const std::weak_ptr<StreamState> weak = stream;
  connection->send(0, [weak, number](const std::shared_ptr<ConnectionState>& other) {
    other->send(0, [weak, number](const std::shared_ptr<ConnectionState>&) {
      const auto back = weak.lock();
      if (!back) return;
      back->flushes_done = number;
      back->writable->notify();
    });
  });
  for (;;) {
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (stream->flushes_done >= number) co_return Result<>{};
    if (stream->write_error) co_return fail(*stream->write_error);
    const Wake wake = co_await stream->writable->wait_until(deadline);
    if (wake == Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut, "flush: not acknowledged in time");
    }
  }
}

void MemoryStream::close_write() {
  if (state_->write_done()) return;
  state_->end_sent = true;
  connection_->send_to_stream(state_->id, 0, [](ConnectionState&, StreamState& reader) {
    if (reader.read_done()) return;
    reader.end_arrived = true;
    reader.readable->notify();
  });
  state_->writable->notify();
}

void MemoryStream::reset(CloseCode code) {
  const bool clean = state_->end_sent && state_->end_arrived;
  if (clean || connection_->closed) return;
  state_->arrived.clear();
  const Error error(ErrorCode::kReset, fmt::format("the stream was reset here, code {:#x}",
                                                   static_cast<std::uint64_t>(code)));
  break_off(*connection_, *state_, code, error);
}

}  // namespace warren::transport::memory
