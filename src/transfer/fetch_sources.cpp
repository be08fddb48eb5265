// Who has the dataset, and what is asked of whom.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "content/tree_reader.hpp"
#include "content/unixfs.hpp"
#include "runtime/worker_pool.hpp"
#include "transfer/fetch.hpp"

namespace warren::transfer {
namespace {

constexpr auto kOpenTime = 10s;  // For a stream and its negotiation.
constexpr auto kAskTime = 10s;   // For the answer to Have.
// A peer that has nothing may share it later: after this, and later when others have it.
constexpr auto kAskAgainNothing = 4s;
constexpr auto kAskAgainNotNeeded = 15s;
// One that has a part gets more, and tells it at once; it is asked again after this, and after
// what its bitmap takes at this rate.
constexpr auto kWatchGap = 100ms;
constexpr std::uint64_t kWatchBytesPerSecond = 64u << 10;
constexpr auto kAskAgainFailed = 2s;  // Doubled with each failure in a row.
constexpr auto kAskAgainMax = 60s;
constexpr auto kBrokenProtocolPause = 60s;

}  // namespace

// ------------------------------------------------------------------------------------- who has it

std::vector<PeerId> Fetch::wanted_peers() const {
  std::vector<PeerId> peers;
  if (context_.config.peers) {
    peers = context_.config.peers();
  } else {
    for (const auto& connection : context_.swarm.connections()) {
      peers.push_back(connection->info().remote_peer);
    }
  }
  if (!from_.empty()) {
    std::erase_if(peers, [this](const PeerId& peer) {
      return std::ranges::find(from_, peer) == from_.end();
    });
  }
  std::ranges::sort(peers);
  const auto repeated = std::ranges::unique(peers);
  peers.erase(repeated.begin(), repeated.end());
  return peers;
}

// Asks whom it is time to ask; returns when to look again.
TimePoint Fetch::ask_peers(TimePoint now) {
  TimePoint next = kNever;
  std::size_t busy = 0;
  for (const auto& [peer, source] : sources_) {
    busy += source->state == SourceState::kAsking || source->state == SourceState::kHolder ? 1 : 0;
  }
  // Each node begins elsewhere, so that of many that fetch the same all are asked by about as many.
  std::vector<PeerId> peers = wanted_peers();
  if (!peers.empty()) {
    std::ranges::rotate(peers, peers.begin() + static_cast<std::ptrdiff_t>(order_ % peers.size()));
  }
  for (const PeerId& peer : peers) {
    auto& source = sources_[peer];
    if (!source) {
      source = std::make_unique<Source>(runtime_, peer);
      if (context_.bad_peers.banned(peer, now)) source->state = SourceState::kBanned;
    }
    switch (source->state) {
      case SourceState::kAsking:
      case SourceState::kHolder:
      case SourceState::kBanned: continue;
      case SourceState::kNew:
      case SourceState::kNothing:
      case SourceState::kFailed: break;
    }
    if (now < source->retry_at) {
      next = std::min(next, source->retry_at);
      continue;
    }
    if (busy >= context_.config.limits.sources_max) {
      if (!make_place()) continue;
      --busy;
    }
    if (!tasks_.spawn(ask_task(*source))) continue;
    source->state = SourceState::kAsking;
    ++busy;
  }
  return next;
}

// Lets a holder go that gives nothing at this moment, so that another one can be asked.
bool Fetch::make_place() {
  for (const auto& [id, source] : attached_) {
    if (!scheduler_ || !scheduler_->gives_nothing(id)) continue;
    detach(*source, SourceState::kNothing, kAskAgainNothing);
    return true;
  }
  return false;
}

awaitable<Result<HoldingResponse>> Fetch::ask_peer(PeerId peer) {
  const TransferMark mark(context_.config.notes, peer, TransferDirection::kFrom);
  WARREN_CO_TRY(const auto session,
                co_await PeerSession::open(context_.swarm, peer, context_.config.limits,
                                           runtime_.now() + kOpenTime));
  co_return co_await session->have(record_.root, std::nullopt, runtime_.now() + kAskTime);
}

awaitable<void> Fetch::ask_task(Source& source) {
  auto holding = co_await ask_peer(source.peer);
  const TimePoint now = runtime_.now();
  if (holding && holding->extent != Extent::kNone) {
    source.state = SourceState::kHolder;
    source.holding = std::move(*holding);
    source.grew_at = now;
    note(source, peers::ReputationEvent::kUsefulAnswer);
    log::debug("transfer", "{} has {}", source.peer.to_string(), record_.root.to_string());
  } else if (holding || holding.error().code() == ErrorCode::kUnsupported) {
    source.state = SourceState::kNothing;
    const bool needed = !any_in_state(SourceState::kHolder);
    source.retry_at = now + (needed ? Duration(kAskAgainNothing) : Duration(kAskAgainNotNeeded));
  } else {
    on_source_error(source, holding.error());
  }
  wake_->notify();
}

bool Fetch::any_in_state(SourceState state) const {
  return std::ranges::any_of(sources_,
                             [state](const auto& entry) { return entry.second->state == state; });
}

// The source is left alone for a while, longer each time.
bool Fetch::breaks_protocol(const Error& error) {
  return error.code() == ErrorCode::kMalformed || error.code() == ErrorCode::kTooLarge;
}

void Fetch::on_source_error(Source& source, const Error& error) {
  if (error.code() == ErrorCode::kCancelled) return;
  fruitless_ = true;
  last_source_error_ =
      Error(error.code(), fmt::format("{}: {}", source.peer.to_string(), error.message()));
  ++source.errors;
  if (error.code() == ErrorCode::kIntegrity) ban_if_bad(source);
  if (error.code() == ErrorCode::kTimedOut) note(source, peers::ReputationEvent::kTimeout);
  if (breaks_protocol(error)) note(source, peers::ReputationEvent::kMalformedMessage);
  const std::uint32_t doublings = std::min<std::uint32_t>(source.failures++, 5);
  const Duration pause = breaks_protocol(error)
                             ? Duration(kBrokenProtocolPause)
                             : std::min<Duration>(kAskAgainFailed * (1 << doublings), kAskAgainMax);
  detach(source, source.state == SourceState::kBanned ? SourceState::kBanned : SourceState::kFailed,
         pause);
}

// A block or chunk of it did not hash to its name.
void Fetch::ban_if_bad(Source& source) {
  ++source.bad_chunks;
  ++bad_chunks_;
  note(source, peers::ReputationEvent::kFailedVerification);
  if (context_.bad_peers.on_bad_chunk(source.peer, runtime_.now())) {
    source.state = SourceState::kBanned;
  }
}

void Fetch::note(const Source& source, peers::ReputationEvent event) {
  if (PeerNotes* notes = context_.config.notes) notes->noted(source.peer, event);
}

void Fetch::peer_changed(const PeerId& peer) {
  const auto found = sources_.find(peer);
  if (found != sources_.end() && found->second->state == SourceState::kFailed) {
    found->second->retry_at = runtime_.now();
  }
  wake_->notify();
}

// All nodes that know the same ones share the leaves out alike.
void Fetch::tell_company() {
  if (company_.empty()) return;
  const auto own = company_.lower_bound(context_.swarm.local_peer());
  feed(events::Company{static_cast<std::uint64_t>(std::distance(company_.begin(), own)),
                       company_.size() + 1});
}

void Fetch::drop_disconnected() {
  for (const auto& [peer, source] : sources_) {
    if (source->state != SourceState::kHolder || context_.swarm.is_connected(peer)) continue;
    on_source_error(*source, Error(ErrorCode::kUnreachable, "the connection has ended"));
  }
}

void Fetch::attach_holders() {
  for (const auto& [peer, source] : sources_) {
    if (source->state != SourceState::kHolder || source->id) continue;
    events::SourceAdded added;
    added.source = ++source_serial_;
    const std::size_t lanes = context_.config.limits.streams_per_source_max;
    added.requests_max = static_cast<std::uint32_t>(lanes * kSentPerStream);
    added.bad_chunks = source->bad_chunks;
    const bool partial = source->holding.extent == Extent::kPartial;
    if (partial) {
      auto leaves = leaves_of(source->holding);
      if (!leaves) {
        on_source_error(*source, leaves.error());
        continue;
      }
      added.leaves = std::move(*leaves);
    }
    source->id = added.source;
    source->mark = TransferMark(context_.config.notes, peer, TransferDirection::kFrom);
    attached_[added.source] = source.get();
    for (std::size_t i = 0; i < lanes; ++i) {
      if (!tasks_.spawn(lane_task(*source, added.source))) break;
    }
    if (partial) static_cast<void>(tasks_.spawn(watch_task(*source, added.source)));
    feed(added);
  }
}

Result<LeafSet> Fetch::leaves_of(const HoldingResponse& holding) const {
  const std::uint64_t leaves = tree_->leaves.size();
  if (holding.extent == Extent::kComplete) return LeafSet(leaves, true);
  if (holding.leaf_count != leaves) {
    return fail(ErrorCode::kMalformed, fmt::format("it says that there are {} chunks, not {}",
                                                   holding.leaf_count, leaves));
  }
  return LeafSet::from_bytes(holding.leaves, leaves);
}

// Who has a part gets more of it: it is asked again until it has all, and answers when it has more.
awaitable<void> Fetch::watch_task(Source& source, SourceId id) {
  std::unique_ptr<PeerSession> session;
  std::uint64_t known = LeafSet::from_bytes(source.holding.leaves, tree_->leaves.size()).count();
  while (source.holding.extent == Extent::kPartial) {
    const std::uint64_t bitmap_bytes = source.holding.leaves.size();
    const auto slept = co_await runtime_.sleep_for(
        kWatchGap + std::chrono::milliseconds(bitmap_bytes * 1000 / kWatchBytesPerSecond));
    if (!slept || source.id != id) break;
    if (!session) {
      auto opened = co_await PeerSession::open(context_.swarm, source.peer, context_.config.limits,
                                               runtime_.now() + kOpenTime);
      if (source.id != id) break;
      if (!opened) continue;  // The streams for chunks find out whether it is gone.
      session = std::move(*opened);
    }
    auto holding = co_await session->have(record_.root, known, runtime_.now() + kAskTime);
    if (source.id != id) break;
    if (!holding) {
      session.reset();
      continue;
    }
    if (holding->extent == Extent::kNone) {
      detach(source, SourceState::kNothing, kAskAgainNothing);
      wake_->notify();
      break;
    }
    auto leaves = leaves_of(*holding);
    if (!leaves) {
      on_source_error(source, leaves.error());
      wake_->notify();
      break;
    }
    source.holding = std::move(*holding);
    if (leaves->count() > known) source.grew_at = runtime_.now();
    known = leaves->count();
    feed(events::LeavesHeld{id, std::move(*leaves)});
  }
}

// Ends its streams. What was asked of it goes elsewhere.
void Fetch::detach(Source& source, SourceState state, Duration pause) {
  source.state = state;
  source.retry_at = runtime_.now() + pause;
  if (!source.id) return;
  const SourceId id = *std::exchange(source.id, std::nullopt);
  attached_.erase(id);
  source.mark = {};
  for (Lane* lane : source.lanes) {
    if (lane->session) lane->session->reset();
  }
  std::erase_if(asked_, [id](const auto& entry) { return entry.second->ask.source == id; });
  source.asks.clear();
  source.lanes_wake.notify_all();
  feed(events::SourceRemoved{id});
}

// ---------------------------------------------------------------------------------- the scheduler

void Fetch::feed(const SchedulerEvent& event) {
  if (!scheduler_) return;
  for (const SchedulerAction& action : scheduler_->handle(event, runtime_.now())) {
    std::visit([this](const auto& kind) { on_action(kind); }, action);
  }
  if (scheduler_->state() != Scheduler::State::kWorking) wake_->notify();
}

void Fetch::on_action(const actions::Ask& action) {
  const auto found = attached_.find(action.source);
  if (found == attached_.end()) return;
  auto asked = std::make_shared<Asked>();
  asked->ask = action;
  asked->next = action.first;
  asked_[action.request] = asked;
  found->second->asks.push_back(std::move(asked));
  found->second->lanes_wake.notify_all();
}

void Fetch::on_action(const actions::Abandon& action) {
  const auto found = asked_.find(action.request);
  if (found == asked_.end()) return;
  const std::shared_ptr<Asked> asked = found->second;
  asked_.erase(found);
  asked->abandoned = true;
  const auto at = attached_.find(action.source);
  if (at == attached_.end()) return;
  Source& source = *at->second;
  if (action.stalled) {
    on_source_error(source, Error(ErrorCode::kTimedOut, "it is silent"));
    wake_->notify();
    return;
  }
  std::erase(source.asks, asked);
  for (Lane* lane : source.lanes) {
    if (std::ranges::find(lane->sent, asked) == lane->sent.end()) continue;
    lane->given_up = true;
    if (lane->session) lane->session->reset();
  }
}

void Fetch::on_action(const actions::Ban& action) {
  const auto found = attached_.find(action.source);
  if (found == attached_.end()) return;
  Source& source = *found->second;
  log::warn("transfer", "{}: {} sent {} chunks that do not verify and is not asked again",
            record_.name, source.peer.to_string(), source.bad_chunks);
  detach(source, SourceState::kBanned, Duration::zero());
  wake_->notify();
}

void Fetch::on_action(const actions::SetTimer& action) {
  scheduler_timer_ = action.at;
  wake_->notify();
}

// A slow disk or our own limit is no fault of the sources.
void Fetch::keep_alive() {
  std::vector<RequestId> ours;
  for (const auto& [id, asked] : asked_) {
    if (asked->jobs > 0 || asked->limited) ours.push_back(id);
  }
  for (const RequestId id : ours) feed(events::Arrived{id, 0});
}

}  // namespace warren::transfer
