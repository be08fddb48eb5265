#include "transport/websocket/address.hpp"

#include <gtest/gtest.h>

namespace warren::transport::websocket {
namespace {

Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }

constexpr std::string_view kPeer = "/p2p/12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv";

TEST(WebSocketAddress, KnowsThePlainOnes) {
  EXPECT_EQ(plain_endpoint(address("/ip4/192.0.2.1/tcp/80/ws"))->to_string(), "192.0.2.1:80");
  EXPECT_EQ(plain_endpoint(address("/ip6/2001:db8::1/tcp/80/ws"))->to_string(), "[2001:db8::1]:80");
  EXPECT_TRUE(plain_endpoint(address(std::string("/ip4/192.0.2.1/tcp/80/ws").append(kPeer))));
  EXPECT_EQ(plain_endpoint(address("/ip6zone/3/ip6/fe80::1/tcp/80/ws"))->scope_id, 3u);
}

TEST(WebSocketAddress, TakesNoOther) {
  for (const std::string_view text :
       {"/ip4/192.0.2.1/tcp/80", "/ip4/192.0.2.1/udp/80/quic-v1", "/ip4/192.0.2.1/tcp/80/wss",
        "/ip4/192.0.2.1/tcp/80/tls/ws", "/ip4/192.0.2.1/tcp/80/ws/http", "/memory/1",
        "/dns4/example.com/tcp/80/ws", "/ip4/192.0.2.1/tcp/80/ws/p2p-circuit",
        "/ip4/192.0.2.1/udp/80"}) {
    EXPECT_FALSE(plain_endpoint(address(text))) << text;
  }
  EXPECT_FALSE(plain_endpoint(
      address(std::string("/ip4/192.0.2.1/tcp/80/ws").append(kPeer).append("/p2p-circuit"))));
}

TEST(WebSocketAddress, KnowsTheThreeSpellingsOfTls) {
  const auto name_of = [](std::string text) {
    const auto target = secure_target(address(text));
    const auto with_peer = secure_target(address(text.append(kPeer)));
    EXPECT_EQ(target.has_value(), with_peer.has_value());
    return target ? target->name + " at " + target->endpoint.to_string() : "none";
  };
  EXPECT_EQ(name_of("/ip4/192.0.2.1/tcp/443/wss"), "192.0.2.1 at 192.0.2.1:443");
  EXPECT_EQ(name_of("/ip4/192.0.2.1/tcp/443/tls/ws"), "192.0.2.1 at 192.0.2.1:443");
  EXPECT_EQ(name_of("/ip6/2001:db8::1/tcp/443/tls/sni/a.example/ws"),
            "a.example at [2001:db8::1]:443");
  for (const std::string text :
       {"/ip4/192.0.2.1/tcp/80/ws", "/ip4/192.0.2.1/tcp/443/tls", "/dns4/a.example/tcp/443/wss",
        "/ip4/192.0.2.1/tcp/443/sni/a.example/ws", "/ip4/192.0.2.1/udp/443/wss",
        "/ip4/192.0.2.1/tcp/443/tls/sni/a.example/wss"}) {
    EXPECT_EQ(name_of(text), "none") << text;
  }
}

TEST(WebSocketAddress, SpellsItsOwn) {
  EXPECT_EQ(plain_address({IpAddress::v4(192, 0, 2, 1), 4002, 0}).to_string(),
            "/ip4/192.0.2.1/tcp/4002/ws");
}

}  // namespace
}  // namespace warren::transport::websocket
