// Peers whose identity is not Ed25519.

#include <gtest/gtest.h>

#include "crypto/foreign_identity_for_test.hpp"
#include "multiformats/peer_id.hpp"
#include "proto/noise.pb.h"
#include "security/noise/payload.hpp"
#include "wire/message.hpp"

namespace warren::security::noise {
namespace {

using crypto::KeyType;

class NoiseKeyTypes : public testing::TestWithParam<KeyType> {};

TEST_P(NoiseKeyTypes, ProveThemselvesAndOnlyForTheirStaticKey) {
  const crypto::ForeignIdentity foreign(GetParam());
  PublicBytes static_key{};
  static_key.fill(2);
  Bytes statement = to_bytes("noise-libp2p-static-key:");
  append(statement, static_key);
  proto::noise::HandshakePayload message;
  message.set_identity_key(std::string(as_text(foreign.protobuf())));
  message.set_identity_sig(std::string(as_text(foreign.sign(statement))));
  const auto payload = read_payload(wire::serialize(message), static_key);
  ASSERT_TRUE(payload) << payload.error().message();
  EXPECT_EQ(payload->identity.type(), GetParam());
  EXPECT_EQ(PeerId::from_public_key(payload->identity.protobuf()),
            PeerId::from_public_key(foreign.protobuf()));
  static_key.fill(3);
  const auto another = read_payload(wire::serialize(message), static_key);
  ASSERT_FALSE(another);
  EXPECT_EQ(another.error().code(), ErrorCode::kIntegrity);
}

INSTANTIATE_TEST_SUITE_P(All, NoiseKeyTypes,
                         testing::Values(KeyType::kRsa, KeyType::kSecp256k1, KeyType::kEcdsa));

}  // namespace
}  // namespace warren::security::noise
