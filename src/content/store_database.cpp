#include "content/store_database.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <array>

namespace warren::content {
namespace {

// Each one leads from the version before it; user_version counts those applied. Never changed
// once released, only added to. README.md explains the tables.
constexpr std::array<const char*, 1> kMigrations{R"sql(
CREATE TABLE datasets(
  id INTEGER PRIMARY KEY,
  root BLOB NOT NULL UNIQUE,
  files INTEGER NOT NULL,
  bytes INTEGER NOT NULL
);
CREATE TABLE nodes(
  id INTEGER PRIMARY KEY,
  cid BLOB NOT NULL UNIQUE,
  bytes BLOB NOT NULL
);
CREATE TABLE dataset_nodes(
  dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
  position INTEGER NOT NULL,
  node_id INTEGER NOT NULL REFERENCES nodes DEFERRABLE INITIALLY DEFERRED,
  PRIMARY KEY(dataset_id, position)
) WITHOUT ROWID;
CREATE INDEX dataset_nodes_by_node ON dataset_nodes(node_id);
CREATE TABLE shares(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  dataset_id INTEGER NOT NULL REFERENCES datasets,
  path TEXT NOT NULL,
  added_ns INTEGER NOT NULL,
  started_ns INTEGER NOT NULL
);
CREATE INDEX shares_by_dataset ON shares(dataset_id);
CREATE TABLE stamps(
  share_id INTEGER NOT NULL REFERENCES shares ON DELETE CASCADE,
  entry INTEGER NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  device INTEGER NOT NULL,
  changed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(share_id, entry)
) WITHOUT ROWID;
CREATE INDEX stamps_changed ON stamps(share_id) WHERE changed;
CREATE TABLE transfers(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  root BLOB NOT NULL,
  name TEXT NOT NULL,
  out_path TEXT NOT NULL,
  temporary_path TEXT NOT NULL,
  state TEXT NOT NULL,
  bytes_total INTEGER NOT NULL,
  bytes_done INTEGER NOT NULL,
  created_ns INTEGER NOT NULL,
  finished_ns INTEGER NOT NULL,
  error_code TEXT,
  error_message TEXT,
  error_hint TEXT,
  sources TEXT NOT NULL,
  bitmap BLOB
);
CREATE INDEX transfers_by_root ON transfers(root);
)sql"};

constexpr int kBusyMilliseconds = 2'000;

}  // namespace

Error database_error(const SQLite::Exception& thrown) {
  ErrorCode code = ErrorCode::kInternal;
  std::string hint;
  switch (thrown.getErrorCode()) {
    case SQLITE_FULL:
      code = ErrorCode::kNoSpace;
      hint = "free space on the disk that holds the state folder";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      code = ErrorCode::kConflict;
      hint = "another program has the database open and is writing";
      break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      code = ErrorCode::kMalformed;
      hint = "move the file away and share the folders again; files on disk are not affected";
      break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY: code = ErrorCode::kDenied; break;
    case SQLITE_IOERR: code = ErrorCode::kIo; break;
    default: break;
  }
  return {code, fmt::format("database: {}", thrown.getErrorStr()), std::move(hint)};
}

Query& Query::with(std::int64_t value) {
  statement_.bind(next_++, value);
  return *this;
}

Query& Query::with(const std::string& text) {
  statement_.bind(next_++, text);
  return *this;
}

Query& Query::with(BytesView bytes) {
  // A null pointer would bind NULL, not an empty blob.
  statement_.bindNoCopy(next_++, bytes.empty() ? static_cast<const void*>("") : bytes.data(),
                        static_cast<int>(bytes.size()));
  return *this;
}

Query& Query::with_null() {
  statement_.bind(next_++);
  return *this;
}

Bytes Query::bytes(int column) const {
  const SQLite::Column value = statement_.getColumn(column);
  const auto* data = static_cast<const std::uint8_t*>(value.getBlob());
  if (data == nullptr) return {};
  return {data, data + value.getBytes()};
}

Store::Database::Database(const std::string& path)
    : db(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyMilliseconds) {
  db.exec("PRAGMA journal_mode = WAL");
  // With WAL a kill loses nothing; a power cut may lose the last moments, never the order.
  // A commit that a loss of power undid could say of a file that was made anew since that it is
  // written. There is at most one commit a second.
  db.exec("PRAGMA synchronous = FULL");
  db.exec("PRAGMA foreign_keys = ON");
  db.exec("PRAGMA cache_size = -4096");  // KiB.
}

Result<> Store::Database::migrate() {
  const int version = db.execAndGet("PRAGMA user_version").getInt();
  if (version > static_cast<int>(kMigrations.size())) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("database {}: made by a newer Warren (schema {}, this one knows {})",
                            db.getFilename(), version, kMigrations.size()),
                "use that Warren again, or give this one another folder with --home");
  }
  for (auto i = static_cast<std::size_t>(version); i < kMigrations.size(); ++i) {
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    db.exec(kMigrations[i]);
    db.exec(fmt::format("PRAGMA user_version = {}", i + 1));
    transaction.commit();
  }
  return {};
}

SQLite::Statement& Store::Database::prepared(std::string_view sql) {
  const auto found = statements.find(sql);
  if (found != statements.end()) return found->second;
  return statements.try_emplace(sql, db, std::string(sql)).first->second;
}

void Store::Database::drop_if_unused(std::int64_t dataset_id) {
  const bool used =
      Query(prepared("SELECT 1 FROM shares WHERE dataset_id = ?1 UNION ALL "
                     "SELECT 1 FROM transfers JOIN datasets USING(root) WHERE datasets.id = ?1"))
          .with(dataset_id)
          .step();
  if (used) return;
  Query(prepared("DELETE FROM nodes WHERE id IN "
                 "(SELECT node_id FROM dataset_nodes WHERE dataset_id = ?1) AND NOT EXISTS "
                 "(SELECT 1 FROM dataset_nodes AS other WHERE other.node_id = nodes.id AND "
                 "other.dataset_id <> ?1)"))
      .with(dataset_id)
      .run();
  Query(prepared("DELETE FROM datasets WHERE id = ?")).with(dataset_id).run();
}

void Store::Database::drop_if_unused(const Cid& root) {
  const Bytes root_bytes = root.to_bytes();
  std::int64_t id = 0;
  {
    Query find(prepared("SELECT id FROM datasets WHERE root = ?"));
    if (!find.with(BytesView(root_bytes)).step()) return;
    id = find.integer(0);
  }
  drop_if_unused(id);
}

}  // namespace warren::content
