// The table of connections: limits, events, preference, the orderly end. Streams: streams_test.cpp.

#include "swarm/swarm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/world.hpp"
#include "swarm/fakes_for_test.hpp"

namespace warren::swarm {
namespace {

using fakes::address;
using fakes::FakeConnection;
using fakes::FakeTransport;
using fakes::peer;
using testing::ElementsAre;
using testing::HasSubstr;

const Multiaddr kListen = address("/ip4/0.0.0.0/udp/4001/quic-v1");
const Multiaddr kRemote = address("/ip4/10.0.0.9/udp/4001/quic-v1");

class SwarmTest : public testing::Test {
 protected:
  ~SwarmTest() override {
    if (swarm) close();
  }

  void start(limits::Connections limits = {}) {
    swarm = std::make_unique<Swarm>(*runtime, self, SwarmConfig{.limits = limits});
    auto made = std::make_unique<FakeTransport>(*runtime, self);
    transport = made.get();
    swarm->add_transport(std::move(made));
    swarm->on_connection([this](const ConnectionEvent& event) {
      const bool up = event.kind == ConnectionEvent::Kind::kConnected;
      log.push_back(name_of(event.connection) + (up ? " up" : " down") +
                    (event.first_or_last ? " alone" : ""));
      if (on_event) on_event();
    });
    ASSERT_TRUE(swarm->listen(kListen));
  }

  void close() {
    sim::run(world, swarm->close());
    EXPECT_EQ(swarm->stats().connections, 0u);
    EXPECT_EQ(swarm->stats().tasks_failed, 0u);
    swarm.reset();
  }

  std::shared_ptr<FakeConnection> come_in(std::uint8_t from, std::string name = "x") {
    auto connection = std::make_shared<FakeConnection>(*runtime, self, peer(from), kRemote, false);
    names[connection.get()] = std::move(name);
    transport->listener->push(connection);
    world.run_for(1ms);
    return connection;
  }

  std::shared_ptr<Connection> go_out(std::uint8_t to) {
    transport->plans[kRemote] = fakes::Plan{.answers = peer(to)};
    const auto connected = sim::run(world, swarm->connect(kRemote, kNever));
    EXPECT_TRUE(connected);
    return connected.value_or(nullptr);
  }

  std::string name_of(const std::shared_ptr<Connection>& connection) {
    const auto found = names.find(connection.get());
    return found == names.end() ? "?" : found->second;
  }

  sim::World world{sim::seed_from_env(42)};
  std::unique_ptr<runtime::Runtime> runtime = world.make_runtime(1);
  PeerId self = peer(5);
  FakeTransport* transport = nullptr;
  std::unique_ptr<Swarm> swarm;
  std::map<const Connection*, std::string> names;
  std::vector<std::string> log;
  std::function<void()> on_event;
};

TEST_F(SwarmTest, TellsOfTheFirstConnectionToAPeerAndOfTheLastThatWent) {
  start();
  const auto a = come_in(1, "a");
  const auto b = come_in(1, "b");
  EXPECT_TRUE(swarm->is_connected(peer(1)));
  a->close({}, "");
  world.run_for(1ms);
  EXPECT_TRUE(swarm->is_connected(peer(1)));
  b->close({}, "");
  EXPECT_FALSE(swarm->is_connected(peer(1))) << "even before its end was noticed";
  world.run_for(1ms);
  EXPECT_THAT(log, ElementsAre("a up alone", "b up", "a down", "b down alone"));
}

TEST_F(SwarmTest, ListenersAreNeverCalledFromInsideACallIntoTheSwarm) {
  start();
  come_in(1, "a");
  log.clear();
  bool inside = false;
  on_event = [&] { EXPECT_FALSE(inside); };
  inside = true;
  EXPECT_EQ(swarm->disconnect(peer(1)), 1u);
  EXPECT_EQ(swarm->disconnect(peer(1)), 0u);
  inside = false;
  EXPECT_TRUE(log.empty());
  world.run_for(1ms);
  EXPECT_THAT(log, ElementsAre("a down alone"));
}

TEST_F(SwarmTest, AListenerMayActOnTheSwarm) {
  start();
  on_event = [&] { swarm->disconnect(peer(1)); };
  come_in(1, "a");
  EXPECT_THAT(log, ElementsAre("a up alone", "a down alone"));
}

TEST_F(SwarmTest, ClosesInboundConnectionsBeyondTheLimit) {
  start({.connections_max = 2});
  come_in(1);
  come_in(2);
  const auto third = come_in(3);
  EXPECT_TRUE(third->closed());
  EXPECT_EQ(third->close_code, CloseCode::kResourceLimit);
  EXPECT_EQ(swarm->connections().size(), 2u);
  EXPECT_EQ(swarm->stats().connections_refused, 1u);
  swarm->disconnect(peer(1));
  EXPECT_FALSE(come_in(4)->closed()) << "there is room again";
}

TEST_F(SwarmTest, SaysThatADialFailedAtTheLimitOfConnections) {
  start({.connections_max = 1});
  come_in(1);
  transport->plans[kRemote] = fakes::Plan{.answers = peer(2)};
  const auto connected = sim::run(world, swarm->connect(kRemote, kNever));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), ErrorCode::kLimited);
  EXPECT_THAT(connected.error().message(), HasSubstr("1 connections"));
  EXPECT_TRUE(transport->made.at(0)->closed());
}

TEST_F(SwarmTest, TheGateKeepsOutWhoIsNotWantedInBothDirections) {
  start();
  swarm->set_gate([](const PeerId& who, const Multiaddr&, bool) -> Result<> {
    if (who == peer(3)) return fail(ErrorCode::kDenied, "it is banned");
    return {};
  });
  EXPECT_FALSE(come_in(2)->closed());
  const auto unwanted = come_in(3);
  EXPECT_TRUE(unwanted->closed());
  EXPECT_EQ(unwanted->close_code, CloseCode::kGated);
  EXPECT_FALSE(swarm->is_connected(peer(3)));
  // Not even dialled when it is known whom the address leads to; closed when that is found out.
  const auto known = sim::run(world, swarm->connect(peer(3), {kRemote}, kNever));
  ASSERT_FALSE(known);
  EXPECT_EQ(known.error().code(), ErrorCode::kDenied);
  EXPECT_TRUE(transport->made.empty());
  transport->plans[kRemote] = fakes::Plan{.answers = peer(3)};
  const auto found_out = sim::run(world, swarm->connect(kRemote, kNever));
  ASSERT_FALSE(found_out);
  EXPECT_EQ(found_out.error().code(), ErrorCode::kDenied);
  EXPECT_TRUE(transport->made.at(0)->closed());
}

TEST_F(SwarmTest, ReplacesTheOldestConnectionOfAPeerThatKeepsComing) {
  start({.connections_per_peer_max = 2});
  const auto a = come_in(1);
  const auto b = come_in(1);
  const auto c = come_in(1);
  EXPECT_TRUE(a->closed());
  EXPECT_EQ(a->close_code, CloseCode::kSupplanted);
  EXPECT_FALSE(b->closed() || c->closed());
  EXPECT_EQ(swarm->connections_to(peer(1)).size(), 2u);
}

TEST_F(SwarmTest, RefusesAConnectionFromItself) {
  start();
  EXPECT_TRUE(come_in(5)->closed());
  EXPECT_TRUE(swarm->connections().empty());
}

TEST_F(SwarmTest, PrefersTheNewestConnection) {
  start();
  const auto older = come_in(1);
  world.run_for(10s);
  const auto newer = come_in(1);
  EXPECT_THAT(swarm->connections_to(peer(1)), ElementsAre(newer, older));
}

TEST_F(SwarmTest, OfASimultaneousDialBothSidesPreferTheOneOfTheSmallerPeer) {
  start();
  // This node is 5: against 1 the inbound connection is preferred, against 9 the outbound one.
  for (const std::uint8_t other : {std::uint8_t{1}, std::uint8_t{9}}) {
    const auto out = go_out(other);
    const std::shared_ptr<Connection> in = come_in(other);
    const auto preferred = other < 5 ? in : out;
    EXPECT_EQ(swarm->connections_to(peer(other)).front(), preferred);
    EXPECT_EQ(swarm->connections_to(peer(other)).size(), 2u);
    const auto again = sim::run(world, swarm->connect(peer(other), {}, kNever));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, preferred);
  }
}

TEST_F(SwarmTest, AConnectionThatComesInWhileEveryDialFailsWillDo) {
  start();
  transport->plans[kRemote] =
      fakes::Plan{.after = 1s, .error = Error(ErrorCode::kUnreachable, "nobody")};
  auto in = std::make_shared<FakeConnection>(*runtime, self, peer(1), kRemote, false);
  world.schedule(world.now() + 500ms, [&] { transport->listener->push(in); });
  const auto connected = sim::run(world, swarm->connect(peer(1), {kRemote}, kNever));
  ASSERT_TRUE(connected);
  EXPECT_EQ(*connected, in);
}

TEST_F(SwarmTest, ClosingEndsEverythingAndDeliversTheLastEvents) {
  start();
  const auto a = come_in(1, "a");
  const auto b = come_in(2, "b");
  log.clear();
  sim::run(world, swarm->close());
  EXPECT_TRUE(a->closed() && b->closed());
  EXPECT_THAT(log, ElementsAre("a down alone", "b down alone"));
  EXPECT_TRUE(transport->closed);
  EXPECT_EQ(swarm->listen(kListen).error().code(), ErrorCode::kClosed);
}

TEST_F(SwarmTest, AddressesOfAllInterfacesStandForAnUnspecifiedOne) {
  start();
  std::vector<std::string> texts;
  for (const Multiaddr& at : swarm->listen_addresses()) texts.push_back(at.to_string());
  EXPECT_THAT(texts, testing::UnorderedElementsAre(
                         "/ip4/127.0.0.1/udp/4001/quic-v1",
                         "/ip4/" + sim::host_v4(1).to_string() + "/udp/4001/quic-v1"));
  ASSERT_TRUE(swarm->listen(address("/ip6/::/tcp/7")));
  texts.clear();
  for (const Multiaddr& at : swarm->listen_addresses()) texts.push_back(at.to_string());
  EXPECT_THAT(texts, testing::Contains("/ip6/" + sim::host_v6(1).to_string() + "/tcp/7"));
  EXPECT_THAT(texts, testing::Not(testing::Contains(HasSubstr("fe80"))));
}

TEST_F(SwarmTest, ListensNoMoreAtAnAddressThatIsGivenUp) {
  start();
  const auto connection = come_in(1);
  world.run_for(1ms);
  std::size_t told = 0;
  swarm->on_protocols_changed([&] { ++told; });
  EXPECT_EQ(swarm->unlisten(kRemote).error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(swarm->unlisten(kListen));
  EXPECT_TRUE(swarm->listen_addresses().empty());
  world.run_for(1ms);
  EXPECT_EQ(told, 1u);
  EXPECT_FALSE(connection->closed()) << "what is there goes on";
  EXPECT_EQ(swarm->unlisten(kListen).error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(swarm->listen(kListen));
  EXPECT_FALSE(come_in(2)->closed());
}

TEST_F(SwarmTest, OneAddressOfTheInternetTakesOnlySoManyConnections) {
  start();
  const auto from = [&](std::uint8_t who, std::string_view at) {
    auto connection =
        std::make_shared<FakeConnection>(*runtime, self, peer(who), address(at), false);
    transport->listener->push(connection);
    world.run_for(1ms);
    return connection;
  };
  for (std::uint8_t i = 10; i < 18; ++i) {
    EXPECT_FALSE(from(i, "/ip4/192.0.2.7/udp/1/quic-v1")->closed());
  }
  const auto ninth = from(18, "/ip4/192.0.2.7/udp/1/quic-v1");
  EXPECT_TRUE(ninth->closed());
  EXPECT_EQ(ninth->close_code, CloseCode::kResourceLimit);
  EXPECT_FALSE(from(19, "/ip4/192.0.2.8/udp/1/quic-v1")->closed());
  swarm->disconnect(peer(10));
  EXPECT_FALSE(from(20, "/ip4/192.0.2.7/udp/1/quic-v1")->closed());
}

TEST_F(SwarmTest, SaysWhenNoTransportListensOnAnAddress) {
  start();
  const auto bound = swarm->listen(address("/dns4/example.org/tcp/1"));
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code(), ErrorCode::kUnsupported);
  EXPECT_FALSE(bound.error().hint().empty());
}

TEST_F(SwarmTest, TellsOnceOfManyChangesOfProtocolsAndAddresses) {
  start();
  world.run_for(1ms);
  std::size_t told = 0;
  swarm->on_protocols_changed([&] { ++told; });
  const auto serve = [](ProtocolStream) -> awaitable<void> { co_return; };
  swarm->set_handler("/a", serve);
  swarm->set_handler("/b", serve);
  world.run_for(1ms);
  EXPECT_EQ(told, 1u);
  swarm->set_handler("/a", serve);
  world.run_for(1ms);
  EXPECT_EQ(told, 1u) << "a replaced handler changes nothing for others";
  swarm->remove_handler("/a");
  swarm->remove_handler("/a");
  world.run_for(1ms);
  EXPECT_EQ(told, 2u);
  EXPECT_THAT(swarm->protocols(), ElementsAre("/b"));
  ASSERT_TRUE(swarm->listen(address("/ip4/127.0.0.1/udp/2/quic-v1")));
  world.run_for(1ms);
  EXPECT_EQ(told, 3u);
}

}  // namespace
}  // namespace warren::swarm
