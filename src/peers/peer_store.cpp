#include "peers/peer_store.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>

#include "peers/peer_store_database.hpp"
#include "runtime/file.hpp"

namespace warren::peers {
namespace {

// Each one leads from the version before it; user_version counts those applied. Never changed
// once released, only added to.
constexpr const char* kMigrations[] = {
#include "peers/migrations.inc"
};
constexpr int kVersion = static_cast<int>(std::size(kMigrations));

constexpr int kBusyMilliseconds = 2'000;
// No value of ours is larger than a record; a file that says otherwise is not ours.
constexpr int kValueBytesMax = 1 << 20;
constexpr std::string_view kMemory = ":memory:";

}  // namespace

Error database_error(const SQLite::Exception& thrown, const std::string& path) {
  ErrorCode code = ErrorCode::kInternal;
  std::string hint;
  switch (thrown.getErrorCode()) {
    case SQLITE_FULL:
      code = ErrorCode::kNoSpace;
      hint = "free space on the disk that holds it; what is not written yet is tried again";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      code = ErrorCode::kConflict;
      hint = "another program has the file open and is writing";
      break;
    case SQLITE_ERROR:  // A table or a column is not there.
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      code = ErrorCode::kMalformed;
      hint =
          "move the file away and start again: the node then finds its peers anew, and peers, "
          "pins and bans given by hand have to be given again";
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
  return {code, fmt::format("peers database {}: {}", path, thrown.getErrorStr()), std::move(hint)};
}

Query& Query::with(std::int64_t value) {
  statement_.bind(next_++, value);
  return *this;
}

Query& Query::with(double value) {
  statement_.bind(next_++, value);
  return *this;
}

Query& Query::with(const std::string& text) {
  statement_.bindNoCopy(next_++, text);
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

// ------------------------------------------------------------------------------------- database

PeerStore::Database::Database(const std::string& path, const limits::Peers& limits)
    : db(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyMilliseconds) {
  // The file may have been made by anyone: nothing in its schema is run for us.
  sqlite3_db_config(db.getHandle(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_limit(db.getHandle(), SQLITE_LIMIT_LENGTH, kValueBytesMax);
  db.exec("PRAGMA trusted_schema = OFF");
  db.exec("PRAGMA cell_size_check = ON");
  db.exec("PRAGMA cache_size = -2048");  // KiB.
  const int page_bytes = db.execAndGet("PRAGMA page_size").getInt();
  db.exec(fmt::format("PRAGMA max_page_count = {}",
                      limits.store_bytes_max / static_cast<std::size_t>(std::max(page_bytes, 1))));
}

Result<> PeerStore::Database::check() {
  const std::string found = db.execAndGet("PRAGMA quick_check(1)").getString();
  if (found == "ok") return {};
  return fail(database_error(SQLite::Exception(found, SQLITE_CORRUPT), db.getFilename()));
}

Result<> PeerStore::Database::migrate() {
  const int version = db.execAndGet("PRAGMA user_version").getInt();
  if (version > kVersion) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("peers database {}: made by a newer Warren (schema {}, this one knows "
                            "{})",
                            db.getFilename(), version, kVersion),
                "use that Warren again, or give this one another folder with --home");
  }
  if (version < 0) {
    return fail(
        database_error(SQLite::Exception(fmt::format("its version is {}", version), SQLITE_CORRUPT),
                       db.getFilename()));
  }
  // Not before the version is known: one of a newer Warren is left as it is.
  db.exec("PRAGMA journal_mode = WAL");
  db.exec("PRAGMA foreign_keys = ON");
  db.exec("PRAGMA journal_size_limit = 1048576");
  db.exec("PRAGMA synchronous = NORMAL");
  for (int i = version; i < kVersion; ++i) {
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    db.exec(kMigrations[i]);
    db.exec(fmt::format("PRAGMA user_version = {}", i + 1));
    transaction.commit();
  }
  return {};
}

void PeerStore::Database::set_durable(bool wanted) {
  if (durable == wanted) return;
  // In WAL mode NORMAL writes without waiting for the disk, FULL waits at each commit, also for
  // what was written before.
  db.exec(wanted ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  durable = wanted;
}

SQLite::Statement& PeerStore::Database::prepared(std::string_view sql) {
  const auto found = statements.find(sql);
  if (found != statements.end()) return found->second;
  return statements.try_emplace(sql, db, std::string(sql)).first->second;
}

void PeerStore::Database::write(const Peer& peer) {
  // The row of before goes with its addresses.
  Query(prepared("DELETE FROM peers WHERE peer = ?")).with(peer.id.bytes()).run();
  {
    Query insert(prepared(
        "INSERT INTO peers(peer, public_key, origin, first_seen_ns, last_seen_ns, "
        "first_success_ns, successes, failures, latency_ns, bytes_received, bytes_sent, score, "
        "score_ns, last_ban_end_ns, bans, kept, pinned, anchor, record, record_sequence) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    insert.with(peer.id.bytes());
    peer.public_key.empty() ? insert.with_null() : insert.with(BytesView(peer.public_key));
    insert.with(static_cast<std::int64_t>(peer.origin))
        .with(peer.first_seen)
        .with(peer.last_seen)
        .with(peer.first_success)
        .with(peer.successes)
        .with(peer.failures);
    peer.latency ? insert.with(std::int64_t{peer.latency->count()}) : insert.with_null();
    insert.with(peer.bytes_received).with(peer.bytes_sent);
    const auto score = peer.reputation.raw_score();
    score ? insert.with(*score) : insert.with_null();
    insert.with(peer.reputation.at())
        .with(peer.last_ban_end)
        .with(peer.bans)
        .with(peer.kept)
        .with(peer.pinned)
        .with(peer.anchor);
    if (peer.record) {
      insert.with(BytesView(peer.record->envelope)).with(peer.record->sequence);
    } else {
      insert.with_null().with_null();
    }
    insert.run();
  }
  const std::int64_t id = db.getLastInsertRowid();
  std::int64_t position = 0;
  for (const AddressEntry& entry : peer.addresses) {
    Query(prepared("INSERT INTO addresses(peer_id, position, address, origin, teller_kind, "
                   "teller_bits, learnt_ns, last_success_ns, last_failure_ns, failures) "
                   "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"))
        .with(id)
        .with(position++)
        .with(entry.address.bytes())
        .with(static_cast<std::int64_t>(entry.origin))
        .with(static_cast<std::int64_t>(entry.teller.kind))
        .with(entry.teller.bits)
        .with(entry.learnt)
        .with(entry.last_success)
        .with(entry.last_failure)
        .with(entry.failures)
        .run();
  }
}

// ---------------------------------------------------------------------------------------- store

PeerStore::PeerStore(std::string path, const limits::Peers& limits,
                     std::unique_ptr<Database> database)
    : path_(std::move(path)), limits_(limits), database_(std::move(database)) {}

PeerStore::~PeerStore() = default;

Result<std::unique_ptr<PeerStore>> PeerStore::open(const std::string& path,
                                                   const limits::Peers& limits,
                                                   const BookSecret& new_secret) {
  if (path != kMemory) {
    // SQLite would make it readable for everybody. Its journal takes the mode of the file.
    const auto made = runtime::File::create(path, 0600);
    if (!made && made.error().code() != ErrorCode::kExists) return fail(made.error());
  }
  try {
    std::unique_ptr<PeerStore> store(
        new PeerStore(path, limits, std::make_unique<Database>(path, limits)));
    WARREN_TRY_VOID(store->database_->check());
    WARREN_TRY_VOID(store->database_->migrate());
    WARREN_TRY_VOID(store->take_secret(new_secret));
    return store;
  } catch (const SQLite::Exception& thrown) {
    return fail(database_error(thrown, path));
  }
}

Result<> PeerStore::take_secret(const BookSecret& new_secret) {
  {
    SQLite::Statement find(database_->db, "SELECT value FROM meta WHERE key = 'secret'");
    if (find.executeStep()) {
      const SQLite::Column value = find.getColumn(0);
      if (value.isBlob() && value.getBytes() == static_cast<int>(secret_.size())) {
        const auto* bytes = static_cast<const std::uint8_t*>(value.getBlob());
        std::copy_n(bytes, secret_.size(), secret_.begin());
        return {};
      }
    }
  }
  secret_ = new_secret;
  Query(database_->prepared("INSERT OR REPLACE INTO meta(key, value) VALUES('secret', ?)"))
      .with(BytesView(secret_))
      .run();
  return {};
}

bool StoreBatch::empty() const {
  return !all && peers.empty() && peers_gone.empty() && names.empty() && names_gone.empty() &&
         bans.empty() && bans_gone.empty();
}

StoreBatch snapshot(const PeerBook& book, const BookChanges& changes) {
  StoreBatch batch;
  batch.all = changes.all;
  if (changes.all) {
    for (const auto& [id, peer] : book.all()) batch.peers.push_back(peer);
    for (const auto& [id, ban] : book.peer_bans()) batch.bans.push_back(ban);
    for (const auto& [prefix, ban] : book.prefix_bans()) batch.bans.push_back(ban);
    batch.names = book.names();
    return batch;
  }
  for (const PeerId& id : changes.peers) {
    if (const Peer* const peer = book.find(id)) {
      batch.peers.push_back(*peer);
    } else {
      batch.peers_gone.push_back(id);
    }
  }
  for (const std::string& name : changes.names) {
    if (const auto peer = book.find_name(name)) {
      batch.names.push_back({name, *peer});
    } else {
      batch.names_gone.push_back(name);
    }
  }
  const auto add_ban = [&batch](const auto& who, const auto& bans) {
    const auto found = bans.find(who);
    if (found != bans.end()) {
      batch.bans.push_back(found->second);
    } else {
      batch.bans_gone.emplace_back(who);
    }
  };
  for (const PeerId& id : changes.peer_bans) add_ban(id, book.peer_bans());
  for (const resources::Prefix& prefix : changes.prefix_bans) add_ban(prefix, book.prefix_bans());
  return batch;
}

namespace {

// The two columns that name a ban.
std::pair<BytesView, std::int64_t> key_of(const std::variant<PeerId, resources::Prefix>& who) {
  if (const auto* peer = std::get_if<PeerId>(&who)) return {peer->bytes(), -1};
  const auto& prefix = std::get<resources::Prefix>(who);
  return {prefix.ip.bytes(), prefix.bits};
}

}  // namespace

Result<> PeerStore::save(const StoreBatch& batch) {
  const std::lock_guard lock(mutex_);
  Database& database = *database_;
  try {
    database.set_durable(batch.durable);
    SQLite::Transaction transaction(database.db, SQLite::TransactionBehavior::IMMEDIATE);
    if (batch.all) database.db.exec("DELETE FROM peers; DELETE FROM names; DELETE FROM bans");
    for (const PeerId& id : batch.peers_gone) {
      Query(database.prepared("DELETE FROM peers WHERE peer = ?")).with(id.bytes()).run();
    }
    for (const Peer& peer : batch.peers) database.write(peer);
    for (const std::string& name : batch.names_gone) {
      Query(database.prepared("DELETE FROM names WHERE name = ?")).with(name).run();
    }
    for (const NameEntry& entry : batch.names) {
      Query(database.prepared("INSERT OR REPLACE INTO names(name, peer) VALUES(?, ?)"))
          .with(entry.name)
          .with(entry.peer.bytes())
          .run();
    }
    for (const auto& who : batch.bans_gone) {
      const auto [key, bits] = key_of(who);
      Query(database.prepared("DELETE FROM bans WHERE who = ? AND bits = ?"))
          .with(key)
          .with(bits)
          .run();
    }
    for (const Ban& ban : batch.bans) {
      const auto [key, bits] = key_of(ban.who);
      Query(database.prepared("INSERT OR REPLACE INTO bans(who, bits, until_ns, reason, by_person) "
                              "VALUES(?, ?, ?, ?, ?)"))
          .with(key)
          .with(bits)
          .with(ban.until)
          .with(ban.reason)
          .with(ban.by_person)
          .run();
    }
    if (batch.durable) {
      // A commit without a change would not be one, and would not make earlier ones last.
      database.db.exec(
          "INSERT INTO meta(key, value) VALUES('commits', 1) "
          "ON CONFLICT(key) DO UPDATE SET value = value + 1");
    }
    transaction.commit();
    return {};
  } catch (const SQLite::Exception& thrown) {
    return fail(database_error(thrown, path_));
  }
}

Result<> PeerStore::save_peer(const Peer& peer) {
  StoreBatch batch;
  batch.peers.push_back(peer);
  batch.durable = true;
  return save(batch);
}

Result<> PeerStore::remove_peer(const PeerId& peer) {
  const std::lock_guard lock(mutex_);
  Database& database = *database_;
  try {
    database.set_durable(true);
    SQLite::Transaction transaction(database.db, SQLite::TransactionBehavior::IMMEDIATE);
    Query(database.prepared("DELETE FROM peers WHERE peer = ?")).with(peer.bytes()).run();
    Query(database.prepared("DELETE FROM names WHERE peer = ?")).with(peer.bytes()).run();
    transaction.commit();
    return {};
  } catch (const SQLite::Exception& thrown) {
    return fail(database_error(thrown, path_));
  }
}

}  // namespace warren::peers
