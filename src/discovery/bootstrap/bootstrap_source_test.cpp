// The bootstrap list with swarms behind it, on the virtual clock.

#include "discovery/bootstrap/bootstrap_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "swarm/nodes_for_test.hpp"

namespace warren::discovery {
namespace {

using swarm::fakes::Network;
using swarm::fakes::Node;
using testing::HasSubstr;

struct Heard final : PeerSink {
  void peer_found(const PeerHint& hint) override { hints.push_back(hint); }
  void peer_lost(const PeerHint&) override { ADD_FAILURE() << "it loses nobody"; }
  std::vector<PeerHint> hints;
};

awaitable<Result<PeerId>> connect_to(swarm::Swarm& swarm, std::size_t& dials, Multiaddr address,
                                     TimePoint deadline) {
  ++dials;
  const auto connection = co_await swarm.connect(std::move(address), deadline);
  if (!connection) co_return fail(connection.error());
  co_return (*connection)->info().remote_peer;
}

class BootstrapSourceTest : public testing::Test {
 protected:
  ~BootstrapSourceTest() override {
    if (source) sim::run(world, source->stop());
    const std::size_t told = heard.hints.size();
    world.run_for(1h);
    EXPECT_EQ(heard.hints.size(), told) << "told after stop()";
    for (Node* node : {&a, &b, &c}) sim::run(world, node->swarm->close());
  }
  void start(std::vector<Multiaddr> peers) {
    BootstrapHooks hooks;
    hooks.dial = [this](Multiaddr address, TimePoint deadline) {
      return connect_to(*a.swarm, dials, std::move(address), deadline);
    };
    hooks.connected_peers = [this] { return a.swarm->connections().size(); };
    hooks.is_connected = [this](const PeerId& id) { return a.swarm->is_connected(id); };
    BootstrapOptions options;
    options.peers = std::move(peers);
    source.emplace(*a.runtime, a.id, std::move(hooks), std::move(options));
    ASSERT_TRUE(source->start(heard));
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  Node a{network, 1};
  Node b{network, 2};
  Node c{network, 3};
  Heard heard;
  std::size_t dials = 0;
  std::optional<BootstrapSource> source;
};

TEST_F(BootstrapSourceTest, ConnectsToAllOfTheListAndTellsOfThem) {
  start({b.address, c.address.with_peer(c.id)});
  world.run_for(1s);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
  EXPECT_TRUE(a.swarm->is_connected(c.id));
  EXPECT_EQ(source->summary(), "2 of 2 reachable");
  ASSERT_EQ(heard.hints.size(), 2u);
  for (const PeerHint& hint : heard.hints) {
    EXPECT_EQ(hint.via, "bootstrap");
    ASSERT_EQ(hint.addresses.size(), 1u);
    EXPECT_EQ(hint.addresses.front(), hint.peer == b.id ? b.address : c.address);
  }
}

TEST_F(BootstrapSourceTest, ALostPeerIsDialledAgain) {
  start({b.address});
  world.run_for(1h);
  EXPECT_EQ(dials, 1u) << "nothing to do while it is there";
  b.swarm->disconnect(a.id);
  world.run_for(11s);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
  EXPECT_EQ(dials, 2u);
}

TEST_F(BootstrapSourceTest, AfterANightWithoutNetworkRefreshConnectsAtOnce) {
  world.partition({1});
  start({b.address});
  world.run_for(12h);
  EXPECT_LT(dials, 30u);
  EXPECT_EQ(source->summary(), "0 of 1 reachable (1 timed out)");
  world.heal({.latency_min = 10ms, .latency_max = 10ms});
  source->addresses_changed();
  world.run_for(1s);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
  EXPECT_EQ(source->summary(), "1 of 1 reachable");
}

TEST_F(BootstrapSourceTest, AWrongPeerIdIsSaidByName) {
  start({b.address.with_peer(c.id)});
  world.run_for(1s);
  EXPECT_FALSE(a.swarm->is_connected(b.id));
  EXPECT_TRUE(heard.hints.empty());
  EXPECT_EQ(source->summary(), "0 of 1 reachable (1 wrong peer id)");
  ASSERT_TRUE(source->entries().front().error);
  EXPECT_THAT(source->entries().front().error->message(), HasSubstr(c.id.to_string()));
  EXPECT_THAT(source->entries().front().error->message(), HasSubstr(b.id.to_string()));
}

TEST_F(BootstrapSourceTest, AnAddressWhereNobodyIsCannotBeReached) {
  start({Multiaddr::memory(77)});
  world.run_for(1s);
  EXPECT_EQ(source->summary(), "0 of 1 reachable (1 unreachable)");
}

TEST_F(BootstrapSourceTest, TheListMayBeReplacedWhileItRuns) {
  start({});
  EXPECT_EQ(source->summary(), "no list configured");
  world.run_for(1h);
  EXPECT_EQ(dials, 0u);
  source->replace({b.address});
  world.run_for(1s);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
  source->replace({c.address});
  world.run_for(1s);
  EXPECT_TRUE(a.swarm->is_connected(c.id));
  EXPECT_TRUE(a.swarm->is_connected(b.id)) << "what is there stays";
  EXPECT_EQ(source->summary(), "1 of 1 reachable");
}

TEST_F(BootstrapSourceTest, StopsWhileADialIsUnderWay) {
  world.partition({1});
  start({b.address, c.address});
  world.run_for(1s);
  EXPECT_EQ(source->summary(), "0 of 2 reachable (2 being dialled)");
}

TEST_F(BootstrapSourceTest, AListOfNobodyIsShipped) {
  EXPECT_TRUE(shipped_bootstrap_peers().empty());
}

}  // namespace
}  // namespace warren::discovery
