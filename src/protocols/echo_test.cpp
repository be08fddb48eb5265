// Echoes between whole nodes, on the virtual clock.

#include "protocols/echo.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/nodes_for_test.hpp"

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;
using swarm::fakes::Network;
using swarm::fakes::Node;
using testing::HasSubstr;
using transport::Stream;

class EchoTest : public testing::Test {
 protected:
  EchoTest() {
    const auto connected = sim::run(world, a.swarm->connect(b.address.with_peer(b.id), kNever));
    EXPECT_TRUE(connected);
    world.run_for(1s);
  }
  ~EchoTest() override {
    for (Node* node : {&a, &b}) {
      sim::run(world, node->swarm->close());
      EXPECT_EQ(node->swarm->stats().streams_inbound, 0u);
      EXPECT_EQ(node->swarm->stats().tasks_failed, 0u);
    }
  }

  std::unique_ptr<Stream> open() {
    auto opened = sim::run(
        world, a.swarm->open_stream(b.id, {std::string(kEchoProtocol)}, world.now() + 10s));
    EXPECT_TRUE(opened);
    return opened ? std::move(opened->stream) : nullptr;
  }
  Result<> write(Stream& stream, BytesView bytes, Duration time = 10s) {
    return sim::run(world, stream.write(bytes, world.now() + time));
  }
  Result<Bytes> read(Stream& stream, std::size_t bytes) {
    Bytes out(bytes);
    WARREN_TRY(const std::size_t n, sim::run(world, stream.read_full(out, world.now() + 1h)));
    out.resize(n);
    return out;
  }
  Bytes random(std::size_t bytes) {
    Bytes out(bytes);
    a.runtime->random_bytes(out);
    return out;
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  Node a{network, 1};
  Node b{network, 2};
};

TEST_F(EchoTest, GivesEveryByteBackAndThenTheEnd) {
  serve_echo(*b.swarm);
  for (const std::size_t bytes : {0u, 1u, 16u << 10, (16u << 10) + 1, 5u << 20}) {
    const Bytes sent = random(bytes);
    const auto echo = sim::run(world, run_echo(*a.swarm, b.id, sent, world.now() + 1min));
    ASSERT_TRUE(echo) << bytes << ": " << echo.error().message();
    EXPECT_EQ(*echo, sent) << bytes;
  }
}

TEST_F(EchoTest, AnswersBeforeThePeerHasEnded) {
  serve_echo(*b.swarm);
  const auto stream = open();
  for (int i = 0; i < 3; ++i) {
    const Bytes sent = random(10);
    ASSERT_TRUE(write(*stream, sent));
    EXPECT_EQ(read(*stream, 10).value(), sent);
  }
  stream->close_write();
  EXPECT_EQ(read(*stream, 1).value(), Bytes());
}

TEST_F(EchoTest, APeerThatDoesNotReadIsNotReadFromAndGivenUp) {
  serve_echo(*b.swarm);
  const auto stream = open();
  // Both windows fill, and then nothing is taken any more.
  std::size_t taken = 0;
  while (write(*stream, Bytes(64u << 10), 1s)) taken += 64u << 10;
  EXPECT_LT(taken, 64u << 20);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 1u);
  world.run_for(2min);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

TEST_F(EchoTest, ASilentPeerIsGivenUp) {
  serve_echo(*b.swarm);
  const auto stream = open();
  world.run_for(59s);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 1u);
  world.run_for(2s);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

TEST_F(EchoTest, HundredStreamsAtOnceAreServedAndNoMoreThanTheLimit) {
  serve_echo(*b.swarm, {.streams_per_peer_max = 100});
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(open());
    ASSERT_TRUE(write(*streams.back(), Bytes(1, static_cast<std::uint8_t>(i))));
  }
  const auto refused = open();
  ASSERT_TRUE(write(*refused, Bytes(1)));
  EXPECT_FALSE(read(*refused, 1));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(read(*streams[static_cast<std::size_t>(i)], 1).value(),
              Bytes(1, static_cast<std::uint8_t>(i)));
  }
}

TEST_F(EchoTest, SaysWhenThePeerDoesNotSpeakIt) {
  for (const std::size_t bytes : {1u, 5u << 20}) {
    const auto echo = sim::run(world, run_echo(*a.swarm, b.id, Bytes(bytes), world.now() + 10s));
    ASSERT_FALSE(echo);
    EXPECT_EQ(echo.error().code(), ErrorCode::kUnsupported) << echo.error().message();
  }
}

awaitable<void> answer_twice(runtime::Runtime& runtime, ProtocolStream stream) {
  Bytes block(10);
  const auto read = co_await stream.stream->read_full(block, runtime.now() + 10s);
  if (!read) co_return;
  const auto sent = co_await stream.stream->write(Bytes(20), runtime.now() + 10s);
  if (sent) co_await stream.stream->flush(runtime.now() + 10s);
}

TEST_F(EchoTest, MoreThanWasSentIsAnError) {
  b.swarm->set_handler(std::string(kEchoProtocol), [this](ProtocolStream stream) {
    return answer_twice(*b.runtime, std::move(stream));
  });
  const auto echo = sim::run(world, run_echo(*a.swarm, b.id, Bytes(10), world.now() + 10s));
  ASSERT_FALSE(echo);
  EXPECT_EQ(echo.error().code(), ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace warren::protocols
