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
  std::uint32_t window_bytes_max = 16u << 20;  ///< 256 KiB to 1 GiB.
  /// Asked before a window grows by so many bytes beyond the initial one; false leaves it as it
  /// is. Unset: always granted. Given back with negative bytes when the stream or the session has
  /// gone, so it must outlive the session.
  std::function<bool(std::int64_t bytes)> reserve_window;
  Duration ping_interval =
      30s;  ///< From an answer to the next ping, which measures the round trip.
  /// Without an answer and without any other byte for so long, the session is dead. Other bytes
  /// count because a ping may stand behind megabytes of data on a slow link.
  Duration ping_timeout = 10s;
  /// Answers waiting to be sent; more means that the peer asks faster than it reads.
  std::size_t control_bytes_max = 64u << 10;
  /// Stream ids end here. Source: the specification leaves 32 bits; go-yamux and js stop at 2^31.
  StreamId stream_id_max = 0x7fff'ffff;
};

/// What happened. Called from inside read(); may call every action of the session, but not read().
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  virtual void on_stream(StreamId id) = 0;  ///< The peer opened it.
  /// Valid for the call only. Say consumed() when it has left our buffers.
  virtual void on_data(StreamId id, BytesView bytes) = 0;
  virtual void on_end(StreamId id) = 0;     ///< The peer will send no more.
  virtual void on_reset(StreamId id) = 0;   ///< The stream is gone.
  virtual void on_window(StreamId id) = 0;  ///< sendable() has grown from 0.
  virtual void on_backlog() = 0;            ///< The peer took a stream: open() may succeed again.
  virtual void on_go_away(GoAwayCode code) = 0;
  virtual void on_pong() {}  ///< The answer to ping() has come.
};

class Session {
 public:
  /// The first ping is in output() from the start. `handler` must outlive the session.
  Session(SessionConfig config, SessionHandler& handler, TimePoint now);
  /// Gives back what windows have reserved.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Takes bytes of the connection, cut anywhere. An error ends the session: send what output()
  /// has, which says go-away when the peer broke the protocol, and close. Every later call fails
  /// in the same way. Errors: kMalformed, kLimited (control_bytes_max).
  Result<> read(BytesView bytes, TimePoint now);

  /// Opens a stream; the peer hears of it with the first frame, which may be send_data() of
  /// nothing. Errors: kLimited (backlog), kClosed (go-away, or the ids are used up).
  Result<StreamId> open();
  /// Bytes that may be sent now; 0 for unknown streams and ended ones.
  std::size_t sendable(StreamId id) const;
  /// The header for `count` bytes of body, which the caller sends right behind it, before any
  /// other frame. `count` must be at most sendable(id); 0 with `fin` just ends the stream. The
  /// stream must be known and not ended by us. What output() held before goes out before it, and
  /// what output() gets later goes out after it: a reset must not overtake the frame that opens.
  std::array<std::uint8_t, kHeaderBytes> send_data(StreamId id, std::size_t count, bool fin);
  /// `count` bytes given by on_data were consumed: returns credit when half a window is. Never
  /// more than were given (checked). Unknown and ended streams: nothing.
  void consumed(StreamId id, std::size_t count, TimePoint now);
  /// Breaks the stream off and forgets it. Unknown streams: nothing.
  void reset(StreamId id);
  /// Says that no further stream is taken; those that are open go on.
  void go_away(GoAwayCode code);
  /// Puts a ping into output(), beside those of the timer. Its answer, on_pong(), shows that the
  /// peer has received all that was made before. One at a time: not while ping_pending() (checked).
  void ping();
  bool ping_pending() const { return asked_value_.has_value(); }

  /// Control frames to send before any data. The caller takes them all at once:
  /// `std::exchange(output(), {})`. At most control_bytes_max, and for each stream that is open one
  /// window update and one reset.
  Bytes& output() { return output_; }
  const Bytes& output() const { return output_; }

  TimePoint next_timer() const { return timer_; }
  /// Errors: kTimedOut when a ping stayed unanswered and nothing else came.
  Result<> handle_timer(TimePoint now);

  std::size_t stream_count() const { return streams_.size(); }
  Duration rtt() const { return rtt_; }  ///< 0 before the first answer.
  bool knows(StreamId id) const { return streams_.contains(id); }

 private:
  struct StreamState {
    std::uint64_t send_window = kInitialWindowBytes;
    std::uint32_t receive_window = kInitialWindowBytes;  ///< What the peer may still send.
    std::uint32_t receive_window_max = kInitialWindowBytes;
    std::uint32_t consumed = 0;  ///< Since the last update.
    TimePoint window_since;      ///< Of the last update, or the first byte after a pause.
    std::size_t update_at = 0;   ///< Where in output_ its last window update may still stand.
    bool announced = false;      ///< The peer has had a frame of it from us.
    bool acknowledged = false;   ///< Of ours: the peer has answered.
    bool end_sent = false;
    bool end_received = false;
  };

  Result<> read_some(BytesView& bytes, TimePoint now);
  void end_body();
  Result<> handle(const Header& header, TimePoint now);
  Result<> handle_stream_frame(const Header& header, TimePoint now);
  Result<> handle_unknown(const Header& header);
  Result<> handle_reset(const Header& header);
  Result<> handle_window_update(const Header& header);
  Result<> handle_data(const Header& header, TimePoint now);
  void note_acknowledged(StreamId id);
  Result<> handle_new_stream(const Header& header, TimePoint now);
  Result<> handle_ping(const Header& header, TimePoint now);
  std::unexpected<Error> violation(std::string text);
  Result<> put(const Header& header);
  static std::uint16_t opening_flag(StreamState& stream);
  bool is_ours(StreamId id) const { return (id % 2 == 1) == config_.dialer; }
  /// Whether no frame of `id` can be late: the stream was never open.
  bool was_never_open(StreamId id) const {
    return is_ours(id) ? id >= next_id_ : id > highest_inbound_;
  }
  void put_window_update(StreamId id, StreamState& stream, std::uint32_t delta);
  void grow_window(StreamState& stream, TimePoint now);
  void forget(StreamId id);
  void forget_if_ended(StreamId id);
  void send_ping(TimePoint now);

  SessionConfig config_;
  SessionHandler& handler_;
  std::unordered_map<StreamId, StreamState> streams_;
  Bytes output_;  ///< Whole frames without bodies: headers of 12 bytes, one after the other.
  Bytes header_;  ///< Of a frame that is cut off within its header.
  StreamId body_stream_ = 0;  ///< Whose body is being read; 0 with body_left_: dropped.
  std::uint32_t body_left_ = 0;
  bool body_fin_ = false;
  StreamId next_id_;
  StreamId highest_inbound_ = 0;
  StreamId last_unknown_ = 0;  ///< Answered with a reset because it was never open.
  std::size_t inbound_count_ = 0;
  std::size_t unacknowledged_ = 0;
  bool go_away_received_ = false;
  bool go_away_sent_ = false;
  std::uint32_t next_ping_ = 1;
  std::uint32_t ping_value_ = 0;
  std::optional<TimePoint> ping_sent_;
  std::optional<std::uint32_t> asked_value_;  ///< Of ping().
  bool heard_ = false;                        ///< Bytes came since the timer was set.
  TimePoint timer_;
  Duration rtt_{};
  std::optional<Error> failed_;
};

}  // namespace warren::muxer::yamux
