#pragma once
// A dataset flattened: its entries in tree order and its leaves (chunks) in file order. Both sides
// of a transfer derive the same list from the same root CID, so a chunk has an index.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "multiformats/cid.hpp"

namespace warren::content {

/// A leaf: up to 1 MiB of a file, a raw block. The chunk of the data protocol.
struct Leaf {
  Digest digest;
  std::uint32_t bytes = 0;
};

enum class EntryKind : std::uint8_t { kFile, kDirectory, kSymlink };

/// One file, directory or symlink. `path` is relative to the root, '/'-separated, checked
/// (path_rules.hpp), and empty for the root itself.
struct Entry {
  std::string path;
  EntryKind kind = EntryKind::kFile;
  std::uint64_t bytes = 0;  ///< Of a file.
  std::uint64_t first_leaf =
      0;  ///< Of a file: its leaves are [first_leaf, first_leaf + leaf_count).
  std::uint64_t leaf_count = 0;  ///< 0 for an empty file.
  std::string symlink_target;
};

/// Entries in depth-first order, a directory before what it holds, names in the order of their
/// bytes; leaves in the order of the files and of the bytes in each.
struct Tree {
  Cid root;
  std::vector<Entry> entries;
  std::vector<Leaf> leaves;
  std::uint64_t bytes_total = 0;  ///< Sum of the files.
};

}  // namespace warren::content
