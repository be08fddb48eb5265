#pragma once
// A disk that is only remembered, and a LibraryMachine that works on it with an index and a set, as
// LibraryService does with the real ones. For tests of any order of events.

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "library/library_machine.hpp"
#include "library/test_support.hpp"

namespace warren::library::test {

/// What lies in one entry.
struct Thing {
  unsigned top = 0;   ///< Another number: something else in its top.
  unsigned deep = 0;  ///< The same further down.
  std::string version = "1";
  bool sentinel = true;
  bool installed = false;
  bool closed = false;  ///< Cannot be read.

  Look look() const {
    Look look;
    look.fingerprint = digest(fmt::format("{} {} {} {}", top, version, sentinel, installed));
    look.has_sentinel = sentinel;
    if (sentinel) look.sentinel.version = version;
    look.installed = installed;
    return look;
  }
  std::string content() const { return fmt::format("{} {} {} {}", top, deep, version, sentinel); }
  Measure measure() const {
    Measure measure;
    measure.bytes = 10u + deep;
    measure.files = 2;
    measure.manifest = digest(fmt::format("manifest {}", deep));
    measure.stamps = digest("stamps " + content());
    return measure;
  }
};

class Model {
 public:
  explicit Model(LibraryTimes times = {}, limits::Library limits = {})
      : limits_(limits),
        machine(times, limits),
        set(limits),
        index_(*LibraryIndex::open(":memory:", 7, limits)) {
    set.restore({7, 1}, 1, {});
  }

  Folder add_folder(FolderSettings settings) {
    const Folder folder = *index_->add_folder(settings, WallTime{});
    folders.emplace(folder.id, folder);
    disk[folder.id];
    machine.add_folder(folder, {}, now);
    return folder;
  }
  Folder add_folder(const std::string& path, peers::AccessRule rule = {}) {
    FolderSettings settings;
    settings.path = path;
    settings.audience = std::move(rule);
    return add_folder(std::move(settings));
  }
  void change_folder(const Folder& folder) {
    WARREN_CHECK(index_->change_folder(folder));
    const bool other_rule = folders.at(folder.id).settings.audience != folder.settings.audience;
    folders.insert_or_assign(folder.id, folder);
    if (other_rule) {
      const Revision next{set.revision().epoch + 1, set.revision().number + 1};
      WARREN_CHECK(index_->begin_epoch(next));
      std::map<std::string, peers::AccessRule> rules;
      for (const auto& view : machine.of_folder(folder.id)) {
        rules.emplace(view.entry->published.listing.id, folder.settings.audience);
      }
      set.begin_epoch(next.epoch, rules);
    }
    machine.change_folder(folder, now);
  }
  void remove_folder(FolderId folder) {
    machine.remove_folder(folder, now);
    disk.erase(folder);
    folders.erase(folder);
    removing_.push_back(folder);
  }
  /// The node starts anew from what the index has; jobs under way are lost with it.
  void restart(LibraryTimes times) {
    auto content = *load(*index_);
    WARREN_CHECK(content.skipped == 0);
    machine = LibraryMachine(times, limits_);
    set = LibrarySet(limits_);
    jobs.clear();
    removing_.clear();
    std::map<FolderId, std::vector<IndexedEntry>> entries;
    for (const IndexedEntry& entry : content.entries) {
      set.restore(entry.published);
      entries[entry.folder].push_back(entry);
    }
    set.restore(content.revision, content.complete_since, content.removed);
    folders.clear();
    for (const Folder& folder : content.folders) {
      folders.emplace(folder.id, folder);
      disk[folder.id];
      machine.add_folder(folder, entries[folder.id], now);
    }
  }

  /// Takes the jobs that may begin now. A second question at the same moment gives nothing.
  void step() {
    for (LibraryJob& job : machine.next(now, set.revision().number + 1)) {
      ++counts[job.index()];
      jobs.push_back(std::move(job));
    }
    machine.check_invariants();
    WARREN_CHECK(machine.next(now, set.revision().number + 1).empty());
    WARREN_CHECK(machine.next_wake() > now);
    set.check_invariants();
    std::erase_if(removing_, [&](FolderId id) { return index_->remove_folder(id).has_value(); });
  }
  /// Ends job number `which` of those under way as the disk is now, or with `error`.
  void end(std::size_t which, std::optional<Error> error = {}) {
    const auto place = jobs.begin() + static_cast<std::ptrdiff_t>(which);
    const LibraryJob job = std::move(*place);
    jobs.erase(place);
    std::visit([&](const auto& one) { end(one, error); }, job);
    machine.check_invariants();
  }
  /// Lets time pass and ends all jobs truthfully until nothing is left to do.
  void settle(Duration at_most = 1h) {
    const TimePoint end_at = now + at_most;
    for (;;) {
      step();
      if (!jobs.empty()) {
        end(0);
      } else if (machine.is_settled() && removing_.empty()) {
        return;
      } else {
        now = machine.next_wake();
        WARREN_CHECK(now < end_at);
      }
    }
  }

  /// Whose the id is, as the machine has it; nullptr: nobody's.
  const Thing* thing(const std::string& id) const {
    const auto view = machine.find(id);
    if (!view) return nullptr;
    const auto folder = disk.find(view->entry->folder);
    if (folder == disk.end()) return nullptr;
    const auto found = folder->second.find(id);
    return found == folder->second.end() ? nullptr : &found->second;
  }
  /// What is to be listed of the thing in the end.
  Listing expected(const std::string& id, FolderId folder, const Thing& thing) const {
    const FolderSettings& settings = folders.at(folder).settings;
    const Measure measure = thing.measure();
    Listing made;
    made.id = made.name = id;
    if (thing.sentinel) made.version = thing.version;
    made.topic = settings.topic;
    made.bytes = measure.bytes;
    made.files = measure.files;
    made.manifest = measure.manifest;
    made.downloaded = thing.sentinel || !settings.sentinel.required;
    made.installed = thing.installed;
    const auto wanted = settings.expected.find(id);
    const bool other = wanted != settings.expected.end() && wanted->second != made.version;
    const bool ready = made.downloaded && !other && !operations.contains(id);
    made.availability = ready ? Availability::kReady : Availability::kLocalOnly;
    if (ready) made.root = root(thing.content());
    return made;
  }
  /// Aborts unless set and index say what the disk says. Settled, and without operations.
  void check_true() {
    std::map<std::string, std::vector<FolderId>> owners;
    for (const auto& [folder, things] : disk) {
      for (const auto& [id, thing] : things) owners[id].push_back(folder);
    }
    const auto content = *load(*index_);
    WARREN_CHECK(content.skipped == 0 && content.revision == set.revision());
    WARREN_CHECK(content.entries.size() == owners.size() && set.size() == owners.size());
    for (const IndexedEntry& entry : content.entries) {
      const Listing& listed = entry.published.listing;
      const auto owner = owners.find(listed.id);
      WARREN_CHECK(owner != owners.end());
      WARREN_CHECK(std::ranges::count(owner->second, entry.folder) == 1);
      const Thing& thing = disk.at(entry.folder).at(listed.id);
      WARREN_CHECK(listed == expected(listed.id, entry.folder, thing));
      const PublishedEntry* published = set.find(listed.id);
      WARREN_CHECK(published != nullptr && published->listing == listed);
      WARREN_CHECK(published->rule == folders.at(entry.folder).settings.audience);
      WARREN_CHECK(published->changed_at == entry.published.changed_at);
    }
    for (const auto& [folder, known] : folders) {
      for (const auto& [id, why] : machine.left_out(folder)) {
        WARREN_CHECK(machine.find(id)->entry->folder != folder);
      }
    }
  }

 private:
  limits::Library limits_;

 public:
  TimePoint now{1h};
  LibraryMachine machine;
  LibrarySet set;
  std::map<FolderId, std::map<std::string, Thing>> disk;
  std::map<FolderId, Folder> folders;
  std::set<FolderId> away;  ///< Cannot be read.
  std::set<std::string> operations;
  std::vector<LibraryJob> jobs;               ///< Under way.
  std::map<std::size_t, std::size_t> counts;  ///< How many began, by their place in LibraryJob.

 private:
  static Error closed() { return {ErrorCode::kDenied, "closed"}; }
  static Error gone() { return {ErrorCode::kNotFound, "gone"}; }
  const Thing* at(FolderId folder, const std::string& id) const {
    const auto things = disk.find(folder);
    if (things == disk.end()) return nullptr;
    const auto found = things->second.find(id);
    return found == things->second.end() ? nullptr : &found->second;
  }
  template <class T, class F>
  Result<T> answer(FolderId folder, const std::string& id, const std::optional<Error>& error, F f) {
    if (error) return fail(*error);
    if (away.contains(folder)) return fail(ErrorCode::kIo, "away");
    const Thing* found = at(folder, id);
    if (found == nullptr) return fail(gone());
    if (found->closed) return fail(closed());
    return f(*found);
  }

  void end(const jobs::ListNames& job, const std::optional<Error>& error) {
    if (error || away.contains(job.folder) || !disk.contains(job.folder)) {
      return machine.names_failed(job.folder, error.value_or(gone()), now);
    }
    std::vector<std::string> names;
    for (const auto& [id, thing] : disk.at(job.folder)) names.push_back(id);
    machine.names_found(job.folder, std::move(names), now);
  }
  void end(const jobs::LookAt& job, const std::optional<Error>& error) {
    for (std::size_t i = 0; i < job.ids.size(); ++i) {
      const auto look = [&](const Thing& thing) {
        Look look = thing.look();
        if (look.fingerprint != job.known[i]) return look;
        Look unchanged;
        unchanged.fingerprint = look.fingerprint;
        unchanged.unchanged = true;
        unchanged.in_operation = look.in_operation;
        return unchanged;
      };
      machine.looked(job.folder, job.ids[i], answer<Look>(job.folder, job.ids[i], error, look),
                     now);
    }
  }
  void end(const jobs::MeasureEntry& job, const std::optional<Error>& error) {
    machine.measured(job.folder, job.id,
                     answer<Measure>(job.folder, job.id, error,
                                     [](const Thing& thing) { return thing.measure(); }),
                     now);
  }
  void end(const jobs::HashEntry& job, const std::optional<Error>& error) {
    machine.hashed(job.folder, job.id,
                   answer<Cid>(job.folder, job.id, error,
                               [](const Thing& thing) { return root(thing.content()); }),
                   now);
  }
  void end(jobs::Write job, const std::optional<Error>& error) {
    std::erase_if(job.batch.changed,
                  [&](const IndexedEntry& entry) { return !folders.contains(entry.folder); });
    for (IndexedEntry& entry : job.batch.changed) {
      const auto known = machine.find(entry.published.listing.id);
      if (!known || known->entry->fingerprint != entry.fingerprint) entry.fingerprint = {};
    }
    job.published = job.published && !(job.batch.changed.empty() && job.batch.removed.empty());
    if (error || set.revision().number + 1 != job.number) return machine.written(false, now);
    Revision revision = set.revision();
    std::vector<PublishedEntry> changed;
    if (job.published) {
      revision.number = job.number;
      for (const IndexedEntry& entry : job.batch.changed) {
        if (entry.published.changed_at == job.number) changed.push_back(entry.published);
      }
    }
    WARREN_CHECK(
        index_->apply(job.batch, revision, set.complete_since_with(changed), job.published));
    if (job.published) set.apply(std::move(changed), job.batch.removed);
    machine.written(true, now);
  }

  std::unique_ptr<LibraryIndex> index_;
  std::vector<FolderId> removing_;
};

}  // namespace warren::library::test
