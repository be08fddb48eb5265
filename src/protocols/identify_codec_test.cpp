#include "protocols/identify_codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/identify.pb.h"

namespace warren::protocols {
namespace {

using testing::ElementsAre;

Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }

IdentifyMessage whole() {
  IdentifyMessage message;
  message.public_key = {8, 1, 18, 1, 9};
  message.listen_addresses = {address("/ip4/10.0.0.1/udp/4001/quic-v1"), address("/memory/7")};
  message.protocols = {"/a", "/b"};
  message.observed_address = address("/ip4/10.0.0.2/udp/5/quic-v1");
  message.protocol_version = "ipfs/0.1.0";
  message.agent_version = "warren/0.1.0";
  message.signed_peer_record = {1, 2, 3};
  return message;
}

TEST(IdentifyCodec, ReadsWhatItWrites) {
  IdentifyMessage read;
  ASSERT_TRUE(merge_identify(encode_identify(whole()), {}, read));
  EXPECT_EQ(read, whole());
}

TEST(IdentifyCodec, WritesTheFieldsInAscendingOrder) {
  IdentifyMessage message;
  message.protocols = {"/a"};
  message.observed_address = address("/memory/1");
  message.agent_version = "w";
  EXPECT_EQ(to_hex(encode_identify(message)), "1a022f61220489060131320177");
}

TEST(IdentifyCodec, AddressesThatNobodyHereKnowsAreLeftOutNotTheMessage) {
  proto::identify::Identify raw;
  raw.add_listenaddrs("\xff\xff\x7f unknown code");
  raw.add_listenaddrs("");
  raw.add_listenaddrs(std::string(5000, 'x'));
  raw.add_listenaddrs(std::string(as_text(address("/memory/1").bytes())));
  raw.add_protocols("bad\nname");
  raw.add_protocols(std::string(2000, 'x'));
  raw.add_protocols("/good");
  raw.set_observedaddr("\xff");
  IdentifyMessage read;
  ASSERT_TRUE(
      merge_identify(as_bytes(raw.SerializeAsString()), {.identify_bytes_max = 1 << 20}, read));
  EXPECT_THAT(read.listen_addresses, ElementsAre(address("/memory/1")));
  EXPECT_THAT(read.protocols, ElementsAre("/good"));
  EXPECT_FALSE(read.observed_address);
}

TEST(IdentifyCodec, ListsStopAtTheirLimitsAndTextsAreCut) {
  proto::identify::Identify raw;
  for (std::uint64_t i = 0; i < 100; ++i) {
    raw.add_listenaddrs(std::string(as_text(Multiaddr::memory(i + 1).bytes())));
    raw.add_protocols("/" + std::to_string(i));
  }
  raw.set_agentversion(std::string(1000, 'v'));
  raw.set_protocolversion(std::string(1000, 'p'));
  IdentifyMessage read;
  for (int part = 0; part < 2; ++part) {
    ASSERT_TRUE(merge_identify(as_bytes(raw.SerializeAsString()),
                               {.addresses_max = 10, .protocols_max = 20}, read));
  }
  EXPECT_EQ(read.listen_addresses.size(), 10u);
  EXPECT_EQ(read.protocols.size(), 20u);
  EXPECT_EQ(read.agent_version.size(), kVersionTextBytesMax);
  EXPECT_EQ(read.protocol_version.size(), kVersionTextBytesMax);
}

TEST(IdentifyCodec, ASmallMessageIsOnePart) {
  const std::vector<Bytes> parts = encode_identify_parts(whole());
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0], encode_identify(whole()));
}

TEST(IdentifyCodec, ALargeMessageIsToldInPartsOfAtMostFourKibibytes) {
  IdentifyMessage large = whole();
  large.signed_peer_record = Bytes(2000, 7);
  large.listen_addresses.clear();
  for (std::uint64_t i = 0; i < 16; ++i) large.listen_addresses.push_back(Multiaddr::memory(i + 1));
  for (const std::size_t protocols : {60u, 256u}) {
    large.protocols.clear();
    for (std::size_t i = 0; i < protocols; ++i) {
      large.protocols.push_back("/" + std::string(90, 'p') + "/" + std::to_string(1000 + i));
    }
    const std::vector<Bytes> parts = encode_identify_parts(large);
    EXPECT_GE(parts.size(), 2u);
    EXPECT_LE(parts.size(), 10u);
    IdentifyMessage read;
    for (const Bytes& part : parts) {
      EXPECT_LE(part.size(), 4096u);
      ASSERT_TRUE(merge_identify(part, {}, read));
    }
    EXPECT_THAT(read.protocols, testing::UnorderedElementsAreArray(large.protocols));
    read.protocols = large.protocols;
    EXPECT_EQ(read, large);
    IdentifyMessage first;
    ASSERT_TRUE(merge_identify(parts[0], {}, first));
    EXPECT_FALSE(first.public_key.empty()) << "for readers that take one message alone";
    EXPECT_FALSE(first.protocols.empty());
    EXPECT_EQ(first.listen_addresses, large.listen_addresses);
  }
}

TEST(IdentifyCodec, GarbageAndOversizedMessagesChangeNothing) {
  IdentifyMessage read = whole();
  const auto garbage = merge_identify(Bytes{0xff, 0xff}, {}, read);
  EXPECT_EQ(garbage.error().code(), ErrorCode::kMalformed);
  const auto large = merge_identify(Bytes(9000), {}, read);
  EXPECT_EQ(large.error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(read, whole());
}

}  // namespace
}  // namespace warren::protocols
