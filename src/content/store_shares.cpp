// The part of Store that keeps shares and the entries of libraries: datasets in a place.

#include <fmt/format.h>

#include "base/check.hpp"
#include "content/path_rules.hpp"
#include "content/store.hpp"
#include "content/store_database.hpp"

namespace warren::content {
namespace {

using peers::AccessRule;
using storage::Query;
using storage::Transaction;

constexpr std::string_view kShareColumns =
    "SELECT shares.id, shares.name, datasets.root, shares.path, shares.added_ns, datasets.files, "
    "datasets.bytes, (SELECT count(*) FROM stamps WHERE share_id = shares.id AND changed), "
    "shares.audience FROM shares JOIN datasets ON datasets.id = shares.dataset_id ";

// Entries of libraries and completed transfers stand among the shares under names that no share
// can have.
std::string entry_name(std::string_view id) { return fmt::format("/{}", id); }
std::string finished_name(std::int64_t transfer_id) { return fmt::format("//{}", transfer_id); }
constexpr std::string_view kNoEntry = "(shares.name < '/' OR shares.name >= '0') ";

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
  info.audience = read_audience(row.text(8));
  return info;
}

Result<> check_share_name(const std::string& name, std::size_t bytes_max) {
  const auto allowed = check_name(name);
  if (allowed && name.size() <= bytes_max) return {};
  return fail(ErrorCode::kInvalidArgument,
              allowed ? fmt::format("a share's name has at most {} bytes", bytes_max)
                      : allowed.error().message(),
              "give another one with --name");
}

std::unexpected<Error> no_entry(std::string_view id) {
  return fail(ErrorCode::kNotFound, fmt::format("no library has the entry '{}'", id.substr(0, 255)),
              "'warren library list' shows what is there");
}

}  // namespace

std::string_view share_state_name(ShareState state) noexcept {
  switch (state) {
    case ShareState::kReady: return "ready";
    case ShareState::kChanged: return "changed";
  }
  return "changed";
}

std::string_view ShareInfo::entry_id() const {
  const std::string_view text = name;
  return text.starts_with('/') && !text.starts_with("//") ? text.substr(1) : std::string_view();
}

std::string_view ShareInfo::shared_as() const {
  if (name.starts_with("//")) return std::string_view(path).substr(path.rfind('/') + 1);
  return std::string_view(name).substr(name.starts_with('/') ? 1 : 0);
}

// What can be seen of the shares is about to be written.
template <class T, class F>
Result<T> Store::change_shares(F change) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<T> {
    write_changes_locked();
    Transaction transaction(*database_);
    auto changed = change();
    if (!changed) return changed;
    transaction.commit();
    ++generation_;
    return changed;
  });
}

Result<ShareInfo> Store::add_share(const std::string& name, const Imported& imported, WallTime now,
                                   const std::optional<AccessRule>& audience) {
  WARREN_TRY_VOID(check_share_name(name, limits_.share_name_bytes_max));
  return change_shares<ShareInfo>([&]() -> Result<ShareInfo> {
    const auto known = share_named_locked(name);
    if (known && known->path != imported.path) {
      return fail(ErrorCode::kConflict,
                  fmt::format("the name '{}' is taken by {}", name, known->path),
                  "give another one with --name, or unshare that one first");
    }
    return keep_share_locked(known, name, imported, now, audience);
  });
}

Result<ShareInfo> Store::add_entry(const std::string& id, const Imported& imported, WallTime now) {
  WARREN_TRY_VOID(check_share_name(id, limits_.share_name_bytes_max));
  return change_shares<ShareInfo>([&] {
    const std::string name = entry_name(id);
    const AccessRule nobody{peers::Access::kListed, {}};
    return keep_share_locked(share_named_locked(name), name, imported, now, nobody);
  });
}

Result<> Store::add_finished(std::int64_t transfer_id, const Imported& imported,
                             const AccessRule& audience, WallTime now) {
  return change_shares<void>([&]() -> Result<> {
    const std::string name = finished_name(transfer_id);
    WARREN_TRY_VOID(keep_share_locked(share_named_locked(name), name, imported, now, audience));
    return {};
  });
}

Result<> Store::remove_finished(std::int64_t transfer_id) {
  return change_shares<void>([&]() -> Result<> {
    if (const auto info = share_named_locked(finished_name(transfer_id))) {
      forget_share_locked(*info);
    }
    return {};
  });
}

Result<ShareInfo> Store::keep_share_locked(const std::optional<ShareInfo>& known,
                                           const std::string& name, const Imported& imported,
                                           WallTime now,
                                           const std::optional<AccessRule>& audience) {
  WARREN_CHECK(imported.stamps.size() == imported.tree->entries.size());
  WARREN_TRY(const std::int64_t dataset, keep_dataset_locked(*imported.tree, imported.nodes));
  const AccessRule rule = audience ? *audience : known ? known->audience : AccessRule{};
  std::int64_t share = 0;
  if (known) {
    share = known->id;
    database_
        ->query(
            "UPDATE shares SET dataset_id = ?, path = ?, started_ns = ?, audience = ? "
            "WHERE id = ?")
        .with(dataset)
        .with(imported.path)
        .with(imported.started_ns)
        .with(rule.to_string())
        .with(share)
        .run();
    database_->query("DELETE FROM stamps WHERE share_id = ?").with(share).run();
    if (known->root != imported.tree->root) drop_if_unused(*database_, known->root);
  } else {
    database_
        ->query(
            "INSERT INTO shares(name, dataset_id, path, added_ns, started_ns, audience) "
            "VALUES(?, ?, ?, ?, ?, ?)")
        .with(name)
        .with(dataset)
        .with(imported.path)
        .with(now)
        .with(imported.started_ns)
        .with(rule.to_string())
        .run();
    share = database_->last_id();
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
  open_.erase(share);
  cache_locked(imported.tree);
  const auto kept = share_named_locked(name);
  WARREN_CHECK(kept);
  return *kept;
}

Result<std::vector<ShareInfo>> Store::shares() {
  static const std::string kSql = fmt::format("{}WHERE {}ORDER BY name", kShareColumns, kNoEntry);
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<ShareInfo>> {
    write_changes_locked();
    std::vector<ShareInfo> shares;
    Query query = database_->query(kSql);
    while (query.step()) shares.push_back(read_share(query));
    return shares;
  });
}

std::optional<ShareInfo> Store::share_named_locked(std::string_view name) {
  static const std::string kSql = fmt::format("{}WHERE shares.name = ?", kShareColumns);
  Query query = database_->query(kSql);
  if (!query.with(name).step()) return std::nullopt;
  return read_share(query);
}

std::optional<ShareInfo> Store::share_locked(std::int64_t id) {
  static const std::string kSql = fmt::format("{}WHERE shares.id = ?", kShareColumns);
  Query query = database_->query(kSql);
  if (!query.with(id).step()) return std::nullopt;
  return read_share(query);
}

std::vector<ShareInfo> Store::places_locked(const Cid& root) {
  static const std::string kSql =
      fmt::format("{}WHERE datasets.root = ? ORDER BY 8, shares.id", kShareColumns);
  std::vector<ShareInfo> places;
  Query query = database_->query(kSql);
  query.with(root.to_bytes());
  while (query.step()) places.push_back(read_share(query));
  return places;
}

Result<std::vector<ShareInfo>> Store::places(const Cid& root) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<ShareInfo>> {
    write_changes_locked();
    return places_locked(root);
  });
}

Result<ShareInfo> Store::find_share_locked(std::string_view name_or_cid) {
  static const std::string kByRoot =
      fmt::format("{}WHERE datasets.root = ? AND {}ORDER BY 8, shares.id", kShareColumns, kNoEntry);
  if (!name_or_cid.starts_with('/')) {
    if (auto named = share_named_locked(name_or_cid)) return std::move(*named);
  }
  if (const auto root = Cid::parse(name_or_cid)) {
    Query query = database_->query(kByRoot);
    if (query.with(root->to_bytes()).step()) return read_share(query);
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

Result<ShareInfo> Store::find_entry(std::string_view id) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<ShareInfo> {
    write_changes_locked();
    auto entry = share_named_locked(entry_name(id));
    if (!entry) return no_entry(id);
    return std::move(*entry);
  });
}

void Store::forget_share_locked(const ShareInfo& info) {
  database_->query("DELETE FROM shares WHERE id = ?").with(info.id).run();
  drop_if_unused(*database_, info.root);
  open_.erase(info.id);
}

Result<ShareInfo> Store::unshare(std::string_view name_or_cid) {
  return change_shares<ShareInfo>([&]() -> Result<ShareInfo> {
    WARREN_TRY(ShareInfo info, find_share_locked(name_or_cid));
    forget_share_locked(info);
    return info;
  });
}

Result<> Store::remove_entry(std::string_view id) {
  return change_shares<void>([&]() -> Result<> {
    const auto info = share_named_locked(entry_name(id));
    if (!info) return no_entry(id);
    forget_share_locked(*info);
    return {};
  });
}

void Store::set_audience_locked(std::int64_t share_id, const AccessRule& audience) {
  database_->query("UPDATE shares SET audience = ? WHERE id = ?")
      .with(audience.to_string())
      .with(share_id)
      .run();
}

Result<ShareInfo> Store::set_audience(std::string_view name_or_cid, const AccessRule& audience) {
  return change_shares<ShareInfo>([&]() -> Result<ShareInfo> {
    WARREN_TRY(ShareInfo info, find_share_locked(name_or_cid));
    set_audience_locked(info.id, audience);
    info.audience = audience;
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

}  // namespace warren::content
