#include "discovery/exchange/exchange_source.hpp"

#include <fmt/format.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>
#include <utility>

#include "base/check.hpp"
#include "base/log.hpp"
#include "discovery/exchange/exchange_answers.hpp"
#include "discovery/exchange/exchange_intake.hpp"
#include "protocols/half_close.hpp"
#include "runtime/task_group.hpp"
#include "transport/frame_io.hpp"

namespace warren::discovery {
namespace {

using peers::ReputationEvent;
using swarm::ProtocolStream;
using transport::CloseCode;

// A peer asks on one stream; a second one may overlap its end.
constexpr swarm::HandlerLimits kServerLimits{.streams_per_peer_max = 2, .streams_max = 64};

/// What an error of an exchange says of the peer; nullopt: nothing.
std::optional<ReputationEvent> event_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kMalformed:
    case ErrorCode::kTooLarge: return ReputationEvent::kMalformedMessage;
    case ErrorCode::kTimedOut: return ReputationEvent::kTimeout;
    default: return std::nullopt;  // It is gone, busy, or does not speak the protocol.
  }
}

/// Checks what was not verified before. Runs on a pool thread.
std::vector<ReceivedRecord> open_all(std::vector<ReceivedRecord> records) {
  for (ReceivedRecord& each : records) {
    if (!each.opened) each.opened = wire::open_peer_record(*each.envelope);
  }
  return records;
}

bool all_opened(const std::vector<ReceivedRecord>& records) {
  for (const ReceivedRecord& each : records) {
    if (!each.opened) return false;
  }
  return true;
}

/// The last byte of a stream and then its end; anything else is malformed.
awaitable<Result<>> read_end(transport::Stream& stream, TimePoint deadline) {
  std::uint8_t byte = 0;
  WARREN_CO_TRY(const std::size_t n, co_await stream.read_some(MutableBytes(&byte, 1), deadline));
  if (n != 0) co_return fail(ErrorCode::kMalformed, "bytes behind the message");
  co_return Result<>{};
}

/// The streams that are being served. A stream that has just been negotiated may come to its
/// handler after that was removed and the source is gone, so what the handler holds is shared.
struct Serving {
  bool open = true;
  std::set<transport::Stream*> streams;
  std::unique_ptr<runtime::Signal> none_left;
};

}  // namespace

class ExchangeSource::Driver {
 public:
  Driver(swarm::Swarm& swarm, ExchangeHooks hooks, ExchangeOptions options)
      : swarm_(swarm),
        runtime_(swarm.runtime()),
        hooks_(std::move(hooks)),
        options_(options),
        machine_(options.times, runtime_.rng(), runtime_.now()),
        intake_(swarm.local_peer(), options.limits, options.hints, options.retell_after,
                runtime_.now()),
        answers_(options.limits, options.sample_lifetime),
        serving_(std::make_shared<Serving>()),
        wake_(runtime_.make_signal()),
        tasks_(runtime_, 1 + options.times.asks_max + options.limits.answers_open_max) {}

  void start(PeerSink& sink);
  awaitable<void> wait_served();
  awaitable<void> stop();
  void refresh() {
    machine_.ask_now(runtime_.now());
    wake_->notify();
  }
  void look_again() {
    machine_.look_again(runtime_.now());
    if (machine_.next_wake() < woken_at_) wake_->notify();
  }
  void take(std::vector<Bytes> records, PeerId teller, Multiaddr told_by);
  std::string summary() const;
  const ExchangeCounters& counters() const { return counters_; }

 private:
  awaitable<void> run();
  void ask_some();
  void tell_some();
  awaitable<void> ask(PeerId peer);
  awaitable<Result<Multiaddr>> request(PeerId peer, std::vector<Bytes>& records);
  awaitable<void> take_in(std::vector<Bytes> records, PeerId teller, Multiaddr told_by);
  static awaitable<void> serve_if_open(Driver* self, std::shared_ptr<Serving> serving,
                                       ProtocolStream stream);
  awaitable<void> serve(ProtocolStream& stream);
  awaitable<Result<>> answer(ProtocolStream& stream);
  void report(const PeerId& peer, ReputationEvent event) {
    if (hooks_.report) hooks_.report(peer, event);
  }

  swarm::Swarm& swarm_;
  runtime::Runtime& runtime_;
  ExchangeHooks hooks_;
  ExchangeOptions options_;
  ExchangeMachine machine_;
  ExchangeIntake intake_;
  ExchangeAnswers answers_;
  ExchangeCounters counters_;
  PeerSink* sink_ = nullptr;
  bool stopped_ = false;
  std::size_t opening_ = 0;  ///< Answers whose records are being checked.
  std::size_t candidates_ = 0;
  TimePoint woken_at_ = kNever;  ///< When the loop wakes next.
  std::shared_ptr<Serving> serving_;
  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;  // Last.
};

// ------------------------------------------------------------------------- start and stop

void ExchangeSource::Driver::start(PeerSink& sink) {
  WARREN_CHECK(sink_ == nullptr);
  sink_ = &sink;
  serving_->none_left = runtime_.make_signal();
  swarm_.set_handler(
      std::string(kExchangeProtocol),
      [this, serving = serving_](ProtocolStream stream) {
        return serve_if_open(this, serving, std::move(stream));
      },
      kServerLimits);
  WARREN_CHECK(tasks_.spawn(run()));
}

awaitable<void> ExchangeSource::Driver::stop() {
  if (sink_ != nullptr && !stopped_) swarm_.remove_handler(kExchangeProtocol);
  stopped_ = true;
  co_await tasks_.join();
  serving_->open = false;
  // A reset ends what they wait for.
  for (transport::Stream* stream : serving_->streams) stream->reset();
  // A task of its own without a cancellation slot: in a cancelled caller the wait would return at
  // once, again and again, and the streams would never get their turn.
  co_await boost::asio::co_spawn(runtime_.executor(), wait_served(),
                                 boost::asio::bind_cancellation_slot(
                                     boost::asio::cancellation_slot(), boost::asio::use_awaitable));
}

awaitable<void> ExchangeSource::Driver::wait_served() {
  while (!serving_->streams.empty()) co_await serving_->none_left->wait_until(kNever);
}

std::string ExchangeSource::Driver::summary() const {
  if (counters_.asked == 0 && counters_.heard == 0 && counters_.refused == 0) {
    return candidates_ == 0 ? "no peers to ask" : "asked 0, heard 0, refused 0";
  }
  return fmt::format("asked {}, heard {}, refused {}", counters_.asked, counters_.heard,
                     counters_.refused);
}

// --------------------------------------------------------------------------------- asking

awaitable<void> ExchangeSource::Driver::run() {
  for (;;) {
    ask_some();
    tell_some();
    const TimePoint now = runtime_.now();
    woken_at_ = std::min(machine_.next_wake(), intake_.next_wake(now));
    const runtime::Wake wake = co_await wake_->wait_until(woken_at_);
    if (wake == runtime::Wake::kCancelled) co_return;
  }
}

void ExchangeSource::Driver::ask_some() {
  const TimePoint now = runtime_.now();
  if (now < machine_.next_wake()) return;  // Woken to tell.
  const bool wants_peers = hooks_.wants_peers();
  std::vector<ExchangeCandidate> candidates;
  if (machine_.wants_candidates(wants_peers, now)) {
    candidates = hooks_.candidates();
    candidates_ = candidates.size();
  }
  for (const PeerId& peer : machine_.next(candidates, wants_peers, now)) {
    if (!tasks_.spawn(ask(peer))) machine_.ended(peer);
  }
}

void ExchangeSource::Driver::tell_some() {
  while (auto hint = intake_.next_hint(runtime_.now())) {
    ++counters_.told;
    sink_->peer_found(*hint);
  }
}

awaitable<void> ExchangeSource::Driver::ask(PeerId peer) {
  ++counters_.asked;
  std::vector<Bytes> records;
  const auto told_by = co_await request(peer, records);
  machine_.ended(peer);
  if (stopped_) co_return;
  if (!told_by) {
    ++counters_.failed;
    const auto event = event_of(told_by.error().code());
    if (event) report(peer, *event);
    log::debug("exchange", "{}: {}", peer.to_string(), told_by.error().message());
    co_return;
  }
  ++counters_.answered;
  if (!records.empty()) co_await take_in(std::move(records), std::move(peer), *told_by);
}

/// The peer's records; where the peer is.
awaitable<Result<Multiaddr>> ExchangeSource::Driver::request(PeerId peer,
                                                             std::vector<Bytes>& records) {
  const TimePoint deadline = runtime_.now() + options_.exchange_time_max;
  std::vector<std::string> protocols(1, std::string(kExchangeProtocol));
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await swarm_.open_stream(std::move(peer), std::move(protocols), deadline));
  transport::Stream& stream = *opened.stream;
  const Bytes message =
      encode_exchange_request(static_cast<std::uint32_t>(options_.limits.records_max));
  WARREN_CO_TRY_VOID(co_await transport::write_frame(stream, message, deadline));
  WARREN_CO_TRY_VOID(
      co_await protocols::close_write_behind(stream, opened.connection->info(), deadline));
  WARREN_CO_TRY(const Bytes answer, co_await transport::read_frame(
                                        stream, answer_bytes_max(options_.limits), deadline));
  WARREN_CO_TRY(records, decode_exchange_answer(answer, options_.limits));
  WARREN_CO_TRY_VOID(co_await read_end(stream, deadline));
  co_return opened.connection->info().remote_address;
}

void ExchangeSource::Driver::take(std::vector<Bytes> records, PeerId teller, Multiaddr told_by) {
  if (stopped_ || sink_ == nullptr || records.empty()) return;
  if (records.size() > options_.limits.records_max) {
    counters_.refused += records.size() - options_.limits.records_max;
    report(teller, ReputationEvent::kMalformedMessage);
    records.resize(options_.limits.records_max);
  }
  const std::size_t count = records.size();
  if (!tasks_.spawn(take_in(std::move(records), std::move(teller), std::move(told_by)))) {
    counters_.over_rate += count;
  }
}

awaitable<void> ExchangeSource::Driver::take_in(std::vector<Bytes> records, PeerId teller,
                                                Multiaddr told_by) {
  if (opening_ >= options_.limits.answers_open_max || !intake_.may_take(told_by, runtime_.now())) {
    counters_.over_rate += records.size();
    co_return;
  }
  std::vector<ReceivedRecord> received = intake_.sort(std::move(records));
  if (!all_opened(received)) {
    ++opening_;
    auto work = [moved = std::move(received)]() mutable { return open_all(std::move(moved)); };
    received = co_await runtime::run(runtime_.pool(), std::move(work));
    --opening_;
  }
  if (stopped_) co_return;
  const auto taken = intake_.take(std::move(received), told_by, runtime_.now());
  counters_.heard += taken.heard;
  counters_.refused += taken.refused;
  counters_.over_rate += taken.over_rate;
  if (taken.lie) report(teller, ReputationEvent::kFailedVerification);
  if (taken.news == 0) co_return;
  // No credit for records: anyone can make as many as he likes of peers that are not there.
  wake_->notify();
}

// -------------------------------------------------------------------------------- serving

/// `self` is there while `serving` is open, and as long as one of its streams is.
awaitable<void> ExchangeSource::Driver::serve_if_open(Driver* self,
                                                      std::shared_ptr<Serving> serving,
                                                      ProtocolStream stream) {
  if (!serving->open) co_return;
  transport::Stream* const served = stream.stream.get();
  serving->streams.insert(served);
  co_await self->serve(stream);
  serving->streams.erase(served);
  if (serving->streams.empty()) serving->none_left->notify();
}

awaitable<void> ExchangeSource::Driver::serve(ProtocolStream& stream) {
  const PeerId peer = stream.peer();
  if (!answers_.admit(peer, runtime_.now())) {
    ++counters_.served_refused;
    stream.stream->reset(CloseCode::kRateLimited);
    co_return;
  }
  const auto answered = co_await answer(stream);
  if (stopped_) co_return;
  if (answered) {
    ++counters_.served;
    co_return;
  }
  const ErrorCode code = answered.error().code();
  if (code == ErrorCode::kMalformed || code == ErrorCode::kTooLarge) {
    ++counters_.served_refused;
    stream.stream->reset(CloseCode::kProtocolViolation);
    report(peer, ReputationEvent::kMalformedMessage);
  }
  log::debug("exchange", "answer to {}: {}", peer.to_string(), answered.error().message());
}

awaitable<Result<>> ExchangeSource::Driver::answer(ProtocolStream& stream) {
  const TimePoint deadline = runtime_.now() + options_.exchange_time_max;
  WARREN_CO_TRY(
      const Bytes request,
      co_await transport::read_frame(*stream.stream, options_.limits.request_bytes_max, deadline));
  if (stopped_) co_return fail(ErrorCode::kClosed, "the node stops");
  WARREN_CO_TRY(const std::size_t want, decode_exchange_request(request, options_.limits));
  const PeerId peer = stream.peer();
  const Multiaddr remote = stream.connection->info().remote_address;
  auto sample = answers_.find(peer, remote, runtime_.now());
  if (!sample) {
    sample = hooks_.sample(peer, remote, options_.limits.records_max);
    answers_.keep(peer, remote, *sample, runtime_.now());
  }
  const Bytes message = encode_exchange_answer(answers_.pick(*sample, peer, remote, want));
  WARREN_CO_TRY_VOID(co_await transport::write_frame(*stream.stream, message, deadline));
  stream.stream->close_write();
  WARREN_CO_TRY_VOID(co_await stream.stream->flush(deadline));
  co_return co_await read_end(*stream.stream, deadline);
}

// --------------------------------------------------------------------------------- source

ExchangeSource::ExchangeSource(swarm::Swarm& swarm, ExchangeHooks hooks, ExchangeOptions options)
    : driver_(std::make_unique<Driver>(swarm, std::move(hooks), options)) {}
ExchangeSource::~ExchangeSource() = default;
Result<> ExchangeSource::start(PeerSink& sink) {
  driver_->start(sink);
  return {};
}
awaitable<void> ExchangeSource::stop() { return driver_->stop(); }
void ExchangeSource::refresh() { driver_->refresh(); }
std::string ExchangeSource::summary() const { return driver_->summary(); }
void ExchangeSource::look_again() { driver_->look_again(); }
void ExchangeSource::take(std::vector<Bytes> records, PeerId teller, Multiaddr told_by) {
  driver_->take(std::move(records), std::move(teller), std::move(told_by));
}
const ExchangeCounters& ExchangeSource::exchange_counters() const { return driver_->counters(); }

}  // namespace warren::discovery
