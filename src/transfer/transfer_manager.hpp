#pragma once
// Moves datasets: serves what the content store holds, and fetches what a person asks for.
// Protocol /warren/data/1.0.0: docs/protocols/data.md.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "runtime/task_group.hpp"
#include "runtime/wait_list.hpp"
#include "transfer/data_messages.hpp"
#include "transfer/destination.hpp"
#include "transfer/peer_notes.hpp"
#include "transfer/rate_limit.hpp"
#include "transfer/scheduler.hpp"
#include "transfer/transfer_types.hpp"

namespace warren::swarm {
class Swarm;
}
namespace warren::content {
class Store;
}

namespace warren::transfer {

using runtime::awaitable;

struct TransferConfig {
  limits::Transfer limits;
  /// Bytes that stay free on the volume of a download. Source: quality statement TR-7.
  std::uint64_t free_bytes_min = 64u << 20;
  /// The peers that may be asked. Unset: every peer that the swarm is connected to.
  std::function<std::vector<PeerId>()> peers;
  /// Whether a person gave the key of this peer. Unset: of none.
  std::function<bool(const PeerId&)> trusted;
  /// Who may fetch what lies at `path` as the entry `id` of a library now; null, or unset: nobody.
  /// Read at once.
  std::function<const peers::AccessRule*(std::string_view id, std::string_view path)>
      entry_audience;
  /// Whether a download of `tree` may stand in `directory`, given who may have it from here; asked
  /// when the tree is known and before it gets its final name. Unset: it may.
  std::function<Result<>(std::string_view directory, const content::Tree& tree,
                         const std::optional<peers::AccessRule>& audience)>
      may_place;
  /// Whether what is complete in `directory` is served by its owner there, and so not as a
  /// transfer. Unset: never.
  std::function<bool(std::string_view directory)> has_owner;
  /// Of names directly in what stands in such a directory: whether it is the owner's own, and so no
  /// part of the dataset. No `tree` that may_place() lets stand there has one. Unset: none is.
  std::function<bool(std::string_view name)> is_owners;
  /// Whether what stands under that name in the folder takes a dataset in. Unset: nothing does.
  std::function<awaitable<bool>(std::string directory, std::string name)> takes_in;
  /// Has it take in what is whole, and on the disk, as the folder `temporary_name` beside it.
  /// Errors: then all is as before, or is brought to its end later.
  std::function<awaitable<Result<>>(std::string directory, std::string temporary_name,
                                    std::string name)>
      take_in;
  /// Told of peers; outlives the manager. Null: nobody.
  PeerNotes* notes = nullptr;
  BandwidthLimits bandwidth;
  /// Tuning of the choice of sources.
  SchedulerConfig scheduler;
  /// For tests of a full disk.
  DiskHooks disk_hooks;
};

class RemoteReader;

/// All transfers of one node. Core thread only. `runtime`, `swarm` and `store` outlive it.
class TransferManager {
 public:
  TransferManager(runtime::Runtime& runtime, swarm::Swarm& swarm, content::Store& store,
                  TransferConfig config);
  ~TransferManager();
  TransferManager(const TransferManager&) = delete;
  TransferManager& operator=(const TransferManager&) = delete;

  /// Reads the stored transfers, serves the protocol on the swarm, and goes on with what was
  /// active. Once, before anything else. Errors: of the database.
  awaitable<Result<>> open();

  /// Begins to fetch. Returns at once; wait() gives the end. The same dataset to the same place is
  /// not started twice: the id of the one under way is returned.
  /// Errors: kInvalidArgument (bad name, directory that is none), kLimited (too many transfers).
  awaitable<Result<TransferId>> start(GetRequest request);

  /// Keeps what was fetched. No error when it is paused already.
  /// Errors of these three: kNotFound; kConflict when its state does not allow it.
  awaitable<Result<>> pause(TransferId id);
  /// Goes on with a paused or failed one.
  awaitable<Result<>> resume(TransferId id);
  /// Ends it for good: removes its temporary files and forgets it. A completed one keeps its files
  /// and is only forgotten.
  awaitable<Result<>> cancel(TransferId id);

  /// From now on, also for what is under way.
  void set_bandwidth(const BandwidthLimits& limits);

  /// Oldest first.
  std::vector<Progress> list() const;
  std::optional<Progress> progress(TransferId id) const;

  /// Waits until the transfer is completed, failed, paused by a person, or gone, and returns its
  /// last progress; a pause for want of space goes on waiting. Progress::error says why it failed.
  /// Errors: kNotFound (also: cancelled meanwhile), kTimedOut, kCancelled. Cancel: safe.
  awaitable<Result<Progress>> wait(TransferId id, TimePoint deadline);

  /// Reads a dataset that peers have without keeping it: RemoteReader's constructor. It is closed
  /// before the manager.
  std::shared_ptr<RemoteReader> read(const Cid& root, std::string name, std::vector<PeerId> from,
                                     Duration wait);

  /// Asks every connected peer (or those in `from`) which datasets it shares as `name`. Answers
  /// that come before `deadline`; a peer that does not answer is left out. Cancel: safe.
  awaitable<Result<std::vector<Offer>>> find(std::string name, std::vector<PeerId> from,
                                             TimePoint deadline);

  /// Called on the core thread when a transfer changed its state, or was forgotten. Not for
  /// progress: read that with progress() as often as it is shown.
  void on_state_changed(std::function<void(TransferId)> listener);

  /// Returns when nobody is given anything of the entry in the folder `path` any more; call it when
  /// TransferConfig::entry_audience gives it to nobody.
  awaitable<void> leave(std::string path);

  /// Stops everything; what is active stays so and goes on after the next open(). Waits for files
  /// and the database. Call before destruction, when open() was called.
  awaitable<void> close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::transfer
