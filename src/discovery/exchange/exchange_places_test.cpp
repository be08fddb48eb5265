#include "discovery/exchange/exchange_places.hpp"

#include <gtest/gtest.h>

#include "discovery/exchange/records_for_test.hpp"

namespace warren::discovery {
namespace {

using fakes::address;

const Multiaddr kLoopback = address("/ip4/127.0.0.1/udp/4001/quic-v1");
const Multiaddr kLan = address("/ip4/192.168.1.7/udp/4001/quic-v1");
const Multiaddr kOutside = address("/ip4/203.0.113.9/udp/4001/quic-v1");

TEST(MayHandOn, ARecordGoesOnlyWhereAllOfItsAddressesMeanSomething) {
  EXPECT_TRUE(may_hand_on({kLoopback, kLan, kOutside}, kLoopback));
  EXPECT_TRUE(may_hand_on({kLan, kOutside}, kLan));
  EXPECT_FALSE(may_hand_on({kLoopback, kLan}, kLan));
  EXPECT_TRUE(may_hand_on({kOutside}, kOutside));
  EXPECT_FALSE(may_hand_on({kLan}, kOutside));
  EXPECT_FALSE(may_hand_on({kLan, kOutside}, kOutside)) << "it is signed: it cannot be cut";
  EXPECT_FALSE(may_hand_on({}, kOutside));
}

TEST(MayHandOn, PrivateAddressesStayOnTheirLink) {
  for (const std::string_view other :
       {"/ip4/192.168.2.7/udp/1/quic-v1", "/ip4/10.0.0.7/tcp/1", "/ip4/172.16.0.7/tcp/1",
        "/ip4/100.64.1.7/tcp/1", "/ip6/fd00::7/tcp/1", "/memory/5"}) {
    EXPECT_FALSE(may_hand_on({kLan}, address(other))) << other;
    EXPECT_TRUE(may_hand_on({kOutside}, address(other))) << other;
  }
  EXPECT_TRUE(may_hand_on({kLan}, address("/ip4/192.168.1.200/tcp/1")));
  EXPECT_TRUE(may_hand_on({address("/ip4/100.64.1.1/tcp/1")}, address("/ip4/100.64.1.7/tcp/1")));
  EXPECT_FALSE(may_hand_on({address("/ip4/100.64.9.1/tcp/1")}, address("/ip4/100.64.1.7/tcp/1")))
      << "another customer of the same carrier";
  EXPECT_TRUE(may_hand_on({address("/ip6/fd00:1::1/tcp/1")}, address("/ip6/fd00:1::2/tcp/1")));
  EXPECT_FALSE(may_hand_on({address("/ip6/fd00:1::1/tcp/1")}, address("/ip6/fd00:2::2/tcp/1")));
}

TEST(MayHandOn, LinkLocalAddressesOfIpv6LookAlikeOnEveryLink) {
  const Multiaddr here = address("/ip6/fe80::1/udp/1/quic-v1");
  EXPECT_FALSE(may_hand_on({here}, address("/ip6/fe80::2/udp/1/quic-v1")));
  EXPECT_TRUE(may_hand_on({here}, address("/ip6/::1/udp/1/quic-v1")));
}

TEST(MayHandOn, APrivateAddressIsFoundInAnyForm) {
  EXPECT_FALSE(may_hand_on({address("/ip4/192.168.1.7")}, kOutside));
  EXPECT_FALSE(may_hand_on({address("/ip4/192.168.1.7/udp/1")}, kOutside));
  EXPECT_FALSE(may_hand_on({address("/ip4/192.168.1.7/tcp/1")
                                .with_peer(fakes::peer(1))
                                .encapsulate(address("/p2p-circuit"))},
                           kOutside));
}

TEST(MayHandOn, TheMemoryTransportIsKnownWhereItIs) {
  EXPECT_TRUE(may_hand_on({address("/memory/7")}, address("/memory/70000")));
  EXPECT_FALSE(may_hand_on({address("/memory/7")}, kOutside));
  EXPECT_FALSE(may_hand_on({address("/memory/7")}, kLoopback));
}

TEST(Neighbourhood, IsANetworkOfTheInternetOrALink) {
  const auto at = [](std::string_view text) { return neighbourhood_of(address(text)); };
  EXPECT_EQ(at("/ip4/203.0.113.9/tcp/1"), at("/ip4/203.0.7.1/udp/9/quic-v1"));
  EXPECT_NE(at("/ip4/203.0.113.9/tcp/1"), at("/ip4/203.1.113.9/tcp/1"));
  EXPECT_EQ(at("/ip4/192.168.1.9/tcp/1"), at("/ip4/192.168.1.1/tcp/1"));
  EXPECT_NE(at("/ip4/192.168.1.9/tcp/1"), at("/ip4/192.168.2.9/tcp/1"));
  EXPECT_EQ(at("/ip6/fd00::1/tcp/1"), at("/ip6/fd00::2/tcp/1"));
  EXPECT_NE(at("/ip4/192.168.1.9/tcp/1"), at("/ip4/127.0.0.1/tcp/1"));
  EXPECT_EQ(at("/memory/70000"), at("/memory/70001"));
}

}  // namespace
}  // namespace warren::discovery
