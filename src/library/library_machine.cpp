#include "library/library_machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "content/path_rules.hpp"
#include "library/reserved.hpp"

namespace warren::library {

std::string_view work_name(EntryWork work) noexcept {
  switch (work) {
    case EntryWork::kNothing: return "nothing";
    case EntryWork::kWaiting: return "waiting";
    case EntryWork::kLooking: return "looking";
    case EntryWork::kMeasuring: return "measuring";
    case EntryWork::kHashing: return "hashing";
    case EntryWork::kOperation: return "operation";
  }
  return "unknown";
}

LibraryMachine::LibraryMachine(LibraryTimes times, limits::Library limits)
    : times_(times), limits_(limits) {}

// ------------------------------------------------------------------------------ what happened

void LibraryMachine::add_folder(const Folder& folder, std::vector<IndexedEntry> entries,
                                TimePoint now) {
  FolderState& state = folders_[folder.id];
  state.folder = folder;
  state.list_at = now;
  state.scan_at = now + times_.scan_interval;
  restore(std::move(entries));
}

void LibraryMachine::restore(std::vector<IndexedEntry> entries) {
  for (IndexedEntry& entry : entries) {
    FolderState* folder = folder_of(entry.folder);
    if (folder == nullptr || entries_.size() >= limits_.entries_max) continue;
    std::string id = entry.published.listing.id;
    const auto [it, made] = entries_.try_emplace(id);
    if (!made) continue;
    it->second.entry = std::move(entry);
    it->second.in_index = true;
    folder->ids.insert(std::move(id));
  }
}

void LibraryMachine::change_folder(const Folder& folder, TimePoint now) {
  FolderState* state = folder_of(folder.id);
  if (state == nullptr) return;
  const FolderSettings& before = state->folder.settings;
  const bool reads_other =
      before.sentinel != folder.settings.sentinel || before.topic != folder.settings.topic;
  state->folder = folder;
  for (const std::string& id : state->ids) {
    EntryState& entry = entries_.find(id)->second;
    entry.entry.published.rule = folder.settings.audience;
    // What a look says comes from the sentinel and these settings; the index drops it likewise.
    // A look or a walk that is under way is of before.
    if (reads_other) {
      entry.entry.fingerprint = entry.fingerprint = {};
      entry.look_whole = true;
    }
    want_look(entry, now);
  }
}

void LibraryMachine::remove_folder(FolderId folder, TimePoint now) {
  FolderState* state = folder_of(folder);
  if (state == nullptr) return;
  const auto ids = state->ids;
  for (const std::string& id : ids) remove_entry(*state, id, now);
  folders_.erase(folder);
}

void LibraryMachine::want_names(FolderState& folder, TimePoint at) {
  folder.list_wanted = true;
  folder.list_at = std::min(folder.list_at, at);
}

void LibraryMachine::names_changed(FolderId folder, TimePoint now) {
  if (FolderState* state = folder_of(folder)) want_names(*state, now + times_.settle);
}

void LibraryMachine::news_lost(FolderId folder, TimePoint now) { scan_now(folder, now); }

void LibraryMachine::scan_now(FolderId folder, TimePoint now) {
  FolderState* state = folder_of(folder);
  if (state == nullptr) return;
  want_names(*state, now);
  state->look_all = state->walk_all = state->walked = true;
}

void LibraryMachine::watch_began(FolderId folder, TimePoint now) {
  FolderState* state = folder_of(folder);
  if (state == nullptr) return;
  want_names(*state, now);
  state->look_all = true;
  for (const std::string& id : state->ids) {
    EntryState& entry = entries_.find(id)->second;
    const bool walking = entry.doing == EntryWork::kMeasuring;
    if (std::exchange(entry.walked_unwatched, false) || walking) want_walk(entry, now);
  }
}

void LibraryMachine::set_watched(FolderId folder, bool whole) {
  if (FolderState* state = folder_of(folder)) state->whole_watched = whole;
}

void LibraryMachine::names_found(FolderId folder, std::vector<std::string> ids, TimePoint now) {
  FolderState* state = folder_of(folder);
  if (state == nullptr) return;
  state->listing = false;
  state->failures = 0;
  state->problem.clear();
  state->left_out.clear();
  std::erase_if(ids, [](const std::string& id) { return !is_entry_name(id); });
  std::ranges::sort(ids);
  std::vector<std::string> gone;
  std::ranges::set_difference(state->ids, ids, std::back_inserter(gone));
  for (const std::string& id : gone) {
    if (!operations_.contains(id)) remove_entry(*state, id, now);
  }
  for (const std::string& id : ids) add_entry(*state, id, now);
  if (state->look_all) {
    for (const std::string& id : state->ids) {
      EntryState& entry = entries_.find(id)->second;
      want_look(entry, now);
      if (state->walk_all) want_walk(entry, now);
    }
  }
  state->look_all = state->walk_all = false;
}

void LibraryMachine::names_failed(FolderId folder, Error error, TimePoint now) {
  FolderState* state = folder_of(folder);
  if (state == nullptr) return;
  // A disk that is not mounted loses no entries: they are as they were, and cannot be read.
  state->listing = false;
  state->problem = error.message();
  state->list_at = now + backoff(state->failures++);
}

void LibraryMachine::add_entry(FolderState& folder, const std::string& id, TimePoint now) {
  if (folder.ids.contains(id)) return;
  const auto leave_out = [&](std::string why) { folder.left_out.emplace(id, std::move(why)); };
  if (const auto good = content::check_name(id); !good) return leave_out(good.error().message());
  const auto there = entries_.find(id);
  if (there != entries_.end()) {
    const FolderState* other = folder_of(there->second.entry.folder);
    return leave_out(
        fmt::format("{} has an entry of this name",
                    other == nullptr ? "another folder" : other->folder.settings.path));
  }
  if (entries_.size() >= limits_.entries_max) {
    return leave_out(fmt::format("there are {} entries, the most allowed", limits_.entries_max));
  }
  EntryState& entry = entries_[id];
  entry.entry.folder = folder.folder.id;
  Listing& listing = entry.entry.published.listing;
  listing.id = id;
  listing.name = id;
  listing.topic = folder.folder.settings.topic;
  entry.entry.published.rule = folder.folder.settings.audience;
  entry.quiet_from = now - times_.quiet;
  if (removed_.erase(id) > 0) {  // The index has it still, perhaps in another folder.
    entry.in_index = entry.published_dirty = true;
    dirty_.insert(id);
  }
  folder.ids.insert(id);
  want_look(entry, now);
}

void LibraryMachine::remove_entry(FolderState& folder, const std::string& id, TimePoint now) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  stop_wanting(found->second);
  if (found->second.in_index || in_write_.contains(id)) removed_.insert(id);
  dirty_.erase(id);
  for (auto& [other, state] : folders_) {
    if (state.left_out.contains(id)) want_names(state, now);  // Now it can have the name.
  }
  entries_.erase(found);
  folder.ids.erase(id);
}

void LibraryMachine::touched(FolderId folder, std::string_view id, TimePoint now) {
  EntryState* entry = entry_of(folder, id);
  if (entry == nullptr) return names_changed(folder, now);
  if (in_operation(*entry)) return;
  entry->quiet_from = now;
  entry->look_whole = true;
  if (entry->doing != EntryWork::kNothing) {
    entry->touched = true;
    return;
  }
  if (entry->hash_at) set_when(hashes_, *entry, entry->hash_at, now + times_.quiet);
  // The first news decides: what goes on changing is looked at all the same.
  want_look(*entry, now + times_.settle);
  want_walk(*entry, now + times_.settle);
}

void LibraryMachine::operation_began(std::string_view id) {
  const auto found = operations_.try_emplace(std::string(id), 0).first;
  ++found->second;
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return;
  stop_wanting(entry->second);
  relist(entry->second, {});
}

void LibraryMachine::operation_ended(std::string_view id, TimePoint now) {
  const auto found = operations_.find(id);
  if (found == operations_.end()) return;
  if (--found->second > 0) return;
  operations_.erase(found);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) {
    for (auto& [folder, state] : folders_) want_names(state, now);
    return;
  }
  entry->second.quiet_from = now - times_.quiet;
  entry->second.look_whole = true;
  // What a job finds that began before is of before.
  if (entry->second.doing != EntryWork::kNothing) entry->second.touched = true;
  want_look(entry->second, now);
  want_walk(entry->second, now);
}

void LibraryMachine::looked(FolderId folder, const std::string& id, Result<Look> look,
                            TimePoint now) {
  if (looking_ > 0) --looking_;
  EntryState* entry = entry_of(folder, id);
  if (entry == nullptr || !finish(*entry, now)) return;
  if (!look) {
    entry->look_whole = true;
    // Whether it went, the names say: a disk that is not mounted is an empty folder.
    want_names(*folder_of(folder), now);
    return fail_entry(*entry, look.error(), now);
  }
  Digest& indexed = entry->entry.fingerprint;
  const bool walk = look->fingerprint != indexed || entry->entry.stamps == Digest{};
  // What the look said may be written before the walk is through: then no fingerprint stands for
  // it.
  if (look->fingerprint != indexed) indexed = {};
  entry->looked = true;
  entry->intent_log = look->in_operation;
  entry->fingerprint = look->fingerprint;
  if (walk && !entry->walk_at) want_walk(*entry, now);
  relist(*entry, now, look->unchanged ? nullptr : &*look);
}

void LibraryMachine::measured(FolderId folder, const std::string& id, Result<Measure> measure,
                              TimePoint now) {
  walking_ = false;
  EntryState* entry = entry_of(folder, id);
  if (entry == nullptr || !finish(*entry, now)) return;
  if (!measure) {
    if (measure.error().code() == ErrorCode::kNotFound) return want_look(*entry, now);
    return fail_entry(*entry, measure.error(), now);
  }
  IndexedEntry& indexed = entry->entry;
  entry->walked_unwatched = !folder_of(folder)->whole_watched;
  const bool changed = measure->stamps != indexed.stamps;
  Listing& listing = indexed.published.listing;
  const Digest fingerprint = entry->looked ? entry->fingerprint : indexed.fingerprint;
  if (fingerprint != indexed.fingerprint || changed) dirty_.insert(id);
  indexed.fingerprint = fingerprint;
  indexed.stamps = measure->stamps;
  const bool other = listing.bytes != measure->bytes || listing.files != measure->files ||
                     listing.manifest != measure->manifest;
  if (other) {
    listing.bytes = measure->bytes;
    listing.files = measure->files;
    listing.manifest = measure->manifest;
    entry->published_dirty = true;
    dirty_.insert(id);
  }
  // What could not be hashed, and is as it was, is not hashed at once again.
  if (changed || indexed.hashed_stamps == indexed.stamps) {
    entry->failures = 0;
    entry->problem.clear();
  }
  relist(*entry, now);
}

void LibraryMachine::hashed(FolderId folder, const std::string& id, Result<Cid> root,
                            TimePoint now) {
  hashing_ = false;
  EntryState* entry = entry_of(folder, id);
  if (entry == nullptr) return;
  const bool changed_meanwhile = entry->touched;
  if (!finish(*entry, now) || changed_meanwhile) return;
  if (!root) {
    if (root.error().code() == ErrorCode::kNotFound) return want_look(*entry, now);
    return fail_entry(*entry, root.error(), now);
  }
  entry->failures = 0;
  entry->problem.clear();
  entry->entry.hashed_stamps = entry->entry.stamps;
  entry->entry.published.listing.root = *root;
  relist(*entry, now);
}

void LibraryMachine::written(bool success, TimePoint now) {
  if (!writing_) return;
  writing_ = false;
  if (success) {
    write_failures_ = 0;
    for (const std::string& id : in_write_) {
      const auto entry = entries_.find(id);
      if (entry != entries_.end()) entry->second.in_index = true;
    }
  } else {
    write_at_ = now + backoff(write_failures_++);
    for (const std::string& id : in_write_) {
      const auto entry = entries_.find(id);
      if (entry == entries_.end()) continue;
      entry->second.published_dirty = true;
      dirty_.insert(id);
    }
    for (const std::string& id : removed_in_write_) {
      const auto entry = entries_.find(id);
      if (entry == entries_.end()) {
        removed_.insert(id);
      } else {  // It came back meanwhile, and is written over.
        entry->second.in_index = entry->second.published_dirty = true;
        dirty_.insert(id);
      }
    }
  }
  in_write_.clear();
  removed_in_write_.clear();
}

// --------------------------------------------------------------------------------- one entry

LibraryMachine::FolderState* LibraryMachine::folder_of(FolderId folder) {
  const auto found = folders_.find(folder);
  return found == folders_.end() ? nullptr : &found->second;
}

LibraryMachine::EntryState* LibraryMachine::entry_of(FolderId folder, std::string_view id) {
  const auto found = entries_.find(id);
  return found == entries_.end() || found->second.entry.folder != folder ? nullptr : &found->second;
}

bool LibraryMachine::in_operation(const EntryState& entry) const {
  return operations_.contains(id_of(entry));
}

void LibraryMachine::set_when(Queue& queue, EntryState& entry, std::optional<TimePoint>& field,
                              std::optional<TimePoint> when) {
  if (field == when) return;
  if (field) queue.erase({*field, id_of(entry)});
  field = when;
  if (field) queue.emplace(*field, id_of(entry));
}

void LibraryMachine::want_look(EntryState& entry, TimePoint at) {
  if (in_operation(entry)) return;
  set_when(looks_, entry, entry.look_at, entry.look_at ? std::min(*entry.look_at, at) : at);
}

void LibraryMachine::want_walk(EntryState& entry, TimePoint at) {
  if (in_operation(entry)) return;
  set_when(walks_, entry, entry.walk_at, entry.walk_at ? std::min(*entry.walk_at, at) : at);
}

void LibraryMachine::stop_wanting(EntryState& entry) {
  set_when(looks_, entry, entry.look_at, std::nullopt);
  set_when(walks_, entry, entry.walk_at, std::nullopt);
  set_when(hashes_, entry, entry.hash_at, std::nullopt);
}

/// A job on the entry has ended. False: its result says nothing, because an operation has begun.
bool LibraryMachine::finish(EntryState& entry, TimePoint now) {
  entry.doing = EntryWork::kNothing;
  const bool again = std::exchange(entry.touched, false);
  if (in_operation(entry)) return false;
  if (again) {
    want_look(entry, now + times_.settle);
    want_walk(entry, now + times_.settle);
  }
  return true;
}

void LibraryMachine::fail_entry(EntryState& entry, const Error& error, TimePoint now) {
  entry.problem = error.message();
  const TimePoint at = now + backoff(entry.failures++);
  want_look(entry, at);
  want_walk(entry, at);
}

/// Lists the entry by what is known of it and what `look` says, and has it hashed when its root is
/// not known.
void LibraryMachine::relist(EntryState& entry, TimePoint now, const Look* look) {
  // What the index has stands until it is looked at, unless something works on it.
  if (!entry.looked && !in_operation(entry)) return;
  const FolderState& folder = folders_.at(entry.entry.folder);
  const FolderSettings& settings = folder.folder.settings;
  IndexedEntry& indexed = entry.entry;
  Listing listing = indexed.published.listing;
  if (look != nullptr) {
    listing.name = look->sentinel.name.empty() ? listing.id : look->sentinel.name;
    listing.version = look->sentinel.version;
    listing.topic = look->sentinel.topic.empty() ? settings.topic : look->sentinel.topic;
    listing.downloaded = !look->empty && (look->has_sentinel || !settings.sentinel.required);
    listing.installed = look->installed;
  }
  const bool busy = in_operation(entry) || entry.intent_log;
  const auto expected = settings.expected.find(listing.id);
  const bool other_version =
      expected != settings.expected.end() && expected->second != listing.version;
  const bool walked = indexed.stamps != Digest{};
  const bool hashed = walked && indexed.hashed_stamps == indexed.stamps && listing.root;
  if (!listing.downloaded || other_version || busy) {
    listing.availability = Availability::kLocalOnly;
    listing.root.reset();
    indexed.hashed_stamps = {};
    set_when(hashes_, entry, entry.hash_at, std::nullopt);
  } else if (hashed) {
    listing.availability = Availability::kReady;
    set_when(hashes_, entry, entry.hash_at, std::nullopt);
  } else {
    listing.availability = Availability::kHashing;
    listing.root.reset();
    if (walked && !entry.walk_at && !entry.hash_at && entry.doing == EntryWork::kNothing) {
      set_when(hashes_, entry, entry.hash_at, std::max(now, entry.quiet_from + times_.quiet));
    }
  }
  if (listing == indexed.published.listing && entry.in_index) return;
  indexed.published.listing = std::move(listing);
  entry.published_dirty = true;
  dirty_.insert(id_of(entry));
}

Duration LibraryMachine::backoff(std::uint32_t failures) const {
  Duration wait = times_.retry_min;
  for (std::uint32_t i = 0; i < failures && wait < times_.retry_max; ++i) wait *= 2;
  return std::min(wait, times_.retry_max);
}

// --------------------------------------------------------------------------------- to look at

std::optional<LibraryMachine::View> LibraryMachine::find(std::string_view id) const {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return std::nullopt;
  const EntryState& entry = found->second;
  View view{&entry.entry, entry.doing, entry.problem};
  if (in_operation(entry)) {
    view.work = EntryWork::kOperation;
  } else if (entry.doing == EntryWork::kNothing &&
             (entry.look_at || entry.walk_at || entry.hash_at)) {
    view.work = EntryWork::kWaiting;
  }
  return view;
}

std::vector<LibraryMachine::View> LibraryMachine::of_folder(FolderId folder) const {
  std::vector<View> views;
  const auto found = folders_.find(folder);
  if (found == folders_.end()) return views;
  views.reserve(found->second.ids.size());
  for (const std::string& id : found->second.ids) views.push_back(*find(id));
  return views;
}

std::size_t LibraryMachine::size_of(FolderId folder) const {
  const auto found = folders_.find(folder);
  return found == folders_.end() ? 0 : found->second.ids.size();
}

const std::map<std::string, std::string>& LibraryMachine::left_out(FolderId folder) const {
  static const std::map<std::string, std::string> kNone;
  const auto found = folders_.find(folder);
  return found == folders_.end() ? kNone : found->second.left_out;
}

const std::string& LibraryMachine::problem(FolderId folder) const {
  static const std::string kNone;
  const auto found = folders_.find(folder);
  return found == folders_.end() ? kNone : found->second.problem;
}

bool LibraryMachine::is_settled() const {
  const bool listed = std::ranges::all_of(folders_, [](const auto& item) {
    const FolderState& folder = item.second;
    return !folder.listing && !folder.list_wanted && (!folder.look_all || !folder.problem.empty());
  });
  const auto waits = [this](const Queue& queue) {
    return std::ranges::any_of(queue, [this](const auto& item) {
      return entries_.find(item.second)->second.problem.empty();
    });
  };
  return listed && looking_ == 0 && !walking_ && !hashing_ && !has_unwritten() && !waits(looks_) &&
         !waits(walks_) && !waits(hashes_);
}

void LibraryMachine::check_invariants() const {
  std::size_t of_folders = 0;
  for (const auto& [id, folder] : folders_) {
    of_folders += folder.ids.size();
    for (const std::string& entry : folder.ids) {
      const auto found = entries_.find(entry);
      WARREN_CHECK(found != entries_.end() && found->second.entry.folder == id);
    }
  }
  WARREN_CHECK(of_folders == entries_.size() && entries_.size() <= limits_.entries_max);
  std::size_t looks = 0;
  std::size_t walks = 0;
  std::size_t hashes = 0;
  for (const auto& [id, entry] : entries_) {
    WARREN_CHECK(id == id_of(entry));
    looks += entry.look_at ? 1 : 0;
    walks += entry.walk_at ? 1 : 0;
    hashes += entry.hash_at ? 1 : 0;
    WARREN_CHECK(!entry.look_at || looks_.contains({*entry.look_at, id}));
    WARREN_CHECK(!entry.walk_at || walks_.contains({*entry.walk_at, id}));
    WARREN_CHECK(!entry.hash_at || hashes_.contains({*entry.hash_at, id}));
    WARREN_CHECK(!in_operation(entry) || (!entry.look_at && !entry.walk_at && !entry.hash_at));
    WARREN_CHECK(!removed_.contains(id));
    WARREN_CHECK(check_listing(entry.entry.published.listing).has_value());
  }
  WARREN_CHECK(looks == looks_.size() && walks == walks_.size() && hashes == hashes_.size());
  for (const std::string& id : dirty_) WARREN_CHECK(entries_.contains(id));
  WARREN_CHECK(writing_ || (in_write_.empty() && removed_in_write_.empty()));
}

}  // namespace warren::library
