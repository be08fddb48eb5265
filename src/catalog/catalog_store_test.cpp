#include "catalog/catalog_store.hpp"

#include <SQLiteCpp/Database.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "catalog/listings_for_test.hpp"
#include "catalog/patterns.hpp"

namespace warren::catalog {
namespace {

using fakes::at;
using fakes::listing;
using fakes::peer;

class CatalogStoreTest : public testing::Test {
 protected:
  CatalogStoreTest() {
    folder = std::filesystem::path(testing::TempDir()) /
             ("catalog-store-" + std::to_string(getpid()) + "-" +
              testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directory(folder);
    open();
  }
  ~CatalogStoreTest() override { std::filesystem::remove_all(folder); }

  /// As after a kill: nothing was said to the one before.
  void open() {
    store.reset();
    auto opened = CatalogStore::open((folder / "catalog.db").string(), limits);
    ASSERT_TRUE(opened) << opened.error().message();
    store = std::move(*opened);
  }
  static CatalogWrite snapshot(std::vector<Listing> listings, std::uint64_t number = 1) {
    return {true, true, true, {7, number}, std::move(listings), {}, std::nullopt};
  }
  static CatalogWrite delta(std::vector<Listing> put, std::vector<std::string> removed,
                            std::uint64_t number) {
    return {true, true, false, {7, number}, std::move(put), std::move(removed), std::nullopt};
  }
  CatalogWritten write(std::uint8_t who, const CatalogWrite& what, int when = 0) {
    const auto written = store->write(peer(who), what, at(when));
    EXPECT_TRUE(written) << written.error().message();
    return written.value_or(CatalogWritten{});
  }
  std::vector<std::string> ids_of(std::uint8_t who) {
    std::vector<std::string> ids;
    const auto listings = store->entries_of(peer(who), "", 100);
    EXPECT_TRUE(listings);
    for (const Listing& each : *listings) ids.push_back(each.id);
    return ids;
  }
  std::vector<std::string> listed(const CatalogQuery& query) {
    std::vector<std::string> ids;
    const auto page = store->list(query);
    EXPECT_TRUE(page) << page.error().message();
    for (const CatalogEntry& each : page->entries) ids.push_back(each.listing.id);
    return ids;
  }
  using Ids = std::vector<std::string>;

  limits::Catalog limits;
  std::filesystem::path folder;
  std::unique_ptr<CatalogStore> store;
};

TEST_F(CatalogStoreTest, ASnapshotReplacesADeltaChangesAndBothKeepTheDigest) {
  write(1, snapshot({listing("a"), listing("b")}));
  const CatalogWritten written = write(1, delta({listing("b", "2"), listing("c")}, {"a"}, 2));
  EXPECT_EQ(ids_of(1), (Ids{"b", "c"}));
  SetDigest digest;
  digest.add(library::digest_of(listing("b", "2")));
  digest.add(library::digest_of(listing("c")));
  EXPECT_EQ(written.known, (Summary{{7, 2}, digest, 2}));
  EXPECT_EQ(*store->known(peer(1)), written.known);
  EXPECT_EQ(store->entries_of(peer(1), "b", 1)->front(), listing("c"));
  write(1, snapshot({listing("z")}, 3));
  EXPECT_EQ(ids_of(1), Ids{"z"});
}

TEST_F(CatalogStoreTest, ADeltaTwiceGivesTheSame) {
  write(1, snapshot({listing("a"), listing("b")}));
  const auto change = delta({listing("b", "2")}, {"a", "never there"}, 2);
  const auto once = write(1, change);
  EXPECT_EQ(write(1, change).known, once.known);
}

TEST_F(CatalogStoreTest, PartsCountTogetherOrNotAtAll) {
  write(1, snapshot({listing("a")}));
  CatalogWrite first = snapshot({listing("b")}, 2);
  first.last = false;
  write(1, first);
  EXPECT_EQ(ids_of(1), Ids{"a"});
  EXPECT_EQ(store->known(peer(1))->revision, (Revision{7, 1}));
  CatalogWrite last = snapshot({listing("c")}, 2);
  last.first = false;
  write(1, last);
  EXPECT_EQ(ids_of(1), (Ids{"b", "c"}));
}

TEST_F(CatalogStoreTest, AfterARestartTheOldSetIsThereAndPartsAreGone) {
  const CatalogWritten before = write(1, snapshot({listing("a")}));
  CatalogWrite first = snapshot({listing("b")}, 2);
  first.last = false;
  write(1, first);
  open();
  EXPECT_EQ(*store->known(peer(1)), before.known);
  CatalogWrite last = snapshot({listing("c")}, 3);
  last.first = false;
  write(1, last);
  EXPECT_EQ(ids_of(1), Ids{"c"}) << "without the part of before";
}

TEST_F(CatalogStoreTest, AWrongDigestChangesNothing) {
  const CatalogWritten before = write(1, snapshot({listing("a")}));
  CatalogWrite wrong = delta({listing("b")}, {"a"}, 2);
  wrong.digest = SetDigest{};
  const CatalogWritten refused = write(1, wrong);
  EXPECT_FALSE(refused.matches);
  EXPECT_EQ(refused.known, before.known);
  EXPECT_EQ(ids_of(1), Ids{"a"});
  CatalogWrite wrong_snapshot = snapshot({listing("b")}, 2);
  wrong_snapshot.digest = SetDigest{};
  EXPECT_FALSE(write(1, wrong_snapshot).matches);
  EXPECT_EQ(ids_of(1), Ids{"a"});
}

TEST_F(CatalogStoreTest, TooManyEntriesOfOnePeerAreRefused) {
  limits.entries_per_peer_max = 3;
  open();
  write(1, snapshot({listing("a"), listing("b"), listing("c")}));
  const auto beyond = store->write(peer(1), delta({listing("d")}, {}, 2), at(0));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code(), ErrorCode::kLimited);
  EXPECT_EQ(ids_of(1).size(), 3u);
  CatalogWrite endless = snapshot({listing("e"), listing("f")}, 2);
  endless.last = false;
  write(1, endless);
  endless.first = false;
  EXPECT_FALSE(store->write(peer(1), endless, at(0))) << "also in parts that never end";
}

TEST_F(CatalogStoreTest, WhoWasSeenLongestAgoMakesRoom) {
  limits.peers_max = 2;
  limits.entries_max = 4;
  open();
  write(1, snapshot({listing("a"), listing("b")}), 1);
  write(2, snapshot({listing("c"), listing("d")}), 2);
  ASSERT_TRUE(store->seen(peer(1), Mode::kFull, at(3)));
  write(3, snapshot({listing("e")}), 4);
  EXPECT_TRUE(ids_of(2).empty()) << "the peers";
  EXPECT_EQ(ids_of(1).size(), 2u);
  write(3, snapshot({listing("e"), listing("f"), listing("g")}, 2), 5);
  EXPECT_TRUE(ids_of(1).empty()) << "the entries";
  ASSERT_EQ(store->peers()->size(), 1u);
  EXPECT_EQ(store->peers()->front().known.count, 3u);
}

TEST_F(CatalogStoreTest, PeersAreListedWithWhatIsKnownOfThem) {
  ASSERT_TRUE(store->seen(peer(1), Mode::kFull, at(1)));
  ASSERT_TRUE(store->seen(peer(2), Mode::kProxy, at(2)));
  ASSERT_TRUE(store->adopt(peer(1), {7, 9}, at(3)));
  const auto peers = store->peers();
  ASSERT_TRUE(peers && peers->size() == 2);
  EXPECT_EQ((*peers)[0].peer, peer(1));
  EXPECT_EQ((*peers)[0].mode, Mode::kFull);
  EXPECT_EQ((*peers)[0].last_seen, at(3));
  EXPECT_EQ((*peers)[0].known.revision, (Revision{7, 9}));
  EXPECT_EQ((*peers)[1].mode, Mode::kProxy);
  ASSERT_TRUE(store->forget(peer(1)));
  EXPECT_EQ(store->peers()->size(), 1u);
}

TEST_F(CatalogStoreTest, EqualEntriesAreOneWithAllTheirPeers) {
  Listing hashing = listing("a", "3");
  hashing.root.reset();
  hashing.availability = library::Availability::kHashing;
  Listing downloading = listing("a");
  downloading.availability = library::Availability::kDownloading;
  write(1, snapshot({listing("a"), listing("b")}), 1);
  write(2, snapshot({listing("a")}), 2);
  write(3, snapshot({downloading}), 3);
  write(4, snapshot({listing("a", "2")}), 4);
  write(5, snapshot({hashing}), 5);
  const auto page = store->list({.id = "a"});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->total, 3u) << "three contents of one id are three entries";
  const auto same = std::ranges::find_if(page->entries, [](const CatalogEntry& each) {
    return each.listing.root == listing("a").root;
  });
  ASSERT_NE(same, page->entries.end());
  EXPECT_EQ(same->peers_count, 3u);
  EXPECT_EQ(same->ready_count, 2u);
  EXPECT_EQ(same->peers, (std::vector{peer(3), peer(2), peer(1)})) << "the one seen last first";
  EXPECT_EQ(same->listing, downloading) << "as that one says it";
  EXPECT_EQ(same->last_seen, at(3));
  const auto offers = store->find("a");
  ASSERT_TRUE(offers);
  ASSERT_EQ(offers->size(), 5u);
  EXPECT_EQ(offers->front().peer, peer(5));
  EXPECT_EQ(offers->front().listing, hashing);
  EXPECT_TRUE(store->find("nothing")->empty());
}

TEST_F(CatalogStoreTest, SearchGoesByIdNameAndTopicInPages) {
  write(1, snapshot({listing("alps", "1", "weather/alps"), listing("sea", "1", "weather"),
                     listing("optics", "1", "physics/papers"), listing("none")}));
  EXPECT_EQ(listed({}), (Ids{"alps", "none", "optics", "sea"}));
  EXPECT_EQ(listed({.topic = "*"}).size(), 4u);
  EXPECT_EQ(listed({.topic = "weather"}), Ids{"sea"});
  EXPECT_EQ(listed({.topic = "weather/*"}), (Ids{"alps", "sea"}));
  EXPECT_EQ(listed({.topic = "*/papers"}), Ids{"optics"});
  EXPECT_EQ(listed({.id = "sea"}), Ids{"sea"});
  EXPECT_EQ(listed({.name = "THE S"}), Ids{"sea"}) << "its name is 'The sea'";
  EXPECT_EQ(listed({.name = "*s"}), (Ids{"alps", "optics"}));
  EXPECT_EQ(listed({.topic = "weather/*", .name = "alp"}), Ids{"alps"});
  EXPECT_EQ(listed({.limit = 2, .offset = 1}), (Ids{"none", "optics"}));
  EXPECT_EQ(store->list({.limit = 1})->total, 4u);
  const auto bad = store->list({.topic = "a//b"});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(CatalogStoreTest, TheDatabaseMatchesAsTheRuleSays) {
  const Ids names = {"abc", "aXc", "a[c", "gr\xc3\xbcn", "a*c", "[a]", "ac", "x-abc-y", "ABC"};
  std::vector<Listing> listings;
  for (const std::string& name : names) {
    listings.push_back(listing(name));
    listings.back().name = name;
  }
  write(1, snapshot(listings));
  for (const char* pattern :
       {"abc", "a?c", "a[c", "[a]", "a*c", "gr?n", "*", "?", "[", "B", "a**c"}) {
    Ids expected;
    for (const std::string& name : names) {
      if (name_matches(pattern, name)) expected.push_back(name);
    }
    std::ranges::sort(expected);
    EXPECT_EQ(listed({.name = pattern}), expected) << pattern;
  }
}

TEST_F(CatalogStoreTest, RowsThatMakeNoSenseAreLeftOutAndToldAgain) {
  write(1, snapshot({listing("a"), listing("b")}));
  store.reset();
  {
    SQLite::Database raw((folder / "catalog.db").string(), SQLite::OPEN_READWRITE);
    raw.exec("UPDATE entries SET topic = 'a//b', manifest = x'00' WHERE id = 'a'");
  }
  open();
  EXPECT_EQ(ids_of(1), Ids{"b"});
  EXPECT_EQ(listed({}), Ids{"b"});
  EXPECT_FALSE(write(1, delta({listing("a", "2")}, {}, 2)).matches);
  EXPECT_TRUE(write(1, snapshot({listing("a"), listing("b")}, 3)).matches);
  EXPECT_EQ(ids_of(1), (Ids{"a", "b"}));
}

}  // namespace
}  // namespace warren::catalog
