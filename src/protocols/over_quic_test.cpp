// The same protocols over QUIC on the simulated network: what a real transport does to streams that
// are refused, half-closed or dropped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/identify.hpp"
#include "protocols/perf.hpp"
#include "protocols/ping.hpp"
#include "sim/world.hpp"
#include "transport/quic/quic_transport.hpp"

namespace warren::protocols {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct QuicNode {
  QuicNode(sim::World& world, sim::Host host)
      : runtime(world.make_runtime(host)),
        key(crypto::PrivateKey::from_seed(Bytes(32, static_cast<std::uint8_t>(host)))),
        id(PeerId::from_public_key(key.public_key().protobuf())),
        address(Multiaddr::quic({sim::host_v4(host), 4001, 0})),
        swarm(*runtime, id),
        identify(swarm, key) {
    swarm.add_transport(transport::quic::make_quic_transport(*runtime, key).value());
    EXPECT_TRUE(swarm.listen(Multiaddr::quic({{}, 4001, 0})));
  }
  awaitable<void> close() {
    co_await swarm.close();
    co_await identify.close();
  }

  std::unique_ptr<runtime::Runtime> runtime;
  crypto::PrivateKey key;
  PeerId id;
  Multiaddr address;
  swarm::Swarm swarm;
  IdentifyService identify;
};

class OverQuic : public testing::Test {
 protected:
  OverQuic() {
    world.link.latency_min = world.link.latency_max = 5ms;
    world.link.loss = 0.01;
    serve_ping(b.swarm);
  }
  ~OverQuic() override {
    for (QuicNode* node : {&a, &b}) {
      sim::run(world, node->close());
      EXPECT_EQ(node->swarm.stats().streams_inbound, 0u);
      EXPECT_EQ(node->swarm.stats().tasks_failed, 0u);
    }
  }
  void connect() {
    const auto connected = sim::run(world, a.swarm.connect(b.id, {b.address}, world.now() + 30s));
    ASSERT_TRUE(connected) << connected.error().message() << world.replay_hint();
    world.run_for(3s);
  }

  sim::World world{sim::seed_from_env(42)};
  QuicNode a{world, 1};
  QuicNode b{world, 2};
};

TEST_F(OverQuic, BothSidesIdentifyAndTellAddressesOfTheLanOnly) {
  connect();
  const PeerIdentity* const known = a.identify.find(b.id);
  ASSERT_NE(known, nullptr) << world.replay_hint();
  EXPECT_TRUE(known->speaks(kPingProtocol));
  EXPECT_TRUE(known->addresses_signed);
  EXPECT_THAT(known->listen_addresses, ElementsAre(b.address)) << "no loopback";
  EXPECT_EQ(known->observed_address, a.address) << "one socket listens and dials";
  ASSERT_NE(b.identify.find(a.id), nullptr);
  serve_perf(b.swarm);
  world.run_for(3s);
  EXPECT_TRUE(a.identify.find(b.id)->speaks(kPerfProtocol));
  EXPECT_EQ(a.identify.failures() + b.identify.failures(), 0u);
}

TEST_F(OverQuic, PingAndPerfWork) {
  serve_perf(b.swarm);
  connect();
  const auto rtt = sim::run(world, ping(a.swarm, b.id, world.now() + 10s));
  ASSERT_TRUE(rtt) << rtt.error().message() << world.replay_hint();
  EXPECT_GE(*rtt, 10ms);
  constexpr std::uint64_t kBytes = 3u << 20;
  const auto result = sim::run(world, run_perf(a.swarm, b.id, kBytes, kBytes, world.now() + 5min));
  ASSERT_TRUE(result) << result.error().message() << world.replay_hint();
  EXPECT_EQ(result->downloaded_bytes, kBytes);
}

TEST_F(OverQuic, AProtocolThatThePeerDoesNotSpeakIsSaidSo) {
  connect();
  for (const std::uint64_t up : {std::uint64_t{1000}, std::uint64_t{100} << 20}) {
    const auto perf = sim::run(world, run_perf(a.swarm, b.id, up, 1, world.now() + 10s));
    ASSERT_FALSE(perf);
    EXPECT_EQ(perf.error().code(), ErrorCode::kUnsupported) << perf.error().message();
    EXPECT_THAT(perf.error().message(), HasSubstr(kPerfProtocol));
  }
  const auto several =
      sim::run(world, a.swarm.open_stream(b.id, {"/test/a", "/test/b"}, world.now() + 10s));
  EXPECT_EQ(several.error().code(), ErrorCode::kUnsupported);
  EXPECT_TRUE(sim::run(world, ping(a.swarm, b.id, world.now() + 10s))) << world.replay_hint();
}

TEST_F(OverQuic, StreamsThatAreDroppedAtOnceGiveTheirPlaceBack) {
  connect();
  for (int i = 0; i < 600; ++i) {
    const auto opened =
        sim::run(world, a.swarm.open_stream(b.id, {std::string(kPingProtocol)}, world.now() + 10s));
    ASSERT_TRUE(opened) << "stream " << i << ": " << opened.error().message()
                        << world.replay_hint();
  }
  world.run_for(10s);
  EXPECT_EQ(b.swarm.stats().streams_inbound, 0u);
  EXPECT_TRUE(sim::run(world, ping(a.swarm, b.id, world.now() + 10s)));
}

TEST_F(OverQuic, AnImpostorIsNamedInTheError) {
  const PeerId other =
      PeerId::from_public_key(crypto::PrivateKey::from_seed(Bytes(32, 99)).public_key().protobuf());
  const auto connected = sim::run(world, a.swarm.connect(other, {b.address}, world.now() + 10s));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), ErrorCode::kIntegrity);
  EXPECT_THAT(connected.error().message(), HasSubstr(other.to_string()));
  EXPECT_THAT(connected.error().message(), HasSubstr(b.id.to_string()));
}

}  // namespace
}  // namespace warren::protocols
