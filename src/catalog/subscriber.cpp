#include "catalog/subscriber.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.hpp"

namespace warren::catalog {
namespace {

// A gap is closed by one snapshot; a publisher that makes several in a row cannot be followed.
constexpr int kGapsMax = 3;
// The first one may come of a change of what we may see, or of our own disk.
constexpr int kMismatchesMax = 1;

}  // namespace

Subscriber::Subscriber(Summary known, limits::Catalog limits) : limits_(limits), known_(known) {}

Result<std::optional<Subscriber::Action>> Subscriber::handle(Message message) {
  if (!introduction_) {
    HelloAck* const ack = std::get_if<HelloAck>(&message);
    if (ack == nullptr) return fail(ErrorCode::kMalformed, "no HelloAck after a Hello");
    return on(std::move(*ack));
  }
  if (auto* summary = std::get_if<SummaryMessage>(&message)) return on(std::move(*summary));
  if (auto* snapshot = std::get_if<SnapshotPart>(&message)) return on(std::move(*snapshot));
  if (auto* delta = std::get_if<DeltaPart>(&message)) return on(std::move(*delta));
  return fail(ErrorCode::kMalformed, "a publisher said what it may not");
}

Subscriber::Step Subscriber::on(HelloAck message) {
  introduction_ = std::move(message.self);
  theirs_ = message.summary;
  if (theirs_.digest != known_.digest) return std::nullopt;  // It sends what is missing.
  if (theirs_.revision == known_.revision) return std::nullopt;
  acknowledges_ = false;
  return Adopt{theirs_.revision};
}

Subscriber::Step Subscriber::on(SummaryMessage message) {
  theirs_ = message.summary;
  if (awaiting_snapshot_) return std::nullopt;
  if (theirs_.digest != known_.digest) return gap();
  receiving_.reset();
  acknowledges_ = true;
  return Adopt{theirs_.revision};
}

Result<bool> Subscriber::takes_part(const Receiving& header, std::uint32_t part) {
  if (part >= limits_.parts_max) {
    return fail(ErrorCode::kMalformed, fmt::format("a part of number {}", part));
  }
  if (part == 0) {
    receiving_ = header;
  } else if (!receiving_ || receiving_->snapshot != header.snapshot ||
             receiving_->to != header.to || receiving_->from != header.from ||
             receiving_->next_part != part) {
    return false;
  }
  ++receiving_->next_part;
  return true;
}

Subscriber::Step Subscriber::on(SnapshotPart message) {
  WARREN_TRY(const bool taken, takes_part({true, message.revision, 0, 0}, message.part));
  if (!taken) return awaiting_snapshot_ ? Step(std::nullopt) : gap();
  awaiting_snapshot_ = false;
  theirs_.revision = message.revision;
  if (message.digest) theirs_.digest = *message.digest;
  finishing_ = message.last;
  checks_digest_ = message.last && message.digest.has_value();
  if (message.last) receiving_.reset();
  return Write{{.first = message.part == 0,
                .last = message.last,
                .snapshot = true,
                .to = message.revision,
                .put = std::move(message.entries),
                .removed = {},
                .digest = message.last ? message.digest : std::nullopt}};
}

Subscriber::Step Subscriber::on(DeltaPart message) {
  if (awaiting_snapshot_) return std::nullopt;
  if (message.to.epoch == known_.revision.epoch && message.to.number <= known_.revision.number) {
    if (!message.last) return std::nullopt;
    return Send{AnnounceAck{known_.revision}};
  }
  if (message.to.epoch != known_.revision.epoch || message.from > known_.revision.number) {
    return gap();
  }
  WARREN_TRY(const bool taken, takes_part({false, message.to, message.from, 0}, message.part));
  if (!taken) return gap();
  theirs_.revision = message.to;
  if (message.digest) theirs_.digest = *message.digest;
  finishing_ = message.last;
  checks_digest_ = message.last && message.digest.has_value();
  if (message.last) receiving_.reset();
  std::vector<Listing> put = std::move(message.added);
  std::ranges::move(message.updated, std::back_inserter(put));
  return Write{{.first = message.part == 0,
                .last = message.last,
                .snapshot = false,
                .to = message.to,
                .put = std::move(put),
                .removed = std::move(message.removed),
                .digest = message.last ? message.digest : std::nullopt}};
}

Subscriber::Step Subscriber::gap() {
  receiving_.reset();
  if (++gaps_ > kGapsMax) {
    return fail(ErrorCode::kMalformed, fmt::format("{} gaps in a row", gaps_));
  }
  awaiting_snapshot_ = true;
  return Send{SnapshotRequest{}};
}

Result<std::optional<Message>> Subscriber::stored(const CatalogWritten& written) {
  const bool finished = std::exchange(finishing_, false);
  const bool checked = std::exchange(checks_digest_, false);
  known_ = written.known;
  if (!written.matches) {
    receiving_.reset();
    if (++mismatches_ > kMismatchesMax) {
      return fail(ErrorCode::kMalformed, "its entries are not what its digest says, again");
    }
    awaiting_snapshot_ = true;
    return SnapshotRequest{};
  }
  if (!finished) return std::nullopt;
  gaps_ = 0;
  if (checked) {
    mismatches_ = 0;
    theirs_.count = known_.count;
  }
  return AnnounceAck{known_.revision};
}

std::optional<Message> Subscriber::adopted(Revision revision) {
  known_.revision = revision;
  if (!std::exchange(acknowledges_, false)) return std::nullopt;
  return AnnounceAck{known_.revision};
}

void Subscriber::check_invariants() const {
  WARREN_CHECK(gaps_ <= kGapsMax + 1 && mismatches_ <= kMismatchesMax + 1);
  WARREN_CHECK(!receiving_ || receiving_->next_part > 0);
  WARREN_CHECK(!(awaiting_snapshot_ && receiving_ && receiving_->snapshot));
}

}  // namespace warren::catalog
