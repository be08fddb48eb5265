#include "protocols/observed_addresses.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/fakes_for_test.hpp"

namespace warren::protocols {
namespace {

using swarm::fakes::address;
using testing::ElementsAre;
using testing::IsEmpty;

const Multiaddr kLocal = address("/ip4/192.168.1.5/udp/4001/quic-v1");
const Multiaddr kTcpListener = address("/ip4/192.168.1.5/tcp/4001");
const Multiaddr kSix = address("/ip6/fd00::5/udp/4001/quic-v1");
const Multiaddr kSeen = address("/ip4/203.0.113.7/udp/14001/quic-v1");
const Multiaddr kFalse = address("/ip4/198.51.100.9/udp/4001/quic-v1");

class ObservedAddressesTest : public testing::Test {
 protected:
  /// A peer in the network <network>.0.0/16.
  bool observe(int network, const Multiaddr& seen, const Multiaddr& local = kLocal, int host = 1) {
    return observe_from(fmt::format("/ip4/{}.7.7.{}/udp/4001/quic-v1", network, host), seen, local,
                        static_cast<std::uint8_t>(network));
  }
  bool observe_from(const std::string& from, const Multiaddr& seen, const Multiaddr& local = kLocal,
                    std::uint8_t peer = 1) {
    return observed.observe({swarm::fakes::peer(peer), address(from), local, seen}, listening, now);
  }
  bool expire(bool connected = false) {
    return observed.expire([=](const PeerId&) { return connected; }, listening, now);
  }

  ObservedAddresses observed;
  std::vector<Multiaddr> listening = {kLocal, kTcpListener, kSix};
  TimePoint now{1h};
};

TEST_F(ObservedAddressesTest, FourNetworksThatAgreeAreBelieved) {
  for (const int network : {50, 51, 52}) EXPECT_FALSE(observe(network, kSeen));
  EXPECT_THAT(observed.believed(), IsEmpty());
  EXPECT_TRUE(observe(53, kSeen.with_peer(swarm::fakes::peer(9))));
  EXPECT_THAT(observed.believed(), ElementsAre(kSeen));
  EXPECT_FALSE(observe(54, kSeen)) << "nothing new";
}

TEST_F(ObservedAddressesTest, ManyPeersOfOneNetworkCountOnce) {
  for (int host = 1; host < 100; ++host) EXPECT_FALSE(observe(50, kSeen, kLocal, host));
  for (int host = 1; host < 100; ++host) {
    EXPECT_FALSE(observe_from(fmt::format("/ip6/2001:db8:{}::1/udp/1/quic-v1", host), kSeen));
  }
  EXPECT_THAT(observed.believed(), IsEmpty());
  EXPECT_EQ(observed.votes(), 2u);
}

TEST_F(ObservedAddressesTest, LiarsThatDisagreeChangeNothing) {
  for (int network = 30; network < 60; ++network) {
    observe(network, address(fmt::format("/ip4/198.51.100.{}/udp/1/quic-v1", network)));
  }
  for (const int network : {60, 61, 62}) observe(network, kFalse);
  EXPECT_THAT(observed.believed(), IsEmpty());
}

TEST_F(ObservedAddressesTest, ANetworkThatChangesItsMindTakesItsVoteAlong) {
  for (const int network : {50, 51, 52, 53}) observe(network, kSeen);
  EXPECT_TRUE(observe(50, kFalse));
  EXPECT_THAT(observed.believed(), IsEmpty());
  for (const int network : {51, 52, 53}) observe(network, kFalse);
  EXPECT_THAT(observed.believed(), ElementsAre(kFalse));
}

TEST_F(ObservedAddressesTest, WhatALanSaysNeverBecomesPublic) {
  for (int host = 1; host < 20; ++host) {
    for (const char* from : {"/ip4/192.168.{}.1/udp/1/quic-v1", "/ip4/10.{}.0.1/udp/1/quic-v1",
                             "/ip4/100.64.{}.1/udp/1/quic-v1", "/ip4/127.{}.0.1/udp/1/quic-v1",
                             "/ip6/fd{}::1/udp/1/quic-v1"}) {
      EXPECT_FALSE(observe_from(fmt::format(fmt::runtime(from), host + 10), kSeen));
    }
    EXPECT_FALSE(observe(100 + host, address("/ip4/192.168.1.77/udp/4001/quic-v1")));
    EXPECT_FALSE(observe(100 + host, address("/ip4/127.0.0.1/udp/4001/quic-v1")));
    EXPECT_FALSE(observe(100 + host, address("/ip4/0.0.0.0/udp/4001/quic-v1")));
    EXPECT_FALSE(observe(100 + host, address("/ip4/203.0.113.7/udp/0/quic-v1")));
  }
  EXPECT_EQ(observed.votes(), 0u);
}

TEST_F(ObservedAddressesTest, OnlyOurListenersAreSeen) {
  const Multiaddr ephemeral = address("/ip4/192.168.1.5/tcp/49200");
  const Multiaddr tcp_seen = address("/ip4/203.0.113.7/tcp/49200");
  const std::string peer = swarm::fakes::peer(3).to_string();
  for (int network = 50; network < 60; ++network) {
    EXPECT_FALSE(observe(network, tcp_seen, ephemeral)) << "another port than the listener's";
    EXPECT_FALSE(observe(network, tcp_seen, kLocal)) << "another transport";
    EXPECT_FALSE(observe(network, address("/ip6/2001:db8::5/udp/1/quic-v1"), kLocal));
    EXPECT_FALSE(observe(network, address("/memory/5"), kLocal));
    EXPECT_FALSE(observe(network, kSeen, address("/memory/5")));
    EXPECT_FALSE(observe(network, address("/dns4/me.example/udp/1/quic-v1"), kLocal));
    EXPECT_FALSE(observe_from(
        fmt::format("/ip4/{}.7.7.1/udp/1/quic-v1/p2p/{}/p2p-circuit", network, peer), kSeen));
  }
  EXPECT_EQ(observed.votes(), 0u);
  for (int network = 50; network < 54; ++network) {
    observe(network, address("/ip4/203.0.113.7/tcp/4001"), kTcpListener);
    observe(network, kSeen, address("/ip4/0.0.0.0/udp/4001/quic-v1"));
  }
  EXPECT_THAT(observed.believed(),
              testing::UnorderedElementsAre(address("/ip4/203.0.113.7/tcp/4001"), kSeen));
}

TEST_F(ObservedAddressesTest, AnAddressThatIsOurOwnAnywayIsNotToldTwice) {
  listening.push_back(kSeen);
  for (int network = 50; network < 60; ++network) EXPECT_FALSE(observe(network, kSeen));
  EXPECT_THAT(observed.believed(), IsEmpty());
}

TEST_F(ObservedAddressesTest, VotesExpireUnlessThePeerIsStillConnected) {
  EXPECT_EQ(observed.next_expiry(), kNever);
  for (const int network : {50, 51, 52, 53}) observe(network, kSeen);
  EXPECT_EQ(observed.next_expiry(), now + 40min);
  now += 40min;
  EXPECT_FALSE(expire(true));
  EXPECT_EQ(observed.next_expiry(), now + 40min);
  now += 40min - 1s;
  EXPECT_FALSE(expire());
  now += 1s;
  EXPECT_TRUE(expire());
  EXPECT_THAT(observed.believed(), IsEmpty());
  EXPECT_EQ(observed.votes(), 0u);
  EXPECT_EQ(observed.next_expiry(), kNever);
}

TEST_F(ObservedAddressesTest, VotesForAnAddressThatIsGoneAreForgotten) {
  for (const int network : {50, 51, 52, 53}) observe(network, kSeen);
  listening = {address("/ip4/192.168.9.5/udp/4001/quic-v1")};
  EXPECT_TRUE(expire(true)) << "the machine is in another network now";
  EXPECT_THAT(observed.believed(), IsEmpty());
}

TEST_F(ObservedAddressesTest, TheTableIsBoundedAndFewAreBelieved) {
  for (int a = 1; a < 100; ++a) {
    for (int b = 0; b < 100; ++b) {
      now += 1ms;
      // Every four networks name one more address.
      observe_from(fmt::format("/ip4/{}.{}.7.1/udp/1/quic-v1", a == 10 || a == 100 ? 5 : a, b),
                   address(fmt::format("/ip4/203.0.{}.{}/udp/1/quic-v1", a, b / 4)));
    }
  }
  EXPECT_EQ(observed.votes(), 256u);
  EXPECT_EQ(observed.believed().size(), 3u);
}

}  // namespace
}  // namespace warren::protocols
