#pragma once
// A SQLite file of this node: opened, brought up to date, asked. Every call blocks: the worker
// pool's.

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Transaction.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.hpp"
#include "storage/query.hpp"

namespace warren::storage {

/// The path of a database that is gone at the end, for tests.
inline constexpr std::string_view kInMemory = ":memory:";

/// What a commit survives.
enum class Survives : std::uint8_t {
  kKill,       ///< The end of the process at any moment. A loss of power may undo the last ones.
  kPowerLoss,  ///< That too: each commit waits for the disk, for what was written before as well.
};

struct DatabaseOptions {
  std::string what = "database";  ///< What error texts call it: "peers database".
  /// Each one leads from the version before it; user_version counts those applied. Must outlive
  /// open(). See warren_migrations() in CMakeLists.txt.
  std::span<const std::string_view> migrations{};
  Survives survives = Survives::kPowerLoss;
  bool checked = false;  ///< open() looks for damage in every page: reads the whole file.
  std::string damaged_hint = "move the file away and start again";
  std::size_t cache_bytes = 4u << 20;
  /// Of one value; beyond: kMalformed. Source: SQLite's own default, SQLITE_MAX_LENGTH.
  std::size_t value_bytes_max = 1'000'000'000;
  std::optional<std::size_t> bytes_max{};  ///< Of the file; beyond: kNoSpace. Unset: the disk's.
};

/// One connection. One thread at a time; several connections to one file may be.
class Database {
 public:
  /// Opens `path`, making it with mode 0600 if it is not there, and brings its schema up to date,
  /// each version in a transaction of its own. Errors: kUnsupported when a newer Warren made it,
  /// kMalformed when it is none or damaged; both leave it as it is. kNotFound without its folder;
  /// kDenied, kNoSpace, kIo; kConflict when another program writes to it for more than 2 s.
  static Result<std::unique_ptr<Database>> open(const std::string& path, DatabaseOptions options);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }
  /// Runs `f`, which returns a Result, and turns what SQLite throws in it into its error:
  /// kConflict, kNoSpace, kMalformed (a value, a row or a table is not what it should be), kDenied,
  /// kIo.
  template <class F>
  auto guarded(F f) -> decltype(f()) {
    try {
      return f();
    } catch (const SQLite::Exception& thrown) {
      return fail(error_of(thrown));
    }
  }
  Error error_of(const SQLite::Exception& thrown) const;
  /// Whether it says that a value or a page is bad, not that the disk is.
  static bool is_damage(const SQLite::Exception& thrown);
  /// Looks for damage in every page. Errors: kMalformed.
  Result<> check();

  // What follows throws SQLite::Exception: inside guarded().

  /// Prepared once for each text: texts are those of the program, values go in by Query::with().
  Query query(std::string_view sql);
  /// One or more statements without values and rows.
  void exec(const char* sql) { db_.exec(sql); }
  /// Of the row that was inserted last.
  std::int64_t last_id() const { return db_.getLastInsertRowid(); }
  /// For the commits from now on; not inside a transaction.
  void set_survives(Survives survives);

 private:
  friend class Transaction;
  struct TextHash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  Database(const std::string& path, DatabaseOptions options);
  void protect();
  Result<> migrate();

  std::string path_;
  DatabaseOptions options_;
  SQLite::Database db_;
  std::unordered_map<std::string, Prepared, TextHash, std::equal_to<>> prepared_;
};

/// All that happens until commit() or nothing. Takes the right to write at once, so that no other
/// program can come in between. Throws as Query does.
class Transaction {
 public:
  explicit Transaction(Database& database)
      : transaction_(database.db_, SQLite::TransactionBehavior::IMMEDIATE) {}
  void commit() { transaction_.commit(); }

 private:
  SQLite::Transaction transaction_;
};

}  // namespace warren::storage
