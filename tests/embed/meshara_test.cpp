// The tests that the Meshara document names, under their names, on real nodes: sockets on loopback,
// databases on disk, through the public surface alone. docs/systems/meshara.md.

#include <algorithm>
#include <memory>

#include "rig.hpp"

namespace warren::test {
namespace {

std::string without_peer(const std::string& address) {
  return address.substr(0, address.find("/p2p/"));
}

/// `node` tries to come to `other` and never counts as a peer there. Its own side of the handshake
/// may be through before it hears of the refusal.
void expect_kept_out(TestNode& node, TestNode& other) {
  const std::size_t before = other.count<PeerConnected>();
  static_cast<void>(node->add_peer(other.address(), {}, 5s));
  EXPECT_TRUE(node.wait_until([&] { return !node.has(other.id()); }));
  EXPECT_EQ(other.peers(), std::vector<std::string>());
  EXPECT_EQ(other.count<PeerConnected>(), before);
}

// ------------------------------------------------------------------------------ manual addition

TEST(ManualPeerAddition, ConnectsAndListsThePeer) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  const auto added = a->add_peer(without_peer(b.address()));
  ASSERT_TRUE(added) << said(added);
  EXPECT_EQ(*added, b.id());

  const auto peers = a->list_peers();
  ASSERT_TRUE(peers) << said(peers);
  ASSERT_EQ(peers->size(), 1u);
  const PeerInfo& info = peers->front();
  EXPECT_EQ(info.peer_id, b.id());
  EXPECT_EQ(info.public_key, b->public_key());
  EXPECT_EQ(info.address, b.address());
  EXPECT_TRUE(info.connected);
  EXPECT_TRUE(info.kept);
  EXPECT_EQ(info.via, "manual");
  EXPECT_GT(info.bytes_sent, 0u);
  EXPECT_GT(info.bytes_received, 0u);
  EXPECT_DOUBLE_EQ(info.reputation, 0.5);
  const Time now = std::chrono::system_clock::now();
  ASSERT_TRUE(info.connected_since);
  EXPECT_LE(*info.connected_since, now);
  EXPECT_GT(*info.connected_since, now - 1min);
  ASSERT_TRUE(info.last_seen);
  EXPECT_GT(*info.last_seen, now - 1min);
  // The other side sees the same connection.
  ASSERT_TRUE(b.wait_for<PeerConnected>(a.id()));
  EXPECT_TRUE(b.has(a.id()));
}

TEST(ManualPeerAddition, WithTheExpectedKey) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  const std::vector<std::uint8_t> message = b->public_key();
  const std::vector<std::uint8_t> raw(message.end() - 32, message.end());
  for (const auto& key : {message, raw}) {
    const auto added = a->add_peer(without_peer(b.address()), {.expected_public_key = key});
    ASSERT_TRUE(added) << said(added);
    EXPECT_EQ(*added, b.id());
  }
}

TEST(ManualPeerAddition, RefusesAnotherKeyAndNamesBoth) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  TestNode c(folder / "c");
  for (const std::string& address : {b.address(), without_peer(b.address())}) {
    const auto added = a->add_peer(address, {.expected_public_key = c->public_key()});
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::kDenied) << said(added);
    EXPECT_NE(added.error().message.find(b.id()), std::string::npos) << said(added);
    EXPECT_NE(added.error().message.find(c.id()), std::string::npos) << said(added);
  }
  EXPECT_EQ(a.peers(), std::vector<std::string>());
  // The id in the address is an expectation too.
  const auto added = a->add_peer(without_peer(b.address()) + "/p2p/" + c.id());
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::kIntegrity) << said(added);
  const auto garbage = a->add_peer(b.address(), {.expected_public_key = {1, 2, 3}});
  ASSERT_FALSE(garbage);
  EXPECT_EQ(garbage.error().code, ErrorCode::kInvalidArgument) << said(garbage);
}

TEST(ManualPeerAddition, ANameStaysTiedToItsKey) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  TestNode c(folder / "c");
  ASSERT_TRUE(a->add_peer(b.address(), {.expected_public_key = {}, .name = "friend"}));
  EXPECT_EQ(a->find_peer("friend").value().peer_id, b.id());
  const auto other =
      a->add_peer(without_peer(c.address()), {.expected_public_key = {}, .name = "friend"});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kDenied) << said(other);
  EXPECT_NE(other.error().message.find(b.id()), std::string::npos) << said(other);
}

TEST(ManualPeerAddition, RemovedPeersAreDisconnectedAndForgotten) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  ASSERT_TRUE(a->add_peer(b.address()));
  const auto removed = a->remove_peer(b.id());
  ASSERT_TRUE(removed) << said(removed);
  ASSERT_TRUE(a.wait_for<PeerDisconnected>(b.id()));
  ASSERT_TRUE(b.wait_for<PeerDisconnected>(a.id()));
  EXPECT_EQ(a.peers(), std::vector<std::string>());
  EXPECT_EQ(a->find_peer(b.id()).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(a->remove_peer(b.id()).error().code, ErrorCode::kNotFound);
}

// ----------------------------------------------------------------------------------- peer store

TEST(PeerStore, Save) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  ASSERT_TRUE(a->add_peer(b.address()));
  EXPECT_TRUE(std::filesystem::exists(folder / "a/state/peers.db")) << "add_peer() waits for it";
  EXPECT_GT(std::filesystem::file_size(folder / "a/state/peers.db"), 0u);
}

TEST(PeerStore, Load) {
  const TempFolder folder;
  std::string address;
  std::string id;
  {
    TestNode a(folder / "a");
    TestNode b(folder / "b");
    ASSERT_TRUE(a->add_peer(b.address(), {.expected_public_key = {}, .name = "friend"}));
    address = b.address();
    id = b.id();
  }
  TestNode again(folder / "a");
  const auto info = again->find_peer("friend");
  ASSERT_TRUE(info) << said(info);
  EXPECT_EQ(info->peer_id, id);
  EXPECT_EQ(info->address, address);
  EXPECT_EQ(info->public_key.size(), 36u);
  EXPECT_EQ(info->name, "friend");
  EXPECT_TRUE(info->kept);
  EXPECT_FALSE(info->connected) << "that one is gone";
  EXPECT_TRUE(info->last_seen);
}

TEST(PeerStore, PersistsAcrossRestart) {
  const TempFolder folder;
  TestNode b(folder / "b");
  std::string id;
  {
    TestNode a(folder / "a");
    ASSERT_TRUE(a->add_peer(b.address()));
    id = a.id();
  }
  ASSERT_TRUE(b.wait_for<PeerDisconnected>(id));
  TestNode again(folder / "a");
  EXPECT_EQ(again.id(), id);
  EXPECT_TRUE(again.wait_for<PeerConnected>(b.id())) << "dialled by itself";
  const auto info = again->find_peer(b.id());
  ASSERT_TRUE(info) << said(info);
  EXPECT_EQ(info->via, "manual");
}

TEST(PeerStore, BansPersistAcrossRestart) {
  const TempFolder folder;
  TestNode b(folder / "b");
  {
    TestNode a(folder / "a");
    ASSERT_TRUE(a->add_peer(b.address()));
    ASSERT_TRUE(a->ban(b.id(), std::nullopt, "a test"));
    ASSERT_TRUE(a.wait_for<PeerDisconnected>(b.id()));
  }
  TestNode again(folder / "a");
  const auto info = again->find_peer(b.id());
  ASSERT_TRUE(info) << said(info);
  EXPECT_EQ(info->banned_until, Time::max());
  EXPECT_EQ(again->add_peer(b.address()).error().code, ErrorCode::kDenied);
  expect_kept_out(b, again);
  ASSERT_TRUE(again->unban(b.id()));
  EXPECT_EQ(again->unban(b.id()).error().code, ErrorCode::kNotFound);
  const auto added = again->add_peer(b.address());
  EXPECT_TRUE(added) << said(added);
}

// ----------------------------------------------------------------------------------- reputation

TEST(Reputation, UpdateChangesScore) {
  const TempFolder folder;
  write_file(folder / "file", std::string(3'000'000, 'r'));
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  ASSERT_TRUE(b->share(folder / "file", "thing"));
  ASSERT_TRUE(a->add_peer(b.address()));
  EXPECT_DOUBLE_EQ(a->find_peer(b.id()).value().reputation, 0.5);
  // Verified chunks raise it, by themselves.
  const auto got = a->get({.what = "thing", .folder = folder / "got"}, 1min);
  ASSERT_TRUE(got) << said(got);
  const double earned = a->find_peer(b.id()).value().reputation;
  EXPECT_GT(earned, 0.5);
  // What the program finds out counts too.
  const auto better = a->report_peer(b.id(), Conduct::kUsefulAnswer);
  ASSERT_TRUE(better) << said(better);
  EXPECT_GT(*better, earned);
  const auto worse = a->report_peer(b.id(), Conduct::kFailedVerification);
  ASSERT_TRUE(worse);
  EXPECT_LT(*worse, earned);
  EXPECT_NEAR(a->find_peer(b.id()).value().reputation, *worse, 1e-4) << "it decays slowly";
  EXPECT_TRUE(a.has(b.id())) << "one lie is not the end";
  const std::string nobody = "12D3KooWGRUts4y3kyAvFTn8JQWNMVsY1RCXh7AZyzhzvdRVyNPr";
  EXPECT_EQ(a->report_peer(nobody, Conduct::kTimeout).error().code, ErrorCode::kNotFound);
}

TEST(Reputation, BadPeersGetDisconnected) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  ASSERT_TRUE(b->add_peer(a.address()));
  ASSERT_TRUE(a.wait_for<PeerConnected>(b.id()));
  double score = 0.5;
  for (int lies = 0; lies < 20 && score >= 0.2; ++lies) {
    const auto after = a->report_peer(b.id(), Conduct::kFailedVerification);
    ASSERT_TRUE(after) << said(after);
    EXPECT_LT(*after, score);
    score = *after;
  }
  EXPECT_LT(score, 0.2);
  const auto banned = a.wait_for<PeerBanned>(b.id());
  ASSERT_TRUE(banned);
  EXPECT_GT(banned->until, std::chrono::system_clock::now() + 5min);
  EXPECT_LT(banned->until, std::chrono::system_clock::now() + 1h) << "the first one is short";
  ASSERT_TRUE(a.wait_for<PeerDisconnected>(b.id()));
  ASSERT_TRUE(b.wait_for<PeerDisconnected>(a.id()));
  EXPECT_EQ(a.peers(), std::vector<std::string>());
  // Neither side brings it back.
  EXPECT_EQ(a->add_peer(b.address()).error().code, ErrorCode::kDenied);
  expect_kept_out(b, a);
}

TEST(Reputation, PinnedPeersAreNotBannedByIt) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  ASSERT_TRUE(a->add_peer(b.address(), {.expected_public_key = b->public_key()}));
  for (int lies = 0; lies < 20; ++lies) {
    ASSERT_TRUE(a->report_peer(b.id(), Conduct::kFailedVerification));
  }
  EXPECT_LT(a->find_peer(b.id()).value().reputation, 0.2);
  EXPECT_TRUE(a.has(b.id()));
}

// ------------------------------------------------------------------------------------ bootstrap

TEST(BootstrapNodes, ConnectAndListUpdated) {
  const TempFolder folder;
  TestNode first(folder / "first");
  TestNode second(folder / "second");
  NodeBuilder builder = quiet(folder / "n");
  builder.with_bootstrap_nodes({first.address(), second.address()});
  TestNode node(builder);
  ASSERT_TRUE(node.wait_for<PeerConnected>(first.id()));
  ASSERT_TRUE(node.wait_for<PeerConnected>(second.id()));
  // The source tells after the connections are there.
  EXPECT_TRUE(node.wait_until([&] {
    const auto peers = node->list_peers();
    return peers && peers->size() == 2 && std::ranges::all_of(*peers, [](const PeerInfo& peer) {
             return peer.via == "bootstrap";
           });
  }));
  const auto sources = node->discovery();
  ASSERT_TRUE(sources);
  const bool listed = std::ranges::any_of(*sources, [](const DiscoverySource& source) {
    return source.name == "bootstrap" && source.problem.empty() && !source.summary.empty();
  });
  EXPECT_TRUE(listed);
}

TEST(BootstrapNodes, TellOfFurtherPeers) {
  const TempFolder folder;
  const auto with_exchange = [&](std::string_view name) {
    NodeBuilder builder = quiet(folder / name);
    builder.with_discovery({.mdns = false, .beacon = false, .exchange = true});
    return builder;
  };
  TestNode first(with_exchange("first"));
  NodeBuilder builder = with_exchange("known");
  builder.with_bootstrap_nodes({first.address()});
  TestNode known(builder);
  ASSERT_TRUE(known.wait_for<PeerConnected>(first.id()));
  builder = with_exchange("late");
  builder.with_bootstrap_nodes({first.address()});
  TestNode late(builder);
  const auto connected = late.wait_for<PeerConnected>(known.id(), 60s);
  ASSERT_TRUE(connected) << "nobody but the bootstrap node could tell of it";
}

// ----------------------------------------------------------------------------- limits and target

TEST(ConnectionLimits, MaxPeersTwoOfFive_ExactlyTwo) {
  const TempFolder folder;
  std::vector<std::unique_ptr<TestNode>> others;
  std::vector<std::string> addresses;
  for (int i = 0; i < 5; ++i) {
    others.push_back(std::make_unique<TestNode>(folder / ("other" + std::to_string(i))));
    addresses.push_back(others.back()->address());
  }
  NodeBuilder builder = quiet(folder / "n");
  builder.with_max_peers(2).with_target_peers(2).with_bootstrap_nodes(addresses);
  TestNode node(builder);
  ASSERT_TRUE(node.wait_for_peers(2));
  // Never more, while all five are there to be had and come by themselves too.
  for (auto& other : others) static_cast<void>((*other)->add_peer(node.address(), {}, 5s));
  EXPECT_TRUE(node.wait_until([&] { return node.peers().size() == 2; }));
  EXPECT_FALSE(node.wait_until([&] { return node.peers().size() != 2; }, 3s));
}

TEST(PeerReplacement, DisconnectOneGetsReplaced) {
  const TempFolder folder;
  std::vector<std::unique_ptr<TestNode>> others;
  std::vector<std::string> addresses;
  for (int i = 0; i < 4; ++i) {
    others.push_back(std::make_unique<TestNode>(folder / ("other" + std::to_string(i))));
    addresses.push_back(others.back()->address());
  }
  NodeBuilder builder = quiet(folder / "n");
  builder.with_max_peers(2).with_target_peers(2).with_bootstrap_nodes(addresses);
  TestNode node(builder);
  ASSERT_TRUE(node.wait_for_peers(2));
  const std::vector<std::string> before = node.peers();
  for (auto& other : others) {
    if (other->id() == before[0]) ASSERT_TRUE((*other)->stop());
  }
  ASSERT_TRUE(node.wait_for<PeerDisconnected>(before[0]));
  const bool replaced = node.wait_until(
      [&] {
        const std::vector<std::string> now = node.peers();
        return now.size() == 2 && std::ranges::find(now, before[0]) == now.end();
      },
      30s);
  EXPECT_TRUE(replaced);
}

// -------------------------------------------------------------------------------- local network

TEST(MdnsDiscovery, TwoNodesFindEachOtherAndConnect) {
  // Set by mdns_test.py, which runs this where a link of its own is all there is.
  const char* link = std::getenv("WARREN_TEST_ADDRESS");
  if (link == nullptr) GTEST_SKIP() << "needs a link of its own: run by the ctest embed.mdns";
  const TempFolder folder;
  const auto with_mdns = [&](std::string_view name) {
    NodeBuilder builder;
    builder.with_storage(folder / name)
        .with_listen_addresses({"/ip4/" + std::string(link) + "/udp/0/quic-v1"})
        .with_discovery({.mdns = true,
                         .mdns_service = "_warren-test._udp.local",
                         .beacon = false,
                         .exchange = false});
    return builder;
  };
  TestNode a(with_mdns("a"));
  TestNode b(with_mdns("b"));
  ASSERT_TRUE(a.wait_for<PeerConnected>(b.id()));
  ASSERT_TRUE(b.wait_for<PeerConnected>(a.id()));
  EXPECT_EQ(a->find_peer(b.id()).value().via, "mdns");
  EXPECT_EQ(a.peers().size(), 1u);
  const auto found = a.wait_for<PeerDiscovered>(b.id());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->via, "mdns");
  EXPECT_FALSE(found->addresses.empty());
  // Another service name, another world.
  NodeBuilder builder = with_mdns("c");
  builder.with_discovery({.mdns = true,
                          .mdns_service = "_warren-other._udp.local",
                          .beacon = false,
                          .exchange = false});
  TestNode c(builder);
  EXPECT_FALSE(c.wait_for_peers(1, 3s));
}

}  // namespace
}  // namespace warren::test
