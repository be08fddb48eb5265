// Peers that complete a handshake and then break the rules, or keep them and ask for too much.
// The connection has to end, or what it holds has to stay within its bounds, and the node goes on.
// Source: the security advisories named at each test.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/world.hpp"
#include "transport/quic/hostile_peer_for_test.hpp"
#include "transport/quic/quic_transport.hpp"

namespace warren::transport::quic {
namespace {

using quic::testing::FrameWriter;
using quic::testing::HostilePeer;
using ::testing::HasSubstr;

constexpr std::size_t kMiB = 1u << 20;
constexpr std::uint8_t kPing = 0x01;
constexpr std::uint8_t kCrypto = 0x06;
constexpr std::uint8_t kStreamWithOffsetAndLength = 0x0e;
constexpr std::uint8_t kNewConnectionId = 0x18;
constexpr std::uint8_t kPathChallenge = 0x1a;

awaitable<bool> close_transport(Transport& transport) {
  co_await transport.close();
  co_return true;
}

class HostilePeerTest : public ::testing::Test {
 protected:
  HostilePeerTest() { start({}); }
  ~HostilePeerTest() override { stop(); }

  void start(QuicConfig config) {
    stop();
    resources::Manager::Options options;
    options.report = [](std::string) {};
    manager =
        std::make_unique<resources::Manager>([this] { return world.now(); }, std::move(options));
    config.resources = manager.get();
    transport =
        make_quic_transport(*runtime, crypto::PrivateKey::from_seed(Bytes(32, 2)), config).value();
    listener = transport->listen(Multiaddr::quic({{}, 4001, 0})).value();
    attacker = std::make_unique<HostilePeer>(world, 1, Endpoint{sim::host_v4(2), 4001, 0});
    ASSERT_TRUE(attacker->connect());
    victim = std::static_pointer_cast<QuicConnection>(sim::run(world, listener->accept()).value());
  }
  void stop() {
    attacker.reset();
    victim.reset();
    listener.reset();
    if (transport) sim::run(world, close_transport(*transport));
    transport.reset();
    if (!manager) return;
    manager->check_invariants();
    EXPECT_EQ(manager->total(), resources::Usage{}) << "everything was given back";
  }

  /// Sends packets until `packets` went out or the connection ended; gives them time to arrive.
  void attack(std::size_t packets, HostilePeer::Fill fill) {
    attacker->speak(std::move(fill));
    for (int i = 0; i < 200 && attacker->packets_spoken() < packets && !victim->closed(); ++i) {
      attacker->queue_bytes(128 << 10);
      world.run_for(100ms);
      peak_library_bytes = std::max(peak_library_bytes, victim->library().peak_bytes());
    }
    world.run_for(1s);
    peak_library_bytes = std::max(peak_library_bytes, victim->library().peak_bytes());
  }

  /// The bound of one connection was kept, and the node takes new peers.
  void expect_the_node_is_well() {
    EXPECT_LE(peak_library_bytes, 32 * kMiB + QuicConfig{}.library_bytes_max);
    EXPECT_LE(manager->snapshot().peak.memory_bytes(), manager->limits().connection.memory_bytes);
    manager->check_invariants();
    HostilePeer honest(world, 3, {sim::host_v4(2), 4001, 0});
    EXPECT_TRUE(honest.connect());
  }

  sim::World world{7};
  std::unique_ptr<runtime::Runtime> runtime = world.make_runtime(2);
  std::unique_ptr<resources::Manager> manager;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<HostilePeer> attacker;
  std::shared_ptr<QuicConnection> victim;
  std::size_t peak_library_bytes = 0;
};

TEST_F(HostilePeerTest, TheHarnessSaysWhatItIsTold) {
  attack(5, [](FrameWriter& out) { out.byte(kPing); });
  EXPECT_GE(attacker->packets_spoken(), 5u);
  EXPECT_FALSE(victim->closed()) << victim->close_reason();
}

// GHSA-c33x-xqrf-c478, CVE-2024-1410: each frame makes us retire an id and say so, and our word is
// never acknowledged.
TEST_F(HostilePeerTest, RetirePriorToFloodWhileAcknowledgementsAreWithheld) {
  std::uint64_t sequence = 1;
  attack(600, [&](FrameWriter& out) {
    while (out.fits(48)) {
      out.byte(kNewConnectionId).integer(sequence).integer(sequence).byte(8);
      for (int i = 7; i >= 0; --i) out.byte(static_cast<std::uint8_t>(sequence >> (8 * i)));
      out.bytes(16, static_cast<std::uint8_t>(sequence));
      ++sequence;
    }
  });
  EXPECT_GT(sequence, 100u);
  EXPECT_TRUE(victim->closed() || peak_library_bytes < 2 * kMiB) << peak_library_bytes;
  expect_the_node_is_well();
}

// GHSA-ppxx-5m9h-6vxf, CVE-2023-6193: an answer is owed for each.
TEST_F(HostilePeerTest, PathChallengeFlood) {
  std::uint64_t challenges = 0;
  attack(600, [&](FrameWriter& out) {
    while (out.fits(9)) {
      out.byte(kPathChallenge).bytes(8, static_cast<std::uint8_t>(challenges));
      ++challenges;
    }
  });
  EXPECT_GT(challenges, 10'000u);
  EXPECT_TRUE(victim->closed() || peak_library_bytes < 2 * kMiB) << peak_library_bytes;
  expect_the_node_is_well();
}

// CVE-2024-1765: bytes that can never be used are kept for the gap before them.
TEST_F(HostilePeerTest, CryptoDataAtAHugeOffset) {
  attack(3,
         [](FrameWriter& out) { out.byte(kCrypto).integer(1ull << 40).integer(100).bytes(100); });
  EXPECT_TRUE(victim->closed());
  expect_the_node_is_well();
}

TEST_F(HostilePeerTest, CryptoDataWithGapsIsBounded) {
  std::uint64_t offset = 1;
  attack(400, [&](FrameWriter& out) {
    while (out.fits(12)) {
      out.byte(kCrypto).integer(offset).integer(1).byte(7);
      offset += 2;
    }
  });
  EXPECT_TRUE(victim->closed()) << "65,536 bytes are the most";
  expect_the_node_is_well();
}

// GO-2023-2045: TLS messages after the handshake that never end.
TEST_F(HostilePeerTest, EndlessTlsMessageAfterTheHandshake) {
  std::uint64_t offset = 0;
  attack(1'500, [&](FrameWriter& out) {
    const std::size_t count = out.room() - 16;
    out.byte(kCrypto).integer(offset).integer(count);
    if (offset == 0) {
      // A new session ticket of 16 MiB.
      out.byte(4).byte(0xff).byte(0xff).byte(0xff).bytes(count - 4);
    } else {
      out.bytes(count);
    }
    offset += count;
  });
  EXPECT_TRUE(victim->closed()) << offset << " bytes were taken";
  EXPECT_LT(offset, 512u << 10);
  EXPECT_THAT(victim->close_reason(), HasSubstr("65536 bytes of TLS messages"));
  expect_the_node_is_well();
}

TEST_F(HostilePeerTest, ManySmallTlsMessagesAfterTheHandshake) {
  std::uint64_t offset = 0;
  attack(1'500, [&](FrameWriter& out) {
    const std::size_t count = (out.room() - 16) / 4 * 4;
    out.byte(kCrypto).integer(offset).integer(count);
    for (std::size_t i = 0; i < count; i += 4) out.byte(4).byte(0).byte(0).byte(0);
    offset += count;
  });
  EXPECT_TRUE(victim->closed()) << offset << " bytes were taken";
  expect_the_node_is_well();
}

// GHSA-4w2j-m93h-cj5j: every second byte of a stream, so that none can be given to a reader.
TEST_F(HostilePeerTest, TinyGapsOnAStream) {
  std::uint64_t offset = 1;
  attack(600, [&](FrameWriter& out) {
    while (out.fits(9)) {
      out.byte(kStreamWithOffsetAndLength).integer(0).integer(offset).integer(1).byte('g');
      offset += 2;
    }
  });
  EXPECT_TRUE(victim->closed()) << offset;
  EXPECT_LT(offset, 100'000u);
  EXPECT_LT(peak_library_bytes, 2 * kMiB);
  expect_the_node_is_well();
}

// The same, but on so many streams that none of them has too many: half a million gaps, which would
// take 50 MiB and more.
TEST_F(HostilePeerTest, TinyGapsOnManyStreams) {
  QuicConfig config;
  config.handshake_window_bytes = config.small_window_bytes = 4 * kMiB;
  start(config);
  std::uint64_t frames = 0;
  attack(20'000, [&](FrameWriter& out) {
    while (out.fits(13)) {
      const std::uint64_t stream = 4 * (frames % 250);
      const std::uint64_t offset = 1 + 2 * (frames / 250);
      if (offset > 5'000) {
        out.byte(kPing);
        return;
      }
      out.byte(kStreamWithOffsetAndLength).integer(stream).integer(offset).integer(1).byte('g');
      ++frames;
    }
  });
  EXPECT_TRUE(victim->closed()) << frames << " frames, " << peak_library_bytes << " bytes";
  EXPECT_THAT(victim->close_reason(), HasSubstr("beside its window"));
  EXPECT_GT(frames, 30'000u);
  expect_the_node_is_well();
}

TEST_F(HostilePeerTest, StreamDataBeyondTheWindow) {
  attack(3, [](FrameWriter& out) {
    out.byte(kStreamWithOffsetAndLength).integer(0).integer(1ull << 30).integer(1).byte('b');
  });
  EXPECT_TRUE(victim->closed());
  expect_the_node_is_well();
}

TEST_F(HostilePeerTest, AStreamBeyondTheLimitEndsTheConnection) {
  attack(3, [](FrameWriter& out) {
    out.byte(kStreamWithOffsetAndLength).integer(4ull * 100'000).integer(0).integer(1).byte('b');
  });
  EXPECT_TRUE(victim->closed());
  expect_the_node_is_well();
}

// Somebody who has seen one packet knows the connection's id, but not its keys.
TEST_F(HostilePeerTest, AForgedPacketDoesNotChangeWhereWeSendFrom) {
  attacker->queue_bytes(1000);
  world.run_for(100ms);
  const IpAddress before = attacker->sent_from();
  EXPECT_EQ(before, sim::host_v4(1));
  Bytes forged(200, 0x55);
  forged[0] = 0x43;
  const CidKey& id = attacker->connection().cids().front();
  std::copy_n(id.bytes.begin(), id.size, forged.begin() + 1);
  runtime::ReceivedBatch batch;
  batch.from = {sim::host_v4(2), 4001, 0};
  batch.to = {IpAddress::v4(10, 9, 9, 9), 4001, 0};
  batch.bytes = forged;
  batch.segment_bytes = forged.size();
  attacker->connection().read_packet(batch, forged, world.now());
  attacker->queue_bytes(1000);
  world.run_for(100ms);
  EXPECT_EQ(attacker->sent_from(), before);
  EXPECT_FALSE(victim->closed());
}

/// One of each type of frame, with everything behind the type random.
class GarbageTest : public HostilePeerTest, public ::testing::WithParamInterface<int> {};

TEST_P(GarbageTest, BehindAFrameTypeNeverCrashes) {
  auto& random = runtime->rng();
  attack(40, [&](FrameWriter& out) {
    out.integer(static_cast<std::uint64_t>(GetParam()));
    const std::size_t count = 1 + random() % 40;
    for (std::size_t i = 0; i < count; ++i) out.byte(static_cast<std::uint8_t>(random()));
  });
  EXPECT_GT(attacker->packets_spoken(), 0u);
  expect_the_node_is_well();
}

// Every type of RFC 9000, DATAGRAM, and some that nobody knows.
INSTANTIATE_TEST_SUITE_P(FrameTypes, GarbageTest,
                         ::testing::Values(0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
                                           0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12,
                                           0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b,
                                           0x1c, 0x1d, 0x1e, 0x1f, 0x30, 0x31, 0x40, 0x1234));

}  // namespace
}  // namespace warren::transport::quic
