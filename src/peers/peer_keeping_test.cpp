// The keeper: what is on disk when, also when the process is killed or the disk is full.

#include "peers/peer_keeping.hpp"

#include <SQLiteCpp/Database.h>
#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/log.hpp"
#include "peers/operations_for_test.hpp"
#include "runtime/test_stages.hpp"

namespace warren::peers {
namespace {

using namespace testing;
using runtime::Runtime;
using std::chrono::hours;

const BookSecret kSecret{1, 2, 3};

std::shared_ptr<PeerStore> open(const std::string& path, limits::Peers limits = {}) {
  auto store = PeerStore::open(path, limits, kSecret);
  WARREN_CHECK(store);
  return std::move(*store);
}

template <class Stage>
class BookKeeperTest : public ::testing::Test {
 public:
  Stage stage;
  TemporaryFolder folder;
};
TYPED_TEST_SUITE(BookKeeperTest, runtime::BothStages, runtime::StageNames);

awaitable<void> write_a_book(Runtime& runtime, Fixture& f, std::string path) {
  BookKeeper keeper(runtime, f.book, open(path));
  const auto loaded = co_await keeper.load();
  EXPECT_TRUE(loaded);
  keeper.start();
  f.now = runtime.wall_now();
  for (unsigned i = 1; i <= 100; ++i) f.learn(peer(i), {quic(20 + i, 1, 1, 1)});
  EXPECT_TRUE(f.book.pin(peer(7), f.now));
  EXPECT_TRUE(f.book.ban(peer(8), WallTime::max(), "spam", f.now));
  const auto flushed = co_await keeper.flush();
  EXPECT_TRUE(flushed);
  EXPECT_EQ(keeper.counters().transactions, 1u);
  f.book.heard(peer(9), f.now + 1h);
  const auto stopped = co_await keeper.stop();
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(f.book.has_changes());
}

awaitable<void> read_a_book(Runtime& runtime, PeerBook& book, std::string path) {
  BookKeeper keeper(runtime, book, open(path));
  const auto loaded = co_await keeper.load();
  EXPECT_TRUE(loaded);
  const auto stopped = co_await keeper.stop();
  EXPECT_TRUE(stopped);
}

TYPED_TEST(BookKeeperTest, PersistsAcrossRestarts) {
  const std::string path = this->folder.file("peers.db");
  Fixture before, after;
  this->stage.run(write_a_book(this->stage.a(), before, path));
  this->stage.run(read_a_book(this->stage.a(), after.book, path));
  EXPECT_EQ(after.book.all().size(), 100u);
  EXPECT_EQ(dump(after.book), dump(before.book)) << "also of the one heard an hour ahead";
  EXPECT_TRUE(after.book.find(peer(7))->pinned);
  EXPECT_TRUE(after.book.is_banned(peer(8), kNow));
  after.book.check_invariants();
}

awaitable<void> change_for_a_minute(Runtime& runtime, Fixture& f) {
  BookKeeper keeper(runtime, f.book, open(":memory:"));
  keeper.start();
  for (unsigned i = 0; i < 6'000; ++i) {
    f.now = runtime.wall_now();
    f.learn(peer(1 + i % 50), {quic(20 + i % 50, i % 256, 1, 1)});
    f.book.disconnected(peer(1 + i % 50), 1, 1, f.now);
    co_await runtime.sleep_for(10ms);
  }
  EXPECT_GE(keeper.counters().transactions, 29u);
  EXPECT_LE(keeper.counters().transactions, 32u);
  const std::uint64_t before = keeper.counters().transactions;
  co_await runtime.sleep_for(5s);
  const std::uint64_t quiet = keeper.counters().transactions;
  co_await runtime.sleep_for(50min);
  EXPECT_LE(quiet, before + 1);
  EXPECT_EQ(keeper.counters().transactions, quiet) << "nothing changes, nothing is written";
  f.book.disconnected(peer(1), 1, 1, runtime.wall_now());
  keeper.save_soon();
  co_await runtime.sleep_for(100ms);
  EXPECT_EQ(keeper.counters().transactions, quiet + 1);
  const auto stopped = co_await keeper.stop();
  EXPECT_TRUE(stopped);
}

TEST(BookKeeper, WritesAtMostOnceInItsInterval) {
  runtime::SimStage stage;
  Fixture f;
  stage.run(change_for_a_minute(stage.a(), f));
}

awaitable<void> fill_the_disk(Runtime& runtime, Fixture& f, std::string path) {
  limits::Peers limits;
  limits.store_bytes_max = 60 * 4096;
  const auto store = open(path, limits);
  SQLite::Database other(path, SQLite::OPEN_READWRITE);
  other.exec("CREATE TABLE filler(bytes BLOB)");
  other.exec("INSERT INTO filler VALUES(zeroblob(180000))");
  BookKeeper keeper(runtime, f.book, store);
  keeper.start();
  EXPECT_TRUE(f.book.pin(peer(1), f.now));
  for (unsigned i = 0; i < 100; ++i) {
    f.learn(peer(10 + i), {quic(10, 1, 1, 1 + i)}, Origin::kMdns, std::nullopt, record(1, 1'000));
  }
  const auto failed = co_await keeper.flush();
  EXPECT_FALSE(failed);
  if (!failed) EXPECT_EQ(failed.error().code(), ErrorCode::kNoSpace);
  EXPECT_TRUE(keeper.trouble());
  // The rest of the program goes on, and what changes now is not lost either.
  EXPECT_TRUE(f.book.tie_name("one", peer(1)));
  co_await runtime.sleep_for(1min);
  EXPECT_GE(keeper.counters().failures, 3u);
  EXPECT_LE(keeper.counters().failures, 12u) << "not in a hurry";
  EXPECT_EQ(keeper.counters().transactions, 0u);
  other.exec("DELETE FROM filler");
  co_await runtime.sleep_for(6min);
  EXPECT_GE(keeper.counters().transactions, 1u);
  EXPECT_FALSE(keeper.trouble());
  const auto loaded = store->load();
  EXPECT_EQ(loaded->peers.size(), 101u);
  EXPECT_EQ(loaded->names.size(), 1u);
  const auto stopped = co_await keeper.stop();
  EXPECT_TRUE(stopped);
}

TEST(BookKeeper, AFullDiskCostsNothingThatIsInMemory) {
  runtime::SimStage stage;
  TemporaryFolder folder;
  Fixture f;
  log::set_level(log::Level::kOff);
  stage.run(fill_the_disk(stage.a(), f, folder.file("peers.db")));
  log::set_level(log::Level::kWarn);
}

awaitable<void> flush_once(BookKeeper& keeper, int* done) {
  const auto flushed = co_await keeper.flush();
  *done += flushed ? 1 : 100;
}

awaitable<void> flush_together(Runtime& runtime, Fixture& f, int* done) {
  BookKeeper keeper(runtime, f.book, open(":memory:"));
  keeper.start();
  runtime::TaskGroup tasks(runtime, 10);
  for (unsigned i = 1; i <= 10; ++i) {
    EXPECT_TRUE(f.book.pin(peer(i), f.now));
    EXPECT_TRUE(tasks.spawn(flush_once(keeper, done)));
  }
  co_await runtime.sleep_for(1s);
  EXPECT_EQ(*done, 10);
  EXPECT_LE(keeper.counters().transactions, 2u) << "one waits for the other and has nothing to do";
  co_await tasks.join();
  const auto stopped = co_await keeper.stop();
  EXPECT_TRUE(stopped);
}

TEST(BookKeeper, FlushesOfManyAtATimeShareATransaction) {
  runtime::SimStage stage;
  Fixture f;
  int done = 0;
  stage.run(flush_together(stage.a(), f, &done));
}

awaitable<void> without_a_store(Runtime& runtime, Fixture& f) {
  BookKeeper keeper(runtime, f.book, nullptr);
  const auto loaded = co_await keeper.load();
  EXPECT_TRUE(loaded);
  keeper.start();
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  const auto flushed = co_await keeper.flush();
  EXPECT_TRUE(flushed);
  EXPECT_FALSE(f.book.has_changes());
  const auto stopped = co_await keeper.stop();
  EXPECT_TRUE(stopped);
}

TEST(BookKeeper, WorksWithoutAStore) {
  runtime::SimStage stage;
  Fixture f;
  stage.run(without_a_store(stage.a(), f));
}

// ------------------------------------------------------------------------------------ kill -9

// Each round is a pin, a name and a ban that belong together; a byte goes to `out` when flush()
// has answered.
awaitable<void> command_for_ever(Runtime& runtime, Fixture& f, std::string path, int out) {
  BookKeeper keeper(runtime, f.book, open(path));
  const auto loaded = co_await keeper.load();
  WARREN_CHECK(loaded);
  keeper.start();
  for (unsigned i = static_cast<unsigned>(f.book.names().size());; ++i) {
    f.now = runtime.wall_now();
    WARREN_CHECK(f.book.pin(peer(1 + i), f.now));
    WARREN_CHECK(f.book.tie_name(fmt::format("{:06}", i), peer(1 + i)));
    WARREN_CHECK(f.book.ban(peer(10'000 + i), WallTime::max(), "", f.now));
    for (unsigned k = 0; k < 20; ++k) f.learn(peer(20'000 + k), {quic(30 + k, i % 256, 1, 1)});
    const auto flushed = co_await keeper.flush();
    WARREN_CHECK(flushed);
    const char byte = 1;
    WARREN_CHECK(::write(out, &byte, 1) == 1);
  }
}

TEST(BookKeeper, WhatFlushHasAnsweredSurvivesKillNine) {
  TemporaryFolder folder;
  const std::string path = folder.file("peers.db");
  std::size_t answered = 0;
  for (std::size_t round = 0; round < 20; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe_ends[0]);
      runtime::RealStage stage;
      Fixture f;
      stage.run(command_for_ever(stage.a(), f, path, pipe_ends[1]));
      ::_exit(3);
    }
    ::close(pipe_ends[1]);
    // Not told when: after so many answers the child is somewhere in its next command.
    char byte = 0;
    for (std::size_t i = 0; i < round % 7; ++i) {
      ASSERT_EQ(::read(pipe_ends[0], &byte, 1), 1);
      ++answered;
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    while (::read(pipe_ends[0], &byte, 1) == 1) ++answered;
    ::close(pipe_ends[0]);

    auto store = open(path);  // Also checks every page.
    auto loaded = store->load();
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->skipped, 0u);
    EXPECT_GE(loaded->names.size(), answered);
    EXPECT_LE(loaded->names.size(), answered + 1) << "the one that nobody has heard of yet";
    EXPECT_EQ(loaded->bans.size(), loaded->names.size()) << "all of a command or nothing";
    answered = loaded->names.size();
    Fixture f;
    f.now = WallTime::max() - hours(24);
    f.book.restore(std::move(loaded->peers), std::move(loaded->bans), std::move(loaded->names),
                   f.now);
    for (const NameEntry& entry : f.book.names()) {
      ASSERT_NE(f.book.find(entry.peer), nullptr);
      EXPECT_TRUE(f.book.find(entry.peer)->pinned);
    }
    f.book.check_invariants();
  }
  EXPECT_GE(answered, 57u);  // The sum of 0..6, twice and most of a third time.
}

// ------------------------------------------------------------------------------- properties

// All values of a byte from the first case on, and enough of them to reach the small limits.
rc::Gen<Bytes> bytes_to_read(std::size_t count) {
  // Shrinking so much takes minutes and tells little.
  return rc::gen::noShrink(rc::gen::resize(
      rc::kNominalSize, rc::gen::container<Bytes>(count, rc::gen::arbitrary<std::uint8_t>())));
}

RC_GTEST_PROP(PeerBookProperties, HoldsItsBoundsInAnyOrderOfOperations, ()) {
  const Bytes input = *bytes_to_read(1'500);
  Operations(input).run();
}

RC_GTEST_PROP(PeerBookProperties, TheStoreHasWhatTheBookHasAfterEachWrite, ()) {
  const Bytes input = *bytes_to_read(1'500);
  Operations operations(input);
  PeerBook& book = operations.fixture().book;
  const auto store = open(":memory:");
  while (!operations.done()) {
    for (unsigned i = operations.below(16); i > 0 && !operations.done(); --i) operations.step();
    const auto saved = store->save(snapshot(book, book.take_changes()));
    RC_ASSERT(saved.has_value());
  }
  auto loaded = store->load();
  RC_ASSERT(loaded.has_value());
  RC_ASSERT(loaded->skipped == 0u);
  std::map<PeerId, Peer> peers;
  for (const Peer& one : loaded->peers) peers.emplace(one.id, one);
  RC_ASSERT(dump(peers, loaded->bans, loaded->names, false) == dump(book, false));

  Fixture after(small_limits());
  after.book.restore(std::move(loaded->peers), std::move(loaded->bans), std::move(loaded->names),
                     operations.fixture().now);
  after.book.check_invariants();
}

}  // namespace
}  // namespace warren::peers
