#pragma once
// The database behind PeerStore. Only peer_store*.cpp include this.

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>

#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "peers/peer_store.hpp"

namespace warren::peers {

/// The error of a failed call to the database at `path`.
Error database_error(const SQLite::Exception& thrown, const std::string& path);

/// A prepared statement in use: takes values in order, and is reset at the end.
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
  Query& with(std::uint32_t value) { return with(std::int64_t{value}); }
  Query& with(bool value) { return with(std::int64_t{value ? 1 : 0}); }
  Query& with(WallTime time) { return with(std::int64_t{time.time_since_epoch().count()}); }
  Query& with(double value);
  /// `text` and `bytes` must stay unchanged until the query has run.
  Query& with(const std::string& text);
  Query& with(BytesView bytes);
  Query& with_null();
  void run() { statement_.exec(); }

 private:
  SQLite::Statement& statement_;
  int next_ = 1;
};

struct PeerStore::Database {
  explicit Database(const std::string& path, const limits::Peers& limits);

  /// Errors: kMalformed when a page or an index is damaged.
  Result<> check();
  /// Brings the schema to the newest version. Errors: kUnsupported when it is newer than ours.
  Result<> migrate();
  void set_durable(bool durable);
  /// `sql` must be a literal: the statement is prepared once and found again by its text.
  SQLite::Statement& prepared(std::string_view sql);
  void write(const Peer& peer);

  SQLite::Database db;
  std::unordered_map<std::string_view, SQLite::Statement> statements;
  bool durable = false;
};

}  // namespace warren::peers
