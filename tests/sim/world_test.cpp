// The simulated world itself: its clock, its seed, its faults.

#include "sim/world.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <stdexcept>

#include "runtime/task_group.hpp"

namespace warren::sim {
namespace {

using runtime::DatagramSocket;
using runtime::Runtime;

/// A node that forwards every new number it hears to some others, and repeats itself now and then.
class Gossiper {
 public:
  Gossiper(World& world, Host host, Host hosts)
      : runtime_(world.make_runtime(host)), hosts_(hosts), tasks_(*runtime_, 2) {
    socket_ = runtime_->bind_datagram({IpAddress(), 7}, {}).value();
    EXPECT_TRUE(tasks_.spawn(listen()));
    EXPECT_TRUE(tasks_.spawn(repeat()));
  }

  void learn(std::uint8_t number) {
    if (!known_.insert(number).second) return;
    for (int i = 0; i < 3; ++i) tell(number);
  }
  bool knows(std::uint8_t number) const { return known_.contains(number); }
  awaitable<void> close() { co_await tasks_.join(); }

 private:
  void tell(std::uint8_t number) {
    const Host to = static_cast<Host>(runtime_->rng()() % hosts_) + 1;
    runtime::SendBatch batch;
    batch.to = {host_v4(to), 7};
    batch.bytes = BytesView(&number, 1);
    EXPECT_TRUE(socket_->try_send(batch));
  }
  awaitable<void> listen() {
    for (;;) {
      const auto got = co_await socket_->receive();
      if (!got) co_return;
      for (const auto& batch : *got) learn(batch.bytes[0]);
    }
  }
  awaitable<void> repeat() {
    for (;;) {
      const auto slept =
          co_await runtime_->sleep_for(Duration(1s) + Duration(runtime_->rng()() % 1'000'000'000));
      if (!slept) co_return;
      for (const std::uint8_t number : known_) tell(number);
    }
  }

  std::unique_ptr<Runtime> runtime_;
  Host hosts_;
  std::unique_ptr<DatagramSocket> socket_;
  std::set<std::uint8_t> known_;
  runtime::TaskGroup tasks_;
};

struct Swarm {
  Swarm(World& in_world, Host count) : world(in_world) {
    for (Host host = 1; host <= count; ++host) {
      nodes.push_back(std::make_unique<Gossiper>(world, host, count));
    }
  }
  ~Swarm() {
    for (const auto& node : nodes) run(world, node->close());
  }
  bool all_know(std::uint8_t number) const {
    return std::ranges::all_of(nodes, [&](const auto& node) { return node->knows(number); });
  }

  World& world;
  std::vector<std::unique_ptr<Gossiper>> nodes;
};

std::uint64_t trace_of(std::uint64_t seed) {
  World world(seed);
  world.link.loss = 0.1;
  world.link.duplicate = 0.05;
  world.link.reorder = 0.05;
  Swarm swarm(world, 100);
  swarm.nodes[0]->learn(1);
  world.run_for(10s);
  return world.trace_hash();
}

TEST(World, TheSameSeedGivesTheSameTrace) {
  EXPECT_EQ(trace_of(7), trace_of(7));
  EXPECT_NE(trace_of(7), trace_of(8));
}

TEST(World, GossipReachesAThousandHostsThroughLossAndAPartition) {
  World world(seed_from_env(42));
  world.link.loss = 0.1;
  Swarm swarm(world, 1'000);
  std::vector<Host> island;
  for (Host host = 501; host <= 1'000; ++host) island.push_back(host);
  world.partition(island);
  swarm.nodes[0]->learn(1);
  world.run_for(20s);
  EXPECT_FALSE(swarm.nodes[999]->knows(1)) << world.replay_hint();
  EXPECT_FALSE(swarm.all_know(1)) << world.replay_hint();
  world.heal();
  EXPECT_TRUE(world.run_until([&] { return swarm.all_know(1); }, 60s)) << world.replay_hint();
}

TEST(World, TimeMovesOnlyByEvents) {
  World world(1);
  const auto host = world.make_runtime(1);
  const TimePoint begin = world.now();
  world.run_for(std::chrono::hours(1'000));  // At once: nothing happens in it.
  EXPECT_EQ(world.now() - begin, std::chrono::hours(1'000));
  EXPECT_EQ(host->now(), world.now());
  EXPECT_EQ(host->wall_now().time_since_epoch().count() % 1'000'000'000, 0);
}

TEST(World, EventsOfOneInstantRunInTheirOrder) {
  World world(1);
  std::vector<int> order;
  const TimePoint at = world.now() + 1s;
  world.schedule(at, [&] { order.push_back(1); });
  const auto dropped = world.schedule(at, [&] { order.push_back(2); });
  world.schedule(at, [&] { order.push_back(3); });
  world.schedule(at - 1ms, [&] { order.push_back(0); });
  EXPECT_TRUE(world.cancel(dropped));
  EXPECT_FALSE(world.cancel(dropped));
  world.run_for(2s);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 3}));
}

TEST(World, RandomBytesFollowSeedAndHost) {
  const auto draw = [](std::uint64_t seed, Host host) {
    World world(seed);
    Bytes bytes(32);
    world.make_runtime(host)->random_bytes(bytes);
    return bytes;
  };
  EXPECT_EQ(draw(1, 1), draw(1, 1));
  EXPECT_NE(draw(1, 1), draw(1, 2));
  EXPECT_NE(draw(1, 1), draw(2, 1));
}

awaitable<void> wait_for_nothing(Runtime& runtime) {
  const auto signal = runtime.make_signal();
  co_await signal->wait_until(kNever);
}

TEST(World, ATaskThatNeverEndsIsReportedWithTheSeed) {
  World world(4'711);
  const auto host = world.make_runtime(1);
  try {
    run(world, wait_for_nothing(*host), 10s);
    FAIL() << "it ended";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("SIM_SEED=4711"), std::string::npos) << error.what();
  }
}

TEST(World, ADroppedWorldDropsWhatStillWaits) {
  // Under a leak checker: frames of parked tasks and what they own go with the world.
  World world(1);
  const auto host = world.make_runtime(1);
  runtime::start_task(world.executor(), wait_for_nothing(*host), [] {});
  world.run_for(1s);
}

TEST(World, HostsAndAddressesBelongTogether) {
  for (const Host host : {1u, 255u, 256u, 65'534u}) {
    EXPECT_EQ(host_of(host_v4(host)), host);
    EXPECT_EQ(host_of(host_v6(host)), host);
    EXPECT_EQ(host_of(host_link_local(host)), host);
  }
  EXPECT_EQ(host_of(IpAddress::v4(192, 0, 2, 1)), 0u);
  EXPECT_EQ(host_of(IpAddress::v4(127, 0, 0, 1)), 0u);
  EXPECT_TRUE(host_link_local(3).is_link_local());
}

TEST(World, SeedsComeFromTheEnvironment) {
  ::unsetenv("SIM_SEED");
  ::unsetenv("SIM_SEEDS");
  EXPECT_EQ(seed_from_env(5), 5u);
  EXPECT_EQ(seeds_from_env(5, 3), (std::vector<std::uint64_t>{5, 6, 7}));
  ::setenv("SIM_SEEDS", "2", 1);
  EXPECT_EQ(seeds_from_env(5, 3), (std::vector<std::uint64_t>{5, 6}));
  ::setenv("SIM_SEED", "99", 1);
  EXPECT_EQ(seed_from_env(5), 99u);
  EXPECT_EQ(seeds_from_env(5, 3), (std::vector<std::uint64_t>{99}));
  ::unsetenv("SIM_SEED");
  ::unsetenv("SIM_SEEDS");
}

awaitable<void> send_numbered(Runtime& from, Endpoint to, std::size_t count) {
  const auto socket = from.bind_datagram({IpAddress(), 0}, {}).value();
  const Bytes bytes(1'000, 1);
  runtime::SendBatch batch;
  batch.to = to;
  batch.bytes = bytes;
  for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(socket->try_send(batch));
  co_await from.sleep_for(10s);
}

TEST(World, AFullLinkQueueDropsAndCounts) {
  World world(1);
  world.link.bytes_per_second = 100'000;
  world.link.queue_bytes_max = 10'280;
  const auto a = world.make_runtime(1);
  const auto b = world.make_runtime(2);
  const auto to = b->bind_datagram({IpAddress(), 9}, {}).value();
  run(world, send_numbered(*a, {host_v4(2), 9}, 30));
  EXPECT_EQ(world.counters().datagrams_sent, 30u);
  EXPECT_EQ(world.counters().datagrams_queue_full, 20u);
}

TEST(World, MulticastStaysOnItsLan) {
  World world(1);
  world.set_lan(3, 1);
  std::vector<std::unique_ptr<Runtime>> hosts;
  std::vector<std::unique_ptr<DatagramSocket>> sockets;
  const IpAddress group = IpAddress::v4(224, 0, 0, 251);
  for (Host host = 1; host <= 3; ++host) {
    hosts.push_back(world.make_runtime(host));
    sockets.push_back(hosts.back()->bind_datagram({IpAddress(), 5'353}, {}).value());
    EXPECT_TRUE(sockets.back()->join_multicast(group, kLanInterface));
  }
  runtime::SendBatch batch;
  batch.to = {group, 5'353};
  batch.interface_index = kLanInterface;
  batch.bytes = as_bytes("hello");
  EXPECT_TRUE(sockets[0]->try_send(batch));
  EXPECT_EQ(world.counters().datagrams_sent, 2u);  // To itself and to host 2.
  world.run_for(1s);
}

}  // namespace
}  // namespace warren::sim
