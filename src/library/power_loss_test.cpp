// The index of a library when the power fails: after every single operation on its files, with
// several states that the disk may then be in. What was told to peers is never lost, and what is
// found is always what the library was at one moment.

#include <SQLiteCpp/Database.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <tuple>

#include "library/library_index.hpp"
#include "library/library_service.hpp"
#include "library/test_support.hpp"
#include "sim/world.hpp"
#include "storage/power_loss_for_test.hpp"

namespace warren::library {
namespace {

namespace fs = std::filesystem;
using namespace test;
using storage::test::DiskLog;
using storage::test::Found;
using storage::test::kLeft;
using storage::test::Left;
using storage::test::RecordedDatabases;

constexpr WallTime kNow{std::chrono::seconds(1'700'000'000)};
constexpr std::uint64_t kEpoch = 7;

/// Every value that the index gives back.
std::string describe(const LoadedIndex& index) {
  std::string out = fmt::format("revision {}.{} since {}, {} skipped\n", index.revision.epoch,
                                index.revision.number, index.complete_since, index.skipped);
  for (const Folder& folder : index.folders) {
    out += fmt::format("folder {} {} topic '{}' for {} inode {}\n", folder.id, folder.settings.path,
                       folder.settings.topic, folder.settings.audience.to_string(), folder.inode);
    for (const auto& [id, version] : folder.settings.expected) {
      out += fmt::format("expected {} {}\n", id, version);
    }
  }
  for (const IndexedEntry& entry : index.entries) {
    const Listing& listing = entry.published.listing;
    out += fmt::format("entry {} of {}: {} {} {} {} {} root {} at {} {} is {}\n", listing.id,
                       entry.folder, listing.name, listing.version, listing.topic, listing.bytes,
                       listing.files, listing.root ? listing.root->to_string() : "none",
                       entry.published.added_at, entry.published.changed_at,
                       static_cast<int>(listing.availability));
    for (const Digest& one :
         {listing.manifest, entry.fingerprint, entry.stamps, entry.hashed_stamps}) {
      out += fmt::format("{:02x}{:02x} ", one.bytes[0], one.bytes[31]);
    }
    out += '\n';
  }
  for (const RemovedEntry& removed : index.removed) {
    out += fmt::format("removed {} at {} for {}\n", removed.id, removed.removed_at,
                       removed.rule.to_string());
  }
  return out;
}

/// The first line of `one` that `other` does not have.
std::string differing_line(const std::string& one, const std::string& other) {
  for (std::size_t at = 0; at < one.size();) {
    const std::size_t end = one.find('\n', at);
    const std::string line = one.substr(at, end - at);
    if (other.find(line) == std::string::npos) return '"' + line + '"';
    at = end == std::string::npos ? one.size() : end + 1;
  }
  return "nothing else";
}

std::size_t hash_of(const Found& found) {
  std::string all;
  for (const auto& [path, content] : found)
    all += fmt::format("{} {} {}", path, content.size(), content);
  return std::hash<std::string>{}(all);
}

class LibraryPowerLossTest : public testing::Test {
 protected:
  LibraryPowerLossTest() { fs::create_directories(folder_ / "lived"); }
  ~LibraryPowerLossTest() override {
    index_.reset();
    fs::remove_all(folder_);
  }

  /// What it was after a call, when that call had returned, and how far the log was then.
  struct Moment {
    std::string content;
    std::size_t operations = 0;
    bool durable = false;  ///< Told to peers, or to the person who asked for it.
  };

  std::string path() const { return folder_ / "lived" / "library.db"; }
  void open() {
    index_.reset();
    auto opened = LibraryIndex::open(path(), kEpoch);
    ASSERT_TRUE(opened) << opened.error().message();
    index_ = std::move(*opened);
    happened(Result<>(), true);
  }
  void happened(const Result<>& result, bool durable) {
    ASSERT_TRUE(result) << result.error().message();
    const auto loaded = load(*index_);
    ASSERT_TRUE(loaded) << loaded.error().message();
    moments_.push_back({describe(*loaded), log_.size(), durable});
  }
  void apply(std::vector<IndexedEntry> changed, std::vector<std::string> removed,
             std::uint64_t number, bool published, std::uint64_t complete_since = 1) {
    happened(index_->apply({std::move(changed), std::move(removed)}, {epoch_, number},
                           complete_since, published),
             published);
  }
  /// Another connection writes the log back, so that it begins anew.
  void checkpoint() {
    SQLite::Database other(path(), SQLite::OPEN_READWRITE);
    other.exec("PRAGMA wal_checkpoint(RESTART)");
  }

  /// All that an index does, in an order in which what is not waited for comes between what is.
  void live() {
    open();
    FolderSettings settings;
    settings.path = "/things";
    settings.expected["a"] = "1.1";
    auto folder = index_->add_folder(settings, kNow);
    ASSERT_TRUE(folder);
    happened(Result<>(), true);
    const FolderId id = folder->id;
    std::vector<IndexedEntry> many;
    for (int i = 0; i < 30; ++i) many.push_back(indexed(fmt::format("many {}", i), id, 2));
    apply(many, {}, 2, true);
    apply({indexed("a", id, 3), indexed("b", id, 3)}, {}, 3, true);
    IndexedEntry seen = indexed("a", id, 3);
    seen.fingerprint = digest("looked at again");
    apply({seen}, {}, 3, false);
    apply({indexed("a", id, 4, 2)}, {"b"}, 4, true);
    checkpoint();
    seen.published.changed_at = 4;
    apply({seen}, {}, 4, false);
    folder->settings.audience = kForTrusted;
    folder->settings.topic = "other/topic";
    happened(index_->change_folder(*folder), true);
    apply({indexed("c", id, 5)}, {"many 3", "many 4"}, 5, true, 4);
    epoch_ = 8;
    happened(index_->begin_epoch({epoch_, 6}), true);
    apply({seen}, {}, 6, false);
    settings.path = "/more";
    ASSERT_TRUE(index_->add_folder(settings, kNow));
    happened(Result<>(), true);
    checkpoint();
    apply({indexed("d", id, 7)}, {}, 7, true);
    apply({seen}, {}, 7, false);
    open();
    apply({indexed("e", id, 8, 3)}, {"a"}, 8, true);
    apply({}, {"e"}, 9, true);
    apply({indexed("b", id, 9, 4)}, {}, 9, false);
    happened(index_->remove_folder(folder->id + 1), true);
    index_.reset();
  }

  /// Empty when all is well after a loss of power behind the first `done` operations.
  std::string fault_after(std::size_t done, Left left) {
    const Found found = log_.after(done, left);
    std::size_t told = 0;
    std::size_t begun = 0;
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      if (moments_[i].operations <= done && moments_[i].durable) told = i + 1;
      if (moments_[i].operations < done) begun = i + 1;
    }
    if (!known_.emplace(hash_of(found), told, begun).second) return "";
    const fs::path folder = folder_ / "found";
    DiskLog::make(folder, found);
    auto opened = LibraryIndex::open(folder / "library.db", kEpoch);
    if (!opened) return "it does not open: " + opened.error().message();
    const auto loaded = load(**opened);
    if (!loaded) return "it cannot be read: " + loaded.error().message();
    const std::string content = describe(*loaded);
    // What was told last, or what came after it; the last one may have been under way.
    const std::size_t first = told == 0 ? 0 : told - 1;
    for (std::size_t i = first; i <= begun && i < moments_.size(); ++i) {
      if (moments_[i].content == content) return "";
    }
    return fmt::format("told was {}, found is {}", differing_line(moments_[first].content, content),
                       differing_line(content, moments_[first].content));
  }
  /// How many states are wrong; the first one is in `first_fault_`.
  std::size_t faults() {
    std::size_t count = 0;
    known_.clear();
    first_fault_.clear();
    for (std::size_t done = 0; done <= log_.size(); ++done) {
      for (const Left left : kLeft) {
        const std::string fault = fault_after(done, left);
        if (fault.empty()) continue;
        if (count++ > 0) continue;
        first_fault_ =
            fmt::format("after {} operations, {}: {}", done, static_cast<int>(left), fault);
      }
    }
    return count;
  }

  awaitable<Result<Cid>> hash(std::string id) {
    co_return root(fmt::format("{} {}", id, ++hashes_));
  }
  static awaitable<void> forget() { co_return; }

  int hashes_ = 0;
  fs::path folder_ = storage::test::make_folder();
  DiskLog log_{folder_ / "lived"};
  std::uint64_t epoch_ = kEpoch;
  std::vector<Moment> moments_;
  std::set<std::tuple<std::size_t, std::size_t, std::size_t>>
      known_;  ///< States that were looked at.
  std::string first_fault_;
  std::unique_ptr<LibraryIndex> index_;
};

TEST_F(LibraryPowerLossTest, WhatWasToldIsThereAndNothingByHalves) {
  {
    const RecordedDatabases recorded(log_);
    live();
  }
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_EQ(faults(), 0u) << first_fault_;
  std::cout << log_.size() << " operations, " << known_.size() << " different states\n";
  EXPECT_GT(known_.size(), log_.size());
}

// The same for the whole service: a revision is in the set, and so told, no sooner than it is on
// the disk.
TEST_F(LibraryPowerLossTest, NoRevisionIsToldThatMayBeLost) {
  struct Told {
    std::size_t operations = 0;
    Revision revision;
  };
  std::vector<Told> told;
  {
    const RecordedDatabases recorded(log_);
    sim::World world(sim::seed_from_env(1));
    const auto runtime = world.make_runtime(1);
    LibraryOptions options;
    options.database = path();
    options.times.settle = 10ms;
    options.times.quiet = 30ms;
    options.hash = [this](std::string, std::string id) { return hash(std::move(id)); };
    options.forget = [](std::string) { return forget(); };
    LibraryService service(*runtime, std::move(options));
    ASSERT_TRUE(sim::run(world, service.open()));
    told.push_back({log_.size(), service.published().revision()});
    const auto end = service.published().on_changed(
        [&] { told.push_back({log_.size(), service.published().revision()}); });
    FolderSettings settings;
    settings.path = (folder_ / "things").string();
    fs::create_directories(settings.path);
    ASSERT_TRUE(sim::run(world, service.add_folder(settings)));
    for (int i = 0; i < 6; ++i) {
      const fs::path entry = folder_ / "things" / fmt::format("entry {}", i % 4);
      if (i == 4) {
        fs::remove_all(entry);
      } else {
        fs::create_directories(entry);
        std::ofstream(entry / "file") << std::string(static_cast<std::size_t>(i) + 1, 'x');
      }
      ASSERT_TRUE(service.scan(""));
      ASSERT_TRUE(sim::run(world, service.wait_settled(world.now() + 1min)));
    }
    end();
    sim::run(world, service.close());
  }
  ASSERT_GT(told.size(), 8u);
  for (std::size_t done = told.front().operations; done <= log_.size(); ++done) {
    for (const Left left : kLeft) {
      DiskLog::make(folder_ / "found", log_.after(done, left));
      auto opened = LibraryIndex::open(folder_ / "found" / "library.db", kEpoch);
      ASSERT_TRUE(opened) << opened.error().message();
      const auto loaded = load(**opened);
      ASSERT_TRUE(loaded);
      EXPECT_EQ(loaded->skipped, 0u);
      const auto later = std::ranges::upper_bound(told, done, {}, &Told::operations);
      const Revision last = std::prev(later)->revision;
      ASSERT_EQ(loaded->revision.epoch, last.epoch);
      ASSERT_GE(loaded->revision.number, last.number) << done << ", " << static_cast<int>(left);
    }
  }
}

// What this would find: a disk that does not keep what it was told to.
TEST_F(LibraryPowerLossTest, ADiskThatForgetsIsNoticed) {
  {
    const RecordedDatabases recorded(log_);
    live();
  }
  ASSERT_FALSE(HasFatalFailure());
  log_.forgets_syncs = [](std::string_view file) { return file.ends_with("-wal"); };
  EXPECT_GT(faults(), 10u);
}

}  // namespace
}  // namespace warren::library
