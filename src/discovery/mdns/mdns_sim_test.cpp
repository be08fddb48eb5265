// Whole services on the virtual clock and network: many nodes on one link, loss, a partition.

#include <gtest/gtest.h>

#include "discovery/mdns/mdns_service.hpp"
#include "discovery/mdns/mdns_test_link.hpp"
#include "discovery/source_for_test.hpp"

namespace warren::discovery {
namespace {

struct MdnsHost {
  MdnsHost(runtime::Runtime& runtime, sim::Host host)
      : id(testing::make_peer(static_cast<std::uint8_t>(host))),
        service(runtime, id, [host] { return testing::sim_addresses(host); }) {}
  PeerId id;
  MdnsService service;
};

TEST(MdnsSim, TwoNodesFindEachOtherWithinTwoSecondsForEverySeed) {
  testing::expect_two_find_each_other<MdnsHost>(2s);
}

// Goal: all of 20 nodes are found although one datagram in five is lost, and none is given up.
// Method: they start within 2 s; hints come at most 8 a second; then five minutes pass.
TEST(MdnsSim, TwentyNodesKnowAllOthersDespiteLoss) {
  testing::Lan<MdnsHost> lan(sim::seed_from_env(7), 20);
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
  testing::expect_partition_is_healed<MdnsHost>(20s, 61s, 25s);
}

TEST(MdnsSim, ALinkOfItsOwnKeepsItsPeersToItself) {
  testing::expect_links_keep_their_peers<MdnsHost>();
}

TEST(MdnsSim, TheSameSeedGivesTheSameTrace) {
  testing::expect_same_seed_gives_same_trace<MdnsHost>();
}

}  // namespace
}  // namespace warren::discovery
