#include "catalog/need.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/varint.hpp"
#include "crypto/sha256.hpp"

namespace warren::catalog {

using library::Listing;

std::string_view reason_name(Reason reason) noexcept {
  switch (reason) {
    case Reason::kNone: return "";
    case Reason::kNoPeer: return "no peer has it";
    case Reason::kPeerSilent: return "ignored by peer";
    case Reason::kRateLimit: return "rate limit";
    case Reason::kDiskFull: return "disk full";
    case Reason::kPermission: return "permission";
    case Reason::kConflict: return "conflict";
    case Reason::kName: return "name not allowed here";
    case Reason::kBusy: return "file busy";
    case Reason::kTurn: return "others come first";
    case Reason::kPerson: return "stopped by a person";
    case Reason::kError: return "error";
  }
  return "error";
}

Digest need_digest_of(const Listing& listing) {
  Bytes bytes;
  append_uvarint(bytes, listing.id.size());
  append(bytes, as_bytes(listing.id));
  append(bytes, listing.root->to_bytes());
  return Digest{crypto::sha256(bytes)};
}

void Need::add(const Listing& listing) {
  ++count;
  bytes += listing.bytes;
  digest.add(need_digest_of(listing));
  if (ids.size() < kNeedIdsMax) ids.push_back(listing.id);
}

// -------------------------------------------------------------------------------------- bits

void EntryBits::push(bool bit) {
  if (size_ % 8 == 0) bytes_.push_back(0);
  if (bit) bytes_.back() = static_cast<std::uint8_t>(bytes_.back() | (1u << (size_ % 8)));
  any_ = any_ || bit;
  ++size_;
}

Result<EntryBits> EntryBits::from_bytes(BytesView bytes, std::uint64_t count) {
  EntryBits bits;
  bits.size_ = count;
  if (bytes.empty()) return bits;
  const bool fits = bytes.size() == count / 8 + (count % 8 == 0 ? 0 : 1);
  if (!fits || (count % 8 != 0 && (bytes.back() >> (count % 8)) != 0)) {
    return fail(ErrorCode::kMalformed,
                fmt::format("{} bytes are not the bits of {} entries", bytes.size(), count));
  }
  bits.bytes_.assign(bytes.begin(), bytes.end());
  bits.any_ = std::ranges::any_of(bytes, [](std::uint8_t byte) { return byte != 0; });
  return bits;
}

bool EntryBits::is_within(const EntryBits& other) const {
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    const std::uint8_t most = i < other.bytes_.size() ? other.bytes_[i] : std::uint8_t{0};
    if ((bytes_[i] & ~most) != 0) return false;
  }
  return true;
}

bool EntryBits::operator==(const EntryBits& other) const {
  return size_ == other.size_ && std::ranges::equal(bytes(), other.bytes());
}

// ---------------------------------------------------------------------------------- reckoning

NeedBuilder::NeedBuilder(const library::SetDigest& listed, std::uint64_t count) {
  report_.listed = listed;
  report_.count = count;
  report_.wanted = report_.missing = *EntryBits::from_bytes({}, count);
}

void NeedBuilder::add(const Listing& listing, const Claim& claim) {
  report_.listed.add(library::digest_of(listing));
  ++report_.count;
  // Without a root there is nothing yet that could be fetched.
  const bool wanted = claim.kind != Claim::Kind::kNotWanted && listing.root.has_value();
  const bool missing = wanted && claim.kind == Claim::Kind::kMissing;
  report_.wanted.push(wanted);
  report_.missing.push(missing);
  if (!missing) return;
  report_.need.add(listing);
  bytes_done_ += claim.bytes_done;
  if (reason_ == Reason::kNone) reason_ = claim.reason;
  if (items_.size() < kNeedIdsMax) items_.push_back({listing.id, listing.bytes, claim.reason});
}

void NeedJudge::add(const Listing& own, const Listing* theirs) {
  const std::uint64_t index = index_++;
  const bool reported = report_.missing.at(index);
  bool missing = report_.wanted.at(index) && own.root.has_value();
  if (missing) {
    // What it lists as ready speaks for itself; of what it keeps to itself only it can tell.
    const bool known =
        theirs != nullptr && theirs->root && theirs->availability == library::Availability::kReady;
    missing = known ? theirs->root != own.root : reported;
  }
  if (missing) answer_.need.add(own);
  if (missing != reported && answer_.differing.size() < kNeedIdsMax) {
    answer_.differing.push_back(own.id);
  }
}

NeedAnswer NeedJudge::finish() && {
  answer_.compared = NeedAnswer::Compared::kSameSet;
  return std::move(answer_);
}

bool agrees(const Need& reported, const NeedAnswer& answer) {
  if (answer.compared != NeedAnswer::Compared::kSameSet || !answer.differing.empty()) return false;
  return reported.count == answer.need.count && reported.bytes == answer.need.bytes &&
         reported.digest == answer.need.digest;
}

std::vector<std::string> differing_ids(const Need& reported, const NeedAnswer& answer) {
  if (!answer.differing.empty() || answer.compared != NeedAnswer::Compared::kSameSet) {
    return answer.differing;
  }
  std::vector<std::string> a = reported.ids;
  std::vector<std::string> b = answer.need.ids;
  std::ranges::sort(a);
  std::ranges::sort(b);
  std::vector<std::string> ids;
  std::ranges::set_symmetric_difference(a, b, std::back_inserter(ids));
  if (ids.size() > kNeedIdsMax) ids.resize(kNeedIdsMax);
  return ids;
}

}  // namespace warren::catalog
