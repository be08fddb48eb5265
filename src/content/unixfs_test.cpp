#include "content/unixfs.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "content/dag_pb.hpp"
#include "content/test_support.hpp"
#include "crypto/sha256.hpp"

namespace warren::content {
namespace {

using test::patterned_bytes;

// The CIDs in this file are what ipfs-unixfs-importer 17.1.1 gives under its profile
// unixfs-v1-2025; tests/interop/unixfs/compare.mjs makes the same cases and compares again.

std::vector<Leaf> leaves_of(BytesView content) {
  std::vector<Leaf> leaves;
  for (std::size_t start = 0; start < content.size(); start += kLeafBytesMax) {
    const BytesView leaf =
        content.subspan(start, std::min<std::size_t>(kLeafBytesMax, content.size() - start));
    leaves.push_back({Digest{crypto::sha256(leaf)}, static_cast<std::uint32_t>(leaf.size())});
  }
  return leaves;
}

class UnixfsTest : public testing::Test {
 protected:
  std::string file(BytesView content) {
    return build_file(leaves_of(content), sink_).cid.to_string();
  }

  std::map<std::string, Bytes> blocks_;
  NodeSink sink_ = [this](NodeBlock node) {
    blocks_.emplace(node.cid.to_string(), std::move(node.bytes));
  };
};

TEST_F(UnixfsTest, FilesOfOneLeafAreThatLeaf) {
  EXPECT_EQ(file({}), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
  EXPECT_EQ(file(as_bytes("a")), "bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm");
  EXPECT_EQ(file(patterned_bytes(kLeafBytesMax - 1, 1)),
            "bafkreibpivo3zlg3p2fzkatlce5hexts6xkyd3qixs2g6hzqn5ca7nr2wq");
  EXPECT_EQ(file(patterned_bytes(kLeafBytesMax, 2)),
            "bafkreibpxn2cybtmomi4jh2lrahhxybqyhmozmg2cncqo4zl73yc7qbebq");
  EXPECT_TRUE(blocks_.empty());
}

TEST_F(UnixfsTest, LargerFilesHaveNodes) {
  EXPECT_EQ(file(patterned_bytes(kLeafBytesMax + 1, 3)),
            "bafybeigejvinifyz2qlm3ptkfv5vvwodbd24tr7n7fvkahfrvqqen5nh3a");
  EXPECT_EQ(file(patterned_bytes(2 * kLeafBytesMax + 17, 4)),
            "bafybeia67b5mqv2sdirizeclmogbogiqc35kbjvjipnwydbm7ibxstp54i");
  EXPECT_EQ(blocks_.size(), 2u);
}

TEST_F(UnixfsTest, LayersAreBalancedWith1024Links) {
  const Bytes zeros(kLeafBytesMax);
  const Leaf leaf{Digest{crypto::sha256(zeros)}, kLeafBytesMax};
  EXPECT_EQ(build_file(std::vector<Leaf>(1024, leaf), sink_).cid.to_string(),
            "bafybeibqawkaltgjfdebq4no6nmfcvkcw7k52xqzclkwfmrkn6oxw7srmy");
  EXPECT_EQ(blocks_.size(), 1u);
  const Built built = build_file(std::vector<Leaf>(1025, leaf), sink_);
  EXPECT_EQ(built.cid.to_string(), "bafybeigt7wofv4vnxbg3titijasuw4ptg5kfztec4smsk7opdt7z6djoxq");
  EXPECT_EQ(built.content_bytes, 1025ull << 20);
  EXPECT_EQ(blocks_.size(), 3u) << "a full node, which is there already, one of one leaf, the root";
}

TEST_F(UnixfsTest, EmptyDirectoryAndSymlink) {
  EXPECT_EQ(build_directory({}, sink_)->cid.to_string(),
            "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354");
  const Built link = build_symlink("file", sink_);
  const auto node = decode_node(blocks_.at(link.cid.to_string()));
  ASSERT_TRUE(node);
  const auto message = decode_unixfs(node->data);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, UnixfsType::kSymlink);
  EXPECT_EQ(as_text(message->data), "file");
}

// 1,807 names of 100 bytes and one that decides.
std::vector<DirectoryLink> at_the_bound(std::size_t last_name_bytes) {
  const Built x = build_file(leaves_of(as_bytes("x")), [](NodeBlock) {});
  std::vector<DirectoryLink> links;
  for (int i = 0; i < 1807; ++i) links.push_back({fmt::format("{:n>100}", i), x});
  links.push_back({std::string(last_name_bytes, 'm'), x});
  return links;
}

TEST_F(UnixfsTest, DirectoryTurnsIntoHamtAboveTheBound) {
  const auto basic = build_directory(at_the_bound(81), sink_);
  EXPECT_EQ(basic->cid.to_string(), "bafybeiagq3nbop2nrszwnfnavjech6rfa3x53gmnrwj6cb4i3e6n2mazhq");
  EXPECT_EQ(blocks_.at(basic->cid.to_string()).size(), kDirectoryBytesMax);
  EXPECT_EQ(blocks_.size(), 1u);

  const auto hamt = build_directory(at_the_bound(82), sink_);
  EXPECT_EQ(hamt->cid.to_string(), "bafybeib4pj7udsp6ia5d27rc77ukpvaumwqwjmgunnpeumcfz3gfxqzb5y");
  EXPECT_GT(blocks_.size(), 2u);
}

TEST_F(UnixfsTest, HamtOf6000Names) {
  std::vector<DirectoryLink> links;
  for (int i = 0; i < 6000; ++i) {
    links.push_back({fmt::format("a rather long name so that the block grows {}.dat", i * 7919),
                     build_file(leaves_of(as_bytes(fmt::format("{}", i))), sink_)});
  }
  EXPECT_EQ(build_directory(links, sink_)->cid.to_string(),
            "bafybeibs2fuz2hqjlpwwkxb3lzbap5kz5kguux6iwkyocfyrunolcanhhi");
  std::ranges::reverse(links);
  EXPECT_EQ(build_directory(links, sink_)->cid.to_string(),
            "bafybeibs2fuz2hqjlpwwkxb3lzbap5kz5kguux6iwkyocfyrunolcanhhi")
      << "the order of the links must not matter";
}

TEST_F(UnixfsTest, TreeBytesCountEveryBlockBelow) {
  const Built file = build_file(leaves_of(patterned_bytes(kLeafBytesMax + 1, 3)), sink_);
  EXPECT_EQ(file.tree_bytes, kLeafBytesMax + 1 + blocks_.at(file.cid.to_string()).size());
  const auto directory = build_directory({{"a", file}, {"b", file}}, sink_);
  EXPECT_EQ(directory->tree_bytes,
            2 * file.tree_bytes + blocks_.at(directory->cid.to_string()).size());
}

}  // namespace
}  // namespace warren::content
