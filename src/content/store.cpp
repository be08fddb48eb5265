#include "content/store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "content/path_rules.hpp"
#include "content/store_database.hpp"
#include "content/tree_reader.hpp"

namespace warren::content {
namespace {

using storage::Database;
using storage::Query;
using storage::Transaction;

constexpr const char* kShareColumns =
    "SELECT shares.id, shares.name, datasets.root, shares.path, shares.added_ns, datasets.files, "
    "datasets.bytes, (SELECT count(*) FROM stamps WHERE share_id = shares.id AND changed) "
    "FROM shares JOIN datasets ON datasets.id = shares.dataset_id ";

std::unexpected<Error> no_dataset(const Cid& root) {
  return fail(ErrorCode::kNotFound, fmt::format("no dataset {} is here", root.to_string()));
}

ShareInfo read_share(const Query& row) {
  ShareInfo info;
  info.id = row.integer(0);
  info.name = row.text(1);
  const auto root = Cid::from_bytes(row.bytes(2));
  WARREN_CHECK(root);  // Only this file writes it.
  info.root = *root;
  info.path = row.text(3);
  info.added_at = row.time(4);
  info.files = row.natural(5);
  info.bytes = row.natural(6);
  info.files_changed = row.natural(7);
  info.state = info.files_changed == 0 ? ShareState::kReady : ShareState::kChanged;
  return info;
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

Result<> check_share_name(const std::string& name, std::size_t bytes_max) {
  const auto allowed = check_name(name);
  if (allowed && name.size() <= bytes_max) return {};
  return fail(ErrorCode::kInvalidArgument,
              allowed ? fmt::format("a share's name has at most {} bytes", bytes_max)
                      : allowed.error().message(),
              "give another one with --name");
}

}  // namespace

std::string_view share_state_name(ShareState state) noexcept {
  switch (state) {
    case ShareState::kReady: return "ready";
    case ShareState::kChanged: return "changed";
  }
  return "changed";
}

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

// ------------------------------------------------------------------------------------- shares

Result<ShareInfo> Store::add_share(const std::string& name, const Imported& imported,
                                   WallTime now) {
  WARREN_TRY_VOID(check_share_name(name, limits_.share_name_bytes_max));
  WARREN_CHECK(imported.stamps.size() == imported.tree->entries.size());
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<ShareInfo> {
    write_changes_locked();
    Transaction transaction(*database_);
    WARREN_TRY(const std::int64_t dataset, keep_dataset_locked(*imported.tree, imported.nodes));

    std::int64_t share = 0;
    std::int64_t old_dataset = 0;
    {
      Query find = database_->query("SELECT id, path, dataset_id FROM shares WHERE name = ?");
      if (find.with(name).step()) {
        if (find.text(1) != imported.path) {
          return fail(ErrorCode::kConflict,
                      fmt::format("the name '{}' is taken by {}", name, find.text(1)),
                      "give another one with --name, or unshare that one first");
        }
        share = find.integer(0);
        old_dataset = find.integer(2);
      }
    }
    if (share == 0) {
      database_
          ->query(
              "INSERT INTO shares(name, dataset_id, path, added_ns, started_ns) "
              "VALUES(?, ?, ?, ?, ?)")
          .with(name)
          .with(dataset)
          .with(imported.path)
          .with(now)
          .with(imported.started_ns)
          .run();
      share = database_->last_id();
    } else {
      database_->query("UPDATE shares SET dataset_id = ?, started_ns = ? WHERE id = ?")
          .with(dataset)
          .with(imported.started_ns)
          .with(share)
          .run();
      database_->query("DELETE FROM stamps WHERE share_id = ?").with(share).run();
      if (old_dataset != dataset) drop_if_unused(*database_, old_dataset);
    }
    for (std::size_t i = 0; i < imported.stamps.size(); ++i) {
      if (imported.tree->entries[i].kind != EntryKind::kFile) continue;
      const runtime::FileStamp& stamp = imported.stamps[i];
      database_
          ->query(
              "INSERT INTO stamps(share_id, entry, size, mtime_ns, inode, "
              "device) VALUES(?, ?, ?, ?, ?, ?)")
          .with(share)
          .with(i)
          .with(stamp.size)
          .with(stamp.mtime_ns)
          .with(stamp.inode)
          .with(stamp.device)
          .run();
    }
    transaction.commit();
    open_.erase(share);
    cache_locked(imported.tree);
    return find_share_locked(name);
  });
}

std::vector<ShareInfo> Store::shares_locked() {
  static const std::string kSql = std::string(kShareColumns) + "ORDER BY shares.name";
  std::vector<ShareInfo> shares;
  Query query = database_->query(kSql);
  while (query.step()) shares.push_back(read_share(query));
  return shares;
}

Result<std::vector<ShareInfo>> Store::shares() {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<ShareInfo>> {
    write_changes_locked();
    return shares_locked();
  });
}

Result<ShareInfo> Store::find_share_locked(std::string_view name_or_cid) {
  static const std::string kByName = std::string(kShareColumns) + "WHERE shares.name = ?";
  static const std::string kByRoot =
      std::string(kShareColumns) + "WHERE datasets.root = ? ORDER BY 8, shares.id";
  {
    Query query = database_->query(kByName);
    if (query.with(name_or_cid).step()) return read_share(query);
  }
  if (const auto root = Cid::parse(name_or_cid)) {
    const Bytes bytes = root->to_bytes();
    Query query = database_->query(kByRoot);
    if (query.with(bytes).step()) return read_share(query);
  }
  return fail(ErrorCode::kNotFound,
              fmt::format("nothing is shared as '{}'", name_or_cid.substr(0, 255)),
              "'warren shares' lists what is");
}

Result<ShareInfo> Store::find_share(std::string_view name_or_cid) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<ShareInfo> {
    write_changes_locked();
    return find_share_locked(name_or_cid);
  });
}

Result<ShareInfo> Store::unshare(std::string_view name_or_cid) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<ShareInfo> {
    write_changes_locked();
    WARREN_TRY(ShareInfo info, find_share_locked(name_or_cid));
    Transaction transaction(*database_);
    database_->query("DELETE FROM shares WHERE id = ?").with(info.id).run();
    drop_if_unused(*database_, info.root);
    transaction.commit();
    open_.erase(info.id);
    return info;
  });
}

Result<std::shared_ptr<const Imported>> Store::imported(std::int64_t share_id) {
  auto imported = std::make_shared<Imported>();
  Cid root;
  {
    const std::lock_guard lock(mutex_);
    const auto found = database_->guarded([&]() -> Result<> {
      Query query = database_->query(
          "SELECT datasets.root, shares.path, shares.started_ns FROM "
          "shares JOIN datasets ON datasets.id = shares.dataset_id "
          "WHERE shares.id = ?");
      if (!query.with(share_id).step()) {
        return fail(ErrorCode::kNotFound, fmt::format("no share has the id {}", share_id));
      }
      WARREN_TRY(root, Cid::from_bytes(query.bytes(0)));
      imported->path = query.text(1);
      imported->started_ns = query.integer(2);
      return {};
    });
    if (!found) return fail(found.error());
  }
  WARREN_TRY(imported->tree, tree(root));
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::shared_ptr<const Imported>> {
    imported->stamps = stamps_locked(share_id, imported->tree->entries.size());
    // A file found changed, or found to hold other bytes under the same stamp, is not known.
    Query query = database_->query("SELECT entry FROM stamps WHERE share_id = ? AND changed");
    query.with(share_id);
    while (query.step()) {
      const std::uint64_t entry = query.natural(0);
      if (entry < imported->stamps.size()) imported->stamps[entry] = {};
    }
    return imported;
  });
}

void Store::mark_changed_locked(std::int64_t share_id, std::size_t entry) {
  database_->query("UPDATE stamps SET changed = 1 WHERE share_id = ? AND entry = ?")
      .with(share_id)
      .with(entry)
      .run();
}

void Store::write_changes_locked() {
  const std::vector<ChangeLog::Change> changes = changes_->take();
  if (changes.empty()) return;
  Transaction transaction(*database_);
  for (const ChangeLog::Change& change : changes) {
    mark_changed_locked(change.share_id, change.entry);
  }
  transaction.commit();
}

Result<> Store::mark_changed(std::int64_t share_id, const std::vector<std::size_t>& entries) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    Transaction transaction(*database_);
    for (const std::size_t entry : entries) mark_changed_locked(share_id, entry);
    transaction.commit();
    return {};
  });
}

std::vector<runtime::FileStamp> Store::stamps_locked(std::int64_t share_id, std::size_t entries) {
  std::vector<runtime::FileStamp> stamps(entries);
  Query query = database_->query(
      "SELECT entry, size, mtime_ns, inode, device FROM stamps WHERE share_id = ?");
  query.with(share_id);
  while (query.step()) {
    const std::uint64_t entry = query.natural(0);
    if (entry >= entries) continue;
    stamps[entry] = {query.natural(1), query.integer(2), query.bits(3), query.bits(4)};
  }
  return stamps;
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
  const auto found = std::ranges::find_if(
      cache_, [&](const CachedTree& cached) { return cached.tree->root == root; });
  if (found == cache_.end()) return nullptr;
  cache_.splice(cache_.begin(), cache_, found);
  return found->tree;
}

void Store::cache_locked(const std::shared_ptr<const Tree>& tree) {
  if (cached_locked(tree->root)) return;
  cache_.push_front({tree, memory_of(*tree)});
  cache_bytes_ += cache_.front().bytes;
  while (cache_bytes_ > limits_.trees_cached_bytes_max) {
    cache_bytes_ -= cache_.back().bytes;
    cache_.pop_back();
  }
}

Result<std::shared_ptr<const Tree>> Store::tree(const Cid& root) {
  std::vector<NodeBlock> blocks;
  {
    const std::lock_guard lock(mutex_);
    if (auto cached = cached_locked(root)) return cached;
    auto loaded = database_->guarded([&]() -> Result<std::shared_ptr<const Tree>> {
      const auto dataset = dataset_locked(root);
      if (!dataset) return no_dataset(root);
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
  WARREN_TRY(std::vector<ShareInfo> candidates, shares());
  std::erase_if(candidates, [&root](const ShareInfo& info) { return info.root != root; });
  if (candidates.empty()) {
    return fail(ErrorCode::kNotFound, fmt::format("{} is not shared here", root.to_string()));
  }
  std::ranges::sort(candidates, {}, &ShareInfo::files_changed);
  return open_first(std::move(candidates));
}

Result<std::shared_ptr<const Dataset>> Store::open_share(std::int64_t share_id) {
  WARREN_TRY(std::vector<ShareInfo> candidates, shares());
  std::erase_if(candidates, [share_id](const ShareInfo& info) { return info.id != share_id; });
  if (candidates.empty()) {
    return fail(ErrorCode::kNotFound, fmt::format("no share has the id {}", share_id));
  }
  return open_first(std::move(candidates));
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
        WARREN_TRY(const ShareInfo now, find_share_locked(info.name));
        if (now.id != info.id || now.root != info.root) {
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
    WARREN_TRY(Bytes leaf, read_node(root));
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

Result<Bytes> Store::read_node(const Cid& cid) {
  if (cid.codec == Codec::kRaw) {
    WARREN_TRY(const std::shared_ptr<const Dataset> dataset, open_dataset(cid));
    const std::uint64_t leaves = dataset->tree().leaves.size();
    Bytes leaf(dataset->tree().bytes_total);
    WARREN_TRY([[maybe_unused]] const std::size_t n, dataset->read_leaves(0, leaves, leaf));
    return leaf;
  }
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<Bytes> {
    const Bytes name = cid.to_bytes();
    Query query = database_->query("SELECT bytes FROM nodes WHERE cid = ?");
    if (!query.with(name).step()) {
      return fail(ErrorCode::kNotFound, fmt::format("no block {} is here", cid.to_string()));
    }
    return query.bytes(0);
  });
}

}  // namespace warren::content
