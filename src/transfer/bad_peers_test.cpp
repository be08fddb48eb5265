#include "transfer/bad_peers.hpp"

#include <gtest/gtest.h>

#include "crypto/keys.hpp"

namespace warren::transfer {
namespace {

PeerId peer(std::uint8_t number) {
  const auto key = crypto::PrivateKey::from_seed(Bytes(32, number));
  return PeerId::from_public_key(key.public_key().protobuf());
}

TEST(BadPeers, BansForAnHourAfterThreeInTenMinutes) {
  BadPeers bad;
  TimePoint now(1h);
  EXPECT_FALSE(bad.on_bad_chunk(peer(1), now));
  EXPECT_FALSE(bad.on_bad_chunk(peer(1), now + 9min));
  EXPECT_FALSE(bad.on_bad_chunk(peer(1), now + 11min)) << "the first is too long ago";
  EXPECT_FALSE(bad.banned(peer(1), now + 11min));
  EXPECT_TRUE(bad.on_bad_chunk(peer(1), now + 12min));
  EXPECT_TRUE(bad.banned(peer(1), now + 71min));
  EXPECT_FALSE(bad.banned(peer(1), now + 72min));
  EXPECT_FALSE(bad.banned(peer(2), now + 13min));
}

}  // namespace
}  // namespace warren::transfer
