// One share spreads through a network of whole nodes: the same seed gives the same trace, and
// neither partitions, stalls nor peers that lie keep it from converging once they have healed.

#include <gtest/gtest.h>

#include "base/log.hpp"
#include "node_network.hpp"

namespace warren::sim {
namespace {

const std::vector<TestFile> kFiles = {
    {"a large one.bin", 2'500'000},
    {"exactly.bin", 1u << 20},
    {"one more.bin", (1u << 20) + 1},
    {"empty", 0},
    {"sub/small.txt", 17},
    {"sub/deeper/other.txt", 4'000},
    {"sub/\xc3\xa4\xc3\xb6.txt", 1},
};

std::vector<Member*> all_but(NodeNetwork& network, std::vector<Host> left_out) {
  std::vector<Member*> who;
  for (const auto& member : network.members) {
    if (std::ranges::find(left_out, member->host) == left_out.end()) who.push_back(member.get());
  }
  return who;
}

void expect_same_files(NodeNetwork& network, const std::vector<Member*>& who,
                       const std::filesystem::path& original) {
  for (const Member* member : who) {
    EXPECT_FALSE(member->error) << "host " << member->host << ": " << member->error->message();
    EXPECT_EQ(first_difference(original, member->folder / "got" / "it", kFiles), "")
        << "host " << member->host << "; " << network.world.replay_hint();
  }
}

/// Passes one share to all; returns the trace.
std::uint64_t spread(std::uint64_t seed, std::size_t nodes) {
  NodeNetwork network(seed, nodes);
  network.world.link.latency_min = 1ms;
  network.world.link.latency_max = 20ms;
  network.world.link.bytes_per_second = 10'000'000;
  network.connect_all();
  Member& origin = *network.members.front();
  write_files(origin.folder / "shared", kFiles, 1);
  const Cid root = network.share(origin, "the share");
  const std::vector<Member*> who = all_but(network, {origin.host});
  network.get(who, root.to_string());
  EXPECT_TRUE(network.run_until_ended(who, 120s)) << network.describe(who);
  expect_same_files(network, who, origin.folder / "shared");
  return network.world.trace_hash();
}

TEST(Spread, FiftyNodesPassAShareToAllAndTheSameSeedGivesTheSameTrace) {
  const std::uint64_t seed = seed_from_env(1);
  const std::uint64_t trace = spread(seed, 50);
  EXPECT_EQ(spread(seed, 50), trace) << "the same seed took another course: SIM_SEED=" << seed;
}

TEST(Spread, AnotherSeedTakesAnotherCourse) { EXPECT_NE(spread(1, 10), spread(2, 10)); }

/// Some hosts cut off together, some silent altogether; other ones every few seconds.
void play_faults(NodeNetwork& network, const std::vector<Member*>& who, Duration length) {
  World& world = network.world;
  const TimePoint end = world.now() + length;
  while (world.now() < end) {
    std::vector<Host> island, silent;
    for (const auto& member : network.members) {
      if (world.chance(0.3)) island.push_back(member->host);
      if (world.chance(0.1)) silent.push_back(member->host);
    }
    world.reachable = [island, silent](Host from, Host to) {
      const auto in = [](const std::vector<Host>& hosts, Host host) {
        return std::ranges::binary_search(hosts, host);
      };
      return in(island, from) == in(island, to) && !in(silent, from) && !in(silent, to);
    };
    if (network.run_until_ended(who, world.between(1s, 15s))) break;
  }
  world.heal(world.link);
}

TEST(Spread, PartitionsStallsAndLiarsDoNotKeepItFromConverging) {
  log::set_level(log::Level::kError);  // Every lie is worth a warning elsewhere.
  for (const std::uint64_t seed : seeds_from_env(1, 3)) {
    SCOPED_TRACE("SIM_SEED=" + std::to_string(seed));
    NodeNetwork network(seed, 30);
    network.world.link.latency_min = 1ms;
    network.world.link.latency_max = 50ms;
    network.world.link.bytes_per_second = 500'000;
    network.connect_all();
    Member& origin = *network.members[0];
    const std::vector<Member*> liars = {network.members[10].get(), network.members[20].get()};
    write_files(origin.folder / "shared", kFiles, 1);
    const Cid root = network.share(origin, "the share");
    for (Member* liar : liars) {
      write_files(liar->folder / "shared", kFiles, 1);
      ASSERT_EQ(network.share(*liar, "the share"), root);
      corrupt_files(liar->folder / "shared", kFiles);
    }
    const std::vector<Member*> who =
        all_but(network, {origin.host, liars[0]->host, liars[1]->host});
    network.get(who, root.to_string());
    play_faults(network, who, 60s);
    EXPECT_TRUE(network.run_until_ended(who, 180s)) << network.describe(who);
    expect_same_files(network, who, origin.folder / "shared");
    // The liars were asked, it was seen that they lie, and nobody else was blamed.
    std::uint64_t lies = 0;
    for (const Member* member : who) {
      lies += member->bad_chunks;
      const auto progress = member->node->transfers().progress(member->transfer);
      for (const transfer::PeerProgress& peer : progress->peers) {
        const bool liar = peer.peer == liars[0]->node->id() || peer.peer == liars[1]->node->id();
        EXPECT_TRUE(liar || peer.bad_chunks == 0) << peer.peer.to_string();
      }
    }
    EXPECT_GT(lies, 0u);
  }
}

TEST(Spread, NodesOnALanFindEachOtherAndGetAShareByItsNameOverQuic) {
  for (const std::uint64_t seed : seeds_from_env(1, 2)) {
    SCOPED_TRACE("SIM_SEED=" + std::to_string(seed));
    NodeNetwork network(seed, 6, Wire::kQuicLan);
    network.world.link.loss = 0.01;
    network.world.link.reorder = 0.01;
    network.world.link.bytes_per_second = 12'500'000;
    Member& origin = *network.members[0];
    write_files(origin.folder / "shared", kFiles, 1);
    (void)network.share(origin, "the share");
    // Nobody is told an address: mDNS is all there is.
    const std::vector<Member*> who = all_but(network, {origin.host});
    const bool met = network.world.run_until(
        [&] {
          return std::ranges::all_of(network.members, [](const auto& member) {
            return member->node->status().peers_connected == 5;
          });
        },
        10s);
    EXPECT_TRUE(met) << "not all of them have met";
    network.get(who, "the share");
    network.world.run_for(300ms);
    network.world.partition({2, 3});
    network.run_until_ended(who, 20s);
    network.world.heal(network.world.link);
    EXPECT_TRUE(network.run_until_ended(who, 120s)) << network.describe(who);
    expect_same_files(network, who, origin.folder / "shared");
  }
}

}  // namespace
}  // namespace warren::sim
