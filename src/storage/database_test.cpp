// Files of a database: made, brought up to date, damaged, locked, full, of a newer program.

#include "storage/database.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/check.hpp"

namespace warren::storage {
namespace {

using std::literals::operator""sv;
using testing::HasSubstr;

constexpr std::array<std::string_view, 2> kMigrations{
    "CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT UNIQUE, value)",
    "CREATE TABLE more(x); INSERT INTO more VALUES(1)"};

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    std::string name = std::filesystem::temp_directory_path() / "warren-storage-XXXXXX";
    WARREN_CHECK(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name = "a.db") const { return folder_ / name; }
  static DatabaseOptions options(std::size_t versions = 2) {
    return {.what = "test database", .migrations = std::span(kMigrations).first(versions)};
  }
  static std::unique_ptr<Database> open(const std::string& path, DatabaseOptions with = options()) {
    auto opened = Database::open(path, std::move(with));
    WARREN_CHECK(opened);
    return std::move(*opened);
  }
  static std::int64_t number(Database& database, std::string_view sql) {
    const auto found = database.guarded([&]() -> Result<std::int64_t> {
      Query query = database.query(sql);
      return query.step() ? query.integer(0) : -1;
    });
    EXPECT_TRUE(found) << found.error().message();
    return found.value_or(-1);
  }
  static Result<> add(Database& database, std::string_view name) {
    return database.guarded([&]() -> Result<> {
      database.query("INSERT INTO things(name) VALUES(?)").with(name).run();
      return {};
    });
  }
  std::string content(const std::string& path) const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path folder_;
};

TEST_F(DatabaseTest, IsMadeForItsOwnerOnlyAndKeepsWhatWasCommitted) {
  {
    auto database = open(file());
    ASSERT_TRUE(add(*database, "one"));
    for (const std::string& path : {file(), file("a.db-wal")}) {
      struct stat info{};
      ASSERT_EQ(::stat(path.c_str(), &info), 0) << path;
      EXPECT_EQ(info.st_mode & 0777, 0600u) << path;
    }
  }
  EXPECT_EQ(number(*open(file()), "SELECT count(*) FROM things WHERE name = 'one'"), 1);
}

TEST_F(DatabaseTest, ComesUpToDateOneVersionAfterTheOther) {
  {
    auto database = open(file(), options(1));
    ASSERT_TRUE(add(*database, "one"));
    EXPECT_EQ(number(*database, "PRAGMA user_version"), 1);
  }
  for (int again = 0; again < 2; ++again) {
    auto database = open(file());
    EXPECT_EQ(number(*database, "PRAGMA user_version"), 2);
    EXPECT_EQ(number(*database, "SELECT count(*) FROM more"), 1) << "each once";
    EXPECT_EQ(number(*database, "SELECT count(*) FROM things"), 1);
  }
}

TEST_F(DatabaseTest, AMigrationThatFailsChangesNothing) {
  constexpr std::array<std::string_view, 2> kBad{kMigrations[0],
                                                 "CREATE TABLE more(x); CREATE TABLE things(y)"};
  DatabaseOptions bad = options();
  bad.migrations = kBad;
  EXPECT_FALSE(Database::open(file(), bad));
  auto database = open(file(), options(1));
  EXPECT_EQ(number(*database, "PRAGMA user_version"), 1);
  EXPECT_EQ(number(*database, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'"), 0);
}

TEST_F(DatabaseTest, OneOfANewerProgramIsLeftAsItIs) {
  open(file());
  const std::string before = content(file());
  const auto refused = Database::open(file(), options(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message(), HasSubstr("test database " + file()));
  EXPECT_EQ(content(file()), before);
}

TEST_F(DatabaseTest, WhatIsNoDatabaseIsNamedAndLeftAsItIs) {
  const std::string garbage(10'000, 'x');
  std::ofstream(file()) << garbage;
  DatabaseOptions with = options();
  with.damaged_hint = "throw it away";
  const auto refused = Database::open(file(), with);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed);
  EXPECT_THAT(refused.error().message(), HasSubstr(file()));
  EXPECT_EQ(refused.error().hint(), "throw it away");
  EXPECT_EQ(content(file()), garbage);
}

TEST_F(DatabaseTest, ADamagedPageIsFoundWhenItIsLookedFor) {
  {
    auto database = open(file());
    for (int i = 0; i < 2'000; ++i) {
      ASSERT_TRUE(add(*database, std::to_string(i) + std::string(100, 'x')));
    }
  }
  {
    std::fstream broken(file(), std::ios::in | std::ios::out | std::ios::binary);
    broken.seekp(20 * 4096);
    broken << std::string(4096, '\xff');
  }
  DatabaseOptions checked = options();
  checked.checked = true;
  const auto refused = Database::open(file(), checked);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(open(file())->check().error().code(), ErrorCode::kMalformed) << "also later";
}

TEST_F(DatabaseTest, WithoutAFolderItIsNotFoundAndAFolderIsDenied) {
  const auto missing = Database::open(file("none/a.db"), options());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("none/a.db"));
  const auto folder = Database::open(folder_, options());
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code(), ErrorCode::kDenied);
}

TEST_F(DatabaseTest, AnotherOneThatWritesIsAConflictInWords) {
  auto one = open(file());
  auto other = open(file());
  const auto refused = one->guarded([&]() -> Result<> {
    const Transaction held(*one);
    return add(*other, "x");
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kConflict);
  EXPECT_THAT(refused.error().message(), HasSubstr("another program is writing to it"));
  EXPECT_FALSE(refused.error().hint().empty());
  EXPECT_TRUE(add(*other, "x")) << "after that";
}

TEST_F(DatabaseTest, AFullFileIsAnErrorAfterWhichAllIsAsBefore) {
  DatabaseOptions small = options();
  small.bytes_max = 20 * 4096;
  auto database = open(file(), small);
  const auto refused = database->guarded([&]() -> Result<> {
    Transaction transaction(*database);
    for (int i = 0; i < 100; ++i) {
      database->query("INSERT INTO things(value) VALUES(zeroblob(4000))").run();
    }
    transaction.commit();
    return {};
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(number(*database, "SELECT count(*) FROM things"), 0);
  EXPECT_TRUE(add(*database, "x"));
}

TEST_F(DatabaseTest, ATransactionThatIsNotCommittedNeverWas) {
  auto database = open(file());
  const auto left = database->guarded([&]() -> Result<> {
    const Transaction transaction(*database);
    WARREN_TRY_VOID(add(*database, "x"));
    return fail(ErrorCode::kNotFound, "changed its mind");
  });
  EXPECT_EQ(left.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(number(*database, "SELECT count(*) FROM things"), 0);
}

TEST_F(DatabaseTest, ATransactionSurvivesKillNineWholeOrNotAtAll) {
  for (const Survives survives : {Survives::kKill, Survives::kPowerLoss}) {
    const std::string path = file(survives == Survives::kKill ? "kill.db" : "power.db");
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      DatabaseOptions with = options();
      with.survives = survives;
      auto database = open(path, with);
      for (int i = 0;; i += 2) {
        const auto written = database->guarded([&]() -> Result<> {
          Transaction transaction(*database);
          WARREN_TRY_VOID(add(*database, std::to_string(i)));
          WARREN_TRY_VOID(add(*database, std::to_string(i + 1)));
          transaction.commit();
          return {};
        });
        const char byte = 1;
        if (!written || ::write(pipe_ends[1], &byte, 1) != 1) ::_exit(3);
      }
    }
    ::close(pipe_ends[1]);
    std::int64_t committed = 0;
    char byte = 0;
    for (; committed < 20; ++committed) ASSERT_EQ(::read(pipe_ends[0], &byte, 1), 1);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    while (::read(pipe_ends[0], &byte, 1) == 1) ++committed;
    ::close(pipe_ends[0]);
    auto database = open(path);
    const std::int64_t rows = number(*database, "SELECT count(*) FROM things");
    EXPECT_EQ(rows % 2, 0);
    EXPECT_GE(rows, 2 * committed);
    EXPECT_TRUE(database->check());
  }
}

TEST_F(DatabaseTest, WhatACommitSurvivesIsWhatWasAskedFor) {
  DatabaseOptions quick = options();
  quick.survives = Survives::kKill;
  auto database = open(file(), quick);
  EXPECT_EQ(number(*database, "PRAGMA synchronous"), 1);
  database->set_survives(Survives::kPowerLoss);
  EXPECT_EQ(number(*database, "PRAGMA synchronous"), 2);
  EXPECT_EQ(number(*open(file("b.db")), "PRAGMA synchronous"), 2);
}

TEST_F(DatabaseTest, NothingInTheSchemaOfAStrangerIsRun) {
  {
    auto database = open(file());
    ASSERT_TRUE(database->guarded([&]() -> Result<> {
      database->exec(
          "CREATE TRIGGER evil AFTER INSERT ON things BEGIN "
          "SELECT load_extension('evil.so'); END");
      return {};
    }));
  }
  auto database = open(file());
  EXPECT_FALSE(add(*database, "x")) << "a trigger may not call what is unsafe";
}

// --------------------------------------------------------------------------------------- query

TEST_F(DatabaseTest, ValuesComeBackAsTheyWere) {
  auto database = open(std::string(kInMemory));
  const WallTime time{std::chrono::nanoseconds(1'700'000'000'123'456'789)};
  const Bytes bytes{0, 1, 255};
  const auto done = database->guarded([&]() -> Result<> {
    Query query = database->query("SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?");
    query.with(-5)
        .with(~std::uint64_t{0})
        .with(true)
        .with(0.25)
        .with("t\xc3\xbc\0x"sv)
        .with(bytes)
        .with(Bytes())
        .with(time)
        .with(std::optional<double>())
        .with(std::optional(7u));
    EXPECT_TRUE(query.step());
    EXPECT_EQ(query.integer(0), -5);
    EXPECT_EQ(query.natural(0), 0u);
    EXPECT_EQ(query.natural32(0), 0u);
    EXPECT_EQ(query.bits(1), ~std::uint64_t{0});
    EXPECT_TRUE(query.flag(2));
    EXPECT_EQ(query.real(3), 0.25);
    EXPECT_EQ(query.text(4), "t\xc3\xbc\0x"sv);
    EXPECT_EQ(query.bytes(5), bytes);
    EXPECT_FALSE(query.is_null(6)) << "empty bytes are no NULL";
    EXPECT_TRUE(query.bytes(6).empty());
    EXPECT_EQ(query.time(7), time);
    EXPECT_TRUE(query.is_null(8));
    EXPECT_EQ(query.integer(9), 7);
    EXPECT_FALSE(query.step());
    return {};
  });
  EXPECT_TRUE(done) << done.error().message();
}

TEST_F(DatabaseTest, AColumnOfAnotherTypeOrTooLongIsNothing) {
  auto database = open(std::string(kInMemory));
  const auto done = database->guarded([&]() -> Result<> {
    Query query = database->query("SELECT 'text', x'0102', 1e300, NULL, 5000000000");
    EXPECT_TRUE(query.step());
    for (const int column : {0, 1, 2, 3}) EXPECT_EQ(query.integer(column), 0) << column;
    for (const int column : {1, 2, 3, 4}) EXPECT_EQ(query.text(column), "") << column;
    for (const int column : {0, 2, 3, 4}) EXPECT_TRUE(query.bytes(column).empty()) << column;
    for (const int column : {0, 1, 3}) EXPECT_FALSE(query.real(column)) << column;
    EXPECT_FALSE(query.text(0, 3));
    EXPECT_EQ(query.text(0, 4), "text");
    EXPECT_TRUE(query.blob(1, 1).empty());
    EXPECT_EQ(query.blob(1, 2).size(), 2u);
    EXPECT_EQ(query.natural32(4), ~std::uint32_t{0});
    return {};
  });
  EXPECT_TRUE(done) << done.error().message();
}

TEST_F(DatabaseTest, AStatementIsAsNewEachTime) {
  auto database = open(std::string(kInMemory));
  ASSERT_TRUE(add(*database, "a"));
  ASSERT_TRUE(add(*database, "b"));
  const auto done = database->guarded([&]() -> Result<> {
    for (const std::string name : {"a", "b", "c"}) {
      Query query = database->query("SELECT count(*) FROM things WHERE name = ?");
      query.with(name);
      EXPECT_TRUE(query.step());
      EXPECT_EQ(query.integer(0), name == "c" ? 0 : 1);
    }
    Query unbound = database->query("SELECT count(*) FROM things WHERE name = ?");
    EXPECT_TRUE(unbound.step());
    EXPECT_EQ(unbound.integer(0), 0) << "the value of before is gone";
    return {};
  });
  EXPECT_TRUE(done) << done.error().message();
}

TEST_F(DatabaseTest, AValueThatIsTooLargeOrARowThatIsThereIsMalformed) {
  DatabaseOptions small = options();
  small.value_bytes_max = 10'000;
  auto database = open(std::string(kInMemory), small);
  EXPECT_EQ(add(*database, std::string(10'001, 'x')).error().code(), ErrorCode::kMalformed);
  ASSERT_TRUE(add(*database, "x"));
  EXPECT_EQ(add(*database, "x").error().code(), ErrorCode::kMalformed);
}

}  // namespace
}  // namespace warren::storage
