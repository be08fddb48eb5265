#pragma once
// From blocks that a peer or the store gives to a Tree. Sans-I/O: says which blocks are missing,
// takes blocks, verifies them by hash, and flattens them at the end.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/limits.hpp"
#include "content/tree.hpp"
#include "content/unixfs.hpp"

namespace warren::content {

/// Reads one dataset. Thread: one at a time; finish() of a large tree belongs on the pool.
class TreeReader {
 public:
  explicit TreeReader(const Cid& root, limits::Tree limits = {});

  /// The next blocks to ask for, at most `count`, parents before children. Empty: complete.
  /// The answer repeats until they are given; the caller knows what it has asked for.
  std::vector<Cid> missing(std::size_t count) const;
  bool complete() const noexcept { return missing_.empty(); }
  /// Whether `cid` is one of the missing ones.
  bool wants(const Cid& cid) const { return wanted_.contains(cid); }

  /// Takes one block that is missing. Errors: kIntegrity (the bytes do not hash to `cid`), then
  /// nothing changed and another peer may have it; kNotFound (not asked for); kMalformed,
  /// kUnsupported, kTooLarge: this dataset can not be read, from whomever it comes.
  Result<> add(const Cid& cid, Bytes bytes);

  /// The flattened dataset. Call when complete. Errors: kMalformed, kUnsupported, kTooLarge,
  /// kDenied (a name that path_rules.hpp refuses, with the path).
  Result<Tree> finish() const;

  /// The blocks taken, each once, parents before children; what Store::add_tree() keeps. A root
  /// that is itself a leaf is among them. The reader is done for after this.
  std::vector<NodeBlock> take_nodes();

  std::uint64_t bytes_received() const noexcept { return bytes_; }
  std::size_t blocks_received() const noexcept { return order_.size(); }

 private:
  class Flattener;

  Cid root_;
  limits::Tree limits_;
  std::uint64_t bytes_ = 0;
  std::unordered_map<Cid, Bytes> blocks_;
  std::vector<Cid> order_;
  std::deque<Cid> missing_;  ///< May hold some that were given already; wanted_ decides.
  std::unordered_set<Cid> wanted_;
};

/// Where leaf `leaf` of the tree lies: the index of its file in Tree::entries, and the offset.
/// `leaf` must be below Tree::leaves.size().
struct LeafPlace {
  std::size_t entry = 0;
  std::uint64_t offset = 0;
};
LeafPlace place_of_leaf(const Tree& tree, std::uint64_t leaf);

}  // namespace warren::content
