#include "transport/upgrade/muxed_connection.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::transport {
namespace {

namespace yamux = muxer::yamux;

constexpr std::size_t kTasksMax = 16'384;
// Answers to all that one frame of a channel can ask, and to another one.
constexpr std::size_t kControlBytesMax = 128u << 10;
// The resource manager is asked for memory in steps of this.
constexpr std::size_t kCountedStepBytes = 256u << 10;

}  // namespace

ConnectionHost::ConnectionHost(runtime::Runtime& own_runtime, UpgradeConfig own_config)
    : runtime(own_runtime), config(own_config), tasks(own_runtime, kTasksMax) {}

MuxedConnection::MuxedConnection(std::shared_ptr<ConnectionHost> host, ProvenStream proven)
    : host_(std::move(host)),
      runtime_(host_->runtime),
      stream_(std::move(proven.stream)),
      channel_(std::move(proven.channel)),
      scope_(std::move(proven.scope)),
      info_(std::move(proven.info)),
      session_(session_config(), *this, runtime_.now()),
      accept_signal_(runtime_.make_signal()),
      stream_credit_(runtime_),
      wake_writer_(runtime_.make_signal()),
      task_ended_(runtime_.make_signal()) {
  receive_buffer_ = Buffer(std::max<std::size_t>(proven.ciphertext.size(), 16u << 10));
  std::ranges::copy(proven.ciphertext, receive_buffer_.bytes().begin());
  end_of_bytes_ = proven.ciphertext.size();
  bytes_received_ = proven.ciphertext.size();
}

MuxedConnection::~MuxedConnection() = default;

std::shared_ptr<MuxedConnection> MuxedConnection::start(std::shared_ptr<ConnectionHost> host,
                                                        ProvenStream proven) {
  Bytes plaintext = std::move(proven.plaintext);
  runtime::TaskGroup& tasks = host->tasks;
  std::shared_ptr<MuxedConnection> connection(
      new MuxedConnection(std::move(host), std::move(proven)));
  if (!tasks.spawn(read_loop(connection, std::move(plaintext)))) return nullptr;
  if (!tasks.spawn(write_loop(connection))) {
    connection->stream_->close();  // Ends the reader.
    return nullptr;
  }
  return connection;
}

yamux::SessionConfig MuxedConnection::session_config() {
  const UpgradeConfig& config = host_->config;
  yamux::SessionConfig made;
  made.dialer = info_.outbound;
  made.streams_inbound_max = config.limits.streams_inbound_max;
  made.window_bytes_max = config.stream_window_bytes_max;
  made.reserve_window = [this](std::int64_t bytes) { return reserve_window(bytes); };
  made.control_bytes_max = kControlBytesMax;
  made.ping_interval = config.ping_interval;
  made.ping_timeout = config.ping_timeout;
  return made;
}

/// Counts what the peer may send by windows that have grown, or what lies here unread, whichever is
/// more: bytes within a grown window are paid for.
bool MuxedConnection::count_memory(std::int64_t window_bytes, std::size_t buffered_bytes,
                                   resources::Need need) {
  const std::size_t unread =
      (buffered_bytes + kCountedStepBytes - 1) / kCountedStepBytes * kCountedStepBytes;
  const std::size_t wanted = std::max(static_cast<std::size_t>(window_bytes), unread);
  if (scope_ && wanted > counted_bytes_) {
    if (!scope_->reserve_memory(wanted - counted_bytes_, need)) return false;
    counted_bytes_ = wanted;
  } else if (scope_ && wanted + kCountedStepBytes < counted_bytes_) {
    scope_->release_memory(counted_bytes_ - wanted);
    counted_bytes_ = wanted;
  }
  return true;
}

bool MuxedConnection::reserve_window(std::int64_t bytes) {
  const std::int64_t budget = host_->config.window_budget_bytes;
  if (bytes > 0 && host_->window_bytes + bytes > budget) return false;
  if (!count_memory(window_bytes_ + bytes, buffered_bytes_, resources::Need::kOptional)) {
    return false;
  }
  window_bytes_ += bytes;
  host_->window_bytes += bytes;
  return true;
}

bool MuxedConnection::reserve_buffer(std::ptrdiff_t bytes) {
  const std::size_t wanted = buffered_bytes_ + static_cast<std::size_t>(bytes);
  const std::size_t most =
      host_->config.buffered_bytes_max + static_cast<std::size_t>(window_bytes_);
  if (bytes > 0 && wanted > most) return false;
  if (!count_memory(window_bytes_, wanted, resources::Need::kNecessary)) return false;
  buffered_bytes_ = wanted;
  return true;
}

ConnectionStats MuxedConnection::stats() const {
  return {.bytes_sent = bytes_sent_,
          .bytes_received = bytes_received_,
          .rtt = session_.rtt(),
          .streams_open = session_.stream_count()};
}

// ------------------------------------------------------------------------ opening, accepting

awaitable<Result<std::unique_ptr<Stream>>> MuxedConnection::open_stream(TimePoint deadline) {
  const auto self = shared_from_this();
  for (;;) {
    if (end_) co_return fail(ErrorCode::kClosed, "the connection has ended: " + end_->message());
    if (own_streams_ < host_->config.streams_outbound_max) {
      const auto id = session_.open();
      if (id) {
        ++own_streams_;
        co_return std::make_unique<MuxedStream>(add_stream(*id));
      }
      if (id.error().code() != ErrorCode::kLimited) co_return fail(id.error());
    }
    const runtime::Wake wake = co_await stream_credit_.wait_until(deadline);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (wake == runtime::Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut, "the connection has no room for a further stream yet");
    }
  }
}

awaitable<Result<std::unique_ptr<Stream>>> MuxedConnection::accept_stream() {
  const auto self = shared_from_this();
  for (;;) {
    if (!accepted_.empty()) {
      const StreamPtr state = std::move(accepted_.front());
      accepted_.pop_front();
      co_return std::make_unique<MuxedStream>(state);
    }
    if (end_) co_return fail(ErrorCode::kClosed, end_->message());
    const runtime::Wake wake = co_await accept_signal_->wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
}

MuxedConnection::StreamPtr MuxedConnection::add_stream(StreamId id) {
  auto state =
      std::make_shared<StreamState>(runtime_, weak_from_this(), id, host_->config.unsent_bytes_max);
  streams_.insert_or_assign(id, state);
  return state;
}

/// Out of all lists. Null when unknown.
MuxedConnection::StreamPtr MuxedConnection::take_stream(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return nullptr;
  StreamPtr state = std::move(found->second);
  streams_.erase(found);
  if (is_ours(id)) --own_streams_;
  if (state->released()) std::erase(lingering_, state);
  if (std::exchange(state->queued, false)) std::erase(ready_, state);
  stream_credit_.notify_all();
  return state;
}

/// Forgets the stream if the session has: both directions came to their end.
void MuxedConnection::forget_finished(StreamId id) {
  if (session_.knows(id)) return;
  if (const StreamPtr state = take_stream(id)) state->detach();
}

// ------------------------------------------------------------------------- asked by streams

void MuxedConnection::stream_ready(StreamState& stream) {
  if (end_ || stream.queued) return;
  const auto found = streams_.find(stream.id());
  if (found == streams_.end()) return;
  stream.queued = true;
  ready_.push_back(found->second);
  wake_writer();
}

void MuxedConnection::stream_consumed(StreamState& stream, std::size_t count) {
  if (end_) return;
  session_.consumed(stream.id(), count, runtime_.now());
  if (!session_.output().empty()) wake_writer();
}

void MuxedConnection::reset_stream(StreamState& stream) {
  if (end_) return;
  session_.reset(stream.id());
  if (const StreamPtr state = take_stream(stream.id())) {
    std::erase(accepted_, state);
    state->detach(Error(ErrorCode::kReset, "the stream was dropped here"));
  }
  if (!session_.output().empty()) wake_writer();
}

void MuxedConnection::linger(StreamState& stream) {
  const auto found = streams_.find(stream.id());
  if (end_ || found == streams_.end()) return;
  if (stream.unwanted() && !stream.wants_to_send()) return reset_stream(stream);
  stream.linger_until = runtime_.now() + host_->config.linger_time_max;
  lingering_.push_back(found->second);
}

std::uint64_t MuxedConnection::ask_confirmation(StreamState& stream) {
  if (end_) return 0;
  // A ping that is on its way may have left before the last bytes did.
  if (!session_.ping_pending()) {
    session_.ping();
    ++pings_sent_;
    ping_wanted_ = pings_sent_;
    wake_writer();
  } else {
    ping_wanted_ = pings_sent_ + 1;
  }
  // A stream that went while it waited, or asks anew, has no place of its own left here.
  std::erase_if(confirming_, [&stream](const auto& entry) {
    const StreamPtr state = entry.second.lock();
    return !state || state.get() == &stream;
  });
  confirming_.emplace_back(ping_wanted_, stream.weak_from_this());
  return ping_wanted_;
}

// --------------------------------------------------------------------- told by the session

void MuxedConnection::on_stream(StreamId id) {
  // A peer may use an id again, which ours never do.
  if (const StreamPtr old = take_stream(id)) old->detach();
  accepted_.push_back(add_stream(id));
  accept_signal_->notify();
}

void MuxedConnection::on_data(StreamId id, BytesView bytes) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const StreamPtr state = found->second;
  if (state->on_data(bytes)) reader_filled_ = true;
  if (state->unwanted() && !state->wants_to_send()) reset_stream(*state);
}

void MuxedConnection::on_end(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  found->second->on_end();
  ended_.push_back(id);  // The session forgets it after this call, if it does.
}

void MuxedConnection::on_reset(StreamId id) {
  const StreamPtr state = take_stream(id);
  if (!state) return;
  state->detach(Error(ErrorCode::kReset, "the peer reset the stream"));
  // One that nobody has seen yet: the peer could make any number of them.
  std::erase(accepted_, state);
}

void MuxedConnection::on_window(StreamId id) {
  const auto found = streams_.find(id);
  if (found != streams_.end() && found->second->wants_to_send()) stream_ready(*found->second);
}

void MuxedConnection::on_backlog() { stream_credit_.notify_all(); }

void MuxedConnection::on_go_away(GoAwayCode code) {
  go_away_received_ = true;
  if (code == GoAwayCode::kNormal) goodbye_received_ = true;
  stream_credit_.notify_all();  // Nothing can be opened any more: tell who waits.
}

void MuxedConnection::on_pong() {
  for (const auto& [number, weak] : confirming_) {
    const StreamPtr state = weak.lock();
    if (state && number <= pings_sent_) state->on_confirmed(number);
  }
  std::erase_if(confirming_, [this](const auto& entry) { return entry.first <= pings_sent_; });
  if (ping_wanted_ > pings_sent_) {
    session_.ping();
    ++pings_sent_;
    wake_writer();
  }
}

// ---------------------------------------------------------------------------------- ending

void MuxedConnection::close(CloseCode code, std::string_view reason) {
  if (end_) return;
  end(Error(ErrorCode::kClosed,
            reason.empty() ? "the connection was closed here" : std::string(reason)),
      code == CloseCode::kProtocolViolation ? GoAwayCode::kProtocolError : GoAwayCode::kNormal);
}

/// Ends it with `error`; with `go_away` the peer is told.
void MuxedConnection::end(Error error, std::optional<GoAwayCode> go_away) {
  if (end_) return;
  make_farewell(go_away);
  end_ = std::move(error);
  detach_all();
  accept_signal_->notify();
  stream_credit_.notify_all();
  wake_writer();
  // The writer sends the rest in its own time; this one sees that it is not too long.
  if (!host_->tasks.spawn(say_goodbye(shared_from_this()))) stream_->close();
}

void MuxedConnection::detach_all() {
  const bool clean = end_->code() == ErrorCode::kClosed;
  const Error reason(clean ? ErrorCode::kClosed : ErrorCode::kReset,
                     "the connection ended: " + end_->message());
  const auto streams = std::exchange(streams_, {});
  const auto confirming = std::exchange(confirming_, {});
  lingering_.clear();
  ready_.clear();
  accepted_.clear();
  own_streams_ = 0;
  for (const auto& [id, state] : streams) state->detach(reason);
  for (const auto& [number, weak] : confirming) {
    if (const StreamPtr state = weak.lock()) state->detach(reason);
  }
}

}  // namespace warren::transport
