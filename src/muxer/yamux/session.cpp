#include "muxer/yamux/session.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::muxer::yamux {
namespace {

constexpr StreamId kStreamIdMax = 0x7fff'ffff;
// A window that is used up within so many round trips is what holds the peer back.
// Source: go-yamux, stream.go (4), rust-yamux (2).
constexpr int kGrowWithinRoundTrips = 4;

}  // namespace

Session::Session(SessionConfig config, SessionHandler& handler, TimePoint now)
    : config_(std::move(config)), handler_(handler), next_id_(config_.dialer ? 1 : 2) {
  send_ping(now);  // The first round trip, for the growth of windows.
}

std::unexpected<Error> Session::violation(std::string text) {
  go_away(GoAwayCode::kProtocolError);
  return fail(ErrorCode::kMalformed, "Yamux: " + text);
}

Result<> Session::put(const Header& header) {
  if (output_.size() + kHeaderBytes > config_.control_bytes_max) {
    return fail(ErrorCode::kLimited, "Yamux: the peer asks faster than it reads the answers");
  }
  append(output_, header.encode());
  return {};
}

// ----------------------------------------------------------------------------------- input

Result<> Session::read(BytesView bytes, TimePoint now) {
  while (!bytes.empty() || (body_left_ == 0 && body_fin_)) {
    if (body_left_ > 0) {
      const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(body_left_, bytes.size()));
      body_left_ -= count;
      if (streams_.contains(body_stream_)) handler_.on_data(body_stream_, bytes.first(count));
      bytes = bytes.subspan(count);
      if (body_left_ > 0) return {};
    }
    if (std::exchange(body_fin_, false)) {
      const auto found = streams_.find(body_stream_);
      if (found != streams_.end()) {
        found->second.end_received = true;  // Not before its last byte: forgetting drops the rest.
        handler_.on_end(body_stream_);
        forget_if_ended(body_stream_);
      }
      continue;
    }
    const std::size_t missing = kHeaderBytes - header_.size();
    const std::size_t count = std::min(missing, bytes.size());
    append(header_, bytes.first(count));
    bytes = bytes.subspan(count);
    if (header_.size() < kHeaderBytes) return {};
    const auto header =
        Header::decode(std::span<const std::uint8_t, kHeaderBytes>(header_.data(), kHeaderBytes));
    header_.clear();
    if (!header) return violation(header.error().message());
    WARREN_TRY_VOID(handle(*header, now));
  }
  return {};
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
  return handle_stream_frame(header, now);
}

Result<> Session::handle_ping(const Header& header, TimePoint now) {
  if (header.stream != 0) return violation("ping on a stream");
  if (header.has(kSyn)) {
    return put({.type = Type::kPing, .flags = kAck, .stream = 0, .length = header.length});
  }
  // An answer that nothing asked for changes nothing.
  if (header.has(kAck) && ping_sent_ && header.length == ping_value_) {
    rtt_ = now - *ping_sent_;
    ping_sent_.reset();
    timer_ = now + config_.ping_interval;
  }
  return {};
}

Result<> Session::handle_new_stream(const Header& header, TimePoint now) {
  const StreamId id = header.stream;
  if (is_ours(id)) return violation(fmt::format("the peer opened stream {}, an id of ours", id));
  if (id <= last_inbound_) return violation(fmt::format("stream {} was opened already", id));
  last_inbound_ = id;
  if (header.type == Type::kData && header.length > kInitialWindowBytes) {
    return violation(fmt::format("{} bytes at once on a new stream", header.length));
  }
  if (inbound_count_ >= config_.streams_inbound_max || go_away_sent_) {
    return put({.type = Type::kWindowUpdate, .flags = kRst, .stream = id, .length = 0});
  }
  ++inbound_count_;
  StreamState stream;
  stream.acknowledged = true;
  stream.announced = true;
  stream.window_since = now;
  streams_.emplace(id, stream);
  // Acknowledged at once: a stream that only we read from would fill the peer's backlog.
  WARREN_TRY_VOID(put({.type = Type::kWindowUpdate, .flags = kAck, .stream = id, .length = 0}));
  handler_.on_stream(id);
  return {};
}

Result<> Session::handle_stream_frame(const Header& header, TimePoint now) {
  const StreamId id = header.stream;
  const auto found = streams_.find(id);
  const bool has_body = header.type == Type::kData && header.length > 0;
  if (found == streams_.end()) {
    // It raced with our own end or reset of the stream. A body is read and dropped.
    body_stream_ = 0;
    body_left_ = has_body ? header.length : 0;
    if (has_body && header.length > config_.window_bytes_max) {
      return violation(fmt::format("{} bytes for a stream that is not open", header.length));
    }
    if (has_body && !header.has(kRst) && !header.has(kSyn)) {
      return put({.type = Type::kWindowUpdate, .flags = kRst, .stream = id, .length = 0});
    }
    return {};
  }
  StreamState& stream = found->second;
  if (is_ours(id) && !stream.acknowledged) {
    stream.acknowledged = true;
    --unacknowledged_;
    handler_.on_backlog();
  }
  if (header.has(kRst)) {
    body_stream_ = 0;
    body_left_ = has_body ? header.length : 0;
    if (body_left_ > stream.receive_window) return violation("data beyond the window");
    forget(id);
    handler_.on_reset(id);
    return {};
  }
  if (header.type == Type::kWindowUpdate) {
    const std::uint64_t window = stream.send_window + header.length;
    if (window > UINT32_MAX) return violation("more than 4 GiB of window credit");
    const bool grew = stream.send_window == 0 && window > 0;
    stream.send_window = window;
    if (header.has(kFin)) {
      if (stream.end_received) return violation("the end of a stream came twice");
      stream.end_received = true;
      handler_.on_end(id);
      forget_if_ended(id);
    }
    if (grew && streams_.contains(id)) handler_.on_window(id);
    return {};
  }
  if (stream.end_received && (has_body || header.has(kFin))) {
    return violation(fmt::format("data behind the end of stream {}", id));
  }
  if (header.length > stream.receive_window) {
    return violation(fmt::format("{} bytes where the window had {}", header.length,
                                 stream.receive_window));
  }
  stream.receive_window -= header.length;
  if (stream.consumed == 0 && stream.receive_window + header.length == stream.receive_window_max) {
    stream.window_since = now;
  }
  body_stream_ = id;
  body_left_ = header.length;
  body_fin_ = header.has(kFin);
  return {};
}

// --------------------------------------------------------------------------------- actions

Result<StreamId> Session::open() {
  if (go_away_received_ || go_away_sent_) {
    return fail(ErrorCode::kClosed, "Yamux: the session takes no further stream");
  }
  if (next_id_ > kStreamIdMax) return fail(ErrorCode::kClosed, "Yamux: stream ids are used up");
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
  stream.consumed += static_cast<std::uint32_t>(count);
  if (stream.consumed < stream.receive_window_max / 2) return;
  const std::uint32_t before = stream.receive_window_max;
  grow_window(stream, now);
  const std::uint32_t delta = stream.consumed + (stream.receive_window_max - before);
  const Header update{.type = Type::kWindowUpdate,
                      .flags = opening_flag(stream),
                      .stream = id,
                      .length = delta};
  // At most one for each half window that the peer has filled: bounded by its own data. It is
  // exempt from the bound on control frames, or the stream would stall for ever.
  append(output_, update.encode());
  stream.receive_window += delta;
  stream.consumed = 0;
  stream.window_since = now;
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
  const Header header{.type = Type::kGoAway,
                      .flags = 0,
                      .stream = 0,
                      .length = static_cast<std::uint32_t>(code)};
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
  const Header header{.type = Type::kPing, .flags = kSyn, .stream = 0, .length = ++ping_value_};
  append(output_, header.encode());
  ping_sent_ = now;
  timer_ = now + config_.ping_timeout;
}

Result<> Session::handle_timer(TimePoint now) {
  if (now < timer_) return {};
  if (ping_sent_) {
    return fail(ErrorCode::kTimedOut, fmt::format("Yamux: no answer to a ping in {} s",
                                                  config_.ping_timeout / std::chrono::seconds(1)));
  }
  send_ping(now);
  return {};
}

}  // namespace warren::muxer::yamux
