#pragma once
// Fetches by itself what the mode of the node asks for: entries of subscribed topics, or all.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catalog/need.hpp"
#include "library/library_service.hpp"
#include "node/entry_choice.hpp"
#include "node/replication.hpp"
#include "runtime/runtime.hpp"
#include "runtime/task_group.hpp"
#include "transfer/transfer_manager.hpp"

namespace warren::node {

using runtime::awaitable;

/// Core thread only. All that is referred to must outlive it. One entry at a time, in the
/// background. What was fetched stays, whatever the mode is then; it is replaced
/// when the peer from which it was learned lists another content, unless somebody has changed or
/// installed it here.
class Replicator {
 public:
  struct Hooks {
    /// Begins to fetch `choice` into `folder` as the entry that it is.
    std::function<awaitable<Result<transfer::TransferId>>(EntryChoice choice,
                                                          library::Folder folder)>
        fetch;
    std::function<bool(const PeerId& peer)> is_connected;
    /// The version that a library here expects of this entry; empty: none.
    std::function<std::string(std::string_view id)> expected;
  };

  Replicator(runtime::Runtime& runtime, PeerId self, catalog::CatalogStore& store,
             library::LibraryService& libraries, transfer::TransferManager& transfers, Hooks hooks);

  void start(ReplicatorSettings settings);
  /// In force at once: what is under way and not wanted any more is paused.
  void configure(ReplicatorSettings settings);
  /// There may be something to fetch: the catalog or the subscriptions have changed.
  void look_again();
  const ReplicatorView& view() const { return view_; }
  /// The folder of the settings as libraries know it: without symlinks, once it is there.
  const std::string& library() const { return library_; }
  /// Why this content of the entry `id` is not fetched; kNone: it is, or nothing is known against
  /// it.
  catalog::Reason reason(const std::string& id, const Cid& root) const;
  /// Topics of what the mode fetches; an empty one: every topic. Errors: of the database.
  awaitable<Result<std::vector<std::string>>> patterns() const;
  /// What is under way goes on when the node runs again. Cancel: unsafe.
  awaitable<void> stop();

 private:
  awaitable<void> run();
  awaitable<void> find_library();
  awaitable<Result<>> pass(std::uint64_t generation);
  awaitable<Result<library::Folder>> library_folder();
  awaitable<Result<>> consider(std::string id, library::Folder folder, std::uint64_t generation);
  awaitable<Result<>> update(catalog::CatalogStore::Outdated what, library::Folder folder,
                             std::uint64_t generation);
  Result<> postpone(const std::string& id, catalog::Reason reason);
  /// This pass leaves it alone.
  void leave(const std::string& id, catalog::Reason reason);
  bool may_update(const catalog::CatalogStore::Outdated& what, const library::Folder& folder);
  awaitable<Result<>> update_outdated(const std::vector<std::string>& wanted,
                                      library::Folder folder, std::uint64_t generation);
  awaitable<bool> fetch(EntryChoice choice, library::Folder folder, std::uint64_t generation);
  awaitable<Result<>> follow(transfer::TransferId id, std::uint64_t generation);
  awaitable<void> give_up(transfer::TransferId id, const Error& error,
                          const std::vector<PeerId>& peers);
  bool was_tried(const std::string& id, const Cid& root);
  void note_try(const std::string& id, const Cid& root);
  void note_failure(const std::string& id, catalog::Reason reason);
  void not_begun(const std::string& id, const Error& error);
  bool may_ask(const std::vector<PeerId>& peers) const;
  catalog::Reason why_not_asked(const std::vector<PeerId>& peers) const;

  runtime::Runtime& runtime_;
  PeerId self_;
  catalog::CatalogStore& store_;
  library::LibraryService& libraries_;
  transfer::TransferManager& transfers_;
  Hooks hooks_;
  ReplicatorView view_;
  std::string library_;
  std::uint64_t generation_ = 0;  ///< Of the settings.
  struct Tried {
    Cid root;
    TimePoint again{};  ///< Not before.
    unsigned times = 0;
    catalog::Reason reason = catalog::Reason::kNone;  ///< Why it failed; kNone: it has not yet.
  };
  std::map<std::string, Tried> tried_;
  struct Left {
    catalog::Reason reason = catalog::Reason::kNone;
    std::uint64_t pass = 0;
  };
  std::map<std::string, Left> left_;  ///< By id.
  std::uint64_t passes_ = 0;
  catalog::Reason problem_ = catalog::Reason::kNone;  ///< Why the last pass ended early.
  bool postponed_ = false;  ///< Something of this pass waits for the library.
  /// Peers that did not give what they list: left alone until then.
  std::map<PeerId, TimePoint> resting_;
  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;
};

/// In the words of quality statement SY-1.
catalog::Reason reason_of(const Error& error);

}  // namespace warren::node
