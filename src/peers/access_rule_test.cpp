#include "peers/access_rule.hpp"

#include <gtest/gtest.h>

#include "peers/test_support.hpp"

namespace warren::peers {
namespace {

using testing::address;
using testing::peer;

Result<PeerId> find_name(std::string_view name) {
  if (name == "alice") return peer(1);
  return fail(ErrorCode::kNotFound, "nobody of that name");
}

TEST(AccessRule, EachKindAllowsItsOwn) {
  const AccessRule lan;
  const AccessRule anyone{Access::kAnyone, {}};
  const AccessRule trusted{Access::kTrusted, {}};
  const auto listed =
      AccessRule::parse(peer(1).to_string() + ",alice," + peer(2).to_string(), find_name);
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->peers.size(), 2u) << "without doubles";
  for (const bool on_lan : {false, true}) {
    for (const bool pinned : {false, true}) {
      for (const unsigned number : {1u, 2u, 3u}) {
        const Visitor visitor{peer(number), on_lan, pinned};
        EXPECT_EQ(lan.allows(visitor), on_lan);
        EXPECT_TRUE(anyone.allows(visitor));
        EXPECT_EQ(trusted.allows(visitor), pinned);
        EXPECT_EQ(listed->allows(visitor), number != 3);
      }
    }
  }
}

TEST(AccessRule, IsTheSameAfterItWasWritten) {
  for (const std::string text : {"lan", "anyone", "trusted"}) {
    EXPECT_EQ(AccessRule::parse(text, find_name)->to_string(), text);
  }
  AccessRule many{Access::kListed, {}};
  for (unsigned i = 0; i < AccessRule::kPeersMax; ++i) many.peers.push_back(peer(i));
  std::ranges::sort(many.peers);
  EXPECT_EQ(*AccessRule::parse(many.to_string(), find_name), many);
  const std::string one_more = many.to_string() + ',' + peer(1000).to_string();
  EXPECT_EQ(AccessRule::parse(one_more, find_name).error().code(), ErrorCode::kInvalidArgument);
}

TEST(AccessRule, WordsThatSayNothingAreRefused) {
  for (const std::string text : {"", ",", "alice,", ",alice", "alice,,alice"}) {
    EXPECT_EQ(AccessRule::parse(text, find_name).error().code(), ErrorCode::kInvalidArgument)
        << text;
  }
  EXPECT_EQ(AccessRule::parse("bob", find_name).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(AccessRule::parse("Lan", find_name).error().code(), ErrorCode::kNotFound);
}

TEST(OnLan, AddressesOfTheInternetAreNot) {
  for (const char* near :
       {"/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/172.31.0.1/tcp/1",
        "/ip4/192.168.1.1/udp/1/quic-v1", "/ip4/169.254.0.1/tcp/1", "/ip6/::1/tcp/1",
        "/ip6/fe80::1/tcp/1", "/ip6/fd00::1/tcp/1", "/memory/7"}) {
    EXPECT_TRUE(is_on_lan(address(near))) << near;
  }
  for (const char* far : {"/ip4/8.8.8.8/tcp/1", "/ip4/172.32.0.1/tcp/1", "/ip4/0.0.0.0/tcp/1",
                          "/ip6/2001:db8::1/udp/1/quic-v1", "/dns4/example.org/tcp/1"}) {
    EXPECT_FALSE(is_on_lan(address(far))) << far;
  }
}

TEST(OnLan, WhoComesThroughARelayIsNot) {
  const std::string relay = "/p2p/" + peer(9).to_string() + "/p2p-circuit";
  for (const std::string& far :
       {relay, "/ip4/192.168.1.1/tcp/1" + relay, "/ip4/8.8.8.8/tcp/1" + relay}) {
    EXPECT_FALSE(is_on_lan(address(far))) << far;
  }
}

}  // namespace
}  // namespace warren::peers
