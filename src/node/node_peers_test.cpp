// Whole nodes and their peers: added, named, banned, found again after a restart.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "node/key_text.hpp"
#include "node/testing/sim_host.hpp"

namespace warren::node {
namespace {

using ::testing::HasSubstr;
using Host = testing::SimHost;

class NodePeersTest : public ::testing::Test {
 protected:
  ~NodePeersTest() override {
    for (const auto& host : hosts_) sim::run(world_, host->node->stop());
  }

  /// A node at /memory/<host>.
  Host& start(
      sim::Host host, const std::function<void(NodeOptions&)>& adjust = [](NodeOptions&) {},
      std::uint8_t key_seed = 0) {
    hosts_.push_back(std::make_unique<Host>(
        world_, hub_, host, std::vector{ListenAddress{Multiaddr::memory(host), true}}, adjust,
        key_seed));
    const auto started = sim::run(world_, hosts_.back()->node->start());
    EXPECT_TRUE(started) << started.error().message();
    return *hosts_.back();
  }
  void stop(Host& host) {
    sim::run(world_, host.node->stop());
    std::erase_if(hosts_, [&](const auto& held) { return held.get() == &host; });
  }
  Result<PeerId> add(Host& host, AddPeer what) {
    return sim::run(world_, host.node->add_peer(std::move(what), world_.now() + 10s));
  }
  Result<peers::Ban> ban(Host& host, const std::string& who,
                         std::optional<Duration> how_long = std::nullopt) {
    return sim::run(world_, host.node->ban(who, how_long, "test"));
  }
  bool are_connected(const Host& a, const Host& b) {
    return a.node->swarm().is_connected(b.node->id()) && b.node->swarm().is_connected(a.node->id());
  }
  bool run_until(const std::function<bool()>& done, Duration max = 10min) {
    return world_.run_until(done, max);
  }
  static std::string plain(sim::Host host) { return Multiaddr::memory(host).to_string(); }
  static std::string id(const Host& host) { return host.node->id().to_string(); }

  sim::World world_{sim::seed_from_env(11)};
  transport::memory::Hub hub_{std::make_shared<sim::MemoryLink>(world_)};
  std::vector<std::unique_ptr<Host>> hosts_;
};

TEST_F(NodePeersTest, APeerIsAddedByItsAddressAlone) {
  Host& a = start(1);
  Host& b = start(2);
  const auto added = add(b, {.address = plain(1), .expected_key = "", .name = ""});
  ASSERT_TRUE(added) << added.error().message();
  EXPECT_EQ(*added, a.node->id());
  const auto views = b.node->peers();
  ASSERT_EQ(views.size(), 1u);
  EXPECT_TRUE(views[0].connected && views[0].kept && views[0].outbound);
  EXPECT_FALSE(views[0].pinned);
  EXPECT_EQ(views[0].via, "manual");
  EXPECT_EQ(parse_key(views[0].public_key).value(), a.node->id());
  EXPECT_DOUBLE_EQ(views[0].reputation, 0.5);
}

TEST_F(NodePeersTest, WithTheExpectedKeyItIsPinned) {
  Host& a = start(1);
  Host& b = start(2);
  Host& c = start(3);
  const std::string key = key_text(a.node->id().inline_key());
  for (Host* other : {&b, &c}) {
    const std::string expected = other == &b ? key : id(a);
    const auto added = add(*other, {.address = plain(1), .expected_key = expected, .name = ""});
    ASSERT_TRUE(added) << added.error().message();
    EXPECT_TRUE(other->node->peer(a.node->id())->pinned);
  }
}

TEST_F(NodePeersTest, AnotherKeyThanTheExpectedOneIsRefusedNamingBoth) {
  Host& a = start(1);
  Host& b = start(2);
  Host& c = start(3);
  for (const std::string& address : {plain(1), a.address(1)}) {
    const auto added = add(b, {.address = address, .expected_key = id(c), .name = ""});
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code(), ErrorCode::kDenied);
    EXPECT_THAT(added.error().message(), HasSubstr(id(c)));
    EXPECT_THAT(added.error().message(), HasSubstr(id(a)));
    EXPECT_FALSE(are_connected(a, b));
  }
  EXPECT_TRUE(b.node->peers().empty()) << "nothing is kept of a refused peer";
  EXPECT_EQ(add(b, {.address = plain(1), .expected_key = "abc", .name = ""}).error().code(),
            ErrorCode::kInvalidArgument);
}

TEST_F(NodePeersTest, ANameIsTiedToTheKeyThatAnsweredFirst) {
  start(1);
  Host& b = start(2);
  ASSERT_TRUE(add(b, {.address = plain(1), .expected_key = "", .name = "nas"}));
  const PeerId first = b.node->find_peer("nas").value();
  EXPECT_EQ(b.node->peer(first)->name, "nas");
  EXPECT_TRUE(add(b, {.address = plain(1), .expected_key = "", .name = "nas"})) << "the same again";
  stop(*hosts_[0]);
  Host& impostor = start(1, [](NodeOptions&) {}, 77);
  const auto added = add(b, {.address = plain(1), .expected_key = "", .name = "nas"});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code(), ErrorCode::kDenied);
  EXPECT_THAT(added.error().message(), HasSubstr(first.to_string()));
  EXPECT_THAT(added.error().message(), HasSubstr(id(impostor)));
  EXPECT_EQ(b.node->find_peer("nas").value(), first);
}

TEST_F(NodePeersTest, ARemovedPeerIsForgotten) {
  Host& a = start(1);
  Host& b = start(2);
  ASSERT_TRUE(add(b, {.address = plain(1), .expected_key = "", .name = "nas"}));
  ASSERT_TRUE(sim::run(world_, b.node->remove_peer("nas")));
  ASSERT_TRUE(run_until([&] { return !are_connected(a, b); }));
  world_.run_for(5min);
  EXPECT_FALSE(are_connected(a, b)) << "for a while not even the other one may come";
  EXPECT_FALSE(b.node->find_peer("nas"));
  EXPECT_FALSE(sim::run(world_, b.node->remove_peer(id(a)))) << "there is none any more";
}

TEST_F(NodePeersTest, ABannedPeerIsClosedAndComesInNeitherWay) {
  Host& a = start(1);
  Host& b = start(2);
  ASSERT_TRUE(add(b, {.address = plain(1), .expected_key = "", .name = ""}));
  ASSERT_TRUE(run_until([&] { return are_connected(a, b); }));
  const auto banned = ban(a, id(b), 1h);
  ASSERT_TRUE(banned) << banned.error().message();
  ASSERT_TRUE(run_until([&] { return !are_connected(a, b); }));
  ASSERT_EQ(a.node->bans().size(), 1u);
  EXPECT_EQ(a.node->bans()[0].reason, "test");
  world_.run_for(30min);  // The other one keeps trying.
  EXPECT_FALSE(are_connected(a, b));
  EXPECT_FALSE(sim::run(world_, a.node->reach(b.address(2), world_.now() + 5s)));
  world_.run_for(31min);
  EXPECT_TRUE(a.node->bans().empty()) << "it has ended";
  EXPECT_TRUE(run_until([&] { return are_connected(a, b); }));
}

TEST_F(NodePeersTest, ABanIsLiftedByHand) {
  Host& a = start(1);
  Host& b = start(2);
  ASSERT_TRUE(ban(a, id(b)));
  EXPECT_FALSE(sim::run(world_, b.node->reach(a.address(1), world_.now() + 5s)) &&
               run_until([&] { return are_connected(a, b); }, 1min));
  ASSERT_TRUE(sim::run(world_, a.node->unban(id(b))));
  EXPECT_TRUE(sim::run(world_, b.node->reach(a.address(1), world_.now() + 5s)));
  EXPECT_TRUE(run_until([&] { return are_connected(a, b); }));
  EXPECT_EQ(sim::run(world_, a.node->unban(id(b))).error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(ban(a, "198.51.100.0/24"));
  EXPECT_TRUE(sim::run(world_, a.node->unban("198.51.100.0/24")));
  EXPECT_FALSE(ban(a, "127.0.0.0/8")) << "this machine is never banned";
}

TEST_F(NodePeersTest, WhatWasLearntIsThereAfterARestart) {
  testing::TemporaryDirectory folder;
  const auto with_database = [&](NodeOptions& options) {
    options.keeper.database = folder.path() + "/peers.db";
  };
  Host& a = start(1);
  PeerId stranger;
  {
    Host& c = start(3);
    stranger = c.node->id();
    Host& b = start(2, with_database);
    ASSERT_TRUE(add(b, {.address = plain(1), .expected_key = id(a), .name = "nas"}));
    ASSERT_TRUE(ban(b, stranger.to_string(), 1h));
    ASSERT_TRUE(run_until([&] { return !b.node->peer(a.node->id())->agent.empty(); }));
    stop(b);
  }
  Host& again = start(2, with_database);
  EXPECT_TRUE(run_until([&] { return are_connected(a, again); })) << "nobody said connect";
  const auto view = again.node->peer(a.node->id());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->name, "nas");
  EXPECT_TRUE(view->kept && view->pinned);
  ASSERT_EQ(again.node->bans().size(), 1u);
  EXPECT_EQ(std::get<PeerId>(again.node->bans()[0].who), stranger);
}

TEST_F(NodePeersTest, ADamagedDatabaseIsNamed) {
  testing::TemporaryDirectory folder;
  const std::string path = folder.write("peers.db", std::string(10'000, 'x'));
  Host host(world_, hub_, 5, {}, [&](NodeOptions& options) { options.keeper.database = path; });
  const auto started = sim::run(world_, host.node->start());
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr(path));
  sim::run(world_, host.node->stop());
}

TEST_F(NodePeersTest, ALiarIsBannedAndDisconnected) {
  Host& a = start(1);
  Host& b = start(2);
  const std::string file = a.folder.write("data", std::string(12'000'000, 'x'));
  const auto job = a.node->share(file, "data");
  ASSERT_TRUE(job);
  ASSERT_TRUE(run_until([&] { return (*job)->result().has_value(); }));
  // Other bytes with the time and size of before: a disk, or a peer, that lies.
  const auto time = std::filesystem::last_write_time(file);
  std::fstream(file, std::ios::binary | std::ios::in | std::ios::out)
      << std::string(12'000'000, 'y');
  std::filesystem::last_write_time(file, time);
  std::vector<NodeEvent> events;
  b.node->events().add([&](const NodeEvent& event) { events.push_back(event); });
  ASSERT_TRUE(sim::run(world_, b.node->reach(a.address(1), world_.now() + 5s)));
  GetOptions options;
  options.what = (*(*job)->result())->info.root.to_string();
  options.wait = 5s;
  const auto got = sim::run(world_, b.node->get(options));
  ASSERT_TRUE(got);
  ASSERT_TRUE(run_until([&] { return !b.node->swarm().is_connected(a.node->id()); }));
  EXPECT_EQ(b.node->bans().size(), 1u);
  EXPECT_LT(b.node->peer(a.node->id())->reputation, 0.2);
  EXPECT_TRUE(std::ranges::any_of(events, [&](const NodeEvent& event) {
    return event.kind == NodeEvent::Kind::kPeerBanned && event.peer == a.node->id();
  }));
}

TEST_F(NodePeersTest, GoodDataRaisesTheReputation) {
  Host& a = start(1);
  Host& b = start(2);
  const auto job = a.node->share(a.folder.write("data", std::string(30'000'000, 'x')), "data");
  ASSERT_TRUE(job);
  ASSERT_TRUE(run_until([&] { return (*job)->result().has_value(); }));
  ASSERT_TRUE(sim::run(world_, b.node->reach(a.address(1), world_.now() + 5s)));
  GetOptions options;
  options.what = "data";
  const auto got = sim::run(world_, b.node->get(options));
  ASSERT_TRUE(got);
  ASSERT_TRUE(sim::run(world_, b.node->transfers().wait(*got, world_.now() + 10min)));
  EXPECT_GT(b.node->peer(a.node->id())->reputation, 0.5);
}

TEST_F(NodePeersTest, OfFivePeersExactlyMaxPeersAreHeld) {
  Host& few = start(1, [](NodeOptions& options) {
    options.keeper.manager.max_peers = 2;
    options.exchange.emplace();
  });
  for (sim::Host host = 2; host <= 6; ++host) {
    Host& other = start(host, [](NodeOptions& options) { options.exchange.emplace(); });
    ASSERT_TRUE(sim::run(world_, other.node->reach(few.address(1), world_.now() + 5s)));
  }
  world_.run_for(5min);
  EXPECT_EQ(few.node->status().peers_connected, 2u);
  world_.run_for(30min);
  EXPECT_EQ(few.node->status().peers_connected, 2u);
}

TEST_F(NodePeersTest, ALostPeerIsReplacedByOneThatExchangeTellsOf) {
  const auto two_peers = [](NodeOptions& options) {
    options.keeper.manager.target_peers = 2;
    options.keeper.manager.max_peers = 4;
    options.exchange.emplace();
  };
  Host& first = start(1, two_peers);
  for (sim::Host host = 2; host <= 5; ++host) {
    Host& other = start(host, two_peers);
    ASSERT_TRUE(sim::run(world_, other.node->reach(first.address(1), world_.now() + 5s)));
    world_.run_for(1min);
  }
  Host& lonely = start(6, [&](NodeOptions& options) {
    two_peers(options);
    options.bootstrap.peers = {Multiaddr::parse(first.address(1)).value()};
  });
  ASSERT_TRUE(run_until([&] { return lonely.node->status().peers_connected >= 2; }))
      << "the bootstrap node, and one that it told of";
  stop(first);
  EXPECT_TRUE(run_until([&] { return lonely.node->status().peers_connected >= 2; }));
}

TEST_F(NodePeersTest, WhatNoConnectedPeerHasIsLookedForAmongTheKnownOnes) {
  const auto seeks_nobody = [](NodeOptions& options) { options.keeper.manager.target_peers = 0; };
  Host& holder = start(1, seeks_nobody);
  Host& b = start(2, seeks_nobody);
  ASSERT_TRUE(sim::run(world_, b.node->reach(holder.address(1), world_.now() + 5s)));
  b.node->swarm().disconnect(holder.node->id());
  world_.run_for(5min);
  ASSERT_FALSE(are_connected(holder, b));
  const auto job = holder.node->share(holder.folder.write("data", "content"), "data");
  ASSERT_TRUE(job);
  ASSERT_TRUE(run_until([&] { return (*job)->result().has_value(); }));
  GetOptions options;
  options.what = "data";
  const auto got = sim::run(world_, b.node->get(options));
  ASSERT_TRUE(got);
  const auto ended = sim::run(world_, b.node->transfers().wait(*got, world_.now() + 10min));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->state, transfer::State::kCompleted);
}

TEST_F(NodePeersTest, WhomAPersonDisconnectedIsKeptAwayFromBothSidesUntilThePersonAsksAgain) {
  Host& a = start(1);
  Host& b = start(2);
  ASSERT_TRUE(add(b, {.address = plain(1), .expected_key = "", .name = ""}));
  ASSERT_TRUE(run_until([&] { return are_connected(a, b); }));
  ASSERT_TRUE(sim::run(world_, a.node->disconnect(id(b))));
  ASSERT_TRUE(run_until([&] { return !are_connected(a, b); }));
  a.node->refresh();
  b.node->refresh();
  world_.run_for(5min);
  EXPECT_FALSE(are_connected(a, b)) << "the other one wants it, but this one's person does not";
  ASSERT_TRUE(sim::run(world_, a.node->reach(b.address(2), world_.now() + 5s)));
  EXPECT_TRUE(run_until([&] { return are_connected(a, b); }));
}

TEST_F(NodePeersTest, EventsTellOfConnections) {
  Host& a = start(1);
  Host& b = start(2);
  std::vector<NodeEvent::Kind> kinds;
  const auto id_of_listener = b.node->events().add([&](const NodeEvent& event) {
    if (event.peer == a.node->id()) kinds.push_back(event.kind);
  });
  ASSERT_TRUE(add(b, {.address = plain(1), .expected_key = "", .name = ""}));
  ASSERT_TRUE(sim::run(world_, b.node->disconnect(id(a))));
  ASSERT_TRUE(run_until([&] { return kinds.size() == 4; }));
  using enum NodeEvent::Kind;
  EXPECT_THAT(kinds,
              ::testing::ElementsAre(kPeerConnected, kPeerFound, kPeerLost, kPeerDisconnected));
  b.node->events().remove(id_of_listener);
  ASSERT_TRUE(sim::run(world_, b.node->reach(a.address(1), world_.now() + 5s)));
  world_.run_for(1s);
  EXPECT_EQ(kinds.size(), 4u);
}

}  // namespace
}  // namespace warren::node
