#include "swarm/dialer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "runtime/deadline.hpp"
#include "sim/world.hpp"
#include "swarm/fakes_for_test.hpp"

namespace warren::swarm {
namespace {

using fakes::address;
using fakes::FakeTransport;
using fakes::Plan;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

const Multiaddr kLan = address("/ip4/192.168.1.2/udp/4001/quic-v1");
const Multiaddr kLanTcp = address("/ip4/192.168.1.2/tcp/4001");
const Multiaddr kHere = address("/ip4/127.0.0.1/udp/4001/quic-v1");
const Multiaddr kWan = address("/ip4/203.0.113.1/udp/4001/quic-v1");

Error refused() { return {ErrorCode::kUnreachable, "nobody listens there"}; }

using Connected = Result<std::shared_ptr<Connection>>;

class DialerTest : public testing::Test {
 protected:
  DialerTest() { make_swarm({}); }
  ~DialerTest() override {
    sim::run(world, swarm->close());
    EXPECT_TRUE(transport->closed);
    EXPECT_EQ(swarm->stats().dials, 0u);
    EXPECT_EQ(swarm->stats().tasks_failed, 0u);
  }

  void make_swarm(SwarmConfig config) {
    if (swarm) sim::run(world, swarm->close());
    swarm = std::make_unique<Swarm>(*runtime, self, config);
    auto made = std::make_unique<FakeTransport>(*runtime, self);
    transport = made.get();
    swarm->add_transport(std::move(made));
  }

  Connected connect(std::vector<Multiaddr> addresses, Duration time = 60s) {
    return sim::run(world, swarm->connect(other, std::move(addresses), world.now() + time));
  }

  sim::World world{sim::seed_from_env(42)};
  std::unique_ptr<runtime::Runtime> runtime = world.make_runtime(1);
  PeerId self = fakes::peer(1);
  PeerId other = fakes::peer(2);
  FakeTransport* transport = nullptr;
  std::unique_ptr<Swarm> swarm;
};

TEST_F(DialerTest, StartsAddressesInOrderOfRankWithHeadStarts) {
  make_swarm({.dial_stagger_private = 30ms, .dial_stagger_public = 250ms});
  const Multiaddr wan6 = address("/ip6/2001:db8::1/udp/4001/quic-v1");
  transport->plans[kWan] = Plan{.after = 10ms};
  const Connected connected = connect({kWan, wan6, kHere, kLanTcp, kLan});
  ASSERT_TRUE(connected) << connected.error().message();
  EXPECT_EQ((*connected)->info().remote_address, kWan);
  EXPECT_THAT(transport->dialed,
              ElementsAre(Pair(0ms, kLan.to_string()), Pair(30ms, kHere.to_string()),
                          Pair(30ms, kLanTcp.to_string()), Pair(30ms, wan6.to_string()),
                          Pair(280ms, kWan.to_string())));
  world.run_for(1ms);
  EXPECT_EQ(transport->cancelled, 4u) << "the losers are given up";
}

TEST_F(DialerTest, DoesNotTryTheNextWhileTheBestMayStillAnswerWithinItsHeadStart) {
  transport->plans[kLan] = Plan{.after = 20ms};
  const Connected connected = connect({kHere, kLan, kWan});
  ASSERT_TRUE(connected);
  EXPECT_THAT(transport->dialed, ElementsAre(Pair(0ms, kLan.to_string())));
}

TEST_F(DialerTest, TriesTheNextAtOnceAfterAFailure) {
  transport->plans[kLan] = Plan{.after = 5ms, .error = refused()};
  transport->plans[kWan] = Plan{.after = 40ms};
  const Connected connected = connect({kLan, kWan});
  ASSERT_TRUE(connected);
  EXPECT_THAT(transport->dialed,
              ElementsAre(Pair(0ms, kLan.to_string()), Pair(5ms, kWan.to_string())));
}

TEST_F(DialerTest, KeepsTheFirstGoodOneAlone) {
  transport->plans[kLan] = Plan{.after = 100ms};
  transport->plans[kHere] = Plan{.after = 50ms};
  const Connected connected = connect({kLan, kHere});
  ASSERT_TRUE(connected);
  EXPECT_EQ((*connected)->info().remote_address, kHere);
  world.run_for(1s);
  EXPECT_EQ(swarm->connections().size(), 1u);
  EXPECT_FALSE((*connected)->closed());
}

TEST_F(DialerTest, TwoThatAnswerAtTheSameMomentLeaveOne) {
  transport->plans[kLan] = Plan{.after = 60ms};
  transport->plans[kLanTcp] = Plan{.after = 30ms};
  ASSERT_TRUE(connect({kLan, kLanTcp}));
  world.run_for(1s);
  std::size_t open = 0;
  for (const auto& made : transport->made) open += made->closed() ? 0 : 1;
  EXPECT_EQ(open, 1u);
  EXPECT_EQ(swarm->connections().size(), 1u);
}

TEST_F(DialerTest, TellsTheMostTellingOfAllFailuresAndNamesEach) {
  transport->plans[kLan] = Plan{.after = 1ms, .error = refused()};
  transport->plans[kHere] =
      Plan{.after = 1ms, .error = Error(ErrorCode::kIntegrity, "somebody else answered")};
  const Connected connected = connect({kLan, kHere, kWan, address("/memory/7")});
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), ErrorCode::kIntegrity);
  EXPECT_THAT(connected.error().message(), HasSubstr(other.to_string()));
  EXPECT_THAT(connected.error().message(), HasSubstr("192.168.1.2"));
  EXPECT_THAT(connected.error().message(), HasSubstr("nobody listens there"));
  EXPECT_THAT(connected.error().message(), HasSubstr("somebody else answered"));
  EXPECT_THAT(connected.error().message(), HasSubstr("no answer"));
  EXPECT_THAT(connected.error().message(), HasSubstr("no transport here"));
  EXPECT_FALSE(connected.error().hint().empty());
}

TEST_F(DialerTest, SaysWhenNoAddressIsKnownOrNoneCanBeDialled) {
  EXPECT_EQ(connect({}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(connect({address("/memory/7")}).error().code(), ErrorCode::kUnsupported);
  const Multiaddr elsewhere = kLan.with_peer(fakes::peer(9));
  const Connected connected = connect({elsewhere});
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().message(), HasSubstr("leads to " + fakes::peer(9).to_string()));
  EXPECT_TRUE(transport->dialed.empty());
}

TEST_F(DialerTest, RefusesToDialItself) {
  const Connected by_id = sim::run(world, swarm->connect(self, {kLan}, kNever));
  EXPECT_EQ(by_id.error().code(), ErrorCode::kInvalidArgument);
  transport->plans[kLan] = Plan{.answers = self};
  const Connected by_address = sim::run(world, swarm->connect(kLan, kNever));
  EXPECT_EQ(by_address.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(swarm->connections().empty());
  EXPECT_TRUE(transport->made.at(0)->closed());
}

TEST_F(DialerTest, AnAddressWithoutAPeerTakesWhoeverAnswers) {
  transport->plans[kLan] = Plan{.after = 1ms, .answers = fakes::peer(7)};
  const Connected connected = sim::run(world, swarm->connect(kLan, kNever));
  ASSERT_TRUE(connected);
  EXPECT_TRUE(swarm->is_connected(fakes::peer(7)));
}

awaitable<std::pair<Connected, Connected>> both(awaitable<Connected> a, awaitable<Connected> b) {
  using namespace boost::asio::experimental::awaitable_operators;
  auto together =
      runtime::errors_as_values(std::move(a)) && runtime::errors_as_values(std::move(b));
  auto results = co_await std::move(together);
  co_return std::pair(std::get<0>(std::move(results)), std::get<1>(std::move(results)));
}

TEST_F(DialerTest, TwoCallersShareOneAttemptAndItsAddresses) {
  transport->plans[kWan] = Plan{.after = 20ms};
  const auto [first, second] = sim::run(world, both(swarm->connect(other, {kLan}, kNever),
                                                    swarm->connect(other, {kWan, kLan}, kNever)));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_THAT(transport->dialed,
              ElementsAre(Pair(0ms, kLan.to_string()), Pair(30ms, kWan.to_string())));
}

TEST_F(DialerTest, ACallerWhoseTimeIsOverLeavesTheAttemptToTheOther) {
  transport->plans[kLan] = Plan{.after = 500ms};
  const auto [hasty, patient] =
      sim::run(world, both(swarm->connect(other, {kLan}, world.now() + 100ms),
                           swarm->connect(other, {kLan}, kNever)));
  ASSERT_FALSE(hasty);
  EXPECT_EQ(hasty.error().code(), ErrorCode::kTimedOut);
  EXPECT_THAT(hasty.error().message(), HasSubstr("192.168.1.2"));
  EXPECT_TRUE(patient);
}

TEST_F(DialerTest, AnAttemptThatNobodyWaitsForIsGivenUp) {
  EXPECT_EQ(connect({kLan, kWan}, 100ms).error().code(), ErrorCode::kTimedOut);
  world.run_for(1ms);
  EXPECT_EQ(transport->cancelled, 2u);
  EXPECT_EQ(swarm->stats().dials, 0u);
}

TEST_F(DialerTest, ACancelledCallerGivesItUpToo) {
  const auto connected = sim::run(
      world,
      runtime::with_deadline(*runtime, world.now() + 1s, swarm->connect(other, {kLan}, kNever)));
  EXPECT_EQ(connected.error().code(), ErrorCode::kTimedOut);
  world.run_for(1ms);
  EXPECT_EQ(transport->cancelled, 1u);
}

TEST_F(DialerTest, LeavesAFailedAddressAloneUnlessAskedForItByItself) {
  transport->plans[kLan] = Plan{.after = 1ms, .error = refused()};
  EXPECT_EQ(connect({kLan}).error().code(), ErrorCode::kUnreachable);
  const Connected again = connect({kLan});
  EXPECT_EQ(again.error().code(), ErrorCode::kLimited);
  EXPECT_THAT(again.error().message(), HasSubstr("tried again in"));
  EXPECT_EQ(transport->dialed.size(), 1u);
  const Connected asked = sim::run(world, swarm->connect(kLan.with_peer(other), world.now() + 60s));
  EXPECT_EQ(asked.error().code(), ErrorCode::kUnreachable);
  const Connected insisted =
      sim::run(world, swarm->connect(other, {kLan}, world.now() + 60s, Retry::kTryAll));
  EXPECT_EQ(insisted.error().code(), ErrorCode::kUnreachable);
  EXPECT_EQ(transport->dialed.size(), 3u);
  world.run_for(24s);
  EXPECT_EQ(connect({kLan}).error().code(), ErrorCode::kUnreachable) << "24 s at most";
  EXPECT_EQ(transport->dialed.size(), 4u);
}

TEST_F(DialerTest, TriesAFailedAddressAgainAtOnceWhenThePeerWasHeardFrom) {
  transport->plans[kLan] = Plan{.after = 1ms, .error = refused()};
  EXPECT_FALSE(connect({kLan}));
  transport->plans[kWan] = Plan{.after = 1ms};
  ASSERT_TRUE(connect({kWan}));
  swarm->disconnect(other);
  transport->plans[kLan] = Plan{.after = 1ms};
  EXPECT_TRUE(connect({kLan}));
}

TEST_F(DialerTest, TriesOnlySoManyAddressesOfOnePeerAtOnce) {
  make_swarm({.dials_per_peer_max = 2});
  EXPECT_FALSE(connect({kLan, kLanTcp, kHere, kWan}));
  EXPECT_THAT(transport->dialed,
              ElementsAre(Pair(0ms, kLan.to_string()), Pair(30ms, kHere.to_string()),
                          Pair(5000ms, kLanTcp.to_string()), Pair(5030ms, kWan.to_string())));
}

TEST_F(DialerTest, RefusesMoreDialsThanTheLimit) {
  make_swarm({.limits = {.dials_max = 1}});
  const auto [first, second] =
      sim::run(world, both(swarm->connect(other, {kLan}, world.now() + 1s),
                           swarm->connect(fakes::peer(3), {kLan}, world.now() + 1s)));
  EXPECT_EQ(first.error().code(), ErrorCode::kTimedOut);
  EXPECT_EQ(second.error().code(), ErrorCode::kLimited);
}

TEST_F(DialerTest, WaitsForRoomBelowTheLimitOfAllDials) {
  make_swarm({.limits = {.dials_max = 2}});
  transport->plans[kWan] = Plan{.after = 1ms};
  const auto [first, second] =
      sim::run(world, both(swarm->connect(other, {kLan, kLanTcp}, world.now() + 1s),
                           swarm->connect(fakes::peer(3), {kWan}, world.now() + 2s)));
  EXPECT_EQ(first.error().code(), ErrorCode::kTimedOut);
  ASSERT_TRUE(second) << second.error().message();
}

TEST_F(DialerTest, ADeadFirstAddressBringsTheOthersForwardByAsMuch) {
  const Multiaddr wan6 = address("/ip6/2001:db8::1/udp/4001/quic-v1");
  const Multiaddr wan_tcp = address("/ip4/203.0.113.1/tcp/4001");
  transport->plans[wan6] = Plan{.after = 10ms, .error = refused()};
  transport->plans[kWan] = Plan{.after = 1s};
  transport->plans[wan_tcp] = Plan{.after = 1s};
  ASSERT_TRUE(connect({wan6, kWan, wan_tcp, address("/ip4/203.0.113.1/tcp/4001/ws")}));
  EXPECT_THAT(
      transport->dialed,
      ElementsAre(Pair(0ms, wan6.to_string()), Pair(10ms, kWan.to_string()),
                  Pair(10ms, wan_tcp.to_string()), Pair(260ms, "/ip4/203.0.113.1/tcp/4001/ws")));
}

TEST_F(DialerTest, WhenUdpIsBlockedTcpAnswersSoonAfterItsHeadStart) {
  transport->plans[kLanTcp] = Plan{.after = 4ms};
  const TimePoint start = world.now();
  const Connected connected = connect({kLanTcp, kLan});
  ASSERT_TRUE(connected);
  EXPECT_EQ((*connected)->info().remote_address, kLanTcp);
  EXPECT_EQ(world.now() - start, 34ms);
}

TEST_F(DialerTest, AConnectionThatCannotBeKeptLetsTheOthersGoOn) {
  // Loopback leads to this node itself.
  transport->plans[kHere] = Plan{.after = 1ms, .answers = self};
  world.names["node.example"] = {
      .addresses = {IpAddress::v4(127, 0, 0, 1), IpAddress::v4(192, 168, 1, 2)}};
  transport->plans[kLan] = Plan{.after = 50ms, .answers = other};
  const Connected connected =
      sim::run(world, swarm->connect(address("/dns4/node.example/udp/4001/quic-v1"), kNever));
  ASSERT_TRUE(connected) << connected.error().message();
  EXPECT_TRUE(swarm->is_connected(other));
}

// ----------------------------------------------------------------------------------- names

TEST_F(DialerTest, NamesAreResolvedAndTheirAddressesRanked) {
  const IpAddress v6 = *IpAddress::parse("2001:db8::1");
  world.names["node.example"] = {.addresses = {IpAddress::v4(203, 0, 113, 1), v6}, .delay = 7ms};
  transport->plans[kWan] = Plan{.after = 10ms};
  const Connected connected = connect(
      {address("/dns/node.example/udp/4001/quic-v1"), address("/dns4/node.example/tcp/4001")});
  ASSERT_TRUE(connected) << connected.error().message();
  EXPECT_THAT(transport->dialed,
              ElementsAre(Pair(7ms, "/ip6/2001:db8::1/udp/4001/quic-v1"),
                          Pair(257ms, kWan.to_string()), Pair(257ms, "/ip4/203.0.113.1/tcp/4001")));
}

TEST_F(DialerTest, AnAddressNeedNotWaitForANameBesideIt) {
  world.names["slow.example"] = {.addresses = {IpAddress::v4(203, 0, 113, 1)}, .delay = 50ms};
  transport->plans[kWan] = Plan{.after = 5ms};
  const Connected connected = connect({address("/dns4/slow.example/udp/4001/quic-v1"), kLan});
  ASSERT_TRUE(connected) << connected.error().message();
  EXPECT_THAT(transport->dialed,
              ElementsAre(Pair(0ms, kLan.to_string()), Pair(50ms, kWan.to_string())))
      << "an address that comes late joins the attempt";
}

TEST_F(DialerTest, ANameThatIsNotResolvedIsNamedInTheError) {
  world.names["silent.example"] = {.silent = true};
  world.names["broken.example"] = {.error = ErrorCode::kUnreachable};
  const Multiaddr nowhere = address("/dns4/nowhere.example/udp/1/quic-v1");
  const Connected missing = connect({nowhere});
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("nowhere.example: no such name"));
  const Connected broken = connect(
      {nowhere, address("/dnsaddr/silent.example"), address("/dns4/broken.example/tcp/1")}, 3s);
  EXPECT_EQ(broken.error().code(), ErrorCode::kUnreachable);
  EXPECT_THAT(broken.error().message(), HasSubstr("broken.example"));
  world.names["_dnsaddr.silent.example"] = {.silent = true};
  const TimePoint start = world.now();
  const Connected silent = connect({address("/dnsaddr/silent.example")}, 3s);
  EXPECT_EQ(silent.error().code(), ErrorCode::kTimedOut);
  EXPECT_THAT(silent.error().message(), HasSubstr("/dnsaddr/silent.example"));
  EXPECT_EQ(world.now() - start, 3s) << "the caller's deadline holds for the name too";
  EXPECT_TRUE(transport->dialed.empty());
}

TEST_F(DialerTest, OfADnsaddrOnlyTheAddressesOfThePeerAreDialled) {
  world.names["_dnsaddr.boot.example"] = {
      .texts = {"dnsaddr=" + kWan.with_peer(other).to_string(),
                "dnsaddr=" + kLan.with_peer(fakes::peer(9)).to_string(), "v=spf1 -all"}};
  transport->plans[kWan] = Plan{.after = 1ms};
  const Connected connected = connect({address("/dnsaddr/boot.example").with_peer(other)});
  ASSERT_TRUE(connected) << connected.error().message();
  EXPECT_THAT(transport->dialed, ElementsAre(Pair(5ms, kWan.to_string())));
}

TEST_F(DialerTest, OfADnsaddrOfManyPeersWhoeverAnswersFirstMustBeTheOneItNames) {
  world.names["_dnsaddr.boot.example"] = {
      .texts = {"dnsaddr=" + kWan.with_peer(other).to_string(),
                "dnsaddr=" + kLan.with_peer(fakes::peer(9)).to_string()}};
  transport->plans[kLan] = Plan{.after = 1ms, .answers = fakes::peer(4)};
  const Connected connected =
      sim::run(world, swarm->connect(address("/dnsaddr/boot.example"), world.now() + 10s));
  ASSERT_TRUE(connected);
  EXPECT_EQ((*connected)->info().remote_peer, fakes::peer(9)) << "asked for by the transport";
}

TEST_F(DialerTest, AnAttemptGivenUpForgetsItsLookups) {
  world.names["silent.example"] = {.silent = true};
  EXPECT_FALSE(connect({address("/dns4/silent.example/tcp/1")}, 100ms));
  world.run_for(1ms);
  EXPECT_EQ(swarm->stats().dials, 0u);
}

awaitable<void> close_after(runtime::Runtime& runtime, Swarm& swarm, Duration time) {
  const auto slept = co_await runtime.sleep_for(time);
  if (slept) co_await swarm.close();
}

awaitable<Connected> connect_while_closing(runtime::Runtime& runtime, Swarm& swarm, PeerId to) {
  using namespace boost::asio::experimental::awaitable_operators;
  auto together = runtime::errors_as_values(swarm.connect(to, {kLan}, kNever)) &&
                  runtime::errors_as_values(close_after(runtime, swarm, 10ms));
  co_return co_await std::move(together);
}

TEST_F(DialerTest, ClosingTheSwarmEndsADialAndLaterOnesAtOnce) {
  const TimePoint start = world.now();
  const Connected connected = sim::run(world, connect_while_closing(*runtime, *swarm, other));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), ErrorCode::kClosed);
  EXPECT_EQ(transport->cancelled, 1u);
  EXPECT_EQ(connect({kLan}).error().code(), ErrorCode::kClosed);
  EXPECT_LT(world.now() - start, 1s);
}

}  // namespace
}  // namespace warren::swarm
