#pragma once
// The book of peers on disk: one SQLite file of its own. Every call blocks: the worker pool's.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "peers/peer_book.hpp"

namespace warren::storage {
class Database;
}

namespace warren::peers {

using BookSecret = std::array<std::uint8_t, 32>;

/// What is to be written, copied out of the book.
struct StoreBatch {
  bool all = false;  ///< Everything there is goes first.
  std::vector<Peer> peers;
  std::vector<PeerId> peers_gone;
  std::vector<NameEntry> names;
  std::vector<std::string> names_gone;
  std::vector<Ban> bans;
  std::vector<std::variant<PeerId, resources::Prefix>> bans_gone;
  /// save() waits until the disk has it, so that a loss of power does not undo it.
  bool durable = false;

  bool empty() const;
};

/// Copies the present state of all that is named in `changes`; on the core thread.
StoreBatch snapshot(const PeerBook& book, const BookChanges& changes);

/// What was in the store.
struct LoadedPeers {
  std::vector<Peer> peers;
  std::vector<Ban> bans;
  std::vector<NameEntry> names;
  std::size_t skipped = 0;  ///< Rows that are damaged, too large or too many.
};

/// Any thread, one call at a time.
class PeerStore {
 public:
  /// Opens `path`, making it with mode 0600 if it is not there; ":memory:" for one that is gone at
  /// the end. `new_secret` becomes its secret if it has none.
  /// Errors: kUnsupported when a newer Warren made it, kMalformed when it is damaged; both leave it
  /// as it is. kNotFound, kDenied, kNoSpace, kIo; kConflict when another program writes to it.
  static Result<std::unique_ptr<PeerStore>> open(const std::string& path,
                                                 const limits::Peers& limits,
                                                 const BookSecret& new_secret);
  ~PeerStore();
  PeerStore(const PeerStore&) = delete;
  PeerStore& operator=(const PeerStore&) = delete;

  const BookSecret& secret() const { return secret_; }
  const std::string& path() const;

  /// Everything, within the limits. A damaged row is skipped and counted. Errors: kIo, kMalformed
  /// when a table cannot be read at all.
  Result<LoadedPeers> load();
  /// Writes `batch` as one transaction: all of it or nothing. It survives the end of the process at
  /// any moment; a loss of power only if `batch.durable`, or if a later one was.
  /// Errors: kNoSpace, kIo, kConflict; nothing has changed then.
  Result<> save(const StoreBatch& batch);
  Result<> save_peer(const Peer& peer);
  /// Its names too; a ban stays. No error when it is not there.
  Result<> remove_peer(const PeerId& peer);

 private:
  PeerStore(const limits::Peers& limits, std::unique_ptr<storage::Database> database);
  Result<> take_secret(const BookSecret& new_secret);

  limits::Peers limits_;
  BookSecret secret_{};
  std::mutex mutex_;
  std::unique_ptr<storage::Database> database_;
};

}  // namespace warren::peers
