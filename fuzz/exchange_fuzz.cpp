// Gives arbitrary bytes to the decoders of peer exchange, and arbitrary orders of events to what
// decides whom to ask, what to take in and what to answer. Finds: a crash, a broken invariant, a
// count beyond its limit, and a hint that may not be told.
// Links: warren::discovery_exchange

#include <fuzzer/FuzzedDataProvider.h>

#include "base/check.hpp"
#include "discovery/exchange/exchange_answers.hpp"
#include "discovery/exchange/exchange_intake.hpp"
#include "discovery/exchange/exchange_machine.hpp"
#include "discovery/exchange/exchange_messages.hpp"
#include "discovery/exchange/exchange_places.hpp"

using namespace warren;

namespace {

const limits::Exchange kLimits;

PeerId peer(std::uint8_t n) {
  Bytes key = {0x08, 0x01, 0x12, 0x20};
  key.resize(36, n);
  return PeerId::from_public_key(key);
}

Multiaddr address(std::uint32_t n) {
  return Multiaddr::quic(
      {IpAddress::v4(static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16),
                     static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)),
       static_cast<std::uint16_t>(n), 0});
}

void decode(BytesView message) {
  const auto want = discovery::decode_exchange_request(message, kLimits);
  if (want) WARREN_CHECK(*want >= 1 && *want <= kLimits.records_max);
  const auto records = discovery::decode_exchange_answer(message, kLimits);
  if (!records) return;
  WARREN_CHECK(records->size() <= kLimits.records_max);
  const auto again =
      discovery::decode_exchange_answer(discovery::encode_exchange_answer(*records), kLimits);
  WARREN_CHECK(again && *again == *records);
  for (const Bytes& record : *records) {
    WARREN_CHECK(record.size() <= kLimits.record_bytes_max);
    const auto content = discovery::content_of_record(record);
    const Multiaddr outside = address(0xcb007109);
    if (discovery::may_hand_on(content.addresses, outside)) {
      for (const Multiaddr& at : content.addresses) {
        WARREN_CHECK(!at.endpoint() || !at.endpoint()->ip.is_private());
      }
    }
    // One that is really signed says the same.
    const auto opened = wire::open_peer_record(record);
    if (opened) WARREN_CHECK(opened->peer == content.peer);
  }
}

void ask(FuzzedDataProvider& in) {
  std::mt19937_64 rng(in.ConsumeIntegral<std::uint64_t>());
  TimePoint now{};
  const discovery::ExchangeTimes times;
  discovery::ExchangeMachine machine(times, rng, now);
  while (in.remaining_bytes() > 0) {
    now += std::chrono::milliseconds(in.ConsumeIntegralInRange<int>(0, 400'000));
    switch (in.ConsumeIntegralInRange<int>(0, 3)) {
      case 0: machine.ended(peer(in.ConsumeIntegralInRange<std::uint8_t>(0, 7))); break;
      case 1: machine.look_again(now); break;
      case 2: machine.ask_now(now); break;
      default: {
        std::vector<discovery::ExchangeCandidate> candidates;
        for (int i = in.ConsumeIntegralInRange<int>(0, 9); i > 0; --i) {
          candidates.push_back(
              {peer(in.ConsumeIntegralInRange<std::uint8_t>(0, 7)), in.ConsumeBool()});
        }
        WARREN_CHECK(machine.next(candidates, in.ConsumeBool(), now).size() <= times.asks_max);
        WARREN_CHECK(machine.next_wake() > now);
      }
    }
    machine.check_invariants();
  }
}

void take(FuzzedDataProvider& in) {
  TimePoint now{};
  limits::Exchange limits;
  limits.known_bytes_max = 2'000;
  limits.hints_waiting_max = 20;
  limits.tellers_max = 4;
  discovery::ExchangeIntake intake(peer(0), limits, {}, std::chrono::minutes(10), now);
  while (in.remaining_bytes() > 0) {
    now += std::chrono::milliseconds(in.ConsumeIntegralInRange<int>(0, 2'000));
    std::vector<Bytes> records;
    for (int i = in.ConsumeIntegralInRange<int>(0, 40); i > 0; --i) {
      const std::string text = in.ConsumeRandomLengthString(8);
      records.push_back(to_bytes(text));
    }
    auto received = intake.sort(std::move(records));
    WARREN_CHECK(received.size() <= limits.records_max);
    for (auto& each : received) {
      if (each.opened) continue;
      // In place of the signature: the fuzzer says whether it holds, and of what.
      if (in.ConsumeIntegralInRange<int>(0, 3) == 0) {
        each.opened = fail(ErrorCode::kIntegrity, "not signed");
        continue;
      }
      wire::PeerRecord record;
      record.peer = peer(in.ConsumeIntegralInRange<std::uint8_t>(0, 7));
      for (int i = in.ConsumeIntegralInRange<int>(0, 20); i > 0; --i) {
        record.addresses.push_back(address(in.ConsumeIntegral<std::uint32_t>()));
      }
      each.opened = std::move(record);
    }
    intake.take(std::move(received), address(in.ConsumeIntegral<std::uint32_t>()), now);
    std::size_t told = 0;
    while (const auto hint = intake.next_hint(now)) {
      ++told;
      WARREN_CHECK(hint->peer != peer(0) && hint->record && hint->told_by);
      WARREN_CHECK(!hint->addresses.empty() && hint->addresses.size() <= 16);
      for (const Multiaddr& at : hint->addresses) {
        WARREN_CHECK(at.endpoint() && at.endpoint()->port != 0);
        WARREN_CHECK(!at.endpoint()->ip.is_unspecified() && !at.endpoint()->ip.is_multicast());
      }
    }
    WARREN_CHECK(told <= limits::Discovery().hints_per_second_max);
    WARREN_CHECK((intake.next_wake(now) == kNever) || intake.next_wake(now) > now);
  }
}

void answer(FuzzedDataProvider& in) {
  TimePoint now{};
  limits::Exchange limits;
  limits.askers_max = limits.samples_max = 4;
  limits.records_max = 3;
  discovery::ExchangeAnswers answers(limits, std::chrono::hours(1));
  while (in.remaining_bytes() > 0) {
    now += std::chrono::seconds(in.ConsumeIntegralInRange<int>(0, 600));
    const PeerId asker = peer(in.ConsumeIntegralInRange<std::uint8_t>(0, 7));
    const Multiaddr remote = address(in.ConsumeIntegral<std::uint32_t>());
    answers.admit(asker, now);
    auto sample = answers.find(asker, remote, now);
    if (!sample) {
      sample.emplace();
      for (int i = in.ConsumeIntegralInRange<int>(0, 5); i > 0; --i) {
        const std::string text = in.ConsumeRandomLengthString(200);
        sample->push_back(
            std::make_shared<const peers::SignedRecord>(peers::SignedRecord{to_bytes(text), 1}));
      }
      answers.keep(asker, remote, *sample, now);
    }
    const auto want = in.ConsumeIntegralInRange<std::size_t>(0, 40);
    const auto picked = answers.pick(*sample, asker, remote, want);
    WARREN_CHECK(picked.size() <= std::min(want, limits.records_max));
    WARREN_CHECK(answers.samples() <= 4 && answers.askers() <= 4);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  FuzzedDataProvider in(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0: decode(BytesView(data + 1, size - 1)); break;
    case 1: ask(in); break;
    case 2: take(in); break;
    default: answer(in); break;
  }
  return 0;
}
