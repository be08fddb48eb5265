#include "swarm/dialer.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/check.hpp"
#include "base/log.hpp"
#include "swarm/dial_order.hpp"

namespace warren::swarm {

namespace asio = boost::asio;

namespace {

using runtime::Wake;

// Addresses of one peer that one attempt considers. Source: limits::Messages::addresses_max.
constexpr std::size_t kAddressesMax = 64;
// Names of one attempt that are asked for at a time.
constexpr std::size_t kLookupsParallelMax = 4;
// For one name, whatever the caller's deadline. Source: above what a server has, twice.
constexpr Duration kLookupTimeMax = 8s;
// Addresses whose failure an error text tells one by one.
constexpr std::size_t kFailuresShownMax = 8;

struct Failure {
  Multiaddr address;
  Error error;
};

/// How much a failure says about what is wrong; the greatest gives its code to the whole.
int telling(ErrorCode code) {
  switch (code) {
    case ErrorCode::kIntegrity: return 9;  // Somebody else answers there.
    case ErrorCode::kDenied: return 8;
    case ErrorCode::kMalformed: return 7;
    case ErrorCode::kReset: return 6;
    case ErrorCode::kClosed: return 5;
    case ErrorCode::kUnreachable: return 4;
    case ErrorCode::kTimedOut: return 3;
    case ErrorCode::kNotFound: return 3;  // No such name.
    case ErrorCode::kLimited: return 2;  // Only left alone after an earlier failure.
    case ErrorCode::kUnsupported: return 1;
    default: return 0;
  }
}

std::string hint_for(ErrorCode code) {
  switch (code) {
    case ErrorCode::kIntegrity:
      return "another node answers at that address; ask the peer for its present one";
    case ErrorCode::kUnreachable:
    case ErrorCode::kTimedOut:
      return "check that the peer runs and that no firewall drops what goes to its port";
    case ErrorCode::kUnsupported:
      return "addresses like /ip4/.../udp/.../quic-v1 and /ip4/.../tcp/... are dialled";
    default: return {};
  }
}

std::string name_of(const std::optional<PeerId>& peer) {
  return peer ? peer->to_string() : std::string("the peer");
}

/// One error for all failures: the code and the hint of the most telling one, the texts of each.
Error summary(const std::optional<PeerId>& peer, const std::vector<Failure>& failures,
              std::string_view what) {
  std::string text = fmt::format("cannot connect to {}: {}", name_of(peer), what);
  if (failures.empty()) return {ErrorCode::kNotFound, std::move(text)};
  const Error& worst = std::ranges::max_element(failures, {}, [](const Failure& failure) {
                         return telling(failure.error.code());
                       })->error;
  std::size_t shown = 0;
  for (const Failure& failure : failures) {
    if (shown == kFailuresShownMax) {
      text += fmt::format("; and {} more", failures.size() - shown);
      break;
    }
    text += fmt::format("{}{}: {}", shown++ == 0 ? "" : "; ", failure.address.to_string(),
                        failure.error.message());
  }
  return {worst.code(), std::move(text),
          worst.hint().empty() ? hint_for(worst.code()) : worst.hint()};
}

}  // namespace

/// The race of one peer's addresses.
struct Dialer::Attempt {
  Attempt(runtime::Runtime& runtime, std::optional<PeerId> wanted)
      : peer(std::move(wanted)),
        wake(runtime.make_signal()),
        racers(runtime, kAddressesMax + kLookupsParallelMax) {}

  std::optional<PeerId> peer;
  Retry retry = Retry::kLeaveFailedAlone;
  std::vector<Multiaddr> known;        // All that were ever added, without those with names.
  std::vector<Multiaddr> usable;       // Those of them that are tried, or were.
  std::vector<Multiaddr> started;      // Those of them that were.
  std::vector<DialCandidate> waiting;  // Those of them that were not yet, in order of their time.
  TimePoint begin{};                   // What their delays are counted from.
  AddressExpansion names{limits::AddressResolution{}};
  std::size_t lookups = 0;  // Under way.
  std::size_t in_flight = 0;
  std::vector<Failure> failures;
  std::optional<Result<std::shared_ptr<Connection>>> result;
  bool given_up = false;
  std::vector<runtime::Signal*> waiters;
  std::unique_ptr<runtime::Signal> wake;  // Of run().
  runtime::TaskGroup racers;

  bool over() const { return result || given_up; }
  TimePoint next_start() const { return begin + waiting.front().delay; }
  /// The next address starts now, and those after it as much earlier.
  void bring_forward(TimePoint now) {
    if (!waiting.empty() && next_start() > now) begin = now - waiting.front().delay;
  }
  void failed(Multiaddr address, Error error) {
    failures.push_back({std::move(address), std::move(error)});
  }
};

/// A caller's place among those who wait for an attempt.
struct Dialer::Waiter {
  Waiter(runtime::Runtime& runtime, AttemptPtr waited_for)
      : attempt(std::move(waited_for)), signal(runtime.make_signal()) {
    attempt->waiters.push_back(signal.get());
  }
  ~Waiter() {
    std::erase(attempt->waiters, signal.get());
    if (attempt->waiters.empty() && !attempt->over()) {
      attempt->given_up = true;
      attempt->wake->notify();
    }
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  AttemptPtr attempt;
  std::unique_ptr<runtime::Signal> signal;
};

Dialer::Dialer(runtime::Runtime& runtime, const SwarmConfig& config, Hooks hooks)
    : runtime_(runtime),
      config_(config),
      hooks_(std::move(hooks)),
      backoff_(config.backoff_min, config.backoff_max),
      tasks_(runtime, 2 * config.limits.dials_max) {}

Dialer::~Dialer() = default;

std::size_t Dialer::tasks_failed() const { return racers_failed_ + tasks_.failed_count(); }

awaitable<Result<std::shared_ptr<Connection>>> Dialer::dial(std::optional<PeerId> peer,
                                                            std::vector<Multiaddr> addresses,
                                                            Retry retry, TimePoint deadline) {
  if (closing_) co_return fail(ErrorCode::kClosed, "the node is shutting down");
  WARREN_CO_TRY(const AttemptPtr attempt,
                find_or_start(std::move(peer), std::move(addresses), retry));
  const Waiter waiter(runtime_, attempt);
  Wake how = Wake::kNotified;
  if (!attempt->result) how = co_await waiter.signal->wait_until(deadline);
  if (attempt->result) co_return *attempt->result;
  if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  std::vector<Failure> failures = attempt->failures;
  for (const Multiaddr& address : attempt->known) {
    if (std::ranges::find(failures, address, &Failure::address) == failures.end()) {
      failures.push_back({address, Error(ErrorCode::kTimedOut, "no answer in time")});
    }
  }
  for (const Multiaddr& address : attempt->names.open()) {
    failures.push_back({address, Error(ErrorCode::kTimedOut, "its name was not resolved in time")});
  }
  co_return fail(summary(attempt->peer, failures, ""));
}

Result<Dialer::AttemptPtr> Dialer::find_or_start(std::optional<PeerId> peer,
                                                 std::vector<Multiaddr> addresses, Retry retry) {
  if (peer) {
    const auto found = std::ranges::find_if(attempts_, [&](const AttemptPtr& attempt) {
      return attempt->peer == peer && !attempt->over();
    });
    if (found != attempts_.end()) {
      if (retry == Retry::kTryAll) (*found)->retry = retry;
      add_addresses(**found, std::move(addresses));
      (*found)->wake->notify();
      return *found;
    }
  }
  if (attempts_.size() >= config_.limits.dials_max) {
    return fail(ErrorCode::kLimited,
                fmt::format("{} dials are in progress, the most allowed", attempts_.size()));
  }
  const auto attempt = std::make_shared<Attempt>(runtime_, std::move(peer));
  attempt->retry = retry;
  attempt->begin = runtime_.now();
  add_addresses(*attempt, std::move(addresses));
  if (attempt->waiting.empty() && attempt->names.done()) {
    return fail(summary(attempt->peer, attempt->failures,
                        attempt->failures.empty() ? "no address of it is known" : ""));
  }
  attempts_.push_back(attempt);
  if (!tasks_.spawn(run(attempt))) {
    std::erase(attempts_, attempt);
    return fail(ErrorCode::kLimited, "too many dials are in progress or ending");
  }
  return attempt;
}

void Dialer::add_addresses(Attempt& attempt, std::vector<Multiaddr> addresses) {
  for (Multiaddr& address : addresses) {
    if (begins_with_name(address)) {
      attempt.names.add(address);
      continue;
    }
    if (attempt.known.size() == kAddressesMax) continue;
    const auto leads_to = address.peer_id();
    if (attempt.peer && !leads_to) address = address.with_peer(*attempt.peer);
    if (std::ranges::find(attempt.known, address) != attempt.known.end()) continue;
    attempt.known.push_back(address);
    if (attempt.peer && leads_to && *leads_to != *attempt.peer) {
      attempt.failed(address, Error(ErrorCode::kUnsupported,
                                    fmt::format("leads to {}", leads_to->to_string())));
    } else if (hooks_.transport_for(address.without_peer()) == nullptr) {
      attempt.failed(address,
                     Error(ErrorCode::kUnsupported, "no transport here dials such an address"));
    } else if (const auto until = backoff_.until(address, runtime_.now());
               until && attempt.retry == Retry::kLeaveFailedAlone) {
      const auto left = std::chrono::ceil<std::chrono::seconds>(*until - runtime_.now());
      attempt.failed(address,
                     Error(ErrorCode::kLimited, fmt::format("it failed lately and is tried again "
                                                            "in {} s",
                                                            left.count())));
    } else {
      attempt.usable.push_back(address);
    }
  }
  for (auto& [address, error] : attempt.names.take_failures()) {
    attempt.failed(std::move(address), std::move(error));
  }
  // Ranked together with those that run already, so that one that comes late has its place.
  attempt.waiting = order_for_dialing(
      attempt.usable,
      {.step_private = config_.dial_stagger_private, .step_public = config_.dial_stagger_public},
      kAddressesMax);
  std::erase_if(attempt.waiting, [&](const DialCandidate& candidate) {
    return std::ranges::find(attempt.started, candidate.address) != attempt.started.end();
  });
  if (attempt.started.empty()) attempt.begin = runtime_.now();
}

void Dialer::take_resolved(Attempt& attempt) {
  add_addresses(attempt, attempt.names.take_addresses());
}

bool Dialer::may_start(const Attempt& attempt) const {
  return !attempt.over() && !attempt.waiting.empty() &&
         attempt.in_flight < config_.dials_per_peer_max && dials_ < config_.limits.dials_max;
}

/// Starts every address whose time has come: each after its head start, or as soon as one before it
/// has failed, or nothing else runs.
void Dialer::start_due(const AttemptPtr& attempt) {
  if (attempt->in_flight == 0) attempt->bring_forward(runtime_.now());
  while (may_start(*attempt) && runtime_.now() >= attempt->next_start()) {
    const Multiaddr address = std::move(attempt->waiting.front().address);
    attempt->waiting.erase(attempt->waiting.begin());
    attempt->started.push_back(address);
    ++attempt->in_flight;
    ++dials_;
    // Each address is tried once, and the group has room for all of them.
    WARREN_CHECK(attempt->racers.spawn(race(attempt, address)));
  }
}

void Dialer::start_lookups(const AttemptPtr& attempt) {
  while (!attempt->over() && attempt->lookups < kLookupsParallelMax) {
    auto question = attempt->names.next_question();
    if (!question) return;
    ++attempt->lookups;
    WARREN_CHECK(attempt->racers.spawn(look_up(attempt, *std::move(question))));
  }
}

awaitable<void> Dialer::run(AttemptPtr attempt) {
  // Ends by given_up, never by cancellation, so that it can wait for its racers.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  for (;;) {
    start_lookups(attempt);
    start_due(attempt);
    if (attempt->over()) break;
    if (attempt->in_flight == 0 && attempt->waiting.empty() && attempt->names.done()) {
      attempt->result = fail(summary(attempt->peer, attempt->failures, ""));
      break;
    }
    // At a limit only the end of another dial changes anything, and that wakes us.
    co_await attempt->wake->wait_until(may_start(*attempt) ? attempt->next_start() : kNever);
  }
  settle(attempt);
  co_await attempt->racers.join();
  racers_failed_ += attempt->racers.failed_count();
}

/// Takes the attempt out of the table and tells those who wait for it.
void Dialer::settle(const AttemptPtr& attempt) {
  if (!attempt->result) {
    attempt->result = closing_ ? fail(ErrorCode::kClosed, "the node is shutting down")
                               : fail(ErrorCode::kCancelled, "cancelled");
  }
  std::erase(attempts_, attempt);
  for (runtime::Signal* const waiter : attempt->waiters) waiter->notify();
}

awaitable<void> Dialer::race(AttemptPtr attempt, Multiaddr address) {
  const TimePoint deadline = runtime_.now() + config_.limits.handshake_time_max;
  transport::Transport* const transport = hooks_.transport_for(address.without_peer());
  Result<std::shared_ptr<Connection>> dialed =
      fail(ErrorCode::kUnsupported, "no transport here dials such an address");
  // A /dnsaddr may name addresses of several peers.
  const std::optional<PeerId> expected = attempt->peer ? attempt->peer : address.peer_id();
  if (transport != nullptr)
    dialed = co_await transport->dial(address.without_peer(), expected, deadline);
  --attempt->in_flight;
  --dials_;
  if (dialed) {
    backoff_.succeeded(address);
    if (attempt->over()) {
      (*dialed)->close(CloseCode::kNone, "another address was faster");
    } else if (auto adopted = hooks_.adopt(std::move(*dialed))) {
      attempt->result = std::move(adopted);
    } else {
      attempt->failed(std::move(address), std::move(adopted).error());
      attempt->bring_forward(runtime_.now());
    }
  } else if (dialed.error().code() != ErrorCode::kCancelled) {
    log::debug("dial", "{}: {}", address.to_string(), dialed.error().message());
    backoff_.failed(address, runtime_.now(), runtime_.rng());
    attempt->failed(std::move(address), std::move(dialed).error());
    attempt->bring_forward(runtime_.now());
  }
  attempt->wake->notify();
  // Others may have waited for room below dials_max.
  for (const AttemptPtr& other : attempts_) other->wake->notify();
}

awaitable<void> Dialer::look_up(AttemptPtr attempt, NameQuestion question) {
  const TimePoint deadline = runtime_.now() + kLookupTimeMax;
  runtime::Resolver& resolver = runtime_.resolver();
  switch (question.kind) {
    case NameQuestion::Kind::kHost: {
      const auto found = co_await resolver.resolve_host(question.name, question.family, deadline);
      attempt->names.answer(question, found);
      break;
    }
    case NameQuestion::Kind::kText: {
      const auto found = co_await resolver.resolve_text(question.name, deadline);
      attempt->names.answer(question, found);
      break;
    }
  }
  --attempt->lookups;
  if (!attempt->over()) take_resolved(*attempt);
  attempt->wake->notify();
}

awaitable<void> Dialer::close() {
  closing_ = true;
  for (const AttemptPtr& attempt : attempts_) {
    attempt->given_up = true;
    attempt->wake->notify();
  }
  co_await tasks_.join();
}

}  // namespace warren::swarm
