#include "security/noise/x25519.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "multiformats/test_hex.hpp"
#include "security/noise/test_support.hpp"

namespace warren::security::noise {
namespace {

using multiformats::from_hex;

PublicBytes public_from(std::string_view hex) {
  PublicBytes key{};
  std::ranges::copy(from_hex(hex), key.begin());
  return key;
}

// Source: RFC 7748, section 6.1.
TEST(X25519, AgreesAsTheRfcDoes) {
  const auto alice = KeyPair::from_private(
      from_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  const auto bob = KeyPair::from_private(
      from_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  EXPECT_EQ(to_hex(alice.public_bytes()),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(bob.public_bytes()),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const std::string shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  EXPECT_EQ(to_hex(alice.agree(bob.public_bytes())->bytes()), shared);
  EXPECT_EQ(to_hex(bob.agree(alice.public_bytes())->bytes()), shared);
}

// The points of small order, reduced and not. Source: https://cr.yp.to/ecdh.html, "How do I
// validate Curve25519 public keys?".
TEST(X25519, RefusesEveryKeyThatMakesAKnownSecret) {
  const auto ours = KeyPair::generate(random_from(1));
  for (const std::string_view hex : {
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0100000000000000000000000000000000000000000000000000000000000000",
           "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
           "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "0000000000000000000000000000000000000000000000000000000000000080",
       }) {
    const auto secret = ours.agree(public_from(hex));
    ASSERT_FALSE(secret) << hex;
    EXPECT_EQ(secret.error().code(), ErrorCode::kIntegrity);
  }
}

TEST(X25519, NewKeysComeFromTheRandomnessGiven) {
  const auto one = KeyPair::generate(random_from(1));
  EXPECT_EQ(one.public_bytes(), KeyPair::generate(random_from(1)).public_bytes());
  EXPECT_NE(one.public_bytes(), KeyPair::generate(random_from(2)).public_bytes());
}

}  // namespace
}  // namespace warren::security::noise
