// Identify between whole nodes, and with a peer that says what it should not.

#include "protocols/identify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/varint.hpp"
#include "crypto/foreign_identity_for_test.hpp"
#include "proto/envelope.pb.h"
#include "proto/peer_record.pb.h"
#include "protocols/ping.hpp"
#include "swarm/nodes_for_test.hpp"
#include "transport/frame_io.hpp"
#include "wire/envelope.hpp"
#include "wire/message.hpp"
#include "wire/peer_record.hpp"

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;
using swarm::fakes::Network;
using swarm::fakes::Node;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct IdentifyingNode : Node {
  IdentifyingNode(Network& network, sim::Host host)
      : Node(network, host),
        identify(*swarm, key, {.agent_version = "warren/" + std::to_string(host) + ".0"}) {}
  IdentifyService identify;
};

class IdentifyTest : public testing::Test {
 protected:
  ~IdentifyTest() override {
    for (IdentifyingNode* node : {&a, &b}) {
      sim::run(world, node->swarm->close());
      sim::run(world, node->identify.close());
      EXPECT_EQ(node->swarm->stats().tasks_failed, 0u);
    }
  }

  void connect() {
    ASSERT_TRUE(sim::run(world, a.swarm->connect(b.address.with_peer(b.id), kNever)));
    world.run_for(1s);
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  IdentifyingNode a{network, 1};
  IdentifyingNode b{network, 2};
};

TEST_F(IdentifyTest, BothSidesLearnWhoTheOtherIs) {
  serve_ping(*b.swarm);
  connect();
  const PeerIdentity* const known = a.identify.find(b.id);
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->agent_version, "warren/2.0");
  EXPECT_EQ(known->protocol_version, "ipfs/0.1.0");
  EXPECT_THAT(known->protocols,
              ElementsAre(kIdentifyProtocol, kIdentifyPushProtocol, kPingProtocol));
  EXPECT_THAT(known->listen_addresses, ElementsAre(b.address));
  EXPECT_TRUE(known->addresses_signed);
  EXPECT_GT(known->record_sequence, 0u);
  ASSERT_TRUE(known->observed_address);
  EXPECT_EQ(*known->observed_address, b.swarm->connections_to(a.id).front()->info().remote_address);
  const PeerIdentity* const back = b.identify.find(a.id);
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->agent_version, "warren/1.0");
  EXPECT_EQ(a.identify.failures() + b.identify.failures(), 0u);
}

TEST_F(IdentifyTest, TakesOneRoundTrip) {
  const TimePoint start = world.now();
  TimePoint at{};
  a.identify.on_identified([&](const PeerId&, const PeerIdentity&) { at = world.now(); });
  const auto connected = sim::run(world, a.swarm->connect(b.address, kNever));
  ASSERT_TRUE(connected);
  const TimePoint up = world.now();
  world.run_for(1s);
  EXPECT_GT(at, start);
  EXPECT_EQ(at - up, 20ms);
}

TEST_F(IdentifyTest, AHandlerAddedLaterIsPushed) {
  connect();
  ASSERT_FALSE(a.identify.find(b.id)->speaks(kPingProtocol));
  const std::uint64_t before = a.identify.find(b.id)->record_sequence;
  std::size_t told = 0;
  bool speaks_ping = false;
  a.identify.on_identified([&](const PeerId& peer, const PeerIdentity& identity) {
    ++told;
    EXPECT_EQ(peer, b.id);
    speaks_ping = identity.speaks(kPingProtocol);
  });
  serve_ping(*b.swarm);
  b.swarm->set_handler("/test/more", [](ProtocolStream) -> awaitable<void> { co_return; });
  world.run_for(1s);
  EXPECT_EQ(told, 1u) << "two changes at once are one push";
  EXPECT_TRUE(speaks_ping);
  EXPECT_TRUE(a.identify.find(b.id)->speaks("/test/more"));
  EXPECT_GT(a.identify.find(b.id)->record_sequence, before);
  b.swarm->remove_handler(kPingProtocol);
  world.run_for(1s);
  EXPECT_FALSE(a.identify.find(b.id)->speaks(kPingProtocol));
  EXPECT_EQ(a.identify.failures() + b.identify.failures(), 0u);
}

TEST_F(IdentifyTest, AnAddressAddedLaterIsPushed) {
  connect();
  ASSERT_TRUE(b.swarm->listen(Multiaddr::memory(77)));
  world.run_for(1s);
  EXPECT_THAT(a.identify.find(b.id)->listen_addresses,
              ElementsAre(b.address, Multiaddr::memory(77)));
}

TEST_F(IdentifyTest, ManyProtocolsAreToldInSeveralMessages) {
  for (int i = 0; i < 100; ++i) {
    b.swarm->set_handler("/test/" + std::string(90, 'p') + std::to_string(i),
                         [](ProtocolStream) -> awaitable<void> { co_return; });
  }
  connect();
  const PeerIdentity* const known = a.identify.find(b.id);
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->protocols.size(), 102u);
  EXPECT_TRUE(known->addresses_signed);
}

TEST_F(IdentifyTest, NothingIsPushedWhenNothingHasChangedForThePeer) {
  connect();
  std::size_t told = 0;
  a.identify.on_identified([&](const PeerId&, const PeerIdentity&) { ++told; });
  b.identify.addresses_changed();
  world.run_for(1s);
  EXPECT_EQ(told, 0u);
  ASSERT_TRUE(b.swarm->listen(Multiaddr::memory(77)));
  world.run_for(1s);
  EXPECT_EQ(told, 1u);
}

TEST_F(IdentifyTest, ChangesDuringAPushAreTold) {
  connect();
  for (int i = 0; i < 10; ++i) {
    b.swarm->set_handler("/test/" + std::to_string(i),
                         [](ProtocolStream) -> awaitable<void> { co_return; });
    world.run_for(3ms);
  }
  world.run_for(1s);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(a.identify.find(b.id)->speaks("/test/" + std::to_string(i)));
  }
}

TEST_F(IdentifyTest, ForgetsAPeerThatIsGone) {
  connect();
  a.swarm->disconnect(b.id);
  world.run_for(1s);
  EXPECT_EQ(a.identify.find(b.id), nullptr);
  EXPECT_EQ(b.identify.find(a.id), nullptr);
}

// ------------------------------------------------------------------- peers that misbehave

awaitable<void> answer_with(runtime::Runtime& runtime, ProtocolStream stream, Bytes raw) {
  const auto sent = co_await stream.stream->write(BytesView(raw), runtime.now() + 10s);
  stream.stream->close_write();
  if (sent) co_await stream.stream->flush(runtime.now() + 10s);
}

/// b answers identify with `messages` instead.
class BadIdentifyTest : public IdentifyTest {
 protected:
  void answer(std::vector<Bytes> messages) {
    Bytes raw;
    for (const Bytes& message : messages) {
      append_uvarint(raw, message.size());
      append(raw, message);
    }
    answer_raw(std::move(raw));
  }
  void answer_raw(Bytes raw) {
    b.swarm->set_handler(std::string(kIdentifyProtocol), [this, raw](ProtocolStream stream) {
      return answer_with(*b.runtime, std::move(stream), raw);
    });
    connect();
  }
  Bytes encoded(IdentifyMessage message) { return encode_identify(message); }
};

TEST_F(BadIdentifyTest, PartsAreMerged) {
  IdentifyMessage first;
  first.agent_version = "one";
  first.protocols = {"/a"};
  IdentifyMessage second;
  second.agent_version = "two";
  second.protocols = {"/b", "/a"};
  second.listen_addresses = {Multiaddr::memory(9)};
  answer({encoded(first), encoded(second)});
  const PeerIdentity* const known = a.identify.find(b.id);
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->agent_version, "two");
  EXPECT_THAT(known->protocols, ElementsAre("/a", "/b"));
  EXPECT_THAT(known->listen_addresses, ElementsAre(Multiaddr::memory(9)));
  EXPECT_FALSE(known->addresses_signed);
}

TEST_F(BadIdentifyTest, MoreThanTenPartsAreRefused) {
  answer(std::vector<Bytes>(11, encoded({.agent_version = "x"})));
  EXPECT_EQ(a.identify.find(b.id), nullptr);
  EXPECT_EQ(a.identify.failures(), 1u);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
}

TEST_F(BadIdentifyTest, AnOversizedPartIsRefusedByItsLength) {
  Bytes raw;
  append_uvarint(raw, 8u * 1024 + 1);
  answer_raw(raw);
  EXPECT_EQ(a.identify.find(b.id), nullptr);
  EXPECT_EQ(a.identify.failures(), 1u);
}

TEST_F(BadIdentifyTest, GarbageIsRefused) {
  answer({Bytes{0xff, 0xff, 0xff}});
  EXPECT_EQ(a.identify.find(b.id), nullptr);
  EXPECT_EQ(a.identify.failures(), 1u);
}

TEST_F(BadIdentifyTest, AnotherPeersKeyIsRefused) {
  answer({encoded({.public_key = a.key.public_key().protobuf(), .agent_version = "liar"})});
  EXPECT_EQ(a.identify.find(b.id), nullptr);
  EXPECT_EQ(a.identify.failures(), 1u);
}

TEST_F(BadIdentifyTest, ARecordThatDoesNotHoldLeavesTheUnsignedAddresses) {
  const Multiaddr claimed = Multiaddr::memory(666);
  Bytes foreign = wire::seal_peer_record(a.key, 1, {claimed});
  Bytes broken = wire::seal_peer_record(b.key, 1, {claimed});
  broken.back() ^= 1;
  std::vector<Bytes> records = {foreign, broken};
  for (const Bytes& record : records) {
    answer({encoded({.listen_addresses = {b.address}, .signed_peer_record = record})});
    const PeerIdentity* const known = a.identify.find(b.id);
    ASSERT_NE(known, nullptr);
    EXPECT_THAT(known->listen_addresses, ElementsAre(b.address));
    EXPECT_FALSE(known->addresses_signed);
    a.swarm->disconnect(b.id);
    world.run_for(1s);
  }
}

TEST_F(BadIdentifyTest, AnOlderRecordDoesNotReplaceANewerOne) {
  answer({encoded({.signed_peer_record = wire::seal_peer_record(b.key, 7, {b.address})})});
  ASSERT_EQ(a.identify.find(b.id)->record_sequence, 7u);
  auto stream = sim::run(
      world, b.swarm->open_stream(a.id, {std::string(kIdentifyPushProtocol)}, world.now() + 10s));
  ASSERT_TRUE(stream);
  const Bytes old =
      encoded({.signed_peer_record = wire::seal_peer_record(b.key, 6, {Multiaddr::memory(5)})});
  ASSERT_TRUE(sim::run(world, transport::write_frame(*stream->stream, old, world.now() + 10s)));
  stream->stream->close_write();
  world.run_for(1s);
  EXPECT_EQ(a.identify.find(b.id)->record_sequence, 7u);
  EXPECT_THAT(a.identify.find(b.id)->listen_addresses, ElementsAre(b.address));
}

TEST_F(BadIdentifyTest, ARecordInTheFormOfTheSpecificationsTextIsTakenToo) {
  // Domain and type as the RFC has them, which rust-libp2p sends.
  proto::PeerRecord record;
  record.set_peer_id(std::string(as_text(b.id.bytes())));
  record.set_seq(9);
  record.add_addresses()->set_multiaddr(std::string(as_text(Multiaddr::memory(9).bytes())));
  answer({encoded({.signed_peer_record = wire::seal_envelope(
                       b.key, "libp2p-routing-state", as_bytes("/libp2p/routing-state-record"),
                       wire::serialize(record))})});
  const PeerIdentity* const known = a.identify.find(b.id);
  ASSERT_NE(known, nullptr);
  EXPECT_TRUE(known->addresses_signed);
  EXPECT_EQ(known->record_sequence, 9u);
  EXPECT_THAT(known->listen_addresses, ElementsAre(Multiaddr::memory(9)));
}

TEST_F(IdentifyTest, APeerThatPushesOrAsksAllTheTimeIsAnsweredAtARate) {
  connect();
  std::size_t heard = 0;
  b.identify.on_identified([&](const PeerId&, const PeerIdentity&) { ++heard; });
  const Bytes message = encode_identify({.agent_version = "spam"});
  for (int i = 0; i < 200; ++i) {
    const std::string_view protocol = i % 2 == 0 ? kIdentifyPushProtocol : kIdentifyProtocol;
    auto stream =
        sim::run(world, a.swarm->open_stream(b.id, {std::string(protocol)}, world.now() + 10s));
    ASSERT_TRUE(stream);
    const auto sent =
        sim::run(world, transport::write_frame(*stream->stream, message, world.now() + 10s));
    stream->stream->close_write();
    world.run_for(30ms);
  }
  // 6 s went by: 64 + 24 of both kinds.
  EXPECT_LE(heard, 50u);
  EXPECT_GE(heard, 30u);
  EXPECT_GE(b.identify.refused(), 100u);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
  world.run_for(20s);
  ASSERT_TRUE(a.swarm->listen(Multiaddr::memory(77)));
  world.run_for(1s);
  EXPECT_THAT(b.identify.find(a.id)->listen_addresses,
              ElementsAre(a.address, Multiaddr::memory(77)))
      << "it is heard again afterwards";
}

// ------------------------------------------------------------- identities of other key types

/// A node whose identity is `foreign`, and which answers identify with that key and a record that
/// it signed.
class ForeignNode {
 public:
  ForeignNode(Network& network, const crypto::ForeignIdentity& foreign)
      : runtime(network.world.make_runtime(3)),
        id(PeerId::from_public_key(foreign.protobuf())),
        swarm(*runtime, id) {
    swarm.add_transport(std::make_unique<transport::memory::MemoryTransport>(
        *runtime, network.hub, foreign.public_key(), transport::memory::MemoryConfig{.node = 3}));
    EXPECT_TRUE(swarm.listen(Multiaddr::memory(3)));
    Bytes raw;
    const Bytes message =
        encode_identify({.public_key = foreign.protobuf(), .signed_peer_record = seal(foreign)});
    append_uvarint(raw, message.size());
    append(raw, message);
    swarm.set_handler(std::string(kIdentifyProtocol), [this, raw](ProtocolStream stream) {
      return answer_with(*runtime, std::move(stream), raw);
    });
  }

  std::unique_ptr<runtime::Runtime> runtime;
  PeerId id;
  swarm::Swarm swarm;

 private:
  Bytes seal(const crypto::ForeignIdentity& foreign) const {
    proto::PeerRecord record;
    record.set_peer_id(std::string(as_text(id.bytes())));
    record.set_seq(5);
    record.add_addresses()->set_multiaddr(std::string(as_text(Multiaddr::memory(3).bytes())));
    const Bytes payload = wire::serialize(record);
    const Bytes type = {3, 1};
    Bytes statement;
    for (const BytesView part :
         {as_bytes("libp2p-peer-record"), BytesView(type), BytesView(payload)}) {
      append_uvarint(statement, part.size());
      append(statement, part);
    }
    proto::Envelope envelope;
    envelope.set_public_key(std::string(as_text(foreign.protobuf())));
    envelope.set_payload_type(std::string(as_text(type)));
    envelope.set_payload(std::string(as_text(payload)));
    envelope.set_signature(std::string(as_text(foreign.sign(statement))));
    return wire::serialize(envelope);
  }
};

TEST_F(IdentifyTest, PeersWithOtherKeyTypesAreIdentifiedAndTheirRecordsHold) {
  for (const crypto::KeyType type :
       {crypto::KeyType::kRsa, crypto::KeyType::kEcdsa, crypto::KeyType::kSecp256k1}) {
    const crypto::ForeignIdentity foreign(type);
    ForeignNode node(network, foreign);
    const auto connected =
        sim::run(world, a.swarm->connect(Multiaddr::memory(3).with_peer(node.id), kNever));
    ASSERT_TRUE(connected) << connected.error().message();
    world.run_for(1s);
    const PeerIdentity* const known = a.identify.find(node.id);
    ASSERT_NE(known, nullptr) << crypto::key_type_name(type);
    EXPECT_TRUE(known->addresses_signed) << crypto::key_type_name(type);
    EXPECT_EQ(known->record_sequence, 5u);
    EXPECT_EQ(PeerId::parse(node.id.to_string()).value(), node.id);
    sim::run(world, node.swarm.close());
    world.run_for(1s);
  }
}

awaitable<void> never_answer(runtime::Runtime& runtime, ProtocolStream stream) {
  const auto slept = co_await runtime.sleep_for(1h);
  if (!slept) stream.stream->reset();
}

TEST_F(IdentifyTest, APeerThatNeverAnswersIsGivenUpAfterFiveSeconds) {
  b.swarm->set_handler(std::string(kIdentifyProtocol), [this](ProtocolStream stream) {
    return never_answer(*b.runtime, std::move(stream));
  });
  connect();
  EXPECT_EQ(a.identify.failures(), 0u);
  world.run_for(5s);
  EXPECT_EQ(a.identify.failures(), 1u);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
}

TEST_F(IdentifyTest, APeerWithoutIdentifyIsLeftInPeace) {
  Node plain(network, 3);
  ASSERT_TRUE(sim::run(world, a.swarm->connect(plain.address, kNever)));
  world.run_for(1s);
  EXPECT_EQ(a.identify.find(plain.id), nullptr);
  EXPECT_TRUE(a.swarm->is_connected(plain.id));
  sim::run(world, plain.swarm->close());
}

TEST(WorthTelling, DependsOnWhereThePeerIs) {
  const auto at = [](std::string_view text) { return Multiaddr::parse(text).value(); };
  const Multiaddr here = at("/ip4/127.0.0.1/udp/1/quic-v1");
  const Multiaddr lan = at("/ip4/192.168.1.2/udp/1/quic-v1");
  const Multiaddr wan = at("/ip4/203.0.113.1/udp/1/quic-v1");
  for (const Multiaddr& address : {here, lan, wan}) EXPECT_TRUE(worth_telling(address, here));
  EXPECT_FALSE(worth_telling(here, lan));
  EXPECT_TRUE(worth_telling(lan, lan));
  EXPECT_TRUE(worth_telling(wan, lan));
  EXPECT_FALSE(worth_telling(here, wan));
  EXPECT_FALSE(worth_telling(lan, wan));
  EXPECT_TRUE(worth_telling(wan, wan));
}

}  // namespace
}  // namespace warren::protocols
