#include "wire/envelope.hpp"

#include <gtest/gtest.h>

#include "multiformats/test_hex.hpp"
#include "proto/envelope.pb.h"
#include "wire/message.hpp"

namespace warren::wire {
namespace {

using crypto::PrivateKey;
using multiformats::from_hex;

// Made with js-libp2p from the Ed25519 seed of 32 bytes 0x01.
constexpr std::string_view kEnvelopeHex =
    "0a24080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c120203011a360a2600"
    "2408"
    "0112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c10011a0a0a08047f00000106"
    "0fa1"
    "2a405952f57af52b9b47bcc535948fb676f46e91cbf51966f2efb7f0232827007dcfd3ed3907dac95a4d73cf3ed767"
    "a421"
    "08017b8fcdd9f18413dcd18ed8a043de0f";
constexpr std::string_view kPayloadHex =
    "0a260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c10011a0a0a0804"
    "7f00"
    "0001060fa1";
constexpr std::string_view kDomain = "libp2p-peer-record";
const Bytes kType = {0x03, 0x01};

PrivateKey key() { return PrivateKey::from_seed(Bytes(32, 1)); }

ErrorCode refusal(BytesView bytes, std::string_view domain = kDomain) {
  const auto opened = open_envelope(bytes, domain, kType);
  EXPECT_FALSE(opened) << "accepted";
  return opened ? ErrorCode::kInternal : opened.error().code();
}

TEST(Envelope, IsTheSameThatJavaScriptMakes) {
  EXPECT_EQ(to_hex(seal_envelope(key(), kDomain, kType, from_hex(kPayloadHex))), kEnvelopeHex);
}

TEST(Envelope, OpensWhatJavaScriptMade) {
  const auto opened = open_envelope(from_hex(kEnvelopeHex), kDomain, kType);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->key, key().public_key());
  EXPECT_EQ(opened->payload_type, kType);
  EXPECT_EQ(to_hex(opened->payload), kPayloadHex);
}

TEST(Envelope, ServesNoOtherPurpose) {
  EXPECT_EQ(refusal(from_hex(kEnvelopeHex), "libp2p-relay-rsvp"), ErrorCode::kIntegrity);
  const auto opened = open_envelope(from_hex(kEnvelopeHex), kDomain, Bytes{3, 2});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kMalformed);
  EXPECT_NE(opened.error().message().find("0301"), std::string::npos);
}

TEST(Envelope, RefusesEveryFlippedBitAndEveryCut) {
  const Bytes good = from_hex(kEnvelopeHex);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes flipped = good;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << bit % 8);
    ASSERT_FALSE(open_envelope(flipped, kDomain, kType)) << "bit " << bit;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    ASSERT_FALSE(open_envelope(BytesView(good).first(size), kDomain, kType)) << size;
  }
}

TEST(Envelope, LengthsStandBetweenTheSignedParts) {
  // Moving a byte from the type to the payload must not leave the signature good.
  proto::Envelope envelope;
  const Bytes good = from_hex(kEnvelopeHex);
  ASSERT_TRUE(parse_into(envelope, good, "envelope"));
  envelope.set_payload(envelope.payload_type().substr(1) + envelope.payload());
  envelope.set_payload_type(envelope.payload_type().substr(0, 1));
  EXPECT_EQ(open_envelope(serialize(envelope), kDomain).error().code(), ErrorCode::kIntegrity);
}

TEST(Envelope, IsBounded) {
  EXPECT_EQ(refusal(seal_envelope(key(), kDomain, kType, Bytes(kEnvelopeBytesMax, 1))),
            ErrorCode::kTooLarge);
}

TEST(Envelope, CarriesAnyPayload) {
  const auto opened = open_envelope(seal_envelope(key(), "", {}, {}), "");
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_TRUE(opened->payload.empty() && opened->payload_type.empty());
}

}  // namespace
}  // namespace warren::wire
