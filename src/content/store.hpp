#pragma once
// What this node has and what it is fetching, in one SQLite file: shares and entries of libraries
// and where they lie, the
// nodes of their trees, the stamps of their files, and transfers. Schema: migrations/, README.md.

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "content/dataset.hpp"
#include "content/importer.hpp"
#include "content/tree.hpp"
#include "peers/access_rule.hpp"

namespace warren::storage {
class Database;
}

namespace warren::content {

enum class ShareState : std::uint8_t {
  kReady,    ///< Every file was as hashed when last looked at.
  kChanged,  ///< Some file is not; its leaves are refused until the share is hashed again.
};
/// "ready", "changed".
std::string_view share_state_name(ShareState state) noexcept;

struct ShareInfo {
  std::int64_t id = 0;
  std::string name;  ///< Of an entry of a library "/" and its id, of a transfer "//" and its id.
  Cid root;
  std::string path;  ///< Absolute.
  WallTime added_at;
  ShareState state = ShareState::kReady;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t files_changed = 0;
  /// Of an entry nobody: who may fetch it is the library's to say, each time.
  peers::AccessRule audience;

  /// Of an entry of a library; empty: it is none.
  std::string_view entry_id() const;
  /// What a peer is told that it is called: an entry its id, a completed transfer the last name of
  /// its path.
  std::string_view shared_as() const;
};

enum class TransferState : std::uint8_t { kActive, kPaused, kCompleted, kFailed };
/// "active", "paused", "completed", "failed".
std::string_view transfer_state_name(TransferState state) noexcept;

/// What the store keeps of one transfer. Chunks are the leaves of the tree.
struct TransferRecord {
  std::int64_t id = 0;  ///< Given by add_transfer().
  Cid root;
  std::string name;
  std::string out_path;        ///< Where it will stand when complete; absolute.
  std::string temporary_path;  ///< Where it is being written; absolute.
  TransferState state = TransferState::kActive;
  std::uint64_t bytes_total = 0;  ///< 0 until the tree is known.
  std::uint64_t bytes_done = 0;
  WallTime created_at;
  WallTime finished_at;                       ///< 1970 while it is not.
  std::optional<Error> error;                 ///< Why it is paused or failed.
  std::vector<std::string> sources;           ///< Peer ids, as text.
  std::optional<peers::AccessRule> audience;  ///< Who may fetch what is here; unset: nobody.
  bool background = false;                    ///< The node itself wants it, and nobody waits.
};

/// One connection to the database, behind one mutex. Any thread; every call blocks, so the pool's.
/// Each call that changes something is one transaction: after a kill at any moment either all of
/// it happened or nothing.
class Store {
 public:
  /// Opens or makes the database at `path` (":memory:" for a test) and brings its schema up to
  /// date. Errors: kUnsupported (made by a newer Warren; left as it is), kMalformed (no database,
  /// or damaged), kConflict (locked by another process), kNotFound (no such folder), kDenied,
  /// kNoSpace.
  static Result<std::unique_ptr<Store>> open(const std::string& path, limits::Content limits = {});
  ~Store();

  // ------------------------------------------------------------------------------- shares

  /// Remembers `imported` under `name`. The same path under the same name is brought up to date.
  /// Without an `audience` the one that it had stays; of a new share it is the LAN.
  /// Errors: kConflict (the name is taken by another path), kInvalidArgument (not a name),
  /// kNotFound (`nodes` is empty and add_tree() was not called), kNoSpace, kIo.
  Result<ShareInfo> add_share(const std::string& name, const Imported& imported, WallTime now,
                              const std::optional<peers::AccessRule>& audience = std::nullopt);
  /// In order of name.
  Result<std::vector<ShareInfo>> shares();
  /// By name, or by CID in any text form. Errors: kNotFound.
  Result<ShareInfo> find_share(std::string_view name_or_cid);
  /// Forgets the share; the files are not touched. Errors: kNotFound.
  Result<ShareInfo> unshare(std::string_view name_or_cid);
  /// Errors: kNotFound.
  Result<ShareInfo> set_audience(std::string_view name_or_cid, const peers::AccessRule& audience);

  // Entries of libraries are served as shares are, but the calls above do not know them.

  /// Remembers `imported` as the entry `id`, in place of what it was before, wherever that lay.
  /// Errors: as add_share(), without kConflict.
  Result<ShareInfo> add_entry(const std::string& id, const Imported& imported, WallTime now);
  /// Errors: kNotFound.
  Result<ShareInfo> find_entry(std::string_view id);
  /// The files are not touched. Errors: kNotFound.
  Result<> remove_entry(std::string_view id);

  // Completed transfers too, until remove_transfer().

  /// Remembers where the dataset of a transfer lies. Errors: as add_entry().
  Result<> add_finished(std::int64_t transfer_id, const Imported& imported,
                        const peers::AccessRule& audience, WallTime now);
  /// Its dataset is not served any more. None is no error.
  Result<> remove_finished(std::int64_t transfer_id);

  // Of all of them.

  /// Where the dataset lies, and who may fetch it from there; those with the fewest changed files
  /// first. Empty when it is neither shared nor an entry.
  Result<std::vector<ShareInfo>> places(const Cid& root);
  /// Another number after each change of what places() gives. Any thread, without waiting.
  std::uint64_t generation() const noexcept { return generation_; }
  /// What was imported, for ImportOptions::previous: without nodes, and without the stamps of
  /// files that were found changed. Errors: kNotFound.
  Result<std::shared_ptr<const Imported>> imported(std::int64_t share_id);
  /// Entries of the share's tree that were found changed. add_share() of a new import clears it.
  Result<> mark_changed(std::int64_t share_id, const std::vector<std::size_t>& entries);

  // ----------------------------------------------------------------------- trees and leaves

  /// Keeps the nodes of a dataset that is being fetched. They stay until no share and no transfer
  /// has this root. Errors: kMalformed and the others of TreeReader.
  Result<> add_tree(const Cid& root, const std::vector<NodeBlock>& nodes);
  /// Errors: kNotFound.
  Result<std::shared_ptr<const Tree>> tree(const Cid& root);
  /// A share or entry of this dataset, open for reading. Errors: kNotFound.
  Result<std::shared_ptr<const Dataset>> open_dataset(const Cid& root);
  /// One particular share or entry, open for reading. Errors: kNotFound.
  Result<std::shared_ptr<const Dataset>> open_share(std::int64_t share_id);
  /// Number of node blocks of a dataset. Errors: kNotFound.
  Result<std::uint64_t> node_count(const Cid& root);
  /// Nodes from number `first` on, parents before children, until `count` or `bytes_max` is
  /// reached, but at least one. A root that is a leaf is its own only node, read from its file.
  /// Errors: kNotFound.
  Result<std::vector<NodeBlock>> nodes(const Cid& root, std::uint64_t first, std::uint64_t count,
                                       std::size_t bytes_max);
  /// One node of the tree of `root`, or the root itself. Errors: kNotFound.
  Result<Bytes> read_node(const Cid& root, const Cid& cid);

  // ----------------------------------------------------------------------------- transfers

  /// Returns its id. Ids grow and are never used again.
  Result<std::int64_t> add_transfer(const TransferRecord& record);
  /// Writes all fields except id and created_at. Errors: kNotFound.
  Result<> update_transfer(const TransferRecord& record);
  /// Chunks that are verified and written: bit n of the bitmap is leaf n, in byte n / 8, lowest
  /// bit first. Errors: kNotFound.
  Result<> update_transfer_bitmap(std::int64_t id, BytesView bitmap, std::uint64_t bytes_done);
  Result<Bytes> transfer_bitmap(std::int64_t id);
  Result<TransferRecord> transfer(std::int64_t id);
  /// Oldest first.
  Result<std::vector<TransferRecord>> transfers();
  /// Errors: kNotFound.
  Result<> remove_transfer(std::int64_t id);

 private:
  struct CachedTree {
    std::shared_ptr<const Tree> tree;
    std::size_t bytes = 0;
  };
  struct DatasetRow {
    std::int64_t id = 0;
    std::uint64_t bytes = 0;
  };

  Store(std::unique_ptr<storage::Database> database, limits::Content limits);
  // Names that end in _locked need mutex_, and SQLite's exceptions pass through them.
  template <class T, class F>
  Result<T> change_shares(F change);
  Result<ShareInfo> keep_share_locked(const std::optional<ShareInfo>& known,
                                      const std::string& name, const Imported& imported,
                                      WallTime now,
                                      const std::optional<peers::AccessRule>& audience);
  void forget_share_locked(const ShareInfo& info);
  void set_audience_locked(std::int64_t share_id, const peers::AccessRule& audience);
  Result<ShareInfo> find_share_locked(std::string_view name_or_cid);
  std::optional<ShareInfo> share_named_locked(std::string_view name);
  std::optional<ShareInfo> share_locked(std::int64_t id);
  std::vector<ShareInfo> places_locked(const Cid& root);
  std::optional<DatasetRow> dataset_locked(const Cid& root);
  Result<std::int64_t> keep_dataset_locked(const Tree& tree, const std::vector<NodeBlock>& nodes);
  Result<std::shared_ptr<const Dataset>> open_first(std::vector<ShareInfo> candidates);
  std::vector<runtime::FileStamp> stamps_locked(std::int64_t share_id, std::size_t entries);
  void mark_changed_locked(std::int64_t share_id, std::size_t entry);
  void write_changes_locked();
  std::shared_ptr<const Tree> cached_locked(const Cid& root);
  void cache_locked(const std::shared_ptr<const Tree>& tree);

  std::mutex mutex_;
  limits::Content limits_;
  std::unique_ptr<storage::Database> database_;
  std::list<CachedTree> cache_;  ///< Last used first.
  std::unordered_map<Cid, std::list<CachedTree>::iterator> cached_;
  std::size_t cache_bytes_ = 0;
  std::atomic<std::uint64_t> generation_{0};
  std::unordered_map<std::int64_t, std::weak_ptr<const Dataset>> open_;  ///< By share.
  std::shared_ptr<ChangeLog> changes_ = std::make_shared<ChangeLog>();
};

}  // namespace warren::content
