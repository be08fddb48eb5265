#pragma once
// What other nodes' libraries offer, kept on disk, so that it is known while they are away and that
// a peer that comes back tells only what has changed. Schema: migrations/.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "catalog/catalog_messages.hpp"
#include "catalog/subscriber.hpp"

namespace warren::storage {
class Database;
}

namespace warren::catalog {

/// A peer of which a set is kept.
struct KnownPeer {
  PeerId peer;
  Summary known;  ///< What is kept of its set.
  Mode mode = Mode::kUnspecified;
  WallTime last_seen{};
};

/// Which entries. Empty: any.
struct CatalogQuery {
  std::string topic{};    ///< check_topic_pattern().
  std::string id{};       ///< Exactly.
  std::string name{};     ///< name_matches() its name or id.
  std::size_t limit = 0;  ///< 0, or more than limits::Catalog::page_entries_max: so many.
  std::uint64_t offset = 0;
};

/// Entries of several peers that are the same: one id with one root.
struct CatalogEntry {
  Listing listing;  ///< As the peer says it that was seen last.
  std::uint64_t peers_count = 0;
  std::uint64_t ready_count = 0;  ///< Of them, those that have all of it for others.
  /// Those that were seen last, at most kPeersListedMax.
  std::vector<PeerId> peers;
  WallTime last_seen{};  ///< Of any of them.
};
inline constexpr std::size_t kPeersListedMax = 64;

struct CatalogPage {
  std::vector<CatalogEntry> entries;  ///< In the order of ids, then roots.
  std::uint64_t total = 0;            ///< That match.
};

/// One peer's listing of an entry.
struct Offer {
  PeerId peer;
  Listing listing;
  WallTime last_seen{};
};

/// Any thread, one call at a time. Every call blocks: the worker pool's. Errors of all calls:
/// kNoSpace, kIo, kConflict; nothing has changed then.
class CatalogStore {
 public:
  /// Opens `path`, making it with mode 0600 if it is not there; parts that were staged are dropped.
  /// Errors: as storage::Database::open().
  static Result<std::unique_ptr<CatalogStore>> open(const std::string& path,
                                                    limits::Catalog limits = {});
  ~CatalogStore();
  CatalogStore(const CatalogStore&) = delete;
  CatalogStore& operator=(const CatalogStore&) = delete;

  /// `peer` was there just now, in this mode: keeps it among the known ones. Returns what is kept
  /// of its set. Beyond peers_max the one that was seen longest ago goes, with its entries.
  Result<Summary> seen(const PeerId& peer, Mode mode, WallTime now);
  /// Stages a part of what `peer` has told; the last part makes all staged ones count in one
  /// transaction, together with their revision, unless the digest is another. Beyond entries_max
  /// the peers that were seen longest ago go. Errors: kLimited beyond entries_per_peer_max.
  Result<CatalogWritten> write(const PeerId& peer, const CatalogWrite& write, WallTime now);
  /// What is kept of `peer` is its set at this revision.
  Result<> adopt(const PeerId& peer, Revision revision, WallTime now);
  /// No error when it is not there.
  Result<> forget(const PeerId& peer);

  /// The one seen last first.
  Result<std::vector<KnownPeer>> peers();
  Result<Summary> known(const PeerId& peer);
  /// Errors: kInvalidArgument for a pattern of a topic that is none, or one that is too long.
  Result<CatalogPage> list(const CatalogQuery& query);
  /// Who lists `id`, the one seen last first.
  Result<std::vector<Offer>> find(std::string_view id);
  /// The first `count` entries of `peer` after `after`, in the order of ids.
  Result<std::vector<Listing>> entries_of(const PeerId& peer, std::string_view after,
                                          std::size_t count);

 private:
  /// A row of `peers`. Inside guarded(), as all of these.
  struct Row {
    std::int64_t key = 0;
    Summary known;
    std::uint64_t staged = 0;
  };
  CatalogStore(limits::Catalog limits, std::unique_ptr<storage::Database> database);
  std::optional<Row> row_of(const PeerId& peer);
  Row make_row(const PeerId& peer, WallTime now);
  void make_room(const PeerId& but);
  std::unexpected<Error> too_many(const PeerId& peer) const;
  void stage(Row& row, const CatalogWrite& write);
  void drop_staged(Row& row);
  bool apply_snapshot(Row& row, const CatalogWrite& write);
  bool apply_delta(Row& row, const CatalogWrite& write);
  void save(const Row& row, WallTime now);
  std::vector<PeerId> peers_with(const Listing& listing);

  limits::Catalog limits_;
  std::mutex mutex_;
  std::unique_ptr<storage::Database> database_;
};

}  // namespace warren::catalog
