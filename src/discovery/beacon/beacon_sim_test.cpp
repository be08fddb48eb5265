// Whole services on the virtual clock and network: many nodes on one link, loss, a partition.

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "discovery/beacon/beacon_service.hpp"
#include "discovery/beacon/beacon_test_link.hpp"
#include "sim/world.hpp"

namespace warren::discovery {
namespace {

class SimNode final : public PeerSink {
 public:
  SimNode(sim::World& world, sim::Host host, BeaconOptions options)
      : key(beacon::testing::make_key(static_cast<std::uint8_t>(host))),
        id(beacon::testing::id_of(key)),
        world_(world),
        runtime_(world.make_runtime(host)),
        service(
            *runtime_, key,
            [host] {
              return std::vector{Multiaddr::quic({sim::host_v4(host), 4001, 0}),
                                 Multiaddr::quic({sim::host_v6(host), 4001, 0})};
            },
            std::move(options)) {}
  void peer_found(const PeerHint& hint) override { known[hint.peer] = hint; }
  void peer_lost(const PeerHint& hint) override { known.erase(hint.peer); }
  void start() { ASSERT_TRUE(service.start(*this)); }
  void stop() { sim::run(world_, stop_service()); }

  crypto::PrivateKey key;
  PeerId id;
  std::map<PeerId, PeerHint> known;

 private:
  awaitable<bool> stop_service() {
    co_await service.stop();
    co_return true;
  }
  sim::World& world_;
  std::unique_ptr<runtime::Runtime> runtime_;

 public:
  BeaconService service;
};

struct Lan {
  Lan(std::uint64_t seed, sim::Host count, BeaconOptions options = {}) : world(seed) {
    for (sim::Host host = 1; host <= count; ++host) {
      nodes.push_back(std::make_unique<SimNode>(world, host, options));
    }
  }
  ~Lan() {
    for (const auto& node : nodes) node->stop();
  }
  void start_all() {
    for (const auto& node : nodes) {
      world.run_for(world.between(0s, 100ms));
      node->start();
    }
  }
  bool all_know(std::size_t peers) const {
    return std::ranges::all_of(nodes,
                               [&](const auto& node) { return node->known.size() == peers; });
  }
  sim::World world;
  std::vector<std::unique_ptr<SimNode>> nodes;
};

TEST(BeaconSim, TwoNodesFindEachOtherWithinTwoSecondsForEverySeed) {
  for (const std::uint64_t seed : sim::seeds_from_env(1, 20)) {
    Lan lan(seed, 2);
    lan.nodes[0]->start();
    lan.world.run_for(lan.world.between(0s, 5s));
    lan.nodes[1]->start();
    EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(1); }, 2s))
        << lan.world.replay_hint();
    ASSERT_FALSE(lan.nodes[0]->known.empty());
    const PeerHint& hint = lan.nodes[0]->known.begin()->second;
    EXPECT_EQ(hint.peer, lan.nodes[1]->id);
    EXPECT_EQ(hint.addresses.size(), 2u) << lan.world.replay_hint();
  }
}

TEST(BeaconSim, BroadcastAloneFindsToo) {
  BeaconOptions options;
  options.mode = BeaconMode::kBroadcast;
  Lan lan(sim::seed_from_env(1), 4, options);
  lan.start_all();
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(3); }, 2s)) << lan.world.replay_hint();
}

// Goal: all of 20 nodes are found although one datagram in ten is lost, and hardly one is given up.
// Method: they start within 2 s; then a minute passes.
TEST(BeaconSim, TwentyNodesKnowAllOthersDespiteLoss) {
  Lan lan(sim::seed_from_env(7), 20);
  lan.world.link.loss = 0.1;
  lan.start_all();
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(19); }, 10s))
      << lan.world.replay_hint();
  lan.world.run_for(1min);
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(19); }, 10s))
      << lan.world.replay_hint();
}

// A node sends one beacon in 2 s over two IP versions, whoever else is there: at most 2 KiB/s.
TEST(BeaconSim, FiftyNodesStayBelowTwoKibibytesASecondEach) {
  Lan lan(sim::seed_from_env(9), 50);
  lan.start_all();
  lan.world.run_for(8s);
  EXPECT_TRUE(lan.all_know(49)) << lan.world.replay_hint();
  const auto sent = [&] {
    std::uint64_t packets = 0;
    for (const auto& node : lan.nodes) {
      for (const SourceCounters& each : node->service.counters()) {
        if (each.interface != "lo") packets += each.sent;
      }
    }
    return packets;
  };
  const std::uint64_t before = sent();
  lan.world.run_for(20s);
  const double per_node = static_cast<double>(sent() - before) / 20 / 50;
  EXPECT_LE(per_node, 1.2);  // Of about 330 bytes each with all headers.
  EXPECT_TRUE(lan.all_know(49)) << lan.world.replay_hint();
}

TEST(BeaconSim, APartitionIsNoticedAndHealed) {
  Lan lan(sim::seed_from_env(3), 6);
  lan.start_all();
  ASSERT_TRUE(lan.world.run_until([&] { return lan.all_know(5); }, 5s));
  lan.world.partition({1, 2, 3});
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(2); }, 7s)) << lan.world.replay_hint();
  lan.world.heal();
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(5); }, 5s)) << lan.world.replay_hint();
}

TEST(BeaconSim, ALinkOfItsOwnKeepsItsPeersToItself) {
  Lan lan(sim::seed_from_env(5), 4);
  lan.world.set_lan(3, 1);
  lan.world.set_lan(4, 1);
  lan.start_all();
  lan.world.run_for(1min);
  EXPECT_TRUE(lan.all_know(1)) << lan.world.replay_hint();
}

TEST(BeaconSim, TheSameSeedGivesTheSameTrace) {
  const auto trace = [](std::uint64_t seed) {
    Lan lan(seed, 5);
    lan.world.link.loss = 0.1;
    lan.start_all();
    lan.world.run_for(1min);
    return lan.world.trace_hash();
  };
  EXPECT_EQ(trace(7), trace(7));
  EXPECT_NE(trace(7), trace(8));
}

}  // namespace
}  // namespace warren::discovery
