// Whole transfers between nodes on the simulated network, with real files.

#include "transfer/transfer_manager.hpp"

#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

void write_sample(const fs::path& folder) {
  write_file(folder / "empty", "");
  write_file(folder / "small.txt", "hello");
  write_file(folder / "one", random_text(1u << 20, 1));
  write_file(folder / "large.bin", random_text((5u << 20) + 123, 2));
  write_file(folder / "sub/deep/file", random_text(300'000, 3));
  for (std::uint64_t i = 0; i < 200; ++i) {
    write_file(folder / "many" / ("f" + std::to_string(i)), random_text(1'000, 100 + i));
  }
  fs::create_directories(folder / "nothing");
  fs::create_symlink("small.txt", folder / "link");
}

TEST(TransferManager, FetchesAFolderFromOneSource) {
  TestNet net;
  write_sample(net.path() / "data");
  const auto a = net.node(1);
  const auto b = net.node(2);
  const Cid root = a->share(net.path() / "data", "data");
  b->connect(*a);
  const Progress got = b->get(root);
  EXPECT_EQ(got.state, State::kCompleted) << (got.error ? got.error->message() : "");
  EXPECT_EQ(got.path, (b->got() / "data").string());
  EXPECT_EQ(got.bytes_done, got.bytes_total);
  EXPECT_EQ(got.files_done, got.files_total);
  EXPECT_EQ(difference(net.path() / "data", b->got() / "data"), "");
}

std::string why(const Progress& progress) {
  return std::string(state_name(progress.state)) +
         (progress.error ? ": " + progress.error->message() : "");
}

GetRequest by_name(std::string name) {
  GetRequest request;
  request.name = std::move(name);
  return request;
}

GetRequest by_root(const Cid& root) {
  GetRequest request;
  request.root = root;
  return request;
}

// Other bytes, and size, time and inode as before: a disk, or a peer, that lies.
void corrupt(const fs::path& path) {
  const auto time = fs::last_write_time(path);
  std::string content = read_file(path);
  for (std::size_t i = 0; i < content.size(); i += 1u << 20) content[i] ^= 1;
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << content;
  fs::last_write_time(path, time);
}

TEST(TransferManager, WhatWasDeletedAfterItsEndIsFetchedAgainAndNotMadeUpOfZeros) {
  TestNet net;
  write_file(net.path() / "large.bin", random_text((5u << 20) + 123, 7));
  const auto b = net.node(2);
  Cid root;
  {
    const auto a = net.node(1);
    root = a->share(net.path() / "large.bin", "large.bin");
    b->connect(*a);
    ASSERT_EQ(b->get(root).state, State::kCompleted);
  }
  net.world.run_for(2min);
  fs::remove(b->got() / "large.bin");
  GetRequest request = by_root(root);
  request.wait = 5s;
  const Progress alone = b->get(request);  // Makes the file anew, in its full size, and empty.
  EXPECT_EQ(alone.state, State::kFailed) << why(alone);
  EXPECT_EQ(alone.bytes_done, 0u);
  EXPECT_FALSE(fs::exists(b->got() / "large.bin"));
  const auto a = net.node(1);
  a->share(net.path() / "large.bin", "large.bin");
  b->connect(*a);
  const Progress got = b->get(root);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_EQ(difference(net.path() / "large.bin", b->got() / "large.bin"), "");
}

TEST(TransferManager, FetchesEveryKindOfRoot) {
  TestNet net;
  const auto a = net.node(1);
  const auto b = net.node(2);
  b->connect(*a);
  for (const std::size_t bytes : {0u, 1u, 1u << 20, (1u << 20) + 1, 3u << 20}) {
    const std::string name = "file" + std::to_string(bytes);
    write_file(net.path() / name, random_text(bytes, bytes));
    const Progress got = b->get(a->share(net.path() / name, name));
    EXPECT_EQ(got.state, State::kCompleted) << name << ": " << why(got);
    EXPECT_EQ(difference(net.path() / name, b->got() / name), "");
  }
  fs::create_directories(net.path() / "hollow");
  EXPECT_EQ(b->get(a->share(net.path() / "hollow", "hollow")).state, State::kCompleted);
  EXPECT_EQ(difference(net.path() / "hollow", b->got() / "hollow"), "");
}

TEST(TransferManager, FetchesAFolderThatIsSharded) {
  TestNet net;
  for (std::uint64_t i = 0; i < 6'000; ++i) {
    write_file(net.path() / "wide" / ("a file with a long name " + std::to_string(i)),
               random_text(i % 50, i));
  }
  const auto a = net.node(1);
  const auto b = net.node(2);
  b->connect(*a);
  const Progress got = b->get(a->share(net.path() / "wide", "wide"));
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_EQ(got.files_done, 6'000u);
  EXPECT_EQ(difference(net.path() / "wide", b->got() / "wide"), "");
}

TEST(TransferManager, FindsADatasetByItsName) {
  TestNet net;
  write_file(net.path() / "x/one", "1");
  write_file(net.path() / "y/one", "2");
  const auto a = net.node(1);
  const auto b = net.node(2);
  const auto c = net.node(3);
  const Cid root = a->share(net.path() / "x", "films");
  c->connect(*a);
  c->connect(*b);
  EXPECT_EQ(c->get(by_name("films")).state, State::kCompleted);
  EXPECT_EQ(difference(net.path() / "x", c->got() / "films"), "");

  const auto offers = sim::run(net.world, c->manager().find("films", {}, c->runtime().now() + 5s));
  ASSERT_TRUE(offers);
  ASSERT_EQ(offers->size(), 1u);
  EXPECT_EQ(offers->front().peer, a->peer());
  EXPECT_EQ(offers->front().root, root);
  EXPECT_EQ(offers->front().files, 1u);

  const Progress unknown = c->get(by_name("songs"));
  ASSERT_EQ(unknown.state, State::kFailed);
  EXPECT_EQ(unknown.error->code(), ErrorCode::kNotFound);

  a->share(net.path() / "x", "both");
  b->share(net.path() / "y", "both");
  const Progress ambiguous = c->get(by_name("both"));
  ASSERT_EQ(ambiguous.state, State::kFailed);
  EXPECT_EQ(ambiguous.error->code(), ErrorCode::kConflict);
  EXPECT_NE(ambiguous.error->message().find(root.to_string()), std::string::npos);
  GetRequest from_b = by_name("both");
  from_b.from = {b->peer()};
  from_b.save_as = "mine";
  EXPECT_EQ(c->get(from_b).state, State::kCompleted);
  EXPECT_EQ(difference(net.path() / "y", c->got() / "mine"), "");
}

TEST(TransferManager, FailsWithNoPeerWhenNobodyHasIt) {
  TestNet net;
  const auto a = net.node(1);
  const auto b = net.node(2);
  GetRequest request = by_root(Cid{Codec::kDagPb, {}});
  request.root->digest.bytes[0] = 1;
  const TimePoint before = net.world.now();
  const Progress alone = b->get(request);
  ASSERT_EQ(alone.state, State::kFailed);
  EXPECT_EQ(alone.error->code(), ErrorCode::kNoPeer);
  EXPECT_GE(net.world.now() - before, 60s);
  EXPECT_LE(net.world.now() - before, 65s);
  b->connect(*a);
  EXPECT_EQ(b->get(request).error->code(), ErrorCode::kNoPeer);
  EXPECT_FALSE(fs::exists(b->got() / request.root->to_string()));
}

TEST(TransferManager, TakesFromSeveralSources) {
  TestNet net;
  net.world.link.bytes_per_second = 10u << 20;
  write_file(net.path() / "big", random_text(40u << 20, 5));
  const auto a = net.node(1);
  const auto b = net.node(2);
  const auto c = net.node(3);
  const auto d = net.node(4);
  const Cid root = a->share(net.path() / "big", "big");
  b->share(net.path() / "big", "big");
  c->share(net.path() / "big", "big");
  for (const auto* source : {a.get(), b.get(), c.get()}) d->connect(*source);
  const TimePoint before = net.world.now();
  const Progress got = d->get(root);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  ASSERT_EQ(got.peers.size(), 3u);
  for (const PeerProgress& peer : got.peers) EXPECT_GT(peer.bytes, 5u << 20);
  // One source alone would need 4 s.
  EXPECT_LT(net.world.now() - before, 2500ms);
  EXPECT_EQ(difference(net.path() / "big", d->got() / "big"), "");
}

TEST(TransferManager, SurvivesASourceThatVanishes) {
  TestNet net;
  net.world.link.bytes_per_second = 10u << 20;
  write_file(net.path() / "big", random_text(30u << 20, 6));
  const auto a = net.node(1);
  auto b = net.node(2);
  const auto c = net.node(3);
  const Cid root = a->share(net.path() / "big", "big");
  b->share(net.path() / "big", "big");
  c->connect(*a);
  c->connect(*b);
  const TransferId id = c->start_get(by_root(root));
  net.world.run_for(700ms);
  EXPECT_GT(c->manager().progress(id)->bytes_done, 0u);
  b->stop();
  const Progress got = c->wait(id);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_EQ(difference(net.path() / "big", c->got() / "big"), "");
}

TEST(TransferManager, GoesOnWhenItsOnlySourceComesBack) {
  TestNet net;
  net.world.link.bytes_per_second = 10u << 20;
  write_file(net.path() / "big", random_text(30u << 20, 6));
  const auto a = net.node(1);
  const auto b = net.node(2);
  const Cid root = a->share(net.path() / "big", "big");
  b->connect(*a);
  const TransferId id = b->start_get(by_root(root));
  net.world.run_for(1s);
  const std::uint64_t before = b->manager().progress(id)->bytes_done;
  EXPECT_GT(before, 0u);
  a->stop();
  net.world.run_for(20s);
  EXPECT_EQ(b->manager().progress(id)->phase, Phase::kFindingSources);
  a->start();
  b->connect(*a);
  const Progress got = b->wait(id);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_GE(got.bytes_done, before);
  EXPECT_EQ(difference(net.path() / "big", b->got() / "big"), "");
}

TEST(TransferManager, AsksElsewhereWhenASourceFallsSilent) {
  TestNet net;
  net.world.link.bytes_per_second = 10u << 20;
  write_file(net.path() / "big", random_text(20u << 20, 7));
  const auto a = net.node(1);
  const auto b = net.node(2);
  const auto c = net.node(3);
  const Cid root = a->share(net.path() / "big", "big");
  b->share(net.path() / "big", "big");
  c->connect(*a);
  c->connect(*b);
  const TransferId id = c->start_get(by_root(root));
  net.world.run_for(500ms);
  net.world.partition({2});
  const TimePoint before = net.world.now();
  const Progress got = c->wait(id);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_LT(net.world.now() - before, 20s);
  EXPECT_GT(got.retries, 0u);
  EXPECT_EQ(difference(net.path() / "big", c->got() / "big"), "");
  net.world.heal();
}

TEST(TransferManager, NamesALiarAndTakesItsChunksFromAnother) {
  TestNet net;
  net.world.link.bytes_per_second = 20u << 20;
  write_file(net.path() / "honest", random_text(20u << 20, 8));
  fs::copy(net.path() / "honest", net.path() / "liar");
  const auto a = net.node(1);
  const auto b = net.node(2);
  const auto c = net.node(3);
  const Cid root = a->share(net.path() / "honest", "big");
  EXPECT_EQ(b->share(net.path() / "liar", "big"), root);
  corrupt(net.path() / "liar");
  c->connect(*a);
  c->connect(*b);
  const Progress got = c->get(root);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_GE(got.bad_chunks, 1u);
  for (const PeerProgress& peer : got.peers) {
    EXPECT_EQ(peer.bad_chunks > 0, peer.peer == b->peer());
    EXPECT_EQ(peer.demoted, peer.peer == b->peer());
  }
  EXPECT_EQ(difference(net.path() / "honest", c->got() / "big"), "");
}

TEST(TransferManager, FailsWithIntegrityWhenOnlyALiarIsLeft) {
  TestNet net;
  write_file(net.path() / "liar", random_text(20u << 20, 8));
  const auto a = net.node(1);
  const auto b = net.node(2);
  const Cid root = a->share(net.path() / "liar", "big");
  corrupt(net.path() / "liar");
  b->connect(*a);
  const TimePoint before = net.world.now();
  const Progress got = b->get(root);
  ASSERT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.error->code(), ErrorCode::kIntegrity);
  EXPECT_NE(got.error->message().find(a->peer().to_string()), std::string::npos);
  EXPECT_LT(net.world.now() - before, 10s);
  EXPECT_FALSE(fs::exists(b->got() / "big"));
}

TEST(TransferManager, ReportsAFileThatChangedWhileServed) {
  TestNet net;
  write_sample(net.path() / "data");
  const auto a = net.node(1);
  const auto b = net.node(2);
  const Cid root = a->share(net.path() / "data", "data");
  write_file(net.path() / "data/sub/deep/file", "something else");
  b->connect(*a);
  const Progress got = b->get(root);
  ASSERT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.error->code(), ErrorCode::kNotFound);
  EXPECT_NE(got.error->message().find("sub/deep/file"), std::string::npos) << why(got);
  EXPECT_NE(got.error->message().find("changed"), std::string::npos) << why(got);
  EXPECT_EQ(got.files_done, got.files_total - 1);
  EXPECT_EQ(a->store().find_share("data")->files_changed, 1u);
  // When it is as it was again, only that file is fetched.
  write_file(net.path() / "data/sub/deep/file", random_text(300'000, 3));
  EXPECT_EQ(a->share(net.path() / "data", "data"), root);
  const Progress again = b->get(root);
  EXPECT_EQ(again.state, State::kCompleted) << why(again);
  EXPECT_EQ(again.bytes_verified, 300'000u);
  EXPECT_EQ(difference(net.path() / "data", b->got() / "data"), "");
}

TEST(TransferManager, FindsAnIdenticalOneInPlace) {
  TestNet net;
  write_sample(net.path() / "data");
  const auto a = net.node(1);
  const auto b = net.node(2);
  const Cid root = a->share(net.path() / "data", "data");
  b->connect(*a);
  EXPECT_EQ(b->get(root).state, State::kCompleted);
  const Progress again = b->get(root);
  EXPECT_EQ(again.state, State::kCompleted);
  EXPECT_EQ(again.bytes_verified, 0u);
  EXPECT_EQ(again.bytes_reused, again.bytes_total);
}

TEST(TransferManager, LeavesADifferentOneInPlaceAlone) {
  TestNet net;
  write_sample(net.path() / "data");
  const auto a = net.node(1);
  const auto b = net.node(2);
  const Cid root = a->share(net.path() / "data", "data");
  b->connect(*a);
  fs::copy(net.path() / "data", b->got() / "data",
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  write_file(b->got() / "data/small.txt", "HELLO");
  const Progress got = b->get(root);
  ASSERT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.error->code(), ErrorCode::kExists);
  EXPECT_NE(got.error->message().find("small.txt"), std::string::npos);
  EXPECT_EQ(read_file(b->got() / "data/small.txt"), "HELLO");
  GetRequest other = by_root(root);
  other.save_as = "other";
  EXPECT_EQ(b->get(other).state, State::kCompleted);
}

// Makes the disk of a node what it was at some moment, as a kill and a new start would.
class Crash {
 public:
  explicit Crash(const TestNode& node) : folder_(node.folder()) {
    fs::copy(folder_, image(), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }
  // The node must have been stopped.
  void happen() const {
    fs::remove_all(folder_);
    fs::rename(image(), folder_);
  }

 private:
  fs::path image() const { return folder_.string() + ".image"; }
  fs::path folder_;
};

TEST(TransferManager, FetchesNoVerifiedChunkAgainAfterAKill) {
  for (std::uint64_t moment = 1; moment <= 8; ++moment) {
    TestNet net(moment);
    net.world.link.bytes_per_second = 10u << 20;
    write_sample(net.path() / "data");
    write_file(net.path() / "data/large2.bin", random_text(20u << 20, 9));
    const auto a = net.node(1);
    auto b = net.node(2);
    const Cid root = a->share(net.path() / "data", "data");
    b->connect(*a);
    const TransferId id = b->start_get(by_root(root));
    net.world.run_for(moment * 300ms);
    const Progress before = *b->manager().progress(id);
    const Crash crash(*b);
    b->stop();
    EXPECT_FALSE(fs::exists(b->got() / "data"));
    crash.happen();
    b->start();
    EXPECT_EQ(b->manager().progress(id)->state, State::kActive);
    b->connect(*a);
    const Progress got = b->wait(id);
    EXPECT_EQ(got.state, State::kCompleted) << why(got);
    EXPECT_EQ(got.bytes_verified + got.bytes_reused, got.bytes_total);
    // What had been verified at the moment of the kill, but for what was not noted down yet.
    EXPECT_GE(got.bytes_reused + (16u << 20), before.bytes_done);
    if (moment >= 6) EXPECT_GT(got.bytes_reused, 5u << 20);
    EXPECT_EQ(difference(net.path() / "data", b->got() / "data"), "");
    const auto items = fs::directory_iterator(b->got());
    EXPECT_EQ(std::distance(fs::begin(items), fs::end(items)), 1) << "a temporary name is left";
  }
}

TEST(TransferManager, PausesResumesAndCancels) {
  TestNet net;
  net.world.link.bytes_per_second = 10u << 20;
  write_file(net.path() / "big", random_text(30u << 20, 6));
  const auto a = net.node(1);
  const auto b = net.node(2);
  const Cid root = a->share(net.path() / "big", "big");
  b->connect(*a);
  const TransferId id = b->start_get(by_root(root));
  EXPECT_EQ(b->start_get(by_root(root)), id) << "the same is not started twice";
  net.world.run_for(1s);
  EXPECT_TRUE(sim::run(net.world, b->manager().pause(id)));
  const Progress paused = *b->manager().progress(id);
  EXPECT_EQ(paused.state, State::kPaused);
  EXPECT_GT(paused.bytes_done, 0u);
  EXPECT_LT(paused.bytes_done, paused.bytes_total);
  EXPECT_EQ(b->wait(id).state, State::kPaused);
  net.world.run_for(1min);
  EXPECT_EQ(b->manager().progress(id)->bytes_done, paused.bytes_done);
  EXPECT_FALSE(fs::exists(b->got() / "big"));
  b->stop();
  b->start();
  net.world.run_for(10s);
  EXPECT_EQ(b->manager().progress(id)->state, State::kPaused) << "a start does not resume it";

  b->connect(*a);
  EXPECT_TRUE(sim::run(net.world, b->manager().resume(id)));
  const Progress got = b->wait(id);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_EQ(got.bytes_reused, paused.bytes_done);
  EXPECT_EQ(sim::run(net.world, b->manager().resume(id)).error().code(), ErrorCode::kConflict);

  GetRequest second = by_root(root);
  second.save_as = "second";
  const TransferId doomed = b->start_get(second);
  net.world.run_for(1s);
  EXPECT_TRUE(sim::run(net.world, b->manager().cancel(doomed)));
  EXPECT_FALSE(b->manager().progress(doomed));
  EXPECT_EQ(sim::run(net.world, b->manager().pause(doomed)).error().code(), ErrorCode::kNotFound);
  const auto items = fs::directory_iterator(b->got());
  EXPECT_EQ(std::distance(fs::begin(items), fs::end(items)), 1) << "the temporary file is left";
  EXPECT_EQ(b->manager().list().size(), 1u);
}

TEST(TransferManager, WaitsForItsTurn) {
  TestNet net;
  net.world.link.bytes_per_second = 10u << 20;
  TransferConfig config;
  config.limits.transfers_max = 1;
  const auto a = net.node(1);
  const auto b = net.node(2, config);
  b->connect(*a);
  std::vector<TransferId> ids;
  for (const std::string name : {"x", "y", "z"}) {
    write_file(net.path() / name, random_text(10u << 20, static_cast<std::uint64_t>(name[0])));
    ids.push_back(b->start_get(by_root(a->share(net.path() / name, name))));
  }
  net.world.run_for(500ms);
  EXPECT_EQ(b->manager().progress(ids[0])->phase, Phase::kDownloading);
  EXPECT_EQ(b->manager().progress(ids[1])->phase, Phase::kQueued);
  EXPECT_TRUE(sim::run(net.world, b->manager().cancel(ids[1])));
  EXPECT_EQ(b->wait(ids[2]).state, State::kCompleted);
  EXPECT_EQ(b->wait(ids[0]).state, State::kCompleted);
}

TEST(TransferManager, PausesWhenTheDiskIsFullAndGoesOnByItself) {
  TestNet net;
  net.world.link.bytes_per_second = 20u << 20;
  std::uint64_t room = 15u << 20;
  TransferConfig config;
  config.disk_hooks.free_bytes = [&room] { return room; };
  config.disk_hooks.before_write = [&room](std::uint64_t bytes) -> Result<> {
    if (room < bytes) return fail(ErrorCode::kNoSpace, "the disk is full");
    room -= bytes;
    return {};
  };
  write_file(net.path() / "data/one", random_text(20u << 20, 1));
  write_file(net.path() / "data/two", random_text(20u << 20, 2));
  const auto a = net.node(1);
  const auto b = net.node(2, config);
  const Cid root = a->share(net.path() / "data", "data");
  b->connect(*a);
  const TransferId id = b->start_get(by_root(root));
  net.world.run_for(5s);
  Progress progress = *b->manager().progress(id);
  EXPECT_EQ(progress.state, State::kPaused);
  ASSERT_TRUE(progress.error);
  EXPECT_EQ(progress.error->code(), ErrorCode::kNoSpace);
  EXPECT_NE(progress.error->message().find("40.0 MiB"), std::string::npos) << why(progress);
  EXPECT_NE(progress.error->message().find("15.0 MiB"), std::string::npos) << why(progress);

  room = 45u << 20;  // It begins, and another program takes the space meanwhile.
  net.world.run_for(5s);
  room = std::min<std::uint64_t>(room, 1000);
  net.world.run_for(500ms);
  progress = *b->manager().progress(id);
  if (progress.state != State::kCompleted) EXPECT_EQ(progress.state, State::kPaused);
  room = 100u << 20;
  const Progress got = b->wait(id);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_EQ(difference(net.path() / "data", b->got() / "data"), "");
}

TEST(TransferManager, KeepsWhatItHasWhenAWriteFindsTheDiskFull) {
  TestNet net;
  net.world.link.bytes_per_second = 20u << 20;
  std::uint64_t room = 25u << 20;
  TransferConfig config;
  config.disk_hooks.before_write = [&room](std::uint64_t bytes) -> Result<> {
    if (room < bytes) return fail(ErrorCode::kNoSpace, "the disk is full");
    room -= bytes;
    return {};
  };
  config.disk_hooks.free_bytes = [&room] { return room < (1u << 20) ? 0 : 1ull << 40; };
  write_file(net.path() / "big", random_text(40u << 20, 1));
  const auto a = net.node(1);
  const auto b = net.node(2, config);
  const Cid root = a->share(net.path() / "big", "big");
  b->connect(*a);
  const TransferId id = b->start_get(by_root(root));
  net.world.run_for(20s);
  const Progress paused = *b->manager().progress(id);
  EXPECT_EQ(paused.state, State::kPaused) << why(paused);
  EXPECT_EQ(paused.bytes_done, 25u << 20);
  room = 15u << 20;  // Exactly what is missing: nothing may be fetched again.
  const Progress got = b->wait(id);
  EXPECT_EQ(got.state, State::kCompleted) << why(got);
  EXPECT_EQ(got.bytes_reused, 25u << 20);
  EXPECT_EQ(difference(net.path() / "big", b->got() / "big"), "");
}

TEST(TransferManager, GivesTheSameTraceForTheSameSeed) {
  const auto trace = [](std::uint64_t seed) {
    TestNet net(seed);
    net.world.link.bytes_per_second = 20u << 20;
    write_file(net.path() / "big", random_text(10u << 20, 6));
    const auto a = net.node(1);
    const auto b = net.node(2);
    const auto c = net.node(3);
    const Cid root = a->share(net.path() / "big", "big");
    b->share(net.path() / "big", "big");
    c->connect(*a);
    c->connect(*b);
    EXPECT_EQ(c->get(root).state, State::kCompleted);
    return net.world.trace_hash();
  };
  EXPECT_EQ(trace(3), trace(3));
  EXPECT_NE(trace(3), trace(4));
}

}  // namespace
}  // namespace warren::transfer
