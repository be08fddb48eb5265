#include "library/library_index.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "content/path_rules.hpp"

namespace warren::library {
namespace {

using storage::Database;
using storage::Query;
using storage::Survives;
using storage::Transaction;

constexpr std::string_view kMigrations[] = {
#include "library/migrations.inc"
};
constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kValueBytesMax = 1u << 20;

Result<PeerId> no_names(std::string_view word) {
  return fail(ErrorCode::kMalformed, fmt::format("'{}' is no peer id", word));
}

std::optional<Digest> digest_in(const Query& row, int column) {
  const BytesView bytes = row.blob(column, 32);
  if (bytes.size() != 32) return std::nullopt;
  Digest digest;
  std::ranges::copy(bytes, digest.bytes.begin());
  return digest;
}

/// The columns of `folders`, in order; unset when they make no sense.
std::optional<Folder> folder_in(const Query& row) {
  Folder folder;
  folder.id = row.integer(0);
  folder.settings.path = row.text(1);
  folder.settings.sentinel.file = row.text(2);
  const std::uint32_t format = row.natural32(3);
  folder.settings.sentinel.required = row.flag(4);
  folder.settings.topic = row.text(5);
  const auto audience = peers::AccessRule::parse(row.text(6), no_names);
  folder.added_at = row.time(7);
  folder.inode = row.bits(8);
  const bool good = folder.settings.path.starts_with('/') &&
                    folder.settings.path.size() <= kPathBytesMax &&
                    format <= static_cast<std::uint32_t>(SentinelFormat::kKeys) && audience &&
                    check_topic(folder.settings.topic);
  if (!good) return std::nullopt;
  folder.settings.sentinel.format = static_cast<SentinelFormat>(format);
  folder.settings.audience = *audience;
  return folder;
}

constexpr std::string_view kEntryColumns =
    "id, folder_id, name, version, topic, bytes, files, manifest, root, downloaded, installed, "
    "availability, added_at, changed_at, fingerprint, stamps, hashed_stamps";

/// The columns of kEntryColumns; unset when they make no sense.
std::optional<IndexedEntry> entry_in(const Query& row) {
  IndexedEntry entry;
  Listing& listing = entry.published.listing;
  listing.id = row.text(0);
  entry.folder = row.integer(1);
  listing.name = row.text(2);
  listing.version = row.text(3);
  listing.topic = row.text(4);
  listing.bytes = row.natural(5);
  listing.files = row.natural(6);
  const auto manifest = digest_in(row, 7);
  if (!row.is_null(8)) {
    const auto root = Cid::from_bytes(row.blob(8, 64));
    if (!root) return std::nullopt;
    listing.root = *root;
  }
  listing.downloaded = row.flag(9);
  listing.installed = row.flag(10);
  const std::uint32_t availability = row.natural32(11);
  entry.published.added_at = row.natural(12);
  entry.published.changed_at = row.natural(13);
  const auto fingerprint = digest_in(row, 14);
  const auto stamps = digest_in(row, 15);
  const auto hashed_stamps = digest_in(row, 16);
  const bool good = manifest && fingerprint && stamps && hashed_stamps &&
                    availability <= static_cast<std::uint32_t>(Availability::kHashing) &&
                    entry.published.added_at <= entry.published.changed_at;
  if (!good) return std::nullopt;
  listing.availability = static_cast<Availability>(availability);
  listing.manifest = *manifest;
  entry.fingerprint = *fingerprint;
  entry.stamps = *stamps;
  entry.hashed_stamps = *hashed_stamps;
  if (!check_listing(listing)) return std::nullopt;
  return entry;
}

}  // namespace

LibraryIndex::LibraryIndex(std::unique_ptr<Database> database, limits::Library limits)
    : limits_(limits), database_(std::move(database)) {}

Result<std::unique_ptr<LibraryIndex>> LibraryIndex::open(const std::string& path,
                                                         std::uint64_t new_epoch,
                                                         limits::Library limits) {
  WARREN_TRY(auto database,
             Database::open(path, {.what = "library database",
                                   .migrations = kMigrations,
                                   .survives = Survives::kPowerLoss,
                                   .damaged_hint = "move the file away and add the library folders "
                                                   "again: nothing in them is lost",
                                   .value_bytes_max = kValueBytesMax}));
  std::unique_ptr<LibraryIndex> index(new LibraryIndex(std::move(database), limits));
  WARREN_TRY_VOID(index->database_->guarded([&]() -> Result<> {
    index->database_
        ->query(
            "INSERT OR IGNORE INTO revision(one, epoch, number, complete_since) VALUES(1, ?, 1, 1)")
        .with(new_epoch)
        .run();
    return {};
  }));
  return index;
}

Result<LibraryIndex::Content> LibraryIndex::load() {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<Content> {
    Content content;
    {
      Query row = database_->query("SELECT epoch, number, complete_since FROM revision");
      if (!row.step()) return fail(ErrorCode::kMalformed, "the library database has no revision");
      content.revision = {row.bits(0), row.natural(1)};
      content.complete_since = row.natural(2);
    }
    std::map<FolderId, std::size_t> folders;
    {
      Query row = database_->query(
          "SELECT id, path, sentinel_file, sentinel_format, sentinel_required, topic, audience, "
          "added_ns, inode FROM folders ORDER BY id");
      while (row.step()) {
        auto folder = folder_in(row);
        if (!folder || content.folders.size() == limits_.folders_max) {
          ++content.skipped;
          continue;
        }
        folders.emplace(folder->id, content.folders.size());
        content.folders.push_back(std::move(*folder));
      }
    }
    {
      Query row = database_->query("SELECT folder_id, entry, version FROM expected");
      while (row.step()) {
        const auto folder = folders.find(row.integer(0));
        if (folder == folders.end()) continue;
        auto& expected = content.folders[folder->second].settings.expected;
        auto entry = row.text(1, kIdBytesMax);
        auto version = row.text(2, kVersionBytesMax);
        if (!entry || !version || expected.size() == limits_.expected_max) continue;
        expected.emplace(std::move(*entry), std::move(*version));
      }
    }
    // One more than the bound: the set sees by it where deltas begin.
    Query row = database_->query(
        "SELECT id, audience, removed_at FROM removed ORDER BY removed_at DESC LIMIT ?");
    row.with(limits_.removed_max + 1);
    while (row.step()) {
      const auto audience = peers::AccessRule::parse(row.text(1), no_names);
      const std::uint64_t removed_at = row.natural(2);
      if (!audience || removed_at > content.revision.number || !content::check_name(row.text(0))) {
        ++content.skipped;
        continue;
      }
      content.removed.push_back({row.text(0), *audience, removed_at});
    }
    return content;
  });
}

Result<LibraryIndex::Page> LibraryIndex::load_entries(const Content& content,
                                                      std::string_view after, std::size_t count) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<Page> {
    Page page;
    Query row = database_->query(
        fmt::format("SELECT {} FROM entries WHERE id > ? ORDER BY id LIMIT ?", kEntryColumns));
    row.with(after).with(count);
    std::size_t rows = 0;
    for (; row.step(); ++rows) {
      page.last = row.text(0);
      auto entry = entry_in(row);
      const auto folder = std::ranges::find_if(
          content.folders, [&](const Folder& known) { return entry && known.id == entry->folder; });
      if (folder == content.folders.end() ||
          entry->published.changed_at > content.revision.number) {
        ++page.skipped;
        continue;
      }
      entry->published.rule = folder->settings.audience;
      page.entries.push_back(std::move(*entry));
    }
    // A damaged file may have them in any order: it is not read for ever.
    page.more = rows == count && page.last > after;
    return page;
  });
}

void LibraryIndex::write_expected(FolderId id, const FolderSettings& settings) {
  database_->query("DELETE FROM expected WHERE folder_id = ?").with(id).run();
  for (const auto& [entry, version] : settings.expected) {
    database_->query("INSERT INTO expected(folder_id, entry, version) VALUES(?, ?, ?)")
        .with(id)
        .with(std::string_view(entry))
        .with(std::string_view(version))
        .run();
  }
}

Result<Folder> LibraryIndex::add_folder(const FolderSettings& settings, WallTime now) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<Folder> {
    database_->set_survives(Survives::kPowerLoss);
    Transaction transaction(*database_);
    {
      Query row = database_->query("SELECT count(*), sum(path = ?) FROM folders");
      row.with(std::string_view(settings.path));
      row.step();
      if (row.natural(1) > 0) {
        return fail(ErrorCode::kExists, fmt::format("{} is a library folder", settings.path));
      }
      if (row.natural(0) >= limits_.folders_max) {
        return fail(
            ErrorCode::kLimited,
            fmt::format("there are {} library folders, the most allowed", limits_.folders_max));
      }
    }
    database_
        ->query(
            "INSERT INTO folders(path, sentinel_file, sentinel_format, sentinel_required, topic, "
            "audience, added_ns, inode) VALUES(?, ?, ?, ?, ?, ?, ?, 0)")
        .with(std::string_view(settings.path))
        .with(std::string_view(settings.sentinel.file))
        .with(static_cast<std::int64_t>(settings.sentinel.format))
        .with(settings.sentinel.required)
        .with(std::string_view(settings.topic))
        .with(std::string_view(settings.audience.to_string()))
        .with(now)
        .run();
    Folder folder{database_->last_id(), settings, now};
    write_expected(folder.id, settings);
    transaction.commit();
    return folder;
  });
}

Result<> LibraryIndex::change_folder(const Folder& folder) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    database_->set_survives(Survives::kPowerLoss);
    Transaction transaction(*database_);
    const FolderSettings& settings = folder.settings;
    // What was read by other settings is to be read again.
    database_
        ->query(
            "UPDATE entries SET fingerprint = zeroblob(32) WHERE folder_id = ?1 AND EXISTS (SELECT "
            "1 "
            "FROM folders WHERE id = ?1 AND (sentinel_file <> ?2 OR sentinel_format <> ?3 OR "
            "sentinel_required <> ?4 OR topic <> ?5))")
        .with(folder.id)
        .with(std::string_view(settings.sentinel.file))
        .with(static_cast<std::int64_t>(settings.sentinel.format))
        .with(settings.sentinel.required)
        .with(std::string_view(settings.topic))
        .run();
    const int rows = database_
                         ->query(
                             "UPDATE folders SET sentinel_file = ?, sentinel_format = ?, "
                             "sentinel_required = ?, topic = ?, audience = ?, inode = ? "
                             "WHERE id = ?")
                         .with(std::string_view(settings.sentinel.file))
                         .with(static_cast<std::int64_t>(settings.sentinel.format))
                         .with(settings.sentinel.required)
                         .with(std::string_view(settings.topic))
                         .with(std::string_view(settings.audience.to_string()))
                         .with(folder.inode)
                         .with(folder.id)
                         .run();
    if (rows == 0) return fail(ErrorCode::kNotFound, "no such library folder");
    write_expected(folder.id, settings);
    transaction.commit();
    return {};
  });
}

Result<> LibraryIndex::remove_folder(FolderId id) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    database_->set_survives(Survives::kPowerLoss);
    Transaction transaction(*database_);
    {
      Query row = database_->query("SELECT count(*) FROM entries WHERE folder_id = ?");
      row.with(id).step();
      if (row.natural(0) > 0) return fail(ErrorCode::kConflict, "the library folder has entries");
    }
    if (database_->query("DELETE FROM folders WHERE id = ?").with(id).run() == 0) {
      return fail(ErrorCode::kNotFound, "no such library folder");
    }
    transaction.commit();
    return {};
  });
}

void LibraryIndex::write_revision(Revision revision, std::uint64_t complete_since) {
  database_->query("UPDATE revision SET epoch = ?, number = ?, complete_since = ?")
      .with(revision.epoch)
      .with(revision.number)
      .with(complete_since)
      .run();
}

Result<> LibraryIndex::apply(const IndexBatch& batch, Revision revision,
                             std::uint64_t complete_since, bool published) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    database_->set_survives(published ? Survives::kPowerLoss : Survives::kKill);
    Transaction transaction(*database_);
    for (const std::string& id : batch.removed) {
      database_
          ->query(
              "INSERT OR REPLACE INTO removed(id, audience, removed_at) SELECT e.id, f.audience, ? "
              "FROM entries e JOIN folders f ON f.id = e.folder_id WHERE e.id = ?")
          .with(revision.number)
          .with(std::string_view(id))
          .run();
      database_->query("DELETE FROM entries WHERE id = ?").with(std::string_view(id)).run();
    }
    for (const IndexedEntry& entry : batch.changed) {
      const Listing& listing = entry.published.listing;
      Query insert = database_->query(
          fmt::format("INSERT OR REPLACE INTO entries({}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                      "?, ?, ?, ?, ?, ?)",
                      kEntryColumns));
      insert.with(std::string_view(listing.id))
          .with(entry.folder)
          .with(std::string_view(listing.name))
          .with(std::string_view(listing.version))
          .with(std::string_view(listing.topic))
          .with(listing.bytes)
          .with(listing.files)
          .with(BytesView(listing.manifest.bytes));
      if (listing.root) {
        insert.with(BytesView(listing.root->to_bytes()));
      } else {
        insert.with_null();
      }
      insert.with(listing.downloaded)
          .with(listing.installed)
          .with(static_cast<std::int64_t>(listing.availability))
          .with(entry.published.added_at)
          .with(entry.published.changed_at)
          .with(BytesView(entry.fingerprint.bytes))
          .with(BytesView(entry.stamps.bytes))
          .with(BytesView(entry.hashed_stamps.bytes))
          .run();
      database_->query("DELETE FROM removed WHERE id = ?").with(std::string_view(listing.id)).run();
    }
    database_->query("DELETE FROM removed WHERE removed_at <= ?").with(complete_since).run();
    write_revision(revision, complete_since);
    transaction.commit();
    return {};
  });
}

Result<> LibraryIndex::begin_epoch(Revision revision) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    database_->set_survives(Survives::kPowerLoss);
    Transaction transaction(*database_);
    database_->exec("DELETE FROM removed");
    write_revision(revision, revision.number);
    transaction.commit();
    return {};
  });
}

}  // namespace warren::library
