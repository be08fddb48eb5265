// Streams that live and die in every order that dice choose, over links of every kind: what is read
// is what was written, and in the end nothing is left.

#include "transport/upgrade/upgrade_for_test.hpp"

namespace warren::transport {
namespace {

constexpr std::size_t kLivesMax = 40;

class RandomUse : public UpgradeTest {
 protected:
  std::uint32_t roll(std::uint32_t below) { return static_cast<std::uint32_t>(dice_() % below); }
  TimePoint patience() const { return world_.now() + 120s; }

  /// Writes a pattern that begins with its length, in pieces, and ends in one of many ways.
  awaitable<void> write_some(Stream& stream) {
    const std::uint32_t size = roll(3) == 0 ? roll(600'000) : roll(3'000);
    Bytes all = contract::pattern(size, static_cast<std::uint8_t>(size));
    all.insert(all.begin(),
               {static_cast<std::uint8_t>(size >> 16), static_cast<std::uint8_t>(size >> 8),
                static_cast<std::uint8_t>(size)});
    const std::size_t stop_at = roll(4) == 0 ? roll(size + 3) : all.size();
    for (std::size_t at = 0; at < stop_at;) {
      const std::size_t count = std::min<std::size_t>(1 + roll(100'000), stop_at - at);
      const BytesView piece = BytesView(all).subspan(at, count);
      Result<> written;
      if (roll(2) == 0) {
        written = co_await stream.write(SharedBytes(to_bytes(piece)), patience());
      } else {
        written = co_await stream.write(piece, patience());
      }
      if (!written) co_return;
      at += count;
    }
    if (stop_at < all.size()) {
      if (roll(2) == 0) stream.reset();
      co_return;
    }
    stream.close_write();
    if (roll(3) == 0) (void)co_await stream.flush(patience());
  }

  /// Reads what write_some() wrote, and perhaps not all of it.
  awaitable<void> read_some(Stream& stream) {
    Bytes all;
    Bytes buffer(1 + roll(80'000));
    const std::size_t enough = roll(4) == 0 ? roll(300'000) : SIZE_MAX;
    for (;;) {
      const bool full = roll(2) == 0;
      Result<std::size_t> got = 0u;
      if (full) {
        got = co_await stream.read_full(buffer, patience());
      } else {
        got = co_await stream.read_some(buffer, patience());
      }
      if (!got) break;
      append(all, BytesView(buffer).first(*got));
      if (*got == 0 || (full && *got < buffer.size())) {
        EXPECT_GE(all.size(), 3u) << world_.replay_hint();
        if (all.size() < 3) co_return;
        EXPECT_EQ(all.size() - 3, size_in(all)) << world_.replay_hint();
        ++whole_;
        break;
      }
      if (all.size() >= enough) break;
      if (roll(8) == 0) co_await host_->sleep_for(std::chrono::milliseconds(roll(50)));
    }
    if (all.size() < 3) co_return;
    const Bytes expected = contract::pattern(size_in(all), static_cast<std::uint8_t>(size_in(all)));
    EXPECT_TRUE(std::equal(all.begin() + 3, all.end(), expected.begin())) << world_.replay_hint();
  }
  static std::size_t size_in(const Bytes& all) {
    return std::size_t{all[0]} << 16 | std::size_t{all[1]} << 8 | all[2];
  }

  /// One side of a stream: reads and writes, one after the other or only one of them.
  awaitable<void> live(std::unique_ptr<Stream> stream) {
    switch (roll(4)) {
      case 0: co_await write_some(*stream); break;
      case 1: co_await read_some(*stream); break;
      case 2:
        co_await write_some(*stream);
        co_await read_some(*stream);
        break;
      case 3:
        co_await read_some(*stream);
        co_await write_some(*stream);
        break;
    }
    if (roll(5) == 0) stream->reset();
  }

  awaitable<void> accept_all(std::shared_ptr<Connection> connection, runtime::TaskGroup& lives) {
    for (;;) {
      auto stream = co_await connection->accept_stream();
      if (!stream) co_return;
      EXPECT_TRUE(lives.spawn(live(std::move(*stream))));
    }
  }
  awaitable<void> open_one(std::shared_ptr<Connection> connection) {
    auto stream = co_await connection->open_stream(patience());
    if (!stream) co_return;
    co_await live(std::move(*stream));
  }

  awaitable<void> many_lives() {
    auto ends = co_await dial();
    runtime::TaskGroup lives(*host_, 10'000);
    EXPECT_TRUE(lives.spawn(accept_all(ends->dialler, lives)));
    EXPECT_TRUE(lives.spawn(accept_all(ends->node, lives)));
    for (std::size_t i = 0; i < kLivesMax; ++i) {
      EXPECT_TRUE(lives.spawn(open_one(roll(2) == 0 ? ends->dialler : ends->node)));
      co_await host_->sleep_for(std::chrono::milliseconds(roll(20)));
    }
    // Readers that wait for what never comes give up; handles that linger are let go.
    const TimePoint end = world_.now() + 1h;
    while (lives.size() > 2 && world_.now() < end) co_await host_->sleep_for(1s);
    EXPECT_EQ(lives.size(), 2u) << world_.replay_hint();
    co_await host_->sleep_for(120s);
    EXPECT_EQ(ends->dialler->stats().streams_open, 0u) << world_.replay_hint();
    EXPECT_EQ(ends->node->stats().streams_open, 0u) << world_.replay_hint();
    EXPECT_FALSE(ends->node->closed()) << ends->node->close_reason() << world_.replay_hint();
    ends->dialler->close();
    co_await lives.join();
    EXPECT_EQ(lives.failed_count(), 0u);
  }

  void play_with(std::uint64_t seed) {
    dice_.seed(seed);
    world_.link.latency_min = 1us * (1 + roll(20'000));
    world_.link.latency_max = world_.link.latency_min * 2;
    world_.link.bytes_per_second = roll(2) == 0 ? 0 : 1'000'000 + roll(50'000'000);
    UpgradeConfig config;
    config.resources = &manager_;
    start(config);
    play(many_lives());
    listener_.reset();
    EXPECT_EQ(manager_.snapshot().total, resources::Usage{}) << seed;
  }

  std::mt19937_64 dice_;
  std::size_t whole_ = 0;
  resources::Manager manager_{[this] { return host_->now(); }};
};

class RandomUseOf : public RandomUse, public ::testing::WithParamInterface<std::uint64_t> {};

TEST_P(RandomUseOf, LosesNothingAndLeavesNothing) {
  play_with(GetParam());
  EXPECT_GT(whole_, 5u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomUseOf, ::testing::ValuesIn(sim::seeds_from_env(1, 15)));

}  // namespace
}  // namespace warren::transport
