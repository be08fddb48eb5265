#pragma once
// Decides what of the library folders is to be looked at, walked, hashed and written down, and
// when. A state machine without I/O: LibraryService drives it. What the disk said goes in, jobs
// come out.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "library/library_index.hpp"
#include "library/look.hpp"

namespace warren::library {

struct LibraryTimes {
  /// Every folder is scanned so often, besides what its watch tells. Source: row LA18.
  Duration scan_interval = 300s;
  /// After the first news of an entry it is looked at, so that what comes together is one look.
  Duration settle = 100ms;
  /// An entry is hashed when nothing was heard of it for so long: it is being copied.
  Duration quiet = 2s;
  /// After a look, a walk or a hash that failed: doubles from the least to the most.
  Duration retry_min = 2s;
  Duration retry_max = 5min;
};

// What is to be done, on the pool. Each job ends with the call of the same name.
namespace jobs {
/// The names in a library folder: names_found() or names_failed().
struct ListNames {
  FolderId folder = 0;
};
/// looked(), one for each.
struct LookAt {
  FolderId folder = 0;
  std::vector<std::string> ids;
  /// Of each: its fingerprint when all that a look says was taken over; zeros: all is to be said.
  std::vector<Digest> known;
};
/// measured() or failed().
struct MeasureEntry {
  FolderId folder = 0;
  std::string id;
};
/// Import it: hashed() or failed().
struct HashEntry {
  FolderId folder = 0;
  std::string id;
};
/// Into the index: written().
struct Write {
  IndexBatch batch;
  bool published = false;    ///< Peers see it: it is a new revision.
  std::uint64_t number = 0;  ///< Of that revision: what next() was told.
};
}  // namespace jobs
using LibraryJob =
    std::variant<jobs::ListNames, jobs::LookAt, jobs::MeasureEntry, jobs::HashEntry, jobs::Write>;

/// What of an entry is under way, for a person.
enum class EntryWork : std::uint8_t {
  kNothing,
  kWaiting,
  kLooking,
  kMeasuring,
  kHashing,
  kOperation
};
std::string_view work_name(EntryWork work) noexcept;

/// See the head of the file. Every call may come at any time; news of what is not known is ignored.
class LibraryMachine {
 public:
  explicit LibraryMachine(LibraryTimes times = {}, limits::Library limits = {});

  // ---------------------------------------------------------------------------- what happened

  /// A folder of the index or a new one, with the entries that the index has of it. All of them are
  /// looked at; what is as it was costs nothing more. The first scan after it walks all of them,
  /// for what changed deep down while nobody looked.
  void add_folder(const Folder& folder, std::vector<IndexedEntry> entries, TimePoint now);
  /// More entries of folders that were added, before next() is called for the first time.
  void restore(std::vector<IndexedEntry> entries);
  /// Other settings: the entries are listed anew by what is known.
  void change_folder(const Folder& folder, TimePoint now);
  /// Its entries go; done when size_of() is 0.
  void remove_folder(FolderId folder, TimePoint now);
  void names_found(FolderId folder, std::vector<std::string> ids, TimePoint now);
  void names_failed(FolderId folder, Error error, TimePoint now);
  /// The watch says: names came or went in the folder itself.
  void names_changed(FolderId folder, TimePoint now);
  /// Something in the entry changed, however deep.
  void touched(FolderId folder, std::string_view id, TimePoint now);
  /// News were lost: all is to be looked at and walked.
  void news_lost(FolderId folder, TimePoint now);
  /// A watch tells of the folder from now on. What changed before is looked for, and walked where
  /// this was walked before there was a watch; the rest of it is left to the next scan.
  void watch_began(FolderId folder, TimePoint now);
  /// Whether the folder's watch covers all of it: then a scan needs no walks, but for the first.
  void set_watched(FolderId folder, bool whole);
  void looked(FolderId folder, const std::string& id, Result<Look> look, TimePoint now);
  void measured(FolderId folder, const std::string& id, Result<Measure> measure, TimePoint now);
  void hashed(FolderId folder, const std::string& id, Result<Cid> root, TimePoint now);
  /// The batch of the last Write is on disk, or is not: then it is written again later.
  void written(bool success, TimePoint now);
  /// An operation (download, install) works on the entry: what the disk says of it in between is
  /// ignored, and nothing is hashed. Nests. Afterwards it is looked at and walked.
  void operation_began(std::string_view id);
  void operation_ended(std::string_view id, TimePoint now);
  /// A person asks: all of the folder is scanned and walked.
  void scan_now(FolderId folder, TimePoint now);

  // ---------------------------------------------------------------------------- what to do

  /// Jobs that may begin now. At most one of each kind is under way, of lists one a folder, of
  /// looks a few. `number`: of the revision that a Write would make.
  std::vector<LibraryJob> next(TimePoint now, std::uint64_t number);
  /// When next() may have something without an event; kNever.
  TimePoint next_wake() const;

  // ---------------------------------------------------------------------------- to look at

  struct View {
    const IndexedEntry* entry = nullptr;
    EntryWork work = EntryWork::kNothing;
    std::string problem;  ///< Why it could not be looked at or hashed; empty when it could.
  };
  std::optional<View> find(std::string_view id) const;
  /// In order of id.
  std::vector<View> of_folder(FolderId folder) const;
  std::size_t size_of(FolderId folder) const;
  std::size_t size() const { return entries_.size(); }
  /// Names that are left out of a folder, and why: another folder has the name, too many.
  const std::map<std::string, std::string>& left_out(FolderId folder) const;
  const std::string& problem(FolderId folder) const;
  /// Whether something is not in the index yet.
  bool has_unwritten() const { return writing_ || !dirty_.empty() || !removed_.empty(); }
  /// Everything is looked at, walked, hashed and written, but for what fails.
  bool is_settled() const;
  void check_invariants() const;

 private:
  struct FolderState {
    Folder folder;
    bool removing = false;
    bool whole_watched = false;
    bool walked = false;      ///< All of it was walked at least once.
    bool listing = false;     ///< A ListNames job runs.
    bool list_wanted = true;  ///< Something asked for the names; else it is the time of a scan.
    bool look_all = true;     ///< With the names, all entries are looked at.
    bool walk_all = false;    ///< And walked.
    TimePoint list_at{};      ///< When the names are read next.
    TimePoint scan_at{};      ///< When they are, and all entries are looked at.
    std::uint32_t failures = 0;
    std::string problem;
    std::map<std::string, std::string> left_out;
    std::set<std::string, std::less<>> ids;
  };
  struct EntryState {
    IndexedEntry entry;
    bool in_index = false;
    bool published_dirty = false;   ///< Peers see another listing than the index has.
    bool walked_unwatched = false;  ///< Changes since its last walk may not have been told.
    // When it is to be done; unset: not. The queues below hold the same.
    std::optional<TimePoint> look_at;
    std::optional<TimePoint> walk_at;
    std::optional<TimePoint> hash_at;
    EntryWork doing = EntryWork::kNothing;
    bool touched = false;    ///< News came while something was being done.
    TimePoint quiet_from{};  ///< When the last news came.
    std::uint32_t failures = 0;
    std::string problem;
    bool looked = false;      ///< Since the start.
    bool look_whole = false;  ///< Something may have changed that the fingerprint does not show.
    bool intent_log = false;  ///< Look::in_operation of the last look.
    Digest fingerprint;       ///< Of the last look.
  };
  using EntryMap = std::map<std::string, EntryState, std::less<>>;
  using Queue = std::set<std::pair<TimePoint, std::string>>;

  FolderState* folder_of(FolderId folder);
  EntryState* entry_of(FolderId folder, std::string_view id);
  static void want_names(FolderState& folder, TimePoint at);
  static const std::string& id_of(const EntryState& entry) {
    return entry.entry.published.listing.id;
  }
  bool in_operation(const EntryState& entry) const;
  static void set_when(Queue& queue, EntryState& entry, std::optional<TimePoint>& field,
                       std::optional<TimePoint> when);
  void want_look(EntryState& entry, TimePoint at);
  void want_walk(EntryState& entry, TimePoint at);
  void stop_wanting(EntryState& entry);
  bool finish(EntryState& entry, TimePoint now);
  void relist(EntryState& entry, TimePoint now, const Look* look = nullptr);
  void fail_entry(EntryState& entry, const Error& error, TimePoint now);
  void add_entry(FolderState& folder, const std::string& id, TimePoint now);
  void remove_entry(FolderState& folder, const std::string& id, TimePoint now);
  Duration backoff(std::uint32_t failures) const;
  void take_lists(TimePoint now, std::vector<LibraryJob>& out);
  void take_looks(TimePoint now, std::vector<LibraryJob>& out);
  void take_walk(TimePoint now, std::vector<LibraryJob>& out);
  void take_hash(TimePoint now, std::vector<LibraryJob>& out);
  void take_write(TimePoint now, std::uint64_t number, std::vector<LibraryJob>& out);

  LibraryTimes times_;
  limits::Library limits_;
  std::map<FolderId, FolderState> folders_;
  EntryMap entries_;
  Queue looks_;
  Queue walks_;
  Queue hashes_;
  std::set<std::string> dirty_;    ///< To be written.
  std::set<std::string> removed_;  ///< Gone, and still in the index.
  std::map<std::string, std::uint32_t, std::less<>> operations_;
  std::size_t looking_ = 0;  ///< Entries in LookAt jobs.
  bool walking_ = false;
  bool hashing_ = false;
  bool writing_ = false;
  std::set<std::string> in_write_;
  std::set<std::string> removed_in_write_;
  TimePoint write_at_{};  ///< Not before.
  std::uint32_t write_failures_ = 0;
};

}  // namespace warren::library
