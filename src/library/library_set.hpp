#pragma once
// The entries of this node as peers see them: with revisions, digests, and what has changed since
// when. Holds only what is on the disk already. Without I/O.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "library/limits.hpp"
#include "library/published.hpp"

namespace warren::library {

/// One entry as it is published.
struct PublishedEntry {
  Listing listing;
  peers::AccessRule rule;
  std::uint64_t added_at = 0;    ///< The number of the revision with which it came.
  std::uint64_t changed_at = 0;  ///< Of its last change.
};

/// An entry that went.
struct RemovedEntry {
  std::string id;
  peers::AccessRule rule;
  std::uint64_t removed_at = 0;
};

class LibrarySet final : public Published {
 public:
  explicit LibrarySet(limits::Library limits = {}) : limits_(limits) {}

  /// This node itself: as a visitor it sees all. Before anything is read.
  void set_owner(PeerId owner) { owner_ = std::move(owner); }
  /// What the disk has, entry by entry and then the rest once, before anything else. Deltas begin
  /// at `complete_since`.
  void restore(PublishedEntry entry);
  void restore(Revision revision, std::uint64_t complete_since, std::vector<RemovedEntry> removed);
  /// These changes are on the disk: the revision after the present one. `changed` have their new
  /// listing; their numbers are set here.
  void apply(std::vector<PublishedEntry> changed, const std::vector<std::string>& removed);
  /// What complete_since() is at least when `changed` are applied. An id that comes under another
  /// rule than it had, or had when it went, ends the deltas from before: to those who may not see
  /// it any more no delta could say so.
  std::uint64_t complete_since_with(const std::vector<PublishedEntry>& changed) const;
  /// Numbers and rules begin anew: what was known of removals is forgotten. `rules`: the new rule
  /// of each entry that is not found in it stays.
  void begin_epoch(std::uint64_t epoch, const std::map<std::string, peers::AccessRule>& rules);

  Revision revision() const { return revision_; }
  std::uint64_t complete_since() const { return complete_since_; }
  const PublishedEntry* find(std::string_view id) const;
  std::size_t size() const { return entries_.size(); }
  const std::map<std::string, PublishedEntry, std::less<>>& all() const { return entries_; }

  Summary summary(const peers::Visitor& visitor) const override;
  std::vector<Listing> page(const peers::Visitor& visitor, std::string_view after,
                            std::size_t count) const override;
  std::optional<Changes> changes(const peers::Visitor& visitor, Revision since,
                                 std::size_t count) const override;
  std::optional<Listing> find(const peers::Visitor& visitor, std::string_view id) const override;
  std::function<void()> on_changed(std::function<void()> changed) override;
  /// Aborts when the indices disagree. For tests.
  void check_invariants() const;

 private:
  struct Group {
    SetDigest digest;
    std::uint64_t count = 0;
  };
  void put(PublishedEntry entry);
  bool take(std::string_view id);
  void forget_removal(std::string_view id);
  void bound_removals();
  void tell();
  bool may_see(const peers::Visitor& visitor, const peers::AccessRule& rule) const {
    return rule.allows(visitor) || (owner_ && *owner_ == visitor.peer);
  }

  limits::Library limits_;
  std::optional<PeerId> owner_;
  Revision revision_;
  std::uint64_t complete_since_ = 0;
  std::map<std::string, PublishedEntry, std::less<>> entries_;
  std::map<std::string, RemovedEntry, std::less<>> removed_;
  /// Of entries and removals, by the number of their last change.
  std::set<std::pair<std::uint64_t, std::string>> by_change_;
  std::set<std::pair<std::uint64_t, std::string>> by_removal_;
  std::map<peers::AccessRule, Group> groups_;
  std::map<std::uint64_t, std::function<void()>> listeners_;
  std::uint64_t listener_serial_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace warren::library
