#include "content/tree_reader.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unordered_map>

#include "content/dag_pb.hpp"
#include "crypto/sha256.hpp"

namespace warren::content {
namespace {

using testing::HasSubstr;

// Builds trees, honest or not, and feeds them to a reader.
class TreeReaderTest : public testing::Test {
 protected:
  Built leaf(std::string_view text) {
    return {leaf_cid(Digest{crypto::sha256(as_bytes(text))}), text.size(), text.size()};
  }
  Built file(std::vector<std::uint32_t> sizes) {
    std::vector<Leaf> leaves;
    for (const std::uint32_t size : sizes) leaves.push_back({Digest{}, size});
    return build_file(leaves, sink_);
  }
  Built directory(std::vector<DirectoryLink> links) { return *build_directory(links, sink_); }
  Cid add_block(const PbNode& node) {
    Bytes bytes = encode_node(node);
    const Cid cid{Codec::kDagPb, {crypto::sha256(bytes)}};
    blocks_.emplace(cid, std::move(bytes));
    return cid;
  }
  static Bytes message(UnixfsType type) {
    UnixfsData data;
    data.type = type;
    return encode_unixfs(data);
  }

  Result<Tree> read(const Cid& root, limits::Tree limits = {}) {
    TreeReader reader(root, limits);
    while (!reader.complete()) {
      for (const Cid& cid : reader.missing(3)) {
        WARREN_TRY_VOID(reader.add(cid, blocks_.at(cid)));
      }
    }
    return reader.finish();
  }
  ErrorCode refusal(const Cid& root, limits::Tree limits = {}) {
    const auto tree = read(root, limits);
    EXPECT_FALSE(tree);
    return tree ? ErrorCode::kInternal : tree.error().code();
  }

  std::unordered_map<Cid, Bytes> blocks_;
  NodeSink sink_ = [this](NodeBlock node) { blocks_.emplace(node.cid, std::move(node.bytes)); };
};

std::vector<std::string> paths(const Tree& tree) {
  std::vector<std::string> out;
  for (const Entry& entry : tree.entries) out.push_back(entry.path);
  return out;
}

TEST_F(TreeReaderTest, FlattensDepthFirstInOrderOfNames) {
  const Built inner = directory({{"x", leaf("xx")}, {"big", file({1 << 20, 7})}});
  const Built root = directory({{"b", leaf("bbb")},
                                {"a-dir", inner},
                                {"empty", build_file({}, sink_)},
                                {"a", directory({})},
                                {"link", build_symlink("b", sink_)}});
  const auto tree = read(root.cid);
  ASSERT_TRUE(tree) << tree.error().message();
  EXPECT_EQ(tree->root, root.cid);
  EXPECT_THAT(paths(*tree),
              testing::ElementsAre("", "a", "a-dir", "a-dir/big", "a-dir/x", "b", "empty", "link"));
  EXPECT_EQ(tree->bytes_total, (1u << 20) + 7 + 2 + 3);
  ASSERT_EQ(tree->leaves.size(), 4u);
  const Entry& big = tree->entries[3];
  EXPECT_EQ(big.first_leaf, 0u);
  EXPECT_EQ(big.leaf_count, 2u);
  EXPECT_EQ(big.bytes, (1u << 20) + 7);
  EXPECT_EQ(tree->entries[6].kind, EntryKind::kFile);
  EXPECT_EQ(tree->entries[6].leaf_count, 0u);
  EXPECT_EQ(tree->entries[7].symlink_target, "b");

  EXPECT_EQ(place_of_leaf(*tree, 1).entry, 3u);
  EXPECT_EQ(place_of_leaf(*tree, 1).offset, 1u << 20);
  EXPECT_EQ(place_of_leaf(*tree, 2).entry, 4u);
  EXPECT_EQ(place_of_leaf(*tree, 3).entry, 5u);
  EXPECT_EQ(place_of_leaf(*tree, 3).offset, 0u);
}

TEST_F(TreeReaderTest, ReadsShardedDirectories) {
  std::vector<DirectoryLink> links;
  for (int i = 0; i < 5000; ++i) {
    links.push_back({fmt::format("{:0>60}", i), leaf(fmt::format("{}", i))});
  }
  const Built root = directory(links);
  ASSERT_GT(blocks_.size(), 10u) << "it is sharded";
  const auto tree = read(root.cid);
  ASSERT_TRUE(tree) << tree.error().message();
  ASSERT_EQ(tree->entries.size(), 5001u);
  EXPECT_EQ(tree->entries[5000].path, fmt::format("{:0>60}", 4999));
}

TEST_F(TreeReaderTest, RootMayBeALeaf) {
  const Built root = leaf("hello");
  TreeReader reader(root.cid);
  ASSERT_TRUE(reader.wants(root.cid));
  EXPECT_EQ(reader.add(root.cid, to_bytes("hellO")).error().code(), ErrorCode::kIntegrity);
  ASSERT_TRUE(reader.add(root.cid, to_bytes("hello")));
  const auto tree = reader.finish();
  ASSERT_TRUE(tree);
  ASSERT_EQ(tree->entries.size(), 1u);
  EXPECT_EQ(tree->entries[0].path, "");
  EXPECT_EQ(tree->entries[0].kind, EntryKind::kFile);
  EXPECT_EQ(tree->bytes_total, 5u);
  EXPECT_EQ(tree->leaves.at(0).digest, root.cid.digest);
}

TEST_F(TreeReaderTest, LeavesOfNodesAreNeverAskedFor) {
  const Built root = directory({{"f", file({1 << 20, 1 << 20})}, {"g", leaf("g")}});
  TreeReader reader(root.cid);
  ASSERT_TRUE(reader.add(root.cid, blocks_.at(root.cid)));
  EXPECT_EQ(reader.missing(10).size(), 1u);
  EXPECT_EQ(reader.missing(10).at(0).codec, Codec::kDagPb);
  EXPECT_EQ(reader.add(leaf("g").cid, to_bytes("g")).error().code(), ErrorCode::kNotFound);
}

TEST_F(TreeReaderTest, SharedSubtreesAreFetchedOnceAndNodesComeBackParentsFirst) {
  const Built inner = directory({{"x", leaf("x")}});
  const Built root = directory({{"a", inner}, {"b", inner}, {"c", directory({{"d", inner}})}});
  TreeReader reader(root.cid);
  std::size_t given = 0;
  while (!reader.complete()) {
    const Cid cid = reader.missing(1).at(0);
    ASSERT_TRUE(reader.add(cid, blocks_.at(cid)));
    ++given;
  }
  EXPECT_EQ(given, 3u);
  EXPECT_EQ(reader.finish()->entries.size(), 8u);
  const auto nodes = reader.take_nodes();
  ASSERT_EQ(nodes.size(), 3u);
  EXPECT_EQ(nodes[0].cid, root.cid);
}

TEST_F(TreeReaderTest, BadBlockLeavesTheReaderAsItWas) {
  const Built root = directory({{"x", leaf("x")}});
  TreeReader reader(root.cid);
  EXPECT_EQ(reader.add(root.cid, to_bytes("lie")).error().code(), ErrorCode::kIntegrity);
  EXPECT_TRUE(reader.wants(root.cid));
  EXPECT_TRUE(reader.add(root.cid, blocks_.at(root.cid)));
  EXPECT_TRUE(reader.complete());
}

TEST_F(TreeReaderTest, RefusesForbiddenNamesWithTheirPlace) {
  const std::vector<std::string> names{
      "..", ".", "", "a/b", {"a\0b", 3}, "\xFF", std::string(256, 'n')};
  for (const std::string& name : names) {
    const Built root = directory({{"sub", directory({{name, leaf("x")}})}});
    const auto tree = read(root.cid);
    ASSERT_FALSE(tree) << name;
    EXPECT_EQ(tree.error().code(), ErrorCode::kDenied) << name;
    EXPECT_THAT(tree.error().message(), HasSubstr("in 'sub'")) << name;
  }
  const Built twice = directory({{"a", leaf("x")}, {"a", leaf("y")}});
  EXPECT_EQ(refusal(twice.cid), ErrorCode::kDenied);
  const Built alike = directory({{"gr\xC3\xBC", leaf("x")}, {"gru\xCC\x88", leaf("y")}});
  EXPECT_EQ(refusal(alike.cid), ErrorCode::kDenied);
}

TEST_F(TreeReaderTest, BoundsDepthAndPathAndEntries) {
  Built nested = leaf("x");
  for (int i = 0; i < 64; ++i) nested = directory({{"d", nested}});
  EXPECT_TRUE(read(nested.cid));
  EXPECT_EQ(refusal(directory({{"d", nested}}).cid), ErrorCode::kDenied);

  Built wide = leaf("x");
  for (int i = 0; i < 17; ++i) wide = directory({{std::string(250, 'd'), wide}});
  EXPECT_EQ(refusal(wide.cid), ErrorCode::kDenied);

  limits::Tree few;
  few.entries_max = 3;
  EXPECT_TRUE(read(directory({{"a", leaf("x")}, {"b", leaf("x")}}).cid, few));
  EXPECT_EQ(refusal(directory({{"a", leaf("x")}, {"b", leaf("x")}, {"c", leaf("x")}}).cid, few),
            ErrorCode::kTooLarge);
}

TEST_F(TreeReaderTest, BoundsBlocksAndTheirSum) {
  const Built root = directory({{"a", directory({{"b", leaf("x")}})}});
  limits::Tree small;
  small.block_bytes_max = 20;
  EXPECT_EQ(refusal(root.cid, small), ErrorCode::kTooLarge);
  limits::Tree little;
  little.node_bytes_max = blocks_.at(root.cid).size();
  EXPECT_EQ(refusal(root.cid, little), ErrorCode::kTooLarge);
}

// Twelve directories of ten names each that are all the next one: 10^12 entries from 6 KB.
TEST_F(TreeReaderTest, DirectoryBombIsRefusedSoon) {
  Built nested = leaf("x");
  for (int i = 0; i < 12; ++i) {
    std::vector<DirectoryLink> links;
    for (int j = 0; j < 10; ++j) links.push_back({fmt::format("{}", j), nested});
    nested = directory(links);
  }
  limits::Tree limits;
  limits.expansion_bytes_max = 4u << 20;
  const auto tree = read(nested.cid, limits);
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code(), ErrorCode::kTooLarge);
  EXPECT_THAT(tree.error().message(), HasSubstr("expand"));
}

// A file of 1,024^6 leaves from six nodes.
TEST_F(TreeReaderTest, FileBombIsRefusedSoon) {
  UnixfsData data;
  data.type = UnixfsType::kFile;
  Cid below = leaf("x").cid;
  std::uint64_t bytes = 1;
  for (int i = 0; i < 6; ++i) {
    PbNode node;
    for (int j = 0; j < 1024; ++j) node.links.push_back({below, "", bytes});
    data.block_bytes.assign(1024, bytes);
    bytes *= 1024;
    data.file_bytes = bytes;
    node.data = encode_unixfs(data);
    below = add_block(node);
  }
  limits::Tree limits;
  limits.expansion_bytes_max = 4u << 20;
  EXPECT_EQ(refusal(below, limits), ErrorCode::kTooLarge);
}

// Nodes that hold nothing cost no memory, so they are refused before they can cost time.
TEST_F(TreeReaderTest, EmptyPartsAreRefused) {
  PbNode empty_shard;
  UnixfsData shard;
  shard.type = UnixfsType::kHamtShard;
  shard.hash_type = 0x22;
  shard.fanout = 256;
  empty_shard.data = encode_unixfs(shard);
  const Cid hollow = add_block(empty_shard);
  EXPECT_TRUE(read(hollow)) << "as a directory of its own it is merely empty";
  PbNode parent = empty_shard;
  parent.links.push_back({hollow, "00", 10});
  EXPECT_EQ(refusal(add_block(parent)), ErrorCode::kMalformed);

  UnixfsData data;
  data.type = UnixfsType::kFile;
  data.file_bytes = 0;
  PbNode empty_file;
  empty_file.data = encode_unixfs(data);
  const Cid part = add_block(empty_file);
  EXPECT_TRUE(read(part)) << "an empty file, as older tools write it";
  data.block_bytes = {0, 0};
  PbNode hollow_file;
  hollow_file.data = encode_unixfs(data);
  hollow_file.links = {{part, "", 0}, {part, "", 0}};
  EXPECT_EQ(refusal(add_block(hollow_file)), ErrorCode::kMalformed);
}

TEST_F(TreeReaderTest, SizesMustAgree) {
  UnixfsData data;
  data.type = UnixfsType::kFile;
  data.file_bytes = 10;
  data.block_bytes = {5, 4};
  PbNode node;
  node.links = {{leaf("aaaaa").cid, "", 5}, {leaf("bbbb").cid, "", 4}};
  node.data = encode_unixfs(data);
  EXPECT_EQ(refusal(add_block(node)), ErrorCode::kMalformed) << "the sum is 9";
  data.file_bytes = 9;
  node.data = encode_unixfs(data);
  EXPECT_TRUE(read(add_block(node)));
  data.block_bytes = {5};
  node.data = encode_unixfs(data);
  EXPECT_EQ(refusal(add_block(node)), ErrorCode::kMalformed) << "a size for each link";
  data.block_bytes = {4, 5};
  node.data = encode_unixfs(data);
  EXPECT_EQ(refusal(add_block(node)), ErrorCode::kUnsupported) << "chunks of different sizes";
  data.block_bytes = {2u << 20, 1};
  data.file_bytes = (2u << 20) + 1;
  node.data = encode_unixfs(data);
  EXPECT_EQ(refusal(add_block(node)), ErrorCode::kUnsupported) << "a chunk above 1 MiB";
}

TEST_F(TreeReaderTest, SaysWhatItDoesNotSupport) {
  PbNode node;
  UnixfsData data;
  data.type = UnixfsType::kFile;
  data.data = to_bytes("inline");
  data.file_bytes = 6;
  node.data = encode_unixfs(data);
  const auto tree = read(add_block(node));
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(tree.error().hint(), HasSubstr("raw leaves"));
  node.data = message(UnixfsType::kMetadata);
  EXPECT_EQ(refusal(add_block(node)), ErrorCode::kUnsupported);
  node.data = to_bytes("\xFF");
  EXPECT_EQ(refusal(add_block(node)), ErrorCode::kMalformed);
}

}  // namespace
}  // namespace warren::content
