// What is looked at, walked, hashed and written when; and that in the end, whatever happened in
// between, index and set say what the disk says.

#include "library/library_machine.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "library/model_for_test.hpp"

namespace warren::library {
namespace {

using namespace test;

constexpr std::size_t kLists = 0;
constexpr std::size_t kLooks = 1;
constexpr std::size_t kWalks = 2;
constexpr std::size_t kHashes = 3;
constexpr std::size_t kWrites = 4;

class LibraryMachineTest : public testing::Test {
 protected:
  /// A folder with these things, all known.
  FolderId folder_with(const std::vector<std::string>& ids, bool watched = true) {
    const Folder folder = model.add_folder("/things");
    for (const std::string& id : ids) model.disk[folder.id][id];
    model.machine.set_watched(folder.id, watched);
    model.settle();
    model.check_true();
    model.counts.clear();
    return folder.id;
  }
  Thing& thing(const std::string& id) { return model.disk.begin()->second.at(id); }
  FolderId folder() const { return model.disk.begin()->first; }
  const Listing& listed(const std::string& id) {
    return model.machine.find(id)->entry->published.listing;
  }
  /// Ends the jobs of one kind that are under way.
  void end_all(std::size_t kind, std::optional<Error> error = {}) {
    for (std::size_t i = model.jobs.size(); i > 0; --i) {
      if (model.jobs[i - 1].index() == kind) model.end(i - 1, error);
    }
  }
  /// Goes on until a job of the kind is under way.
  void until(std::size_t kind) {
    const TimePoint end_at = model.now + 1h;
    for (;;) {
      model.step();
      for (const LibraryJob& job : model.jobs) {
        if (job.index() == kind) return;
      }
      if (!model.jobs.empty()) {
        model.end(0);
      } else {
        model.now = model.machine.next_wake();
        ASSERT_LT(model.now, end_at);
      }
    }
  }

  LibraryTimes times;
  Model model{times};
};

TEST_F(LibraryMachineTest, ANewThingIsListedBeforeItIsHashed) {
  folder_with({});
  model.disk.begin()->second["x"];
  model.machine.names_changed(folder(), model.now);
  const TimePoint began = model.now;
  until(kWrites);
  EXPECT_LT(model.now - began, 1s);
  end_all(kWrites);
  ASSERT_TRUE(model.set.find("x"));
  EXPECT_EQ(model.set.find("x")->listing.availability, Availability::kHashing);
  EXPECT_FALSE(model.set.find("x")->listing.root);
  model.settle();
  EXPECT_EQ(model.set.find("x")->listing.availability, Availability::kReady);
  model.check_true();
}

TEST_F(LibraryMachineTest, AStartWithNothingChangedIsOneLookAtEach) {
  folder_with({"a", "b", "c"});
  const Revision before = model.set.revision();
  model.restart(times);
  model.machine.watch_began(folder(), model.now);
  model.machine.set_watched(folder(), true);
  model.settle();
  EXPECT_EQ(model.counts[kLists], 1u);
  EXPECT_EQ(model.counts[kLooks], 1u) << "all three in one job";
  EXPECT_EQ(model.counts[kWalks], 0u);
  EXPECT_EQ(model.counts[kHashes], 0u);
  EXPECT_EQ(model.counts[kWrites], 0u);
  EXPECT_EQ(model.set.revision(), before);
}

TEST_F(LibraryMachineTest, WhatChangedDeepDownWhileNobodyLookedIsFoundByTheFirstScan) {
  folder_with({"a"});
  thing("a").deep = 1;
  model.restart(times);
  model.machine.set_watched(folder(), true);
  model.settle();
  EXPECT_EQ(model.counts[kWalks], 0u);
  model.now += times.scan_interval;
  model.settle();
  model.check_true();
  model.counts.clear();
  model.now += times.scan_interval;
  model.settle();
  EXPECT_EQ(model.counts[kLooks], 1u);
  EXPECT_EQ(model.counts[kWalks], 0u) << "since then the watch tells";
}

TEST_F(LibraryMachineTest, WithoutAWatchScansFindWhatChanged) {
  folder_with({"a", "b"}, false);
  thing("a").deep = 1;
  thing("b").top = 1;
  model.disk.begin()->second["c"];
  model.now += times.scan_interval;
  model.settle();
  model.check_true();
}

TEST_F(LibraryMachineTest, WhatWasWalkedBeforeTheWatchIsWalkedAgainWithIt) {
  const FolderId id = folder_with({"a"}, false);
  thing("a").deep = 1;
  model.machine.watch_began(id, model.now);
  model.machine.set_watched(id, true);
  model.settle();
  model.check_true();
  model.counts.clear();
  model.machine.watch_began(id, model.now);
  model.settle();
  EXPECT_EQ(model.counts[kWalks], 0u);
}

TEST_F(LibraryMachineTest, WhatGoesOnChangingIsListedAndHashedWhenItRests) {
  const FolderId id = folder_with({"a"});
  const TimePoint began = model.now;
  while (model.now < began + 10s) {
    thing("a").deep += 1;
    model.machine.touched(id, "a", model.now);
    model.now += 50ms;
    for (int i = 0; i < 10; ++i) {
      model.step();
      if (!model.jobs.empty()) model.end(0);
    }
  }
  EXPECT_EQ(model.counts[kHashes], 0u);
  EXPECT_GT(model.counts[kWalks], 10u);
  EXPECT_EQ(model.set.find("a")->listing.availability, Availability::kHashing);
  model.settle();
  EXPECT_EQ(model.counts[kHashes], 1u);
  model.check_true();
}

TEST_F(LibraryMachineTest, WhatChangesWhileItIsHashedIsHashedAgain) {
  const FolderId id = folder_with({"a"});
  thing("a").deep = 1;
  model.machine.touched(id, "a", model.now);
  until(kHashes);
  end_all(kWrites);
  model.machine.touched(id, "a", model.now);
  end_all(kHashes);
  EXPECT_EQ(listed("a").availability, Availability::kHashing) << "what was read may be of both";
  thing("a").deep = 2;
  model.settle();
  EXPECT_EQ(model.counts[kHashes], 2u);
  model.check_true();
}

TEST_F(LibraryMachineTest, AnOperationHidesTheThingAndWhatTheDiskSaysOfIt) {
  const FolderId id = folder_with({"a"});
  model.machine.operation_began("a");
  model.machine.operation_began("a");
  model.settle();
  EXPECT_EQ(listed("a").availability, Availability::kLocalOnly);
  EXPECT_FALSE(model.set.find("a")->listing.root);
  model.counts.clear();
  thing("a").top = 1;
  model.machine.touched(id, "a", model.now);
  model.machine.operation_ended("a", model.now);
  model.settle();
  EXPECT_EQ(model.counts[kLooks] + model.counts[kWalks] + model.counts[kHashes], 0u)
      << "the other one goes on";
  model.machine.operation_ended("a", model.now);
  model.settle();
  model.check_true();
}

TEST_F(LibraryMachineTest, AnOperationRightAfterAStartHidesWhatTheIndexHas) {
  folder_with({"a"});
  model.restart(times);
  model.machine.operation_began("a");
  until(kWrites);
  end_all(kWrites);
  EXPECT_EQ(model.set.find("a")->listing.availability, Availability::kLocalOnly);
}

TEST_F(LibraryMachineTest, AJobThatAnOperationPassedByIsNotBelieved) {
  const FolderId id = folder_with({"a"});
  thing("a").deep = 1;
  model.machine.touched(id, "a", model.now);
  until(kHashes);
  model.machine.operation_began("a");
  model.machine.operation_ended("a", model.now);
  end_all(kHashes);
  EXPECT_FALSE(listed("a").root);
  model.settle();
  model.check_true();
}

TEST_F(LibraryMachineTest, AThingThatGoesDuringAnOperationStaysUntilItsEnd) {
  const FolderId id = folder_with({"a"});
  model.machine.operation_began("a");
  model.disk[id].erase("a");
  model.machine.names_changed(id, model.now);
  model.settle();
  EXPECT_TRUE(model.machine.find("a"));
  model.machine.operation_ended("a", model.now);
  model.settle();
  EXPECT_FALSE(model.machine.find("a"));
  model.check_true();
}

TEST_F(LibraryMachineTest, AFolderThatCannotBeReadLosesNothing) {
  const FolderId id = folder_with({"a", "b"});
  const Revision before = model.set.revision();
  model.away.insert(id);
  model.machine.scan_now(id, model.now);
  model.settle();
  EXPECT_NE(model.machine.problem(id), "");
  EXPECT_EQ(model.machine.size_of(id), 2u);
  EXPECT_EQ(model.set.revision(), before);
  model.away.clear();
  model.now += times.retry_max;
  model.settle();
  EXPECT_EQ(model.machine.problem(id), "");
  model.check_true();
}

// An empty folder is what a disk leaves that is not mounted: of a thing that cannot be found the
// names of the folder decide.
TEST_F(LibraryMachineTest, AThingThatIsNotFoundWaitsForTheNames) {
  const FolderId id = folder_with({"a", "b"});
  model.machine.touched(id, "a", model.now);
  until(kLooks);
  end_all(kLooks, Error(ErrorCode::kNotFound, "gone"));
  EXPECT_TRUE(model.machine.find("a"));
  until(kLists);
  end_all(kLists, Error(ErrorCode::kNotFound, "not mounted"));
  model.settle();
  EXPECT_TRUE(model.set.find("a"));
  model.now += times.retry_max;
  model.settle();
  model.check_true();
}

TEST_F(LibraryMachineTest, WhatFailsIsTriedLessAndLessOften) {
  times.scan_interval = 24h;
  model = Model(times);
  const FolderId id = folder_with({"a"});
  thing("a").deep = 1;
  model.machine.touched(id, "a", model.now);
  std::vector<TimePoint> tried;
  for (int i = 0; i < 12; ++i) {
    until(kHashes);
    end_all(kWrites);
    tried.push_back(model.now);
    end_all(kHashes, Error(ErrorCode::kDenied, "closed"));
    EXPECT_EQ(model.machine.find("a")->problem, "closed");
  }
  EXPECT_EQ(tried[1] - tried[0], times.retry_min);
  EXPECT_EQ(tried[2] - tried[1], 2 * times.retry_min);
  EXPECT_EQ(tried[11] - tried[10], times.retry_max);
  thing("a").deep = 2;
  model.machine.touched(id, "a", model.now);
  const TimePoint began = model.now;
  until(kHashes);
  EXPECT_LE(model.now - began, times.settle + times.quiet) << "what changed is tried soon";
  model.settle();
  EXPECT_EQ(model.machine.find("a")->problem, "");
  model.check_true();
}

TEST_F(LibraryMachineTest, ASentinelThatIsRequiredAndAVersionThatIsExpectedHideTheOthers) {
  const FolderId id = folder_with({"a", "b", "c"});
  thing("a").sentinel = false;
  thing("b").version = "2";
  Folder changed = model.folders.at(id);
  changed.settings.sentinel.required = true;
  changed.settings.expected = {{"b", "1"}, {"c", "1"}};
  changed.settings.topic = "other/topic";
  model.change_folder(changed);
  model.settle();
  model.check_true();
  EXPECT_EQ(listed("a").availability, Availability::kLocalOnly);
  EXPECT_FALSE(listed("a").downloaded);
  EXPECT_EQ(listed("b").availability, Availability::kLocalOnly);
  EXPECT_EQ(listed("c").availability, Availability::kReady);
  EXPECT_EQ(listed("c").topic, "other/topic");
}

TEST_F(LibraryMachineTest, OtherSettingsAreReadAfterAStartThatCameBeforeTheLook) {
  const FolderId id = folder_with({"a"});
  Folder changed = model.folders.at(id);
  changed.settings.topic = "other/topic";
  model.change_folder(changed);
  model.restart(times);
  model.settle();
  model.check_true();
  EXPECT_EQ(listed("a").topic, "other/topic");
}

TEST_F(LibraryMachineTest, OfTwoFoldersTheFirstHasANameAndTheOtherAfterIt) {
  const FolderId first = folder_with({"a", "b"});
  const FolderId second = model.add_folder("/more", kForTrusted).id;
  model.disk[second]["a"].deep = 5;
  model.disk[second]["c"];
  model.settle();
  EXPECT_EQ(model.machine.find("a")->entry->folder, first);
  ASSERT_EQ(model.machine.left_out(second).size(), 1u);
  EXPECT_NE(model.machine.left_out(second).at("a").find("/things"), std::string::npos);
  model.check_true();
  model.remove_folder(first);
  model.settle();
  EXPECT_EQ(model.machine.find("a")->entry->folder, second);
  model.check_true();
}

TEST_F(LibraryMachineTest, AThingThatIsReplacedAndGoesBeforeItIsWrittenIsGone) {
  const FolderId id = folder_with({"a"});
  model.machine.names_found(id, {}, model.now);
  model.machine.names_found(id, {"a"}, model.now);
  model.machine.names_found(id, {}, model.now);
  model.disk[id].clear();
  model.settle();
  EXPECT_FALSE(model.set.find("a"));
  model.check_true();
}

TEST_F(LibraryMachineTest, WhatCannotBeWrittenIsWrittenLater) {
  const FolderId id = folder_with({"a", "b"});
  thing("a").deep = 1;
  model.disk[id].erase("b");
  model.machine.touched(id, "a", model.now);
  model.machine.names_changed(id, model.now);
  const Revision before = model.set.revision();
  for (int i = 0; i < 5; ++i) {
    until(kWrites);
    end_all(kWrites, Error(ErrorCode::kNoSpace, "full"));
    EXPECT_EQ(model.set.revision(), before) << "nothing is published that is not on the disk";
  }
  model.settle();
  model.check_true();
}

TEST_F(LibraryMachineTest, EntriesAndBatchesAreBounded) {
  limits::Library limits;
  limits.entries_max = 5;
  limits.batch_max = 2;
  Model small(times, limits);
  const FolderId id = small.add_folder("/things").id;
  for (int i = 0; i < 9; ++i) small.disk[id]["t" + std::to_string(i)];
  small.disk[id][".hidden"];
  small.disk[id]["\xFF"];
  small.settle();
  EXPECT_EQ(small.set.size(), 5u);
  EXPECT_EQ(small.machine.left_out(id).size(), 5u) << "four too many, and a name that is none";
}

TEST_F(LibraryMachineTest, AScanThatWasAskedForIsNotSettledUntilItIsDone) {
  const FolderId id = folder_with({"a"});
  EXPECT_TRUE(model.machine.is_settled());
  model.machine.scan_now(id, model.now);
  EXPECT_FALSE(model.machine.is_settled());
  model.settle();
  EXPECT_EQ(model.counts[kWalks], 1u);
}

TEST_F(LibraryMachineTest, NewsOfWhatIsNotKnownAreIgnored) {
  LibraryMachine machine(times);
  const TimePoint now{1h};
  machine.names_found(9, {"a"}, now);
  machine.names_failed(9, Error(ErrorCode::kIo, "x"), now);
  machine.touched(9, "a", now);
  machine.scan_now(9, now);
  machine.watch_began(9, now);
  machine.remove_folder(9, now);
  machine.looked(9, "a", Look{}, now);
  machine.measured(9, "a", Measure{}, now);
  machine.hashed(9, "a", root("a"), now);
  machine.written(true, now);
  machine.operation_ended("a", now);
  machine.check_invariants();
  EXPECT_TRUE(machine.next(now, 1).empty());
  EXPECT_EQ(machine.next_wake(), kNever);
}

// -------------------------------------------------------------------------------- any sequence

/// Anything that may happen, read from bytes.
class Chaos {
 public:
  explicit Chaos(BytesView script) : script_(script) {
    for (const char* path : {"/one", "/two"}) {
      watched_.insert(model_.add_folder(path).id);
    }
    for (const FolderId folder : watched_) model_.machine.set_watched(folder, true);
  }

  void run() {
    while (!script_.done()) {
      happen();
      model_.step();
    }
    // In the end the watch has told all, operations end, and everything can be read.
    while (!model_.operations.empty()) end_operation();
    model_.away.clear();
    for (auto& [folder, things] : model_.disk) {
      for (auto& [id, thing] : things) {
        if (std::exchange(thing.closed, false)) tell(folder, id);
      }
    }
    tell_all();
    model_.settle();
    // What failed before is tried again within the longest wait.
    model_.now += LibraryTimes{}.retry_max;
    model_.settle();
    model_.check_true();
  }

 private:
  void happen() {
    switch (script_.below(20)) {
      case 0: return change_settings();
      case 1: return end_operation();
      case 2: return begin_operation();
      case 3: return restart();
      case 4: model_.machine.scan_now(some_folder(), model_.now); return;
      case 5: return go_away();
      case 6: return remove_or_add_folder();
      case 7:
        if (model_.jobs.empty()) return;
        return model_.end(script_.below(model_.jobs.size()), Error(ErrorCode::kIo, "by chance"));
      case 8: return tell_all();
      case 9:
      case 10: model_.now += std::chrono::milliseconds(50) * script_.byte(); return;
      case 11:
      case 12:
      case 13:
      case 14:
        if (!model_.jobs.empty()) model_.end(script_.below(model_.jobs.size()));
        return;
      default: return change_disk();
    }
  }

  FolderId some_folder() {
    if (model_.folders.empty()) return 0;
    auto folder = model_.folders.begin();
    std::advance(folder, static_cast<std::ptrdiff_t>(script_.below(model_.folders.size())));
    return folder->first;
  }
  std::string some_id() { return std::string(1, static_cast<char>('a' + script_.below(5))); }

  void change_disk() {
    const FolderId folder = some_folder();
    if (folder == 0) return;
    auto& things = model_.disk[folder];
    const std::string id = some_id();
    const auto found = things.find(id);
    if (found == things.end()) {
      things[id].deep = ++serial_;
    } else {
      switch (script_.below(7)) {
        case 0: found->second.top = ++serial_; break;
        case 1: found->second.deep = ++serial_; break;
        case 2:
          found->second.version = std::to_string(script_.below(3));
          found->second.top = ++serial_;
          break;
        case 3:
          found->second.sentinel = !found->second.sentinel;
          found->second.top = ++serial_;
          break;
        case 4: found->second.installed = !found->second.installed; break;
        case 5: found->second.closed = !found->second.closed; break;
        default: things.erase(found); break;
      }
    }
    tell(folder, id);
  }
  /// The watch has seen it, and will say so.
  void tell(FolderId folder, const std::string& id) { untold_.emplace_back(folder, id); }
  void tell_all() {
    for (const auto& [folder, id] : untold_) {
      model_.machine.names_changed(folder, model_.now);
      model_.machine.touched(folder, id, model_.now);
    }
    untold_.clear();
  }

  void change_settings() {
    const FolderId id = some_folder();
    if (id == 0) return;
    Folder folder = model_.folders.at(id);
    switch (script_.below(4)) {
      case 0: folder.settings.sentinel.required = !folder.settings.sentinel.required; break;
      case 1: folder.settings.topic = script_.below(2) == 0 ? "" : "t"; break;
      case 2: folder.settings.expected = {{some_id(), std::to_string(script_.below(3))}}; break;
      default: folder.settings.audience = script_.below(2) == 0 ? kForAnyone : kForTrusted; break;
    }
    model_.change_folder(folder);
  }
  void begin_operation() {
    const std::string id = some_id();
    if (model_.operations.insert(id).second) model_.machine.operation_began(id);
  }
  void end_operation() {
    if (model_.operations.empty()) return;
    const std::string id = *model_.operations.begin();
    model_.operations.erase(id);
    model_.machine.operation_ended(id, model_.now);
  }
  void restart() {
    while (!model_.operations.empty()) end_operation();
    model_.restart({});
    // What the watch had not told is lost; what changed while nobody looked is found by a scan.
    untold_.clear();
    for (const auto& [id, folder] : model_.folders) {
      model_.machine.set_watched(id, true);
      model_.machine.scan_now(id, model_.now);
    }
  }
  void go_away() {
    const FolderId folder = some_folder();
    if (!model_.away.erase(folder)) model_.away.insert(folder);
    model_.machine.news_lost(folder, model_.now);
  }
  void remove_or_add_folder() {
    if (model_.folders.size() < 3 && script_.below(2) == 0) {
      const FolderId id = model_.add_folder("/more" + std::to_string(++serial_)).id;
      model_.machine.set_watched(id, true);
    } else if (!model_.folders.empty()) {
      model_.remove_folder(some_folder());
    }
  }

  Script script_;
  Model model_;
  std::set<FolderId> watched_;
  std::vector<std::pair<FolderId, std::string>> untold_;
  unsigned serial_ = 0;  ///< No state of the disk comes back: it has other times.
};

RC_GTEST_PROP(LibraryMachine, SaysWhatTheDiskSaysInTheEndWhateverHappened, ()) {
  const auto bytes = *rc::gen::scale(10.0, rc::gen::arbitrary<Bytes>());
  Chaos(bytes).run();
}

}  // namespace
}  // namespace warren::library
