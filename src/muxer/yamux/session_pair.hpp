#pragma once
// Two Yamux sessions on one wire, watched by a model of what each may send: for tests and fuzzing.
// The model reads the frames on its own. Every broken rule stops the program (WARREN_CHECK).

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/check.hpp"
#include "muxer/yamux/session.hpp"

namespace warren::muxer::yamux {

class SessionPair {
 public:
  /// A number from 0 to `below` - 1: a generator with a seed, or a fuzzer's input.
  using Choose = std::function<std::uint32_t(std::uint32_t below)>;
  static constexpr std::int64_t kReserveBytesMax = 1 << 20;

  SessionPair(SessionConfig config, Choose choose) : choose_(std::move(choose)) {
    for (std::size_t i = 0; i < 2; ++i) sides_[i] = std::make_unique<Side>(*this, i, config);
  }

  /// One thing that a node or the network may do.
  void step() {
    Side& side = *sides_[choose_(2)];
    switch (choose_(12)) {
      case 0: return open(side);
      case 1:
      case 2:
      case 3: return send(side, choose_(4) == 0);
      case 4: return choose_(4) == 0 ? reset(side) : consume(side);
      case 5: return consume(side);
      case 6: return tick(std::chrono::milliseconds(choose_(200)));
      default: return deliver(side, 1 + choose_(choose_(2) == 0 ? 40 : 200'000));
    }
  }

  /// Lets everything arrive and be consumed, then compares both ends of every stream.
  void settle() {
    for (;;) {
      for (auto& side : sides_) {
        for (auto& [id, stream] : side->streams) consume_all(*side, id, stream);
        flush(*side);
      }
      if (sides_[0]->wire.empty() && sides_[1]->wire.empty()) break;
      for (auto& side : sides_) deliver(*side, SIZE_MAX);
    }
    for (std::size_t i = 0; i < 2; ++i) compare(*sides_[i], *sides_[1 - i]);
  }

  /// Ends every stream, by its end or by a reset, and shows that nothing is left over.
  void finish() {
    settle();
    end_all();  // The other side hears only now of streams that had no frame before,
    end_all();  // and ends them in the second round.
    for (auto& side : sides_) {
      WARREN_CHECK(side->session->stream_count() == 0);
      WARREN_CHECK(side->reserved == 0);
    }
  }

  std::size_t received_bytes() const { return received_bytes_; }
  std::int64_t reserved_most() const { return reserved_most_; }
  std::size_t refused_count() const { return refused_; }

 private:
  struct Stream {
    std::uint64_t sent = 0;
    std::uint64_t credit = kInitialWindowBytes;  // All that came for this stream so far.
    std::uint64_t received = 0;
    std::uint64_t consumed = 0;
    bool announced = false;
    bool end_sent = false;
    bool end_received = false;
    bool reset_here = false;
    bool reset_there = false;
    bool gone() const { return reset_here || reset_there || (end_sent && end_received); }
  };

  struct Side final : SessionHandler {
    Side(SessionPair& owner, std::size_t number, SessionConfig config)
        : pair(owner), index(number) {
      config.dialer = index == 0;
      config.reserve_window = [this](std::int64_t bytes) {
        if (reserved + bytes > kReserveBytesMax) return false;
        reserved += bytes;
        WARREN_CHECK(reserved >= 0);
        pair.reserved_most_ = std::max(pair.reserved_most_, reserved);
        return true;
      };
      session = std::make_unique<Session>(config, *this, pair.now_);
    }
    void on_stream(StreamId id) override {
      WARREN_CHECK(!streams.contains(id) && (id % 2 == 0) == (index == 0));
      streams[id].announced = true;
    }
    void on_data(StreamId id, BytesView bytes) override {
      Stream& stream = streams.at(id);
      WARREN_CHECK(!stream.gone() && !stream.end_received);
      for (const std::uint8_t byte : bytes) {
        WARREN_CHECK(byte == pattern(1 - index, id, stream.received));
        ++stream.received;
      }
      pair.received_bytes_ += bytes.size();
      WARREN_CHECK(stream.received - stream.consumed <= 16u << 20);
    }
    void on_end(StreamId id) override {
      WARREN_CHECK(!streams.at(id).gone() && !streams.at(id).end_received);
      streams.at(id).end_received = true;
    }
    void on_reset(StreamId id) override {
      WARREN_CHECK(!streams.at(id).gone());
      streams.at(id).reset_there = true;
    }
    void on_window(StreamId id) override { WARREN_CHECK(session->sendable(id) > 0); }
    void on_backlog() override {}
    void on_go_away(GoAwayCode) override { WARREN_CHECK(false); }

    std::vector<StreamId> live() const {
      std::vector<StreamId> ids;
      for (const auto& [id, stream] : streams) {
        if (!stream.gone()) ids.push_back(id);
      }
      return ids;
    }

    SessionPair& pair;
    std::size_t index;
    std::int64_t reserved = 0;
    std::map<StreamId, Stream> streams;
    Bytes wire;  // Sent to this side, not yet delivered.
    // The watcher of what is delivered: a header, and how much of a body is left.
    Bytes watched;
    std::uint32_t watched_body = 0;
    std::map<StreamId, bool> seen;  // Streams of the other side whose SYN came.
    std::unique_ptr<Session> session;
  };

  static std::uint8_t pattern(std::size_t sender, StreamId id, std::uint64_t at) {
    return static_cast<std::uint8_t>(at * 7 + at / 251 + id * 13 + sender);
  }

  void end_all() {
    for (auto& side : sides_) {
      for (const StreamId id : side->live()) {
        if (choose_(3) == 0) {
          reset_stream(*side, id);
        } else if (!side->streams[id].end_sent) {
          send_on(*side, id, side->session->sendable(id), true);
        }
      }
    }
    settle();
  }

  Side& other(const Side& side) { return *sides_[1 - side.index]; }

  void flush(Side& side) { append(other(side).wire, std::exchange(side.session->output(), {})); }

  void open(Side& side) {
    const auto id = side.session->open();
    if (!id) {
      WARREN_CHECK(id.error().code() == ErrorCode::kLimited);
      return;
    }
    WARREN_CHECK(side.streams.emplace(*id, Stream{}).second);
  }

  void send(Side& side, bool fin) {
    const auto ids = side.live();
    if (ids.empty()) return;
    const StreamId id = ids[choose_(static_cast<std::uint32_t>(ids.size()))];
    if (side.streams[id].end_sent) return;
    const std::size_t most = side.session->sendable(id);
    const std::size_t wish = choose_(2) == 0 ? choose_(100) : choose_(400'000);
    send_on(side, id, std::min(most, wish), fin);
  }

  void send_on(Side& side, StreamId id, std::size_t count, bool fin) {
    flush(side);
    Stream& stream = side.streams[id];
    const auto header = side.session->send_data(id, count, fin);
    WARREN_CHECK(((header[3] & kSyn) != 0) == !stream.announced);
    stream.announced = true;
    Bytes& wire = other(side).wire;
    append(wire, header);
    for (std::size_t i = 0; i < count; ++i) wire.push_back(pattern(side.index, id, stream.sent++));
    stream.end_sent |= fin;
    WARREN_CHECK(stream.sent <= stream.credit);
  }

  void reset(Side& side) {
    const auto ids = side.live();
    if (!ids.empty()) reset_stream(side, ids[choose_(static_cast<std::uint32_t>(ids.size()))]);
  }

  void reset_stream(Side& side, StreamId id) {
    side.session->reset(id);
    side.streams[id].reset_here = true;
    WARREN_CHECK(!side.session->knows(id));
  }

  void consume(Side& side) {
    for (auto& [id, stream] : side.streams) {
      if (choose_(2) == 0) continue;
      const std::uint64_t waiting = stream.received - stream.consumed;
      const auto count =
          choose_(3) == 0 ? waiting : std::min<std::uint64_t>(waiting, choose_(300'000));
      stream.consumed += count;
      side.session->consumed(id, count, now_);
    }
  }

  void consume_all(Side& side, StreamId id, Stream& stream) {
    side.session->consumed(id, stream.received - stream.consumed, now_);
    stream.consumed = stream.received;
  }

  void tick(Duration time) {
    now_ += time;
    for (auto& side : sides_) WARREN_CHECK(side->session->handle_timer(now_).has_value());
  }

  void deliver(Side& side, std::size_t count) {
    flush(other(side));
    count = std::min(count, side.wire.size());
    const Bytes bytes(side.wire.begin(), side.wire.begin() + static_cast<std::ptrdiff_t>(count));
    side.wire.erase(side.wire.begin(), side.wire.begin() + static_cast<std::ptrdiff_t>(count));
    watch(side, bytes);
    const auto done = side.session->read(bytes, now_);
    WARREN_CHECK(done.has_value());
    for (auto& [id, stream] : side.streams) {
      const bool may_send = !stream.gone() && !stream.end_sent;
      WARREN_CHECK(side.session->knows(id) == !stream.gone());
      WARREN_CHECK(side.session->sendable(id) == (may_send ? stream.credit - stream.sent : 0));
    }
  }

  // Adds up the credit in the frames that reach `side`, and checks what no frame may do.
  void watch(Side& side, BytesView bytes) {
    while (!bytes.empty()) {
      if (side.watched_body > 0) {
        const auto part = std::min<std::size_t>(side.watched_body, bytes.size());
        side.watched_body -= static_cast<std::uint32_t>(part);
        bytes = bytes.subspan(part);
        continue;
      }
      side.watched.push_back(bytes[0]);
      bytes = bytes.subspan(1);
      if (side.watched.size() < 12) continue;
      const auto u32 = [&](std::size_t at) {
        return static_cast<std::uint32_t>(side.watched[at] << 24 | side.watched[at + 1] << 16 |
                                          side.watched[at + 2] << 8 | side.watched[at + 3]);
      };
      const unsigned type = side.watched[1];
      const StreamId id = u32(4);
      WARREN_CHECK((type >= 2) == (id == 0));
      if (type < 2 && (id % 2 == 0) == (side.index == 0)) {  // A stream of the other side's.
        const bool syn = (side.watched[3] & kSyn) != 0;
        WARREN_CHECK(syn == !std::exchange(side.seen[id], true));
      }
      if (type == 0) side.watched_body = u32(8);
      if (type == 1 && side.streams.contains(id)) side.streams[id].credit += u32(8);
      side.watched.clear();
    }
  }

  void compare(const Side& one, const Side& two) {
    for (const auto& [id, stream] : one.streams) {
      const auto found = two.streams.find(id);
      if (found == two.streams.end()) {
        // Never heard of there: not announced, or refused, or broken off before it was.
        WARREN_CHECK(!stream.announced || stream.reset_there || stream.reset_here);
        if (stream.reset_there) ++refused_;
        continue;
      }
      const Stream& back = found->second;
      const bool broken = stream.reset_here || back.reset_here;
      WARREN_CHECK(broken ||
                   (back.received == stream.sent && back.end_received == stream.end_sent));
      WARREN_CHECK(back.received <= stream.sent);
      WARREN_CHECK(stream.gone() == back.gone());
    }
  }

  Choose choose_;
  TimePoint now_{};
  std::size_t received_bytes_ = 0;
  std::int64_t reserved_most_ = 0;
  std::size_t refused_ = 0;
  std::unique_ptr<Side> sides_[2];
};

}  // namespace warren::muxer::yamux
