#include "catalog/catalog_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "catalog/catalog_rows.hpp"
#include "storage/database.hpp"

namespace warren::catalog {
namespace {

using storage::Database;
using storage::Query;
using storage::Transaction;

constexpr std::string_view kMigrations[] = {
#include "catalog/migrations.inc"
};
constexpr std::size_t kValueBytesMax = 1u << 20;

}  // namespace

CatalogStore::CatalogStore(limits::Catalog limits, std::unique_ptr<Database> database)
    : limits_(limits), database_(std::move(database)) {}
CatalogStore::~CatalogStore() = default;

Result<std::unique_ptr<CatalogStore>> CatalogStore::open(const std::string& path,
                                                         limits::Catalog limits) {
  WARREN_TRY(
      auto database,
      Database::open(path, {.what = "catalog database",
                            .migrations = kMigrations,
                            .survives = storage::Survives::kKill,
                            .damaged_hint = "move the file away and start again: other nodes "
                                            "tell again what they offer",
                            .value_bytes_max = kValueBytesMax,
                            .bytes_max = limits.store_bytes_max}));
  std::unique_ptr<CatalogStore> store(new CatalogStore(limits, std::move(database)));
  WARREN_TRY_VOID(store->database_->guarded([&]() -> Result<> {
    Transaction transaction(*store->database_);
    store->database_->exec("DELETE FROM staged; UPDATE peers SET staged = 0 WHERE staged <> 0");
    transaction.commit();
    return {};
  }));
  return store;
}

// ------------------------------------------------------------------------------------- peers

std::optional<CatalogStore::Row> CatalogStore::row_of(const PeerId& peer) {
  Query found = database_->query(
      "SELECT key, epoch, number, digest, entries, staged FROM peers WHERE peer = ?");
  found.with(peer.bytes());
  if (!found.step()) return std::nullopt;
  return Row{found.integer(0), rows::summary_in(found, 1), found.natural(5)};
}

CatalogStore::Row CatalogStore::make_row(const PeerId& peer, WallTime now) {
  if (auto row = row_of(peer)) return *row;
  database_
      ->query(
          "INSERT INTO peers(peer, epoch, number, digest, entries, staged, mode, last_seen_ns) "
          "VALUES(?, 0, 0, ?, 0, 0, 0, ?)")
      .with(peer.bytes())
      .with(BytesView(SetDigest{}.bytes))
      .with(now)
      .run();
  Row row;
  row.key = database_->last_id();
  database_
      ->query(
          "DELETE FROM peers WHERE key IN (SELECT key FROM peers WHERE key <> ? "
          "ORDER BY last_seen_ns DESC LIMIT -1 OFFSET ?)")
      .with(row.key)
      .with(limits_.peers_max - 1)
      .run();
  return row;
}

void CatalogStore::save(const Row& row, WallTime now) {
  database_
      ->query(
          "UPDATE peers SET epoch = ?, number = ?, digest = ?, entries = ?, staged = ?, "
          "last_seen_ns = max(last_seen_ns, ?) WHERE key = ?")
      .with(row.known.revision.epoch)
      .with(row.known.revision.number)
      .with(BytesView(row.known.digest.bytes))
      .with(row.known.count)
      .with(row.staged)
      .with(now)
      .with(row.key)
      .run();
}

Result<Summary> CatalogStore::seen(const PeerId& peer, Mode mode, WallTime now) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<Summary> {
    Transaction transaction(*database_);
    const Row row = make_row(peer, now);
    database_->query("UPDATE peers SET mode = ?, last_seen_ns = ? WHERE key = ?")
        .with(static_cast<std::int64_t>(mode))
        .with(now)
        .with(row.key)
        .run();
    transaction.commit();
    return row.known;
  });
}

Result<> CatalogStore::adopt(const PeerId& peer, Revision revision, WallTime now) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    Transaction transaction(*database_);
    Row row = make_row(peer, now);
    row.known.revision = revision;
    save(row, now);
    transaction.commit();
    return {};
  });
}

Result<> CatalogStore::forget(const PeerId& peer) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    database_->query("DELETE FROM peers WHERE peer = ?").with(peer.bytes()).run();
    return {};
  });
}

// ----------------------------------------------------------------------------------- writing

Result<CatalogWritten> CatalogStore::write(const PeerId& peer, const CatalogWrite& write,
                                           WallTime now) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<CatalogWritten> {
    Transaction transaction(*database_);
    Row row = make_row(peer, now);
    if (write.first) drop_staged(row);
    stage(row, write);
    if (row.staged > limits_.entries_per_peer_max) return too_many(peer);
    CatalogWritten written;
    if (write.last) {
      Row after = row;
      written.matches = write.snapshot ? apply_snapshot(after, write) : apply_delta(after, write);
      if (!written.matches) {
        // Whatever apply_delta() has changed: the transaction is not committed.
        written.known = row.known;
        return written;
      }
      if (after.known.count > limits_.entries_per_peer_max) return too_many(peer);
      drop_staged(after);
      row = after;
    }
    save(row, now);
    if (write.last) make_room(peer);
    transaction.commit();
    written.known = row.known;
    return written;
  });
}

std::unexpected<Error> CatalogStore::too_many(const PeerId& peer) const {
  return fail(ErrorCode::kLimited, fmt::format("peer {} lists more than {} entries",
                                               peer.to_string(), limits_.entries_per_peer_max));
}

void CatalogStore::drop_staged(Row& row) {
  if (row.staged == 0) return;
  database_->query("DELETE FROM staged WHERE peer_key = ?").with(row.key).run();
  row.staged = 0;
}

void CatalogStore::stage(Row& row, const CatalogWrite& write) {
  for (const Listing& listing : write.put) {
    Query insert = database_->query(
        "INSERT OR REPLACE INTO staged(peer_key, id, name, version, topic, bytes, files, manifest, "
        "root, downloaded, installed, availability) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    insert.with(row.key);
    rows::bind(insert, listing);
    insert.run();
  }
  for (const std::string& id : write.removed) {
    database_->query("INSERT OR REPLACE INTO staged(peer_key, id) VALUES(?, ?)")
        .with(row.key)
        .with(id)
        .run();
  }
  row.staged += write.put.size() + write.removed.size();
}

bool CatalogStore::count_staged(Row& row) {
  Query staged = database_->query(fmt::format(
      "SELECT {} FROM staged WHERE peer_key = ? AND name IS NOT NULL", rows::kListingColumns));
  staged.with(row.key);
  while (staged.step()) {
    const auto listing = rows::listing_in(staged, 0);
    if (!listing) return false;
    row.known.digest.add(library::digest_of(*listing));
    ++row.known.count;
  }
  return true;
}

void CatalogStore::put_staged(const Row& row) {
  database_
      ->query("INSERT INTO entries SELECT * FROM staged WHERE peer_key = ? AND name IS NOT NULL")
      .with(row.key)
      .run();
}

bool CatalogStore::apply_snapshot(Row& row, const CatalogWrite& write) {
  Summary& known = row.known;
  known = {write.to, {}, 0};
  if (!count_staged(row) || (write.digest && *write.digest != known.digest)) return false;
  database_->query("DELETE FROM entries WHERE peer_key = ?").with(row.key).run();
  put_staged(row);
  return true;
}

bool CatalogStore::apply_delta(Row& row, const CatalogWrite& write) {
  Summary& known = row.known;
  {
    Query replaced =
        database_->query(fmt::format("SELECT {} FROM entries WHERE peer_key = ?1 AND id IN "
                                     "(SELECT id FROM staged WHERE peer_key = ?1)",
                                     rows::kListingColumns));
    replaced.with(row.key);
    while (replaced.step()) {
      const auto listing = rows::listing_in(replaced, 0);
      if (!listing || known.count == 0) return false;
      known.digest.remove(library::digest_of(*listing));
      --known.count;
    }
  }
  if (!count_staged(row) || (write.digest && *write.digest != known.digest)) return false;
  known.revision = write.to;
  database_
      ->query(
          "DELETE FROM entries WHERE peer_key = ?1 AND id IN "
          "(SELECT id FROM staged WHERE peer_key = ?1)")
      .with(row.key)
      .run();
  put_staged(row);
  return true;
}

void CatalogStore::make_room(const PeerId& but) {
  std::uint64_t all = 0;
  {
    Query sum = database_->query("SELECT sum(entries) FROM peers");
    if (sum.step()) all = sum.natural(0);
  }
  while (all > limits_.entries_max) {
    Query oldest = database_->query(
        "SELECT key, entries FROM peers WHERE peer <> ? AND entries > 0 "
        "ORDER BY last_seen_ns LIMIT 1");
    oldest.with(but.bytes());
    if (!oldest.step()) return;
    all -= std::min(all, oldest.natural(1));
    database_->query("DELETE FROM peers WHERE key = ?").with(oldest.integer(0)).run();
  }
}

}  // namespace warren::catalog
