// What LibraryMachine gives to do.

#include <algorithm>
#include <utility>

#include "library/library_machine.hpp"

namespace warren::library {
namespace {

/// Of one LookAt job: some milliseconds of a pool thread.
constexpr std::size_t kLooksPerJob = 256;
/// Looks under way: as many jobs as keep some pool threads busy.
constexpr std::size_t kLooksMax = 4 * kLooksPerJob;

}  // namespace

std::vector<LibraryJob> LibraryMachine::next(TimePoint now, std::uint64_t number) {
  std::vector<LibraryJob> out;
  take_lists(now, out);
  take_looks(now, out);
  take_walk(now, out);
  take_hash(now, out);
  take_write(now, number, out);
  return out;
}

void LibraryMachine::take_lists(TimePoint now, std::vector<LibraryJob>& out) {
  for (auto& [id, folder] : folders_) {
    if (folder.listing || now < folder.list_at) continue;
    folder.listing = true;
    folder.list_wanted = false;
    if (now >= folder.scan_at) {
      folder.look_all = true;
      if (!folder.whole_watched || !std::exchange(folder.walked, true)) folder.walk_all = true;
      folder.scan_at = now + times_.scan_interval;
    }
    folder.list_at = folder.scan_at;
    out.emplace_back(jobs::ListNames{id});
  }
}

void LibraryMachine::take_looks(TimePoint now, std::vector<LibraryJob>& out) {
  while (looking_ < kLooksMax) {
    jobs::LookAt job;
    for (auto next = looks_.begin(); next != looks_.end() && next->first <= now;) {
      EntryState& entry = entries_.find(next->second)->second;
      ++next;
      if (entry.doing != EntryWork::kNothing) continue;
      if (job.ids.empty()) job.folder = entry.entry.folder;
      if (entry.entry.folder != job.folder) continue;
      set_when(looks_, entry, entry.look_at, std::nullopt);
      entry.doing = EntryWork::kLooking;
      const bool whole = std::exchange(entry.look_whole, false);
      job.ids.push_back(id_of(entry));
      job.known.push_back(whole ? Digest{} : entry.entry.fingerprint);
      if (job.ids.size() == kLooksPerJob) break;
    }
    if (job.ids.empty()) return;
    looking_ += job.ids.size();
    out.emplace_back(std::move(job));
  }
}

void LibraryMachine::take_walk(TimePoint now, std::vector<LibraryJob>& out) {
  if (walking_) return;
  for (const auto& [at, id] : walks_) {
    if (at > now) return;
    EntryState& entry = entries_.find(id)->second;
    // The look comes first: its fingerprint is that of before the walk.
    if (entry.doing != EntryWork::kNothing || entry.look_at) continue;
    out.emplace_back(jobs::MeasureEntry{entry.entry.folder, id});
    entry.doing = EntryWork::kMeasuring;
    walking_ = true;
    set_when(walks_, entry, entry.walk_at, std::nullopt);
    return;
  }
}

void LibraryMachine::take_hash(TimePoint now, std::vector<LibraryJob>& out) {
  if (hashing_) return;
  for (const auto& [at, id] : hashes_) {
    if (at > now) return;
    EntryState& entry = entries_.find(id)->second;
    if (entry.doing != EntryWork::kNothing || entry.look_at || entry.walk_at) continue;
    out.emplace_back(jobs::HashEntry{entry.entry.folder, id});
    entry.doing = EntryWork::kHashing;
    hashing_ = true;
    set_when(hashes_, entry, entry.hash_at, std::nullopt);
    return;
  }
}

void LibraryMachine::take_write(TimePoint now, std::uint64_t number, std::vector<LibraryJob>& out) {
  if (writing_ || now < write_at_ || (dirty_.empty() && removed_.empty())) return;
  jobs::Write job;
  job.number = number;
  const auto room = [&] {
    return job.batch.changed.size() + job.batch.removed.size() < limits_.batch_max;
  };
  while (!removed_.empty() && room()) {
    job.published = true;
    job.batch.removed.push_back(*removed_.begin());
    removed_in_write_.insert(removed_.extract(removed_.begin()));
  }
  while (!dirty_.empty() && room()) {
    EntryState& entry = entries_.find(*dirty_.begin())->second;
    PublishedEntry& published = entry.entry.published;
    if (std::exchange(entry.published_dirty, false)) {
      job.published = true;
      if (published.added_at == 0) published.added_at = number;
      published.changed_at = number;
    }
    job.batch.changed.push_back(entry.entry);
    in_write_.insert(dirty_.extract(dirty_.begin()));
  }
  writing_ = true;
  out.emplace_back(std::move(job));
}

TimePoint LibraryMachine::next_wake() const {
  TimePoint wake = kNever;
  for (const auto& [id, folder] : folders_) {
    if (!folder.listing) wake = std::min(wake, folder.list_at);
  }
  // What waits for another job of the same entry has the end of that as its event.
  const auto consider = [&](const Queue& queue, bool lane_taken, auto waits) {
    if (lane_taken) return;
    for (const auto& [at, id] : queue) {
      if (waits(entries_.find(id)->second)) continue;
      wake = std::min(wake, at);
      return;
    }
  };
  const auto busy = [](const EntryState& entry) { return entry.doing != EntryWork::kNothing; };
  consider(looks_, looking_ >= kLooksMax, busy);
  consider(walks_, walking_, [&](const EntryState& e) { return busy(e) || e.look_at; });
  consider(hashes_, hashing_,
           [&](const EntryState& e) { return busy(e) || e.look_at || e.walk_at; });
  if (!writing_ && (!dirty_.empty() || !removed_.empty())) wake = std::min(wake, write_at_);
  return wake;
}

}  // namespace warren::library
