#pragma once
// What is taken in of the records that peers hand on: which of them are checked, how many addresses
// of one teller count, and how fast they are told on. Without I/O; the signatures are checked by
// the caller, between sort() and take().

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "discovery/exchange/allowances.hpp"
#include "discovery/exchange/exchange_places.hpp"
#include "discovery/peer_source.hpp"
#include "wire/peer_record.hpp"

namespace warren::discovery {

/// A record whose signature holds.
struct VerifiedRecord {
  std::shared_ptr<const Bytes> envelope;
  wire::PeerRecord record;
  TimePoint told = TimePoint{Duration::min() / 2};  ///< To the sink, the last time.
};

/// A record as it came, and what became of it.
struct ReceivedRecord {
  std::shared_ptr<const Bytes> envelope;
  /// Unset until it was checked: to be filled in with what wire::open_peer_record says.
  std::optional<Result<wire::PeerRecord>> opened;
};

class ExchangeIntake {
 public:
  ExchangeIntake(PeerId self, limits::Exchange limits, limits::Discovery hints,
                 Duration retell_after, TimePoint now);

  /// Whether anything of a teller at `told_by` would be taken now: else its signatures need not be
  /// checked.
  bool may_take(const Multiaddr& told_by, TimePoint now);
  /// The records of one answer; those that were verified before are `opened` already. One that is
  /// too large is an error in place of its record, and what is beyond records_max is left out.
  std::vector<ReceivedRecord> sort(std::vector<Bytes> records) const;

  struct Taken {
    std::uint64_t heard = 0;      ///< Records that hold.
    std::uint64_t refused = 0;    ///< Records that do not.
    std::uint64_t over_rate = 0;  ///< Records that were ignored because too many came.
    std::uint64_t news = 0;       ///< Records that are told on.
    bool lie = false;             ///< One of the refused claims to be what it is not.
  };
  /// Takes the records of an answer of a teller at `told_by`; all of them are `opened`. Their hints
  /// come out of next_hint(). Tellers of one Neighbourhood count as one.
  Taken take(std::vector<ReceivedRecord> records, const Multiaddr& told_by, TimePoint now);

  /// The next hint that may be told now, at most limits::Discovery::hints_per_second_max in a
  /// second.
  std::optional<PeerHint> next_hint(TimePoint now);
  /// When there will be one; kNever: none is waiting.
  TimePoint next_wake(TimePoint now) const;

  std::size_t known_bytes() const { return known_bytes_; }
  void check_invariants() const;

 private:
  VerifiedRecord& remember(const ReceivedRecord& received);
  std::vector<Multiaddr> usable_addresses(const wire::PeerRecord& record,
                                          const Multiaddr& told_by) const;

  PeerId self_;
  limits::Exchange limits_;
  limits::Discovery hint_limits_;
  Duration retell_after_;
  Allowances<Neighbourhood> tellers_;
  Allowance all_tellers_;
  Allowance hints_;
  std::map<Bytes, VerifiedRecord> known_;                 ///< By their bytes.
  std::deque<std::shared_ptr<const Bytes>> known_order_;  ///< The oldest first.
  std::size_t known_bytes_ = 0;
  std::deque<PeerHint> waiting_;
};

}  // namespace warren::discovery
