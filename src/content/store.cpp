#include "content/store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "content/store_database.hpp"
#include "content/tree_reader.hpp"

namespace warren::content {
namespace {

using storage::Database;
using storage::Query;
using storage::Transaction;

std::unexpected<Error> no_dataset(const Cid& root) {
  return fail(ErrorCode::kNotFound, fmt::format("no dataset {} is here", root.to_string()));
}

std::size_t memory_of(const Tree& tree) {
  std::size_t bytes = sizeof(Tree) + tree.leaves.size() * sizeof(Leaf);
  for (const Entry& entry : tree.entries) {
    bytes += sizeof(Entry) + entry.path.size() + entry.symlink_target.size();
  }
  return bytes;
}

// The tree of a dataset that is one leaf.
Tree leaf_tree(const Cid& root, std::uint64_t bytes) {
  Tree tree;
  tree.root = root;
  tree.bytes_total = bytes;
  Entry entry;
  entry.bytes = bytes;
  entry.leaf_count = bytes > 0 ? 1 : 0;
  tree.entries.push_back(entry);
  if (bytes > 0) tree.leaves.push_back({root.digest, static_cast<std::uint32_t>(bytes)});
  return tree;
}

std::uint64_t file_count(const Tree& tree) {
  return static_cast<std::uint64_t>(
      std::ranges::count(tree.entries, EntryKind::kFile, &Entry::kind));
}

}  // namespace

Store::Store(std::unique_ptr<Database> database, limits::Content limits)
    : limits_(limits), database_(std::move(database)) {}

Store::~Store() {
  const std::lock_guard lock(mutex_);
  const Result<> written = database_->guarded([&]() -> Result<> {
    write_changes_locked();
    return {};
  });
  static_cast<void>(written);  // They are found again by the next one who reads those files.
}

Result<std::unique_ptr<Store>> Store::open(const std::string& path, limits::Content limits) {
  WARREN_TRY(auto database, open_store_database(path));
  return std::unique_ptr<Store>(new Store(std::move(database), limits));
}

// ---------------------------------------------------------------------------- trees and leaves

std::optional<Store::DatasetRow> Store::dataset_locked(const Cid& root) {
  const Bytes bytes = root.to_bytes();
  Query query = database_->query("SELECT id, bytes FROM datasets WHERE root = ?");
  if (!query.with(bytes).step()) return std::nullopt;
  return DatasetRow{query.integer(0), query.natural(1)};
}

Result<std::int64_t> Store::keep_dataset_locked(const Tree& tree,
                                                const std::vector<NodeBlock>& nodes) {
  if (const auto known = dataset_locked(tree.root)) return known->id;
  if (nodes.empty() && tree.root.codec != Codec::kRaw) return no_dataset(tree.root);
  const Bytes root = tree.root.to_bytes();
  database_->query("INSERT INTO datasets(root, files, bytes) VALUES(?, ?, ?)")
      .with(root)
      .with(file_count(tree))
      .with(tree.bytes_total)
      .run();
  const std::int64_t dataset = database_->last_id();
  std::int64_t position = 0;
  for (const NodeBlock& node : nodes) {
    if (node.cid.codec == Codec::kRaw) continue;  // A leaf lies in its file.
    const Bytes cid = node.cid.to_bytes();
    database_->query("INSERT INTO nodes(cid, bytes) VALUES(?, ?) ON CONFLICT DO NOTHING")
        .with(cid)
        .with(BytesView(node.bytes))
        .run();
    database_
        ->query(
            "INSERT INTO dataset_nodes(dataset_id, position, node_id) "
            "SELECT ?, ?, id FROM nodes WHERE cid = ?")
        .with(dataset)
        .with(position++)
        .with(cid)
        .run();
  }
  return dataset;
}

Result<> Store::add_tree(const Cid& root, const std::vector<NodeBlock>& nodes) {
  TreeReader reader(root);
  for (const NodeBlock& node : nodes) WARREN_TRY_VOID(reader.add(node.cid, node.bytes));
  if (!reader.complete()) {
    return fail(ErrorCode::kMalformed,
                fmt::format("the tree of {} lacks block {}", root.to_string(),
                            reader.missing(1).front().to_string()));
  }
  WARREN_TRY(Tree flattened, reader.finish());
  const auto kept = std::make_shared<const Tree>(std::move(flattened));
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    Transaction transaction(*database_);
    WARREN_TRY([[maybe_unused]] const std::int64_t id, keep_dataset_locked(*kept, nodes));
    transaction.commit();
    cache_locked(kept);
    return {};
  });
}

std::shared_ptr<const Tree> Store::cached_locked(const Cid& root) {
  const auto found = cached_.find(root);
  if (found == cached_.end()) return nullptr;
  cache_.splice(cache_.begin(), cache_, found->second);
  return found->second->tree;
}

void Store::cache_locked(const std::shared_ptr<const Tree>& tree) {
  if (cached_locked(tree->root)) return;
  cache_.push_front({tree, memory_of(*tree)});
  cached_[tree->root] = cache_.begin();
  cache_bytes_ += cache_.front().bytes;
  while (cache_bytes_ > limits_.trees_cached_bytes_max) {
    cache_bytes_ -= cache_.back().bytes;
    cached_.erase(cache_.back().tree->root);
    cache_.pop_back();
  }
}

Result<std::shared_ptr<const Tree>> Store::tree(const Cid& root) {
  std::vector<NodeBlock> blocks;
  {
    const std::lock_guard lock(mutex_);
    auto loaded = database_->guarded([&]() -> Result<std::shared_ptr<const Tree>> {
      const auto dataset = dataset_locked(root);
      if (!dataset) return no_dataset(root);
      if (auto cached = cached_locked(root)) return cached;
      if (root.codec == Codec::kRaw) {
        auto tree = std::make_shared<const Tree>(leaf_tree(root, dataset->bytes));
        cache_locked(tree);
        return tree;
      }
      Query query = database_->query(
          "SELECT cid, bytes FROM dataset_nodes JOIN nodes ON nodes.id "
          "= node_id WHERE dataset_id = ? ORDER BY position");
      query.with(dataset->id);
      while (query.step()) {
        WARREN_TRY(const Cid cid, Cid::from_bytes(query.bytes(0)));
        blocks.push_back({cid, query.bytes(1)});
      }
      return nullptr;
    });
    if (!loaded || *loaded) return loaded;
  }
  // Outside the lock: hashing and flattening a large tree takes a while.
  TreeReader reader(root);
  for (NodeBlock& block : blocks) WARREN_TRY_VOID(reader.add(block.cid, std::move(block.bytes)));
  if (!reader.complete()) {
    return fail(ErrorCode::kInternal,
                fmt::format("the database lacks nodes of {}", root.to_string()),
                "share the folder again");
  }
  WARREN_TRY(Tree flattened, reader.finish());
  auto tree = std::make_shared<const Tree>(std::move(flattened));
  const std::lock_guard lock(mutex_);
  cache_locked(tree);
  return tree;
}

Result<std::shared_ptr<const Dataset>> Store::open_dataset(const Cid& root) {
  WARREN_TRY(std::vector<ShareInfo> found, places(root));
  if (found.empty()) {
    return fail(ErrorCode::kNotFound, fmt::format("{} is not shared here", root.to_string()));
  }
  return open_first(std::move(found));
}

Result<std::shared_ptr<const Dataset>> Store::open_share(std::int64_t share_id) {
  std::optional<ShareInfo> share;
  {
    const std::lock_guard lock(mutex_);
    const auto found = database_->guarded([&]() -> Result<> {
      write_changes_locked();
      share = share_locked(share_id);
      return {};
    });
    if (!found) return fail(found.error());
  }
  if (!share) return fail(ErrorCode::kNotFound, fmt::format("no share has the id {}", share_id));
  return open_first({*share});
}

// The first candidate whose folder can be opened; there is at least one candidate.
Result<std::shared_ptr<const Dataset>> Store::open_first(std::vector<ShareInfo> candidates) {
  Result<std::shared_ptr<const Dataset>> opened = nullptr;
  for (const ShareInfo& info : candidates) {
    Dataset::Source source{nullptr, info.path, {}, info.id, changes_};
    WARREN_TRY(source.tree, tree(info.root));
    {
      const std::lock_guard lock(mutex_);
      if (auto open = open_[info.id].lock()) return open;
      auto stamps = database_->guarded([&]() -> Result<std::vector<runtime::FileStamp>> {
        const auto now = share_locked(info.id);
        if (!now || now->root != info.root || now->path != info.path) {
          return fail(ErrorCode::kNotFound, fmt::format("'{}' is another dataset now", info.name));
        }
        return stamps_locked(info.id, source.tree->entries.size());
      });
      if (!stamps) return fail(std::move(stamps).error());
      source.stamps = std::move(*stamps);
    }
    opened = Dataset::open(std::move(source), limits_);
    if (!opened) continue;
    const std::lock_guard lock(mutex_);
    std::erase_if(open_, [](const auto& entry) { return entry.second.expired(); });
    open_[info.id] = *opened;
    return opened;
  }
  return opened;
}

Result<std::uint64_t> Store::node_count(const Cid& root) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::uint64_t> {
    const auto dataset = dataset_locked(root);
    if (!dataset) return no_dataset(root);
    if (root.codec == Codec::kRaw) return 1;
    Query query = database_->query("SELECT count(*) FROM dataset_nodes WHERE dataset_id = ?");
    query.with(dataset->id).step();
    return query.natural(0);
  });
}

Result<std::vector<NodeBlock>> Store::nodes(const Cid& root, std::uint64_t first,
                                            std::uint64_t count, std::size_t bytes_max) {
  std::vector<NodeBlock> nodes;
  if (root.codec == Codec::kRaw) {
    if (first > 0 || count == 0) return nodes;
    WARREN_TRY(Bytes leaf, read_node(root, root));
    nodes.push_back({root, std::move(leaf)});
    return nodes;
  }
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<NodeBlock>> {
    const auto dataset = dataset_locked(root);
    if (!dataset) return no_dataset(root);
    Query query = database_->query(
        "SELECT cid, bytes FROM dataset_nodes JOIN nodes ON nodes.id = "
        "node_id WHERE dataset_id = ? AND position >= ? "
        "ORDER BY position");
    query.with(dataset->id).with(std::min<std::uint64_t>(first, INT64_MAX));
    std::size_t bytes = 0;
    while (nodes.size() < count && query.step()) {
      Bytes block = query.bytes(1);
      bytes += block.size();
      if (!nodes.empty() && bytes > bytes_max) break;
      WARREN_TRY(const Cid cid, Cid::from_bytes(query.bytes(0)));
      nodes.push_back({cid, std::move(block)});
    }
    return nodes;
  });
}

Result<Bytes> Store::read_node(const Cid& root, const Cid& cid) {
  if (cid.codec == Codec::kRaw && cid == root) {
    WARREN_TRY(const std::shared_ptr<const Dataset> dataset, open_dataset(cid));
    const std::uint64_t leaves = dataset->tree().leaves.size();
    Bytes leaf(dataset->tree().bytes_total);
    WARREN_TRY([[maybe_unused]] const std::size_t n, dataset->read_leaves(0, leaves, leaf));
    return leaf;
  }
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<Bytes> {
    const Bytes name = cid.to_bytes();
    const Bytes root_name = root.to_bytes();
    Query query = database_->query(
        "SELECT nodes.bytes FROM nodes JOIN dataset_nodes ON node_id = nodes.id "
        "JOIN datasets ON datasets.id = dataset_id WHERE cid = ? AND root = ?");
    if (!query.with(name).with(root_name).step()) {
      return fail(ErrorCode::kNotFound, fmt::format("no block {} is here", cid.to_string()));
    }
    return query.bytes(0);
  });
}

}  // namespace warren::content
