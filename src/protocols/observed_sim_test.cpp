// Behind a NAT: what honest peers and liars say of our address, over QUIC on the simulated network.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/varint.hpp"
#include "protocols/identify.hpp"
#include "sim/world.hpp"
#include "transport/quic/quic_transport.hpp"

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

const IpAddress kOutside = IpAddress::v4(203, 0, 113, 7);
const Multiaddr kMapped = Multiaddr::quic({kOutside, 4001, 0});

awaitable<void> answer_with(runtime::Runtime& runtime, ProtocolStream stream, Bytes raw) {
  const auto sent = co_await stream.stream->write(BytesView(raw), runtime.now() + 10s);
  stream.stream->close_write();
  if (sent) co_await stream.stream->flush(runtime.now() + 10s);
}

struct NatNode {
  NatNode(sim::World& world, sim::Host host)
      : runtime(world.make_runtime(host)),
        key(crypto::PrivateKey::from_seed(Bytes(32, static_cast<std::uint8_t>(host)))),
        id(PeerId::from_public_key(key.public_key().protobuf())),
        swarm(*runtime, id),
        identify(swarm, key) {
    swarm.add_transport(transport::quic::make_quic_transport(*runtime, key).value());
    EXPECT_TRUE(swarm.listen(Multiaddr::quic({{}, 4001, 0})));
  }
  /// Says from now on that whoever asks is `seen`.
  void lie(const Multiaddr& seen) {
    const Bytes message = encode_identify({.public_key = key.public_key().protobuf(),
                                           .observed_address = seen,
                                           .agent_version = "liar"});
    Bytes raw;
    append_uvarint(raw, message.size());
    append(raw, message);
    swarm.set_handler(std::string(kIdentifyProtocol), [this, raw](ProtocolStream stream) {
      return answer_with(*runtime, std::move(stream), raw);
    });
  }
  awaitable<void> close() {
    co_await swarm.close();
    co_await identify.close();
  }

  std::unique_ptr<runtime::Runtime> runtime;
  crypto::PrivateKey key;
  PeerId id;
  swarm::Swarm swarm;
  IdentifyService identify;
};

class ObservedSimTest : public testing::Test {
 protected:
  ObservedSimTest() { world.set_outside_address(1, kOutside); }
  ~ObservedSimTest() override {
    sim::run(world, a.close());
    for (const auto& node : others) sim::run(world, node->close());
  }

  /// A node of the Internet in the network <network>.0.0/16, connected to a.
  NatNode& connect_public(int network, const Multiaddr& lie = {}) {
    const auto host = static_cast<sim::Host>(others.size() + 2);
    const IpAddress ip =
        IpAddress::v4(static_cast<std::uint8_t>(network), 1, 1, static_cast<std::uint8_t>(host));
    world.add_address(host, ip);
    NatNode& node = *others.emplace_back(std::make_unique<NatNode>(world, host));
    if (!lie.empty()) node.lie(lie);
    connect(node, ip);
    return node;
  }
  NatNode& connect_lan(const Multiaddr& lie = {}) {
    const auto host = static_cast<sim::Host>(others.size() + 2);
    NatNode& node = *others.emplace_back(std::make_unique<NatNode>(world, host));
    if (!lie.empty()) node.lie(lie);
    connect(node, sim::host_v4(host));
    return node;
  }
  void connect(NatNode& node, const IpAddress& ip) {
    const auto connected = sim::run(
        world, a.swarm.connect(node.id, {Multiaddr::quic({ip, 4001, 0})}, world.now() + 30s));
    ASSERT_TRUE(connected) << connected.error().message() << world.replay_hint();
    world.run_for(2s);
  }
  std::vector<Multiaddr> what_is_known_of_a(NatNode& node) {
    const PeerIdentity* const known = node.identify.find(a.id);
    return known == nullptr ? std::vector<Multiaddr>() : known->listen_addresses;
  }

  sim::World world{sim::seed_from_env(42)};
  NatNode a{world, 1};
  std::vector<std::unique_ptr<NatNode>> others;
};

TEST_F(ObservedSimTest, FourNetworksTeachANodeItsAddressAndItTellsAll) {
  for (const int network : {50, 51, 52}) connect_public(network);
  NatNode& neighbour = connect_lan();
  EXPECT_THAT(a.identify.addresses(), Not(Contains(kMapped)));
  EXPECT_THAT(what_is_known_of_a(*others[0]), testing::IsEmpty()) << "no private ones outside";
  connect_public(53);
  EXPECT_THAT(a.identify.addresses(), Contains(kMapped));
  world.run_for(5s);
  EXPECT_THAT(what_is_known_of_a(*others[0]), ElementsAre(kMapped)) << "pushed";
  EXPECT_THAT(what_is_known_of_a(neighbour),
              ElementsAre(Multiaddr::quic({sim::host_v4(1), 4001, 0}), kMapped));
  EXPECT_EQ(a.identify.failures(), 0u);
  // It holds while the peers are there, and for a while after them.
  world.run_for(2h);
  EXPECT_THAT(a.identify.addresses(), Contains(kMapped));
  for (const auto& node : others) a.swarm.disconnect(node->id);
  world.run_for(20s);
  EXPECT_THAT(a.identify.addresses(), Contains(kMapped));
  world.run_for(81min);
  EXPECT_THAT(a.identify.addresses(), Not(Contains(kMapped)));
}

TEST_F(ObservedSimTest, LiarsAreNotBelieved) {
  const auto lie = [](int i) {
    return Multiaddr::quic({IpAddress::v4(198, 51, 100, static_cast<std::uint8_t>(i)), 4001, 0});
  };
  // Many in one network, three that agree in different ones, many that each tell another tale, and
  // a whole LAN.
  for (int i = 0; i < 6; ++i) connect_public(60, lie(1));
  for (const int network : {61, 62}) connect_public(network, lie(1));
  for (int i = 0; i < 8; ++i) connect_public(70 + i, lie(10 + i));
  for (int i = 0; i < 6; ++i) connect_lan(lie(1));
  // A private address, named by the Internet.
  const Multiaddr inside = Multiaddr::quic({IpAddress::v4(192, 168, 66, 6), 4001, 0});
  for (int i = 0; i < 5; ++i) connect_public(90 + i, inside);
  EXPECT_THAT(a.identify.observed().believed(), testing::IsEmpty());
  for (const int network : {50, 51, 52, 53}) connect_public(network);
  EXPECT_THAT(a.identify.observed().believed(), ElementsAre(kMapped));
}

TEST_F(ObservedSimTest, AnAddressThatComesLaterIsPushedToThoseWhomItConcerns) {
  NatNode& outside = connect_public(50);
  NatNode& neighbour = connect_lan();
  const IpAddress added = IpAddress::v4(192, 168, 9, 1);
  world.add_address(1, added);
  std::size_t told_outside = 0;
  outside.identify.on_identified([&](const PeerId&, const PeerIdentity&) { ++told_outside; });
  a.identify.addresses_changed();
  world.run_for(2s);
  EXPECT_THAT(what_is_known_of_a(neighbour), Contains(Multiaddr::quic({added, 4001, 0})));
  EXPECT_EQ(told_outside, 0u) << "nothing has changed for it";
  world.remove_address(1, added);
  a.identify.addresses_changed();
  world.run_for(2s);
  EXPECT_THAT(what_is_known_of_a(neighbour), Not(Contains(Multiaddr::quic({added, 4001, 0}))));
}

}  // namespace
}  // namespace warren::protocols
