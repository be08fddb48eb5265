#include "discovery/exchange/exchange_answers.hpp"

#include <algorithm>

#include "discovery/exchange/exchange_messages.hpp"
#include "discovery/exchange/exchange_places.hpp"

namespace warren::discovery {

ExchangeAnswers::ExchangeAnswers(limits::Exchange limits, Duration sample_lifetime)
    : limits_(limits),
      sample_lifetime_(sample_lifetime),
      askers_(limits.requests_per_second, limits.requests_burst, limits.askers_max) {}

bool ExchangeAnswers::admit(const PeerId& asker, TimePoint now) {
  return askers_.of(asker, now).take(1, now);
}

ExchangeAnswers::Key ExchangeAnswers::key_of(const PeerId& asker, const Multiaddr& remote) {
  Key key{peers::network_group(remote), {}};
  if (key.group.kind == peers::NetworkGroup::Kind::kLocal) key.asker = asker;
  return key;
}

std::optional<std::vector<SharedRecord>> ExchangeAnswers::find(const PeerId& asker,
                                                               const Multiaddr& remote,
                                                               TimePoint now) const {
  const auto found = samples_.find(key_of(asker, remote));
  if (found == samples_.end() || found->second.until <= now) return std::nullopt;
  return found->second.records;
}

void ExchangeAnswers::keep(const PeerId& asker, const Multiaddr& remote,
                           std::vector<SharedRecord> sample, TimePoint now) {
  const Key key = key_of(asker, remote);
  if (sample.size() < limits_.records_max) {
    samples_.erase(key);
    return;
  }
  if (samples_.size() >= limits_.samples_max && !samples_.contains(key)) {
    samples_.erase(std::ranges::min_element(samples_, {},
                                            [](const auto& entry) { return entry.second.until; }));
  }
  samples_.insert_or_assign(key, Sample{std::move(sample), now + sample_lifetime_});
}

std::vector<Bytes> ExchangeAnswers::pick(const std::vector<SharedRecord>& sample,
                                         const PeerId& asker, const Multiaddr& remote,
                                         std::size_t want) const {
  std::vector<Bytes> picked;
  for (const SharedRecord& record : sample) {
    if (picked.size() == std::min(want, limits_.records_max)) break;
    if (record == nullptr || record->envelope.size() > limits_.record_bytes_max) continue;
    const RecordContent content = content_of_record(record->envelope);
    if (content.peer == asker || !may_hand_on(content.addresses, remote)) continue;
    picked.push_back(record->envelope);
  }
  return picked;
}

}  // namespace warren::discovery
