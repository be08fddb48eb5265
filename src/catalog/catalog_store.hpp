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
  /// Different roots that are listed under this id, by anyone: more than one, and peers disagree.
  std::uint64_t roots_count = 0;
  /// Those that were seen last, at most kPeersListedMax.
  std::vector<PeerId> peers;
  WallTime last_seen{};  ///< Of any of them.
};
inline constexpr std::size_t kPeersListedMax = 64;

struct CatalogPage {
  std::vector<CatalogEntry> entries;  ///< In the order of ids, then roots.
  std::uint64_t total = 0;            ///< That match.
};

/// A topic of entries that are listed.
struct TopicCount {
  std::string topic;
  std::uint64_t entries = 0;  ///< Different ids.
};

/// Topics that a person wants to have.
struct Subscription {
  std::string pattern;     ///< check_topic_pattern().
  bool on_demand = false;  ///< Nothing is fetched by itself.
  WallTime since{};
};

/// An entry that this node fetched by itself.
struct Replica {
  std::string id;
  PeerId peer;  ///< Whose listing it follows.
  Cid root;     ///< What was fetched.
};

/// One peer's listing of an entry.
struct Offer {
  PeerId peer;
  Listing listing;
  WallTime last_seen{};
  std::int64_t known_as = 0;  ///< Who was known before has the lower number.
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
  /// In the order of topics; entries without one do not count.
  Result<std::vector<TopicCount>> topics(std::size_t limit, std::uint64_t offset);
  /// The first `count` entries of `peer` after `after`, in the order of ids.
  Result<std::vector<Listing>> entries_of(const PeerId& peer, std::string_view after,
                                          std::size_t count);

  // ------------------------------------------------------------------ what a person wants

  /// In place of what it said before. Errors: kInvalidArgument for a pattern that is none;
  /// kLimited.
  Result<> subscribe(const Subscription& subscription);
  /// Errors: kNotFound.
  Result<> unsubscribe(std::string_view pattern);
  /// In the order of patterns.
  Result<std::vector<Subscription>> subscriptions();

  // --------------------------------------------------------- what a node fetches by itself

  /// The first `count` ids after `after`, in their order, that `own` does not list and others do
  /// with a root, under a topic that `topic` (check_topic_pattern(); empty: any) matches.
  Result<std::vector<std::string>> lacking(const PeerId& own, const std::string& topic,
                                           std::string_view after, std::size_t count);
  Result<> put_replica(const Replica& replica);
  Result<> forget_replica(std::string_view id);
  /// The first `count` after the id `after`, in order of id.
  Result<std::vector<Replica>> replicas(std::string_view after, std::size_t count);
  /// Of the first `count` ids after `after`, those of which the peer that they follow lists another
  /// root by now: what is here, and what it lists.
  struct Outdated {
    Replica replica;
    Listing listing;
  };
  Result<std::vector<Outdated>> outdated(std::string_view after, std::size_t count);

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
  /// Adds the staged entries to row.known; false when one of them is none.
  bool count_staged(Row& row);
  void put_staged(const Row& row);
  bool apply_snapshot(Row& row, const CatalogWrite& write);
  bool apply_delta(Row& row, const CatalogWrite& write);
  void save(const Row& row, WallTime now);
  std::optional<CatalogEntry> entry_of(const std::string& id, const Bytes& root);
  std::uint64_t roots_of(const std::string& id);

  limits::Catalog limits_;
  std::mutex mutex_;
  std::unique_ptr<storage::Database> database_;
};

}  // namespace warren::catalog
