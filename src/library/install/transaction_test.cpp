#include "library/install/transaction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "library/install/model_files_for_test.hpp"
#include "library/install/operations_for_test.hpp"

namespace warren::install {
namespace {

using namespace test;

/// The file system when `action` was stopped before its change number `allowed`.
template <class Action>
ModelFiles stopped(const Tree& begin, std::size_t allowed, Action action, bool& ended) {
  ModelFiles files(begin);
  files.allowed = allowed;
  try {
    EXPECT_TRUE(action(files));
    ended = true;
  } catch (const Stopped&) {
    ended = false;
  }
  return files;
}

/// After a kill the file system is as it was; after a loss of power it may be any of these.
std::vector<Tree> what_may_be_found(const ModelFiles& files, bool power_loss) {
  std::set<Tree> found{files.tree()};
  for (std::size_t kept = 0; power_loss && kept <= files.pending(); ++kept) {
    for (const Torn torn : kTorn) found.insert(files.after_power_loss(kept, torn));
  }
  return {found.begin(), found.end()};
}

Result<> recover_only(EntryFiles& files) {
  WARREN_TRY_VOID(recover(files));
  return {};
}

void expect_before_or_after(const Operation& operation, const Tree& found) {
  if (found == operation.before || found == operation.after) return;
  EXPECT_EQ(found, operation.before);
  EXPECT_EQ(found, operation.after);
}

/// Every stop of the operation, every stop of the recovery after it, and what both may leave.
std::size_t try_every_crash(const Operation& operation, bool power_loss) {
  std::size_t tried = 0;
  const auto act = [&](EntryFiles& files) { return perform(files, operation.plan); };
  bool ended = false;
  for (std::size_t allowed = 0; !ended; ++allowed) {
    const ModelFiles files = stopped(operation.before, allowed, act, ended);
    for (const Tree& crashed : what_may_be_found(files, power_loss)) {
      bool recovered = false;
      for (std::size_t more = 0; !recovered; ++more) {
        SCOPED_TRACE(fmt::format("{}: stopped before change {}, recovery before change {}",
                                 operation.name, allowed, more));
        const ModelFiles again = stopped(crashed, more, recover_only, recovered);
        for (const Tree& twice : what_may_be_found(again, power_loss)) {
          ModelFiles last(twice);
          EXPECT_TRUE(recover(last));
          expect_before_or_after(operation, last.tree());
          ++tried;
          if (testing::Test::HasFailure()) return tried;
        }
      }
    }
  }
  return tried;
}

TEST(Transaction, EachOperationDoesWhatItIsFor) {
  for (const Operation& operation : operations()) {
    ModelFiles files(operation.before);
    ASSERT_TRUE(perform(files, operation.plan)) << operation.name;
    EXPECT_EQ(files.tree(), operation.after) << operation.name;
    for (const Tree& found : what_may_be_found(files, true)) {
      EXPECT_EQ(found, operation.after) << operation.name << ": something is not on the disk";
    }
    EXPECT_EQ(*recover(files), Outcome::kNothing);
  }
}

TEST(Transaction, AKillAtAnyChangeLeavesTheEntryAsItWasOrAsItShouldBe) {
  for (const Operation& operation : operations()) {
    const std::size_t tried = try_every_crash(operation, false);
    EXPECT_GT(tried, 15u) << operation.name;
  }
}

TEST(Transaction, ALossOfPowerAtAnyChangeLeavesTheEntryAsItWasOrAsItShouldBe) {
  for (const Operation& operation : operations()) {
    const std::size_t tried = try_every_crash(operation, true);
    EXPECT_GT(tried, 60u) << operation.name;
  }
}

/// That the test above can fail: bytes that are never brought to the disk.
class Forgetful final : public ModelFiles {
 public:
  using ModelFiles::ModelFiles;
  Result<> sync_file(std::string_view) override { return {}; }
  Result<> sync_tree(std::string_view) override { return {}; }
};

TEST(Transaction, WithoutSyncsALossOfPowerWouldShow) {
  const Operation install = operations().front();
  std::size_t bad = 0;
  for (std::size_t allowed = 0; allowed < 40; ++allowed) {
    Forgetful files(install.before);
    files.allowed = allowed;
    try {
      static_cast<void>(perform(files, install.plan));
    } catch (const Stopped&) {
    }
    for (const Tree& crashed : what_may_be_found(files, true)) {
      ModelFiles last(crashed);
      const auto recovered = recover(last);
      if (!recovered || (last.tree() != install.before && last.tree() != install.after)) ++bad;
    }
  }
  EXPECT_GT(bad, 0u);
}

TEST(Transaction, WhatWarrenDidNotMakeIsLeftAlone) {
  const Tree theirs{{".local.installing/", ""},
                    {".local.installing/precious", "data"},
                    {".local.backup/", ""},
                    {".local.backup/precious", "data"},
                    {".warren.new/", ""},
                    {".warren.new/x", "data"},
                    {"local/", ""},
                    {"local/save", "mine"}};
  ModelFiles files(theirs);
  EXPECT_EQ(*recover(files), Outcome::kNothing);
  EXPECT_EQ(files.tree(), theirs);
  EXPECT_EQ(files.calls(), 0u);
}

TEST(Transaction, AMarkedStagingFolderGoesAlsoWithoutALog) {
  const Tree rest{{".local.backup/", ""}, {".local.backup/precious", "data"}, {"local/", ""}};
  ModelFiles files(with(rest, {{".local.installing/", ""},
                               {".local.installing/.warren_owned", ""},
                               {".local.installing/deep/", ""},
                               {".local.installing/deep/x", "y"}}));
  EXPECT_EQ(*recover(files), Outcome::kAsBefore);
  EXPECT_EQ(files.tree(), rest);
}

TEST(Transaction, ABackupIsKeptWhenSomeoneElseMadeALocal) {
  const Tree log{{".warren.json", std::string(as_text(encode_log({Intent::kUpdating, ""})))}};
  const Tree rest{{".local.backup/", ""},
                  {".local.backup/save", "mine"},
                  {"local/", ""},
                  {"local/save", "also mine"}};
  ModelFiles files(with(with(rest, log), {{".local.installing/", ""}}));
  ASSERT_TRUE(recover(files));
  EXPECT_EQ(files.tree(), rest);
}

TEST(Transaction, ANewVersionThatWentLeavesTheOldOne) {
  const Tree files_before{{"version.ini", "version = 1"}, {"a", "1"}, {"b/", ""}, {"b/c", "2"}};
  ModelFiles files(with(files_before, {{".warren.new/", ""}, {".warren.new/a", "new"}}));
  const std::array begun{Step::kNoteReplacing, Step::kMakeOld, Step::kTakeSentinel,
                         Step::kMoveOldOut};
  ASSERT_TRUE(run(files, "version.ini", begun));
  ASSERT_TRUE(files.remove_tree(".warren.new"));
  EXPECT_EQ(*recover(files), Outcome::kAsBefore);
  EXPECT_EQ(files.tree(), files_before);
}

TEST(Transaction, AnUnreadableLogStopsEverything) {
  for (const std::string text : {"", "{", "[]", R"({"v":1})", R"({"v":"1"})",
                                 R"({"v":1,"intent":"unheard of","sentinel":""})",
                                 R"({"v":1,"intent":"updating","sentinel":"../x"})",
                                 R"({"v":1,"intent":"updating","sentinel":"local"})"}) {
    const Tree found{{".warren.json", text}, {".local.backup/", ""}, {".local.backup/x", "y"}};
    ModelFiles files(found);
    const auto recovered = recover(files);
    ASSERT_FALSE(recovered) << text;
    EXPECT_EQ(recovered.error().code(), ErrorCode::kMalformed);
    EXPECT_EQ(files.tree(), found);
  }
  const auto later = decode_log(as_bytes(R"({"v":2,"intent":"flying"})"));
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code(), ErrorCode::kUnsupported);
}

TEST(Transaction, TheLogComesBackAsItWasWritten) {
  for (const Intent intent : {Intent::kInstalling, Intent::kUpdating, Intent::kUninstalling,
                              Intent::kReplacing, Intent::kPlacing}) {
    const IntentLog log{intent, "version \"x\".ini"};
    EXPECT_EQ(*decode_log(encode_log(log)), log);
  }
}

TEST(Transaction, EveryStateHasARecovery) {
  for (int bits = 0; bits < 64; ++bits) {
    for (const Intent intent : {Intent::kNone, Intent::kInstalling, Intent::kUpdating,
                                Intent::kUninstalling, Intent::kReplacing, Intent::kPlacing}) {
      Seen seen;
      seen.log.intent = intent;
      seen.log_parts = (bits & 1) != 0;
      seen.local = (bits & 2) != 0;
      seen.staging = (bits & 4) != 0;
      seen.marked = (bits & 8) != 0;
      seen.backup = (bits & 16) != 0;
      seen.incoming = (bits & 32) != 0;
      const Recovery recovery = recovery_of(seen);
      ASSERT_FALSE(recovery.steps.empty());
      EXPECT_EQ(recovery.steps.back(), Step::kEndIntent);
      // Nothing that may be a person's goes unless the log or the marker speaks for it.
      const auto has = [&](Step step) {
        return std::ranges::find(recovery.steps, step) != recovery.steps.end();
      };
      if (intent == Intent::kNone) {
        EXPECT_EQ(has(Step::kRemoveStaging), seen.marked);
        EXPECT_FALSE(has(Step::kRemoveBackup));
      }
      if (has(Step::kRemoveBackup)) {
        EXPECT_TRUE(intent == Intent::kUninstalling || (intent == Intent::kUpdating && seen.local));
      }
    }
  }
}

}  // namespace
}  // namespace warren::install
