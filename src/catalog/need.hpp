#pragma once
// What one node lacks of another's set, reckoned by both: by the one that follows from what it
// wants and has, by the one that publishes from its own listing and from what the other lists
// itself. Without I/O. Protocol: docs/protocols/catalog.md.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "library/published.hpp"

namespace warren::catalog {

/// Who says it in its HelloAck answers a NeedReport.
inline constexpr std::string_view kNeedFeature = "need";
/// Ids of each kind that a message has at most. Source: what fits a screen.
inline constexpr std::size_t kNeedIdsMax = 32;

/// Why something is missing and nothing moves. The first eight of reason_name() are those of
/// quality statement SY-1. The numbers stand on the wire.
enum class Reason : std::uint8_t {
  kNone = 0,
  kNoPeer = 1,
  kPeerSilent = 2,
  kRateLimit = 3,
  kDiskFull = 4,
  kPermission = 5,
  kConflict = 6,
  kName = 7,
  kBusy = 8,
  kTurn = 9,     ///< Others come first.
  kPerson = 10,  ///< A person has paused or cancelled it.
  kError = 11,   ///< None of the others: the log says more.
};
/// A stable interface; empty for kNone.
std::string_view reason_name(Reason reason) noexcept;

/// What is missing of a set.
struct Need {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  library::SetDigest digest;     ///< The sum of need_digest_of() each.
  std::vector<std::string> ids;  ///< The first kNeedIdsMax.
  void add(const library::Listing& listing);
  bool operator==(const Need&) const = default;
};
/// SHA-256 of id, behind its length, and root. `listing` has a root.
Digest need_digest_of(const library::Listing& listing);

/// One bit for each entry of a set, in the order of ids; the first is the lowest of the first byte.
class EntryBits {
 public:
  void push(bool bit);
  bool at(std::uint64_t index) const {
    return index / 8 < bytes_.size() && ((bytes_[index / 8] >> (index % 8)) & 1) != 0;
  }
  bool any() const { return any_; }
  /// Empty when all are 0.
  BytesView bytes() const { return any_ ? BytesView(bytes_) : BytesView(); }
  /// What bytes() gave, of `count` entries. Errors: kMalformed for another length, and for bits
  /// behind the last entry.
  static Result<EntryBits> from_bytes(BytesView bytes, std::uint64_t count);
  /// Whether each bit that is set here is set in `other`.
  bool is_within(const EntryBits& other) const;
  bool operator==(const EntryBits& other) const;

 private:
  Bytes bytes_;
  std::uint64_t size_ = 0;
  bool any_ = false;
};

/// What a follower says of what it has of the publisher's set, and lacks.
struct NeedReport {
  library::SetDigest listed;  ///< Of the set that it was told of.
  std::uint64_t count = 0;    ///< Its entries.
  EntryBits wanted;
  EntryBits missing;              ///< Of `wanted`.
  Need need;                      ///< What `missing` is, as the follower knows the set.
  Reason reason = Reason::kNone;  ///< Why nothing moves; kNone while something does.
  bool operator==(const NeedReport&) const = default;
};

/// What the publisher makes of it.
struct NeedAnswer {
  enum class Compared : std::uint8_t {
    kNotYet = 0,    ///< The follower is being told of changes, or has not subscribed.
    kSameSet = 1,   ///< `need` is of the same set.
    kOtherSet = 2,  ///< What the follower acknowledged is not what it reports of.
  };
  Compared compared = Compared::kNotYet;
  Need need;                           ///< In the publisher's reckoning. Of kSameSet only.
  std::vector<std::string> differing;  ///< The first kNeedIdsMax that only one of them misses.
  bool operator==(const NeedAnswer&) const = default;
};
/// Whether both ends say the same. Of an answer that is not kNotYet.
bool agrees(const Need& reported, const NeedAnswer& answer);
/// Ids on which they may differ.
std::vector<std::string> differing_ids(const Need& reported, const NeedAnswer& answer);

/// What a node thinks of one entry that a peer lists.
struct Claim {
  enum class Kind : std::uint8_t { kNotWanted, kHeld, kMissing };
  Kind kind = Kind::kNotWanted;
  Reason reason = Reason::kNone;  ///< Of kMissing: why it does not come, where that is known.
  std::uint64_t bytes_done = 0;   ///< Of kMissing: how much of it is here.
};

/// One that is missing, for a person.
struct MissingItem {
  std::string id;
  std::uint64_t bytes = 0;
  Reason reason = Reason::kNone;
};

/// The follower's reckoning, entry by entry in the order of ids.
class NeedBuilder {
 public:
  NeedBuilder() = default;
  /// Of one that wants none of the `count` entries of the set `listed`.
  NeedBuilder(const library::SetDigest& listed, std::uint64_t count);
  void add(const library::Listing& listing, const Claim& claim);
  /// Without a reason.
  const NeedReport& report() const { return report_; }
  const std::vector<MissingItem>& items() const { return items_; }
  std::uint64_t bytes_done() const { return bytes_done_; }
  /// That of the first which has one.
  Reason reason() const { return reason_; }

 private:
  NeedReport report_;
  std::vector<MissingItem> items_;  ///< The first kNeedIdsMax.
  std::uint64_t bytes_done_ = 0;
  Reason reason_ = Reason::kNone;
};

/// The publisher's reckoning, entry by entry in the order of ids.
class NeedJudge {
 public:
  /// `report` must outlive it.
  explicit NeedJudge(const NeedReport& report) : report_(report) {}
  /// `own`: what we publish to the follower; `theirs`: what it lists to us under the same id, null
  /// when nothing is known of that.
  void add(const library::Listing& own, const library::Listing* theirs);
  NeedAnswer finish() &&;

 private:
  const NeedReport& report_;
  std::uint64_t index_ = 0;
  NeedAnswer answer_;
};

}  // namespace warren::catalog
