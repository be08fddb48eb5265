#pragma once
// The libraries of one node: keeps the index true to the disk and publishes it.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "library/library_index.hpp"
#include "library/library_machine.hpp"
#include "library/library_set.hpp"
#include "runtime/runtime.hpp"
#include "runtime/task_group.hpp"
#include "runtime/tree_watch.hpp"
#include "runtime/wait_list.hpp"

namespace warren::library {

using runtime::awaitable;

struct LibraryOptions {
  std::string database;  ///< SQLite file; ":memory:" in a test.
  LibraryTimes times;
  limits::Library limits;
  /// Computes the root of the entry in the folder at the absolute path, and makes it servable.
  /// Called for one entry at a time. Must be set.
  std::function<awaitable<Result<Cid>>(std::string folder, std::string id)> hash;
  /// The entry is gone from the library: it is not served any more. Must be set.
  std::function<awaitable<void>(std::string id)> forget;
  /// Ends an operation on the entry that a process was killed in; asked for when a look finds what
  /// it left behind, for one entry at a time, and tried again after a while when it fails. The
  /// entry is in an operation meanwhile. Unset: such entries are `local_only` for ever.
  std::function<awaitable<Result<>>(std::string folder, std::string id)> recover;
  /// Watches a folder, but for what lies in `local/` and other reserved names of its entries
  /// (runtime::make_tree_watch() with is_reserved()). Unset: changes are found by scans alone.
  std::function<awaitable<Result<std::unique_ptr<runtime::TreeWatch>>>(std::string path)> watch;
};

struct FolderView {
  Folder folder;
  std::size_t entries = 0;
  std::string problem;   ///< Why it cannot be read; empty when it can.
  bool watched = false;  ///< All of it: changes show at once, not with the next scan.
  std::map<std::string, std::string> left_out;  ///< Names that are no entries, and why.
};

struct EntryView {
  IndexedEntry entry;
  std::string folder;  ///< Path of its library folder.
  EntryWork work = EntryWork::kNothing;
  std::string problem;
};

/// Core thread only. `runtime` outlives it. Call close() before destruction when open() was called.
class LibraryService {
 public:
  LibraryService(runtime::Runtime& runtime, LibraryOptions options);
  ~LibraryService();
  LibraryService(const LibraryService&) = delete;
  LibraryService& operator=(const LibraryService&) = delete;

  /// Reads the index and begins to compare it with the disk. Once. Errors: of the database.
  awaitable<Result<>> open();

  /// Begins to list the folders in `settings.path`. Returns when it is written down; the entries
  /// follow. Errors: kNotFound, kDenied, kInvalidArgument (no folder; one within another library
  /// folder, or around one), kExists, kLimited; of the database.
  awaitable<Result<Folder>> add_folder(FolderSettings settings);
  /// Other settings; the path stays. Errors: kNotFound; of the database.
  awaitable<Result<Folder>> change_folder(FolderSettings settings);
  /// Its entries go from the catalog; nothing on the disk is touched. Errors: kNotFound; of the
  /// database. Cancel: safe; call it again to end what was begun.
  awaitable<Result<Folder>> remove_folder(std::string path);
  /// In the order in which they were added.
  std::vector<FolderView> folders() const;
  /// In order of id. Errors: kNotFound.
  Result<std::vector<EntryView>> entries(std::string_view path) const;
  std::optional<EntryView> find(std::string_view id) const;
  /// The version that a folder asks for of the entry `id`, the first one that does; empty: none.
  /// Valid until the core thread goes on.
  std::string_view expected(std::string_view id) const;
  /// Of the folder that is `directory` or has it inside; null: none does. Valid until the core
  /// thread goes on.
  const FolderSettings* settings_around(std::string_view directory) const;
  /// Who may fetch what the entry at `path` was when it was last hashed. Null: nobody, as while
  /// something works on it, when it is for this machine alone, or when the entry of this id lies
  /// elsewhere. Valid until the core thread goes on.
  const peers::AccessRule* audience(std::string_view id, std::string_view path) const;

  /// Scans and walks all of the folder, or of every one when the path is empty. Returns at once.
  /// Errors: kNotFound.
  Result<> scan(std::string_view path);
  /// Waits until everything is looked at, what was left behind ended, all hashed and written.
  /// Errors: kTimedOut, kCancelled.
  awaitable<Result<>> wait_settled(TimePoint deadline);

  /// While it lives, what the disk says of the entry is not believed: something works on it.
  class Operation {
   public:
    Operation() = default;
    Operation(LibraryService& service, std::string id);
    ~Operation() { end(); }
    Operation(Operation&& other) noexcept { *this = std::move(other); }
    Operation& operator=(Operation&& other) noexcept;
    /// The entry is looked at again.
    void end();

   private:
    LibraryService* service_ = nullptr;
    std::string id_;
  };
  /// Errors: kConflict ("operation in progress") when there is one for this entry.
  Result<Operation> begin_operation(std::string id);

  /// What peers are told.
  LibrarySet& published() { return set_; }
  const LibrarySet& published() const { return set_; }

  /// Stops and waits for what is under way. Once.
  awaitable<void> close();

 private:
  struct Watched;

  awaitable<void> drive();
  void start(LibraryJob job);
  awaitable<void> list_names(FolderId folder, std::string path);
  awaitable<void> look(jobs::LookAt job, std::string path, SentinelSettings sentinel);
  void want_recovery(const std::string& path, const std::string& id);
  std::string problem_of(const LibraryMachine::View& view) const;
  awaitable<void> recover_entries();
  awaitable<void> measure_entry(FolderId folder, std::string path, std::string id);
  awaitable<void> hash_entry(FolderId folder, std::string path, std::string id);
  awaitable<void> write(jobs::Write job);
  awaitable<void> watch_folder(FolderId folder, std::string path, Watched& state);
  awaitable<void> keep_inode(FolderId folder, std::uint64_t inode);
  awaitable<Result<>> load_entries(const LibraryIndex::Content& content);
  void begin_folder(const Folder& folder);
  void end_operation(const std::string& id);
  /// One change of the index at a time.
  awaitable<Result<>> take_index();
  void give_index();
  void wake();
  const Folder* folder_at(std::string_view path) const;

  runtime::Runtime& runtime_;
  LibraryOptions options_;
  std::unique_ptr<LibraryIndex> index_;
  LibraryMachine machine_;
  LibrarySet set_;
  std::map<FolderId, Folder> folders_;
  std::map<FolderId, std::unique_ptr<Watched>> watched_;
  std::set<std::string, std::less<>> operations_;
  /// Path of the library folder, and id.
  std::deque<std::pair<std::string, std::string>> to_recover_;
  struct RecoveryFailure {
    TimePoint at{};
    std::string why;
  };
  std::map<std::string, RecoveryFailure, std::less<>> recovery_failures_;
  bool recovering_ = false;
  std::unique_ptr<runtime::Signal> wake_;
  runtime::WaitList progress_;
  bool index_taken_ = false;
  runtime::WaitList index_free_;
  std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
  bool open_ = false;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::library
