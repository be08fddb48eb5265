// Makes blocks that link to blocks made before, and reads the last one as a dataset. Finds: names
// that should have been refused, sizes that do not add up, a tree that takes more memory than its
// bound, and readers that never end.
//
// Links: warren::content

#include <fuzzer/FuzzedDataProvider.h>

#include <unordered_map>

#include "base/check.hpp"
#include "content/dag_pb.hpp"
#include "content/path_rules.hpp"
#include "content/tree_reader.hpp"
#include "crypto/sha256.hpp"

using namespace warren;
using namespace warren::content;

namespace {

struct World {
  std::vector<Cid> cids;
  std::unordered_map<Cid, Bytes> blocks;
};

// Mostly numbers that fit each other, so that some trees are valid.
std::uint64_t some_size(FuzzedDataProvider& in) {
  return in.ConsumeBool() ? in.ConsumeIntegralInRange<std::uint64_t>(0, 4)
                          : in.ConsumeIntegral<std::uint64_t>() >> 1;
}

void add_node(FuzzedDataProvider& in, World& world) {
  UnixfsData message;
  message.type = static_cast<UnixfsType>(in.ConsumeIntegralInRange<int>(0, 5));
  if (message.type == UnixfsType::kSymlink || in.ConsumeIntegralInRange<int>(0, 15) == 0) {
    message.data = to_bytes(in.ConsumeRandomLengthString(40));
  }
  if (message.type == UnixfsType::kHamtShard) {
    message.fanout = 256;
    message.hash_type = 0x22;
  }
  PbNode node;
  std::uint64_t total = 0;
  const auto links = in.ConsumeIntegralInRange<std::size_t>(0, 12);
  for (std::size_t i = 0; i < links && in.remaining_bytes() > 0; ++i) {
    PbLink link;
    link.cid = world.cids[in.ConsumeIntegralInRange<std::size_t>(0, world.cids.size() - 1)];
    link.tree_bytes = some_size(in);
    if (message.type == UnixfsType::kFile) {
      message.block_bytes.push_back(some_size(in));
      total += message.block_bytes.back();
    } else {
      link.name = in.ConsumeRandomLengthString(6);
    }
    node.links.push_back(link);
  }
  if (message.type == UnixfsType::kFile) {
    message.file_bytes = (in.ConsumeBool() ? total : some_size(in)) & INT64_MAX;
  }
  node.data = encode_unixfs(message);
  Bytes block = encode_node(node);
  const Cid cid{Codec::kDagPb, {crypto::sha256(block)}};
  world.blocks.emplace(cid, std::move(block));
  world.cids.push_back(cid);
}

void check_tree(const Tree& tree, const limits::Tree& limits) {
  WARREN_CHECK(!tree.entries.empty() && tree.entries.size() <= limits.entries_max);
  std::uint64_t next_leaf = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < tree.entries.size(); ++i) {
    const Entry& entry = tree.entries[i];
    WARREN_CHECK(entry.path.empty() == (i == 0));
    if (i > 0) WARREN_CHECK(check_path(entry.path));
    WARREN_CHECK(entry.first_leaf == next_leaf);
    std::uint64_t of_file = 0;
    for (std::uint64_t leaf = 0; leaf < entry.leaf_count; ++leaf) {
      const LeafPlace place = place_of_leaf(tree, next_leaf + leaf);
      WARREN_CHECK(place.entry == i && place.offset == of_file);
      of_file += tree.leaves.at(next_leaf + leaf).bytes;
    }
    WARREN_CHECK(entry.bytes == of_file);
    next_leaf += entry.leaf_count;
    bytes += of_file;
  }
  WARREN_CHECK(next_leaf == tree.leaves.size() && bytes == tree.bytes_total);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider in(data, size);
  World world;
  const Bytes leaf = to_bytes("leaf");
  world.cids = {Cid{Codec::kRaw, {crypto::sha256(leaf)}}, Cid{Codec::kRaw, {crypto::sha256({})}}};
  while (in.remaining_bytes() > 0 && world.cids.size() < 64) add_node(in, world);

  limits::Tree limits;
  limits.entries_max = 2'000;
  limits.expansion_bytes_max = 256u << 10;
  TreeReader reader(world.cids.back(), limits);
  if (world.cids.back().codec == Codec::kRaw) return 0;
  std::size_t steps = 0;
  while (!reader.complete()) {
    const Cid cid = reader.missing(1).at(0);
    WARREN_CHECK(reader.wants(cid) && ++steps <= world.blocks.size());
    WARREN_CHECK(reader.add(cid, to_bytes("not these bytes")).error().code() ==
                 ErrorCode::kIntegrity);
    if (!reader.add(cid, world.blocks.at(cid))) return 0;
  }
  const auto tree = reader.finish();
  if (tree) check_tree(*tree, limits);
  return 0;
}
