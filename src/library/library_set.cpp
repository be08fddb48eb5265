#include "library/library_set.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace warren::library {

void LibrarySet::restore(PublishedEntry entry) {
  WARREN_CHECK(revision_ == Revision{});
  // A damaged file may have a row twice: the first one counts.
  const bool room = entries_.size() < limits_.entries_max;
  if (room && !entries_.contains(entry.listing.id)) put(std::move(entry));
}

void LibrarySet::restore(Revision revision, std::uint64_t complete_since,
                         std::vector<RemovedEntry> removed) {
  WARREN_CHECK(revision_ == Revision{});
  revision_ = revision;
  complete_since_ = std::min(complete_since, revision.number);
  for (RemovedEntry& entry : removed) {
    if (entries_.contains(entry.id) || entry.removed_at <= complete_since_) continue;
    forget_removal(entry.id);
    by_removal_.emplace(entry.removed_at, entry.id);
    removed_.insert_or_assign(entry.id, std::move(entry));
  }
  bound_removals();
}

void LibrarySet::put(PublishedEntry entry) {
  Group& group = groups_[entry.rule];
  group.digest.add(digest_of(entry.listing));
  ++group.count;
  by_change_.emplace(entry.changed_at, entry.listing.id);
  std::string id = entry.listing.id;
  const bool made = entries_.try_emplace(std::move(id), std::move(entry)).second;
  WARREN_CHECK(made);
}

bool LibrarySet::take(std::string_view id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return false;
  const PublishedEntry& entry = found->second;
  const auto group = groups_.find(entry.rule);
  WARREN_CHECK(group != groups_.end() && group->second.count > 0);
  group->second.digest.remove(digest_of(entry.listing));
  if (--group->second.count == 0) groups_.erase(group);
  by_change_.erase({entry.changed_at, entry.listing.id});
  entries_.erase(found);
  return true;
}

void LibrarySet::forget_removal(std::string_view id) {
  const auto found = removed_.find(id);
  if (found == removed_.end()) return;
  by_removal_.erase({found->second.removed_at, found->first});
  removed_.erase(found);
}

void LibrarySet::bound_removals() {
  while (removed_.size() > limits_.removed_max) {
    const auto oldest = by_removal_.begin();
    complete_since_ = std::max(complete_since_, oldest->first);
    removed_.erase(oldest->second);
    by_removal_.erase(oldest);
  }
  // Others of that revision are of no use without it.
  while (!by_removal_.empty() && by_removal_.begin()->first <= complete_since_) {
    removed_.erase(by_removal_.begin()->second);
    by_removal_.erase(by_removal_.begin());
  }
}

void LibrarySet::apply(std::vector<PublishedEntry> changed,
                       const std::vector<std::string>& removed) {
  if (changed.empty() && removed.empty()) return;
  complete_since_ = complete_since_with(changed);
  const std::uint64_t number = ++revision_.number;
  for (const std::string& id : removed) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) continue;
    RemovedEntry gone{id, found->second.rule, number};
    take(id);
    by_removal_.emplace(number, id);
    removed_.insert_or_assign(id, std::move(gone));
  }
  for (PublishedEntry& entry : changed) {
    const auto found = entries_.find(entry.listing.id);
    entry.added_at = found == entries_.end() ? number : found->second.added_at;
    entry.changed_at = number;
    forget_removal(entry.listing.id);
    take(entry.listing.id);
    put(std::move(entry));
  }
  bound_removals();
  tell();
}

std::uint64_t LibrarySet::complete_since_with(const std::vector<PublishedEntry>& changed) const {
  for (const PublishedEntry& entry : changed) {
    const auto there = entries_.find(entry.listing.id);
    if (there != entries_.end() && there->second.rule != entry.rule) return revision_.number + 1;
    const auto gone = removed_.find(entry.listing.id);
    if (gone != removed_.end() && gone->second.rule != entry.rule) return revision_.number + 1;
  }
  return complete_since_;
}

void LibrarySet::begin_epoch(std::uint64_t epoch,
                             const std::map<std::string, peers::AccessRule>& rules) {
  revision_.epoch = epoch;
  ++revision_.number;
  complete_since_ = revision_.number;
  removed_.clear();
  by_removal_.clear();
  for (const auto& [id, rule] : rules) {
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.rule == rule) continue;
    PublishedEntry entry = found->second;
    entry.rule = rule;
    take(id);
    put(std::move(entry));
  }
  tell();
}

void LibrarySet::tell() {
  // A listener may end itself or others.
  const std::shared_ptr<bool> alive = alive_;
  std::vector<std::uint64_t> serials;
  for (const auto& [serial, listener] : listeners_) serials.push_back(serial);
  for (const std::uint64_t serial : serials) {
    const auto found = listeners_.find(serial);
    if (found == listeners_.end()) continue;
    const std::function<void()> listener = found->second;
    listener();
    if (alive.use_count() == 1) return;
  }
}

const PublishedEntry* LibrarySet::find(std::string_view id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

Summary LibrarySet::summary(const peers::Visitor& visitor) const {
  Summary summary;
  summary.revision = revision_;
  for (const auto& [rule, group] : groups_) {
    if (!may_see(visitor, rule)) continue;
    summary.digest += group.digest;
    summary.count += group.count;
  }
  return summary;
}

std::vector<Listing> LibrarySet::page(const peers::Visitor& visitor, std::string_view after,
                                      std::size_t count) const {
  std::vector<Listing> listings;
  for (auto entry = entries_.upper_bound(after); entry != entries_.end(); ++entry) {
    if (listings.size() == count) break;
    if (may_see(visitor, entry->second.rule)) listings.push_back(entry->second.listing);
  }
  return listings;
}

std::optional<Changes> LibrarySet::changes(const peers::Visitor& visitor, Revision since,
                                           std::size_t count) const {
  if (since.epoch != revision_.epoch || since.number < complete_since_ ||
      since.number > revision_.number) {
    return std::nullopt;
  }
  Changes changes;
  changes.from = since.number;
  changes.to = revision_;
  const std::pair<std::uint64_t, std::string> first(since.number + 1, "");
  auto change = by_change_.lower_bound(first);
  auto removal = by_removal_.lower_bound(first);
  std::size_t taken = 0;
  while (change != by_change_.end() || removal != by_removal_.end()) {
    // Whole revisions, oldest first, until it is enough.
    std::uint64_t number = change == by_change_.end() ? removal->first : change->first;
    if (removal != by_removal_.end()) number = std::min(number, removal->first);
    if (taken >= count) {
      changes.to.number = number - 1;
      break;
    }
    for (; removal != by_removal_.end() && removal->first == number; ++removal) {
      const RemovedEntry& entry = removed_.find(removal->second)->second;
      ++taken;
      if (may_see(visitor, entry.rule)) changes.removed.push_back(entry.id);
    }
    for (; change != by_change_.end() && change->first == number; ++change) {
      const PublishedEntry& entry = entries_.find(change->second)->second;
      ++taken;
      if (!may_see(visitor, entry.rule)) continue;
      auto& list = entry.added_at > since.number ? changes.added : changes.updated;
      list.push_back(entry.listing);
    }
  }
  return changes;
}

std::optional<Listing> LibrarySet::find(const peers::Visitor& visitor, std::string_view id) const {
  const PublishedEntry* entry = find(id);
  if (entry == nullptr || !may_see(visitor, entry->rule)) return std::nullopt;
  return entry->listing;
}

std::function<void()> LibrarySet::on_changed(std::function<void()> changed) {
  const std::uint64_t serial = ++listener_serial_;
  listeners_.emplace(serial, std::move(changed));
  return [this, serial, weak = std::weak_ptr<bool>(alive_)] {
    if (!weak.expired()) listeners_.erase(serial);
  };
}

void LibrarySet::check_invariants() const {
  WARREN_CHECK(by_change_.size() == entries_.size());
  WARREN_CHECK(by_removal_.size() == removed_.size());
  WARREN_CHECK(removed_.size() <= limits_.removed_max);
  WARREN_CHECK(complete_since_ <= revision_.number);
  std::map<peers::AccessRule, Group> groups;
  for (const auto& [id, entry] : entries_) {
    WARREN_CHECK(id == entry.listing.id && !removed_.contains(id));
    WARREN_CHECK(entry.added_at <= entry.changed_at && entry.changed_at <= revision_.number);
    WARREN_CHECK(by_change_.contains({entry.changed_at, id}));
    Group& group = groups[entry.rule];
    group.digest.add(digest_of(entry.listing));
    ++group.count;
  }
  WARREN_CHECK(groups.size() == groups_.size());
  for (const auto& [rule, group] : groups_) {
    WARREN_CHECK(groups[rule].digest == group.digest && groups[rule].count == group.count);
  }
  for (const auto& [id, entry] : removed_) {
    WARREN_CHECK(entry.removed_at > complete_since_ && entry.removed_at <= revision_.number);
    WARREN_CHECK(by_removal_.contains({entry.removed_at, id}));
  }
}

}  // namespace warren::library
