// What a person wants to have, and what is lacking for it.

#include <gtest/gtest.h>

#include "catalog/catalog_store.hpp"
#include "catalog/listings_for_test.hpp"

namespace warren::catalog {
namespace {

using fakes::at;
using fakes::listing;
using fakes::peer;

class CatalogWantedTest : public testing::Test {
 protected:
  CatalogWantedTest() { store = std::move(*CatalogStore::open(":memory:", limits())); }
  static limits::Catalog limits() {
    limits::Catalog made;
    made.patterns_max = 3;
    return made;
  }
  void tell(std::uint8_t who, std::vector<Listing> listings, std::uint64_t number = 1) {
    const CatalogWrite write{true, true, true, {7, number}, std::move(listings), {}, std::nullopt};
    ASSERT_TRUE(store->write(peer(who), write, at(who)));
  }
  using Texts = std::vector<std::string>;
  Texts lacking(const std::string& topic = "", std::string_view after = "",
                std::size_t count = 100) {
    return *store->lacking(peer(9), topic, after, count);
  }
  Texts patterns() {
    Texts all;
    for (const Subscription& each : *store->subscriptions()) {
      all.push_back(each.pattern + (each.on_demand ? " on demand" : ""));
    }
    return all;
  }
  Texts outdated() {
    Texts all;
    for (const CatalogStore::Outdated& each : *store->outdated("", 100)) {
      all.push_back(each.replica.id + " " + each.listing.version);
    }
    return all;
  }

  std::unique_ptr<CatalogStore> store;
};

TEST_F(CatalogWantedTest, SubscriptionsAreKeptOnceAndBounded) {
  ASSERT_TRUE(store->subscribe({"weather/*", false, at(1)}));
  ASSERT_TRUE(store->subscribe({"*/papers", true, at(2)}));
  ASSERT_TRUE(store->subscribe({"weather/*", true, at(3)}));
  EXPECT_EQ(patterns(), (Texts{"*/papers on demand", "weather/* on demand"}));
  EXPECT_EQ(store->subscribe({"a//b", false, at(4)}).error().code(), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(store->subscribe({"*", false, at(5)}));
  EXPECT_EQ(store->subscribe({"more", false, at(6)}).error().code(), ErrorCode::kLimited);
  EXPECT_TRUE(store->subscribe({"*", true, at(7)})) << "one that is there has room";
  ASSERT_TRUE(store->unsubscribe("weather/*"));
  EXPECT_EQ(store->unsubscribe("weather/*").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(patterns(), (Texts{"* on demand", "*/papers on demand"}));
}

TEST_F(CatalogWantedTest, WhatOthersHaveAndThisNodeHasNotIsLacking) {
  Listing hashing = listing("hashing", "1", "weather");
  hashing.root.reset();
  hashing.availability = library::Availability::kHashing;
  tell(1, {listing("chess", "1", "games"), hashing, listing("rain", "1", "weather/eu"),
           listing("snow", "1", "weather")});
  tell(2, {listing("plain"), listing("rain", "2", "weather/eu")});
  EXPECT_EQ(lacking(), (Texts{"chess", "plain", "rain", "snow"})) << "nothing is here";
  tell(9, {listing("snow", "old", "weather")});
  EXPECT_EQ(lacking(), (Texts{"chess", "plain", "rain"})) << "whatever its version";
  EXPECT_EQ(lacking("weather/*"), (Texts{"rain"}));
  EXPECT_EQ(lacking("weather"), Texts{});
  EXPECT_EQ(lacking("*"), (Texts{"chess", "plain", "rain"}));
  EXPECT_EQ(lacking("", "chess", 1), (Texts{"plain"}));
  EXPECT_FALSE(store->lacking(peer(9), "no topic", "", 1));
}

TEST_F(CatalogWantedTest, AReplicaIsOutdatedWhenThePeerThatItFollowsHasAnother) {
  tell(1, {listing("rain", "1"), listing("snow", "1")});
  for (const char* id : {"rain", "snow"}) {
    ASSERT_TRUE(store->put_replica({id, peer(1), *listing(id, "1").root}));
  }
  EXPECT_EQ(outdated(), Texts{});
  tell(2, {listing("rain", "0")});
  EXPECT_EQ(outdated(), Texts{}) << "others are not followed";
  tell(1, {listing("rain", "2"), listing("snow", "1")}, 2);
  EXPECT_EQ(outdated(), (Texts{"rain 2"}));
  ASSERT_TRUE(store->put_replica({"rain", peer(1), *listing("rain", "2").root}));
  EXPECT_EQ(outdated(), Texts{});
  tell(1, {listing("snow", "3")}, 3);
  ASSERT_TRUE(store->forget_replica("snow"));
  EXPECT_EQ(outdated(), Texts{});
}

TEST_F(CatalogWantedTest, TopicsAreCountedByEntriesNotByPeers) {
  tell(1, {listing("chess", "1", "games"), listing("rain", "1", "weather"), listing("plain")});
  tell(2, {listing("chess", "2", "games"), listing("snow", "1", "weather")});
  const auto topics = store->topics(0, 0);
  ASSERT_TRUE(topics);
  ASSERT_EQ(topics->size(), 2u);
  EXPECT_EQ((*topics)[0].topic, "games");
  EXPECT_EQ((*topics)[0].entries, 1u);
  EXPECT_EQ((*topics)[1].entries, 2u);
  EXPECT_EQ(store->topics(1, 1)->front().topic, "weather");
}

TEST_F(CatalogWantedTest, PeersThatDisagreeAreCounted) {
  tell(1, {listing("chess", "1"), listing("rain", "1")});
  tell(2, {listing("chess", "2"), listing("rain", "1")});
  const auto page = store->list({});
  ASSERT_TRUE(page);
  std::vector<std::uint64_t> roots;
  for (const CatalogEntry& entry : page->entries) roots.push_back(entry.roots_count);
  EXPECT_EQ(roots, (std::vector<std::uint64_t>{2, 2, 1}));
}

}  // namespace
}  // namespace warren::catalog
