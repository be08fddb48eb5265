#include "discovery/mdns/mdns_packets.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "discovery/mdns/mdns_test_link.hpp"

namespace warren::discovery {
namespace {

using testing::address;
using testing::ip;
using testing::make_peer;

const PeerId kSelf = make_peer(1);
const PeerId kOther = make_peer(2);
const MdnsInterface kLan{2, {IpAddress::v4(192, 168, 1, 7), ip("fe80::7"), ip("fd00::7")}, false};
const MdnsInterface kLoopback{1, {IpAddress::v4(127, 0, 0, 1), ip("::1")}, true};

MdnsNames names(char letter = 'n') {
  return MdnsNames::make("_p2p._udp.local", std::string(40, letter)).value();
}

std::vector<std::string> texts(std::vector<std::string_view> own, const MdnsInterface& interface) {
  std::vector<Multiaddr> addresses;
  for (const std::string_view text : own) addresses.push_back(address(text));
  std::vector<std::string> bare;
  const std::string tail = "/p2p/" + kSelf.to_string();
  for (const std::string& text : address_texts(addresses, kSelf, interface, 16)) {
    EXPECT_TRUE(text.starts_with("dnsaddr=") && text.ends_with(tail)) << text;
    bare.push_back(text.substr(8, text.size() - 8 - tail.size()));
  }
  return bare;
}

using Texts = std::vector<std::string>;

TEST(MdnsAddresses, OnlyThoseOfTheInterfaceAreAnnouncedThere) {
  const std::vector<std::string_view> own{
      "/ip4/192.168.1.7/udp/4001/quic-v1", "/ip4/172.17.0.1/udp/4001/quic-v1",
      "/ip4/127.0.0.1/udp/4001/quic-v1", "/ip6/fd00::7/tcp/4001", "/ip6/::1/udp/4001/quic-v1"};
  EXPECT_EQ(texts(own, kLan),
            (Texts{"/ip4/192.168.1.7/udp/4001/quic-v1", "/ip6/fd00::7/tcp/4001"}));
}

TEST(MdnsAddresses, LoopbackComesFirstOnTheLoopbackInterfaceAndNowhereElse) {
  const std::vector<std::string_view> own{"/ip4/10.1.1.1/udp/4001/quic-v1",
                                          "/ip4/127.0.0.1/udp/4001/quic-v1",
                                          "/ip6/fe80::7/udp/4001/quic-v1"};
  EXPECT_EQ(texts(own, kLoopback),
            (Texts{"/ip4/127.0.0.1/udp/4001/quic-v1", "/ip4/10.1.1.1/udp/4001/quic-v1"}));
  EXPECT_EQ(texts(own, kLan), (Texts{"/ip6/fe80::7/udp/4001/quic-v1"}));
}

TEST(MdnsAddresses, ZonesStayAtHome) {
  const Multiaddr mine = Multiaddr::quic({ip("fe80::7"), 4001, 2});
  const Multiaddr of_another = Multiaddr::quic({ip("fe80::7"), 4001, 3});
  const std::vector<Multiaddr> own{mine, of_another};
  EXPECT_EQ(
      address_texts(own, kSelf, kLan, 16),
      (Texts{fmt::format("dnsaddr=/ip6/fe80::7/udp/4001/quic-v1/p2p/{}", kSelf.to_string())}));
}

TEST(MdnsAddresses, AnUnspecifiedIpStandsForThoseOfTheInterface) {
  EXPECT_EQ(texts({"/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/tcp/4001"}, kLan),
            (Texts{"/ip4/192.168.1.7/udp/4001/quic-v1", "/ip6/fd00::7/tcp/4001",
                   "/ip6/fe80::7/tcp/4001"}));
}

TEST(MdnsAddresses, WhatCannotBeDialledOnTheLinkIsLeftOut) {
  const std::string relay =
      fmt::format("/ip4/192.168.1.7/udp/4001/quic-v1/p2p/{}/p2p-circuit", kOther.to_string());
  EXPECT_TRUE(texts({relay, "/dns4/example.org/tcp/1", "/memory/7", "/ip4/192.168.1.7/tcp/0"}, kLan)
                  .empty());
}

TEST(MdnsAddresses, EachIsNamedOnceAndNoMoreThanAsked) {
  const std::string with_peer = fmt::format("/ip4/192.168.1.7/tcp/1/p2p/{}", kSelf.to_string());
  EXPECT_EQ(texts({"/ip4/192.168.1.7/tcp/1", with_peer}, kLan), (Texts{"/ip4/192.168.1.7/tcp/1"}));
  std::vector<Multiaddr> many;
  for (std::uint16_t port = 1; port < 50; ++port)
    many.push_back(Multiaddr::tcp({kLan.addresses[0], port, 0}));
  EXPECT_EQ(address_texts(many, kSelf, kLan, 16).size(), 16u);
}

TEST(MdnsQuestion, IsTheTestVectorOfTheDocument) {
  EXPECT_EQ(to_hex(encode_query(names(), 0)),
            "000000000001000000000000045f703270045f756470056c6f63616c00000c0001");
}

TEST(MdnsAnnouncement, HasTheRecordsThatOthersLookFor) {
  const Texts own =
      address_texts(std::vector{address("/ip4/192.168.1.7/udp/4001/quic-v1")}, kSelf, kLan, 16);
  const auto packets = encode_announcement(names(), own, kLan, 120s);
  ASSERT_EQ(packets.size(), 1u);
  const DnsMessage message = decode_dns(packets[0]).value();
  EXPECT_EQ(message.id, 0);
  EXPECT_TRUE(message.response && message.authoritative);
  ASSERT_EQ(message.answers.size(), 1u);
  EXPECT_EQ(message.answers[0].name, names().service);
  EXPECT_FALSE(message.answers[0].flush);
  EXPECT_EQ(std::get<PtrData>(message.answers[0].data).target, names().instance);
  ASSERT_EQ(message.additionals.size(), 5u);  // TXT, SRV, A, two AAAA.
  EXPECT_EQ(std::get<TxtData>(message.additionals[0].data).strings, own);
  EXPECT_EQ(std::get<SrvData>(message.additionals[1].data).port, 4001);
  EXPECT_EQ(std::get<SrvData>(message.additionals[1].data).target, names().host);
  EXPECT_EQ(message.additionals[2].name, names().host);
}

TEST(MdnsAnnouncement, ManyAddressesTakeSeveralPacketsBelowTheMtu) {
  Texts own;
  for (int i = 0; i < 16; ++i) own.push_back(fmt::format("dnsaddr={:0>247}", i));
  const auto packets = encode_announcement(names(), own, kLan, 120s);
  EXPECT_GE(packets.size(), 4u);
  Texts got;
  for (const Bytes& packet : packets) {
    EXPECT_LE(packet.size(), kMdnsPacketBytesMax);
    const DnsMessage message = decode_dns(packet).value();
    EXPECT_EQ(message.answers.size(), 1u);
    for (const auto& text : std::get<TxtData>(message.additionals.at(0).data).strings)
      got.push_back(text);
  }
  EXPECT_EQ(got, own);
}

TEST(MdnsAnnouncement, WithoutAddressesThereIsOnlyAGoodbye) {
  EXPECT_TRUE(encode_announcement(names(), {}, kLan, 120s).empty());
  ASSERT_EQ(encode_announcement(names(), {}, kLan, 0s).size(), 1u);
}

/// A response with a PTR for `names` and the strings as TXT in the answers, as js-libp2p has it.
DnsMessage js_response(const MdnsNames& who, const Texts& strings) {
  DnsMessage message;
  message.response = true;
  message.answers.push_back({who.service, 120s, false, PtrData{who.instance}});
  for (const std::string& text : strings) {
    message.answers.push_back({who.instance, 120s, false, TxtData{{text}}});
  }
  return message;
}

std::string dnsaddr(std::string_view at, const PeerId& peer = kOther) {
  return fmt::format("dnsaddr={}/p2p/{}", at, peer.to_string());
}

TEST(MdnsReading, TakesTxtFromAnswersAndFromAdditionals) {
  const Texts strings{dnsaddr("/ip4/192.168.1.9/tcp/1"), dnsaddr("/ip4/192.168.1.9/udp/2/quic-v1")};
  const std::vector expected{address("/ip4/192.168.1.9/tcp/1"),
                             address("/ip4/192.168.1.9/udp/2/quic-v1")};
  DnsMessage message = js_response(names('x'), strings);
  auto found = read_announcements(message, names(), kSelf, kLan);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].peer, kOther);
  EXPECT_EQ(found[0].addresses, expected);
  EXPECT_FALSE(found[0].flush);
  const auto packets = encode_announcement(names('x'), strings, kLan, 120s);
  found = read_announcements(decode_dns(packets.at(0)).value(), names(), kSelf, kLan);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].addresses, expected);
  EXPECT_TRUE(found[0].flush);
  EXPECT_EQ(found[0].name, std::string(40, 'x'));
}

TEST(MdnsReading, IsNotTakenInByOtherNamesAndPeers) {
  const Texts strings{dnsaddr("/ip4/192.168.1.9/tcp/1")};
  EXPECT_TRUE(read_announcements(js_response(names(), strings), names(), kSelf, kLan).empty());
  EXPECT_TRUE(
      read_announcements(js_response(names('x'), {dnsaddr("/ip4/192.168.1.9/tcp/1", kSelf)}),
                         names(), kSelf, kLan)
          .empty());
  const MdnsNames private_net =
      MdnsNames::make("_p2p-00ff._udp.local", std::string(40, 'x')).value();
  EXPECT_TRUE(read_announcements(js_response(private_net, strings), names(), kSelf, kLan).empty());
  DnsMessage other_txt = js_response(names('x'), strings);
  other_txt.answers[1].name = names('y').instance;
  EXPECT_TRUE(read_announcements(other_txt, names(), kSelf, kLan).empty());
}

TEST(MdnsReading, OneNameIsOnePeer) {
  const auto found = read_announcements(
      js_response(names('x'), {"dnsaddr=nonsense", "dnsaddr=/ip4/192.168.1.9/tcp/1", "other=1", "",
                               dnsaddr("/ip4/192.168.1.9/tcp/2"),
                               dnsaddr("/ip4/192.168.1.9/tcp/3", make_peer(3)),
                               dnsaddr("/ip4/192.168.1.9/tcp/2")}),
      names(), kSelf, kLan);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].peer, kOther);
  EXPECT_EQ(found[0].addresses, std::vector{address("/ip4/192.168.1.9/tcp/2")});
}

TEST(MdnsReading, BoundsWhatOnePacketCanSay) {
  Texts many;
  for (int port = 1; port <= 200; ++port)
    many.push_back(dnsaddr(fmt::format("/ip4/192.168.1.9/tcp/{}", port)));
  const auto one = read_announcements(js_response(names('x'), many), names(), kSelf, kLan);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].addresses.size(), kAddressesPerPacketMax);
  DnsMessage crowd;
  for (char letter = 'a'; letter <= 'm'; ++letter) {
    const DnsMessage each = js_response(names(letter), {dnsaddr("/ip4/192.168.1.9/tcp/1")});
    crowd.answers.insert(crowd.answers.end(), each.answers.begin(), each.answers.end());
  }
  EXPECT_EQ(read_announcements(crowd, names(), kSelf, kLan).size(), kAnnouncementsPerPacketMax);
}

TEST(MdnsReading, KnowsAGoodbye) {
  const auto packets =
      encode_announcement(names('x'), Texts{dnsaddr("/ip4/1.2.3.4/tcp/1")}, kLan, 0s);
  const auto found = read_announcements(decode_dns(packets.at(0)).value(), names(), kSelf, kLan);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].ttl, 0s);
  EXPECT_EQ(found[0].name, std::string(40, 'x'));
}

}  // namespace
}  // namespace warren::discovery
