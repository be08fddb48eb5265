#include "discovery/exchange/exchange_intake.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "discovery/exchange/exchange_source.hpp"
#include "protocols/identify.hpp"

namespace warren::discovery {
namespace {

using multiformats::Protocol;

/// Whether a node that heard of it from somebody else may dial it: an IP address with a port. No
/// name, so that strangers cannot choose what a node looks up, and no relay.
bool can_be_dialled(const Multiaddr& address, const Multiaddr& told_by) {
  // Of a simulated network it can be said only there.
  if (address.memory_id()) return told_by.memory_id().has_value();
  if (address.has(Protocol::kP2pCircuit)) return false;
  const auto endpoint = address.endpoint();
  return endpoint && endpoint->port != 0 && !endpoint->ip.is_unspecified() &&
         !endpoint->ip.is_multicast();
}

/// What a record takes in memory, roughly.
std::size_t weight_of(const Bytes& envelope) { return 2 * envelope.size(); }

}  // namespace

ExchangeIntake::ExchangeIntake(PeerId self, limits::Exchange limits, limits::Discovery hints,
                               Duration retell_after, TimePoint now)
    : self_(std::move(self)),
      limits_(limits),
      hint_limits_(hints),
      retell_after_(retell_after),
      tellers_(limits.addresses_per_second, limits.addresses_burst, limits.tellers_max),
      all_tellers_(limits.addresses_per_second_all, limits.addresses_burst_all, now),
      hints_(hints.hints_per_second_max, hints.hints_per_second_max, now) {}

bool ExchangeIntake::may_take(const Multiaddr& told_by, TimePoint now) {
  return waiting_.size() < limits_.hints_waiting_max && all_tellers_.has(1, now) &&
         tellers_.of(neighbourhood_of(told_by), now).has(1, now);
}

std::vector<ReceivedRecord> ExchangeIntake::sort(std::vector<Bytes> records) const {
  std::vector<ReceivedRecord> sorted;
  for (Bytes& record : records) {
    if (sorted.size() == limits_.records_max) break;
    ReceivedRecord& received = sorted.emplace_back();
    if (record.size() > limits_.record_bytes_max) {
      received.opened =
          fail(ErrorCode::kTooLarge, fmt::format("a record of {} bytes, at most {} may be",
                                                 record.size(), limits_.record_bytes_max));
      continue;
    }
    const auto known = known_.find(record);
    if (known != known_.end()) {
      received.envelope = known->second.envelope;
      received.opened = known->second.record;
    } else {
      received.envelope = std::make_shared<const Bytes>(std::move(record));
    }
  }
  return sorted;
}

VerifiedRecord& ExchangeIntake::remember(const ReceivedRecord& received) {
  const auto [entry, added] =
      known_.try_emplace(*received.envelope, VerifiedRecord{received.envelope, **received.opened});
  if (!added) return entry->second;
  known_bytes_ += weight_of(*received.envelope);
  known_order_.push_back(received.envelope);
  // The one just added stays: it is the last.
  while (known_bytes_ > limits_.known_bytes_max && known_order_.size() > 1) {
    known_bytes_ -= weight_of(*known_order_.front());
    known_.erase(*known_order_.front());
    known_order_.pop_front();
  }
  return entry->second;
}

std::vector<Multiaddr> ExchangeIntake::usable_addresses(const wire::PeerRecord& record,
                                                        const Multiaddr& told_by) const {
  std::vector<Multiaddr> usable;
  for (const Multiaddr& full : record.addresses) {
    if (usable.size() == hint_limits_.addresses_per_peer_max) break;
    const auto leads_to = full.peer_id();
    if (leads_to && *leads_to != record.peer) continue;
    Multiaddr address = full.without_peer();
    if (!can_be_dialled(address, told_by) || !protocols::worth_telling(address, told_by)) continue;
    if (std::ranges::find(usable, address) == usable.end()) usable.push_back(std::move(address));
  }
  return usable;
}

ExchangeIntake::Taken ExchangeIntake::take(std::vector<ReceivedRecord> records,
                                           const Multiaddr& told_by, TimePoint now) {
  Taken taken;
  Allowance& of_teller = tellers_.of(neighbourhood_of(told_by), now);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const ReceivedRecord& received = records[i];
    WARREN_CHECK(received.opened);
    if (!*received.opened) {
      ++taken.refused;
      // A kind of key that this build does not know is no lie.
      taken.lie |= received.opened->error().code() != ErrorCode::kUnsupported;
      continue;
    }
    ++taken.heard;
    const wire::PeerRecord& record = **received.opened;
    if (record.peer == self_) continue;
    VerifiedRecord& known = remember(received);
    if (now - known.told < retell_after_) continue;
    std::vector<Multiaddr> addresses = usable_addresses(record, told_by);
    if (addresses.empty()) continue;

    const auto cost = static_cast<double>(addresses.size());
    if (waiting_.size() >= limits_.hints_waiting_max || !of_teller.has(cost, now) ||
        !all_tellers_.has(cost, now)) {
      taken.over_rate += records.size() - i;  // The rest of the answer is not looked at.
      break;
    }
    of_teller.take(cost, now);
    all_tellers_.take(cost, now);
    known.told = now;
    ++taken.news;
    PeerHint& hint = waiting_.emplace_back();
    hint.peer = record.peer;
    hint.addresses = std::move(addresses);
    hint.via = kExchangeName;
    hint.seen = now;
    hint.record = received.envelope;
    hint.record_sequence = record.seq;
    hint.told_by = told_by;
  }
  check_invariants();
  return taken;
}

std::optional<PeerHint> ExchangeIntake::next_hint(TimePoint now) {
  if (waiting_.empty() || !hints_.take(1, now)) return std::nullopt;
  PeerHint hint = std::move(waiting_.front());
  waiting_.pop_front();
  return hint;
}

TimePoint ExchangeIntake::next_wake(TimePoint now) const {
  // As many as a second allows then go together.
  return waiting_.empty() ? kNever : now + 1s;
}

void ExchangeIntake::check_invariants() const {
  WARREN_CHECK(known_.size() == known_order_.size());
  WARREN_CHECK(known_bytes_ <= limits_.known_bytes_max || known_.size() == 1);
  WARREN_CHECK(waiting_.size() <= limits_.hints_waiting_max);
  WARREN_CHECK(tellers_.size() <= std::max<std::size_t>(limits_.tellers_max, 1));
}

}  // namespace warren::discovery
