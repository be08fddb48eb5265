// What the resource manager allows a QUIC listener: connections, their rate, memory of windows.

#include <gtest/gtest.h>

#include "resources/manager.hpp"
#include "transport/quic/quic_sim_for_test.hpp"

namespace warren::transport::quic {
namespace {

using namespace quic::testing;

QuicConfig counting(resources::Manager& manager) {
  QuicConfig config;
  config.resources = &manager;
  return config;
}

/// A pair whose listener counts with given limits.
struct CountedPair {
  CountedPair(sim::World& world, limits::Resources limits)
      : manager([&world] { return world.now(); }, {.limits = limits, .report = [](std::string) {}}),
        pair(world, QuicConfig{}, counting(manager)) {}
  std::uint64_t refused(resources::ScopeKind scope) const {
    std::uint64_t count = 0;
    for (const auto& some : manager.snapshot().refused)
      count += some.scope == scope ? some.count : 0;
    return count;
  }
  resources::Manager manager;
  Pair pair;
};

TEST(QuicLimits, OneAddressHasOnlySoManyConnectionsAndIsToldSo) {
  sim::World world(1);
  limits::Resources limits;
  limits.inbound_per_private = 2;
  CountedPair counted(world, limits);
  Pair& pair = counted.pair;
  const auto first = pair.dial(pair.b.peer());
  const auto second = pair.dial(pair.b.peer());
  ASSERT_TRUE(first && second);
  const TimePoint start = world.now();
  const auto third = pair.dial(pair.b.peer());
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code(), ErrorCode::kLimited);
  EXPECT_LT(world.now() - start, 1s) << "it is told, it does not wait";
  EXPECT_EQ(counted.refused(resources::ScopeKind::kSource), 1u);
  Host other(world, 3);
  EXPECT_TRUE(
      sim::run(world, other.transport->dial(address_of(2), std::nullopt, world.now() + 5s)));
  (*first)->close(CloseCode::kNone, "");
  world.run_for(5s);
  EXPECT_TRUE(pair.dial(pair.b.peer()));
  sim::run(world, close_host(other));
}

TEST(QuicLimits, OneAddressConnectsOnlySoFast) {
  sim::World world(1);
  limits::Resources limits;
  limits.rate_private = {1, 4};
  CountedPair counted(world, limits);
  Pair& pair = counted.pair;
  const auto dial_and_close = [&] {
    const auto dialled = pair.dial(pair.b.peer());
    world.run_for(10ms);  // Refusals have a gap between them.
    if (dialled) (*dialled)->close(CloseCode::kNone, "");
    return dialled.has_value();
  };
  std::size_t in = 0;
  for (int i = 0; i < 12; ++i) in += dial_and_close() ? 1 : 0;
  EXPECT_EQ(in, 4u);
  world.run_for(10s);
  EXPECT_TRUE(dial_and_close());
}

TEST(QuicLimits, APeerAtItsLimitIsClosedAfterTheProof) {
  sim::World world(1);
  limits::Resources limits;
  limits.peer.connections_inbound = 1;
  CountedPair counted(world, limits);
  Pair& pair = counted.pair;
  const auto first = pair.dial(pair.b.peer());
  const auto second = pair.dial(pair.b.peer());
  world.run_for(1s);
  ASSERT_TRUE(first);
  EXPECT_FALSE((*first)->closed());
  EXPECT_TRUE(!second || (*second)->closed());
  EXPECT_EQ(counted.refused(resources::ScopeKind::kPeer), 1u);
  EXPECT_EQ(counted.manager.snapshot().node.connections(), 1u);
}

TEST(QuicLimits, AFirstPacketThatIsGarbageHoldsNothing) {
  sim::World world(1);
  CountedPair counted(world, {});
  auto stranger = world.make_runtime(9);
  auto socket = stranger->bind_datagram({{}, 999, 0}, {}).value();
  Bytes packet(1'200, 0x77);  // A client's Initial, but for what is encrypted.
  const std::array<std::uint8_t, 6> head = {0xc3, 0, 0, 0, 1, 8};
  std::ranges::copy(head, packet.begin());
  packet[14] = 8;
  packet[23] = 0;
  packet[24] = 0x44;
  packet[25] = 0x96;
  for (std::uint8_t i = 0; i < 50; ++i) {
    packet[7] = i;
    ASSERT_TRUE(socket->try_send({.to = {sim::host_v4(2), 4001, 0}, .bytes = packet}));
    world.run_for(1ms);
  }
  EXPECT_GE(counted.manager.snapshot().peak.connections(), 1u) << "they were seen";
  EXPECT_LE(counted.manager.snapshot().sources, 1u);
  EXPECT_GE(world.counters().datagrams_sent, 50u + 34u) << "from the 17th on with a Retry";
  EXPECT_EQ(counted.manager.total(), resources::Usage{});
  EXPECT_TRUE(counted.pair.dial(counted.pair.b.peer()));
}

TEST(QuicLimits, AWindowGrowsOnlyWhileItIsInUse) {
  sim::World world(1);
  CountedPair counted(world, {});
  Pair& pair = counted.pair;
  const auto dialled = pair.dial(pair.b.peer());
  ASSERT_TRUE(dialled);
  const auto accepted = pair.accept();
  world.run_for(1s);
  EXPECT_EQ(counted.manager.total().memory_bytes(), QuicConfig{}.small_window_bytes);
  const Bytes sent = pattern(40'000'000);
  const auto sending = runtime::start_task(world.executor(), send_all(**dialled, sent), [] {});
  const auto received = sim::run(world, receive_all(*accepted, sent.size() + 1));
  ASSERT_TRUE(received);
  EXPECT_TRUE(*received == sent);
  EXPECT_GE(counted.manager.total().memory_bytes(), 8u << 20);
  EXPECT_LE(counted.manager.total().memory_bytes(), QuicConfig{}.connection_window_bytes);
  counted.manager.check_invariants();
  (*dialled)->close(CloseCode::kNone, "");
  world.run_for(10s);
  EXPECT_EQ(counted.manager.total(), resources::Usage{});
}

TEST(QuicLimits, WithoutMemoryWindowsStaySmallAndBytesStillArrive) {
  sim::World world(1);
  limits::Resources limits;
  limits.peer.memory_bytes = 1200 << 10;
  CountedPair counted(world, limits);
  Pair& pair = counted.pair;
  const auto dialled = pair.dial(pair.b.peer());
  ASSERT_TRUE(dialled);
  const auto accepted = pair.accept();
  const Bytes sent = pattern(10'000'000);
  const auto sending = runtime::start_task(world.executor(), send_all(**dialled, sent), [] {});
  const auto received = sim::run(world, receive_all(*accepted, sent.size() + 1));
  ASSERT_TRUE(received);
  EXPECT_TRUE(*received == sent);
  EXPECT_LE(counted.manager.snapshot().peak.memory_bytes(), 1200u << 10);
  EXPECT_GT(counted.manager.snapshot().optional_refused, 0u);
}

}  // namespace
}  // namespace warren::transport::quic
