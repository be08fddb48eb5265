#include "peers/peer_store.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "storage/database.hpp"

namespace warren::peers {
namespace {

using storage::Database;
using storage::Query;
using storage::Survives;
using storage::Transaction;

constexpr std::string_view kMigrations[] = {
#include "peers/migrations.inc"
};

// No value of ours is larger than a record; a file that says otherwise is not ours.
constexpr std::size_t kValueBytesMax = 1u << 20;

storage::DatabaseOptions options_of(const limits::Peers& limits) {
  return {.what = "peers database",
          .migrations = kMigrations,
          .survives = Survives::kKill,
          .checked = true,
          .damaged_hint =
              "move the file away and start again: the node then finds its peers anew, and peers, "
              "pins and bans given by hand have to be given again",
          .cache_bytes = 2u << 20,
          .value_bytes_max = kValueBytesMax,
          .bytes_max = limits.store_bytes_max};
}

void write(Database& database, const Peer& peer) {
  // The row of before goes with its addresses.
  database.query("DELETE FROM peers WHERE peer = ?").with(peer.id.bytes()).run();
  {
    Query insert = database.query(
        "INSERT INTO peers(peer, public_key, origin, first_seen_ns, last_seen_ns, "
        "first_success_ns, successes, failures, latency_ns, bytes_received, bytes_sent, score, "
        "score_ns, last_ban_end_ns, bans, kept, pinned, anchor, record, record_sequence) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    insert.with(peer.id.bytes());
    peer.public_key.empty() ? insert.with_null() : insert.with(BytesView(peer.public_key));
    insert.with(static_cast<std::int64_t>(peer.origin))
        .with(peer.first_seen)
        .with(peer.last_seen)
        .with(peer.first_success)
        .with(peer.successes)
        .with(peer.failures);
    peer.latency ? insert.with(peer.latency->count()) : insert.with_null();
    insert.with(peer.bytes_received)
        .with(peer.bytes_sent)
        .with(peer.reputation.raw_score())
        .with(peer.reputation.at())
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
  const std::int64_t id = database.last_id();
  std::int64_t position = 0;
  for (const AddressEntry& entry : peer.addresses) {
    database
        .query(
            "INSERT INTO addresses(peer_id, position, address, origin, teller_kind, "
            "teller_bits, learnt_ns, last_success_ns, last_failure_ns, failures) "
            "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
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

// The two columns that name a ban.
std::pair<BytesView, std::int64_t> key_of(const std::variant<PeerId, resources::Prefix>& who) {
  if (const auto* peer = std::get_if<PeerId>(&who)) return {peer->bytes(), -1};
  const auto& prefix = std::get<resources::Prefix>(who);
  return {prefix.ip.bytes(), prefix.bits};
}

}  // namespace

PeerStore::PeerStore(const limits::Peers& limits, std::unique_ptr<Database> database)
    : limits_(limits), database_(std::move(database)) {}

PeerStore::~PeerStore() = default;

const std::string& PeerStore::path() const { return database_->path(); }

Result<std::unique_ptr<PeerStore>> PeerStore::open(const std::string& path,
                                                   const limits::Peers& limits,
                                                   const BookSecret& new_secret) {
  WARREN_TRY(auto database, Database::open(path, options_of(limits)));
  std::unique_ptr<PeerStore> store(new PeerStore(limits, std::move(database)));
  WARREN_TRY_VOID(store->take_secret(new_secret));
  return store;
}

Result<> PeerStore::take_secret(const BookSecret& new_secret) {
  return database_->guarded([&]() -> Result<> {
    {
      Query find = database_->query("SELECT value FROM meta WHERE key = 'secret'");
      if (find.step() && find.blob(0, secret_.size()).size() == secret_.size()) {
        std::ranges::copy(find.blob(0, secret_.size()), secret_.begin());
        return {};
      }
    }
    secret_ = new_secret;
    database_->query("INSERT OR REPLACE INTO meta(key, value) VALUES('secret', ?)")
        .with(BytesView(secret_))
        .run();
    return {};
  });
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

Result<> PeerStore::save(const StoreBatch& batch) {
  const std::lock_guard lock(mutex_);
  Database& database = *database_;
  return database.guarded([&]() -> Result<> {
    database.set_survives(batch.durable ? Survives::kPowerLoss : Survives::kKill);
    Transaction transaction(database);
    if (batch.all) database.exec("DELETE FROM peers; DELETE FROM names; DELETE FROM bans");
    for (const PeerId& id : batch.peers_gone) {
      database.query("DELETE FROM peers WHERE peer = ?").with(id.bytes()).run();
    }
    for (const Peer& peer : batch.peers) write(database, peer);
    for (const std::string& name : batch.names_gone) {
      database.query("DELETE FROM names WHERE name = ?").with(name).run();
    }
    for (const NameEntry& entry : batch.names) {
      database.query("INSERT OR REPLACE INTO names(name, peer) VALUES(?, ?)")
          .with(entry.name)
          .with(entry.peer.bytes())
          .run();
    }
    for (const auto& who : batch.bans_gone) {
      const auto [key, bits] = key_of(who);
      database.query("DELETE FROM bans WHERE who = ? AND bits = ?").with(key).with(bits).run();
    }
    for (const Ban& ban : batch.bans) {
      const auto [key, bits] = key_of(ban.who);
      database
          .query(
              "INSERT OR REPLACE INTO bans(who, bits, until_ns, reason, by_person) "
              "VALUES(?, ?, ?, ?, ?)")
          .with(key)
          .with(bits)
          .with(ban.until)
          .with(ban.reason)
          .with(ban.by_person)
          .run();
    }
    if (batch.durable) {
      // A commit without a change would not be one, and would not make earlier ones last.
      database.exec(
          "INSERT INTO meta(key, value) VALUES('commits', 1) "
          "ON CONFLICT(key) DO UPDATE SET value = value + 1");
    }
    transaction.commit();
    return {};
  });
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
  return database.guarded([&]() -> Result<> {
    database.set_survives(Survives::kPowerLoss);
    Transaction transaction(database);
    database.query("DELETE FROM peers WHERE peer = ?").with(peer.bytes()).run();
    database.query("DELETE FROM names WHERE peer = ?").with(peer.bytes()).run();
    transaction.commit();
    return {};
  });
}

}  // namespace warren::peers
