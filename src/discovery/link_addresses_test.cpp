#include "discovery/link_addresses.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace warren::discovery {
namespace {

Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }
IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

const LinkInterface kLan{2, {IpAddress::v4(192, 168, 1, 7), ip("fe80::7")}, false};
const LinkInterface kLoopback{1, {IpAddress::v4(127, 0, 0, 1), ip("::1")}, true};

std::vector<std::string> texts(std::vector<std::string_view> own, const LinkInterface& interface) {
  std::vector<Multiaddr> addresses;
  for (const std::string_view text : own) addresses.push_back(address(text));
  std::vector<std::string> found;
  for (const Multiaddr& each : link_addresses(addresses, interface)) {
    found.push_back(each.to_string());
  }
  return found;
}

using Texts = std::vector<std::string>;

TEST(LinkAddresses, ASourceIsOnTheLinkWithinANetworkOfTheInterface) {
  LinkInterface lan = kLan;
  EXPECT_FALSE(is_on_link(lan, ip("192.168.1.9"))) << "it has no networks";
  lan.prefixes = {resources::Prefix::of(ip("192.168.1.7"), 24),
                  resources::Prefix::of(ip("fe80::7"), 64)};
  EXPECT_TRUE(is_on_link(lan, ip("192.168.1.9")));
  EXPECT_TRUE(is_on_link(lan, ip("fe80::9")));
  EXPECT_FALSE(is_on_link(lan, ip("192.168.2.9")));
  EXPECT_FALSE(is_on_link(lan, ip("2001:db8::9")));
  EXPECT_TRUE(is_on_link(kLoopback, ip("192.168.2.9")));
}

TEST(LinkAddresses, AnInterfaceHasThoseOfItsOwn) {
  EXPECT_EQ(texts({"/ip4/0.0.0.0/udp/4001/quic-v1", "/ip4/10.1.1.1/tcp/1", "/ip4/127.0.0.1/tcp/2",
                   "/ip4/192.168.1.7/tcp/0", "/dns4/example.org/tcp/4001"},
                  kLan),
            Texts{"/ip4/192.168.1.7/udp/4001/quic-v1"});
  EXPECT_EQ(texts({"/ip6/::/udp/4001/quic-v1"}, kLan), Texts{"/ip6/fe80::7/udp/4001/quic-v1"});
}

TEST(LinkAddresses, LoopbackHasAllWithItsOwnFirst) {
  EXPECT_EQ(
      texts({"/ip4/10.1.1.1/tcp/1", "/ip4/127.0.0.1/tcp/2", "/ip4/127.0.0.1/tcp/2"}, kLoopback),
      (Texts{"/ip4/127.0.0.1/tcp/2", "/ip4/10.1.1.1/tcp/1"}));
}

TEST(LinkAddresses, OnlyPlainAddressesThatLeadSomewhere) {
  const auto dialable = [](std::string_view text, const LinkInterface& interface = kLan) {
    return dialable_address(address(text), interface).has_value();
  };
  EXPECT_TRUE(dialable("/ip4/192.168.1.9/udp/4001/quic-v1"));
  EXPECT_TRUE(dialable("/ip4/192.168.1.9/tcp/4001/ws"));
  EXPECT_TRUE(dialable("/ip4/127.0.0.1/tcp/4001", kLoopback));
  EXPECT_TRUE(dialable("/ip4/192.168.1.9/tcp/4001", kLoopback));
  EXPECT_FALSE(dialable("/ip4/127.0.0.1/tcp/4001"));
  EXPECT_FALSE(dialable("/ip6/::1/tcp/4001"));
  EXPECT_FALSE(dialable("/ip4/0.0.0.0/tcp/4001"));
  EXPECT_FALSE(dialable("/ip4/224.0.0.251/udp/5353/quic-v1"));
  EXPECT_FALSE(dialable("/ip4/255.255.255.255/udp/1/quic-v1"));
  EXPECT_FALSE(dialable("/ip6/ff02::fb/udp/5353/quic-v1"));
  EXPECT_FALSE(dialable("/ip4/192.168.1.9/tcp/0"));
  EXPECT_FALSE(dialable("/ip4/192.168.1.9"));
  EXPECT_FALSE(dialable("/dns4/example.org/tcp/4001"));
  EXPECT_FALSE(dialable("/ip4/192.168.1.9/tcp/443/tls/sni/example.org/ws"));
  EXPECT_FALSE(dialable("/ip6zone/eth7/ip6/fe80::9/udp/4001/quic-v1"));
  EXPECT_FALSE(dialable(fmt::format("/ip4/192.168.1.9/tcp/1/p2p/{}/p2p-circuit",
                                    "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp")));
}

TEST(LinkAddresses, ALinkLocalAddressGetsTheInterfaceAsItsZone) {
  const auto got = dialable_address(address("/ip6/fe80::9/udp/4001/quic-v1"), kLan);
  ASSERT_TRUE(got);
  const Endpoint expected{ip("fe80::9"), 4001, 2};
  EXPECT_EQ(got->endpoint(), expected);
}

}  // namespace
}  // namespace warren::discovery
