#include "muxer/yamux/session.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::muxer::yamux {
namespace {

constexpr std::uint32_t kWindowBytesMost = 1u << 30;
// A window that is used up within so many round trips is what holds the peer back.
// Source: go-yamux, stream.go (4), rust-yamux (2).
constexpr int kGrowWithinRoundTrips = 4;

}  // namespace

Session::Session(SessionConfig config, SessionHandler& handler, TimePoint now)
    : config_(std::move(config)), handler_(handler), next_id_(config_.dialer ? 1 : 2) {
  WARREN_CHECK(config_.window_bytes_max >= kInitialWindowBytes &&
               config_.window_bytes_max <= kWindowBytesMost);
  send_ping(now);  // The first round trip, for the growth of windows.
}

Session::~Session() {
  while (!streams_.empty()) forget(streams_.begin()->first);
}

std::unexpected<Error> Session::violation(std::string text) {
  go_away(GoAwayCode::kProtocolError);
  return fail(ErrorCode::kMalformed, "Yamux: " + text);
}

Result<> Session::put(const Header& header) {
  if (output_.size() + kHeaderBytes > config_.control_bytes_max) {
    return fail(ErrorCode::kLimited,
                fmt::format("Yamux: {} bytes of answers wait because the peer does not read them",
                            output_.size()));
  }
  append(output_, header.encode());
  return {};
}

// ----------------------------------------------------------------------------------- input

Result<> Session::read(BytesView bytes, TimePoint now) {
  if (failed_) return fail(*failed_);
  if (!bytes.empty()) heard_ = true;
  while (!bytes.empty()) {
    if (auto done = read_some(bytes, now); !done) {
      failed_ = done.error();
      return done;
    }
  }
  return {};
}

// Takes the rest of a body or of a header, as far as `bytes` reach.
Result<> Session::read_some(BytesView& bytes, TimePoint now) {
  if (body_left_ > 0) {
    const std::size_t count = std::min<std::size_t>(body_left_, bytes.size());
    body_left_ -= static_cast<std::uint32_t>(count);
    if (streams_.contains(body_stream_)) handler_.on_data(body_stream_, bytes.first(count));
    bytes = bytes.subspan(count);
    if (body_left_ == 0) end_body();
    return {};
  }
  const std::size_t count = std::min(kHeaderBytes - header_.size(), bytes.size());
  append(header_, bytes.first(count));
  bytes = bytes.subspan(count);
  if (header_.size() < kHeaderBytes) return {};
  const auto header =
      Header::decode(std::span<const std::uint8_t, kHeaderBytes>(header_.data(), kHeaderBytes));
  header_.clear();
  if (!header) return violation(header.error().message());
  return handle(*header, now);
}

// The end of the stream, if the frame had one, comes behind its last byte: the stream may be
// forgotten with it, and its bytes would be dropped.
void Session::end_body() {
  if (!std::exchange(body_fin_, false)) return;
  const auto found = streams_.find(body_stream_);
  if (found == streams_.end()) return;
  found->second.end_received = true;
  handler_.on_end(body_stream_);
  forget_if_ended(body_stream_);
}

Result<> Session::handle(const Header& header, TimePoint now) {
  switch (header.type) {
    case Type::kPing: return handle_ping(header, now);
    case Type::kGoAway:
      if (header.stream != 0) return violation("go-away on a stream");
      go_away_received_ = true;
      handler_.on_go_away(static_cast<GoAwayCode>(header.length));
      return {};
    case Type::kData:
    case Type::kWindowUpdate: break;
  }
  if (header.stream == 0) return violation("data on stream 0");
  if (header.has(kSyn)) WARREN_TRY_VOID(handle_new_stream(header, now));
  note_acknowledged(header.stream);
  return handle_stream_frame(header, now);
}

Result<> Session::handle_ping(const Header& header, TimePoint now) {
  if (header.stream != 0) return violation("ping on a stream");
  if (header.has(kSyn)) {
    return put({.type = Type::kPing, .flags = kAck, .stream = 0, .length = header.length});
  }
  if (!header.has(kAck)) return {};
  if (asked_value_ && header.length == *asked_value_) {
    asked_value_.reset();
    handler_.on_pong();
    return {};
  }
  // An answer that nothing asked for changes nothing.
  if (ping_sent_ && header.length == ping_value_) {
    rtt_ = std::max(now - *ping_sent_, Duration{1});  // 0 would mean that it is not known.
    ping_sent_.reset();
    timer_ = now + config_.ping_interval;
  }
  return {};
}

Result<> Session::handle_new_stream(const Header& header, TimePoint now) {
  const StreamId id = header.stream;
  if (is_ours(id)) return violation(fmt::format("the peer opened stream {}, an id of ours", id));
  // Ids need not come in order: go-yamux takes the next id and sends the frame in two steps.
  if (streams_.contains(id)) return violation(fmt::format("stream {} was opened already", id));
  highest_inbound_ = std::max(highest_inbound_, id);
  if (header.type == Type::kData && header.length > kInitialWindowBytes) {
    return violation(fmt::format("{} bytes at once on a new stream", header.length));
  }
  if (inbound_count_ >= config_.streams_inbound_max || go_away_sent_) {
    return put({.type = Type::kWindowUpdate, .flags = kRst, .stream = id, .length = 0});
  }
  // Acknowledged at once: a stream that only we read from would fill the peer's backlog.
  StreamState stream;
  stream.update_at = output_.size();
  WARREN_TRY_VOID(put({.type = Type::kWindowUpdate, .flags = kAck, .stream = id, .length = 0}));
  ++inbound_count_;
  stream.acknowledged = true;
  stream.announced = true;
  stream.window_since = now;
  streams_.emplace(id, stream);
  handler_.on_stream(id);
  return {};
}

// Every frame of the peer shows that it knows the stream, whether it says ACK or not.
void Session::note_acknowledged(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || !is_ours(id) || found->second.acknowledged) return;
  found->second.acknowledged = true;
  --unacknowledged_;
  handler_.on_backlog();
}

Result<> Session::handle_stream_frame(const Header& header, TimePoint now) {
  if (!streams_.contains(header.stream)) return handle_unknown(header);
  if (header.has(kRst)) return handle_reset(header);
  return header.type == Type::kData ? handle_data(header, now) : handle_window_update(header);
}

// A frame that raced with our own end or reset of the stream, or one of a stream that was refused.
Result<> Session::handle_unknown(const Header& header) {
  if (header.type != Type::kData || header.length == 0) return {};
  if (header.length > config_.window_bytes_max) {
    return violation(fmt::format("{} bytes for a stream that is not open", header.length));
  }
  body_stream_ = 0;  // Read and dropped.
  body_left_ = header.length;
  // Of a stream that was open, or was refused, the peer has been told. Only what was never open
  // gets an answer, and that once.
  if (header.has(kRst) || !was_never_open(header.stream)) return {};
  if (std::exchange(last_unknown_, header.stream) == header.stream) return {};
  return put({.type = Type::kWindowUpdate, .flags = kRst, .stream = header.stream, .length = 0});
}

Result<> Session::handle_reset(const Header& header) {
  const StreamId id = header.stream;
  if (header.type == Type::kData) {
    if (header.length > streams_.at(id).receive_window) {
      return violation("data beyond the window");
    }
    body_stream_ = 0;
    body_left_ = header.length;
  }
  forget(id);
  handler_.on_reset(id);
  return {};
}

Result<> Session::handle_window_update(const Header& header) {
  const StreamId id = header.stream;
  StreamState& stream = streams_.at(id);
  const std::uint64_t window = stream.send_window + header.length;
  if (window > UINT32_MAX) return violation("more than 4 GiB of window credit");
  const bool grew = stream.send_window == 0 && window > 0 && !stream.end_sent;
  stream.send_window = window;
  if (header.has(kFin)) {
    if (stream.end_received) return violation(fmt::format("stream {} ended twice", id));
    stream.end_received = true;
    handler_.on_end(id);
    forget_if_ended(id);
  }
  if (grew && streams_.contains(id)) handler_.on_window(id);
  return {};
}

Result<> Session::handle_data(const Header& header, TimePoint now) {
  const StreamId id = header.stream;
  StreamState& stream = streams_.at(id);
  if (stream.end_received && (header.length > 0 || header.has(kFin))) {
    return violation(fmt::format("data behind the end of stream {}", id));
  }
  if (header.length > stream.receive_window) {
    return violation(
        fmt::format("{} bytes where the window had {}", header.length, stream.receive_window));
  }
  if (stream.receive_window == stream.receive_window_max) stream.window_since = now;
  stream.receive_window -= header.length;
  body_stream_ = id;
  body_left_ = header.length;
  body_fin_ = header.has(kFin);
  if (body_left_ == 0) end_body();
  return {};
}

// --------------------------------------------------------------------------------- actions

Result<StreamId> Session::open() {
  if (go_away_received_ || go_away_sent_) {
    return fail(ErrorCode::kClosed, "Yamux: the session takes no further stream");
  }
  if (next_id_ > config_.stream_id_max)
    return fail(ErrorCode::kClosed, "Yamux: stream ids are used up");
  if (unacknowledged_ >= config_.backlog_max) {
    return fail(ErrorCode::kLimited,
                fmt::format("Yamux: {} streams wait to be accepted", unacknowledged_));
  }
  const StreamId id = next_id_;
  next_id_ += 2;
  ++unacknowledged_;
  streams_.emplace(id, StreamState{});
  return id;
}

std::uint16_t Session::opening_flag(StreamState& stream) {
  return std::exchange(stream.announced, true) ? 0 : kSyn;
}

std::size_t Session::sendable(StreamId id) const {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.end_sent) return 0;
  return static_cast<std::size_t>(found->second.send_window);
}

std::array<std::uint8_t, kHeaderBytes> Session::send_data(StreamId id, std::size_t count,
                                                          bool fin) {
  const auto found = streams_.find(id);
  WARREN_CHECK(found != streams_.end());
  StreamState& stream = found->second;
  WARREN_CHECK(!stream.end_sent && count <= stream.send_window);
  stream.send_window -= count;
  Header header{.type = Type::kData,
                .flags = opening_flag(stream),
                .stream = id,
                .length = static_cast<std::uint32_t>(count)};
  if (fin) {
    header.flags |= kFin;
    stream.end_sent = true;
    forget_if_ended(id);
  }
  return header.encode();
}

void Session::grow_window(StreamState& stream, TimePoint now) {
  if (rtt_ == Duration{} || stream.receive_window_max >= config_.window_bytes_max) return;
  if (now - stream.window_since >= kGrowWithinRoundTrips * rtt_) return;
  const std::uint32_t grown = std::min(stream.receive_window_max * 2, config_.window_bytes_max);
  const std::int64_t more = std::int64_t{grown} - stream.receive_window_max;
  if (config_.reserve_window && !config_.reserve_window(more)) return;
  stream.receive_window_max = grown;
}

void Session::consumed(StreamId id, std::size_t count, TimePoint now) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.end_received) return;
  StreamState& stream = found->second;
  WARREN_CHECK(count <= stream.receive_window_max - stream.receive_window - stream.consumed);
  stream.consumed += static_cast<std::uint32_t>(count);
  if (stream.consumed < stream.receive_window_max / 2) return;
  const std::uint32_t before = stream.receive_window_max;
  grow_window(stream, now);
  const std::uint32_t delta = stream.consumed + (stream.receive_window_max - before);
  put_window_update(id, stream, delta);
  stream.receive_window += delta;
  stream.consumed = 0;
  stream.window_since = now;
}

// Exempt from the bound on answers, or the stream would stall for ever. Added to the last update
// as long as that has not been taken, so that a peer that sends and never reads costs one frame.
void Session::put_window_update(StreamId id, StreamState& stream, std::uint32_t delta) {
  const std::size_t at = stream.update_at;
  if (at + kHeaderBytes <= output_.size()) {
    auto last =
        Header::decode(std::span<const std::uint8_t, kHeaderBytes>(&output_[at], kHeaderBytes));
    if (last && last->type == Type::kWindowUpdate && last->stream == id) {
      last->length += delta;
      std::ranges::copy(last->encode(), output_.begin() + static_cast<std::ptrdiff_t>(at));
      return;
    }
  }
  stream.update_at = output_.size();
  const Header update{
      .type = Type::kWindowUpdate, .flags = opening_flag(stream), .stream = id, .length = delta};
  append(output_, update.encode());
}

void Session::reset(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  // One that the peer has never heard of needs no word.
  if (found->second.announced || !is_ours(id)) {
    const Header header{.type = Type::kWindowUpdate, .flags = kRst, .stream = id, .length = 0};
    append(output_, header.encode());
  }
  forget(id);
}

void Session::go_away(GoAwayCode code) {
  if (std::exchange(go_away_sent_, true)) return;
  const Header header{
      .type = Type::kGoAway, .flags = 0, .stream = 0, .length = static_cast<std::uint32_t>(code)};
  append(output_, header.encode());
}

void Session::ping() {
  WARREN_CHECK(!ping_pending());
  asked_value_ = next_ping_++;
  const Header header{.type = Type::kPing, .flags = kSyn, .stream = 0, .length = *asked_value_};
  append(output_, header.encode());
}

void Session::forget(StreamId id) {
  const auto found = streams_.find(id);
  const StreamState& stream = found->second;
  if (!is_ours(id)) {
    --inbound_count_;
  } else if (!stream.acknowledged) {
    --unacknowledged_;
  }
  const std::uint32_t extra = stream.receive_window_max - kInitialWindowBytes;
  if (extra > 0 && config_.reserve_window) (void)config_.reserve_window(-std::int64_t{extra});
  streams_.erase(found);
}

void Session::forget_if_ended(StreamId id) {
  const auto found = streams_.find(id);
  if (found != streams_.end() && found->second.end_sent && found->second.end_received) forget(id);
}

// ----------------------------------------------------------------------------------- timer

void Session::send_ping(TimePoint now) {
  ping_value_ = next_ping_++;
  const Header header{.type = Type::kPing, .flags = kSyn, .stream = 0, .length = ping_value_};
  append(output_, header.encode());
  ping_sent_ = now;
  timer_ = now + config_.ping_timeout;
  heard_ = false;
}

Result<> Session::handle_timer(TimePoint now) {
  if (failed_) return fail(*failed_);
  if (now < timer_) return {};
  if (!ping_sent_) {
    send_ping(now);
    return {};
  }
  if (std::exchange(heard_, false)) {
    timer_ = now + config_.ping_timeout;
    return {};
  }
  failed_ =
      Error(ErrorCode::kTimedOut, fmt::format("Yamux: no answer to a ping in {} s",
                                              config_.ping_timeout / std::chrono::seconds(1)));
  return fail(*failed_);
}

}  // namespace warren::muxer::yamux
