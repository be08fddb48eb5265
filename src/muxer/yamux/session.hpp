#pragma once
// Yamux as a state machine without I/O: bytes of the secured connection and the time go in; events
// go to a handler, control frames to an output buffer. The caller frames bulk data itself with
// send_data(), so that a body is never copied here.
// Source: libp2p specs, yamux/README.md; window growth as go-yamux does it (by round-trip time).

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "muxer/yamux/frame.hpp"

namespace warren::muxer::yamux {

/// Credit that each direction of a stream starts with, whatever the frame that opens it says.
inline constexpr std::uint32_t kInitialWindowBytes = 256 * 1024;

/// Tuning of one session. The initialisers are the defaults.
struct SessionConfig {
  bool dialer = false;
  std::size_t streams_inbound_max = 256;  ///< Beyond: a new one is answered with RST.
  std::size_t backlog_max = 256;          ///< Streams of ours that the peer has not acknowledged.
  std::uint32_t window_bytes_max = 16u << 20;
  /// Asked before a window grows by so many bytes beyond the initial one; false leaves it as it
  /// is. Unset: always granted. Given back with negative bytes when the stream has gone.
  std::function<bool(std::int64_t bytes)> reserve_window;
  Duration ping_interval = 30s;  ///< Of silence; a ping also measures the round trip.
  Duration ping_timeout = 10s;   ///< Without an answer the session is dead.
  /// Control frames waiting to be sent; more means that the peer asks faster than it reads.
  std::size_t control_bytes_max = 64u << 10;
};

/// What happened. Called from inside read() and handle_timer(); may call the session's actions.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  virtual void on_stream(StreamId id) = 0;  ///< The peer opened it.
  /// Valid for the call only. Say consumed() when it has left our buffers.
  virtual void on_data(StreamId id, BytesView bytes) = 0;
  virtual void on_end(StreamId id) = 0;     ///< The peer will send no more.
  virtual void on_reset(StreamId id) = 0;   ///< The stream is gone.
  virtual void on_window(StreamId id) = 0;  ///< sendable() has grown from 0.
  virtual void on_backlog() = 0;            ///< open() may succeed again.
  virtual void on_go_away(GoAwayCode code) = 0;
};

class Session {
 public:
  Session(SessionConfig config, SessionHandler& handler, TimePoint now);

  /// Takes bytes of the connection, cut anywhere. An error ends the session: send what output()
  /// has, which says go-away, and close.
  Result<> read(BytesView bytes, TimePoint now);

  /// Opens a stream; the peer hears of it with the first frame. Errors: kLimited (backlog),
  /// kClosed (the peer said go-away, or the ids are used up).
  Result<StreamId> open();
  /// Bytes that may be sent now; 0 for unknown streams and ended ones.
  std::size_t sendable(StreamId id) const;
  /// The header for `count` bytes of body, which the caller sends right behind it, before any
  /// other frame. `count` must be at most sendable(id); 0 with `fin` just ends the stream.
  std::array<std::uint8_t, kHeaderBytes> send_data(StreamId id, std::size_t count, bool fin);
  /// `count` bytes given by on_data were consumed: returns credit when half a window is.
  void consumed(StreamId id, std::size_t count, TimePoint now);
  /// Breaks the stream off and forgets it. Unknown streams: nothing.
  void reset(StreamId id);
  /// Says that no further stream is taken; those that are open go on.
  void go_away(GoAwayCode code);

  /// Control frames to send before any data. The caller takes them: `std::exchange(output(), {})`.
  Bytes& output() { return output_; }

  TimePoint next_timer() const { return timer_; }
  /// Errors: kTimedOut when a ping stayed unanswered.
  Result<> handle_timer(TimePoint now);

  std::size_t stream_count() const { return streams_.size(); }
  Duration rtt() const { return rtt_; }  ///< 0 before the first answer.
  bool knows(StreamId id) const { return streams_.contains(id); }

 private:
  struct StreamState {
    std::uint64_t send_window = kInitialWindowBytes;
    std::uint32_t receive_window = kInitialWindowBytes;   ///< What the peer may still send.
    std::uint32_t receive_window_max = kInitialWindowBytes;
    std::uint32_t consumed = 0;                           ///< Since the last update.
    TimePoint window_since;                               ///< Of the last update.
    bool announced = false;     ///< The peer has had a frame of it from us.
    bool acknowledged = false;  ///< Of ours: the peer has answered.
    bool end_sent = false;
    bool end_received = false;
  };

  Result<> handle(const Header& header, TimePoint now);
  Result<> handle_stream_frame(const Header& header, TimePoint now);
  Result<> handle_new_stream(const Header& header, TimePoint now);
  Result<> handle_ping(const Header& header, TimePoint now);
  std::unexpected<Error> violation(std::string text);
  Result<> put(const Header& header);
  static std::uint16_t opening_flag(StreamState& stream);
  bool is_ours(StreamId id) const { return (id % 2 == 1) == config_.dialer; }
  void grow_window(StreamState& stream, TimePoint now);
  void forget(StreamId id);
  void forget_if_ended(StreamId id);
  void send_ping(TimePoint now);

  SessionConfig config_;
  SessionHandler& handler_;
  std::unordered_map<StreamId, StreamState> streams_;
  Bytes output_;
  Bytes header_;                  ///< Of a frame that is cut off within its header.
  StreamId body_stream_ = 0;      ///< Whose body is being read; 0 with body_left_: dropped.
  std::uint32_t body_left_ = 0;
  bool body_fin_ = false;
  StreamId next_id_;
  StreamId last_inbound_ = 0;
  std::size_t inbound_count_ = 0;
  std::size_t unacknowledged_ = 0;
  bool go_away_received_ = false;
  bool go_away_sent_ = false;
  std::uint32_t ping_value_ = 0;
  std::optional<TimePoint> ping_sent_;
  TimePoint timer_;
  Duration rtt_{};
};

}  // namespace warren::muxer::yamux
