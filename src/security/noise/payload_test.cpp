#include "security/noise/payload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "multiformats/test_hex.hpp"
#include "proto/noise.pb.h"
#include "security/noise/test_support.hpp"
#include "wire/message.hpp"

namespace warren::security::noise {
namespace {

using multiformats::from_hex;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr PublicBytes kStatic = [] {
  PublicBytes bytes{};
  bytes.fill(2);
  return bytes;
}();

// Made and accepted by js-libp2p: the identity key of seed 01 01 ... over a static key of 02 02 ...
constexpr std::string_view kVector =
    "0a24080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c1240bf04f6ca6f4b"
    "d06dd1116a0ccf78369c78137b88585b8bab01f468d22a3d06889a31f63fff6480ddc479d7ea0e9b82c872610cf3"
    "dae3035706e9df8ff512be0e220e120c2f79616d75782f312e302e30";

proto::noise::HandshakePayload good() {
  proto::noise::HandshakePayload message;
  EXPECT_TRUE(wire::parse_into(message, from_hex(kVector), "vector"));
  return message;
}

Result<Payload> read(const proto::noise::HandshakePayload& message) {
  return read_payload(wire::serialize(message), kStatic);
}

TEST(NoisePayload, IsWhatJavaScriptMakes) {
  EXPECT_EQ(to_hex(make_payload(identity_from(1), kStatic, {"/yamux/1.0.0"})), kVector);
  const auto payload = read_payload(from_hex(kVector), kStatic);
  ASSERT_TRUE(payload);
  EXPECT_EQ(payload->identity, identity_from(1).public_key());
  EXPECT_THAT(payload->muxers, ElementsAre("/yamux/1.0.0"));
}

TEST(NoisePayload, EarlyDataAndUnknownFieldsAreIgnored) {
  Bytes bytes = from_hex(kVector);
  append(bytes, from_hex("1a03414243"));    // Field 3, early data.
  append(bytes, from_hex("7a0158a00601"));  // Fields 15 and 100.
  const auto payload = read_payload(bytes, kStatic);
  ASSERT_TRUE(payload);
  EXPECT_THAT(payload->muxers, ElementsAre("/yamux/1.0.0"));
}

TEST(NoisePayload, WithoutExtensionsThereAreNoMuxers) {
  auto message = good();
  message.clear_extensions();
  ASSERT_TRUE(read(message));
  EXPECT_THAT(read(message)->muxers, IsEmpty());
  EXPECT_EQ(read_payload(make_payload(identity_from(1), kStatic, {}), kStatic)->muxers.size(), 0u);
}

TEST(NoisePayload, RefusesEverySignatureButTheRightOne) {
  auto message = good();
  for (std::size_t at = 0; at < 64; ++at) {
    auto bad = message;
    (*bad.mutable_identity_sig())[at] ^= 1;
    const auto payload = read(bad);
    ASSERT_FALSE(payload);
    EXPECT_EQ(payload.error().code(), ErrorCode::kIntegrity);
  }
  PublicBytes other = kStatic;
  other[31] ^= 1;
  EXPECT_EQ(read_payload(from_hex(kVector), other).error().code(), ErrorCode::kIntegrity);
  auto without = message;
  without.clear_identity_sig();
  EXPECT_EQ(read(without).error().code(), ErrorCode::kIntegrity);
  // The right signature under another key.
  auto swapped = message;
  swapped.set_identity_key(std::string(as_text(identity_from(9).public_key().protobuf())));
  EXPECT_EQ(read(swapped).error().code(), ErrorCode::kIntegrity);
  // A signature over the static key without the words before it.
  auto bare = message;
  bare.set_identity_sig(std::string(as_text(identity_from(1).sign(kStatic))));
  EXPECT_EQ(read(bare).error().code(), ErrorCode::kIntegrity);
}

TEST(NoisePayload, RefusesWhatIsNoPayload) {
  auto message = good();
  message.clear_identity_key();
  EXPECT_FALSE(read(message));
  EXPECT_FALSE(read_payload({}, kStatic));
  const Bytes bytes = from_hex(kVector);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    const auto payload = read_payload(BytesView(bytes).first(cut), kStatic);
    // Whole but for the extensions, which may be absent.
    EXPECT_EQ(payload.has_value(), cut == 104) << cut;
  }
  Bytes many = bytes;
  for (int i = 0; i < 100; ++i) append(many, from_hex("1a00"));
  EXPECT_EQ(read_payload(many, kStatic).error().code(), ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace warren::security::noise
