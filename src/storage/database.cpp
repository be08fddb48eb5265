#include "storage/database.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "runtime/file.hpp"

namespace warren::storage {
namespace {

constexpr int kBusyMilliseconds = 2'000;
// Of the write-ahead log after a checkpoint: what one large transaction left behind.
constexpr int kJournalBytesMax = 1 << 20;

}  // namespace

Error Database::error_of(const SQLite::Exception& thrown) const {
  ErrorCode code = ErrorCode::kInternal;
  std::string text = thrown.getErrorStr();
  std::string hint;
  switch (thrown.getErrorCode()) {
    case SQLITE_FULL:
      code = ErrorCode::kNoSpace;
      hint = "free space on the disk that holds it";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      code = ErrorCode::kConflict;
      text = fmt::format("another program is writing to it ({})", text);
      hint = "close the other program that has the file open, and try again";
      break;
    case SQLITE_ERROR:  // A table or a column is not there.
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      code = ErrorCode::kMalformed;
      hint = options_.damaged_hint;
      break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      code = ErrorCode::kDenied;
      hint = "let this user write the file and its folder";
      break;
    case SQLITE_IOERR: code = ErrorCode::kIo; break;
    default: break;
  }
  return {code, fmt::format("{} {}: {}", options_.what, path_, text), std::move(hint)};
}

bool Database::is_damage(const SQLite::Exception& thrown) {
  return thrown.getErrorCode() == SQLITE_TOOBIG || thrown.getErrorCode() == SQLITE_CORRUPT ||
         thrown.getErrorCode() == SQLITE_MISMATCH;
}

Database::Database(const std::string& path, DatabaseOptions options)
    : path_(path),
      options_(std::move(options)),
      db_(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyMilliseconds) {}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, DatabaseOptions options) {
  if (path != kInMemory) {
    // SQLite would make it readable for everybody. Its journal takes the mode of the file.
    auto made = runtime::File::create(path, 0600);
    if (!made && made.error().code() != ErrorCode::kExists) {
      return fail(std::move(made).error().in(options.what));
    }
  }
  std::unique_ptr<Database> database;
  try {
    database.reset(new Database(path, options));
  } catch (const SQLite::Exception& thrown) {
    // The file is there: a folder, or one that this user may not open.
    return fail(ErrorCode::kDenied,
                fmt::format("{} {}: {}", options.what, path, thrown.getErrorStr()),
                "let this user write the file and its folder");
  }
  const Result<> ready = database->guarded([&]() -> Result<> {
    database->protect();
    if (options.checked) WARREN_TRY_VOID(database->check());
    return database->migrate();
  });
  if (!ready) return fail(ready.error());
  return database;
}

void Database::protect() {
  // The file may have been made by anyone: nothing in its schema is run for us.
  sqlite3_db_config(db_.getHandle(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  const std::size_t value_bytes = std::min<std::size_t>(options_.value_bytes_max, 1'000'000'000);
  sqlite3_limit(db_.getHandle(), SQLITE_LIMIT_LENGTH, static_cast<int>(value_bytes));
  db_.exec("PRAGMA trusted_schema = OFF");
  db_.exec("PRAGMA cell_size_check = ON");
  db_.exec(fmt::format("PRAGMA cache_size = -{}", options_.cache_bytes / 1024));
  if (!options_.bytes_max) return;
  const int page_bytes = db_.execAndGet("PRAGMA page_size").getInt();
  db_.exec(fmt::format("PRAGMA max_page_count = {}",
                       *options_.bytes_max / static_cast<std::size_t>(std::max(page_bytes, 1))));
}

Result<> Database::check() {
  return guarded([&]() -> Result<> {
    const std::string found = db_.execAndGet("PRAGMA quick_check(1)").getString();
    if (found == "ok") return {};
    return fail(error_of(SQLite::Exception(found, SQLITE_CORRUPT)));
  });
}

Result<> Database::migrate() {
  const int known = static_cast<int>(options_.migrations.size());
  const int version = db_.execAndGet("PRAGMA user_version").getInt();
  if (version > known) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} {}: made by a newer Warren (schema {}, this one knows {})",
                            options_.what, path_, version, known),
                "use that Warren again, or give this one another folder with --home");
  }
  if (version < 0) {
    return fail(
        error_of(SQLite::Exception(fmt::format("its version is {}", version), SQLITE_CORRUPT)));
  }
  // Not before the version is known: one of a newer Warren is left as it is.
  db_.exec("PRAGMA journal_mode = WAL");
  db_.exec("PRAGMA foreign_keys = ON");
  db_.exec(fmt::format("PRAGMA journal_size_limit = {}", kJournalBytesMax));
  for (int i = version; i < known; ++i) {
    Transaction transaction(*this);
    db_.exec(std::string(options_.migrations[static_cast<std::size_t>(i)]));
    db_.exec(fmt::format("PRAGMA user_version = {}", i + 1));
    transaction.commit();
  }
  set_survives(options_.survives);
  return {};
}

Query Database::query(std::string_view sql) {
  auto found = prepared_.find(sql);
  if (found == prepared_.end()) {
    std::string text(sql);
    SQLite::Statement statement(db_, text);
    found = prepared_.emplace(std::move(text), Prepared{std::move(statement)}).first;
  }
  return Query(found->second);
}

void Database::set_survives(Survives survives) {
  // In WAL mode NORMAL writes without waiting for the disk, FULL waits at each commit.
  switch (survives) {
    case Survives::kKill: db_.exec("PRAGMA synchronous = NORMAL"); break;
    case Survives::kPowerLoss: db_.exec("PRAGMA synchronous = FULL"); break;
  }
}

}  // namespace warren::storage
