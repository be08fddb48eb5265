// Goal: whole nodes hold their target through churn, find each other again after a partition, and
// give an attacker at most half of what they choose themselves, also after a restart.
// Method: node::Node with its own store, bootstrap list, exchange, heartbeat and goodbye on the
// virtual clock (keeping_network.hpp). manager_network_test.cpp has the same of managers alone,
// which is fast enough for many seeds.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "attacker_shares.hpp"
#include "base/log.hpp"
#include "keeping_network.hpp"

namespace warren::sim {
namespace {

using Resident = KeepingNetwork::Resident;

// A node that has just joined is not measured yet.
constexpr Duration kSettleTime = 2min;
constexpr Duration kLook = 5s;
// Between the halves of a network: they have found each other.
constexpr std::size_t kLinksAcross = 10;
// During an attack one node leaves and one joins so often.
constexpr Duration kAttackChurn = 1min;

bool near_target(const KeepingNetwork& network, const Resident& resident) {
  const std::size_t peers = network.peers(resident);
  return peers + 2 >= network.target() && peers <= network.target() + 2;
}

/// Looks at settled nodes, and how many of them were near their target.
struct Looks {
  std::size_t all = 0;
  std::size_t near = 0;
  std::size_t below = 0;
  std::size_t least = SIZE_MAX;
  std::size_t most = 0;
  void look(const KeepingNetwork& network, const Resident& resident) {
    const std::size_t peers = network.peers(resident);
    ++all;
    least = std::min(least, peers);
    most = std::max(most, peers);
    near += near_target(network, resident);
    below += peers + 2 < network.target();
  }
  double share(std::size_t of) const {
    return all == 0 ? 0 : static_cast<double>(of) / static_cast<double>(all);
  }
  std::string text() const {
    return fmt::format("within 2 of the target {:.2f} %, below {:.2f} %, {} to {} peers",
                       100 * share(near), 100 * share(below), least, most);
  }
};

struct Held {
  Looks all;
  Looks entries;  ///< Of these, the ones on the bootstrap list of all.
  void look(const KeepingNetwork& network) {
    for (const Resident* resident : network.live()) {
      if (network.up(*resident) < kSettleTime) continue;
      all.look(network, *resident);
      if (network.is_entry(*resident)) entries.look(network, *resident);
    }
  }
  std::string text() const { return all.text() + "; of the bootstrap list: " + entries.text(); }
};

Held run_with_churn(KeepingNetwork& network, Duration time) {
  Held held;
  World& world = network.world;
  constexpr Duration kChurn = 30s;
  TimePoint churn_due = world.now() + kChurn;
  for (const TimePoint end = world.now() + time; world.now() < end;) {
    world.run_for(kLook);
    held.look(network);
    if (world.now() < churn_due) continue;
    churn_due += kChurn;
    network.churn();
  }
  return held;
}

std::size_t links_across(const KeepingNetwork& network) {
  std::size_t links = 0;
  for (const Resident* resident : network.live()) links += network.links_across(*resident);
  return links / 2;
}

class Keeping : public testing::Test {
 protected:
  Keeping() { log::set_level(log::Level::kError); }
};

TEST_F(Keeping, WholeNodesHoldTheTargetThroughChurn) {
  for (const std::uint64_t seed : seeds_from_env(1, 1)) {
    KeepingNetwork network(seed, {});
    network.world.run_for(10min);
    const Held held = run_with_churn(network, hours_from_env(40min));
    network.check_invariants();
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), held.text().c_str());
    EXPECT_GE(held.all.share(held.all.near), 0.95) << network.world.replay_hint();
  }
}

TEST_F(Keeping, HalvesFindEachOtherWithinTwoMinutesAfterAPartition) {
  for (const std::uint64_t seed : seeds_from_env(1, 1)) {
    SCOPED_TRACE("SIM_SEED=" + std::to_string(seed));
    KeepingNetwork network(seed, {});
    network.world.run_for(20min);
    EXPECT_GT(links_across(network), 0u);
    network.partition();
    network.world.run_for(10min);
    EXPECT_EQ(links_across(network), 0u);
    network.heal();
    // A node that many seek at once has more than its target for a moment, since newcomers have
    // their grace. Back is who was near its target since the halves found each other.
    std::set<Host> back;
    for (Duration done{}; done < 2min; done += 1s) {
      network.world.run_for(1s);
      if (links_across(network) < kLinksAcross) continue;
      for (const Resident* resident : network.live()) {
        if (near_target(network, *resident)) back.insert(resident->host);
      }
    }
    Held held;
    held.look(network);
    const std::size_t nodes = network.live().size();
    std::printf("seed %llu: %zu connections across, %zu of %zu nodes back; at that moment %s\n",
                static_cast<unsigned long long>(seed), links_across(network), back.size(), nodes,
                held.all.text().c_str());
    EXPECT_GE(links_across(network), kLinksAcross);
    EXPECT_EQ(back.size(), nodes);
    EXPECT_EQ(held.all.below, 0u);
    network.check_invariants();
  }
}

struct AttackTimes {
  std::size_t nodes = 30;
  Duration calm = 30min;
  Duration attack = 30min;
  Duration after = 15min;
};

struct Attack {
  AttackerShares before_restart;
  AttackerShares after_restart;
  AttackerShares late;  ///< Of nodes that began during the attack.
};

Attack run_attack(std::uint64_t seed, const AttackTimes& times) {
  KeepingOptions options;
  options.nodes = times.nodes;
  options.networks = static_cast<std::uint32_t>(times.nodes);
  options.attackers = 1'000;
  KeepingNetwork network(seed, options);
  Attack result;
  const auto run = [&](Duration time, AttackerShares& shares) {
    for (Duration done{}; done < time; done += kLook) {
      network.world.run_for(kLook);
      for (const Resident* resident : network.live()) {
        if (network.up(*resident) < kSettleTime) continue;
        AttackerShares& of = resident->late ? result.late : shares;
        of.add(network.attackers_share(*resident));
      }
      if (done % kAttackChurn < kLook) network.churn();
    }
  };
  network.world.run_for(times.calm);
  network.start_attack();
  run(times.attack, result.before_restart);
  network.restart_all();
  run(times.after, result.after_restart);
  network.check_invariants();
  return result;
}

TEST_F(Keeping, AThousandAttackersGetAtMostHalfOfWhatANodeChooses) {
  Attack all;
  for (const std::uint64_t seed : seeds_from_env(1, 1)) {
    const Attack attack = run_attack(seed, {});
    EXPECT_LE(attack.before_restart.worst, 0.5) << "replay with SIM_SEED=" << seed;
    EXPECT_LE(attack.after_restart.worst, 0.5) << "replay with SIM_SEED=" << seed;
    // Who begins in the middle of it has nobody to fall back on and may need a while.
    EXPECT_LE(attack.late.above_half, attack.late.looks / 100) << "replay with SIM_SEED=" << seed;
    all.before_restart.add(attack.before_restart);
    all.after_restart.add(attack.after_restart);
    all.late.add(attack.late);
  }
  all.before_restart.print("before the restart");
  all.after_restart.print("after the restart");
  all.late.print("of nodes that began during the attack");
}

TEST_F(Keeping, SameSeedGivesSameTrace) {
  const auto trace = [](std::uint64_t seed) {
    KeepingOptions options;
    options.nodes = 20;
    options.attackers = 40;
    KeepingNetwork network(seed, options);
    run_with_churn(network, 5min);
    network.start_attack();
    run_with_churn(network, 3min);
    network.restart_all();
    network.world.run_for(2min);
    return network.world.trace_hash();
  };
  EXPECT_EQ(trace(7), trace(7));
  EXPECT_NE(trace(7), trace(8));
}

}  // namespace
}  // namespace warren::sim
