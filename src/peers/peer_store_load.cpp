// Reading the store. Its rows may have been damaged, or written by anyone.

#include <sqlite3.h>

#include <limits>

#include "peers/peer_store_database.hpp"

namespace warren::peers {
namespace {

using resources::Prefix;

// One row of a result; every column may hold anything.
class Row {
 public:
  explicit Row(SQLite::Statement& statement) : statement_(statement) {}

  std::int64_t integer(int column) const {
    const SQLite::Column value = statement_.getColumn(column);
    return value.isInteger() ? value.getInt64() : 0;
  }
  std::uint64_t natural(int column) const {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(integer(column), 0));
  }
  std::uint32_t natural32(int column) const {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(natural(column), std::numeric_limits<std::uint32_t>::max()));
  }
  WallTime time(int column) const { return WallTime(std::chrono::nanoseconds(integer(column))); }
  bool flag(int column) const { return integer(column) != 0; }
  bool is_null(int column) const { return statement_.getColumn(column).isNull(); }
  std::optional<double> real(int column) const {
    const SQLite::Column value = statement_.getColumn(column);
    if (!value.isFloat() && !value.isInteger()) return std::nullopt;
    return value.getDouble();
  }
  /// Empty when it is not a blob of at most `bytes_max` bytes.
  BytesView bytes(int column, std::size_t bytes_max) const {
    const SQLite::Column value = statement_.getColumn(column);
    if (!value.isBlob() || static_cast<std::size_t>(value.getBytes()) > bytes_max) return {};
    return {static_cast<const std::uint8_t*>(value.getBlob()),
            static_cast<std::size_t>(value.getBytes())};
  }
  std::optional<std::string> text(int column, std::size_t bytes_max) const {
    const SQLite::Column value = statement_.getColumn(column);
    if (!value.isText() || static_cast<std::size_t>(value.getBytes()) > bytes_max) {
      return std::nullopt;
    }
    return value.getString();
  }

 private:
  SQLite::Statement& statement_;
};

constexpr std::size_t kPeerIdBytesMax = 64;

std::optional<PeerId> peer_id(const Row& row, int column) {
  const auto id = PeerId::from_bytes(row.bytes(column, kPeerIdBytesMax));
  return id ? std::optional(*id) : std::nullopt;
}

std::optional<Origin> origin(const Row& row, int column) {
  const std::uint64_t value = row.natural(column);
  if (value > static_cast<std::uint64_t>(Origin::kDht)) return std::nullopt;
  return static_cast<Origin>(value);
}

std::optional<Peer> read_peer(const Row& row, const limits::Peers& limits) {
  const auto id = peer_id(row, 1);
  const auto from = origin(row, 3);
  if (!id || !from) return std::nullopt;
  Peer peer;
  peer.id = *id;
  peer.public_key = to_bytes(row.bytes(2, limits.key_bytes_max));
  peer.origin = *from;
  peer.first_seen = row.time(4);
  peer.last_seen = row.time(5);
  peer.first_success = row.time(6);
  peer.successes = row.natural(7);
  peer.failures = row.natural(8);
  if (!row.is_null(9)) peer.latency = Duration(row.integer(9));
  peer.bytes_received = row.natural(10);
  peer.bytes_sent = row.natural(11);
  if (const auto score = row.real(12)) {
    peer.reputation = Reputation::restore(*score, row.time(13));
  }
  peer.last_ban_end = row.time(14);
  peer.bans = row.natural32(15);
  peer.kept = row.flag(16);
  peer.pinned = row.flag(17);
  peer.anchor = row.flag(18);
  const BytesView envelope = row.bytes(19, limits.record_bytes_max);
  if (!envelope.empty()) {
    peer.record = std::make_shared<const SignedRecord>(
        SignedRecord{to_bytes(envelope), static_cast<std::uint64_t>(row.integer(20))});
  }
  return peer;
}

std::optional<AddressEntry> read_address(const Row& row, const limits::Peers& limits) {
  const auto address = Multiaddr::from_bytes(row.bytes(0, limits.address_bytes_max));
  const auto from = origin(row, 1);
  const std::uint64_t kind = row.natural(2);
  if (!address || address->empty() || !from ||
      kind > static_cast<std::uint64_t>(NetworkGroup::Kind::kOther)) {
    return std::nullopt;
  }
  AddressEntry entry;
  entry.address = *address;
  entry.origin = *from;
  entry.teller = {static_cast<NetworkGroup::Kind>(kind),
                  static_cast<std::uint64_t>(row.integer(3))};
  entry.learnt = row.time(4);
  entry.last_success = row.time(5);
  entry.last_failure = row.time(6);
  entry.failures = row.natural32(7);
  return entry;
}

std::optional<Ban> read_ban(const Row& row, const limits::Peers& limits) {
  Ban ban;
  const std::int64_t bits = row.integer(1);
  if (bits == -1) {
    const auto id = peer_id(row, 0);
    if (!id) return std::nullopt;
    ban.who = *id;
  } else {
    const auto ip = IpAddress::from_bytes(row.bytes(0, 16));
    if (!ip || bits < 0 || bits > (ip->is_v6() ? 128 : 32)) return std::nullopt;
    ban.who = Prefix::of(*ip, static_cast<std::uint8_t>(bits));
  }
  ban.until = row.time(2);
  auto reason = row.text(3, limits.reason_bytes_max);
  if (!reason) return std::nullopt;
  ban.reason = std::move(*reason);
  ban.by_person = row.flag(4);
  return ban;
}

std::optional<NameEntry> read_name(const Row& row, const limits::Peers& limits) {
  auto name = row.text(0, limits.name_bytes_max);
  const auto peer = peer_id(row, 1);
  if (!name || !peer) return std::nullopt;
  return NameEntry{std::move(*name), *peer};
}

// Whether what was thrown says that a value is bad, not that the disk is.
bool is_damage(const SQLite::Exception& thrown) {
  return thrown.getErrorCode() == SQLITE_TOOBIG || thrown.getErrorCode() == SQLITE_CORRUPT ||
         thrown.getErrorCode() == SQLITE_MISMATCH;
}

// Calls `take` with each row; one that cannot be read ends the table and is counted.
template <class F>
void each_row(SQLite::Statement& statement, std::size_t& skipped, F take) {
  try {
    while (statement.executeStep()) take(Row(statement));
  } catch (const SQLite::Exception& thrown) {
    if (!is_damage(thrown)) throw;
    ++skipped;
  }
}

}  // namespace

Result<LoadedPeers> PeerStore::load() {
  const std::lock_guard lock(mutex_);
  SQLite::Database& db = database_->db;
  LoadedPeers loaded;
  try {
    std::vector<std::int64_t> row_ids;
    {
      SQLite::Statement rows(
          db,
          "SELECT id, peer, public_key, origin, first_seen_ns, last_seen_ns, first_success_ns, "
          "successes, failures, latency_ns, bytes_received, bytes_sent, score, score_ns, "
          "last_ban_end_ns, bans, kept, pinned, anchor, record, record_sequence FROM peers "
          "ORDER BY kept OR pinned DESC, successes > 0 DESC, last_seen_ns DESC LIMIT ?");
      rows.bind(1, static_cast<std::int64_t>(limits_.peers_max));
      std::size_t record_bytes = 0;
      each_row(rows, loaded.skipped, [&](const Row& row) {
        auto peer = read_peer(row, limits_);
        if (!peer) {
          ++loaded.skipped;
          return;
        }
        if (peer->record) {
          record_bytes += peer->record->envelope.size();
          if (record_bytes > limits_.records_bytes_max) peer->record.reset();
        }
        row_ids.push_back(row.integer(0));
        loaded.peers.push_back(std::move(*peer));
      });
    }
    SQLite::Statement addresses(
        db,
        "SELECT address, origin, teller_kind, teller_bits, learnt_ns, last_success_ns, "
        "last_failure_ns, failures FROM addresses WHERE peer_id = ? ORDER BY position LIMIT ?");
    for (std::size_t i = 0; i < loaded.peers.size(); ++i) {
      addresses.reset();
      addresses.bind(1, row_ids[i]);
      addresses.bind(2, static_cast<std::int64_t>(limits_.addresses_per_peer_max));
      each_row(addresses, loaded.skipped, [&](const Row& row) {
        auto entry = read_address(row, limits_);
        if (entry) {
          loaded.peers[i].addresses.push_back(std::move(*entry));
        } else {
          ++loaded.skipped;
        }
      });
    }
    SQLite::Statement bans(db,
                           "SELECT who, bits, until_ns, reason, by_person FROM bans "
                           "ORDER BY by_person DESC, until_ns DESC LIMIT ?");
    bans.bind(1, static_cast<std::int64_t>(limits_.bans_max));
    each_row(bans, loaded.skipped, [&](const Row& row) {
      auto ban = read_ban(row, limits_);
      if (ban) {
        loaded.bans.push_back(std::move(*ban));
      } else {
        ++loaded.skipped;
      }
    });
    SQLite::Statement names(db, "SELECT name, peer FROM names LIMIT ?");
    names.bind(1, static_cast<std::int64_t>(limits_.names_max));
    each_row(names, loaded.skipped, [&](const Row& row) {
      auto name = read_name(row, limits_);
      if (name) {
        loaded.names.push_back(std::move(*name));
      } else {
        ++loaded.skipped;
      }
    });
    // What lies beyond the bounds.
    const auto beyond = [&](const char* count, std::size_t most) {
      const auto rows = static_cast<std::uint64_t>(db.execAndGet(count).getInt64());
      if (rows > most) loaded.skipped += rows - most;
    };
    beyond("SELECT count(*) FROM peers", limits_.peers_max);
    beyond("SELECT count(*) FROM bans", limits_.bans_max);
    beyond("SELECT count(*) FROM names", limits_.names_max);
    return loaded;
  } catch (const SQLite::Exception& thrown) {
    return fail(database_error(thrown, path_));
  }
}

}  // namespace warren::peers
