#include "node/sync_status.hpp"

#include <memory>
#include <utility>

#include "catalog/patterns.hpp"

namespace warren::node {

using catalog::Claim;
using catalog::Reason;

SyncStatus::SyncStatus(library::LibraryService& libraries, transfer::TransferManager& transfers,
                       const Replicator& replicator,
                       std::function<std::string(std::string_view)> expected)
    : libraries_(libraries),
      transfers_(transfers),
      replicator_(replicator),
      expected_(std::move(expected)) {}

awaitable<Result<catalog::Classify>> SyncStatus::classify() {
  WARREN_CO_TRY(std::vector<std::string> patterns, co_await replicator_.patterns());
  const auto transfers = std::make_shared<const Transfers>(unfinished());
  if (patterns.empty() && transfers->empty()) co_return catalog::Classify();
  co_return [this, patterns = std::move(patterns), transfers](const library::Listing& listing) {
    return claim(listing, patterns, *transfers);
  };
}

SyncStatus::Transfers SyncStatus::unfinished() const {
  Transfers found;
  for (transfer::Progress& progress : transfers_.list()) {
    if (!progress.root || progress.state == transfer::State::kCompleted) continue;
    const Cid root = *progress.root;
    const bool active = progress.state == transfer::State::kActive;
    const auto other = found.find(root);
    if (other == found.end()) {
      found.emplace(root, std::move(progress));
    } else if (active) {
      other->second = std::move(progress);
    }
  }
  return found;
}

Claim SyncStatus::claim(const library::Listing& listing, const std::vector<std::string>& patterns,
                        const Transfers& transfers) const {
  if (!listing.root) return {};
  const auto transfer = transfers.find(*listing.root);
  const bool under_way = transfer != transfers.end();
  const bool by_hand = under_way && transfer->second.priority == transfer::Priority::kUser;
  const bool matches = catalog::matches_any(patterns, listing.topic);
  // A library that expects another version does not want this one.
  const std::string expected = matches ? expected_(listing.id) : std::string();
  const bool by_mode = matches && (expected.empty() || expected == listing.version);
  if (!by_mode && !by_hand) return {};

  const library::PublishedEntry* const here =
      std::as_const(libraries_).published().find(listing.id);
  const bool held = here != nullptr && here->listing.root == listing.root &&
                    here->listing.availability == library::Availability::kReady;
  if (held) return {Claim::Kind::kHeld, Reason::kNone, 0};
  Claim missing{Claim::Kind::kMissing, Reason::kNone, 0};
  if (under_way) {
    missing.bytes_done = transfer->second.bytes_done;
    missing.reason = reason_of(transfer->second);
    return missing;
  }
  missing.reason = replicator_.reason(listing.id, *listing.root);
  const bool other_content = here != nullptr && here->listing.root;
  if (missing.reason == Reason::kNone && other_content) {
    missing.reason = replicator_.view().fetching.empty() ? Reason::kConflict : Reason::kTurn;
  }
  return missing;
}

Reason reason_of(const transfer::Progress& progress) {
  for (int number = 1; number <= static_cast<int>(Reason::kError); ++number) {
    const auto reason = static_cast<Reason>(number);
    if (progress.reason == catalog::reason_name(reason)) return reason;
  }
  switch (progress.state) {
    case transfer::State::kActive:
      return progress.phase == transfer::Phase::kQueued ? Reason::kTurn : Reason::kNone;
    case transfer::State::kPaused:
    case transfer::State::kFailed:
      return progress.error ? reason_of(*progress.error) : Reason::kPerson;
    case transfer::State::kCompleted: break;
  }
  return Reason::kNone;
}

}  // namespace warren::node
