// Drives Yamux in two ways. First bytes of an arbitrary peer with actions of our own in between.
// Finds: an event for a stream that is not open, more data than the window had, a result that
// depends on how the bytes are cut, output without bound, a reservation that is not given back.
// Then two sessions under an arbitrary list of operations, against the model of session_pair.hpp.
//
// Links: warren::muxer_yamux

#include <fuzzer/FuzzedDataProvider.h>

#include <map>
#include <optional>
#include <set>

#include "base/check.hpp"
#include "muxer/yamux/session.hpp"
#include "muxer/yamux/session_pair.hpp"

using namespace warren;
using namespace warren::muxer;

namespace {

// Knows which streams are open by the events alone, and acts in answer to what it is told.
class Watcher final : public yamux::SessionHandler {
 public:
  explicit Watcher(bool dialer) {
    yamux::SessionConfig config;
    config.dialer = dialer;
    config.streams_inbound_max = 8;
    config.backlog_max = 8;
    config.control_bytes_max = 1'024;
    config.reserve_window = [this](std::int64_t bytes) {
      reserved_ += bytes;
      WARREN_CHECK(reserved_ >= 0);
      return true;
    };
    session_.emplace(config, *this, now_);
    for (int i = 0; i < 3; ++i) {
      const auto id = session_->open();
      WARREN_CHECK(id.has_value());
      open_.insert(*id);
      if (i > 0) (void)session_->send_data(*id, 10, i == 2);
      if (i == 2) ended_.insert(*id);
    }
    take_output();
  }
  ~Watcher() {
    session_.reset();
    WARREN_CHECK(reserved_ == 0);
  }

  bool read(BytesView bytes) {
    now_ += 1ms;
    const bool good = session_->read(bytes, now_).has_value();
    // The bound on answers, and what each stream may add to it.
    WARREN_CHECK(session_->output().size() <= 1'024 + 12 * 64 + 12);
    for (const auto id : open_) WARREN_CHECK(session_->knows(id));
    WARREN_CHECK(session_->stream_count() == open_.size());
    return good;
  }
  void take_output() { append(sent_, std::exchange(session_->output(), {})); }
  const std::string& events() const { return events_; }
  const Bytes& sent() const { return sent_; }

 private:
  void note(char what, std::uint32_t id) { events_ += what + std::to_string(id) + " "; }
  void on_stream(yamux::StreamId id) override {
    WARREN_CHECK(open_.insert(id).second && open_.size() <= 16);
    peer_ended_.erase(id);
    ended_.erase(id);
    received_.erase(id);
    note('s', id);
    if (id % 7 == 0) finish(id);
    if (id % 11 == 0) reset(id);
  }
  void on_data(yamux::StreamId id, BytesView bytes) override {
    WARREN_CHECK(open_.contains(id) && !peer_ended_.contains(id) && !bytes.empty());
    received_[id] += bytes.size();
    // Counted, not logged: how it is cut may differ.
    if (id % 3 == 0) session_->consumed(id, bytes.size(), now_);
    if (id % 3 != 0) WARREN_CHECK(received_[id] <= yamux::kInitialWindowBytes);
  }
  void on_end(yamux::StreamId id) override {
    WARREN_CHECK(open_.contains(id) && peer_ended_.insert(id).second);
    events_ += std::to_string(received_[id]);
    note('e', id);
    if (ended_.contains(id)) {
      open_.erase(id);
    } else if (id % 2 == 0) {
      finish(id);
    }
  }
  void on_reset(yamux::StreamId id) override {
    WARREN_CHECK(open_.erase(id) == 1);
    note('r', id);
  }
  void on_window(yamux::StreamId id) override {
    WARREN_CHECK(session_->sendable(id) > 0);
    note('w', id);
  }
  void on_backlog() override { events_ += "b "; }
  void on_go_away(yamux::GoAwayCode code) override { note('g', static_cast<std::uint32_t>(code)); }

  void finish(yamux::StreamId id) {
    if (!ended_.insert(id).second) return;
    (void)session_->send_data(id, session_->sendable(id) / 2, true);
    if (peer_ended_.contains(id)) open_.erase(id);
  }
  void reset(yamux::StreamId id) {
    session_->reset(id);
    open_.erase(id);
  }

  TimePoint now_{1s};
  std::int64_t reserved_ = 0;
  std::set<yamux::StreamId> open_, ended_, peer_ended_;
  std::map<yamux::StreamId, std::size_t> received_;
  std::string events_;
  Bytes sent_;
  std::optional<yamux::Session> session_;
};

void from_any_peer(BytesView input, bool dialer) {
  Watcher whole(dialer);
  Watcher cut(dialer);
  const bool good = whole.read(input);
  bool cut_good = true;
  for (const std::uint8_t byte : input) cut_good = cut_good && cut.read(BytesView(&byte, 1));
  whole.take_output();
  cut.take_output();
  WARREN_CHECK(good == cut_good && whole.events() == cut.events());
}

void between_two(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider in(data, size);
  yamux::SessionConfig config;
  config.ping_timeout = std::chrono::hours(1'000);
  config.streams_inbound_max = in.ConsumeIntegralInRange<std::size_t>(1, 8);
  config.backlog_max = in.ConsumeIntegralInRange<std::size_t>(1, 8);
  yamux::SessionPair pair(config, [&](std::uint32_t below) {
    return in.ConsumeIntegralInRange<std::uint32_t>(0, below - 1);
  });
  for (int i = 0; i < 200 && in.remaining_bytes() > 0; ++i) pair.step();
  pair.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Less than half a window, so that no window grows: that depends on the time, which is cut too.
  if (size > 100'000) return 0;
  from_any_peer({data, size}, true);
  from_any_peer({data, size}, false);
  between_two(data, size);
  return 0;
}
