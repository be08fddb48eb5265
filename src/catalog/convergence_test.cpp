// A publisher, a subscriber and its store, through the codec, with everything that may happen to
// them: whatever it was, both end with the same set, and nothing was said that may not be seen.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <map>
#include <set>

#include "base/check.hpp"
#include "catalog/listings_for_test.hpp"

namespace warren::catalog {
namespace {

using fakes::entry;
using fakes::listing;

const PeerId kPublisher = fakes::peer(1);

limits::Catalog small_pages() {
  limits::Catalog limits;
  limits.page_entries_max = 3;
  limits.page_bytes_max = 700;
  return limits;
}

/// A file that is gone at the end, and with it what SQLite puts beside it.
struct TemporaryFolder {
  TemporaryFolder() {
    static int serial = 0;
    path = std::filesystem::path(testing::TempDir()) /
           ("catalog-" + std::to_string(getpid()) + "-" + std::to_string(++serial));
    std::filesystem::create_directory(path);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

class Pair {
 public:
  Pair() {
    set_ = std::make_unique<library::LibrarySet>(library_limits());
    set_->restore({++epoch_, 1}, 1, {});
    open_store();
  }

  // ------------------------------------------------------------------ what happens to the set

  void put(unsigned which, unsigned version, unsigned count) {
    std::vector<library::PublishedEntry> changed;
    for (unsigned i = 0; i < count; ++i) {
      const std::string id = id_of(which + i);
      const auto* before = set_->find(id);
      // Another rule than before would need a new epoch.
      const peers::AccessRule rule = before != nullptr      ? before->rule
                                     : (which + i) % 4 == 0 ? fakes::kLanRule
                                                            : fakes::kAnyoneRule;
      changed.push_back(entry(listing(id, std::to_string(version)), rule));
      removed_.erase(id);
    }
    set_->apply(std::move(changed), {});
    note_visible();
  }
  void remove(unsigned which) {
    const std::string id = id_of(which);
    const auto* before = set_->find(id);
    if (before == nullptr) return;
    removed_[id] = {id, before->rule, set_->revision().number + 1};
    set_->apply({}, {id});
  }
  void change_rule(unsigned which) {
    std::map<std::string, peers::AccessRule> rules;
    const auto* before = set_->find(id_of(which));
    if (before != nullptr) {
      rules[id_of(which)] = before->rule == fakes::kLanRule ? fakes::kAnyoneRule : fakes::kLanRule;
    }
    set_->begin_epoch(++epoch_, rules);
    removed_.clear();
    note_visible();
  }

  // ------------------------------------------------------------- what happens to the two nodes

  void restart_publisher() {
    disconnect();
    std::vector<library::PublishedEntry> entries;
    for (const auto& [id, each] : set_->all()) entries.push_back(each);
    std::vector<library::RemovedEntry> removed;
    for (const auto& [id, each] : removed_) removed.push_back(each);
    const Revision revision = set_->revision();
    const std::uint64_t since = set_->complete_since();
    set_ = std::make_unique<library::LibrarySet>(library_limits());
    for (auto& entry : entries) set_->restore(std::move(entry));
    set_->restore(revision, since, std::move(removed));
  }
  void restart_subscriber() {
    disconnect();
    store_.reset();
    open_store();
  }
  void connect() {
    disconnect();
    const auto known = store_->seen(kPublisher, Mode::kUnspecified, fakes::at(0));
    WARREN_CHECK(known);
    subscriber_.emplace(*known, small_pages());
    publisher_.emplace(*set_, visitor_, *known, small_pages());
    Introduction self;
    self.peer = kPublisher;
    to_subscriber_.push_back(encode_message(HelloAck{self, publisher_->first_summary()}));
  }
  /// All that is under way is lost.
  void disconnect() {
    publisher_.reset();
    subscriber_.reset();
    to_subscriber_.clear();
    to_publisher_.clear();
  }

  // ------------------------------------------------------------------ what happens in between

  /// The publisher says one thing more, if it has any.
  bool say() {
    if (!publisher_) return false;
    const auto message = publisher_->next();
    publisher_->check_invariants();
    if (!message) return false;
    check_visible(*message);
    to_subscriber_.push_back(encode_message(*message));
    bytes_said += to_subscriber_.back().size();
    return true;
  }
  bool hear() {
    if (!subscriber_ || to_subscriber_.empty()) return false;
    const Bytes bytes = to_subscriber_.front();
    to_subscriber_.pop_front();
    auto message = decode_message(bytes, small_pages());
    WARREN_CHECK(message);
    auto action = subscriber_->handle(std::move(*message));
    subscriber_->check_invariants();
    if (!action) {
      disconnect();  // As the service does.
      ++violations;
      return true;
    }
    if (action->has_value()) act(**action);
    return true;
  }
  bool answer() {
    if (!publisher_ || to_publisher_.empty()) return false;
    const auto message = decode_message(to_publisher_.front(), small_pages());
    to_publisher_.pop_front();
    WARREN_CHECK(message && publisher_->handle(*message));
    publisher_->check_invariants();
    return true;
  }
  void repeat_last() {
    if (!to_subscriber_.empty()) to_subscriber_.push_back(to_subscriber_.back());
  }
  void swap_last() {
    const std::size_t n = to_subscriber_.size();
    if (n >= 2) std::swap(to_subscriber_[n - 1], to_subscriber_[n - 2]);
  }
  void lose_last() {
    if (!to_subscriber_.empty()) to_subscriber_.pop_back();
  }
  /// Nothing goes wrong any more. False: it does not come to an end.
  bool settle() {
    connect();
    for (int step = 0; step < 20'000; ++step) {
      const bool said = say();
      const bool heard = hear();
      const bool answered = answer();
      if (!said && !heard && !answered) return publisher_ && publisher_->is_current();
    }
    return false;
  }

  std::vector<Listing> visible() const { return set_->page(visitor_, "", 10'000); }
  std::vector<Listing> stored() {
    const auto listings = store_->entries_of(kPublisher, "", 10'000);
    WARREN_CHECK(listings);
    return *listings;
  }
  Summary summary() const { return set_->summary(visitor_); }
  Summary known() { return *store_->known(kPublisher); }
  CatalogStore& store() { return *store_; }
  Revision acknowledged() const { return publisher_->acknowledged(); }

  std::uint64_t bytes_said = 0;
  int violations = 0;

 private:
  static limits::Library library_limits() {
    limits::Library limits;
    limits.removed_max = 4;
    return limits;
  }
  static std::string id_of(unsigned which) { return "entry-" + std::to_string(which % 20); }
  void open_store() {
    auto opened = CatalogStore::open((folder_.path / "catalog.db").string(), small_pages());
    WARREN_CHECK(opened);
    store_ = std::move(*opened);
  }
  void act(const Subscriber::Action& action) {
    std::optional<Message> reply;
    if (const auto* write = std::get_if<Subscriber::Write>(&action)) {
      const auto written = store_->write(kPublisher, write->write, fakes::at(0));
      WARREN_CHECK(written);
      auto answer = subscriber_->stored(*written);
      if (!answer) {
        disconnect();
        ++violations;
        return;
      }
      reply = std::move(*answer);
    } else if (const auto* adopt = std::get_if<Subscriber::Adopt>(&action)) {
      WARREN_CHECK(store_->adopt(kPublisher, adopt->revision, fakes::at(0)));
      reply = subscriber_->adopted(adopt->revision);
    } else {
      reply = std::get<Subscriber::Send>(action).message;
    }
    subscriber_->check_invariants();
    if (reply) to_publisher_.push_back(encode_message(*reply));
  }
  void note_visible() {
    for (const Listing& each : visible()) ever_visible_.insert(each.id);
  }
  void check_visible(const Message& message) const {
    const auto check = [this](const std::vector<Listing>& listings) {
      for (const Listing& each : listings) {
        const auto* now = set_->find(each.id);
        if (now != nullptr) RC_ASSERT(now->rule.allows(visitor_));
        RC_ASSERT(ever_visible_.contains(each.id));
      }
    };
    if (const auto* part = std::get_if<SnapshotPart>(&message)) check(part->entries);
    if (const auto* part = std::get_if<DeltaPart>(&message)) {
      check(part->added);
      check(part->updated);
      for (const std::string& id : part->removed) RC_ASSERT(ever_visible_.contains(id));
    }
  }

  TemporaryFolder folder_;
  peers::Visitor visitor_ = fakes::visitor(2);
  std::uint64_t epoch_ = 0;
  std::unique_ptr<library::LibrarySet> set_;
  std::map<std::string, library::RemovedEntry> removed_;
  std::set<std::string> ever_visible_;
  std::unique_ptr<CatalogStore> store_;
  std::optional<Publisher> publisher_;
  std::optional<Subscriber> subscriber_;
  std::deque<Bytes> to_subscriber_;
  std::deque<Bytes> to_publisher_;
};

/// One step of a run: what, and which.
void step(Pair& pair, unsigned what, unsigned which) {
  switch (what % 16) {
    case 0:
    case 1: pair.put(which, which / 20, 1); break;
    case 2: pair.put(which, which / 20, 7); break;
    case 3:
    case 4: pair.remove(which); break;
    case 5: pair.change_rule(which); break;
    case 6: pair.connect(); break;
    case 7: which % 2 == 0 ? pair.restart_publisher() : pair.restart_subscriber(); break;
    case 8: pair.repeat_last(); break;
    case 9: pair.swap_last(); break;
    case 10: pair.lose_last(); break;
    case 11: pair.disconnect(); break;
    default:
      for (unsigned i = 0; i <= which % 4; ++i) {
        pair.say();
        if (which % 3 != 0) pair.hear();
        pair.answer();
      }
  }
}

RC_GTEST_PROP(CatalogConvergence, AnySequenceOfEventsEndsInTheSameCatalogAsASnapshot, ()) {
  const auto program = *rc::gen::scale(
      3.0, rc::gen::arbitrary<std::vector<std::pair<std::uint8_t, std::uint8_t>>>());
  Pair pair;
  pair.connect();
  for (const auto& [what, which] : program) step(pair, what, which);
  RC_ASSERT(pair.settle());
  RC_ASSERT(pair.stored() == pair.visible());
  RC_ASSERT(pair.known().digest == pair.summary().digest);
  RC_ASSERT(pair.known().count == pair.summary().count);
  RC_ASSERT(pair.acknowledged() == pair.known().revision);
  // Once more: both know that nothing is missing.
  const std::uint64_t before = pair.bytes_said;
  RC_ASSERT(pair.settle());
  RC_ASSERT(pair.bytes_said == before);
}

RC_GTEST_PROP(CatalogConvergence, WithoutLossesNothingIsEverAViolation, ()) {
  const auto program = *rc::gen::scale(
      3.0, rc::gen::arbitrary<std::vector<std::pair<std::uint8_t, std::uint8_t>>>());
  Pair pair;
  pair.connect();
  for (const auto& [what, which] : program) {
    const unsigned kind = what % 16;
    if (kind >= 8 && kind <= 10) continue;
    step(pair, kind, which);
  }
  RC_ASSERT(pair.settle());
  RC_ASSERT(pair.violations == 0);
}

TEST(CatalogConvergence, AKnownRevisionCostsBytesOfTheChangeNotOfTheLibrary) {
  Pair pair;
  pair.put(0, 1, 20);
  ASSERT_TRUE(pair.settle());
  const std::uint64_t all = pair.bytes_said;
  ASSERT_EQ(pair.stored().size(), 15u) << "every fourth is for the LAN";
  pair.disconnect();
  pair.put(1, 2, 1);
  ASSERT_TRUE(pair.settle());
  EXPECT_LT(pair.bytes_said - all, 400u) << "one entry of " << all;
}

}  // namespace
}  // namespace warren::catalog
