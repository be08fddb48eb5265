// What this node lacks of others' sets, and they of its own: reckoned, told, answered and compared.

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.hpp"
#include "catalog/catalog_driver.hpp"

namespace warren::catalog {

using Compared = NeedAnswer::Compared;
using State = SyncDirection::State;

std::string_view sync_state_name(State state) noexcept {
  switch (state) {
    case State::kUnknown: return "unknown";
    case State::kUpToDate: return "up to date";
    case State::kSyncing: return "syncing";
    case State::kWaiting: return "waiting";
    case State::kDiffers: return "differs";
  }
  return "unknown";
}

void CatalogService::Driver::wants_changed() {
  for (const auto& [peer, follow] : follows_) {
    if (!follow.telling) continue;
    follow.telling->exchange.changed(runtime_.now());
    follow.telling->wake->notify();
  }
}

// -------------------------------------------------------------------------- what is missing here

void CatalogService::Driver::begin_telling(const PeerId& peer, Follow& follow) {
  if (!hooks_.wants) return;
  const std::vector<std::string>& features = follow.subscriber->introduction()->features;
  const bool compares = std::ranges::find(features, kNeedFeature) != features.end();
  follow.telling = std::make_shared<Telling>(
      NeedExchange(compares, runtime_.now(), follow.not_before), runtime_.make_signal(), false);
  if (!tasks_.spawn(tell_needs(peer, follow.telling))) follow.telling.reset();
}

void CatalogService::Driver::end_telling(Follow& follow) {
  if (!follow.telling) return;
  follow.not_before = follow.telling->exchange.not_before();
  follow.telling->ended = true;
  follow.telling->wake->notify();
  follow.telling.reset();
}

awaitable<void> CatalogService::Driver::tell_needs(PeerId peer, TellingPtr telling) {
  for (;;) {
    const runtime::Wake woken = co_await telling->wake->wait_until(turn_of(telling));
    if (woken == runtime::Wake::kCancelled || telling->ended || stopping_) break;
    if (runtime_.now() < telling->exchange.next()) continue;
    const bool waits = std::ranges::find(reckoners_, telling) != reckoners_.end();
    if (!waits) reckoners_.push_back(telling);
    if (runtime_.now() < turn_of(telling)) continue;
    const auto told = co_await tell_need(peer, telling);
    telling->exchange.check_invariants();
    if (!told) log::debug("catalog", "{}: {}", peer.to_string(), told.error().message());
    if (telling->exchange.disagreement().is_news()) {
      log::warn("catalog",
                "{} reckons otherwise than this node what is missing here of its entries: 'warren "
                "sync status' shows it",
                peer.to_string());
    }
  }
  end_turn(telling);
}

/// When it may reckon, kNever: after others. One at a time, those that are due in their order.
TimePoint CatalogService::Driver::turn_of(const TellingPtr& telling) const {
  const TimePoint due = telling->exchange.next();
  const auto place = std::ranges::find(reckoners_, telling);
  if (place == reckoners_.end()) return due;
  return place == reckoners_.begin() ? std::max(due, reckoning_.next()) : kNever;
}

void CatalogService::Driver::end_turn(const TellingPtr& telling) {
  std::erase(reckoners_, telling);
  if (!reckoners_.empty()) reckoners_.front()->wake->notify();
}

awaitable<Result<>> CatalogService::Driver::tell_need(PeerId peer, TellingPtr telling) {
  NeedExchange& exchange = telling->exchange;
  const TimePoint begun = runtime_.now();
  exchange.begin(begun);
  auto reckoned = co_await reckon(peer, telling);
  const TimePoint done = runtime_.now();
  reckoning_.took(done - begun, done);
  end_turn(telling);
  if (!reckoned) {
    exchange.not_reckoned(done - begun, done);
    co_return fail(reckoned.error());
  }
  if (!exchange.reckoned(*reckoned, done - begun, done)) co_return Result<>{};
  if (telling->ended || stopping_) {
    exchange.failed(runtime_.now());
    co_return fail(ErrorCode::kClosed, "the subscription has ended");
  }
  ++counters_.reports;
  Message question = *exchange.report();
  auto answer = co_await ask(peer, std::move(question));
  const auto* const said = answer ? std::get_if<NeedAnswer>(&*answer) : nullptr;
  if (said == nullptr) {
    exchange.failed(runtime_.now());
    if (answer) co_return fail(ErrorCode::kMalformed, "no NeedAnswer to a NeedReport");
    co_return fail(answer.error());
  }
  exchange.answered(*said, runtime_.now());
  co_return Result<>{};
}

/// Our subscriber to `peer`, when nothing is under way in it.
const Subscriber* CatalogService::Driver::complete_subscriber_of(const PeerId& peer) const {
  const auto follow = follows_.find(peer);
  if (follow == follows_.end() || !follow->second.subscriber) return nullptr;
  const Subscriber& subscriber = *follow->second.subscriber;
  const bool complete =
      !subscriber.is_midway() && subscriber.known().digest == subscriber.theirs().digest;
  return complete ? &subscriber : nullptr;
}

/// Errors: kConflict when the set changes or the subscription ends meanwhile.
awaitable<Result<NeedBuilder>> CatalogService::Driver::reckon(PeerId peer, TellingPtr telling) {
  const auto changes = [] { return fail(ErrorCode::kConflict, "its set changes at the moment"); };
  const Subscriber* subscriber = complete_subscriber_of(peer);
  if (subscriber == nullptr) co_return changes();
  const Summary before = subscriber->known();
  WARREN_CO_TRY(const Classify classify, co_await hooks_.wants());
  if (!classify) co_return NeedBuilder(before.digest, before.count);
  const std::size_t most = options_.limits.page_entries_max;
  NeedBuilder builder;
  std::vector<Listing> page;
  do {
    auto read = [this, &peer, most, after = page.empty() ? std::string() : page.back().id] {
      return store_.entries_of(peer, after, most);
    };
    WARREN_CO_TRY(page, co_await runtime::run(runtime_.pool(), std::move(read)));
    if (telling->ended) co_return changes();
    subscriber = complete_subscriber_of(peer);
    if (subscriber == nullptr || subscriber->known().digest != before.digest) co_return changes();
    for (const Listing& listing : page) builder.add(listing, classify(listing));
  } while (page.size() == most);
  co_return builder;
}

// --------------------------------------------------------------------- what is missing elsewhere

CatalogService::Driver::SessionPtr CatalogService::Driver::subscription_of(
    const PeerId& peer) const {
  SessionPtr newest;
  for (const auto& [serial, session] : sessions_) {
    if (session->stream.peer() == peer && !session->ended) newest = session;
  }
  return newest;
}

awaitable<Result<>> CatalogService::Driver::answer_need(Session& session, NeedReport report) {
  const PeerId peer = session.stream.peer();
  if (!reporters_.of(peer, runtime_.now()).take(1, runtime_.now())) {
    co_return co_await refuse(session, RefusalCode::kRateLimited, "too many reports");
  }
  // What it may see is a matter of its subscription, whatever connection this stream is on.
  const SessionPtr subscription = subscription_of(peer);
  NeedAnswer answer;
  if (subscription && !subscription->renew && subscription->publisher->is_current()) {
    WARREN_CO_TRY(answer, co_await judge(subscription, report));
  }
  if (subscription && !subscription->ended) {
    if (!subscription->reported) subscription->reported.emplace();
    Reported& reported = *subscription->reported;
    reported.listed = report.listed;
    reported.need = report.need;
    reported.reason = report.reason;
    reported.answer = answer;
    const TimePoint now = runtime_.now();
    if (answer.compared != Compared::kNotYet) {
      reported.disagreement.saw(agrees(report.need, answer), differing_ids(report.need, answer),
                                now);
    }
    if (reported.disagreement.is_news()) {
      log::warn("catalog",
                "{} reckons otherwise than this node what it lacks of the entries here: 'warren "
                "sync status' shows it",
                peer.to_string());
    }
  }
  co_return co_await send_last(session, std::move(answer));
}

awaitable<Result<NeedAnswer>> CatalogService::Driver::judge(SessionPtr subscription,
                                                            const NeedReport& report) {
  const Summary now = published_.summary(subscription->publisher->visitor());
  if (now.digest != report.listed || now.count != report.count) {
    NeedAnswer other;
    other.compared = Compared::kOtherSet;
    co_return other;
  }
  if (!report.wanted.any()) co_return NeedJudge(report).finish();
  while (judges_) {
    const runtime::Wake woken = co_await to_judge_.wait_until(kNever);
    if (woken == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
  Result<NeedAnswer> answer = NeedAnswer{};
  const TimePoint begun = runtime_.now();
  if (begun >= judging_.next() && !subscription->ended) {
    judges_ = true;
    answer = co_await judge_each(subscription, report);
    judges_ = false;
    judging_.took(runtime_.now() - begun, runtime_.now());
  }
  to_judge_.notify_one();
  co_return answer;
}

awaitable<Result<NeedAnswer>> CatalogService::Driver::judge_each(SessionPtr subscription,
                                                                 const NeedReport& report) {
  const peers::Visitor visitor = subscription->publisher->visitor();
  const Summary before = published_.summary(visitor);
  NeedAnswer not_comparable;
  if (before.digest != report.listed || before.count != report.count) co_return not_comparable;
  NeedJudge judge(report);
  Lookup lookup{visitor.peer, {}, 0, complete_subscriber_of(visitor.peer) == nullptr};
  const std::size_t most = options_.limits.page_entries_max;
  std::vector<Listing> page;
  do {
    const std::string after = page.empty() ? std::string() : page.back().id;
    page = published_.page(visitor, after, most);
    for (const Listing& listing : page) {
      WARREN_CO_TRY(const Listing* const theirs, co_await look_up(lookup, listing.id));
      judge.add(listing, theirs);
    }
    // Others have their turn between two pages of a large set.
    if (page.size() == most) {
      WARREN_CO_TRY_VOID(co_await runtime_.sleep_for(Duration{}));
    }
    const bool changed = published_.summary(visitor).digest != before.digest;
    if (changed || subscription->ended) co_return not_comparable;
  } while (page.size() == most);
  co_return std::move(judge).finish();
}

/// What it lists under this id, null: nothing. Ids are asked for in their order.
awaitable<Result<const Listing*>> CatalogService::Driver::look_up(Lookup& lookup,
                                                                  std::string_view id) {
  const std::size_t most = options_.limits.page_entries_max;
  for (;;) {
    while (lookup.at < lookup.page.size() && lookup.page[lookup.at].id < id) ++lookup.at;
    if (lookup.at < lookup.page.size()) {
      const Listing& found = lookup.page[lookup.at];
      co_return found.id == id ? &found : nullptr;
    }
    if (lookup.at_end) co_return nullptr;
    auto read = [this, &lookup, most] {
      const std::string after = lookup.page.empty() ? std::string() : lookup.page.back().id;
      return store_.entries_of(lookup.peer, after, most);
    };
    WARREN_CO_TRY(lookup.page, co_await runtime::run(runtime_.pool(), std::move(read)));
    lookup.at = 0;
    lookup.at_end = lookup.page.size() < most;
  }
}

// -------------------------------------------------------------------------------------- both ways

namespace {

void put(SyncDirection& direction, const Disagreement& disagreement, TimePoint now) {
  if (!disagreement.since()) return;
  direction.differs_for = now - *disagreement.since();
  direction.differing = disagreement.ids();
  if (disagreement.lasts()) direction.state = State::kDiffers;
}

State state_of(const Need& need, Reason reason, bool current) {
  if (!current) return State::kSyncing;
  if (need.count == 0) return State::kUpToDate;
  return reason == Reason::kNone ? State::kSyncing : State::kWaiting;
}

}  // namespace

SyncDirection CatalogService::Driver::sync_here(const PeerId& peer) const {
  SyncDirection here;
  const auto follow = follows_.find(peer);
  if (follow == follows_.end() || !follow->second.telling || !follow->second.subscriber)
    return here;
  const NeedExchange& exchange = follow->second.telling->exchange;
  if (!exchange.report()) return here;
  const NeedReport& report = *exchange.report();
  const bool current = report.listed == follow->second.subscriber->theirs().digest;
  here.need = report.need;
  here.reason = report.reason;
  here.items = exchange.items();
  here.state = state_of(report.need, report.reason, current);
  here.compared = current && exchange.is_compared() && !exchange.disagreement().since();
  put(here, exchange.disagreement(), runtime_.now());
  return here;
}

SyncDirection CatalogService::Driver::sync_there(const PeerId& peer) const {
  SyncDirection there;
  const SessionPtr subscription = subscription_of(peer);
  if (!subscription || !subscription->reported) return there;
  const Reported& reported = *subscription->reported;
  const Summary now = published_.summary(subscription->publisher->visitor());
  const bool current = reported.listed == now.digest;
  const bool compared = reported.answer.compared == Compared::kSameSet;
  there.need = compared ? reported.answer.need : reported.need;
  there.reason = reported.reason;
  there.state = state_of(there.need, there.reason, current);
  there.compared = current && compared && !reported.disagreement.since();
  put(there, reported.disagreement, runtime_.now());
  return there;
}

std::vector<PeerSync> CatalogService::Driver::sync() const {
  std::set<PeerId> connected;
  for (const auto& connection : swarm_.connections()) {
    connected.insert(connection->info().remote_peer);
  }
  std::vector<PeerSync> all;
  for (const PeerId& peer : connected) all.push_back({peer, sync_here(peer), sync_there(peer)});
  return all;
}

}  // namespace warren::catalog
