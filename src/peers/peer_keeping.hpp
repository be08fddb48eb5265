#pragma once
// Keeps a PeerBook on disk while the node runs.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>

#include "base/result.hpp"
#include "base/time.hpp"
#include "peers/peer_book.hpp"
#include "peers/peer_store.hpp"
#include "runtime/runtime.hpp"
#include "runtime/task_group.hpp"
#include "runtime/wait_list.hpp"

namespace warren::peers {

using boost::asio::awaitable;

struct KeepingConfig {
  /// One transaction in this time at most, except what flush() asks for. What a loss of the process
  /// can cost of counters and sightings.
  Duration write_interval = 2s;
  /// After a failure, the next try: doubles from the least to the most.
  Duration retry_min = 5s;
  Duration retry_max = 5min;
  /// How often the book forgets what is too old.
  Duration prune_interval = std::chrono::hours(1);
};

/// Writes the changes of a book to its store, in the pool. Core thread only. Call stop() before
/// destruction.
class BookKeeper {
 public:
  /// `runtime` and `book` must outlive the keeper. `store` may be null: then nothing is kept, and
  /// every call succeeds.
  BookKeeper(runtime::Runtime& runtime, PeerBook& book, std::shared_ptr<PeerStore> store,
             KeepingConfig config = {});
  ~BookKeeper();
  BookKeeper(const BookKeeper&) = delete;
  BookKeeper& operator=(const BookKeeper&) = delete;

  /// Puts what the store has into the book; before anything else is put there. Returns how many
  /// rows had to be skipped. Errors: as PeerStore::load(). Cancel: safe.
  awaitable<Result<std::size_t>> load();
  /// Begins to write in the background.
  void start();
  /// Does not wait for the interval.
  void save_soon();
  /// Returns when all that has changed so far is on the disk, also after a loss of power: for what
  /// a person commands. Errors: as PeerStore::save(); then all of it stays to be written, and is
  /// tried again. Cancel: the changes are still written.
  awaitable<Result<>> flush();
  /// Writes what is left and ends. Errors: as flush(); then what was not written is lost. Once.
  awaitable<Result<>> stop();

  struct Counters {
    std::uint64_t transactions = 0;
    std::uint64_t failures = 0;
  };
  const Counters& counters() const { return counters_; }
  /// Why the last write failed; unset when it did not.
  const std::optional<Error>& trouble() const { return trouble_; }

 private:
  awaitable<void> run();
  awaitable<Result<>> write(bool durable);

  runtime::Runtime& runtime_;
  PeerBook& book_;
  std::shared_ptr<PeerStore> store_;
  KeepingConfig config_;
  BookChanges pending_;    ///< Taken from the book, and not on disk.
  bool unsynced_ = false;  ///< Something was written that a loss of power may undo.
  bool writing_ = false;
  bool soon_ = false;
  std::optional<Error> trouble_;
  Duration retry_;
  Counters counters_;
  runtime::WaitList written_;
  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::peers
