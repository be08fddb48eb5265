// Ping and perf between whole nodes, on the virtual clock.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/perf.hpp"
#include "protocols/ping.hpp"
#include "swarm/nodes_for_test.hpp"

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;
using swarm::fakes::Network;
using swarm::fakes::Node;
using testing::HasSubstr;
using transport::Stream;

class ExchangeTest : public testing::Test {
 protected:
  ExchangeTest() {
    const auto connected = sim::run(world, a.swarm->connect(b.address.with_peer(b.id), kNever));
    EXPECT_TRUE(connected);
    world.run_for(1s);
  }
  ~ExchangeTest() override {
    for (Node* node : {&a, &b}) {
      sim::run(world, node->swarm->close());
      EXPECT_EQ(node->swarm->stats().streams_inbound, 0u);
      EXPECT_EQ(node->swarm->stats().tasks_failed, 0u);
    }
  }

  /// A stream of `protocol` from a to b, on which a test says what it likes.
  std::unique_ptr<Stream> open(std::string_view protocol) {
    auto opened =
        sim::run(world, a.swarm->open_stream(b.id, {std::string(protocol)}, world.now() + 10s));
    EXPECT_TRUE(opened);
    return opened ? std::move(opened->stream) : nullptr;
  }
  Result<> write(Stream& stream, BytesView bytes) {
    return sim::run(world, stream.write(bytes, world.now() + 10s));
  }
  Result<Bytes> read(Stream& stream, std::size_t bytes) {
    Bytes out(bytes);
    WARREN_TRY(const std::size_t n, sim::run(world, stream.read_full(out, world.now() + 1h)));
    out.resize(n);
    return out;
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  Node a{network, 1};
  Node b{network, 2};
};

// ------------------------------------------------------------------------------------ ping

TEST_F(ExchangeTest, PingTellsTheRoundTripTime) {
  serve_ping(*b.swarm);
  const auto rtt = sim::run(world, ping(*a.swarm, b.id, world.now() + 10s));
  ASSERT_TRUE(rtt) << rtt.error().message();
  EXPECT_EQ(*rtt, 20ms);
}

TEST_F(ExchangeTest, ASessionPingsManyTimesOnOneStream) {
  serve_ping(*b.swarm);
  const auto session = sim::run(world, PingSession::open(*a.swarm, b.id, world.now() + 10s));
  ASSERT_TRUE(session);
  world.run_for(1s);
  for (int i = 0; i < 5; ++i) {
    world.link.latency_min = world.link.latency_max = std::chrono::milliseconds(1 + i);
    const auto rtt = sim::run(world, (*session)->ping(world.now() + 10s));
    ASSERT_TRUE(rtt) << rtt.error().message();
    EXPECT_EQ(*rtt, std::chrono::milliseconds(2 * (1 + i)));
    world.run_for(1min);
  }
  EXPECT_EQ(b.swarm->stats().streams_inbound, 1u);
}

TEST_F(ExchangeTest, PingSaysWhenThePeerDoesNotSpeakItOrIsGone) {
  EXPECT_EQ(sim::run(world, ping(*a.swarm, b.id, world.now() + 10s)).error().code(),
            ErrorCode::kUnsupported);
  serve_ping(*b.swarm);
  world.partition({2});
  EXPECT_EQ(sim::run(world, ping(*a.swarm, b.id, world.now() + 10s)).error().code(),
            ErrorCode::kTimedOut);
  world.heal();
}

TEST_F(ExchangeTest, TheServerEchoesAlsoAfterAHalfClose) {
  serve_ping(*b.swarm);
  const auto stream = open(kPingProtocol);
  Bytes data(2 * kPingBytes);
  a.runtime->random_bytes(data);
  ASSERT_TRUE(write(*stream, data));
  stream->close_write();
  EXPECT_EQ(read(*stream, data.size() + 1).value(), data) << "all echoes, and then the end";
}

TEST_F(ExchangeTest, TheServerSendsNoPartOfAPing) {
  serve_ping(*b.swarm);
  const auto stream = open(kPingProtocol);
  ASSERT_TRUE(write(*stream, Bytes(kPingBytes - 1)));
  stream->close_write();
  EXPECT_EQ(read(*stream, 100).value(), Bytes());
}

TEST_F(ExchangeTest, TheServerGivesUpAPeerThatStaysSilent) {
  serve_ping(*b.swarm);
  const auto stream = open(kPingProtocol);
  world.run_for(1s);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 1u);
  world.run_for(5min);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

awaitable<void> answer_zeros(runtime::Runtime& runtime, ProtocolStream stream) {
  Bytes block(kPingBytes);
  const auto read = co_await stream.stream->read_full(block, runtime.now() + 10s);
  if (!read) co_return;
  const auto sent = co_await stream.stream->write(Bytes(kPingBytes), runtime.now() + 10s);
  if (sent) co_await stream.stream->flush(runtime.now() + 10s);
}

TEST_F(ExchangeTest, AnEchoOfOtherBytesIsAnError) {
  b.swarm->set_handler(std::string(kPingProtocol), [this](ProtocolStream stream) {
    return answer_zeros(*b.runtime, std::move(stream));
  });
  const auto rtt = sim::run(world, ping(*a.swarm, b.id, world.now() + 10s));
  ASSERT_FALSE(rtt);
  EXPECT_EQ(rtt.error().code(), ErrorCode::kIntegrity);
}

// ------------------------------------------------------------------------------------ perf

TEST_F(ExchangeTest, PerfMovesSixtyFourMebibytesBothWaysAtTheSpeedOfTheLink) {
  serve_perf(*b.swarm);
  world.link.bytes_per_second = 16u << 20;
  world.link.latency_min = world.link.latency_max = 1ms;
  constexpr std::uint64_t kBytes = 64u << 20;
  const auto result =
      sim::run(world, run_perf(*a.swarm, b.id, kBytes, kBytes, world.now() + 10min));
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->uploaded_bytes, kBytes);
  EXPECT_EQ(result->downloaded_bytes, kBytes);
  EXPECT_GE(result->upload_seconds, 4.0);
  EXPECT_LT(result->upload_seconds, 4.8);
  EXPECT_GE(result->download_seconds, 4.0 * 0.95);
  EXPECT_LT(result->download_seconds, 4.8);
}

TEST_F(ExchangeTest, PerfWorksWithNoBytesAndWithOne) {
  serve_perf(*b.swarm);
  for (const std::uint64_t up : {0u, 1u, 1024u, 1025u}) {
    for (const std::uint64_t down : {0u, 1u}) {
      const auto result = sim::run(world, run_perf(*a.swarm, b.id, up, down, world.now() + 10s));
      ASSERT_TRUE(result) << up << "/" << down << ": " << result.error().message();
      EXPECT_EQ(result->downloaded_bytes, down);
    }
  }
}

TEST_F(ExchangeTest, PerfSaysWhenThePeerDoesNotSpeakIt) {
  for (const std::uint64_t up : {std::uint64_t{1}, std::uint64_t{100} << 20}) {
    const auto result = sim::run(world, run_perf(*a.swarm, b.id, up, 1, world.now() + 10s));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::kUnsupported) << result.error().message();
  }
}

TEST_F(ExchangeTest, ThePerfServerRefusesMoreThanItsLimitAndACutHeader) {
  serve_perf(*b.swarm, {.download_bytes_max = 1000});
  auto stream = open(kPerfProtocol);
  ASSERT_TRUE(write(*stream, Bytes{0, 0, 0, 0, 0, 0, 0x03, 0xe9}));
  const auto refused = read(*stream, 1);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("0x1002"));

  stream = open(kPerfProtocol);
  ASSERT_TRUE(write(*stream, Bytes(7)));
  stream->close_write();
  EXPECT_FALSE(read(*stream, 1));
}

TEST_F(ExchangeTest, ThePerfServerServesOneStreamOfAPeerAndGivesUpASilentOne) {
  serve_perf(*b.swarm);
  const auto silent = open(kPerfProtocol);
  world.run_for(1s);
  const auto second = open(kPerfProtocol);
  ASSERT_TRUE(write(*second, Bytes(8)));
  EXPECT_FALSE(read(*second, 1));
  world.run_for(1min);
  EXPECT_TRUE(sim::run(world, run_perf(*a.swarm, b.id, 10, 10, world.now() + 10s)));
}

awaitable<void> drip(runtime::Runtime& runtime, Stream& stream, std::size_t& sent) {
  for (;;) {
    const auto written = co_await stream.write(Bytes(1), runtime.now() + 10s);
    if (!written) co_return;
    ++sent;
    const auto slept = co_await runtime.sleep_for(20s);
    if (!slept) co_return;
  }
}

TEST_F(ExchangeTest, AnUploadThatDripsForEverIsGivenUpAfterTenMinutes) {
  serve_perf(*b.swarm);
  const auto stream = open(kPerfProtocol);
  ASSERT_TRUE(write(*stream, Bytes(8)));
  std::size_t sent = 0;
  sim::run(world, drip(*a.runtime, *stream, sent));
  EXPECT_LE(sent, 31u);
  EXPECT_GE(sent, 29u);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

TEST_F(ExchangeTest, ThePerfServerSendsNothingToAPeerThatDoesNotRead) {
  serve_perf(*b.swarm);
  const auto stream = open(kPerfProtocol);
  ASSERT_TRUE(write(*stream, Bytes{0, 0, 0, 0, 0x40, 0, 0, 0}));  // 1 GiB.
  stream->close_write();
  const std::uint64_t before = world.counters().stream_bytes_sent;
  world.run_for(20s);
  EXPECT_LT(world.counters().stream_bytes_sent - before, 2u << 20) << "a window, no more";
  world.run_for(1min);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

awaitable<void> send_bytes(runtime::Runtime& runtime, ProtocolStream stream, std::size_t bytes) {
  const auto sent = co_await stream.stream->write(Bytes(bytes), runtime.now() + 10s);
  stream.stream->close_write();
  if (sent) co_await stream.stream->flush(runtime.now() + 10s);
}

TEST_F(ExchangeTest, APerfServerThatSendsAnotherNumberOfBytesIsFoundOut) {
  std::size_t bytes = 99;
  b.swarm->set_handler(std::string(kPerfProtocol), [&](ProtocolStream stream) {
    return send_bytes(*b.runtime, std::move(stream), bytes);
  });
  const auto fewer = sim::run(world, run_perf(*a.swarm, b.id, 0, 100, world.now() + 10s));
  EXPECT_EQ(fewer.error().code(), ErrorCode::kMalformed);
  EXPECT_THAT(fewer.error().message(), HasSubstr("99 of the 100"));
  bytes = 101;
  const auto more = sim::run(world, run_perf(*a.swarm, b.id, 0, 100, world.now() + 10s));
  EXPECT_EQ(more.error().code(), ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace warren::protocols
