// The book on disk: what survives, and what happens to files that are not what they should be.

#include "peers/peer_store.hpp"

#include <SQLiteCpp/Database.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "peers/test_support.hpp"

namespace warren::peers {
namespace {

using namespace testing;
using resources::Prefix;
using ::testing::HasSubstr;

const BookSecret kSecret{1, 2, 3};

std::unique_ptr<PeerStore> open(const std::string& path, limits::Peers limits = {}) {
  auto store = PeerStore::open(path, limits, kSecret);
  EXPECT_TRUE(store) << (store ? "" : store.error().message());
  return store ? std::move(*store) : nullptr;
}

void save_all(PeerStore& store, PeerBook& book) {
  const auto saved = store.save(snapshot(book, book.take_changes()));
  ASSERT_TRUE(saved) << saved.error().message();
}

void load_into(PeerStore& store, PeerBook& book, std::size_t skipped = 0) {
  auto loaded = store.load();
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->skipped, skipped);
  book.restore(std::move(loaded->peers), std::move(loaded->bans), std::move(loaded->names), kNow);
}

// Some of everything.
void fill(Fixture& f) {
  for (unsigned i = 0; i < 50; ++i) {
    f.learn(peer(1 + i), {quic(20 + i % 9, i, 1, 1), quic(20 + i % 9, i, 1, 2)}, Origin::kExchange,
            group(90 + i % 5, 1), i % 3 == 0 ? record(1 + i) : nullptr);
    if (i % 2 == 0) {
      f.book.connected(peer(1 + i), quic(20 + i % 9, i, 1, 1), f.now);
      f.book.measured(peer(1 + i), 1ms * i, f.now);
      f.book.report(peer(1 + i), ReputationEvent::kUsefulAnswer, f.now);
      f.book.disconnected(peer(1 + i), i * 100, i * 10, f.now);
    } else {
      f.book.dial_failed(peer(1 + i), std::vector{quic(20 + i % 9, i, 1, 1)}, f.now);
    }
  }
  f.learn(peer(100), {quic(10, 0, 0, 1)}, Origin::kMdns);
  f.book.connected(peer(101), std::nullopt, f.now, quic(66, 1, 1, 1));
  f.book.disconnected(peer(101), 1, 2, f.now);
  ASSERT_TRUE(f.book.keep(peer(102), quic(80, 1, 1, 1), f.now));
  ASSERT_TRUE(f.book.pin(peer(102), f.now));
  ASSERT_TRUE(f.book.tie_name("J\xc3\xbcrgen's laptop", peer(102)));
  ASSERT_TRUE(f.book.ban(peer(3), WallTime::max(), "spam", f.now));
  ASSERT_TRUE(f.book.ban(*Prefix::parse("203.0.113.0/24"), kNow + 1h, "scans", f.now));
  ASSERT_TRUE(f.book.ban(*Prefix::parse("2001:db8::/32"), WallTime::max(), "", f.now));
  for (int i = 0; i < 4; ++i) {
    f.book.report(peer(5), ReputationEvent::kFailedVerification, f.now);
  }
  f.book.set_anchors({peer(1), peer(7)});
}

TEST(PeerStore, SavePeerAndLoadItAgain) {
  auto store = open(":memory:");
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  ASSERT_TRUE(store->save_peer(*f.book.find(peer(1))));
  auto loaded = store->load();
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->peers.size(), 1u);
  EXPECT_EQ(loaded->peers[0].id, peer(1));
  ASSERT_EQ(loaded->peers[0].addresses.size(), 1u);
  EXPECT_EQ(loaded->peers[0].addresses[0].address, quic(20, 1, 1, 1));
}

TEST(PeerStore, LoadPeersReturnsAllThatWereSaved) {
  auto store = open(":memory:");
  Fixture f;
  for (unsigned i = 1; i <= 200; ++i) {
    f.learn(peer(i), {quic(20 + i % 100, i, 1, 1)});
    ASSERT_TRUE(store->save_peer(*f.book.find(peer(i))));
  }
  const auto loaded = store->load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->peers.size(), 200u);
  EXPECT_EQ(loaded->skipped, 0u);
}

TEST(PeerStore, RemovePeerForgetsItAndItsNames) {
  auto store = open(":memory:");
  Fixture f;
  fill(f);
  save_all(*store, f.book);
  ASSERT_TRUE(store->remove_peer(peer(102)));
  ASSERT_TRUE(store->remove_peer(peer(102))) << "once more is no error";
  const auto loaded = store->load();
  EXPECT_TRUE(loaded->names.empty());
  EXPECT_EQ(loaded->peers.size(), f.book.all().size() - 1);
}

TEST(PeerStore, PersistsAcrossRestarts) {
  TemporaryFolder folder;
  Fixture before;
  {
    auto store = open(folder.file("peers.db"));
    fill(before);
    save_all(*store, before.book);
  }
  auto store = open(folder.file("peers.db"));
  EXPECT_EQ(store->secret(), kSecret);
  Fixture after;
  load_into(*store, after.book);
  EXPECT_EQ(dump(after.book), dump(before.book));
  EXPECT_FALSE(after.book.has_changes()) << "what is the same is not written again";
  EXPECT_EQ(after.book.table().size(Part::kProven), before.book.table().size(Part::kProven));
  after.book.check_invariants();
}

TEST(PeerStore, WritesOnlyWhatChangedAndForgetsWhatIsGone) {
  auto store = open(":memory:");
  Fixture f;
  fill(f);
  save_all(*store, f.book);
  f.book.heard(peer(1), kNow + 1h);
  ASSERT_TRUE(f.book.remove(peer(102)));
  ASSERT_TRUE(f.book.unban(peer(3), f.now));
  ASSERT_TRUE(f.book.unban(*Prefix::parse("2001:db8::/32")));
  const StoreBatch batch = snapshot(f.book, f.book.take_changes());
  EXPECT_EQ(batch.peers.size(), 2u);
  EXPECT_EQ(batch.peers_gone.size(), 1u);
  EXPECT_EQ(batch.names_gone.size(), 1u);
  EXPECT_EQ(batch.bans_gone.size(), 2u);
  ASSERT_TRUE(store->save(batch));
  Fixture after;
  auto loaded = store->load();
  after.book.restore(std::move(loaded->peers), std::move(loaded->bans), std::move(loaded->names),
                     kNow + 1h);
  f.book.prune(kNow + 1h);
  after.book.prune(kNow + 1h);
  EXPECT_EQ(dump(after.book), dump(f.book));
}

TEST(PeerStore, KeepsItsSecret) {
  TemporaryFolder folder;
  BookSecret other;
  other.fill(9);
  {
    EXPECT_EQ(open(folder.file("peers.db"))->secret(), kSecret);
  }
  EXPECT_EQ((*PeerStore::open(folder.file("peers.db"), {}, other))->secret(), kSecret);
}

TEST(PeerStore, IsReadableForItsOwnerOnly) {
  TemporaryFolder folder;
  auto store = open(folder.file("peers.db"));
  Peer one;
  one.id = peer(1);
  ASSERT_TRUE(store->save_peer(one));
  for (const char* name : {"peers.db", "peers.db-wal"}) {
    struct stat info{};
    ASSERT_EQ(::stat(folder.file(name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST(PeerStore, LeavesADatabaseOfANewerWarrenAlone) {
  TemporaryFolder folder;
  const std::string path = folder.file("peers.db");
  {
    open(path);
  }
  {
    SQLite::Database(path, SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 99");
  }
  const auto refused = PeerStore::open(path, {}, kSecret);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message(), HasSubstr(path));
  SQLite::Database db(path);
  EXPECT_EQ(db.execAndGet("PRAGMA user_version").getInt(), 99);
}

TEST(PeerStore, SaysWhichFileIsDamagedAndWhatToDo) {
  TemporaryFolder folder;
  const std::string path = folder.file("peers.db");
  std::ofstream(path) << std::string(10'000, 'x');
  const auto refused = PeerStore::open(path, {}, kSecret);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed);
  EXPECT_THAT(refused.error().message(), HasSubstr(path));
  EXPECT_THAT(refused.error().hint(), HasSubstr("move the file away"));
}

TEST(PeerStore, FindsDamageInTheMiddleOfTheFile) {
  TemporaryFolder folder;
  const std::string path = folder.file("peers.db");
  {
    auto store = open(path);
    Fixture f;
    fill(f);
    save_all(*store, f.book);
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (int page = 2; page < 12; ++page) {
    file.seekp(page * 4096);
    file << std::string(64, '\xff');
  }
  file.close();
  const auto refused = PeerStore::open(path, {}, kSecret);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed);
}

TEST(PeerStore, IsRefusedWhereTheUserMayNotWriteOrThereIsNoFolder) {
  TemporaryFolder folder;
  const auto refused = PeerStore::open(folder.file("missing/peers.db"), {}, kSecret);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kNotFound);
}

TEST(PeerStore, SkipsAndCountsDamagedRows) {
  TemporaryFolder folder;
  const std::string path = folder.file("peers.db");
  Fixture f;
  {
    auto store = open(path);
    fill(f);
    save_all(*store, f.book);
  }
  {
    SQLite::Database db(path, SQLite::OPEN_READWRITE);
    db.exec(
        "INSERT INTO peers SELECT NULL, x'0102', public_key, origin, first_seen_ns, "
        "last_seen_ns, first_success_ns, successes, failures, latency_ns, bytes_received, "
        "bytes_sent, score, score_ns, last_ban_end_ns, bans, kept, pinned, anchor, record, "
        "record_sequence FROM peers LIMIT 1");
    db.exec("INSERT INTO names VALUES('x', 'not a blob')");
    db.exec("INSERT INTO bans VALUES(x'01020304', 77, 5, 'x', 0)");
    db.exec(
        "INSERT INTO addresses VALUES((SELECT min(id) FROM peers), 9, x'ff', 0, 0, 0, 0, 0, 0, "
        "0)");
    // Values that no clock and no counter of ours gives.
    db.exec(
        "UPDATE peers SET first_seen_ns = -5, successes = -1, score = 'x', latency_ns = -7, "
        "bans = 1e300 WHERE id = 3");
  }
  auto store = open(path);
  Fixture after;
  load_into(*store, after.book, 4);
  after.book.check_invariants();
  EXPECT_EQ(after.book.all().size(), f.book.all().size());
}

TEST(PeerStore, LoadsNoMoreThanTheLimits) {
  auto store = open(":memory:", [] {
    limits::Peers limits;
    limits.peers_max = 10;
    limits.names_max = 3;
    limits.bans_max = 5;
    return limits;
  }());
  Fixture f;
  fill(f);
  for (unsigned i = 0; i < 10; ++i) {
    ASSERT_TRUE(f.book.tie_name(fmt::format("name {}", i), peer(1)));
    ASSERT_TRUE(f.book.ban(peer(200 + i), WallTime::max(), "", f.now));
  }
  save_all(*store, f.book);
  const auto loaded = store->load();
  EXPECT_EQ(loaded->peers.size(), 10u);
  EXPECT_EQ(loaded->peers[0].id, peer(102)) << "whom a person keeps comes first";
  EXPECT_EQ(loaded->names.size(), 3u);
  EXPECT_EQ(loaded->bans.size(), 5u);
  EXPECT_GT(loaded->skipped, 20u);
}

TEST(PeerStore, AFullDiskIsAnErrorThatChangesNothing) {
  limits::Peers limits;
  limits.store_bytes_max = 40 * 4096;
  auto store = open(":memory:", limits);
  Fixture f;
  ASSERT_TRUE(f.book.pin(peer(1), f.now));
  save_all(*store, f.book);
  for (unsigned i = 0; i < 400; ++i) {
    f.learn(peer(10 + i), {quic(20 + i % 100, i % 256, 1, 1)}, Origin::kExchange, std::nullopt,
            record(1, 4'000));
  }
  const auto failed = store->save(snapshot(f.book, f.book.take_changes()));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::kNoSpace);
  const auto loaded = store->load();
  ASSERT_EQ(loaded->peers.size(), 1u);
  EXPECT_TRUE(loaded->peers[0].pinned);
}

}  // namespace
}  // namespace warren::peers
