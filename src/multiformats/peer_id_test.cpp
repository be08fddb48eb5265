#include "multiformats/peer_id.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_set>

#include "multiformats/test_hex.hpp"

namespace warren::multiformats {
namespace {

// Made with js-libp2p from the Ed25519 seed of 32 bytes 0x01.
constexpr std::string_view kKeyHex =
    "080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
constexpr std::string_view kIdHex =
    "0024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
constexpr std::string_view kIdText = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
constexpr std::string_view kIdCid =
    "bafzaajaiaejcbcui4poxicprsx6vfwznhs5f24wkm4e36hmucin7g5eiag2a6324";

TEST(PeerId, OfAnEd25519KeyIsTheKeyItself) {
  const PeerId id = PeerId::from_public_key(from_hex(kKeyHex));
  EXPECT_EQ(to_hex(id.bytes()), kIdHex);
  EXPECT_EQ(id.to_string(), kIdText);
  EXPECT_EQ(id.to_cid_string(), kIdCid);
  EXPECT_EQ(to_hex(id.inline_key()), kKeyHex);
}

TEST(PeerId, ReadsBothTexts) {
  const PeerId id = PeerId::from_public_key(from_hex(kKeyHex));
  EXPECT_EQ(PeerId::parse(kIdText), id);
  EXPECT_EQ(PeerId::parse(kIdCid), id);
}

// Source: libp2p specs, peer-ids/peer-ids.md, examples under "Decoding".
TEST(PeerId, ReadsTheExamplesOfTheSpecification) {
  const auto base58 = PeerId::parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N");
  const auto cid = PeerId::parse("bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe");
  ASSERT_TRUE(base58) << base58.error().message();
  ASSERT_TRUE(cid) << cid.error().message();
  EXPECT_EQ(*base58, *cid);
  EXPECT_EQ(to_hex(base58->bytes()),
            "12209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0b9");
  EXPECT_TRUE(base58->inline_key().empty());
  EXPECT_TRUE(PeerId::parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"));
}

TEST(PeerId, HashesKeysOfMoreThan42Bytes) {
  EXPECT_EQ(PeerId::from_public_key(Bytes(42, 7)).inline_key().size(), 42u);
  const PeerId hashed = PeerId::from_public_key(Bytes(43, 7));
  EXPECT_EQ(hashed.bytes().size(), 34u);
  EXPECT_TRUE(hashed.to_string().starts_with("Qm"));
}

TEST(PeerId, RefusesWhatIsNoPeerId) {
  for (const char* hex : {"", "00", "0000", "12", "1120da39a3ee", "0003616263ff",
                          "1113da39a3ee5e6b4b0d3255bfef95601890afd807"}) {
    const auto id = PeerId::from_bytes(from_hex(hex));
    ASSERT_FALSE(id) << hex;
    EXPECT_EQ(id.error().code(), ErrorCode::kMalformed) << hex;
  }
  Bytes inline_of_43 = {0x00, 43};
  inline_of_43.resize(45, 1);
  EXPECT_FALSE(PeerId::from_bytes(inline_of_43));
  for (const char* text : {"", "1", "Qm", "hello", "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fy0",
                           // A CID of a folder is no peer.
                           "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"}) {
    const auto id = PeerId::parse(text);
    ASSERT_FALSE(id) << text;
    EXPECT_EQ(id.error().code(), ErrorCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(PeerId::parse(std::string(1'000'000, '1')));
}

TEST(PeerId, EmptyIsNobody) {
  const PeerId nobody;
  EXPECT_TRUE(nobody.empty());
  EXPECT_EQ(nobody.to_string(), "");
  EXPECT_TRUE(nobody.inline_key().empty());
  std::unordered_set<PeerId> ids = {nobody, PeerId::from_public_key(from_hex(kKeyHex)), nobody};
  EXPECT_EQ(ids.size(), 2u);
}

RC_GTEST_PROP(PeerId, EveryTextComesBack, (const Bytes& seed)) {
  Bytes key = seed;
  key.push_back(1);
  const PeerId id = PeerId::from_public_key(key);
  RC_ASSERT(*PeerId::from_bytes(id.bytes()) == id);
  RC_ASSERT(*PeerId::parse(id.to_cid_string()) == id);
  // Only ids as short as no real key makes start with another character.
  if (id.to_string().starts_with("1") || id.to_string().starts_with("Qm")) {
    RC_ASSERT(*PeerId::parse(id.to_string()) == id);
  }
}

}  // namespace
}  // namespace warren::multiformats
