#include "discovery/mdns/dns_name.hpp"

#include <gtest/gtest.h>

namespace warren::discovery {
namespace {

DnsName name(std::string_view text) { return DnsName::parse(text).value(); }

TEST(DnsName, KeepsLabelsApart) {
  const DnsName service = name("_p2p._udp.local");
  EXPECT_EQ(service.wire(), std::string_view("\x04_p2p\x04_udp\x05local"));
  EXPECT_EQ(service, name("_p2p._udp.local."));
  EXPECT_EQ(service.first_label(), "_p2p");
  EXPECT_EQ(service.parent(), name("_udp.local"));
  EXPECT_TRUE(name("").empty());
  EXPECT_EQ(name("").to_string(), ".");
}

TEST(DnsName, RefusesWhatIsNoName) {
  EXPECT_FALSE(DnsName::parse("a..b"));
  EXPECT_FALSE(DnsName::parse(".a"));
  EXPECT_TRUE(DnsName::parse(std::string(63, 'a')));
  EXPECT_FALSE(DnsName::parse(std::string(64, 'a')));
  std::string longest;
  for (int i = 0; i < 126; ++i) longest += "a.";
  EXPECT_TRUE(DnsName::parse(longest + "a"));    // 254 bytes.
  EXPECT_FALSE(DnsName::parse(longest + "aa"));  // 255 and the final zero.
  EXPECT_FALSE(DnsName::child("", name("local")));
}

TEST(DnsName, ComparesWithoutCaseAndShowsOddBytesEscaped) {
  EXPECT_TRUE(same_name(name("_P2P._udp.LOCAL"), name("_p2p._udp.local")));
  EXPECT_FALSE(same_name(name("_p2p._tcp.local"), name("_p2p._udp.local")));
  EXPECT_TRUE(is_child_of(name("abc._p2p._UDP.local"), name("_p2p._udp.local")));
  EXPECT_FALSE(is_child_of(name("x.abc._p2p._udp.local"), name("_p2p._udp.local")));
  EXPECT_FALSE(is_child_of(name("_p2p._udp.local"), name("_p2p._udp.local")));
  EXPECT_FALSE(is_child_of(name(""), name("")));
  EXPECT_EQ(DnsName::child("a.\x1b[31m", name("x")).value().to_string(), "a\\046\\027[31m.x");
}

}  // namespace
}  // namespace warren::discovery
