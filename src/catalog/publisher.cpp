#include "catalog/publisher.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace warren::catalog {
namespace {

// Tag and length of a removed id.
constexpr std::size_t kIdOverheadBytes = 3;

std::size_t size_of(const library::Changes& changes) {
  return changes.added.size() + changes.updated.size() + changes.removed.size();
}

}  // namespace

Publisher::Publisher(const library::Published& published, peers::Visitor visitor,
                     const Summary& known, limits::Catalog limits)
    : published_(published),
      visitor_(std::move(visitor)),
      limits_(limits),
      first_summary_(published.summary(visitor_)),
      acknowledged_(known.revision),
      acknowledged_digest_(known.digest) {
  // Equal sets: the subscriber takes the revision from the HelloAck.
  if (known.digest == first_summary_.digest) acknowledged_ = first_summary_.revision;
  // What it has of this revision is not what is so now.
  else if (known.revision == first_summary_.revision)
    snapshot_wanted_ = true;
}

bool Publisher::is_current() const {
  const Summary now = published_.summary(visitor_);
  return state_ == State::kCurrent && !snapshot_wanted_ && acknowledged_digest_ == now.digest;
}

Result<> Publisher::handle(const Message& message) {
  if (std::holds_alternative<SnapshotRequest>(message)) {
    snapshot_wanted_ = true;
    state_ = State::kCurrent;
    return {};
  }
  const AnnounceAck* const ack = std::get_if<AnnounceAck>(&message);
  if (ack == nullptr) return fail(ErrorCode::kMalformed, "a subscriber said what it may not");
  if (state_ == State::kWaiting && ack->revision == sent_) {
    acknowledged_ = sent_;
    acknowledged_digest_ = sent_digest_;
    state_ = State::kCurrent;
  }
  return {};
}

std::optional<Message> Publisher::next() {
  const Summary now = published_.summary(visitor_);
  // Rules have changed: nothing that was allowed before may go out any more.
  const bool new_epoch = sent_.epoch != now.revision.epoch;
  if (state_ == State::kDelta && new_epoch) {
    state_ = State::kCurrent;
    snapshot_wanted_ = true;
  }
  if (state_ == State::kSnapshot && new_epoch) begin_snapshot(now);

  switch (state_) {
    case State::kWaiting: return std::nullopt;
    case State::kDelta: return next_delta_part();
    case State::kSnapshot: return next_snapshot_part();
    case State::kCurrent: break;
  }
  if (!snapshot_wanted_) {
    if (acknowledged_digest_ == now.digest) {
      if (acknowledged_.epoch == now.revision.epoch) return std::nullopt;
      begin_waiting(now.revision, now.digest);
      return SummaryMessage{now};
    }
    auto delta = begin_delta(now);
    if (delta) return delta;
  }
  begin_snapshot(now);
  return next_snapshot_part();
}

// ----------------------------------------------------------------------------------- deltas

std::optional<Message> Publisher::begin_delta(const Summary& now) {
  Revision since = acknowledged_;
  for (;;) {
    auto changes = published_.changes(visitor_, since, limits_.page_entries_max);
    if (!changes) return std::nullopt;
    changes_ = std::move(*changes);
    if (size_of(changes_) > 0 || changes_.to.number >= now.revision.number) break;
    since = changes_.to;  // Nothing that this visitor may see has changed up to there.
  }
  changes_.from = acknowledged_.number;
  changes_told_ = 0;
  part_ = 0;
  sent_ = changes_.to;
  sent_digest_.reset();
  if (changes_.to == now.revision) sent_digest_ = now.digest;
  state_ = State::kDelta;
  return next_delta_part();
}

std::optional<Message> Publisher::next_delta_part() {
  DeltaPart part;
  part.to = changes_.to;
  part.from = changes_.from;
  part.part = part_++;
  std::size_t room = limits_.page_bytes_max;
  const std::size_t end = std::min(size_of(changes_), changes_told_ + limits_.page_entries_max);
  const std::size_t first = changes_told_;
  for (; changes_told_ < end; ++changes_told_) {
    std::size_t i = changes_told_;
    const Listing* listing = nullptr;
    const bool is_added = i < changes_.added.size();
    if (is_added) {
      listing = &changes_.added[i];
    } else if ((i -= changes_.added.size()) < changes_.updated.size()) {
      listing = &changes_.updated[i];
    } else {
      i -= changes_.updated.size();
    }
    const std::size_t bytes = listing != nullptr ? message_bytes_of(*listing)
                                                 : changes_.removed[i].size() + kIdOverheadBytes;
    if (bytes > room && changes_told_ > first) break;
    room -= std::min(room, bytes);
    if (listing == nullptr) {
      part.removed.push_back(changes_.removed[i]);
    } else {
      (is_added ? part.added : part.updated).push_back(*listing);
    }
  }
  part.last = changes_told_ == size_of(changes_);
  if (part.last) {
    part.digest = sent_digest_;
    changes_ = {};
    state_ = State::kWaiting;
  }
  return part;
}

// -------------------------------------------------------------------------------- snapshots

void Publisher::begin_snapshot(const Summary& now) {
  snapshot_wanted_ = false;
  changes_ = {};
  part_ = 0;
  after_.clear();
  sent_ = now.revision;
  sent_digest_.reset();
  state_ = State::kSnapshot;
}

Message Publisher::next_snapshot_part() {
  SnapshotPart part;
  part.revision = sent_;
  part.part = part_++;
  // One more than goes in: whether anything is left.
  std::vector<Listing> page = published_.page(visitor_, after_, limits_.page_entries_max + 1);
  std::size_t room = limits_.page_bytes_max;
  std::size_t taken = 0;
  for (; taken < std::min(page.size(), limits_.page_entries_max); ++taken) {
    const std::size_t bytes = message_bytes_of(page[taken]);
    if (bytes > room && taken > 0) break;
    room -= std::min(room, bytes);
  }
  part.last = taken == page.size();
  page.resize(taken);
  if (!page.empty()) after_ = page.back().id;
  part.entries = std::move(page);
  if (part.last) {
    // What changed while it went out is in no one state: the delta after it makes it whole, and its
    // digest covers both.
    const Summary now = published_.summary(visitor_);
    if (now.revision == sent_) part.digest = now.digest;
    begin_waiting(sent_, part.digest);
  }
  return part;
}

void Publisher::begin_waiting(Revision revision, const std::optional<SetDigest>& digest) {
  sent_ = revision;
  sent_digest_ = digest;
  state_ = State::kWaiting;
}

void Publisher::check_invariants() const {
  WARREN_CHECK(changes_told_ <= size_of(changes_) || state_ != State::kDelta);
  switch (state_) {
    case State::kCurrent: break;
    case State::kSnapshot: WARREN_CHECK(part_ > 0 && !sent_digest_); break;
    case State::kDelta: WARREN_CHECK(part_ > 0 && size_of(changes_) > 0); break;
    case State::kWaiting: WARREN_CHECK(size_of(changes_) == 0); break;
  }
}

}  // namespace warren::catalog
