#include "node/peer_keeper.hpp"

#include <gtest/gtest.h>

namespace warren::node {
namespace {

/// Peer ids in ascending order: `n` is their last byte.
PeerId peer(std::uint8_t n) {
  Bytes multihash{0x12, 0x20};
  multihash.resize(34);
  multihash.back() = n;
  return PeerId::from_bytes(multihash).value();
}
Multiaddr address(std::uint8_t n) { return Multiaddr::quic({IpAddress::v4(10, 0, 0, n), 4001, 0}); }

class PeerKeeperTest : public ::testing::Test {
 protected:
  PeerKeeper make(KeeperConfig config = {}) { return PeerKeeper(peer(10), config, rng_); }
  std::mt19937_64 rng_{1};
  TimePoint now_{1'000s};
};

TEST_F(PeerKeeperTest, TheSmallerIdDialsAtOnceAndTheLargerWaits) {
  PeerKeeper keeper = make();
  keeper.found(peer(20), {address(20)}, "mdns", now_);
  const auto dial = keeper.next_dial(now_);
  ASSERT_TRUE(dial);
  EXPECT_EQ(dial->peer, peer(20));
  EXPECT_EQ(dial->addresses, std::vector{address(20)});

  keeper.found(peer(5), {address(5)}, "mdns", now_);
  EXPECT_FALSE(keeper.next_dial(now_));
  EXPECT_EQ(keeper.next_wake(), now_ + 500ms);
  EXPECT_TRUE(keeper.next_dial(now_ + 500ms));
}

TEST_F(PeerKeeperTest, ItNeverDialsItselfNorAConnectedPeer) {
  PeerKeeper keeper = make();
  keeper.found(peer(10), {address(10)}, "mdns", now_);
  keeper.connected(peer(20), now_);
  keeper.found(peer(20), {address(20)}, "mdns", now_);
  EXPECT_FALSE(keeper.next_dial(now_ + 1h));
  EXPECT_EQ(keeper.next_wake(), kNever);
  EXPECT_EQ(keeper.find(peer(20))->via, "mdns")
      << "discovery knows more than an inbound connection";
}

TEST_F(PeerKeeperTest, AFailedDialBacksOffTwiceAsLongEachTimeUpToTheMost) {
  PeerKeeper keeper = make();
  keeper.found(peer(20), {address(20)}, "mdns", now_);
  Duration expected = 5s;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(keeper.next_dial(now_)) << i;
    keeper.dial_ended(peer(20), false, now_);
    const Duration wait = keeper.next_wake() - now_;
    EXPECT_GE(wait, expected * 8 / 10) << i;
    EXPECT_LE(wait, expected * 12 / 10) << i;
    EXPECT_FALSE(keeper.next_dial(now_));
    now_ += wait;
    expected = std::min<Duration>(expected * 2, 5min);
  }
}

TEST_F(PeerKeeperTest, ANewAddressIsTriedSoonAfterFailures) {
  PeerKeeper keeper = make();
  keeper.found(peer(20), {address(20)}, "mdns", now_);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(keeper.next_dial(now_));
    keeper.dial_ended(peer(20), false, now_);
    now_ = keeper.next_wake();
  }
  ASSERT_TRUE(keeper.next_dial(now_));
  keeper.dial_ended(peer(20), false, now_);
  keeper.found(peer(20), {address(20)}, "mdns", now_);
  EXPECT_GT(keeper.next_wake(), now_ + 60s) << "the same address again changes nothing";
  keeper.found(peer(20), {address(21)}, "mdns", now_);
  EXPECT_LE(keeper.next_wake(), now_ + 5s);
}

TEST_F(PeerKeeperTest, DialsInProgressAreBounded) {
  PeerKeeper keeper = make({.dials_max = 2});
  for (std::uint8_t n = 20; n < 30; ++n) keeper.found(peer(n), {address(n)}, "mdns", now_);
  EXPECT_TRUE(keeper.next_dial(now_));
  EXPECT_TRUE(keeper.next_dial(now_));
  EXPECT_FALSE(keeper.next_dial(now_));
  EXPECT_EQ(keeper.next_wake(), kNever);
  keeper.dial_ended(peer(20), false, now_);
  EXPECT_TRUE(keeper.next_dial(now_));
}

TEST_F(PeerKeeperTest, AFloodOfHintsIsBoundedAndDoesNotDriveOutGoodPeers) {
  PeerKeeper keeper = make({.peers_max = 4});
  keeper.connected(peer(1), now_);
  keeper.keep(peer(2), address(2), now_);
  keeper.found(peer(3), {address(3)}, "mdns", now_);
  keeper.found(peer(4), {address(4)}, "mdns", now_);
  for (std::uint8_t n = 50; n < 100; ++n) keeper.found(peer(n), {address(n)}, "mdns", now_);
  EXPECT_EQ(keeper.peers().size(), 4u);
  EXPECT_NE(keeper.find(peer(3)), nullptr);

  // A peer that failed makes room for a new one.
  now_ += 500ms;
  while (const auto dial = keeper.next_dial(now_)) {
    keeper.dial_ended(dial->peer, dial->peer != peer(4), now_);
    if (dial->peer != peer(4)) keeper.connected(dial->peer, now_);
  }
  keeper.found(peer(60), {address(60)}, "mdns", now_);
  EXPECT_EQ(keeper.peers().size(), 4u);
  EXPECT_EQ(keeper.find(peer(4)), nullptr);
  EXPECT_NE(keeper.find(peer(60)), nullptr);
}

TEST_F(PeerKeeperTest, AKeptPeerIsDialledAgainAfterItWentAway) {
  PeerKeeper keeper = make();
  keeper.keep(peer(5), address(5), now_);
  keeper.connected(peer(5), now_);
  EXPECT_FALSE(keeper.next_dial(now_ + 1h));
  keeper.lost(peer(5));
  keeper.disconnected(peer(5), now_);
  EXPECT_FALSE(keeper.next_dial(now_));
  EXPECT_TRUE(keeper.next_dial(now_ + 6s));
}

TEST_F(PeerKeeperTest, APeerThatAPersonDisconnectedIsLeftAlone) {
  PeerKeeper keeper = make();
  keeper.found(peer(20), {address(20)}, "mdns", now_);
  keeper.connected(peer(20), now_);
  keeper.leave(peer(20), now_);
  keeper.disconnected(peer(20), now_);
  EXPECT_FALSE(keeper.next_dial(now_ + 9min));
  EXPECT_TRUE(keeper.next_dial(now_ + 11min));
}

TEST_F(PeerKeeperTest, AnInboundPeerIsForgottenWhenItGoes) {
  PeerKeeper keeper = make();
  keeper.connected(peer(20), now_);
  EXPECT_EQ(keeper.find(peer(20))->via, "inbound");
  keeper.disconnected(peer(20), now_);
  EXPECT_EQ(keeper.find(peer(20)), nullptr);
}

TEST_F(PeerKeeperTest, ALostPeerIsForgottenUnlessItIsInUse) {
  PeerKeeper keeper = make();
  keeper.found(peer(20), {address(20)}, "mdns", now_);
  keeper.lost(peer(20));
  EXPECT_EQ(keeper.find(peer(20)), nullptr);

  keeper.found(peer(20), {address(20)}, "mdns", now_);
  ASSERT_TRUE(keeper.next_dial(now_));
  keeper.lost(peer(20));
  ASSERT_NE(keeper.find(peer(20)), nullptr) << "a dial is in progress";
  keeper.dial_ended(peer(20), true, now_);
}

TEST_F(PeerKeeperTest, HintsAreNotDialledWhenEnoughPeersAreConnected) {
  PeerKeeper keeper = make({.connected_max = 1});
  keeper.connected(peer(1), now_);
  keeper.found(peer(20), {address(20)}, "mdns", now_);
  EXPECT_FALSE(keeper.next_dial(now_ + 1h));
  keeper.keep(peer(30), address(30), now_);
  const auto dial = keeper.next_dial(now_ + 1h);
  ASSERT_TRUE(dial);
  EXPECT_EQ(dial->peer, peer(30));
}

}  // namespace
}  // namespace warren::node
