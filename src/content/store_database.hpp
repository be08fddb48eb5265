#pragma once
// The database behind Store: schema, statements, and SQLite's exceptions turned into errors.
// Only store*.cpp include this.

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>

#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "content/store.hpp"

namespace warren::content {

/// The error of a failed database call.
Error database_error(const SQLite::Exception& thrown);

/// Runs `f`, which returns a Result, and turns what SQLite throws into an error.
template <class F>
auto guarded(F f) -> decltype(f()) {
  try {
    return f();
  } catch (const SQLite::Exception& thrown) {
    return fail(database_error(thrown));
  }
}

/// A prepared statement in use: takes values in order, gives rows, and is reset at the end.
class Query {
 public:
  explicit Query(SQLite::Statement& statement) : statement_(statement) {}
  ~Query() {
    statement_.tryReset();
    statement_.clearBindings();
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& with(std::int64_t value);
  Query& with(std::uint64_t value) { return with(static_cast<std::int64_t>(value)); }
  Query& with(const std::string& text);
  /// `bytes` must stay unchanged until the query has run.
  Query& with(BytesView bytes);
  Query& with_null();

  /// The next row; false after the last one.
  bool step() { return statement_.executeStep(); }
  /// For a statement without rows; returns how many rows it changed.
  int run() { return statement_.exec(); }

  std::int64_t integer(int column) const { return statement_.getColumn(column).getInt64(); }
  std::uint64_t natural(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  std::string text(int column) const { return statement_.getColumn(column).getString(); }
  Bytes bytes(int column) const;

 private:
  SQLite::Statement& statement_;
  int next_ = 1;
};

struct Store::Database {
  explicit Database(const std::string& path);

  /// Brings the schema to the newest version. Errors: kUnsupported when it is newer than ours.
  Result<> migrate();
  /// `sql` must be a literal: the statement is prepared once and found again by its text.
  SQLite::Statement& prepared(std::string_view sql);
  std::int64_t last_id() { return db.getLastInsertRowid(); }
  /// Forgets a dataset that neither a share nor a transfer names, and nodes that it alone had.
  void drop_if_unused(std::int64_t dataset_id);
  /// The same for a dataset given by its root, if there is one.
  void drop_if_unused(const Cid& root);

  SQLite::Database db;
  std::unordered_map<std::string_view, SQLite::Statement> statements;
};

}  // namespace warren::content
