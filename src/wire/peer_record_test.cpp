#include "wire/peer_record.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "multiformats/test_hex.hpp"
#include "proto/peer_record.pb.h"
#include "wire/envelope.hpp"
#include "wire/message.hpp"

namespace warren::wire {
namespace {

using crypto::PrivateKey;
using multiformats::from_hex;

// Made with js-libp2p from the Ed25519 seed of 32 bytes 0x01: seq 1, /ip4/127.0.0.1/tcp/4001.
constexpr std::string_view kEnvelopeHex =
    "0a24080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c120203011a360a2600"
    "2408"
    "0112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c10011a0a0a08047f00000106"
    "0fa1"
    "2a405952f57af52b9b47bcc535948fb676f46e91cbf51966f2efb7f0232827007dcfd3ed3907dac95a4d73cf3ed767"
    "a421"
    "08017b8fcdd9f18413dcd18ed8a043de0f";
const Bytes kType = {0x03, 0x01};

PrivateKey key(std::uint8_t seed = 1) { return PrivateKey::from_seed(Bytes(32, seed)); }
PeerId peer_of(const PrivateKey& k) { return PeerId::from_public_key(k.public_key().protobuf()); }

TEST(PeerRecord, IsTheSameThatJavaScriptMakes) {
  EXPECT_EQ(to_hex(seal_peer_record(key(), 1, {*Multiaddr::parse("/ip4/127.0.0.1/tcp/4001")})),
            kEnvelopeHex);
}

TEST(PeerRecord, OpensWhatJavaScriptMade) {
  const auto record = open_peer_record(from_hex(kEnvelopeHex));
  ASSERT_TRUE(record) << record.error().message();
  EXPECT_EQ(record->peer, peer_of(key()));
  EXPECT_EQ(record->seq, 1u);
  ASSERT_EQ(record->addresses.size(), 1u);
  EXPECT_EQ(record->addresses[0].to_string(), "/ip4/127.0.0.1/tcp/4001");
}

TEST(PeerRecord, OpensTheFormOfTheSpecificationsText) {
  proto::PeerRecord record;
  record.set_peer_id(std::string(as_text(peer_of(key()).bytes())));
  record.set_seq(7);
  const Bytes sealed = seal_envelope(key(), "libp2p-routing-state",
                                     as_bytes("/libp2p/routing-state-record"), serialize(record));
  const auto opened = open_peer_record(sealed);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->seq, 7u);
  // The two forms do not mix.
  EXPECT_FALSE(
      open_peer_record(seal_envelope(key(), "libp2p-routing-state", kType, serialize(record))));
}

TEST(PeerRecord, SpeaksForItsSignerOnly) {
  proto::PeerRecord record;
  record.set_peer_id(std::string(as_text(peer_of(key(2)).bytes())));
  const auto opened =
      open_peer_record(seal_envelope(key(1), "libp2p-peer-record", kType, serialize(record)));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kIntegrity);
  EXPECT_NE(opened.error().message().find(peer_of(key(2)).to_string()), std::string::npos);
}

TEST(PeerRecord, LeavesOutAddressesThatItCannotRead) {
  proto::PeerRecord record;
  record.set_peer_id(std::string(as_text(peer_of(key()).bytes())));
  record.add_addresses()->set_multiaddr("\xff\xff\x7f");
  record.add_addresses();
  const Multiaddr good = *Multiaddr::parse("/ip4/192.0.2.1/udp/4001/quic-v1");
  record.add_addresses()->set_multiaddr(std::string(as_text(good.bytes())));
  const auto opened =
      open_peer_record(seal_envelope(key(), "libp2p-peer-record", kType, serialize(record)));
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->addresses, std::vector<Multiaddr>{good});
}

TEST(PeerRecord, KeepsNoMoreAddressesThanTheLimit) {
  const std::vector<Multiaddr> many(1000, *Multiaddr::parse("/ip4/192.0.2.1/tcp/1"));
  const auto opened = open_peer_record(seal_peer_record(key(), 1, many));
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->addresses.size(), limits::Messages{}.addresses_max);
}

TEST(PeerRecord, RefusesGarbage) {
  EXPECT_EQ(open_peer_record({}).error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(open_peer_record(Bytes(100, 0xff)).error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(open_peer_record(seal_envelope(key(), "libp2p-peer-record", kType, Bytes(9, 0xff)))
                .error()
                .code(),
            ErrorCode::kMalformed);
}

}  // namespace
}  // namespace warren::wire
