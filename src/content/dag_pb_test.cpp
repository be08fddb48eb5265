#include "content/dag_pb.hpp"

#include <gtest/gtest.h>

#include <string>

#include "crypto/sha256.hpp"

namespace warren::content {
namespace {

Bytes from_hex(std::string_view hex) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

const std::string kCidHex =
    "01551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
// A link "a" with Tsize 5, body of 43 bytes, as protobuf writes it.
const std::string kLinkHex = "122b0a24" + kCidHex + "120161" + "1805";

TEST(DagPb, WritesTheCanonicalForm) {
  PbNode node;
  node.links.push_back({Cid{Codec::kRaw, {crypto::sha256({})}}, "a", 5});
  node.data = {0x08, 0x01};
  const Bytes block = encode_node(node);
  EXPECT_EQ(to_hex(block), kLinkHex + "0a020801");
  EXPECT_EQ(encoded_link_bytes(1, 5) + encoded_data_bytes(2), block.size());

  const auto back = decode_node(block);
  ASSERT_TRUE(back);
  ASSERT_EQ(back->links.size(), 1u);
  EXPECT_EQ(back->links[0].name, "a");
  EXPECT_EQ(back->links[0].tree_bytes, 5u);
  EXPECT_EQ(encode_node(*back), block);
}

TEST(DagPb, SizesAreExactAtVarintBounds) {
  for (const std::size_t name : {0u, 1u, 80u, 81u, 82u, 83u, 84u, 85u, 86u, 127u, 128u, 255u}) {
    for (const std::uint64_t tsize : {0ull, 127ull, 128ull, 1ull << 20, 1ull << 62}) {
      PbNode node;
      node.links.push_back({Cid{}, std::string(name, 'n'), tsize});
      EXPECT_EQ(encode_node(node).size(), encoded_link_bytes(name, tsize)) << name << ' ' << tsize;
    }
  }
}

TEST(DagPb, EmptyBlockIsAnEmptyNode) {
  const auto node = decode_node({});
  ASSERT_TRUE(node);
  EXPECT_TRUE(node->links.empty());
  EXPECT_TRUE(node->data.empty());
}

TEST(DagPb, RefusesWhatIsNotCanonical) {
  const auto refused = [](const std::string& hex) {
    const auto node = decode_node(from_hex(hex));
    return !node && node.error().code() == ErrorCode::kMalformed;
  };
  EXPECT_TRUE(refused("0a020801" + kLinkHex)) << "links after data";
  EXPECT_TRUE(refused("0a0208010a020801")) << "data twice";
  EXPECT_TRUE(refused("1a00")) << "an unknown field";
  EXPECT_TRUE(refused("0a8200080108")) << "a length that is not minimal";
  EXPECT_TRUE(refused("0a05080108")) << "cut off";
  EXPECT_TRUE(refused("1200")) << "a link without hash";
  EXPECT_TRUE(
      refused("122b120161"
              "0a24" +
              kCidHex + "1805"))
      << "name before hash";
  EXPECT_TRUE(refused("122d0a24" + kCidHex +
                      "120161"
                      "1805"
                      "1805"))
      << "Tsize twice";
  EXPECT_TRUE(refused("12ffffffffffffffff7f")) << "a length beyond the block";
}

TEST(DagPb, RefusesOtherHashes) {
  // Identity hash of nothing.
  const auto node =
      decode_node(from_hex("1206"
                           "0a04"
                           "01550000"));
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().code(), ErrorCode::kUnsupported);
}

TEST(DagPb, ReadsCidVersion0) {
  const auto node = decode_node(from_hex("12260a22" + kCidHex.substr(4) + "1200"));
  ASSERT_TRUE(node) << node.error().message();
  EXPECT_EQ(node->links[0].cid, (Cid{Codec::kDagPb, {crypto::sha256({})}}));
}

TEST(UnixfsMessage, WritesSizesUnpackedAndReadsBoth) {
  UnixfsData message;
  message.type = UnixfsType::kFile;
  message.file_bytes = 300;
  message.block_bytes = {200, 100};
  const Bytes bytes = encode_unixfs(message);
  EXPECT_EQ(to_hex(bytes),
            "0802"
            "18ac02"
            "20c801"
            "2064");
  const auto back = decode_unixfs(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->block_bytes, message.block_bytes);

  const auto packed =
      decode_unixfs(from_hex("0802"
                             "18ac02"
                             "2203c80164"));
  ASSERT_TRUE(packed);
  EXPECT_EQ(packed->block_bytes, message.block_bytes);
}

TEST(UnixfsMessage, IgnoresModeAndMtimeAndRefusesTheUnknown) {
  EXPECT_TRUE(
      decode_unixfs(from_hex("0801"
                             "38a403"
                             "4202080a")));
  EXPECT_FALSE(
      decode_unixfs(from_hex("0801"
                             "4801")));
  EXPECT_FALSE(decode_unixfs(from_hex("0806"))) << "a type that there is not";
  EXPECT_FALSE(decode_unixfs(from_hex(""))) << "no type";
  EXPECT_FALSE(
      decode_unixfs(from_hex("0801"
                             "12ff")));
}

}  // namespace
}  // namespace warren::content
