// Whole services on the virtual clock and network: many nodes on one link, loss, a partition.

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "discovery/mdns/mdns_service.hpp"
#include "discovery/mdns/mdns_test_link.hpp"
#include "sim/world.hpp"

namespace warren::discovery {
namespace {

class SimNode final : public PeerSink {
 public:
  SimNode(sim::World& world, sim::Host host)
      : id(testing::make_peer(static_cast<std::uint8_t>(host))),
        world_(world),
        runtime_(world.make_runtime(host)),
        service_(*runtime_, id, [host] {
          return std::vector{Multiaddr::quic({sim::host_v4(host), 4001, 0}),
                             Multiaddr::quic({sim::host_v6(host), 4001, 0})};
        }) {}
  void peer_found(const PeerHint& hint) override { known[hint.peer] = hint; }
  void peer_lost(const PeerHint& hint) override { known.erase(hint.peer); }
  void start() { ASSERT_TRUE(service_.start(*this)); }
  void stop() { sim::run(world_, stop_service()); }

  PeerId id;
  std::map<PeerId, PeerHint> known;

 private:
  awaitable<bool> stop_service() {
    co_await service_.stop();
    co_return true;
  }
  sim::World& world_;
  std::unique_ptr<runtime::Runtime> runtime_;
  MdnsService service_;
};

struct Lan {
  Lan(std::uint64_t seed, sim::Host count) : world(seed) {
    for (sim::Host host = 1; host <= count; ++host) {
      nodes.push_back(std::make_unique<SimNode>(world, host));
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

TEST(MdnsSim, TwoNodesFindEachOtherWithinTwoSecondsForEverySeed) {
  for (const std::uint64_t seed : sim::seeds_from_env(1, 20)) {
    Lan lan(seed, 2);
    lan.nodes[0]->start();
    lan.world.run_for(lan.world.between(0s, 5s));
    lan.nodes[1]->start();
    EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(1); }, 2s))
        << lan.world.replay_hint();
    const PeerHint& hint = lan.nodes[0]->known.begin()->second;
    EXPECT_EQ(hint.peer, lan.nodes[1]->id);
    EXPECT_EQ(hint.addresses.size(), 2u) << lan.world.replay_hint();
  }
}

// Goal: all of 20 nodes are found although one datagram in five is lost, and none is given up.
// Method: they start within 2 s; hints come at most 8 a second; then five minutes pass.
TEST(MdnsSim, TwentyNodesKnowAllOthersDespiteLoss) {
  Lan lan(sim::seed_from_env(7), 20);
  lan.world.link.loss = 0.2;
  lan.start_all();
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(19); }, 30s))
      << lan.world.replay_hint();
  const std::uint64_t sent = lan.world.counters().datagrams_sent;
  lan.world.run_for(5min);
  EXPECT_TRUE(lan.all_know(19)) << lan.world.replay_hint();
  // Each node answers every 20 s or so over two IP versions; a datagram counts once for every
  // receiver. A node that lost a question asks again, and all answer once more.
  EXPECT_LE(lan.world.counters().datagrams_sent - sent, 20u * 20u * 15u * 2u * 5u / 2u);
}

TEST(MdnsSim, APartitionIsNoticedAndHealed) {
  Lan lan(sim::seed_from_env(3), 6);
  lan.start_all();
  ASSERT_TRUE(lan.world.run_until([&] { return lan.all_know(5); }, 20s));
  lan.world.partition({1, 2, 3});
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(2); }, 61s)) << lan.world.replay_hint();
  lan.world.heal();
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(5); }, 25s)) << lan.world.replay_hint();
}

TEST(MdnsSim, ALinkOfItsOwnKeepsItsPeersToItself) {
  Lan lan(sim::seed_from_env(5), 4);
  lan.world.set_lan(3, 1);
  lan.world.set_lan(4, 1);
  lan.start_all();
  lan.world.run_for(1min);
  EXPECT_TRUE(lan.all_know(1)) << lan.world.replay_hint();
}

TEST(MdnsSim, TheSameSeedGivesTheSameTrace) {
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
