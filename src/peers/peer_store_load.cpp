// Reading the store. Its rows may have been damaged, or written by anyone.

#include "peers/peer_store.hpp"
#include "storage/database.hpp"

namespace warren::peers {
namespace {

using resources::Prefix;
using storage::Database;
using storage::Query;

constexpr std::size_t kPeerIdBytesMax = 64;

std::optional<PeerId> peer_id(const Query& row, int column) {
  const auto id = PeerId::from_bytes(row.blob(column, kPeerIdBytesMax));
  return id ? std::optional(*id) : std::nullopt;
}

std::optional<Origin> origin(const Query& row, int column) {
  const std::uint64_t value = row.natural(column);
  if (value > static_cast<std::uint64_t>(Origin::kDht)) return std::nullopt;
  return static_cast<Origin>(value);
}

std::optional<Peer> read_peer(const Query& row, const limits::Peers& limits) {
  const auto id = peer_id(row, 1);
  const auto from = origin(row, 3);
  if (!id || !from) return std::nullopt;
  Peer peer;
  peer.id = *id;
  peer.public_key = to_bytes(row.blob(2, limits.key_bytes_max));
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
  const BytesView envelope = row.blob(19, limits.record_bytes_max);
  if (!envelope.empty()) {
    peer.record =
        std::make_shared<const SignedRecord>(SignedRecord{to_bytes(envelope), row.bits(20)});
  }
  return peer;
}

std::optional<AddressEntry> read_address(const Query& row, const limits::Peers& limits) {
  const auto address = Multiaddr::from_bytes(row.blob(0, limits.address_bytes_max));
  const auto from = origin(row, 1);
  const std::uint64_t kind = row.natural(2);
  if (!address || address->empty() || !from ||
      kind > static_cast<std::uint64_t>(NetworkGroup::Kind::kOther)) {
    return std::nullopt;
  }
  AddressEntry entry;
  entry.address = *address;
  entry.origin = *from;
  entry.teller = {static_cast<NetworkGroup::Kind>(kind), row.bits(3)};
  entry.learnt = row.time(4);
  entry.last_success = row.time(5);
  entry.last_failure = row.time(6);
  entry.failures = row.natural32(7);
  return entry;
}

std::optional<Ban> read_ban(const Query& row, const limits::Peers& limits) {
  Ban ban;
  const std::int64_t bits = row.integer(1);
  if (bits == -1) {
    const auto id = peer_id(row, 0);
    if (!id) return std::nullopt;
    ban.who = *id;
  } else {
    const auto ip = IpAddress::from_bytes(row.blob(0, 16));
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

std::optional<NameEntry> read_name(const Query& row, const limits::Peers& limits) {
  auto name = row.text(0, limits.name_bytes_max);
  const auto peer = peer_id(row, 1);
  if (!name || !peer) return std::nullopt;
  return NameEntry{std::move(*name), *peer};
}

// Calls `take` with each row; one that cannot be read ends the table and is counted.
template <class F>
void each_row(Query& rows, std::size_t& skipped, F take) {
  try {
    while (rows.step()) take(rows);
  } catch (const SQLite::Exception& thrown) {
    if (!Database::is_damage(thrown)) throw;
    ++skipped;
  }
}

}  // namespace

Result<LoadedPeers> PeerStore::load() {
  const std::lock_guard lock(mutex_);
  Database& database = *database_;
  return database.guarded([&]() -> Result<LoadedPeers> {
    LoadedPeers loaded;
    std::vector<std::int64_t> row_ids;
    {
      Query rows = database.query(
          "SELECT id, peer, public_key, origin, first_seen_ns, last_seen_ns, first_success_ns, "
          "successes, failures, latency_ns, bytes_received, bytes_sent, score, score_ns, "
          "last_ban_end_ns, bans, kept, pinned, anchor, record, record_sequence FROM peers "
          "ORDER BY kept OR pinned DESC, successes > 0 DESC, last_seen_ns DESC LIMIT ?");
      rows.with(limits_.peers_max);
      std::size_t record_bytes = 0;
      each_row(rows, loaded.skipped, [&](const Query& row) {
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
    for (std::size_t i = 0; i < loaded.peers.size(); ++i) {
      Query addresses = database.query(
          "SELECT address, origin, teller_kind, teller_bits, learnt_ns, last_success_ns, "
          "last_failure_ns, failures FROM addresses WHERE peer_id = ? ORDER BY position LIMIT ?");
      addresses.with(row_ids[i]).with(limits_.addresses_per_peer_max);
      each_row(addresses, loaded.skipped, [&](const Query& row) {
        auto entry = read_address(row, limits_);
        if (entry) {
          loaded.peers[i].addresses.push_back(std::move(*entry));
        } else {
          ++loaded.skipped;
        }
      });
    }
    Query bans = database.query(
        "SELECT who, bits, until_ns, reason, by_person FROM bans "
        "ORDER BY by_person DESC, until_ns DESC LIMIT ?");
    bans.with(limits_.bans_max);
    each_row(bans, loaded.skipped, [&](const Query& row) {
      auto ban = read_ban(row, limits_);
      if (ban) {
        loaded.bans.push_back(std::move(*ban));
      } else {
        ++loaded.skipped;
      }
    });
    Query names = database.query("SELECT name, peer FROM names LIMIT ?");
    names.with(limits_.names_max);
    each_row(names, loaded.skipped, [&](const Query& row) {
      auto name = read_name(row, limits_);
      if (name) {
        loaded.names.push_back(std::move(*name));
      } else {
        ++loaded.skipped;
      }
    });
    // What lies beyond the bounds.
    const auto beyond = [&](std::string_view count, std::size_t most) {
      Query counted = database.query(count);
      const std::uint64_t rows = counted.step() ? counted.natural(0) : 0;
      if (rows > most) loaded.skipped += rows - most;
    };
    beyond("SELECT count(*) FROM peers", limits_.peers_max);
    beyond("SELECT count(*) FROM bans", limits_.bans_max);
    beyond("SELECT count(*) FROM names", limits_.names_max);
    return loaded;
  });
}

}  // namespace warren::peers
