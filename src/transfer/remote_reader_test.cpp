// Reading what peers have, without keeping it.

#include "transfer/remote_reader.hpp"

#include "content/dataset.hpp"
#include "content/tree_reader.hpp"
#include "content/unixfs.hpp"
#include "crypto/sha256.hpp"
#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kBytes = 64 * kMiB + 321;
// What is held: ahead of what is read, behind it, and one leaf on each side.
constexpr std::uint64_t kHeldMax =
    RemoteReader::kAheadBytesMax + RemoteReader::kBehindBytesMax + 2 * kMiB;

class RemoteReaderTest : public testing::Test {
 protected:
  RemoteReaderTest() {
    write_file(net_.path() / "thing" / "big.zip", content_);
    write_file(net_.path() / "thing" / "empty", "");
    write_file(net_.path() / "thing" / "version.ini", "version = 1");
    root_ = a_->share(net_.path() / "thing", "thing");
    c_->connect(*a_);
  }
  ~RemoteReaderTest() override { close(); }

  void open(Duration wait = 30s) {
    reader_ = c_->manager().read(root_, "thing", {}, wait);
    const auto tree = sim::run(net_.world, reader_->open(net_.world.now() + 1h));
    ASSERT_TRUE(tree) << tree.error().message();
    tree_ = *tree;
    file_ = entry("big.zip");
  }
  void close() {
    if (reader_) sim::run(net_.world, reader_->close());
    reader_.reset();
  }
  std::size_t entry(const std::string& path) const {
    const auto found = std::ranges::find(tree_->entries, path, &content::Entry::path);
    EXPECT_NE(found, tree_->entries.end());
    return static_cast<std::size_t>(found - tree_->entries.begin());
  }
  Result<std::string> read(std::uint64_t offset, std::size_t bytes, Duration time = 1h) {
    std::string text(bytes, '\0');
    const MutableBytes out(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
    const auto count =
        sim::run(net_.world, reader_->read(file_, offset, out, net_.world.now() + time));
    EXPECT_LE(reader_->held_bytes(), kHeldMax);
    if (!count) return fail(count.error());
    text.resize(*count);
    return text;
  }
  // All of it, in pieces that fit no chunk. Empty when it is as it should be.
  std::string read_all(std::uint64_t from = 0) {
    for (std::uint64_t at = from; at < kBytes;) {
      const auto part = read(at, 300'000);
      if (!part) return part.error().message();
      if (part->empty()) return "it ends at " + std::to_string(at);
      if (content_.compare(at, part->size(), *part) != 0) return "other bytes";
      at += part->size();
    }
    return "";
  }
  /// A second source.
  void share_at_b() { EXPECT_EQ(b_->share(net_.path() / "thing", "thing"), root_); }

  TestNet net_;
  std::string content_ = random_text(kBytes, 3);
  std::unique_ptr<TestNode> a_ = net_.node(1);
  std::unique_ptr<TestNode> b_ = net_.node(2);
  std::unique_ptr<TestNode> c_ = net_.node(3);
  Cid root_;
  std::shared_ptr<RemoteReader> reader_;
  std::shared_ptr<const content::Tree> tree_;
  std::size_t file_ = 0;
};

TEST_F(RemoteReaderTest, ReadsInOrderAndKeepsNothing) {
  open();
  EXPECT_EQ(read_all(), "");
  EXPECT_EQ(read(kBytes, 10), std::string());
  const std::uint64_t taken = a_->manager().list().size();
  EXPECT_EQ(taken, 0u);
  close();
  EXPECT_TRUE(fs::is_empty(c_->got()));
  EXPECT_TRUE(c_->manager().list().empty());
}

TEST_F(RemoteReaderTest, ReadsHereAndThere) {
  open();
  std::mt19937_64 random(sim::seed_from_env(5));
  EXPECT_EQ(read(kBytes - 22, 100), content_.substr(kBytes - 22));
  for (int i = 0; i < 60; ++i) {
    const std::uint64_t at = random() % kBytes;
    const auto part = read(at, 1 + random() % (3 * kMiB));
    ASSERT_TRUE(part) << part.error().message();
    ASSERT_EQ(*part, content_.substr(at, part->size()));
  }
  EXPECT_EQ(read_all(20 * kMiB + 7), "");
  file_ = entry("empty");
  EXPECT_EQ(read(0, 10), std::string());
  file_ = entry("version.ini");
  EXPECT_EQ(read(0, 100), std::string("version = 1"));
}

TEST_F(RemoteReaderTest, WhoReadsSlowlyHoldsNoMoreThanTheWindow) {
  open();
  for (std::uint64_t at = 0; at < kBytes; at += kMiB) {
    EXPECT_TRUE(read(at, 10));
    net_.world.run_for(2s);
    EXPECT_LE(reader_->held_bytes(), kHeldMax);
  }
  EXPECT_GT(reader_->held_bytes(), 0u);
}

TEST_F(RemoteReaderTest, GoesOnWithAnotherSource) {
  share_at_b();
  c_->connect(*b_);
  open();
  EXPECT_TRUE(read(5 * kMiB, 100));
  a_.reset();
  EXPECT_EQ(read_all(6 * kMiB), "");
}

TEST_F(RemoteReaderTest, ALiarIsNamedAndItsChunksComeFromElsewhere) {
  share_at_b();
  c_->connect(*b_);
  // Other bytes, with size and time as before.
  const fs::path lying = net_.path() / "other" / "thing";
  fs::create_directories(lying.parent_path());
  fs::copy(net_.path() / "thing", lying, fs::copy_options::recursive);
  const auto d = net_.node(4);
  EXPECT_EQ(d->share(lying, "thing"), root_);
  const auto time = fs::last_write_time(lying / "big.zip");
  std::string bad = content_;
  for (std::size_t i = 0; i < bad.size(); i += kMiB) bad[i] ^= 1;
  std::fstream(lying / "big.zip", std::ios::binary | std::ios::in | std::ios::out) << bad;
  fs::last_write_time(lying / "big.zip", time);
  c_->connect(*d);
  open();
  EXPECT_EQ(read_all(), "");
  const Progress progress = reader_->progress();
  EXPECT_GT(progress.bad_chunks, 0u);
  const auto liar = std::ranges::find(progress.peers, d->peer(), &PeerProgress::peer);
  ASSERT_NE(liar, progress.peers.end());
  EXPECT_TRUE(liar->demoted);
}

TEST_F(RemoteReaderTest, ALiarAloneGivesNothingAndIsNamed) {
  const auto time = fs::last_write_time(net_.path() / "thing" / "big.zip");
  std::string bad = content_;
  for (std::size_t i = 0; i < bad.size(); i += kMiB) bad[i] ^= 1;
  std::fstream(net_.path() / "thing" / "big.zip", std::ios::binary | std::ios::in | std::ios::out)
      << bad;
  fs::last_write_time(net_.path() / "thing" / "big.zip", time);
  open();
  const auto got = read(0, 100);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), ErrorCode::kIntegrity);
  EXPECT_NE(got.error().message().find(a_->peer().to_string()), std::string::npos);
}

TEST_F(RemoteReaderTest, WithoutASourceItEndsAndTellsWhy) {
  open(5s);
  EXPECT_TRUE(read(0, 100));
  a_.reset();
  const auto got = read(40 * kMiB, 100);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), ErrorCode::kNoPeer) << got.error().message();
  EXPECT_EQ(read(0, 100).error().code(), ErrorCode::kNoPeer) << "from then on always";
}

TEST_F(RemoteReaderTest, NothingIsLostWhenAReadIsGivenUp) {
  open(0s);
  EXPECT_TRUE(read(0, 100));
  a_.reset();
  EXPECT_EQ(read(30 * kMiB, 100, 1s).error().code(), ErrorCode::kTimedOut);
  EXPECT_EQ(read(30 * kMiB, 100, 60s).error().code(), ErrorCode::kTimedOut);
  a_ = net_.node(1);
  c_->connect(*a_);
  EXPECT_EQ(read(30 * kMiB, 100), content_.substr(30 * kMiB, 100));
}

// One file, in chunks as no Warren makes them.
content::Imported import_in_chunks(const fs::path& path, std::string_view text, std::size_t chunk) {
  std::vector<content::Leaf> leaves;
  for (std::size_t at = 0; at < text.size(); at += chunk) {
    const BytesView bytes = as_bytes(text.substr(at, chunk));
    leaves.push_back({{crypto::sha256(bytes)}, static_cast<std::uint32_t>(bytes.size())});
  }
  std::map<Cid, Bytes> blocks;
  const content::Built built = content::build_file(
      leaves, [&](content::NodeBlock block) { blocks.emplace(block.cid, std::move(block.bytes)); });
  content::TreeReader reader(built.cid);
  while (!reader.complete()) {
    const Cid cid = reader.missing(1).front();
    EXPECT_TRUE(reader.add(cid, blocks.at(cid)));
  }
  content::Imported imported;
  imported.path = path.string();
  imported.tree = std::make_shared<const content::Tree>(*reader.finish());
  imported.stamps = *content::stamps_of(*imported.tree, imported.path);
  imported.nodes = reader.take_nodes();
  return imported;
}

TEST_F(RemoteReaderTest, AReadOfManyTinyChunksGoesOnWhereItsTimeRanOut) {
  const std::string text = random_text(256u << 10, 4);
  write_file(net_.path() / "tiny", text);
  const auto shared = a_->store().add_share(
      "tiny", import_in_chunks(net_.path() / "tiny", text, 64), WallTime(100h));
  ASSERT_TRUE(shared) << shared.error().message();
  root_ = shared->root;
  c_->manager().set_bandwidth({0, 64u << 10, false});
  reader_ = c_->manager().read(root_, "tiny", {}, 0s);
  const auto tree = sim::run(net_.world, reader_->open(net_.world.now() + 1h));
  ASSERT_TRUE(tree) << tree.error().message();
  std::string got;
  const TimePoint began = net_.world.now();
  while (got.size() < text.size() && net_.world.now() - began < 1min) {
    const auto part = read(got.size(), text.size() - got.size(), 200ms);
    if (part) got += *part;
    if (!part) ASSERT_EQ(part.error().code(), ErrorCode::kTimedOut) << part.error().message();
  }
  EXPECT_EQ(got.size(), text.size());
  EXPECT_TRUE(got == text);
}

TEST_F(RemoteReaderTest, ManySmallFilesDoNotCostARoundTripEach) {
  constexpr int kFiles = 400;
  for (int i = 0; i < kFiles; ++i) {
    write_file(net_.path() / "many" / std::to_string(1000 + i), "file " + std::to_string(i));
  }
  root_ = a_->share(net_.path() / "many", "many");
  net_.world.link.latency_min = net_.world.link.latency_max = 50ms;
  reader_ = c_->manager().read(root_, "many", {}, 30s);
  const auto tree = sim::run(net_.world, reader_->open(net_.world.now() + 1h));
  ASSERT_TRUE(tree) << tree.error().message();
  // One for its own sake is not followed by the rest.
  file_ = 300;
  EXPECT_TRUE(read(0, 100));
  net_.world.run_for(1s);
  EXPECT_LT(reader_->held_bytes(), 20u);
  const TimePoint began = net_.world.now();
  for (file_ = 1; file_ < (*tree)->entries.size(); ++file_) {
    EXPECT_EQ(read(0, 100), "file " + std::to_string(file_ - 1));
  }
  EXPECT_EQ(file_, kFiles + 1u);
  EXPECT_LT(net_.world.now() - began, 2s) << "a round trip each would be 40 s";
}

TEST_F(RemoteReaderTest, NobodyHasIt) {
  a_.reset();
  reader_ = c_->manager().read(root_, "thing", {}, 5s);
  const auto tree = sim::run(net_.world, reader_->open(net_.world.now() + 1h));
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code(), ErrorCode::kNoPeer);
}

TEST_F(RemoteReaderTest, KeepsToTheLimit) {
  c_->manager().set_bandwidth({0, 4 * kMiB, false});
  open();
  const TimePoint began = net_.world.now();
  EXPECT_EQ(read_all(kBytes - 40 * kMiB), "");
  EXPECT_GT(net_.world.now() - began, 8s);
}

}  // namespace
}  // namespace warren::transfer
