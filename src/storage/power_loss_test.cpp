// What a commit survives: databases of this node when the power fails after every single operation.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <iostream>

#include "storage/database.hpp"
#include "storage/power_loss_for_test.hpp"

namespace warren::storage {
namespace {

namespace fs = std::filesystem;
using test::DiskLog;
using test::kLeft;
using test::Left;

constexpr std::array<std::string_view, 1> kMigrations{
    "CREATE TABLE numbers(n INTEGER PRIMARY KEY, filling BLOB)"};
constexpr int kCommits = 12;

class PowerLossTest : public testing::Test {
 protected:
  PowerLossTest() { fs::create_directories(folder_ / "lived"); }
  ~PowerLossTest() override { fs::remove_all(folder_); }

  std::unique_ptr<Database> open(const fs::path& folder, Survives survives) {
    auto opened = Database::open(folder / "a.db", {.what = "test database",
                                                   .migrations = kMigrations,
                                                   .survives = survives,
                                                   .checked = true});
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }
  /// One number in each commit; the log is written back in between, and begins anew.
  void live(Survives survives) {
    const test::RecordedDatabases recorded(log_);
    const auto database = open(folder_ / "lived", survives);
    for (int n = 1; n <= kCommits; ++n) {
      const auto written = database->guarded([&]() -> Result<> {
        Transaction transaction(*database);
        database->query("INSERT INTO numbers VALUES(?, randomblob(3000))").with(n).run();
        database->query("UPDATE numbers SET filling = randomblob(3000) WHERE n = 1").run();
        transaction.commit();
        return {};
      });
      ASSERT_TRUE(written) << written.error().message();
      committed_.push_back(log_.size());
      if (n % 5 == 0) database->exec("PRAGMA wal_checkpoint(RESTART)");
    }
  }
  /// How many numbers are found, without a gap; -1 when it is damaged.
  int found_after(std::size_t done, Left left) {
    DiskLog::make(folder_ / "found", log_.after(done, left));
    auto opened =
        Database::open(folder_ / "found" / "a.db",
                       {.what = "test database", .migrations = kMigrations, .checked = true});
    if (!opened) return -1;
    const auto counted = (*opened)->guarded([&]() -> Result<int> {
      Query row = (*opened)->query("SELECT count(*), coalesce(max(n), 0) FROM numbers");
      row.step();
      return row.integer(0) == row.integer(1) ? static_cast<int>(row.integer(0)) : -1;
    });
    return counted.value_or(-1);
  }
  int committed_before(std::size_t done) const {
    return static_cast<int>(std::ranges::upper_bound(committed_, done) - committed_.begin());
  }

  fs::path folder_ = test::make_folder();
  DiskLog log_{folder_ / "lived"};
  std::vector<std::size_t> committed_;
};

TEST_F(PowerLossTest, ACommitThatWaitsIsThere) {
  live(Survives::kPowerLoss);
  for (std::size_t done = 0; done <= log_.size(); ++done) {
    for (const Left left : kLeft) {
      const int found = found_after(done, left);
      ASSERT_GE(found, committed_before(done)) << done << ", " << static_cast<int>(left);
      ASSERT_LE(found, committed_before(done) + 1);
    }
  }
}

TEST_F(PowerLossTest, ACommitThatDoesNotWaitMayGoAndDamagesNothing) {
  live(Survives::kKill);
  bool any_lost = false;
  for (std::size_t done = 0; done <= log_.size(); ++done) {
    for (const Left left : kLeft) {
      const int found = found_after(done, left);
      ASSERT_GE(found, 0) << done << ", " << static_cast<int>(left);
      ASSERT_LE(found, committed_before(done) + 1);
      any_lost = any_lost || found < committed_before(done);
    }
    ASSERT_GE(found_after(done, Left::kAll), committed_before(done)) << "a kill loses nothing";
  }
  EXPECT_TRUE(any_lost) << "the model loses nothing: it shows nothing";
}

TEST_F(PowerLossTest, ADiskThatForgetsIsNoticed) {
  live(Survives::kPowerLoss);
  log_.forgets_syncs = [](std::string_view path) { return path == "a.db-wal"; };
  bool any_lost = false;
  for (std::size_t done = 0; done <= log_.size(); ++done) {
    any_lost = any_lost || found_after(done, Left::kNothing) < committed_before(done);
  }
  EXPECT_TRUE(any_lost);
}

}  // namespace
}  // namespace warren::storage
