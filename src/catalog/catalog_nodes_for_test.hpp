#pragma once
// Catalogs of whole nodes, over the simulated network and the virtual clock.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catalog/catalog_service.hpp"
#include "catalog/listings_for_test.hpp"
#include "library/library_set.hpp"
#include "swarm/nodes_for_test.hpp"
#include "transport/frame_io.hpp"

namespace warren::catalog::fakes {

using swarm::fakes::Network;
using swarm::fakes::Node;

/// A node with a library, whose identify is the table `speaks`.
struct CatalogNode : Node {
  CatalogNode(Network& network, sim::Host host, CatalogOptions options = {})
      : Node(network, host), options_(options) {
    set.restore({100 + host, 1}, 1, {});
    store = std::move(*CatalogStore::open(":memory:"));
    begin();
  }
  void begin() {
    service = std::make_unique<CatalogService>(*swarm, set, *store, hooks(), options_);
    service->start();
  }
  CatalogHooks hooks() {
    return {.speaks = [this](const PeerId& peer) { return !mute.contains(peer); },
            .is_trusted = [this](const PeerId& peer) { return trusted.contains(peer); },
            .mode = [] { return Mode::kProxy; },
            .addresses = [this](const Multiaddr&) { return std::vector{address}; },
            .agent = [] { return std::string("warren/test"); },
            .report = [this](const PeerId& peer,
                             peers::ReputationEvent event) { reports.emplace_back(peer, event); },
            .changed = [this] { ++changes; },
            .neighbour = [this](const PeerId& peer, bool is) { neighbours[peer] = is; },
            .wants = [this] { return wants(); }};
  }
  awaitable<Result<Classify>> wants() {
    ++reckonings;
    if (reckoning_time > Duration{}) {
      WARREN_CO_TRY_VOID(co_await runtime->sleep_for(reckoning_time));
    }
    if (!claim) co_return Classify();
    co_return [this](const Listing& each) { return claim(each); };
  }
  void put(const std::string& id, const peers::AccessRule& rule = fakes::kAnyoneRule,
           const std::string& version = "1") {
    set.apply({entry(listing(id, version), rule)}, {});
  }
  std::vector<std::string> ids() {
    std::vector<std::string> found;
    const auto page = store->list({});
    WARREN_CHECK(page);
    for (const CatalogEntry& each : page->entries) found.push_back(each.listing.id);
    return found;
  }

  CatalogOptions options_;
  std::set<PeerId> mute;
  std::set<PeerId> trusted;
  std::function<Claim(const Listing&)> claim;  ///< Unset: it wants nothing.
  Duration reckoning_time{};
  int reckonings = 0;
  std::vector<std::pair<PeerId, peers::ReputationEvent>> reports;
  int changes = 0;
  std::map<PeerId, bool> neighbours;  ///< As last told.
  library::LibrarySet set;
  std::unique_ptr<CatalogStore> store;
  std::unique_ptr<CatalogService> service;
};

class CatalogNodesTest : public testing::Test {
 protected:
  CatalogNode& add(CatalogOptions options = {}) {
    const auto host = static_cast<sim::Host>(nodes.size() + 1);
    nodes.push_back(std::make_unique<CatalogNode>(network, host, options));
    return *nodes.back();
  }
  ~CatalogNodesTest() override {
    for (const auto& node : nodes) sim::run(world, node->service->stop());
    for (const auto& node : nodes) sim::run(world, node->swarm->close());
    for (const auto& node : nodes) EXPECT_EQ(node->swarm->stats().tasks_failed, 0u);
  }
  /// Connected, and each has heard what the other speaks.
  void connect(CatalogNode& from, CatalogNode& to) {
    ASSERT_TRUE(sim::run(world, from.swarm->connect(to.address.with_peer(to.id), kNever)));
    world.run_for(50ms);
    from.service->peer_identified(to.id);
    to.service->peer_identified(from.id);
  }
  using Ids = std::vector<std::string>;
  bool comes_to(CatalogNode& node, const Ids& ids, Duration within = 1s) {
    return world.run_until([&] { return node.ids() == ids; }, within);
  }
  CatalogPeer peer_of(CatalogNode& node, const CatalogNode& other) {
    const auto peers = sim::run(world, node.service->peers());
    WARREN_CHECK(peers);
    for (const CatalogPeer& each : *peers) {
      if (each.stored.peer == other.id) return each;
    }
    return {};
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  std::vector<std::unique_ptr<CatalogNode>> nodes;
};

/// Sends one message as the first of a stream, and gives the answer.
inline awaitable<Result<Bytes>> say(Node& node, PeerId to, Bytes message) {
  std::vector<std::string> protocols(1, std::string(kCatalogProtocol));
  const TimePoint deadline = node.runtime->now() + 10s;
  WARREN_CO_TRY(const swarm::ProtocolStream opened,
                co_await node.swarm->open_stream(to, std::move(protocols), deadline));
  WARREN_CO_TRY_VOID(co_await transport::write_frame(*opened.stream, message, deadline));
  co_return co_await transport::read_frame(*opened.stream, 1u << 20, deadline);
}

}  // namespace warren::catalog::fakes
