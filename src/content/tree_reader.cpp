#include "content/tree_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "content/dag_pb.hpp"
#include "content/path_rules.hpp"
#include "crypto/sha256.hpp"

namespace warren::content {
namespace {

// Work that a tree may cost beyond the bytes that were sent: a folder that stands in a thousand
// places is decoded a thousand times, and gives its entries each time.
constexpr std::uint64_t kDecodedBytesMin = 64u << 20;
constexpr std::uint64_t kDecodedPerByte = 16;
constexpr std::uint64_t kDecodedPerEntry = 1024;

constexpr std::uint64_t kHamtHashType = 0x22;
constexpr std::size_t kHamtLevelsMax = 8;
constexpr std::size_t kHamtPrefixBytes = 2;  // Two hexadecimal digits for a fanout of 256.
constexpr std::size_t kFileLevelsMax = 16;   // 174 links a node reach any size in 9.

std::unexpected<Error> malformed(const Cid& cid, std::string_view why) {
  return fail(ErrorCode::kMalformed, fmt::format("block {}: {}", cid.to_string(), why));
}
std::unexpected<Error> unsupported(const Cid& cid, std::string_view why) {
  return fail(ErrorCode::kUnsupported, fmt::format("block {}: {}", cid.to_string(), why),
              "share the folder with raw leaves and chunks of one size, up to 1 MiB");
}

struct Node {
  UnixfsData data;
  std::vector<PbLink> links;
};

// Reads one node and checks what can be said without knowing where it stands.
Result<Node> read_node(const Cid& cid, BytesView block) {
  auto decoded = decode_node(block);
  if (!decoded) return fail(std::move(decoded).error().in("block " + cid.to_string()));
  auto data = decode_unixfs(decoded->data);
  if (!data) return fail(std::move(data).error().in("block " + cid.to_string()));
  for (const PbLink& link : decoded->links) {
    if (link.cid.codec == Codec::kLibp2pKey) return unsupported(cid, "a link names a key");
  }
  switch (data->type) {
    case UnixfsType::kFile:
      if (!data->data.empty()) return unsupported(cid, "file content lies inside a node");
      if (data->block_bytes.size() != decoded->links.size()) {
        return malformed(cid, fmt::format("{} links, but {} sizes", decoded->links.size(),
                                          data->block_bytes.size()));
      }
      break;
    case UnixfsType::kHamtShard:
      if (data->fanout != kHamtFanout || data->hash_type != kHamtHashType) {
        return unsupported(cid, "a sharded directory that is not murmur3-x64-64 with fanout 256");
      }
      break;
    case UnixfsType::kDirectory: break;
    case UnixfsType::kSymlink:
      if (!decoded->links.empty()) return malformed(cid, "a symlink has links");
      if (data->data.empty() || data->data.size() >= kPathBytesMax) {
        return malformed(cid, fmt::format("a symlink of {} bytes", data->data.size()));
      }
      break;
    case UnixfsType::kRaw:
    case UnixfsType::kMetadata:
      return unsupported(cid, "a UnixFS node that is no file, directory or symlink");
  }
  return Node{std::move(*data), std::move(decoded->links)};
}

bool is_sub_shard(const PbLink& link) { return link.name.size() == kHamtPrefixBytes; }

bool is_hamt_prefix(std::string_view name) {
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return name.size() >= kHamtPrefixBytes && hex(name[0]) && hex(name[1]);
}

}  // namespace

// Walks the blocks depth first and writes the tree. Every step down adds an entry, a leaf or a
// name in the end (empty nodes are refused), so the bound on memory bounds time as well.
class TreeReader::Flattener {
 public:
  explicit Flattener(const TreeReader& reader)
      : reader_(reader),
        memory_max_(reader.limits_.expansion_bytes_max +
                    reader.limits_.expansion_ratio_max * reader.bytes_) {}

  Result<Tree> run() {
    tree_.root = reader_.root_;
    WARREN_TRY_VOID(add_entry(reader_.root_, root_bytes(), "", 0));
    return std::move(tree_);
  }

 private:
  struct Child {
    std::string name;
    Cid cid;
    std::uint64_t tree_bytes = 0;
  };

  std::uint64_t root_bytes() const {
    const auto found = reader_.blocks_.find(reader_.root_);
    return found == reader_.blocks_.end() ? 0 : found->second.size();
  }

  Result<Node> node(const Cid& cid) {
    const auto found = reader_.blocks_.find(cid);
    WARREN_CHECK(found != reader_.blocks_.end());  // complete() said so.
    // Nodes may stand in many places, but then they give entries in each.
    decoded_ += found->second.size();
    if (decoded_ > kDecodedBytesMin + kDecodedPerByte * reader_.bytes_ +
                       kDecodedPerEntry * tree_.entries.size()) {
      return fail(ErrorCode::kTooLarge,
                  fmt::format("dataset {}: nodes that name each other again and again",
                              reader_.root_.to_string()),
                  "do not trust who gave the CID");
    }
    return read_node(cid, found->second);
  }

  Result<> take_memory(std::size_t bytes) {
    memory_ += bytes;
    if (memory_ <= memory_max_) return {};
    return fail(ErrorCode::kTooLarge,
                fmt::format("dataset {}: {} bytes of tree expand to more than {} bytes",
                            reader_.root_.to_string(), reader_.bytes_, memory_max_),
                "a few nodes that name each other again and again: do not trust who gave the CID");
  }

  Result<> add_entry(const Cid& cid, std::uint64_t tree_bytes, std::string path,
                     std::size_t depth) {
    if (tree_.entries.size() >= reader_.limits_.entries_max) {
      return fail(ErrorCode::kTooLarge,
                  fmt::format("dataset {}: more than {} entries", reader_.root_.to_string(),
                              reader_.limits_.entries_max));
    }
    WARREN_TRY_VOID(take_memory(sizeof(Entry) + path.size()));
    Entry entry;
    entry.path = std::move(path);
    entry.first_leaf = tree_.leaves.size();
    if (cid.codec == Codec::kRaw) {
      WARREN_TRY_VOID(add_leaf(cid, cid, tree_bytes));
      return finish_file(std::move(entry), cid);
    }
    WARREN_TRY(Node found, node(cid));
    switch (found.data.type) {
      case UnixfsType::kSymlink:
        entry.kind = EntryKind::kSymlink;
        entry.symlink_target = as_text(found.data.data);
        WARREN_TRY_VOID(take_memory(entry.symlink_target.size()));
        tree_.entries.push_back(std::move(entry));
        return {};
      case UnixfsType::kFile: {
        WARREN_TRY([[maybe_unused]] const std::uint64_t bytes, add_parts(cid, found, 0));
        return finish_file(std::move(entry), cid);
      }
      case UnixfsType::kDirectory:
      case UnixfsType::kHamtShard: {
        entry.kind = EntryKind::kDirectory;
        const std::string folder = entry.path;
        tree_.entries.push_back(std::move(entry));
        return add_children(cid, found, folder, depth);
      }
      case UnixfsType::kRaw:
      case UnixfsType::kMetadata: break;  // read_node() refused them.
    }
    return malformed(cid, "an impossible type");
  }

  Result<> finish_file(Entry entry, const Cid& cid) {
    entry.kind = EntryKind::kFile;
    entry.leaf_count = tree_.leaves.size() - entry.first_leaf;
    const std::span leaves(tree_.leaves.begin() + static_cast<std::ptrdiff_t>(entry.first_leaf),
                           tree_.leaves.end());
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      // Equal sizes make the place of a chunk a multiplication.
      const bool last = i + 1 == leaves.size();
      if (last ? leaves[i].bytes > leaves[0].bytes : leaves[i].bytes != leaves[0].bytes) {
        return unsupported(cid, "a file in chunks of different sizes");
      }
      entry.bytes += leaves[i].bytes;
    }
    tree_.bytes_total += entry.bytes;
    tree_.entries.push_back(std::move(entry));
    return {};
  }

  // `where` names the node that has the link. An empty file is the leaf of no bytes, which no one
  // need fetch; any other size must be that of a chunk.
  Result<> add_leaf(const Cid& where, const Cid& leaf, std::uint64_t bytes) {
    if (bytes > kLeafBytesMax) {
      return unsupported(where, fmt::format("a chunk of {} bytes", bytes));
    }
    if (bytes == 0) {
      static const Digest kEmpty{crypto::sha256({})};
      if (leaf.digest == kEmpty) return {};
      return malformed(where, "a chunk whose size is not given");
    }
    WARREN_TRY_VOID(take_memory(sizeof(Leaf)));
    tree_.leaves.push_back({leaf.digest, static_cast<std::uint32_t>(bytes)});
    return {};
  }

  Result<std::uint64_t> add_parts(const Cid& cid, const Node& file, std::size_t level) {
    if (level >= kFileLevelsMax) return malformed(cid, "a file of too many levels");
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < file.links.size(); ++i) {
      const Cid& part = file.links[i].cid;
      const std::uint64_t said = file.data.block_bytes[i];
      if (said == 0) return malformed(cid, "a part of a file that is empty");
      std::uint64_t found = said;
      if (part.codec == Codec::kRaw) {
        WARREN_TRY_VOID(add_leaf(cid, part, said));
      } else {
        WARREN_TRY(const Node below, node(part));
        if (below.data.type != UnixfsType::kFile) return malformed(part, "no part of a file");
        WARREN_TRY(found, add_parts(part, below, level + 1));
      }
      if (found != said) {
        return malformed(cid, fmt::format("a part of {} bytes is said to have {}", found, said));
      }
      total += found;
    }
    if (file.data.file_bytes.value_or(0) != total) {
      return malformed(cid, fmt::format("a file of {} bytes is said to have {}", total,
                                        file.data.file_bytes.value_or(0)));
    }
    return total;
  }

  Result<> add_children(const Cid& cid, const Node& directory, const std::string& folder,
                        std::size_t depth) {
    std::vector<Child> children;
    if (directory.data.type == UnixfsType::kDirectory) {
      for (const PbLink& link : directory.links) {
        children.push_back({link.name, link.cid, link.tree_bytes});
      }
    } else {
      WARREN_TRY_VOID(collect_shard(cid, directory, 0, children));
    }
    if (!children.empty() && depth >= reader_.limits_.depth_max) {
      return fail(ErrorCode::kDenied, fmt::format("the folder '{}' is refused: more than {} levels",
                                                  folder, reader_.limits_.depth_max));
    }
    std::ranges::sort(children, {}, &Child::name);
    SiblingNames names(Alike::kNormalisation);
    for (const Child& child : children) {
      auto allowed = check_name(child.name);
      if (allowed) allowed = names.add(child.name);
      if (!allowed) {
        return fail(std::move(allowed).error().in(folder.empty() ? "in the top folder"
                                                                 : "in '" + folder + "'"));
      }
    }
    for (Child& child : children) {
      std::string path = folder.empty() ? std::move(child.name) : folder + '/' + child.name;
      if (path.size() > kPathBytesMax) {
        return fail(ErrorCode::kDenied,
                    fmt::format("the folder '{}' is refused: a path in it has {} bytes, at most {} "
                                "are allowed",
                                folder.substr(0, 80), path.size(), kPathBytesMax));
      }
      WARREN_TRY_VOID(add_entry(child.cid, child.tree_bytes, std::move(path), depth + 1));
    }
    return {};
  }

  Result<> collect_shard(const Cid& cid, const Node& shard, std::size_t level,
                         std::vector<Child>& children) {
    if (level >= kHamtLevelsMax) return malformed(cid, "a sharded directory of too many levels");
    if (level > 0 && shard.links.empty()) return malformed(cid, "an empty shard");
    for (const PbLink& link : shard.links) {
      if (!is_hamt_prefix(link.name)) return malformed(cid, "a name in a shard has no prefix");
      if (!is_sub_shard(link)) {
        // Freed when the directory is done, but taken all at once: it counts.
        WARREN_TRY_VOID(take_memory(sizeof(Child) + link.name.size()));
        children.push_back({link.name.substr(kHamtPrefixBytes), link.cid, link.tree_bytes});
        if (children.size() > reader_.limits_.entries_max) {
          return fail(ErrorCode::kTooLarge,
                      fmt::format("a folder of more than {} names", reader_.limits_.entries_max));
        }
        continue;
      }
      if (link.cid.codec != Codec::kDagPb) return malformed(cid, "a shard that is a leaf");
      WARREN_TRY(const Node below, node(link.cid));
      if (below.data.type != UnixfsType::kHamtShard) return malformed(link.cid, "no shard");
      WARREN_TRY_VOID(collect_shard(link.cid, below, level + 1, children));
    }
    return {};
  }

  const TreeReader& reader_;
  std::uint64_t memory_ = 0;
  std::uint64_t decoded_ = 0;  // Bytes of nodes, each as often as it was visited.
  std::uint64_t memory_max_;
  Tree tree_;
};

TreeReader::TreeReader(const Cid& root, limits::Tree limits) : root_(root), limits_(limits) {
  missing_.push_back(root);
  wanted_.insert(root);
}

std::vector<Cid> TreeReader::missing(std::size_t count) const {
  std::vector<Cid> out;
  for (const Cid& cid : missing_) {
    if (out.size() >= count) break;
    if (wanted_.contains(cid)) out.push_back(cid);
  }
  return out;
}

Result<> TreeReader::add(const Cid& cid, Bytes bytes) {
  if (!wanted_.contains(cid)) {
    return fail(ErrorCode::kNotFound, fmt::format("block {} was not asked for", cid.to_string()));
  }
  if (bytes.size() > limits_.block_bytes_max) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("block {} has {} bytes, at most {} are allowed", cid.to_string(),
                            bytes.size(), limits_.block_bytes_max));
  }
  if (Digest{crypto::sha256(bytes)} != cid.digest) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("{} bytes do not hash to {}", bytes.size(), cid.to_string()));
  }
  if (bytes_ + bytes.size() > limits_.node_bytes_max) {
    return fail(ErrorCode::kTooLarge, fmt::format("dataset {}: more than {} bytes of tree",
                                                  root_.to_string(), limits_.node_bytes_max));
  }
  if (cid.codec == Codec::kDagPb) {
    WARREN_TRY(const Node node, read_node(cid, bytes));
    for (const PbLink& link : node.links) {
      if (link.cid.codec == Codec::kDagPb && !blocks_.contains(link.cid) && link.cid != cid &&
          wanted_.insert(link.cid).second) {
        missing_.push_back(link.cid);
      }
    }
  }
  bytes_ += bytes.size();
  blocks_.emplace(cid, std::move(bytes));
  order_.push_back(cid);
  wanted_.erase(cid);
  while (!missing_.empty() && !wanted_.contains(missing_.front())) missing_.pop_front();
  return {};
}

Result<Tree> TreeReader::finish() const {
  WARREN_CHECK(complete());
  return Flattener(*this).run();
}

std::vector<NodeBlock> TreeReader::take_nodes() {
  std::vector<NodeBlock> nodes;
  nodes.reserve(order_.size());
  for (const Cid& cid : order_) nodes.push_back({cid, std::move(blocks_[cid])});
  blocks_.clear();
  order_.clear();
  return nodes;
}

LeafPlace place_of_leaf(const Tree& tree, std::uint64_t leaf) {
  WARREN_CHECK(leaf < tree.leaves.size());
  // Entries without leaves repeat the first_leaf of the next file, so the last entry that begins
  // at or before the leaf is the file that has it.
  const auto after = std::ranges::upper_bound(tree.entries, leaf, {}, &Entry::first_leaf);
  const auto index = static_cast<std::size_t>(after - tree.entries.begin()) - 1;
  const Entry& entry = tree.entries[index];
  return {index, (leaf - entry.first_leaf) * tree.leaves[entry.first_leaf].bytes};
}

}  // namespace warren::content
