// Heartbeats between whole nodes, on the virtual clock.

#include "protocols/heartbeat.hpp"

#include <gtest/gtest.h>

#include <map>

#include "swarm/nodes_for_test.hpp"

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;
using swarm::fakes::Network;
using swarm::fakes::Node;

struct BeatingNode : Node {
  BeatingNode(Network& network, sim::Host host, HeartbeatConfig config = {})
      : Node(network, host), heartbeat(*swarm, listener(), config) {}
  HeartbeatListener listener() {
    return {.on_round_trip = [this](const PeerId& peer,
                                    Duration rtt) { round_trips[peer].push_back(rtt); },
            .on_dead = [this](const PeerId& peer) { dead.push_back(peer); }};
  }
  std::map<PeerId, std::vector<Duration>> round_trips;
  std::vector<PeerId> dead;
  Heartbeat heartbeat;
};

class HeartbeatTest : public testing::Test {
 protected:
  ~HeartbeatTest() override {
    world.heal({.latency_min = 10ms, .latency_max = 10ms});
    sim::run(world, a.swarm->close());
    sim::run(world, b.swarm->close());
    sim::run(world, a.heartbeat.close());
    EXPECT_EQ(a.swarm->stats().tasks_failed, 0u);
    EXPECT_EQ(b.swarm->stats().tasks_failed, 0u);
  }
  void connect() {
    ASSERT_TRUE(sim::run(world, a.swarm->connect(b.address.with_peer(b.id), kNever)));
  }
  std::uint64_t sent_in(Duration time) {
    const std::uint64_t before = world.counters().stream_bytes_sent;
    world.run_for(time);
    return world.counters().stream_bytes_sent - before;
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  BeatingNode a{network, 1};
  Node b{network, 2};
};

TEST_F(HeartbeatTest, AQuietPeerIsPingedAndTheRoundTripTold) {
  serve_ping(*b.swarm);
  connect();
  world.run_for(10min);
  EXPECT_GE(a.heartbeat.stats().answered, 20u);
  EXPECT_LE(a.heartbeat.stats().answered, 23u);
  EXPECT_EQ(a.heartbeat.stats().missed, 0u);
  ASSERT_EQ(a.round_trips[b.id].size(), a.heartbeat.stats().answered);
  for (const Duration rtt : a.round_trips[b.id]) EXPECT_EQ(rtt, 20ms);
  EXPECT_TRUE(a.dead.empty());
  EXPECT_TRUE(a.swarm->is_connected(b.id));
}

TEST_F(HeartbeatTest, APingAfterTheFirstCostsTwoBlocksAndNoStream) {
  serve_ping(*b.swarm);
  connect();
  world.run_for(1min);
  const std::uint64_t pings = a.heartbeat.stats().pings;
  const std::uint64_t bytes = sent_in(1h);
  // The memory transport puts 24 bytes in front of each block.
  EXPECT_EQ(bytes, 2 * (kPingBytes + 24) * (a.heartbeat.stats().pings - pings));
  EXPECT_EQ(b.swarm->stats().streams_inbound, 1u);
}

TEST_F(HeartbeatTest, ASilentPeerIsFoundOutWithinEightySeconds) {
  serve_ping(*b.swarm);
  connect();
  world.run_for(5min);
  world.partition({2});
  const TimePoint begin = world.now();
  ASSERT_TRUE(world.run_until([this] { return !a.dead.empty(); }, 10min));
  EXPECT_LE(world.now() - begin, 80s) << "an interval, less than another, and two pings";
  EXPECT_GE(world.now() - begin, 20s);
  EXPECT_EQ(a.dead, std::vector<PeerId>{b.id});
  EXPECT_FALSE(a.swarm->is_connected(b.id));
  EXPECT_EQ(a.heartbeat.stats().missed, 2u);
  world.run_for(10min);
  EXPECT_EQ(a.dead.size(), 1u);
}

TEST_F(HeartbeatTest, OneLostPingIsForgiven) {
  serve_ping(*b.swarm);
  connect();
  world.run_for(5min);
  const std::uint64_t pings = a.heartbeat.stats().pings;
  ASSERT_TRUE(world.run_until([&] { return a.heartbeat.stats().pings > pings; }, 1min));
  world.partition({2});
  world.run_for(12s);
  world.heal({.latency_min = 10ms, .latency_max = 10ms});
  world.run_for(10min);
  EXPECT_LE(a.heartbeat.stats().missed, 1u);
  EXPECT_TRUE(a.dead.empty());
  EXPECT_TRUE(a.swarm->is_connected(b.id));
}

TEST_F(HeartbeatTest, ABusyPeerIsNotPinged) {
  serve_ping(*a.swarm);
  connect();
  world.run_for(1s);
  const auto session = sim::run(world, PingSession::open(*b.swarm, a.id, world.now() + 10s));
  ASSERT_TRUE(session);
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(sim::run(world, (*session)->ping(world.now() + 10s)));
    world.run_for(10s);
  }
  EXPECT_EQ(a.heartbeat.stats().pings, 0u);
  EXPECT_FALSE(a.round_trips[b.id].empty()) << "the transport's own measure";
}

TEST_F(HeartbeatTest, APeerWithoutPingIsLeftAlone) {
  connect();
  world.run_for(2min);
  EXPECT_EQ(a.heartbeat.stats().refused, 1u);
  EXPECT_EQ(sent_in(1h), 0u);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
}

awaitable<void> say_nothing(runtime::Runtime& runtime, ProtocolStream stream) {
  Bytes block(kPingBytes);
  for (;;) {
    const auto n = co_await stream.stream->read_full(block, runtime.now() + 24h);
    if (!n || *n < block.size()) co_return;
  }
}

TEST_F(HeartbeatTest, APeerThatTakesPingsAndAnswersNoneIsDead) {
  b.swarm->set_handler(std::string(kPingProtocol), [this](ProtocolStream stream) {
    return say_nothing(*b.runtime, std::move(stream));
  });
  connect();
  world.run_for(2min);
  EXPECT_EQ(a.dead, std::vector<PeerId>{b.id});
}

awaitable<void> echo_once(runtime::Runtime& runtime, ProtocolStream stream) {
  Bytes block(kPingBytes);
  const auto n = co_await stream.stream->read_full(block, runtime.now() + 1min);
  if (!n || *n < block.size()) co_return;
  const auto sent = co_await stream.stream->write(block, runtime.now() + 1min);
  if (!sent) co_return;
  stream.stream->close_write();
  co_await stream.stream->flush(runtime.now() + 1min);
}

TEST_F(HeartbeatTest, APeerThatEndsItsStreamAfterEachPingIsPingedOnNewOnes) {
  b.swarm->set_handler(std::string(kPingProtocol), [this](ProtocolStream stream) {
    return echo_once(*b.runtime, std::move(stream));
  });
  connect();
  world.run_for(1h);
  EXPECT_GE(a.heartbeat.stats().answered, 110u);
  EXPECT_EQ(a.heartbeat.stats().missed, 0u);
}

TEST_F(HeartbeatTest, TwoNodesThatBothWatchPingOnlyFromOneSide) {
  BeatingNode c(network, 3);
  serve_ping(*a.swarm);
  serve_ping(*c.swarm);
  ASSERT_TRUE(sim::run(world, a.swarm->connect(c.address.with_peer(c.id), kNever)));
  world.run_for(1h);
  const std::uint64_t pings = a.heartbeat.stats().pings + c.heartbeat.stats().pings;
  EXPECT_LE(pings, 140u) << "each ping is a sign of life for both";
  EXPECT_GE(pings, 60u);
  sim::run(world, c.swarm->close());
  sim::run(world, c.heartbeat.close());
}

TEST_F(HeartbeatTest, APingTakesFewEvents) {
  serve_ping(*b.swarm);
  connect();
  world.run_for(10min);
  const std::uint64_t events = world.counters().events;
  const std::uint64_t pings = a.heartbeat.stats().pings;
  world.run_for(24h);
  const auto each = static_cast<double>(world.counters().events - events) /
                    static_cast<double>(a.heartbeat.stats().pings - pings);
  EXPECT_LE(each, 6.0) << "events for one ping";
}

TEST_F(HeartbeatTest, ClosesWhileAPingIsUnderWay) {
  serve_ping(*b.swarm);
  connect();
  world.partition({2});
  ASSERT_TRUE(world.run_until([this] { return a.heartbeat.stats().pings > 0; }, 1min));
}

}  // namespace
}  // namespace warren::protocols
