#pragma once
// UnixFS trees as IPFS has them, under the profile unixfs-v1-2025: CIDv1, sha2-256, raw leaves of
// 1 MiB, balanced with at most 1,024 links, directories basic up to 262,144 bytes of serialised
// block and HAMT (fanout 256, murmur3-x64-64) above. Same bytes in, same CID as any IPFS tool.
// Source: ipfs/specs UNIXFS.md and IPIP-499 (docs/decisions lists what they leave open).

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "content/tree.hpp"
#include "multiformats/cid.hpp"

namespace warren::content {

/// Bytes of a leaf; only the last one of a file is shorter. Source: IPIP-499.
inline constexpr std::uint32_t kLeafBytesMax = 1u << 20;
/// Links of one node of a file. Source: IPIP-499.
inline constexpr std::size_t kFileLinksMax = 1024;
/// Largest serialised block of a basic directory. Source: IPIP-499.
inline constexpr std::size_t kDirectoryBytesMax = 262'144;
/// Children of one HAMT shard. Source: IPIP-499.
inline constexpr std::size_t kHamtFanout = 256;

/// A block of a tree that is no leaf, with its name.
struct NodeBlock {
  Cid cid;
  Bytes bytes;
};

/// The CID of a leaf.
inline Cid leaf_cid(const Digest& digest) { return {Codec::kRaw, digest}; }

/// A finished subtree, as the link of its parent names it.
struct Built {
  Cid cid;
  std::uint64_t tree_bytes = 0;     ///< Tsize: all blocks of the subtree, serialised.
  std::uint64_t content_bytes = 0;  ///< Of a file; 0 for others.
};

/// Where finished nodes go, children before parents.
using NodeSink = std::function<void(NodeBlock)>;

/// The nodes above the leaves of one file. A file of up to 1 MiB is its single leaf and has none;
/// an empty file is the raw leaf of no bytes, for which `leaves` may be empty.
Built build_file(const std::vector<Leaf>& leaves, const NodeSink& sink);

/// One name in a directory.
struct DirectoryLink {
  std::string name;
  Built target;
};

/// The nodes of one directory. `links` need not be sorted; names must be distinct.
/// Errors: kUnsupported when names collide in all 64 bits of the HAMT's hash.
Result<Built> build_directory(std::vector<DirectoryLink> links, const NodeSink& sink);

/// The node of a symlink. `target` is 1 to 4,095 bytes.
Built build_symlink(const std::string& target, const NodeSink& sink);

}  // namespace warren::content
