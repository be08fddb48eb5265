// Goodbyes between whole nodes, and with peers that say what they should not.

#include "protocols/goodbye.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/varint.hpp"
#include "swarm/nodes_for_test.hpp"
#include "transport/frame_io.hpp"

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;
using swarm::fakes::Network;
using swarm::fakes::Node;
using testing::ElementsAre;
using testing::IsEmpty;

// ------------------------------------------------------------------------------- message

TEST(GoodbyeMessage, IsWhatTheDocumentSays) {
  EXPECT_EQ(encode_goodbye({GoodbyeReason::kFull, 10min}),
            (Bytes{0x08, 0x02, 0x10, 0xc0, 0xcf, 0x24}));
  EXPECT_EQ(encode_goodbye({}), Bytes());
}

TEST(GoodbyeMessage, ReadsWhatItWrites) {
  for (std::uint8_t number = 0; number <= 5; ++number) {
    for (const Duration wait : {Duration{}, Duration(1ms), Duration(1min), Duration(1h)}) {
      const Goodbye goodbye{static_cast<GoodbyeReason>(number), wait};
      const auto read = decode_goodbye(encode_goodbye(goodbye));
      ASSERT_TRUE(read);
      EXPECT_EQ(*read, goodbye);
    }
  }
}

TEST(GoodbyeMessage, AnUnknownReasonIsUnspecified) {
  for (const Bytes& message :
       {Bytes{0x08, 0x06}, Bytes{0x08, 0xff, 0xff, 0xff, 0xff, 0x0f},
        Bytes{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}}) {
    const auto read = decode_goodbye(message);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->reason, GoodbyeReason::kUnspecified);
  }
}

TEST(GoodbyeMessage, MoreThanAnHourIsAnHour) {
  const auto read =
      decode_goodbye(Bytes{0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->retry_after, 1h);
  EXPECT_EQ(decode_goodbye(encode_goodbye({GoodbyeReason::kFull, 24h}))->retry_after, 1h);
  EXPECT_EQ(decode_goodbye(encode_goodbye({GoodbyeReason::kFull, -24h}))->retry_after, 0h);
}

TEST(GoodbyeMessage, WhatIsCutOffIsMalformed) {
  EXPECT_FALSE(decode_goodbye(Bytes{0x10}));
  EXPECT_FALSE(decode_goodbye(Bytes(kGoodbyeBytesMax + 1)));
}

TEST(GoodbyeMessage, EveryReasonHasAName) {
  for (std::uint8_t number = 0; number <= 5; ++number) {
    EXPECT_FALSE(goodbye_reason_name(static_cast<GoodbyeReason>(number)).empty());
  }
}

// ----------------------------------------------------------------------------- exchange

class GoodbyeTest : public testing::Test {
 protected:
  struct Told {
    PeerId peer;
    Goodbye goodbye;
    bool operator==(const Told&) const = default;
  };
  ~GoodbyeTest() override {
    for (Node* node : {&a, &b, &c}) {
      sim::run(world, node->swarm->close());
      EXPECT_EQ(node->swarm->stats().tasks_failed, 0u);
      EXPECT_EQ(node->swarm->stats().streams_inbound, 0u);
    }
  }
  void serve(Node& node) {
    serve_goodbye(*node.swarm, [this](const PeerId& peer, const Goodbye& goodbye) {
      told.push_back({peer, goodbye});
    });
  }
  void connect(Node& from, Node& to) {
    ASSERT_TRUE(sim::run(world, from.swarm->connect(to.address.with_peer(to.id), kNever)));
    world.run_for(1s);
  }
  std::unique_ptr<transport::Stream> open() {
    auto opened = sim::run(
        world, a.swarm->open_stream(b.id, {std::string(kGoodbyeProtocol)}, world.now() + 10s));
    EXPECT_TRUE(opened);
    return std::move(opened->stream);
  }
  void write(transport::Stream& stream, const Bytes& bytes) {
    EXPECT_TRUE(sim::run(world, stream.write(BytesView(bytes), world.now() + 10s)));
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  Node a{network, 1};
  Node b{network, 2};
  Node c{network, 3};
  std::vector<Told> told;
  const Goodbye full{GoodbyeReason::kFull, 10min};
};

TEST_F(GoodbyeTest, IsHeardBeforeTheConnectionGoes) {
  serve(b);
  connect(a, b);
  const TimePoint begin = world.now();
  sim::run(world, say_goodbye(*a.swarm, b.id, full, world.now() + kGoodbyeTimeMax));
  EXPECT_LE(world.now() - begin, 50ms);
  a.swarm->disconnect(b.id);
  EXPECT_THAT(told, ElementsAre(Told{a.id, full}));
}

TEST_F(GoodbyeTest, WaitsNoLongerThanItsDeadlineForASilentPeer) {
  serve(b);
  connect(a, b);
  world.partition({2});
  const TimePoint begin = world.now();
  sim::run(world, say_goodbye(*a.swarm, b.id, full, world.now() + kGoodbyeTimeMax));
  EXPECT_EQ(world.now() - begin, kGoodbyeTimeMax);
  world.heal({.latency_min = 10ms, .latency_max = 10ms});
}

TEST_F(GoodbyeTest, ToAPeerThatDoesNotSpeakItOrIsNotThereItIsNothing) {
  connect(a, b);
  const TimePoint begin = world.now();
  sim::run(world, say_goodbye(*a.swarm, b.id, full, world.now() + kGoodbyeTimeMax));
  sim::run(world, say_goodbye(*a.swarm, c.id, full, world.now() + kGoodbyeTimeMax));
  EXPECT_LE(world.now() - begin, 100ms);
  EXPECT_TRUE(a.swarm->is_connected(b.id));
}

TEST_F(GoodbyeTest, OneOfAConnectionIsHeard) {
  serve(b);
  connect(a, b);
  for (int i = 0; i < 3; ++i) {
    sim::run(world, say_goodbye(*a.swarm, b.id, full, world.now() + kGoodbyeTimeMax));
  }
  EXPECT_EQ(told.size(), 1u);
  a.swarm->disconnect(b.id);
  world.run_for(1s);
  connect(a, b);
  sim::run(world, say_goodbye(*a.swarm, b.id, full, world.now() + kGoodbyeTimeMax));
  EXPECT_EQ(told.size(), 2u) << "another connection";
}

TEST_F(GoodbyeTest, AllPeersAreToldAtTheSameTime) {
  serve(b);
  serve(c);
  connect(a, b);
  connect(a, c);
  const TimePoint begin = world.now();
  sim::run(world, say_goodbye_to_all(*a.swarm, full, world.now() + kGoodbyeToAllTimeMax));
  EXPECT_LE(world.now() - begin, 50ms);
  EXPECT_EQ(told.size(), 2u);
}

TEST_F(GoodbyeTest, OneSilentPeerOfManyCostsNoMoreThanTheBound) {
  serve(b);
  serve(c);
  connect(a, b);
  connect(a, c);
  world.partition({3});
  const TimePoint begin = world.now();
  sim::run(world, say_goodbye_to_all(*a.swarm, full, world.now() + kGoodbyeToAllTimeMax));
  EXPECT_EQ(world.now() - begin, kGoodbyeToAllTimeMax);
  EXPECT_THAT(told, ElementsAre(Told{a.id, full}));
  world.heal({.latency_min = 10ms, .latency_max = 10ms});
}

TEST_F(GoodbyeTest, WithoutPeersNothingIsWaitedFor) {
  const TimePoint begin = world.now();
  sim::run(world, say_goodbye_to_all(*a.swarm, full, world.now() + kGoodbyeToAllTimeMax));
  EXPECT_EQ(world.now(), begin);
}

TEST_F(GoodbyeTest, APeerThatAnnouncesAGibibyteIsRefused) {
  serve(b);
  connect(a, b);
  const auto stream = open();
  Bytes length;
  append_uvarint(length, 1u << 30);
  write(*stream, length);
  world.run_for(1s);
  EXPECT_THAT(told, IsEmpty());
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

TEST_F(GoodbyeTest, APeerThatSaysNothingIsGivenUp) {
  serve(b);
  connect(a, b);
  const auto stream = open();
  write(*stream, Bytes{10, 8});
  world.run_for(1s);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 1u);
  world.run_for(5s);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
  EXPECT_THAT(told, IsEmpty());
}

}  // namespace
}  // namespace warren::protocols
