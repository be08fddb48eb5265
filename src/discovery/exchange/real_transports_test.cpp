// Exchange, goodbye and heartbeat over QUIC and TCP on the simulated network: streams that are
// half-closed, refused and dropped as real ones are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "discovery/exchange/exchange_source.hpp"
#include "discovery/exchange/records_for_test.hpp"
#include "protocols/goodbye.hpp"
#include "protocols/heartbeat.hpp"
#include "security/noise/noise_security.hpp"
#include "sim/world.hpp"
#include "transport/quic/quic_transport.hpp"
#include "transport/tcp/tcp_transport.hpp"

namespace warren::discovery {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

struct RealNode final : PeerSink {
  RealNode(sim::World& world, sim::Host host, bool quic)
      : runtime(world.make_runtime(host)),
        key(crypto::PrivateKey::from_seed(Bytes(32, static_cast<std::uint8_t>(host)))),
        id(PeerId::from_public_key(key.public_key().protobuf())),
        address(at({sim::host_v4(host), 4001, 0}, quic)),
        swarm(*runtime, id),
        exchange(swarm, hooks()),
        heartbeat(swarm, {.on_round_trip = [this](const PeerId&,
                                                  Duration rtt) { round_trips.push_back(rtt); },
                          .on_dead = {}}) {
    if (quic) {
      swarm.add_transport(transport::quic::make_quic_transport(*runtime, key).value());
    } else {
      const auto random = [&of = *runtime](MutableBytes out) { of.random_bytes(out); };
      const std::vector<std::string> muxers = {"/yamux/1.0.0"};
      transport::Upgrader::Securities securities;
      securities.push_back(security::noise::make_noise_security(
          std::make_shared<const security::noise::Credentials>(key, muxers, random), random));
      swarm.add_transport(std::make_unique<transport::tcp::TcpTransport>(*runtime, key.public_key(),
                                                                         std::move(securities)));
    }
    EXPECT_TRUE(swarm.listen(at({{}, 4001, 0}, quic)));
    protocols::serve_ping(swarm);
    protocols::serve_goodbye(swarm, [this](const PeerId&, const protocols::Goodbye& goodbye) {
      goodbyes.push_back(goodbye);
    });
    EXPECT_TRUE(exchange.start(*this));
  }
  static Multiaddr at(const Endpoint& endpoint, bool quic) {
    return quic ? Multiaddr::quic(endpoint) : Multiaddr::tcp(endpoint);
  }
  ExchangeHooks hooks() {
    ExchangeHooks all;
    all.candidates = [this] {
      std::vector<ExchangeCandidate> candidates;
      for (const auto& connection : swarm.connections()) {
        candidates.push_back({connection->info().remote_peer, connection->info().outbound});
      }
      return candidates;
    };
    all.wants_peers = [] { return false; };
    all.sample = [this](const PeerId&, const Multiaddr&, std::size_t) { return book; };
    all.report = {};
    return all;
  }
  void peer_found(const PeerHint& hint) override { hints.push_back(hint); }
  void peer_lost(const PeerHint&) override {}

  std::unique_ptr<runtime::Runtime> runtime;
  crypto::PrivateKey key;
  PeerId id;
  Multiaddr address;
  std::vector<std::shared_ptr<const peers::SignedRecord>> book;
  std::vector<PeerHint> hints;
  std::vector<protocols::Goodbye> goodbyes;
  std::vector<Duration> round_trips;
  swarm::Swarm swarm;
  ExchangeSource exchange;
  protocols::Heartbeat heartbeat;
};

class OverRealTransports : public testing::TestWithParam<bool> {
 protected:
  OverRealTransports() {
    world.link = {.latency_min = 5ms, .latency_max = 5ms, .loss = 0.01};
    const auto connected = sim::run(world, a.swarm.connect(b.id, {b.address}, world.now() + 30s));
    EXPECT_TRUE(connected) << world.replay_hint();
  }
  ~OverRealTransports() override {
    for (RealNode* node : {&a, &b}) {
      sim::run(world, node->exchange.stop());
      sim::run(world, node->swarm.close());
      sim::run(world, node->heartbeat.close());
      EXPECT_EQ(node->swarm.stats().streams_inbound, 0u);
      EXPECT_EQ(node->swarm.stats().tasks_failed, 0u);
    }
  }

  sim::World world{sim::seed_from_env(42)};
  RealNode a{world, 1, GetParam()};
  RealNode b{world, 2, GetParam()};
};

TEST_P(OverRealTransports, AFullAnswerComesThrough) {
  for (std::uint32_t n = 100; n < 132; ++n) {
    // Of the link that both are on.
    b.book.push_back(fakes::shared_record(fakes::record(
        n, {Multiaddr::quic({IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(n)), 4001, 0})})));
  }
  world.run_for(30s);
  EXPECT_THAT(a.hints, SizeIs(32)) << world.replay_hint();
  EXPECT_EQ(a.exchange.summary(), "asked 1, heard 32, refused 0");
  EXPECT_EQ(a.exchange.exchange_counters().failed, 0u);
  EXPECT_EQ(b.exchange.exchange_counters().failed, 0u);
  EXPECT_EQ(b.exchange.exchange_counters().served, 1u);
  EXPECT_EQ(b.swarm.stats().streams_inbound, 0u);
}

TEST_P(OverRealTransports, AGoodbyeIsHeardBeforeTheConnectionGoes) {
  world.run_for(1s);
  const protocols::Goodbye full{protocols::GoodbyeReason::kFull, 10min};
  sim::run(world, protocols::say_goodbye_to_all(a.swarm, full,
                                                world.now() + protocols::kGoodbyeToAllTimeMax));
  a.swarm.disconnect(b.id);
  world.run_for(1s);
  EXPECT_THAT(b.goodbyes, ElementsAre(full)) << world.replay_hint();
}

TEST_P(OverRealTransports, TheRoundTripIsToldAndAVanishedPeerGoes) {
  world.run_for(5min);
  ASSERT_FALSE(a.round_trips.empty());
  for (const Duration rtt : a.round_trips) {
    EXPECT_GE(rtt, 10ms);
    EXPECT_LE(rtt, 1s);
  }
  EXPECT_TRUE(a.swarm.is_connected(b.id));
  world.partition({2});
  world.run_for(2min);
  EXPECT_FALSE(a.swarm.is_connected(b.id));
}

INSTANTIATE_TEST_SUITE_P(Each, OverRealTransports, testing::Bool(),
                         [](const auto& info) { return info.param ? "Quic" : "Tcp"; });

}  // namespace
}  // namespace warren::discovery
