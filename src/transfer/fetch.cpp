#include "transfer/fetch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.hpp"
#include "content/tree_reader.hpp"

namespace warren::transfer {
namespace {

using content::Entry;

// Lanes, probes, batches being written, commits: the sum of their own bounds stays below it.
constexpr std::size_t kTasksMax = 1024;
constexpr auto kMessageTime = 30s;  // For one message of a tree, up to 2 MiB.
// For the first one; longer each time that the source has failed. Others may answer at once.
constexpr auto kFirstNodesTime = 5s;
constexpr auto kLookAgain = 2s;  // Between looks at who is connected.
// How long leaves that no source has are waited for when sources are there: nothing says that
// another one will come.
constexpr auto kStarvedTime = 15s;
constexpr auto kStuckTime = 10s;  // Source: quality statement SY-1.
// How long a source with a part that gets no more of it is hoped for.
constexpr auto kGrowTime = 60s;
// With sources that give something one verified leaf comes within this: what one of them may take
// for the answer and then for a batch (stall_time_max, kSlowestBytesPerSecond).
constexpr auto kFruitlessTime = 40s;

Error cancelled_error() { return {ErrorCode::kCancelled, "stopped"}; }

}  // namespace

Fetch::Fetch(DownloadContext context, content::TransferRecord record, std::vector<PeerId> from,
             Duration wait)
    : context_(context),
      runtime_(context.runtime),
      record_(std::move(record)),
      from_(std::move(from)),
      wait_(wait),
      order_(context.runtime.rng()()),
      wake_(runtime_.make_signal()),
      tasks_(runtime_, kTasksMax) {}

Fetch::~Fetch() = default;

void Fetch::begin(TimePoint now) { started_at_ = waiting_since_ = moved_at_ = now; }

bool Fetch::moves_bytes() const {
  return phase_ == Phase::kDownloading && rate_.rate(runtime_.now()) > 0;
}

void Fetch::set_phase(Phase phase, std::string waiting_for) {
  phase_ = phase;
  waiting_for_ = std::move(waiting_for);
}

// ------------------------------------------------------------------------------------- the tree

awaitable<Result<Fetch::Source*>> Fetch::wait_for_holder() {
  for (;;) {
    const TimePoint now = runtime_.now();
    const TimePoint next = ask_peers(now);
    std::vector<Source*> holders;
    for (const auto& [peer, source] : sources_) {
      if (source->state == SourceState::kHolder) holders.push_back(source.get());
    }
    if (!holders.empty()) co_return holders[order_ % holders.size()];
    set_phase(Phase::kFindingSources, "a peer that has it");
    WARREN_CO_TRY_VOID(check_sources(now));
    const runtime::Wake wake = co_await wake_->wait_until(std::min(next, now + kLookAgain));
    if (wake == runtime::Wake::kCancelled) co_return fail(cancelled_error());
  }
}

// From one after the other, until it is whole.
awaitable<Result<>> Fetch::fetch_tree(content::TreeReader& reader) {
  while (!reader.complete()) {
    WARREN_CO_TRY(Source * source, co_await wait_for_holder());
    set_phase(Phase::kMetadata, "the tree from " + source->peer.to_string());
    bool dataset_is_bad = false;
    const Result<> fetched = co_await fetch_tree_from(*source, reader, dataset_is_bad);
    if (stopping_) co_return fail(cancelled_error());
    if (fetched) continue;
    if (dataset_is_bad) co_return fail(Error(fetched.error()).in("this dataset can not be read"));
    log::info("transfer", "tree of {} from {}: {}", record_.root.to_string(),
              source->peer.to_string(), fetched.error().message());
    on_source_error(*source, fetched.error());
  }
  co_return Result<>();
}

awaitable<Result<>> Fetch::fetch_tree_from(Source& source, content::TreeReader& reader,
                                           bool& dataset_is_bad) {
  const TimePoint deadline = runtime_.now() + kMessageTime;
  WARREN_CO_TRY(const auto session, co_await PeerSession::open(context_.swarm, source.peer,
                                                               context_.config.limits, deadline));
  const Duration first = kFirstNodesTime * std::int64_t{source.failures + 1};
  const Result<> fetched = co_await session->fetch_tree(record_.root, reader, first, kMessageTime);
  dataset_is_bad = session->dataset_is_bad();
  if (fetched) obey(source);
  co_return fetched;
}

// Something of what is here came from this peer: it is passed on no further than it allows.
void Fetch::obey(const Source& source) {
  obeyed_ = true;
  if (!record_.audience || source.holding.passing == Passing::kAnyone) return;
  const std::optional<peers::AccessRule> before = record_.audience;
  if (source.holding.passing == Passing::kNobody) {
    record_.audience.reset();
  } else if (record_.audience->access == peers::Access::kAnyone) {
    record_.audience->access = peers::Access::kLan;
  }
  narrowed_ = narrowed_ || record_.audience != before;
}

// ------------------------------------------------------------------------------------- the leaves

void Fetch::make_scheduler(LeafSet done) {
  SchedulerConfig tuning = context_.config.scheduler;
  Bytes seed(sizeof tuning.seed);
  runtime_.random_bytes(seed);
  std::memcpy(&tuning.seed, seed.data(), seed.size());
  scheduler_ = std::make_unique<Scheduler>(tree_, std::move(done), tuning);
}

// Looks after sources and requests; returns when to call it again at the latest.
TimePoint Fetch::tend(TimePoint now) {
  drop_disconnected();
  const TimePoint next_peers = ask_peers(now);
  attach_holders();
  const bool yields = record_.background && context_.user_moves_bytes();
  if (yields != std::exchange(yields_, yields)) feed(events::Yield{yields});
  if (now >= scheduler_timer_) {
    scheduler_timer_ = kNever;
    keep_alive();
    feed(events::TimerFired{});
  }
  return std::min({next_peers, scheduler_timer_, now + kLookAgain});
}

// Whether there is a reason to end the run, and what to tell meanwhile.
Result<> Fetch::check_progress(TimePoint now) {
  const Scheduler::State state = scheduler_->state();
  if (state == Scheduler::State::kWorking && !attached_.empty()) {
    if (!fruitless_) waiting_since_ = now;
    if (nothing_will_come(now)) return check_sources(now);
    set_phase(Phase::kDownloading);
    return {};
  }
  if (state == Scheduler::State::kComplete) return {};
  if (attached_.empty()) {
    set_phase(Phase::kFindingSources, "a peer that has it");
  } else {
    set_phase(Phase::kDownloading, "a peer that has the chunks that are left");
    const auto leaf = scheduler_->first_unavailable();
    // One that has a part may get more of it, as long as it does.
    const bool more_may_come = std::ranges::any_of(attached_, [now](const auto& entry) {
      return entry.second->holding.extent == Extent::kPartial &&
             now - entry.second->grew_at < kGrowTime;
    });
    if (leaf && !more_may_come && now - waiting_since_ >= kStarvedTime &&
        !any_in_state(SourceState::kAsking) && !any_in_state(SourceState::kFailed)) {
      const Entry& entry = tree_->entries[content::place_of_leaf(*tree_, *leaf).entry];
      return fail(ErrorCode::kNotFound,
                  fmt::format("no connected peer has all of '{}'{}",
                              entry.path.empty() ? record_.name : entry.path,
                              missing_text_.empty() ? "" : ": " + missing_text_),
                  "have it shared again as it is now, or resume when another peer is connected");
    }
  }
  return check_sources(now);
}

// Whether to give up for want of sources.
Result<> Fetch::check_sources(TimePoint now) {
  if (any_in_state(SourceState::kAsking) && !nothing_will_come(now)) return {};
  const bool others = std::ranges::any_of(sources_, [this](const auto& entry) {
    return entry.second->state != SourceState::kBanned &&
           entry.second->state != SourceState::kNothing && context_.swarm.is_connected(entry.first);
  });
  const bool liars = any_in_state(SourceState::kBanned);
  if (liars && (!others || (bad_chunks_ > 0 && give_up_waiting(now)))) {
    return fail(ErrorCode::kIntegrity, bad_peers_text(),
                "get it from another peer, or have it shared again");
  }
  if (!give_up_waiting(now)) return {};
  if (last_source_error_) {
    return fail(ErrorCode::kNoPeer, "no source is left: " + last_source_error_->message(),
                "resume when a peer that has it is connected");
  }
  return fail(
      ErrorCode::kNoPeer,
      fmt::format("none of {} connected peers has {}", sources_.size(), record_.root.to_string()),
      "connect to a peer that shares it, or wait longer with --wait");
}

bool Fetch::give_up_waiting(TimePoint now) const {
  return wait_ > Duration::zero() && now - waiting_since_ >= wait_;
}

// Sources that are silent in turns: one of them is always asked, or about to be.
bool Fetch::nothing_will_come(TimePoint now) const {
  const bool limited = limited_at_ != TimePoint{} && now - limited_at_ < kStuckTime;
  return fruitless_ && !limited && give_up_waiting(now) && now - waiting_since_ >= kFruitlessTime;
}

std::string Fetch::bad_peers_text() const {
  std::string text =
      fmt::format("{} chunks did not verify and no honest source is left:", bad_chunks_);
  for (const auto& [peer, source] : sources_) {
    if (source->state != SourceState::kBanned) continue;
    text += fmt::format(" {} sent {}", peer.to_string(), source->bad_chunks);
  }
  return text;
}

std::string_view Fetch::stuck_reason(TimePoint now) const {
  const bool fetching = phase_ == Phase::kResolving || phase_ == Phase::kFindingSources ||
                        phase_ == Phase::kMetadata || phase_ == Phase::kDownloading;
  if (!fetching || now - moved_at_ < kStuckTime) return {};
  if (limited_at_ != TimePoint{} && now - limited_at_ < kStuckTime) return stuck::kRateLimit;
  if (!any_in_state(SourceState::kHolder)) return stuck::kNoPeer;
  const bool starved = scheduler_ && scheduler_->state() != Scheduler::State::kWorking;
  return starved ? stuck::kNoPeer : stuck::kPeersSilent;
}

void Fetch::report_peers(Progress& progress, TimePoint now) const {
  for (const auto& [peer, source] : sources_) {
    if (!source->id && source->bytes == 0 && source->bad_chunks == 0 && source->errors == 0) {
      continue;
    }
    progress.peers.push_back({peer, source->bytes, source->rate.rate(now), source->errors,
                              source->bad_chunks, source->id.has_value(),
                              source->state == SourceState::kBanned || source->bad_chunks > 0});
  }
}

}  // namespace warren::transfer
