#include "discovery/beacon/beacon_codec.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "discovery/beacon/beacon_test_link.hpp"
#include "proto/beacon.pb.h"
#include "wire/envelope.hpp"
#include "wire/message.hpp"

namespace warren::discovery::beacon {
namespace {

using testing::address;
using testing::make_key;

Announcement sample() {
  Announcement said;
  said.serial = 1'700'000'000'123;
  said.sent_at = WallMillis(std::chrono::milliseconds(1'700'000'000'123));
  said.record_sequence = 1'700'000'000'000;
  said.addresses = {address("/ip4/192.0.2.1/udp/4001/quic-v1"), address("/ip4/192.0.2.1/tcp/4001")};
  said.spare = {std::uint64_t{64} << 30, 250};
  said.interval = 2s;
  said.validity = 5s;
  return said;
}

/// A packet of `key` with any payload, signed.
Bytes sealed(const crypto::PrivateKey& key, BytesView payload,
             std::string_view type = "/warren/beacon/1") {
  Bytes packet(kMagic.begin(), kMagic.end());
  append(packet, wire::seal_envelope(key, "warren-beacon", as_bytes(type), payload));
  return packet;
}

Bytes sealed(const crypto::PrivateKey& key, const proto::Beacon& message) {
  return sealed(key, wire::serialize(message));
}

proto::Beacon message_of_one() {
  proto::Beacon message;
  message.set_serial(1);
  message.set_sent_at_ms(1);
  return message;
}

std::string error_of(BytesView packet) {
  const auto said = read_unproven(packet);
  return said ? "none" : std::string(error_name(said.error().code()));
}

TEST(Beacon, PeerInfoWireRoundtrip) {
  const auto key = make_key(1);
  const Bytes packet = seal(key, sample());
  const auto sender = claimed_sender(packet);
  ASSERT_TRUE(sender);
  EXPECT_EQ(peer_of(*sender), testing::id_of(key));
  const auto said = read_unproven(packet);
  ASSERT_TRUE(said) << said.error().message();
  EXPECT_EQ(*said, sample());
  EXPECT_TRUE(is_proven(packet));
  EXPECT_EQ(seal(key, sample()), packet);  // The same bytes each time.
}

TEST(Beacon, AGoodbyeAndTheGreatestNumbersSurvive) {
  Announcement said = sample();
  said.goodbye = true;
  said.spare = {UINT64_MAX, UINT64_MAX};
  said.addresses.clear();
  EXPECT_EQ(read_unproven(seal(make_key(1), said)).value(), said);
}

TEST(BeaconCodec, MoreAddressesThanAPacketHoldsAreLeftOut) {
  Announcement said = sample();
  said.addresses.clear();
  for (int i = 0; i < 40; ++i) {
    said.addresses.push_back(address(fmt::format("/ip4/192.0.2.1/tcp/{}", 4'000 + i)));
  }
  const Announcement kept = read_unproven(seal(make_key(1), said)).value();
  ASSERT_EQ(kept.addresses.size(), kAddressesMax);
  EXPECT_EQ(kept.addresses[0], said.addresses[0]);

  std::string certhash;
  for (int i = 0; i < 3; ++i)
    certhash += "/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ";
  for (std::size_t i = 0; i < said.addresses.size(); ++i) {
    said.addresses[i] =
        address(fmt::format("/ip4/192.0.2.1/udp/{}/quic-v1/webtransport{}", 4'000 + i, certhash));
  }
  const Bytes packet = seal(make_key(1), said);
  EXPECT_LE(packet.size(), kPacketBytesMax);
  EXPECT_GE(packet.size(), 900u);
  EXPECT_LT(read_unproven(packet).value().addresses.size(), kAddressesMax);
}

TEST(BeaconCodec, EveryFlippedBitIsNoticed) {
  const Bytes packet = seal(make_key(1), sample());
  for (std::size_t at = 0; at < packet.size(); ++at) {
    Bytes changed = packet;
    changed[at] ^= static_cast<std::uint8_t>(1u << (at % 8));
    EXPECT_FALSE(read_unproven(changed) && is_proven(changed)) << at;
  }
}

TEST(BeaconCodec, EveryCutIsRefused) {
  const Bytes packet = seal(make_key(1), sample());
  for (std::size_t size = 0; size < packet.size(); ++size) {
    const BytesView cut = BytesView(packet).first(size);
    EXPECT_FALSE(read_unproven(cut) && is_proven(cut)) << size;
  }
}

TEST(BeaconCodec, WhatIsNoBeaconIsRefused) {
  const auto key = make_key(1);
  const Bytes good = seal(key, sample());
  Bytes other = good;
  other[0] = 'X';
  EXPECT_EQ(error_of(other), "malformed");
  other = good;
  other[4] = 2;
  EXPECT_EQ(error_of(other), "unsupported");
  other = good;
  other[6] = 0x25;  // A key of another length.
  EXPECT_EQ(error_of(other), "unsupported");
  other = good;
  other.resize(kPacketBytesMax + 1);
  EXPECT_EQ(error_of(other), "malformed");
  EXPECT_EQ(error_of({}), "malformed");

  EXPECT_EQ(error_of(sealed(key, message_of_one())), "none");
  EXPECT_EQ(error_of(sealed(key, wire::serialize(message_of_one()), "/warren/beacon/2")),
            "malformed");
  EXPECT_EQ(error_of(sealed(key, Bytes{0xff})), "malformed");
  proto::Beacon message = message_of_one();
  message.clear_serial();
  EXPECT_EQ(error_of(sealed(key, message)), "malformed");
  message.set_serial(UINT64_MAX);
  EXPECT_EQ(error_of(sealed(key, message)), "malformed");
  message = message_of_one();
  message.set_sent_at_ms(UINT64_MAX);
  EXPECT_EQ(error_of(sealed(key, message)), "malformed");
  message = message_of_one();
  for (std::size_t i = 0; i < kAddressesMax + 1; ++i) message.add_addresses("\x04");
  EXPECT_EQ(error_of(sealed(key, message)), "too_large");
}

TEST(BeaconCodec, ASecondKeyBehindTheFirstIsRefused) {
  // The last one would count: the packet would claim one sender and prove another.
  Bytes packet = seal(make_key(1), sample());
  Bytes second{0x0a, 0x24};
  append(second, make_key(2).public_key().protobuf());
  append(packet, second);
  EXPECT_EQ(error_of(packet), "malformed");
}

TEST(BeaconCodec, ASignatureForAnotherPurposeProvesNothing) {
  const auto key = make_key(1);
  Bytes packet(kMagic.begin(), kMagic.end());
  append(packet, wire::seal_envelope(key, "libp2p-peer-record", as_bytes("/warren/beacon/1"),
                                     wire::serialize(message_of_one())));
  EXPECT_EQ(error_of(packet), "none");
  EXPECT_FALSE(is_proven(packet));
}

TEST(BeaconCodec, UnreadableAddressesAndLongPeriodsAreCutDown) {
  proto::Beacon message = message_of_one();
  message.add_addresses("\xff\xff\xff");
  message.add_addresses(std::string(as_text(address("/ip4/192.0.2.1/tcp/1").bytes())));
  message.set_interval_ms(UINT32_MAX);
  const Announcement said = read_unproven(sealed(make_key(1), message)).value();
  EXPECT_EQ(said.addresses, std::vector{address("/ip4/192.0.2.1/tcp/1")});
  EXPECT_EQ(said.interval, 1h);
}

// The vector of docs/protocols/beacon.md: hexadecimal, in the block behind "Test vector".
TEST(BeaconCodec, TheDocumentedTestVectorIsWhatIsSent) {
  const std::string here = __FILE__;
  const std::string top = here.substr(0, here.rfind("src/discovery/beacon"));
  std::ifstream file(top + "docs/protocols/beacon.md");
  if (!file) GTEST_SKIP() << "the documents are not here";
  std::stringstream text;
  text << file.rdbuf();
  const std::string page = text.str();
  const std::size_t from = page.find("```\n", page.find("## Test vector")) + 4;
  std::string hex;
  for (const char c : page.substr(from, page.find("```", from) - from)) {
    if (c != ' ' && c != '\n') hex += c;
  }
  EXPECT_EQ(hex, to_hex(seal(make_key(0x2a, 0x2a2a), sample())));
}

}  // namespace
}  // namespace warren::discovery::beacon
