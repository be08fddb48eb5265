// Reads a peers database whose columns hold arbitrary values, and drives the book of peers with
// arbitrary operations. Finds: a row that ends the program or is too much, a book that breaks its
// bounds after it, and a book that is not the same after it was written and read.
// Links: warren::peers warren::runtime SQLiteCpp SQLite::SQLite3

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>

#include <array>
#include <cstdio>

#include "base/check.hpp"
#include "peers/operations_for_test.hpp"
#include "peers/peer_store.hpp"

namespace {

using namespace warren;
using namespace warren::peers;
using namespace warren::peers::testing;

// The tables without types and conditions, as a hostile file may have them.
constexpr const char* kLaxSchema = R"sql(
CREATE TABLE meta(key, value);
CREATE TABLE peers(id INTEGER PRIMARY KEY, peer, public_key, origin, first_seen_ns, last_seen_ns,
  first_success_ns, successes, failures, latency_ns, bytes_received, bytes_sent, score, score_ns,
  last_ban_end_ns, bans, kept, pinned, anchor, record, record_sequence);
CREATE TABLE addresses(peer_id, position, address, origin, teller_kind, teller_bits, learnt_ns,
  last_success_ns, last_failure_ns, failures);
CREATE TABLE names(name, peer);
CREATE TABLE bans(who, bits, until_ns, reason, by_person);
PRAGMA user_version = 1;
)sql";

struct Table {
  const char* insert;
  int columns;
};
constexpr std::array<Table, 4> kTables{{
    {"INSERT INTO peers VALUES(NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", 20},
    {"INSERT INTO addresses VALUES(?,?,?,?,?,?,?,?,?,?)", 10},
    {"INSERT INTO names VALUES(?,?)", 2},
    {"INSERT INTO bans VALUES(?,?,?,?,?)", 5},
}};

class Input {
 public:
  explicit Input(BytesView bytes) : bytes_(bytes) {}
  bool done() const { return at_ >= bytes_.size(); }
  std::uint8_t byte() { return done() ? std::uint8_t{0} : bytes_[at_++]; }
  BytesView take(std::size_t count) {
    const BytesView taken = bytes_.subspan(at_, std::min(count, bytes_.size() - at_));
    at_ += taken.size();
    return taken;
  }

 private:
  BytesView bytes_;
  std::size_t at_ = 0;
};

void bind_blob(SQLite::Statement& statement, int column, BytesView bytes) {
  statement.bind(column, bytes.empty() ? static_cast<const void*>("") : bytes.data(),
                 static_cast<int>(bytes.size()));
}

// One value: the low half of the first byte says of what kind, the others what.
void bind_any(SQLite::Statement& statement, int column, Input& in) {
  const std::uint8_t kind = in.byte();
  switch (kind % 10) {
    case 0: statement.bind(column); break;
    case 1: statement.bind(column, std::int64_t{in.byte()}); break;
    case 2: {
      std::int64_t value = 0;
      for (const std::uint8_t byte : in.take(8))
        value = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << 8 | byte);
      statement.bind(column, value);
      break;
    }
    case 3: statement.bind(column, static_cast<double>(in.byte()) / 128.0 - 0.5); break;
    case 4: statement.bind(column, std::string(as_text(in.take(in.byte())))); break;
    case 5: bind_blob(statement, column, in.take(in.byte())); break;
    case 6: bind_blob(statement, column, peer(in.byte() % 40).bytes()); break;
    case 7: {
      const unsigned host = in.byte();
      bind_blob(statement, column, quic(20 + host % 8, 1, 1, host).bytes());
      break;
    }
    case 8: statement.bind(column, kNow.time_since_epoch().count() - in.byte()); break;
    default: bind_blob(statement, column, Bytes(in.byte() * 40u, 1)); break;
  }
}

std::string path_of_database() {
  static const TemporaryFolder folder;
  return folder.file("peers.db");
}

void make_database(const std::string& path, Input& in) {
  for (const char* end : {"", "-wal", "-shm", "-journal"}) std::remove((path + end).c_str());
  SQLite::Database db(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  db.exec("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; BEGIN");
  db.exec(kLaxSchema);
  while (!in.done()) {
    const Table& table = kTables[in.byte() % kTables.size()];
    SQLite::Statement insert(db, table.insert);
    for (int column = 1; column <= table.columns; ++column) bind_any(insert, column, in);
    insert.exec();
  }
  db.exec("COMMIT");
}

void read_rows(BytesView bytes) {
  const std::string path = path_of_database();
  Input in(bytes);
  make_database(path, in);

  const limits::Peers limits = small_limits();
  auto store = PeerStore::open(path, limits, BookSecret{});
  WARREN_CHECK(store);
  auto loaded = (*store)->load();
  WARREN_CHECK(loaded);
  WARREN_CHECK(loaded->peers.size() <= limits.peers_max);
  WARREN_CHECK(loaded->bans.size() <= limits.bans_max);
  WARREN_CHECK(loaded->names.size() <= limits.names_max);
  Fixture first(limits);
  first.book.restore(std::move(loaded->peers), std::move(loaded->bans), std::move(loaded->names),
                     first.now);
  first.book.check_invariants();
  first.book.prune(first.now);
  first.book.check_invariants();

  // What was understood of it is the same after it was written and read.
  auto fresh = PeerStore::open(":memory:", limits, BookSecret{});
  WARREN_CHECK(fresh);
  BookChanges all;
  all.all = true;
  WARREN_CHECK((*fresh)->save(snapshot(first.book, all)));
  auto again = (*fresh)->load();
  WARREN_CHECK(again && again->skipped == 0);
  std::map<PeerId, Peer> peers;
  for (const Peer& one : again->peers) peers.emplace(one.id, one);
  WARREN_CHECK(dump(peers, again->bans, again->names) == dump(first.book));
  Fixture second(limits);
  second.book.restore(std::move(again->peers), std::move(again->bans), std::move(again->names),
                      second.now);
  second.book.check_invariants();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 8'192) return 0;
  const BytesView rest(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    read_rows(rest);
  } else {
    Operations(rest).run();
  }
  return 0;
}
