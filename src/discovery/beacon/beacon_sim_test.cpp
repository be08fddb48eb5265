// Whole services on the virtual clock and network: many nodes on one link, loss, a partition.

#include <gtest/gtest.h>

#include "discovery/beacon/beacon_service.hpp"
#include "discovery/beacon/beacon_test_link.hpp"
#include "discovery/source_for_test.hpp"

namespace warren::discovery {
namespace {

struct BeaconNode {
  BeaconNode(runtime::Runtime& runtime, sim::Host host, const BeaconOptions& options = {})
      : key(beacon::testing::make_key(static_cast<std::uint8_t>(host))),
        id(beacon::testing::id_of(key)),
        service(runtime, key, [host] { return testing::sim_addresses(host); }, options) {}
  crypto::PrivateKey key;
  PeerId id;
  BeaconService service;
};
using Lan = testing::Lan<BeaconNode>;

TEST(BeaconSim, TwoNodesFindEachOtherWithinTwoSecondsForEverySeed) {
  testing::expect_two_find_each_other<BeaconNode>(2s);
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
    for (const auto& member : lan.members()) {
      for (const SourceCounters& each : member->node.service.counters()) {
        if (each.interface != "lo") packets += each.sent;
      }
    }
    return packets;
  };
  const std::uint64_t before = sent();
  lan.world.run_for(8s);
  const double per_node = static_cast<double>(sent() - before) / 8 / 50;
  EXPECT_LE(per_node, 1.2);  // Of about 330 bytes each with all headers.
  EXPECT_TRUE(lan.all_know(49)) << lan.world.replay_hint();
}

TEST(BeaconSim, APartitionIsNoticedAndHealed) {
  testing::expect_partition_is_healed<BeaconNode>(5s, 7s, 5s);
}

TEST(BeaconSim, ALinkOfItsOwnKeepsItsPeersToItself) {
  testing::expect_links_keep_their_peers<BeaconNode>();
}

TEST(BeaconSim, TheSameSeedGivesTheSameTrace) {
  testing::expect_same_seed_gives_same_trace<BeaconNode>();
}

}  // namespace
}  // namespace warren::discovery
