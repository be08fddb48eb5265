#include "resources/manager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "resources/operations_for_test.hpp"

namespace warren::resources {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kMiB = 1u << 20;

PeerId peer_named(std::string_view name) { return PeerId::from_public_key(as_bytes(name)); }

Endpoint at(std::string_view ip, std::uint16_t port = 4001) {
  return {*IpAddress::parse(ip), port, 0};
}

class ManagerTest : public ::testing::Test {
 protected:
  ManagerTest() { make(limits::Resources()); }

  void make(limits::Resources limits) {
    Manager::Options options;
    options.limits = limits;
    options.report = [this](std::string line) { lines.push_back(std::move(line)); };
    manager = std::make_unique<Manager>([this] { return now; }, std::move(options));
  }
  auto inbound(const Endpoint& from) {
    return manager->open_connection(Direction::kInbound, from, false);
  }
  auto outbound(const Endpoint& to, std::optional<PeerId> expected = std::nullopt) {
    return manager->open_connection(Direction::kOutbound, to, false, expected);
  }
  std::uint64_t refused(ScopeKind scope, Resource resource) const {
    for (const Refusals& some : manager->snapshot().refused) {
      if (some.scope == scope && some.resource == resource) return some.count;
    }
    return 0;
  }

  TimePoint now{};
  std::vector<std::string> lines;
  std::unique_ptr<Manager> manager;
};

TEST_F(ManagerTest, AConnectionIsTransientUntilItsPeerIsProven) {
  auto connection = manager->open_connection(Direction::kInbound, at("192.0.2.7"), true);
  ASSERT_TRUE(connection);
  EXPECT_EQ(manager->snapshot().transient.connections(), 1u);
  EXPECT_EQ(manager->snapshot().transient.of(Resource::kDescriptors), 1u);
  EXPECT_EQ(manager->snapshot().node, Usage{});
  ASSERT_TRUE((*connection)->reserve_memory(1000));
  ASSERT_TRUE((*connection)->set_peer(peer_named("a")));
  const Snapshot proven = manager->snapshot();
  EXPECT_EQ(proven.transient, Usage{});
  EXPECT_EQ(proven.node.connections(), 1u);
  EXPECT_EQ(proven.node.memory_bytes(), 1000u);
  ASSERT_EQ(proven.peers.size(), 1u);
  EXPECT_EQ(proven.peers[0].first, peer_named("a"));
  EXPECT_EQ(proven.peers[0].second, proven.node);
  manager->check_invariants();
  connection->reset();
  EXPECT_EQ(manager->snapshot().total, Usage{});
  EXPECT_EQ(manager->snapshot().peak.memory_bytes(), 1000u);
  EXPECT_TRUE(manager->snapshot().peers.empty());
}

TEST_F(ManagerTest, AStreamCountsInItsConnectionPeerProtocolAndNode) {
  auto connection = inbound(at("192.0.2.7"));
  ASSERT_TRUE(connection);
  ASSERT_TRUE((*connection)->set_peer(peer_named("a")));
  auto stream = (*connection)->open_stream(Direction::kInbound);
  ASSERT_TRUE(stream);
  ASSERT_TRUE((*stream)->reserve_memory(300));
  ASSERT_TRUE((*stream)->set_protocol("/echo/1.0.0"));
  const Snapshot held = manager->snapshot();
  EXPECT_EQ(held.node.streams(), 1u);
  EXPECT_EQ(held.node.memory_bytes(), 300u);
  EXPECT_EQ((*connection)->usage().of(Resource::kStreamsInbound), 1u);
  ASSERT_EQ(held.protocols.size(), 1u);
  EXPECT_EQ(held.protocols[0].first, "/echo/1.0.0");
  EXPECT_EQ(held.protocols[0].second.memory_bytes(), 300u);
  EXPECT_EQ(held.protocols[0].second.streams(), 1u);
  manager->check_invariants();
  connection->reset();  // A stream that outlives its connection's scope keeps what it has.
  EXPECT_EQ(manager->snapshot().node.connections(), 0u);
  EXPECT_EQ(manager->snapshot().node.streams(), 1u);
  manager->check_invariants();
  stream->reset();
  EXPECT_EQ(manager->snapshot().total, Usage{});
  EXPECT_TRUE(manager->snapshot().protocols.empty());
}

TEST_F(ManagerTest, TheNinthConnectionOfOneAddressIsRefusedAndSaidSo) {
  std::vector<std::unique_ptr<ConnectionScope>> open;
  for (int i = 0; i < 8; ++i) {
    auto connection = inbound(at("192.0.2.7", static_cast<std::uint16_t>(1000 + i)));
    ASSERT_TRUE(connection);
    open.push_back(std::move(*connection));
  }
  const auto ninth = inbound(at("192.0.2.7"));
  ASSERT_FALSE(ninth);
  EXPECT_EQ(ninth.error().code(), ErrorCode::kLimited);
  EXPECT_EQ(ninth.error().message(),
            "a connection from 192.0.2.7 is refused: 8 from one address are the most");
  EXPECT_EQ(refused(ScopeKind::kSource, Resource::kConnectionsInbound), 1u);
  EXPECT_TRUE(inbound(at("192.0.2.8"))) << "another address has its own";
  EXPECT_TRUE(outbound(at("192.0.2.7"))) << "what is dialled from here is not its doing";
  open.pop_back();
  EXPECT_TRUE(inbound(at("192.0.2.7")));
}

TEST_F(ManagerTest, LoopbackAndTransportsWithoutAddressesAreFree) {
  std::vector<std::unique_ptr<ConnectionScope>> open;
  for (int i = 0; i < 30; ++i) {
    auto connection = inbound(i % 2 == 0 ? at("127.0.0.1") : Endpoint{});
    ASSERT_TRUE(connection) << connection.error().message();
    open.push_back(std::move(*connection));
  }
  EXPECT_EQ(manager->snapshot().sources, 0u);
}

TEST_F(ManagerTest, HandshakesHaveALimitOfTheirOwn) {
  std::vector<std::unique_ptr<ConnectionScope>> open;
  for (int i = 0; i < 32; ++i) {
    auto connection = inbound(at("127.0.0.1"));
    ASSERT_TRUE(connection);
    open.push_back(std::move(*connection));
  }
  const auto refusal = inbound(at("127.0.0.1"));
  ASSERT_FALSE(refusal);
  EXPECT_THAT(refusal.error().message(), HasSubstr("32 inbound connections in handshakes"));
  EXPECT_TRUE(outbound(at("127.0.0.1"))) << "inbound ones leave room for our own";
  ASSERT_TRUE(open.back()->set_peer(peer_named("a")));
  EXPECT_TRUE(inbound(at("127.0.0.1"))) << "a proven one is no handshake any more";
}

TEST_F(ManagerTest, InboundConnectionsLeaveRoomForOutboundOnes) {
  std::vector<std::unique_ptr<ConnectionScope>> open;
  const std::uint64_t most = manager->limits().node.connections_inbound;
  EXPECT_LT(most, manager->limits().node.connections);
  for (std::uint64_t i = 0; i <= most; ++i) {
    auto connection = inbound(at("127.0.0.1"));
    ASSERT_TRUE(connection);
    const auto set = (*connection)->set_peer(peer_named("peer" + std::to_string(i)));
    EXPECT_EQ(set.has_value(), i < most);
    if (set) open.push_back(std::move(*connection));
  }
  EXPECT_EQ(refused(ScopeKind::kNode, Resource::kConnectionsInbound), 1u);
  auto own = outbound(at("127.0.0.1"));
  ASSERT_TRUE(own);
  EXPECT_TRUE((*own)->set_peer(peer_named("friend")));
}

TEST_F(ManagerTest, OnePeerCannotTakeAllConnectionsOrStreams) {
  std::vector<std::unique_ptr<ConnectionScope>> open;
  for (int i = 0; i < 8; ++i) {
    auto connection = inbound(at("127.0.0.1"));
    ASSERT_TRUE(connection);
    ASSERT_TRUE((*connection)->set_peer(peer_named("greedy")));
    open.push_back(std::move(*connection));
  }
  auto ninth = inbound(at("127.0.0.1"));
  ASSERT_TRUE(ninth);
  const auto set = (*ninth)->set_peer(peer_named("greedy"));
  ASSERT_FALSE(set);
  EXPECT_THAT(set.error().message(), HasSubstr("8 inbound connections with one peer"));
  EXPECT_TRUE((*ninth)->set_peer(peer_named("other"))) << "nothing was counted by the refusal";

  std::vector<std::unique_ptr<StreamScope>> streams;
  for (int i = 0; i < 256; ++i) {
    auto stream = open[static_cast<std::size_t>(i) % 8]->open_stream(Direction::kInbound);
    ASSERT_TRUE(stream);
    streams.push_back(std::move(*stream));
  }
  const auto refusal = open[0]->open_stream(Direction::kInbound);
  ASSERT_FALSE(refusal);
  EXPECT_THAT(refusal.error().message(), HasSubstr("256 inbound streams with one peer"));
  EXPECT_TRUE((*ninth)->open_stream(Direction::kInbound));
  manager->check_invariants();
}

TEST_F(ManagerTest, OptionalMemoryIsRefusedBeforeNecessaryMemory) {
  limits::Resources limits;
  limits.connection.memory_bytes = 100 * kMiB;
  limits.peer.memory_bytes = 40 * kMiB;
  make(limits);
  auto connection = inbound(at("127.0.0.1"));
  ASSERT_TRUE(connection);
  ASSERT_TRUE((*connection)->set_peer(peer_named("a")));
  EXPECT_TRUE((*connection)->reserve_memory(30 * kMiB, Need::kOptional));
  EXPECT_FALSE((*connection)->reserve_memory(1, Need::kOptional));
  EXPECT_EQ(manager->snapshot().refused_total(), 0u) << "a smaller window is no refusal";
  EXPECT_EQ(manager->snapshot().optional_refused, 1u);
  EXPECT_TRUE((*connection)->reserve_memory(10 * kMiB));
  const auto refusal = (*connection)->reserve_memory(1);
  ASSERT_FALSE(refusal);
  EXPECT_EQ(refused(ScopeKind::kPeer, Resource::kMemory), 1u);
  EXPECT_THAT(refusal.error().message(),
              HasSubstr("41943040 of 41943040 bytes are in use with one peer"));
  (*connection)->release_memory(40 * kMiB);
  EXPECT_EQ(manager->snapshot().total.memory_bytes(), 0u);
}

TEST_F(ManagerTest, AReservationOutlivesItsScopeAndTheManager) {
  auto connection = inbound(at("127.0.0.1"));
  ASSERT_TRUE(connection);
  auto made = (*connection)->reserve(500);
  ASSERT_TRUE(made);
  MemoryReservation held = std::move(*made);
  connection->reset();
  EXPECT_EQ(manager->snapshot().transient.memory_bytes(), 500u);
  EXPECT_EQ(manager->snapshot().transient.connections(), 0u);
  ASSERT_TRUE(held.grow(100));
  held.shrink(550);
  EXPECT_EQ(manager->snapshot().total.memory_bytes(), 50u);
  manager.reset();
  held = MemoryReservation();
}

TEST_F(ManagerTest, AConnectionThatHasEndedHoldsNothingButItsStreams) {
  auto connection = inbound(at("192.0.2.7"));
  ASSERT_TRUE(connection);
  ASSERT_TRUE((*connection)->set_peer(peer_named("a")));
  ASSERT_TRUE((*connection)->reserve_memory(100));
  auto stream = (*connection)->open_stream(Direction::kInbound);
  (*connection)->end();
  (*connection)->end();
  EXPECT_EQ(manager->snapshot().node.connections(), 0u);
  EXPECT_EQ(manager->snapshot().node.memory_bytes(), 0u);
  EXPECT_EQ(manager->snapshot().node.streams(), 1u);
  EXPECT_EQ((*connection)->open_stream(Direction::kInbound).error().code(), ErrorCode::kClosed);
  EXPECT_EQ((*connection)->reserve_memory(1).error().code(), ErrorCode::kClosed);
  (*connection)->release_memory(100);  // Was given back already.
  manager->check_invariants();
  stream->reset();
  EXPECT_EQ(manager->snapshot().total, Usage{});
}

TEST_F(ManagerTest, AFloodDoesNotLockOutTheAllowList) {
  ASSERT_TRUE(manager->allow(peer_named("friend")));
  ASSERT_TRUE(manager->allow(*Prefix::parse("198.51.100.0/24")));
  std::vector<std::unique_ptr<ConnectionScope>> flood;
  const std::uint64_t most = manager->limits().node.connections_inbound;
  for (std::uint64_t i = 0; i < most; ++i) {  // Proven strangers fill the node.
    auto connection = inbound(at("127.0.0.1"));
    ASSERT_TRUE(connection);
    ASSERT_TRUE((*connection)->set_peer(peer_named("stranger" + std::to_string(i))));
    flood.push_back(std::move(*connection));
  }
  auto known = inbound(at("192.0.2.1"));
  ASSERT_TRUE(known);
  EXPECT_FALSE((*known)->set_peer(peer_named("another stranger")));
  ASSERT_TRUE((*known)->set_peer(peer_named("friend")));
  EXPECT_EQ(manager->snapshot().allowed.connections(), 1u);

  while (auto half_open = inbound(at("127.0.0.1"))) flood.push_back(std::move(*half_open));
  EXPECT_FALSE(inbound(at("127.0.0.1"))) << "and handshakes fill the rest";
  std::vector<std::unique_ptr<ConnectionScope>> listed;
  for (int i = 0; i < 12; ++i) {  // Neither the cap nor the rate of an address holds for them.
    auto connection = inbound(at("198.51.100.9"));
    ASSERT_TRUE(connection) << connection.error().message();
    ASSERT_TRUE((*connection)->set_peer(peer_named("listed" + std::to_string(i))));
    listed.push_back(std::move(*connection));
  }
  manager->check_invariants();
  manager->disallow(*Prefix::parse("198.51.100.0/24"));
  EXPECT_FALSE(inbound(at("198.51.100.9")));
}

TEST_F(ManagerTest, ABannedAddressIsRefusedAtOnceButLoopbackNever) {
  manager->set_banned(
      [](const IpAddress& ip) { return ip == at("198.51.100.9").ip || ip.is_loopback(); });
  const auto refused = inbound(at("198.51.100.9"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kDenied);
  EXPECT_TRUE(inbound(at("198.51.100.10")));
  EXPECT_TRUE(inbound(at("127.0.0.1")));
  EXPECT_TRUE(outbound(at("198.51.100.9"))) << "what is dialled is asked elsewhere";
  EXPECT_EQ(manager->total().connections(), 0u);
}

TEST_F(ManagerTest, ADialToAPeerOfTheAllowListFindsRoom) {
  ASSERT_TRUE(manager->allow(peer_named("friend")));
  std::vector<std::unique_ptr<ConnectionScope>> dials;
  while (auto dial = outbound(at("192.0.2.1"))) dials.push_back(std::move(*dial));
  EXPECT_EQ(dials.size(), 64u);
  EXPECT_FALSE(outbound(at("192.0.2.1"), peer_named("stranger")));
  EXPECT_TRUE(outbound(at("192.0.2.1"), peer_named("friend")));
}

TEST_F(ManagerTest, ProtocolsHaveLimitsForAllAndForOnePeer) {
  manager->limit_protocol("/p", 3, 2);
  std::vector<std::unique_ptr<ConnectionScope>> connections;
  std::vector<std::unique_ptr<StreamScope>> streams;
  const auto open = [&](std::size_t of, Direction direction) -> Result<> {
    WARREN_TRY(auto stream, connections[of]->open_stream(direction));
    WARREN_TRY_VOID(stream->set_protocol("/p"));
    streams.push_back(std::move(stream));
    return {};
  };
  for (int i = 0; i < 2; ++i) {
    auto connection = inbound(at("127.0.0.1"));
    ASSERT_TRUE(connection);
    ASSERT_TRUE((*connection)->set_peer(peer_named("peer" + std::to_string(i))));
    connections.push_back(std::move(*connection));
  }
  EXPECT_TRUE(open(0, Direction::kInbound));
  EXPECT_TRUE(open(0, Direction::kInbound));
  const auto third = open(0, Direction::kInbound);
  ASSERT_FALSE(third);
  EXPECT_THAT(third.error().message(), HasSubstr("2 inbound streams of /p with one peer"));
  EXPECT_TRUE(open(1, Direction::kInbound));
  EXPECT_FALSE(open(1, Direction::kInbound));
  EXPECT_EQ(refused(ScopeKind::kProtocol, Resource::kStreamsInbound), 1u);
  EXPECT_TRUE(open(1, Direction::kOutbound)) << "the limit is on what peers ask for";
  EXPECT_EQ(connections[0]->usage().streams(), 2u) << "what was refused is not held";
  manager->limit_protocol("/p", 4, 2);
  EXPECT_TRUE(open(1, Direction::kInbound)) << "a limit may be changed while streams are open";
  manager->check_invariants();
}

TEST_F(ManagerTest, RefusalsAreSaidOnceAMinuteWithTheirNumber) {
  std::vector<std::unique_ptr<ConnectionScope>> open;
  for (int i = 0; i < 8; ++i) open.push_back(std::move(*inbound(at("192.0.2.7"))));
  for (int i = 0; i < 38; ++i) EXPECT_FALSE(inbound(at("192.0.2.7")));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0], "refused a connection from 192.0.2.7: 8 from one address are the most");
  now += 61s;
  EXPECT_FALSE(inbound(at("192.0.2.7")));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1], "refused 38 connections from 192.0.2.7: 8 from one address are the most");
  EXPECT_EQ(refused(ScopeKind::kSource, Resource::kConnectionsInbound), 39u);
  EXPECT_EQ(manager->snapshot().refused_total(), 39u);
}

TEST_F(ManagerTest, TheAllowListIsBounded) {
  limits::Resources limits;
  limits.allowed_entries_max = 2;
  make(limits);
  EXPECT_TRUE(manager->allow(peer_named("a")));
  EXPECT_TRUE(manager->allow(peer_named("b")));
  EXPECT_TRUE(manager->allow(peer_named("a"))) << "it stands there already";
  EXPECT_FALSE(manager->allow(peer_named("c")));
}

TEST(Limits, PartsOfTheBudgetAreTheBudget) {
  for (const std::uint64_t mib : {64u, 100u, 256u, 1024u}) {
    const limits::Resources limits(mib * kMiB, 1024);
    EXPECT_LE(
        limits.node.memory_bytes + limits.transient.memory_bytes + limits.allowed.memory_bytes,
        mib * kMiB);
    EXPECT_LE(limits.connection.memory_bytes, limits.peer.memory_bytes);
    EXPECT_LE(limits.peer.memory_bytes, limits.node.memory_bytes);
    EXPECT_LE(limits.stream.memory_bytes, limits.connection.memory_bytes);
    EXPECT_LE(limits.node.descriptors + limits.transient.descriptors + limits.allowed.descriptors,
              1024u);
  }
  EXPECT_EQ(limits::Resources::memory_for(100 * kMiB), 64 * kMiB);
  EXPECT_EQ(limits::Resources::memory_for(1024 * kMiB), 256 * kMiB);
  EXPECT_EQ(limits::Resources::memory_for(64 * 1024 * kMiB), 1024 * kMiB);
}

RC_GTEST_PROP(ManagerProperty, SumsAreRightAfterAnyOperationsAndZeroInTheEnd, ()) {
  const auto size = *rc::gen::inRange<std::size_t>(0, 800);
  const auto input =
      *rc::gen::container<std::vector<std::uint8_t>>(size, rc::gen::arbitrary<std::uint8_t>());
  resources::testing::Operations(input).run();
}

}  // namespace
}  // namespace warren::resources
