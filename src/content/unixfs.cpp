#include "content/unixfs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/check.hpp"
#include "content/dag_pb.hpp"
#include "content/murmur3.hpp"
#include "crypto/sha256.hpp"

namespace warren::content {
namespace {

constexpr std::uint64_t kHamtHashType = 0x22;  // murmur3-x64-64. Source: multicodec table.
constexpr std::size_t kHamtLevelsMax = 8;      // The hash has eight bytes, one a level.

Digest digest_of(BytesView bytes) { return {crypto::sha256(bytes)}; }

// Encodes, names and hands on one node. `below` is the Tsize of its links together.
Built emit(const PbNode& node, std::uint64_t below, const NodeSink& sink) {
  Built built;
  Bytes block = encode_node(node);
  built.cid = {Codec::kDagPb, digest_of(block)};
  built.tree_bytes = block.size() + below;
  sink({built.cid, std::move(block)});
  return built;
}

// The node above up to 1,024 parts of one file.
Built build_file_node(std::span<const Built> parts, const NodeSink& sink) {
  UnixfsData message;
  message.type = UnixfsType::kFile;
  PbNode node;
  node.links.reserve(parts.size());
  std::uint64_t content = 0;
  std::uint64_t below = 0;
  for (const Built& part : parts) {
    node.links.push_back({part.cid, "", part.tree_bytes});
    message.block_bytes.push_back(part.content_bytes);
    content += part.content_bytes;
    below += part.tree_bytes;
  }
  message.file_bytes = content;
  node.data = encode_unixfs(message);
  Built built = emit(node, below, sink);
  built.content_bytes = content;
  return built;
}

struct HashedLink {
  std::uint64_t hash = 0;
  const DirectoryLink* link = nullptr;
};

// One shard with the names whose hashes agree in the first `level` bytes, sorted by hash.
Result<Built> build_shard(std::span<const HashedLink> links, std::size_t level,
                          const NodeSink& sink) {
  if (level >= kHamtLevelsMax) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("the names '{}' and '{}' have the same 64-bit hash, and a directory "
                            "of this size is arranged by it",
                            links[0].link->name, links[1].link->name),
                "rename one of them");
  }
  const std::size_t shift = 8 * (7 - level);
  PbNode node;
  Bytes bitfield(kHamtFanout / 8);  // Bit n is in byte n / 8 counted from the end.
  std::uint64_t below = 0;
  for (std::size_t start = 0; start < links.size();) {
    const auto slot = static_cast<std::uint8_t>(links[start].hash >> shift);
    std::size_t end = start + 1;
    while (end < links.size() && static_cast<std::uint8_t>(links[end].hash >> shift) == slot) {
      ++end;
    }
    bitfield[bitfield.size() - 1 - slot / 8] |= static_cast<std::uint8_t>(1u << (slot % 8));
    PbLink link{{}, fmt::format("{:02X}", slot), 0};
    if (end - start == 1) {
      link.cid = links[start].link->target.cid;
      link.tree_bytes = links[start].link->target.tree_bytes;
      link.name += links[start].link->name;
    } else {
      WARREN_TRY(const Built shard,
                 build_shard(links.subspan(start, end - start), level + 1, sink));
      link.cid = shard.cid;
      link.tree_bytes = shard.tree_bytes;
    }
    below += link.tree_bytes;
    node.links.push_back(std::move(link));
    start = end;
  }

  UnixfsData message;
  message.type = UnixfsType::kHamtShard;
  message.data.assign(std::ranges::find_if(bitfield, [](std::uint8_t byte) { return byte != 0; }),
                      bitfield.end());
  message.hash_type = kHamtHashType;
  message.fanout = kHamtFanout;
  node.data = encode_unixfs(message);
  return emit(node, below, sink);
}

}  // namespace

Built build_file(const std::vector<Leaf>& leaves, const NodeSink& sink) {
  if (leaves.empty()) return {leaf_cid(digest_of({})), 0, 0};
  std::vector<Built> level;
  level.reserve(leaves.size());
  for (const Leaf& leaf : leaves) level.push_back({leaf_cid(leaf.digest), leaf.bytes, leaf.bytes});
  while (level.size() > 1) {
    std::vector<Built> above;
    for (std::size_t start = 0; start < level.size(); start += kFileLinksMax) {
      const std::size_t count = std::min(kFileLinksMax, level.size() - start);
      above.push_back(build_file_node(std::span(level).subspan(start, count), sink));
    }
    level = std::move(above);
  }
  return level.front();
}

Result<Built> build_directory(std::vector<DirectoryLink> links, const NodeSink& sink) {
  UnixfsData message;
  message.type = UnixfsType::kDirectory;
  PbNode node;
  node.data = encode_unixfs(message);
  std::size_t size = encoded_data_bytes(node.data.size());
  for (const DirectoryLink& link : links) {
    size += encoded_link_bytes(link.name.size(), link.target.tree_bytes);
  }

  if (size > kDirectoryBytesMax) {
    std::vector<HashedLink> hashed;
    hashed.reserve(links.size());
    for (const DirectoryLink& link : links) {
      hashed.push_back({murmur3_x64_64(as_bytes(link.name)), &link});
    }
    std::ranges::sort(hashed, {}, &HashedLink::hash);
    return build_shard(hashed, 0, sink);
  }

  std::ranges::sort(links, {}, &DirectoryLink::name);
  std::uint64_t below = 0;
  for (DirectoryLink& link : links) {
    below += link.target.tree_bytes;
    node.links.push_back({link.target.cid, std::move(link.name), link.target.tree_bytes});
  }
  return emit(node, below, sink);
}

Built build_symlink(const std::string& target, const NodeSink& sink) {
  UnixfsData message;
  message.type = UnixfsType::kSymlink;
  message.data = to_bytes(target);
  PbNode node;
  node.data = encode_unixfs(message);
  return emit(node, 0, sink);
}

}  // namespace warren::content
