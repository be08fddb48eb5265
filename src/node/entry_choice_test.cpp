#include "node/entry_choice.hpp"

#include <gtest/gtest.h>

#include "crypto/keys.hpp"
#include "crypto/sha256.hpp"

namespace warren::node {
namespace {

PeerId peer(std::uint8_t seed) {
  return PeerId::from_public_key(
      crypto::PrivateKey::from_seed(Bytes(32, seed)).public_key().protobuf());
}

Cid root(std::string_view content) {
  return Cid{multiformats::Codec::kDagPb, Digest{crypto::sha256(as_bytes(content))}};
}

catalog::Offer offer(std::uint8_t from, std::string version, std::string_view content) {
  catalog::Offer made{peer(from), {}, {}};
  made.listing.id = "quake";
  made.listing.version = std::move(version);
  if (!content.empty()) made.listing.root = root(content);
  return made;
}

Result<EntryChoice> choose(std::string which, const std::vector<catalog::Offer>& offers,
                           std::string_view expected = "") {
  return choose_entry({"quake", std::move(which)}, offers, expected,
                      [](const PeerId& id) { return id.to_string(); });
}

TEST(EntryName, AnIdAndWhatIsBehindTheLastAt) {
  const auto plain = parse_entry_name("quake");
  ASSERT_EQ(plain.size(), 1u);
  EXPECT_EQ(plain[0].id, "quake");
  const auto with = parse_entry_name("a@b@1.0");
  ASSERT_EQ(with.size(), 2u);
  EXPECT_EQ(with[0].id, "a@b@1.0") << "an id may have one in it";
  EXPECT_EQ(with[1].id, "a@b");
  EXPECT_EQ(with[1].which, "1.0");
  EXPECT_EQ(parse_entry_name("quake@").size(), 1u);
  EXPECT_EQ(parse_entry_name("@1").size(), 1u);
}

TEST(EntryChoice, PeersThatAgreeAreSourcesOfOneThing) {
  const auto chosen = choose("", {offer(1, "1", "x"), offer(2, "1", "x"), offer(3, "2", "")});
  ASSERT_TRUE(chosen) << chosen.error().message();
  EXPECT_EQ(chosen->listing.root, root("x"));
  EXPECT_EQ(chosen->peers, (std::vector{peer(1), peer(2)}));
}

TEST(EntryChoice, WithSeveralThingsNoneIsGuessedAndEachHasItsCommand) {
  const std::vector offers{offer(1, "1", "x"), offer(2, "2", "y"), offer(3, "2", "y")};
  const auto refused = choose("", offers);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kConflict);
  for (const auto& each : offers) {
    EXPECT_NE(refused.error().message().find(each.peer.to_string()), std::string::npos);
  }
  EXPECT_EQ(refused.error().hint(), "choose one: warren get quake@1, or warren get quake@2");
  EXPECT_EQ(choose("1", offers)->listing.root, root("x"));
  EXPECT_EQ(choose("2", offers)->peers.size(), 2u);
  EXPECT_EQ(choose(root("y").to_string().substr(0, 20), offers)->listing.root, root("y"));
  EXPECT_EQ(choose("3", offers).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(choose("bafy", offers).error().code(), ErrorCode::kNotFound) << "all CIDs begin so";
}

TEST(EntryChoice, TheSameVersionWithOtherContentIsPickedByItsCid) {
  const std::vector offers{offer(1, "1", "x"), offer(2, "1", "y")};
  const auto refused = choose("1", offers);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kConflict);
  const std::string& hint = refused.error().hint();
  const std::size_t at = hint.find("quake@");
  ASSERT_NE(at, std::string::npos);
  const std::string word = hint.substr(at + 6, hint.find(',', at) - at - 6);
  EXPECT_EQ(choose(word, offers)->listing.root, root("x")) << word;
}

TEST(EntryChoice, OnlyTheExpectedVersionIsTaken) {
  const std::vector offers{offer(1, "1", "x"), offer(2, "2", "y")};
  EXPECT_EQ(choose("", offers, "2")->listing.root, root("y"));
  EXPECT_EQ(choose("1", offers, "2").error().code(), ErrorCode::kDenied);
  EXPECT_EQ(choose("", offers, "3").error().code(), ErrorCode::kDenied);
}

TEST(EntryChoice, WhatNobodyHasReadyIsNoChoice) {
  EXPECT_EQ(choose("", {offer(1, "1", "")}).error().code(), ErrorCode::kNoPeer);
  EXPECT_EQ(choose("", {}).error().code(), ErrorCode::kNoPeer);
}

TEST(EntryChoice, ACommandIsSafeToPaste) {
  EXPECT_EQ(shell_word("quake@1.32"), "quake@1.32");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("$(rm -r ~)"), "'$(rm -r ~)'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("-x"), "'-x'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(EntryChoice, AHintNamesTheCommandThatWasGiven) {
  const auto refused = choose("", {offer(1, "1", "x"), offer(2, "2", "y")});
  ASSERT_FALSE(refused);
  const Error streamed = for_command(refused.error(), "warren get ", "warren install --stream ");
  EXPECT_EQ(streamed.hint(),
            "choose one: warren install --stream quake@1, or warren install --stream quake@2");
  EXPECT_EQ(streamed.message(), refused.error().message());
  const Error update(ErrorCode::kConflict, "", "'warren update q@VERSION'");
  EXPECT_EQ(for_command(update, "warren update ", "warren update --stream ").hint(),
            "'warren update --stream q@VERSION'");
}

TEST(EntryChoice, WhatIsHiddenIsNoEntry) {
  for (const std::string_view id : {"quake", "a@b", "a.b"}) EXPECT_TRUE(check_entry_id(id)) << id;
  for (const std::string_view id : {".quake", ".warren-1.part", ".", "..", "", "a/b"}) {
    const auto refused = check_entry_id(id);
    ASSERT_FALSE(refused) << id;
    EXPECT_EQ(refused.error().code(), ErrorCode::kDenied);
  }
}

}  // namespace
}  // namespace warren::node
