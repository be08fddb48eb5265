#include "node/key_text.hpp"

#include <gtest/gtest.h>

#include "crypto/keys.hpp"

namespace warren::node {
namespace {

TEST(KeyText, AnEd25519KeyIsSixtyFourDigitsAndReadsBack) {
  const auto key = crypto::PrivateKey::from_seed(Bytes(32, 7)).public_key();
  const PeerId id = PeerId::from_public_key(key.protobuf());
  const std::string text = key_text(key.protobuf());
  EXPECT_EQ(text.size(), 64u);
  EXPECT_EQ(parse_key(text).value(), id);
  EXPECT_EQ(parse_key(id.to_string()).value(), id);
  EXPECT_EQ(parse_key(to_hex(key.protobuf())).value(), id) << "the whole message does as well";
}

TEST(KeyText, WhatIsNoKeyIsRefused) {
  for (const char* text : {"", "ab", "xyz", "12D3KooW"}) EXPECT_FALSE(parse_key(text)) << text;
  EXPECT_FALSE(parse_key(std::string(64, 'g')));
  EXPECT_FALSE(parse_key(std::string(1u << 20, 'a')));
}

TEST(KeyText, ARefusalNamesBoth) {
  const PeerId a = PeerId::from_public_key(Bytes(36, 1));
  const PeerId b = PeerId::from_public_key(Bytes(36, 2));
  const Error error = other_key(a, b);
  EXPECT_EQ(error.code(), ErrorCode::kDenied);
  EXPECT_NE(error.message().find(a.to_string()), std::string::npos);
  EXPECT_NE(error.message().find(b.to_string()), std::string::npos);
}

}  // namespace
}  // namespace warren::node
