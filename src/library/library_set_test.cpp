// Revisions, digests and deltas: a peer that follows has what it may see, and nothing else.

#include "library/library_set.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "library/library_index.hpp"
#include "library/test_support.hpp"

namespace warren::library {
namespace {

using namespace test;

PublishedEntry entry(const std::string& id, unsigned number = 1, peers::AccessRule rule = {}) {
  return {listing(id, number), std::move(rule), 0, 0};
}

/// All that a visitor may see, read page by page.
std::map<std::string, Listing> pages(const LibrarySet& set, const peers::Visitor& visitor,
                                     std::size_t count) {
  std::map<std::string, Listing> all;
  std::string after;
  for (;;) {
    const auto page = set.page(visitor, after, count);
    if (page.empty()) return all;
    RC_ASSERT(page.size() <= count);
    for (const Listing& one : page) {
      RC_ASSERT(one.id > after);
      after = one.id;
      all.emplace(one.id, one);
    }
  }
}

TEST(LibrarySet, ADeltaSaysWhatCameChangedAndWent) {
  LibrarySet set;
  set.restore({5, 1}, 1, {});
  set.apply({entry("a"), entry("b"), entry("c")}, {});
  EXPECT_EQ(set.revision(), (Revision{5, 2}));
  set.apply({entry("b", 2), entry("d")}, {"a"});
  set.apply({}, {"d"});
  const auto all = set.changes(kNeighbour, {5, 1}, 100);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->to, (Revision{5, 4}));
  ASSERT_EQ(all->added.size(), 2u);
  EXPECT_TRUE(all->updated.empty());
  const auto some = set.changes(kNeighbour, {5, 2}, 100);
  EXPECT_TRUE(some->added.empty());
  ASSERT_EQ(some->updated.size(), 1u);
  EXPECT_EQ(some->updated[0], listing("b", 2));
  EXPECT_EQ(some->removed, (std::vector<std::string>{"a", "d"}));
  const auto none = set.changes(kNeighbour, {5, 4}, 100);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->to.number, 4u);
  EXPECT_TRUE(none->added.empty() && none->updated.empty() && none->removed.empty());
  set.check_invariants();
}

TEST(LibrarySet, WhatIsNotKnownAnyMoreIsNoDelta) {
  LibrarySet set;
  set.restore({5, 10}, 7, {});
  EXPECT_FALSE(set.changes(kNeighbour, {5, 6}, 100)) << "too old";
  EXPECT_TRUE(set.changes(kNeighbour, {5, 7}, 100));
  EXPECT_FALSE(set.changes(kNeighbour, {5, 11}, 100)) << "never reached";
  EXPECT_FALSE(set.changes(kNeighbour, {6, 10}, 100)) << "another epoch";
  EXPECT_FALSE(set.changes(kNeighbour, {}, 100)) << "none at all";
  set.begin_epoch(6, {});
  EXPECT_EQ(set.revision(), (Revision{6, 11}));
  EXPECT_FALSE(set.changes(kNeighbour, {5, 10}, 100));
  EXPECT_FALSE(set.changes(kNeighbour, {6, 10}, 100));
  EXPECT_TRUE(set.changes(kNeighbour, {6, 11}, 100));
}

TEST(LibrarySet, RemovalsAreBoundedAndDeltasBeginAfterThoseForgotten) {
  limits::Library limits;
  limits.removed_max = 3;
  LibrarySet set(limits);
  set.restore({5, 1}, 1, {});
  for (const char* id : {"a", "b", "c", "d", "e"}) set.apply({entry(id)}, {});
  set.apply({}, {"a", "b"});
  set.apply({}, {"c"});
  EXPECT_EQ(set.complete_since(), 1u);
  set.apply({}, {"d"});
  EXPECT_EQ(set.complete_since(), 7u) << "both of revision 7 are forgotten";
  EXPECT_FALSE(set.changes(kNeighbour, {5, 6}, 100));
  EXPECT_EQ(set.changes(kNeighbour, {5, 7}, 100)->removed.size(), 2u);
  set.check_invariants();
}

TEST(LibrarySet, OthersRulesDoNotShow) {
  LibrarySet set;
  set.restore({5, 1}, 1, {});
  set.apply({entry("lan"), entry("all", 1, kForAnyone), entry("key", 1, kForTrusted),
             entry("one", 1, kForStranger)},
            {});
  EXPECT_EQ(set.summary(kNeighbour).count, 2u);
  EXPECT_EQ(set.summary(kStranger).count, 2u);
  EXPECT_FALSE(set.find(kStranger, "lan"));
  EXPECT_TRUE(set.find(kStranger, "one"));
  EXPECT_FALSE(set.find(kFriend, "one"));
  EXPECT_TRUE(set.find(kFriend, "key"));
  EXPECT_NE(set.summary(kNeighbour).digest, set.summary(kStranger).digest);
  set.apply({}, {"key", "lan"});
  EXPECT_EQ(set.changes(kStranger, {5, 2}, 100)->removed, std::vector<std::string>());
  EXPECT_EQ(set.changes(kNeighbour, {5, 2}, 100)->removed, std::vector<std::string>{"lan"});
}

// A delta leaves out what a visitor may not see, so it cannot say that it may not see it any more.
TEST(LibrarySet, AnIdThatComesUnderAnotherRuleEndsTheDeltas) {
  LibrarySet set;
  set.restore({5, 1}, 1, {});
  set.apply({entry("a"), entry("b")}, {});
  set.apply({}, {"a"});
  set.apply({entry("a", 2, kForTrusted)}, {});
  EXPECT_FALSE(set.changes(kNeighbour, {5, 2}, 100)) << "it went, and came for others";
  set.apply({entry("b", 2, kForTrusted)}, {});
  EXPECT_FALSE(set.changes(kNeighbour, {5, 4}, 100)) << "it moved";
  EXPECT_EQ(set.summary(kNeighbour).count, 0u);
  set.check_invariants();
}

TEST(LibrarySet, ListenersAreToldOnceAndMayEndAnyOfThem) {
  LibrarySet set;
  set.restore({5, 1}, 1, {});
  int first = 0;
  int second = 0;
  std::function<void()> end_second;
  const auto end_first = set.on_changed([&] {
    ++first;
    end_second();
  });
  end_second = set.on_changed([&] { ++second; });
  set.apply({entry("a"), entry("b")}, {});
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0) << "ended by the first";
  end_first();
  end_first();
  set.begin_epoch(6, {});
  set.apply({}, {});
  EXPECT_EQ(first, 1);
  auto other = std::make_unique<LibrarySet>();
  const auto end_late = other->on_changed([] {});
  other.reset();
  end_late();
}

TEST(LibrarySet, AListenerMayEndTheSet) {
  auto set = std::make_unique<LibrarySet>();
  int told = 0;
  for (int i = 0; i < 2; ++i) {
    static_cast<void>(set->on_changed([&] {
      ++told;
      set.reset();
    }));
  }
  set->apply({entry("a")}, {});
  EXPECT_EQ(told, 1);
}

TEST(LibrarySet, RowsThatStandTwiceAreOne) {
  LibrarySet set;
  set.restore({listing("a", 1), kForLan, 2, 2});
  set.restore({listing("a", 2), kForLan, 3, 3});
  set.restore({5, 3}, 1, {{"a", kForLan, 3}, {"b", kForLan, 2}, {"b", kForLan, 3}});
  set.check_invariants();
  EXPECT_EQ(set.summary(kNeighbour).count, 1u);
}

// -------------------------------------------------------------------------------- any sequence

/// A set with its index, as the service keeps both, and peers that follow.
class Run {
 public:
  explicit Run(BytesView script) : script_(script) {
    limits_.removed_max = 4;
    index_ = *LibraryIndex::open(":memory:", 7, limits_);
    const peers::AccessRule rules[] = {kForLan, kForAnyone, kForTrusted, kForStranger};
    for (const auto& rule : rules) {
      FolderSettings settings;
      settings.path = "/" + rule.to_string();
      settings.audience = rule;
      folders_.push_back(*index_->add_folder(settings, WallTime{}));
    }
    restart();
    for (const auto& visitor : kVisitors) followers_.push_back({visitor});
  }

  void run() {
    while (!script_.done()) {
      switch (script_.below(8)) {
        case 0: restart(); break;
        case 1: begin_epoch(); break;
        case 2:
        case 3:
        case 4: follow(followers_[script_.below(followers_.size())], 1 + script_.below(5)); break;
        default: apply(); break;
      }
      check();
    }
    for (Follower& follower : followers_) {
      for (int i = 0; i < 1'000 && follower.at != set_->revision(); ++i) follow(follower, 2);
      RC_ASSERT(follower.at == set_->revision());
      RC_ASSERT(follower.has == pages(*set_, follower.visitor, 3));
    }
  }

 private:
  struct Follower {
    peers::Visitor visitor;
    Revision at{};
    std::map<std::string, Listing> has{};
    std::set<std::string> seen{};  ///< Ids that it could see at any time.
  };

  void restart() {
    auto content = *test::load(*index_);
    RC_ASSERT(content.skipped == 0u);
    const auto before = std::move(set_);
    set_ = std::make_unique<LibrarySet>(limits_);
    for (const IndexedEntry& row : content.entries) set_->restore(row.published);
    set_->restore(content.revision, content.complete_since, content.removed);
    if (!before) return;
    for (const auto& visitor : kVisitors) {
      RC_ASSERT(set_->summary(visitor) == before->summary(visitor));
    }
  }

  void begin_epoch() {
    const Revision next{set_->revision().epoch + 1 + script_.byte(), set_->revision().number + 1};
    std::map<std::string, peers::AccessRule> rules;
    if (script_.below(2) == 0) {
      std::swap(folders_[0].settings.audience,
                folders_[1 + script_.below(folders_.size() - 1)].settings.audience);
      for (const Folder& folder : folders_) RC_ASSERT(index_->change_folder(folder).has_value());
      for (auto& [id, known] : model_) {
        rules.emplace(id, folders_[known.second].settings.audience);
      }
    }
    RC_ASSERT(index_->begin_epoch(next).has_value());
    set_->begin_epoch(next.epoch, rules);
  }

  void apply() {
    const std::uint64_t number = set_->revision().number + 1;
    IndexBatch batch;
    std::map<std::string, bool> used;
    for (std::size_t i = 1 + script_.below(4); i > 0; --i) {
      const std::string id(1, static_cast<char>('a' + script_.below(8)));
      if (!used.emplace(id, true).second) continue;
      const PublishedEntry* known = set_->find(id);
      if (script_.below(3) == 0) {
        if (known == nullptr) continue;
        batch.removed.push_back(id);
        model_.erase(id);
        continue;
      }
      const std::size_t folder = script_.below(folders_.size());
      IndexedEntry row = indexed(id, folders_[folder].id, number, script_.byte());
      row.published.rule = folders_[folder].settings.audience;
      if (known != nullptr) row.published.added_at = known->added_at;
      model_[id] = {row.published.listing, folder};
      batch.changed.push_back(row);
    }
    if (batch.changed.empty() && batch.removed.empty()) return;
    std::vector<PublishedEntry> changed;
    for (const IndexedEntry& row : batch.changed) changed.push_back(row.published);
    const Revision next{set_->revision().epoch, number};
    RC_ASSERT(index_->apply(batch, next, set_->complete_since_with(changed), true).has_value());
    set_->apply(changed, batch.removed);
    RC_ASSERT(set_->revision() == next);
  }

  void follow(Follower& follower, std::size_t count) {
    const auto changes = set_->changes(follower.visitor, follower.at, count);
    if (!changes) {
      follower.has = pages(*set_, follower.visitor, count);
      follower.at = set_->revision();
      return;
    }
    RC_ASSERT(changes->from == follower.at.number);
    RC_ASSERT(changes->to.number > follower.at.number || follower.at == set_->revision());
    for (const std::string& id : changes->removed) {
      RC_ASSERT(follower.seen.contains(id));
      follower.has.erase(id);
    }
    for (const auto* list : {&changes->added, &changes->updated}) {
      for (const Listing& one : *list) {
        RC_ASSERT(may_see(follower.visitor, one.id));
        follower.has.insert_or_assign(one.id, one);
      }
    }
    follower.at = changes->to;
    if (follower.at == set_->revision()) check_follower(follower);
  }

  bool may_see(const peers::Visitor& visitor, const std::string& id) const {
    const auto known = model_.find(id);
    return known != model_.end() &&
           folders_[known->second.second].settings.audience.allows(visitor);
  }

  void check_follower(const Follower& follower) const {
    SetDigest digest;
    for (const auto& [id, one] : follower.has) digest.add(digest_of(one));
    const Summary summary = set_->summary(follower.visitor);
    RC_ASSERT(summary.digest == digest);
    RC_ASSERT(summary.count == follower.has.size());
  }

  void check() {
    set_->check_invariants();
    for (Follower& follower : followers_) {
      std::map<std::string, Listing> expected;
      for (const auto& [id, known] : model_) {
        const bool visible = may_see(follower.visitor, id);
        RC_ASSERT(set_->find(follower.visitor, id).has_value() == visible);
        if (!visible) continue;
        expected.emplace(id, known.first);
        follower.seen.insert(id);
      }
      RC_ASSERT(pages(*set_, follower.visitor, 1 + expected.size() / 2) == expected);
    }
  }

  Script script_;
  limits::Library limits_;
  std::unique_ptr<LibraryIndex> index_;
  std::vector<Folder> folders_;
  std::unique_ptr<LibrarySet> set_;
  std::vector<Follower> followers_;
  std::map<std::string, std::pair<Listing, std::size_t>> model_;  ///< With the folder's place.
};

RC_GTEST_PROP(LibrarySet, WhoFollowsHasWhatItMaySeeWhateverHappens, ()) {
  const auto bytes = *rc::gen::scale(4.0, rc::gen::arbitrary<Bytes>());
  Run(bytes).run();
}

}  // namespace
}  // namespace warren::library
