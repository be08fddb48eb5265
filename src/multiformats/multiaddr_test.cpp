#include "multiformats/multiaddr.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_set>

#include "base/limits.hpp"
#include "multiformats/test_hex.hpp"

namespace warren::multiformats {
namespace {

constexpr std::string_view kPeerText = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

Multiaddr address(std::string_view text) {
  auto parsed = Multiaddr::parse(text);
  if (!parsed) {
    ADD_FAILURE() << text << ": " << parsed.error().message();
    return {};
  }
  return *parsed;
}

struct Vector {
  const char* text;
  const char* hex;
};

// Made with js-libp2p's multiaddr, and the table of multiformats/multiaddr, test/multiaddr.feature.
constexpr Vector kVectors[] = {
    {"/ip4/192.0.2.42/tcp/443", "04c000022a0601bb"},
    {"/ip4/127.0.0.1/tcp/4001", "047f000001060fa1"},
    {"/ip6/::1/udp/4001/quic-v1", "290000000000000000000000000000000191020fa1cd03"},
    {"/dns4/example.com/tcp/443/wss", "360b6578616d706c652e636f6d0601bbde03"},
    {"/ip4/192.0.2.1/tcp/1234/tls/sni/foo.example.com/ws",
     "04c00002010604d2c003c1030f666f6f2e6578616d706c652e636f6ddd03"},
    {"/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5",
     "047f000001060fa1a503260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40"
     "f"
     "6f5c"},
    {"/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5/"
     "p2p-circuit/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
     "04c000020191020fa1cd03a503260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748"
     "8"
     "01b40f6f5ca202a5032212209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0b9"},
    {"/ip4/1.2.3.4/udp/1234/webrtc-direct/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g",
     "0401020304910204d29802d203221220c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c"
     "4"
     "f2"},
    {"/unix/%2Ftmp%2Fp2p.sock", "90030d2f746d702f7032702e736f636b"},
    {"/dnsaddr/bootstrap.libp2p.io", "3813626f6f7473747261702e6c69627032702e696f"},
};

TEST(Multiaddr, TextAndBytesOfThePublishedVectorsAgree) {
  for (const Vector& vector : kVectors) {
    const Multiaddr parsed = address(vector.text);
    EXPECT_EQ(to_hex(parsed.bytes()), vector.hex) << vector.text;
    const auto read = Multiaddr::from_bytes(from_hex(vector.hex));
    ASSERT_TRUE(read) << vector.text << ": " << read.error().message();
    EXPECT_EQ(read->to_string(), vector.text);
    EXPECT_EQ(*read, parsed);
  }
}

TEST(Multiaddr, EveryCutOfAVectorIsAnotherAddressOrRefused) {
  for (const Vector& vector : kVectors) {
    const Bytes whole = from_hex(vector.hex);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto cut = Multiaddr::from_bytes(BytesView(whole).first(size));
      if (cut) EXPECT_TRUE(std::string_view(vector.text).starts_with(cut->to_string() + "/"));
    }
  }
}

// One of each protocol of the table; the text is canonical.
constexpr const char* kEveryProtocol[] = {
    "/ip4/1.2.3.4/dccp/1/sctp/2/udp/65535/udt/utp",
    "/ip6zone/eth0/ip6/fe80::1/tcp/0",
    "/ip6/2001:db8::/ipcidr/32",
    "/ip6/::ffff:1.2.3.4/tcp/1",
    "/dns/a.example/tcp/1/http",
    "/dns6/a.example/tcp/1/https",
    "/dns4/a.example/tcp/1/http/http-path/a%2Fb%20c",
    "/ip4/1.2.3.4/udp/1/quic",
    "/quic-v1/webtransport/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g",
    "/ip4/1.2.3.4/udp/1/webrtc-direct/noise",
    "/ip4/1.2.3.4/tcp/1/tls/ws/p2p-circuit/webrtc",
    "/ip4/1.2.3.4/tcp/1/wss/p2p-webrtc-star",
    "/ip4/1.2.3.4/tcp/1/ws/p2p-websocket-star",
    "/p2p-webrtc-direct",
    "/p2p-stardust",
    "/onion/timaq4ygg2iegci7:1234",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
    "/memory/42",
    "/unix/%2Fa%2F%25/p2p-circuit",
    "/unix/socket",
};

TEST(Multiaddr, ReadsAndWritesEveryProtocolOfTheTable) {
  for (const char* text : kEveryProtocol) {
    const Multiaddr parsed = address(text);
    EXPECT_EQ(parsed.to_string(), text);
    const auto read = Multiaddr::from_bytes(parsed.bytes());
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(*read, parsed);
  }
  std::string garlic = "/garlic64/";
  for (int i = 0; i < 129; ++i) garlic += "-~Aa";
  EXPECT_EQ(address(garlic).to_string(), garlic);
}

TEST(Multiaddr, ReadsOtherSpellingsAsTheCanonicalOne) {
  const std::string peer(kPeerText);
  EXPECT_EQ(address("/ip4/1.2.3.4/tcp/80/").to_string(), "/ip4/1.2.3.4/tcp/80");
  EXPECT_EQ(address("/ipfs/" + peer).to_string(), "/p2p/" + peer);
  EXPECT_EQ(
      address("/p2p/bafzaajaiaejcbcui4poxicprsx6vfwznhs5f24wkm4e36hmucin7g5eiag2a6324").to_string(),
      "/p2p/" + peer);
  EXPECT_EQ(address("/ip6/2001:DB8:0:0:0:0:0:1/tcp/1").to_string(), "/ip6/2001:db8::1/tcp/1");
  // The old form of a unix path takes the rest of the address.
  EXPECT_EQ(address("/unix/tmp/p2p.sock").to_string(), "/unix/%2Ftmp%2Fp2p.sock");
  EXPECT_EQ(address("/unix/%2ftmp%2fp2p.sock").to_string(), "/unix/%2Ftmp%2Fp2p.sock");
}

TEST(Multiaddr, RefusesWrongTextAndSaysWhy) {
  const char* const wrong[] = {
      "",
      "/",
      "//",
      "ip4/1.2.3.4",
      "/ip4",
      "/ip4/",
      "/ip4/1.2.3",
      "/ip4/::1",
      "/ip6/1.2.3.4",
      "/ip4/1.2.3.4/tcp",
      "/ip4/1.2.3.4/tcp/65536",
      "/ip4/1.2.3.4/tcp/-1",
      "/ip4/1.2.3.4/tcp/+1",
      "/ip4/1.2.3.4/tcp/01",
      "/ip4/1.2.3.4/tcp/1x",
      "/ip4/1.2.3.4//tcp/1",
      "/ip6/fe80::1%eth0",
      "/ipcidr/256",
      "/p2p/hello",
      "/p2p/",
      "/certhash/uAAAA",
      "/certhash/hello",
      "/dns4/a b",
      "/dns4/a\x1b[2J",
      "/unix/%2",
      "/unix/%zz",
      "/unix/%00",
      "/unix//a",
      "/http-path/",
      "/onion/timaq4ygg2iegci7",
      "/onion/timaq4ygg2iegci7:65536",
      "/onion/aaaa:1",
      "/onion3/timaq4ygg2iegci7:1",
      "/garlic32/aaaa",
      "/garlic64/AAAA",
      "/garlic64/____",
  };
  for (const char* text : wrong) {
    const auto parsed = Multiaddr::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), ErrorCode::kInvalidArgument) << text;
    EXPECT_EQ(parsed.error().message().find('\x1b'), std::string::npos);
  }
  EXPECT_NE(Multiaddr::parse("/ip4/1.2.3.4/tcp/65536").error().message().find("65536"),
            std::string::npos);
}

TEST(Multiaddr, UnknownProtocolsAreUnsupported) {
  EXPECT_EQ(Multiaddr::parse("/ip4/1.2.3.4/carrier-pigeon").error().code(),
            ErrorCode::kUnsupported);
  EXPECT_EQ(Multiaddr::from_bytes(from_hex("047f0000018f4e")).error().code(),
            ErrorCode::kUnsupported);
  // A code beyond 32 bits must not be cut down to a known one.
  EXPECT_EQ(Multiaddr::from_bytes(from_hex("8480808010047f0000")).error().code(),
            ErrorCode::kUnsupported);
}

TEST(Multiaddr, RefusesWrongBytes) {
  for (const char* hex : {
           "",                                  // Nothing.
           "04", "047f0000",                    // Cut off.
           "84007f000001",                      // Code not minimal.
           "36ffffffffffffff7f61",              // A length beyond the address.
           "3600", "3601",                      // Empty and missing name.
           "36022f61", "3602610a", "360161ff",  // '/' and a line break in a name; a cut code.
           "a50300", "a5030312ff00",            // Not a peer id.
           "d203021200",                        // Not a multihash.
           "90030100",                          // NUL in a path.
           "9003026162060050",                  // A relative path must come last.
       }) {
    const auto read = Multiaddr::from_bytes(from_hex(hex));
    ASSERT_FALSE(read) << hex;
    EXPECT_EQ(read.error().code(), ErrorCode::kMalformed) << hex << " " << read.error().message();
  }
}

TEST(Multiaddr, BoundsItsSize) {
  const std::size_t bytes_max = limits::Messages{}.multiaddr_bytes_max;
  Bytes long_address;
  while (long_address.size() <= bytes_max) append(long_address, from_hex("0601bb"));
  EXPECT_EQ(Multiaddr::from_bytes(long_address).error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(Multiaddr::parse("/unix/" + std::string(100'000, 'a')).error().code(),
            ErrorCode::kTooLarge);
  EXPECT_EQ(Multiaddr::parse("/unix/" + std::string(bytes_max, 'a')).error().code(),
            ErrorCode::kTooLarge);
}

TEST(Multiaddr, MakesAndReadsEndpoints) {
  const Endpoint v4{IpAddress::v4(192, 0, 2, 1), 4001, 0};
  EXPECT_EQ(Multiaddr::quic(v4).to_string(), "/ip4/192.0.2.1/udp/4001/quic-v1");
  EXPECT_EQ(Multiaddr::tcp(v4).to_string(), "/ip4/192.0.2.1/tcp/4001");
  EXPECT_EQ(Multiaddr::quic(v4).endpoint(), v4);
  const Endpoint link_local{*IpAddress::parse("fe80::1"), 4001, 7};
  EXPECT_EQ(Multiaddr::quic(link_local).to_string(), "/ip6zone/7/ip6/fe80::1/udp/4001/quic-v1");
  EXPECT_EQ(Multiaddr::quic(link_local).endpoint(), link_local);
  EXPECT_TRUE(Multiaddr::quic(link_local).is_quic());
  EXPECT_EQ(address("/ip6zone/no-such-link/ip6/fe80::1/tcp/1").endpoint()->scope_id, 0u);
  EXPECT_EQ(address("/ip6zone/lo/ip6/fe80::1/tcp/1").endpoint()->scope_id, 1u);
  EXPECT_EQ(address("/dns4/a.example/tcp/1").endpoint(), std::nullopt);
  EXPECT_EQ(address("/ip4/1.2.3.4").endpoint(), std::nullopt);
  EXPECT_EQ(address("/ip6zone/lo/ip4/1.2.3.4/tcp/1").endpoint(), std::nullopt);
  EXPECT_EQ(Multiaddr{}.endpoint(), std::nullopt);
}

TEST(Multiaddr, KnowsItsTransport) {
  const std::string peer = "/p2p/" + std::string(kPeerText);
  EXPECT_TRUE(address("/ip4/1.2.3.4/udp/1/quic-v1").is_quic());
  EXPECT_TRUE(address("/ip6/::1/udp/1/quic-v1" + peer).is_quic());
  EXPECT_FALSE(address("/ip4/1.2.3.4/udp/1/quic").is_quic()) << "draft 29 is dead";
  EXPECT_FALSE(address("/ip4/1.2.3.4/udp/1/quic-v1/webtransport").is_quic());
  EXPECT_FALSE(address("/ip4/1.2.3.4/udp/1/quic-v1" + peer + "/p2p-circuit").is_quic());
  EXPECT_FALSE(address("/ip4/1.2.3.4/tcp/1/quic-v1").is_quic());
  EXPECT_FALSE(address("/ip4/1.2.3.4/udp/1").is_quic());
  EXPECT_TRUE(address("/ip4/1.2.3.4/tcp/1").is_tcp());
  EXPECT_TRUE(address("/ip4/1.2.3.4/tcp/1" + peer).is_tcp());
  EXPECT_FALSE(address("/ip4/1.2.3.4/tcp/1/ws").is_tcp());
  EXPECT_FALSE(address("/ip4/1.2.3.4/udp/1/quic-v1").is_tcp());
  EXPECT_EQ(Multiaddr::memory(42).to_string(), "/memory/42");
  EXPECT_EQ(Multiaddr::memory(UINT64_MAX).memory_id(), UINT64_MAX);
  EXPECT_EQ(address("/memory/42" + peer).memory_id(), 42u);
  EXPECT_EQ(address("/memory/4x2").memory_id(), std::nullopt);
  EXPECT_EQ(address("/memory/99999999999999999999").memory_id(), std::nullopt);
  EXPECT_FALSE(Multiaddr{}.is_quic() || Multiaddr{}.is_tcp() || Multiaddr{}.memory_id());
}

TEST(Multiaddr, NamesThePeerItLeadsTo) {
  const PeerId peer = *PeerId::parse(kPeerText);
  const Multiaddr plain = address("/ip4/1.2.3.4/udp/1/quic-v1");
  EXPECT_EQ(plain.peer_id(), std::nullopt);
  const Multiaddr full = plain.with_peer(peer);
  EXPECT_EQ(full.peer_id(), peer);
  EXPECT_EQ(full.with_peer(peer), full);
  EXPECT_EQ(full.without_peer(), plain);
  EXPECT_EQ(plain.without_peer(), plain);
  const Multiaddr relayed =
      address(full.to_string() + "/p2p-circuit/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N");
  EXPECT_EQ(relayed.peer_id()->to_string(), "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N");
  EXPECT_EQ(relayed.without_peer().to_string(), full.to_string() + "/p2p-circuit");
}

TEST(Multiaddr, EncapsulatesAndCutsAtTheLastOccurrence) {
  const Multiaddr inner = address("/tcp/80");
  const Multiaddr twice = address("/ip4/1.2.3.4").encapsulate(inner).encapsulate(inner);
  EXPECT_EQ(twice.to_string(), "/ip4/1.2.3.4/tcp/80/tcp/80");
  EXPECT_EQ(twice.decapsulate(inner).to_string(), "/ip4/1.2.3.4/tcp/80");
  EXPECT_EQ(twice.decapsulate(address("/ip4/1.2.3.4")), Multiaddr{});
  EXPECT_EQ(twice.decapsulate(address("/udp/80")), twice);
  // A value that looks like the inner address is not one.
  const Multiaddr tricky = address("/ip4/6.0.80.1/tcp/1");
  EXPECT_EQ(tricky.decapsulate(inner), tricky);
}

TEST(Multiaddr, ListsItsComponents) {
  const auto components = address("/ip4/1.2.3.4/udp/258/quic-v1").components();
  ASSERT_EQ(components.size(), 3u);
  EXPECT_EQ(components[0], (Component{Protocol::kIp4, {1, 2, 3, 4}}));
  EXPECT_EQ(components[1], (Component{Protocol::kUdp, {1, 2}}));
  EXPECT_EQ(components[2], (Component{Protocol::kQuicV1, {}}));
  EXPECT_TRUE(address("/ip4/1.2.3.4/tcp/1").has(Protocol::kTcp));
  EXPECT_FALSE(address("/ip4/1.2.3.4/tcp/1").has(Protocol::kUdp));
}

// Random components of the table, put together by text.
rc::Gen<std::string> component_text() {
  const auto number = [](int max) {
    return rc::gen::map(rc::gen::inRange(0, max + 1), [](int n) { return std::to_string(n); });
  };
  const auto with = [](std::string name, rc::Gen<std::string> value) {
    return rc::gen::map(value, [name](const std::string& text) { return "/" + name + "/" + text; });
  };
  const auto name = rc::gen::nonEmpty(rc::gen::container<std::string>(
      rc::gen::elementOf(std::string("abcdefghijklmnopqrstuvwxyz0123456789.-:%_"))));
  const auto ip4 = rc::gen::map(rc::gen::container<std::vector<int>>(4, rc::gen::inRange(0, 256)),
                                [](const std::vector<int>& b) {
                                  return std::to_string(b[0]) + "." + std::to_string(b[1]) + "." +
                                         std::to_string(b[2]) + "." + std::to_string(b[3]);
                                });
  return rc::gen::oneOf(
      with("ip4", ip4), with("tcp", number(65535)), with("udp", number(65535)),
      with("ipcidr", number(255)), with("dns", name), with("ip6zone", name), with("memory", name),
      with("sni", name), rc::gen::just<std::string>("/quic-v1"),
      rc::gen::just<std::string>("/p2p-circuit"), rc::gen::just<std::string>("/ip6/2001:db8::1"),
      rc::gen::just("/p2p/" + std::string(kPeerText)), rc::gen::just<std::string>("/unix/%2Fa"));
}

RC_GTEST_PROP(Multiaddr, TextAndBytesComeBack, ()) {
  auto parts = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(component_text()));
  if (parts.size() > 8) parts.resize(8);  // Names have at most 100 characters here, so 8 fit.
  std::string text;
  for (const std::string& part : parts) text += part;
  const auto parsed = Multiaddr::parse(text);
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(parsed->to_string() == text);
  RC_ASSERT(*Multiaddr::from_bytes(parsed->bytes()) == *parsed);
  RC_ASSERT(parsed->components().size() == parts.size());
}

RC_GTEST_PROP(Multiaddr, WhateverBytesAreAcceptedHaveOneText, (const Bytes& bytes)) {
  const auto read = Multiaddr::from_bytes(bytes);
  if (!read) return;
  RC_ASSERT(*Multiaddr::parse(read->to_string()) == *read);
}

}  // namespace
}  // namespace warren::multiformats
