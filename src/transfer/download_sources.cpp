// Who has the dataset, and the streams on which its chunks come.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "content/tree_reader.hpp"
#include "content/unixfs.hpp"
#include "runtime/worker_pool.hpp"
#include "transfer/download.hpp"

namespace warren::transfer {
namespace {

constexpr std::size_t kPieceBytes = 128u << 10;  // Read at a time of a batch of chunks.
constexpr auto kTellAfter = 1s;                  // How long the scheduler may hear nothing of it.

constexpr auto kOpenTime = 10s;  // For a stream and its negotiation.
constexpr auto kAskTime = 10s;   // For the answer to Have.
// A peer that has nothing may share it later: after this, and later when others have it.
constexpr auto kAskAgainNothing = 4s;
constexpr auto kAskAgainNotNeeded = 15s;
constexpr auto kAskAgainFailed = 2s;  // Doubled with each failure in a row.
constexpr auto kAskAgainMax = 60s;
constexpr auto kBrokenProtocolPause = 60s;
constexpr std::uint32_t kLaneFailuresMax = 8;  // In a row, over all streams of a source.
// Requests on one stream: while one is answered the next is on its way.
constexpr std::size_t kSentPerLane = 2;
// The slowest that counts as progress: a batch may take the stall time and its bytes at this rate.
constexpr std::uint64_t kSlowestBytesPerSecond = 64u << 10;
// How often a stream that waits for a buffer says that it lives.
constexpr auto kBufferPatience = 1s;

bool broke_protocol(const Error& error) {
  return error.code() == ErrorCode::kMalformed || error.code() == ErrorCode::kTooLarge;
}

}  // namespace

// ------------------------------------------------------------------------------------- who has it

std::vector<PeerId> Download::wanted_peers() const {
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
TimePoint Download::ask_peers(TimePoint now) {
  TimePoint next = kNever;
  std::size_t busy = 0;
  for (const auto& [peer, source] : sources_) {
    busy += source->state == SourceState::kAsking || source->state == SourceState::kHolder ? 1 : 0;
  }
  for (const PeerId& peer : wanted_peers()) {
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
    if (busy >= context_.config.limits.sources_max) continue;
    if (!tasks_.spawn(ask_task(*source))) continue;
    source->state = SourceState::kAsking;
    ++busy;
  }
  return next;
}

awaitable<Result<HoldingResponse>> Download::ask_peer(PeerId peer) {
  const TransferMark mark(context_.config.notes, peer, TransferDirection::kFrom);
  WARREN_CO_TRY(const auto session,
                co_await PeerSession::open(context_.swarm, peer, context_.config.limits,
                                           runtime_.now() + kOpenTime));
  co_return co_await session->have(record_.root, runtime_.now() + kAskTime);
}

awaitable<void> Download::ask_task(Source& source) {
  auto holding = co_await ask_peer(source.peer);
  const TimePoint now = runtime_.now();
  if (holding && holding->extent != Extent::kNone && !gives_nothing(*holding)) {
    source.state = SourceState::kHolder;
    source.holding = std::move(*holding);
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

// A partial holder of nothing that is left to do would only take the place of another.
bool Download::gives_nothing(const HoldingResponse& holding) const {
  if (holding.extent != Extent::kPartial || !tree_ || !scheduler_) return false;
  const std::uint64_t leaves = tree_->leaves.size();
  if (holding.leaf_count != leaves) return false;  // attach_holders() says what is wrong.
  const LeafSet held = LeafSet::from_bytes(holding.leaves, leaves);
  for (std::uint64_t leaf = 0; leaf < leaves; ++leaf) {
    if (held.contains(leaf) && !scheduler_->done().contains(leaf)) return false;
  }
  return true;
}

bool Download::any_in_state(SourceState state) const {
  return std::ranges::any_of(sources_,
                             [state](const auto& entry) { return entry.second->state == state; });
}

// The source is left alone for a while, longer each time.
void Download::on_source_error(Source& source, const Error& error) {
  if (error.code() == ErrorCode::kCancelled) return;
  fruitless_ = true;
  last_source_error_ =
      Error(error.code(), fmt::format("{}: {}", source.peer.to_string(), error.message()));
  ++source.errors;
  if (error.code() == ErrorCode::kIntegrity) ban_if_bad(source);
  if (error.code() == ErrorCode::kTimedOut) note(source, peers::ReputationEvent::kTimeout);
  if (broke_protocol(error)) note(source, peers::ReputationEvent::kMalformedMessage);
  const std::uint32_t doublings = std::min<std::uint32_t>(source.failures++, 5);
  const Duration pause = broke_protocol(error)
                             ? Duration(kBrokenProtocolPause)
                             : std::min<Duration>(kAskAgainFailed * (1 << doublings), kAskAgainMax);
  detach(source, source.state == SourceState::kBanned ? SourceState::kBanned : SourceState::kFailed,
         pause);
}

// A block or chunk of it did not hash to its name.
void Download::ban_if_bad(Source& source) {
  ++source.bad_chunks;
  ++bad_chunks_;
  note(source, peers::ReputationEvent::kFailedVerification);
  if (context_.bad_peers.on_bad_chunk(source.peer, runtime_.now())) {
    source.state = SourceState::kBanned;
  }
}

void Download::note(const Source& source, peers::ReputationEvent event) {
  if (PeerNotes* notes = context_.config.notes) notes->noted(source.peer, event);
}

void Download::peer_changed(const PeerId& peer) {
  const auto found = sources_.find(peer);
  if (found != sources_.end() && found->second->state == SourceState::kFailed) {
    found->second->retry_at = runtime_.now();
  }
  wake_->notify();
}

void Download::drop_disconnected() {
  for (const auto& [peer, source] : sources_) {
    if (source->state != SourceState::kHolder || context_.swarm.is_connected(peer)) continue;
    on_source_error(*source, Error(ErrorCode::kUnreachable, "the connection has ended"));
  }
}

void Download::attach_holders() {
  for (const auto& [peer, source] : sources_) {
    if (source->state != SourceState::kHolder || source->id) continue;
    events::SourceAdded added;
    added.source = ++source_serial_;
    const std::size_t lanes = context_.config.limits.streams_per_source_max;
    added.requests_max = static_cast<std::uint32_t>(lanes * kSentPerLane);
    added.bad_chunks = source->bad_chunks;
    const std::uint64_t leaves = tree_->leaves.size();
    if (source->holding.extent == Extent::kPartial) {
      if (source->holding.leaf_count != leaves) {
        on_source_error(*source, Error(ErrorCode::kMalformed,
                                       fmt::format("it says that there are {} chunks, not {}",
                                                   source->holding.leaf_count, leaves)));
        continue;
      }
      added.leaves = LeafSet::from_bytes(source->holding.leaves, leaves);
    }
    source->id = added.source;
    source->mark = TransferMark(context_.config.notes, peer, TransferDirection::kFrom);
    attached_[added.source] = source.get();
    for (std::size_t i = 0; i < lanes; ++i) {
      if (!tasks_.spawn(lane_task(*source, added.source))) break;
    }
    feed(added);
  }
}

// Ends its streams. What was asked of it goes elsewhere.
void Download::detach(Source& source, SourceState state, Duration pause) {
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

void Download::feed(const SchedulerEvent& event) {
  if (!scheduler_) return;
  for (const SchedulerAction& action : scheduler_->handle(event, runtime_.now())) {
    std::visit([this](const auto& kind) { on_action(kind); }, action);
  }
  if (scheduler_->state() != Scheduler::State::kWorking) wake_->notify();
}

void Download::on_action(const actions::Ask& action) {
  const auto found = attached_.find(action.source);
  if (found == attached_.end()) return;
  auto asked = std::make_shared<Asked>();
  asked->ask = action;
  asked->next = action.first;
  asked_[action.request] = asked;
  found->second->asks.push_back(std::move(asked));
  found->second->lanes_wake.notify_all();
}

void Download::on_action(const actions::Abandon& action) {
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

void Download::on_action(const actions::Ban& action) {
  const auto found = attached_.find(action.source);
  if (found == attached_.end()) return;
  Source& source = *found->second;
  log::warn("transfer", "{}: {} sent {} chunks that do not verify and is not asked again",
            record_.name, source.peer.to_string(), source.bad_chunks);
  detach(source, SourceState::kBanned, Duration::zero());
  wake_->notify();
}

void Download::on_action(const actions::SetTimer& action) {
  scheduler_timer_ = action.at;
  wake_->notify();
}

// A slow disk is no fault of the sources.
void Download::keep_alive() {
  std::vector<RequestId> writing;
  for (const auto& [id, asked] : asked_) {
    if (asked->jobs > 0) writing.push_back(id);
  }
  for (const RequestId id : writing) feed(events::Arrived{id, 0});
}

// -------------------------------------------------------------------------------------- streams

awaitable<void> Download::lane_task(Source& source, SourceId id) {
  Lane lane;
  source.lanes.insert(&lane);
  while (source.id == id) {
    if (lane.sent.empty() && source.asks.empty()) {
      const runtime::Wake wake = co_await source.lanes_wake.wait_until(kNever);
      if (wake == runtime::Wake::kCancelled) break;
      continue;
    }
    const Result<> stepped = co_await lane_step(source, lane);
    if (stepped) continue;
    if (stepped.error().code() == ErrorCode::kCancelled) break;
    if (source.id == id) lane_failed(source, lane, stepped.error());
  }
  source.lanes.erase(&lane);
}

awaitable<Result<>> Download::lane_step(Source& source, Lane& lane) {
  const limits::Transfer& limits = context_.config.limits;
  if (!lane.session) {
    auto opened =
        co_await PeerSession::open(context_.swarm, source.peer, limits, runtime_.now() + kOpenTime);
    if (!opened) co_return fail(std::move(opened).error());
    lane.session = std::move(*opened);
    co_return Result<>();  // Others may have taken the work meanwhile.
  }
  while (lane.sent.size() < kSentPerLane && !source.asks.empty()) {
    const std::shared_ptr<Asked> asked = source.asks.front();
    source.asks.pop_front();
    lane.sent.push_back(asked);
    const RangeRequest request{record_.root, asked->ask.first, asked->ask.count};
    WARREN_CO_TRY_VOID(
        co_await lane.session->ask_range(request, runtime_.now() + limits.stall_time_max));
  }
  if (lane.sent.empty()) co_return Result<>();
  const std::shared_ptr<Asked> asked = lane.sent.front();
  WARREN_CO_TRY_VOID(co_await receive_segment(source, lane, asked));
  if (asked->next == asked->ask.first + asked->ask.count) {
    lane.sent.pop_front();
    asked->received = true;
    finish_asked(*asked);
  }
  co_return Result<>();
}

awaitable<Result<>> Download::receive_segment(Source& source, Lane& lane,
                                              std::shared_ptr<Asked> asked) {
  const Duration stall = context_.config.limits.stall_time_max;
  WARREN_CO_TRY(const SegmentResponse segment,
                co_await lane.session->read_segment(runtime_.now() + stall));
  const std::uint64_t end = asked->ask.first + asked->ask.count;
  if (segment.first_leaf != asked->next || segment.leaf_count > end - asked->next) {
    co_return fail(ErrorCode::kMalformed, "the peer sent other chunks than were asked for");
  }
  if (segment.missing != Missing::kNo) {
    const std::uint64_t first = asked->next;
    asked->next += segment.leaf_count;
    on_missing(source, first, segment);
    feed(events::Missing{asked->ask.request, first, segment.leaf_count});
    co_return Result<>();
  }
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < segment.leaf_count; ++i) {
    bytes += tree_->leaves[asked->next + i].bytes;
  }
  if (bytes != segment.bytes) {
    co_return fail(
        ErrorCode::kMalformed,
        fmt::format("the peer sent {} bytes of chunks that have {}", segment.bytes, bytes));
  }
  const std::uint64_t segment_end = asked->next + segment.leaf_count;
  while (asked->next < segment_end) {
    // As many whole leaves as a buffer holds; one always fits (Destination::prepare).
    std::uint64_t count = 0;
    std::size_t batch = 0;
    while (asked->next + count < segment_end) {
      const std::size_t leaf = tree_->leaves[asked->next + count].bytes;
      if (count > 0 && batch + leaf > context_.buffers.buffer_bytes()) break;
      batch += leaf;
      ++count;
    }
    WARREN_CO_TRY_VOID(co_await receive_batch(source, lane, asked, count, batch));
  }
  co_return Result<>();
}

// Reads into a buffer and hands it to the pool. Waiting for a buffer is what lets a slow disk slow
// the sender.
awaitable<Result<>> Download::receive_batch(Source& source, Lane& lane,
                                            std::shared_ptr<Asked> asked, std::uint64_t count,
                                            std::size_t bytes) {
  Buffer buffer;
  while (!buffer) {
    auto acquired = co_await context_.buffers.acquire(runtime_.now() + kBufferPatience);
    if (acquired) {
      buffer = std::move(*acquired);
    } else if (acquired.error().code() != ErrorCode::kTimedOut) {
      co_return fail(std::move(acquired).error());
    } else {
      feed(events::Arrived{asked->ask.request, 0});
    }
  }
  const Duration stall =
      context_.config.limits.stall_time_max + std::chrono::seconds(bytes / kSlowestBytesPerSecond);
  const MutableBytes room = buffer.bytes().first(bytes);
  // In pieces: on a slow link the scheduler hears of bytes long before a batch is full, and does
  // not take the source for silent.
  const TimePoint deadline = runtime_.now() + stall;
  TimePoint told_at = runtime_.now();
  std::size_t told = 0;
  for (std::size_t at = 0; at < bytes;) {
    const std::size_t piece = std::min(bytes - at, kPieceBytes);
    WARREN_CO_TRY_VOID(co_await lane.session->read_bytes(room.subspan(at, piece), deadline));
    at += piece;
    if (at == bytes || runtime_.now() - told_at < kTellAfter) continue;
    feed(events::Arrived{asked->ask.request, at - told});
    told = at;
    told_at = runtime_.now();
  }
  source.failures = 0;
  feed(events::Arrived{asked->ask.request, bytes - told});
  const std::uint64_t first = asked->next;
  asked->next += count;
  ++asked->jobs;
  ++write_jobs_;
  if (!tasks_.spawn(write_task(source, asked, std::move(buffer), first, count, bytes))) {
    --asked->jobs;
    --write_jobs_;
    co_return fail(ErrorCode::kCancelled, "stopped");
  }
  co_return Result<>();
}

awaitable<void> Download::write_task(Source& source, std::shared_ptr<Asked> asked, Buffer buffer,
                                     std::uint64_t first, std::uint64_t count, std::size_t bytes) {
  const BytesView view = buffer.bytes().first(bytes);
  WriteResult result = co_await runtime::run(runtime_.pool(), [this, first, count, view] {
    return destination_->write(first, count, view);
  });
  buffer = Buffer();
  --asked->jobs;
  --write_jobs_;
  on_written(source, *asked, first, count, std::move(result));
  finish_asked(*asked);
  if (write_jobs_ == 0 || bytes_since_commit_ >= kCommitBytes) wake_->notify();
}

void Download::on_written(Source& source, Asked& asked, std::uint64_t first, std::uint64_t count,
                          WriteResult result) {
  const TimePoint now = runtime_.now();
  const RequestId request = asked.ask.request;
  std::uint64_t leaf = first;
  const std::uint64_t end = first + result.written;
  std::uint64_t new_bytes = 0;
  result.bad.push_back(end);  // The end of the last run of good ones.
  for (const std::uint64_t bad : result.bad) {
    if (leaf < bad) fruitless_ = false;
    for (std::uint64_t good = leaf; good < bad; ++good) {
      if (scheduler_->done().contains(good)) continue;
      count_verified(good, now);
      new_bytes += tree_->leaves[good].bytes;
      source.bytes += tree_->leaves[good].bytes;
      source.rate.add(tree_->leaves[good].bytes, now);
    }
    if (leaf < bad) feed(events::Verified{request, leaf, bad - leaf});
    if (bad < end) on_bad_leaf(source, asked, bad);
    leaf = bad + 1;
  }
  if (PeerNotes* notes = context_.config.notes; notes != nullptr && new_bytes > 0) {
    notes->gave(source.peer, new_bytes);
    notes->noted(source.peer, peers::ReputationEvent::kVerifiedChunk);
  }
  if (!result.error) return;
  feed(events::Dropped{request, end, first + count - end});
  if (!write_error_) write_error_ = std::move(result.error);
  wake_->notify();
}

void Download::on_bad_leaf(Source& source, Asked& asked, std::uint64_t leaf) {
  const Entry& entry = tree_->entries[content::place_of_leaf(*tree_, leaf).entry];
  log::warn("transfer", "{}: chunk {} ({}) from {} does not verify", record_.name, leaf, entry.path,
            source.peer.to_string());
  ban_if_bad(source);
  const bool banned = source.state == SourceState::kBanned;
  feed(events::Bad{asked.ask.request, leaf});
  if (banned) detach(source, SourceState::kBanned, Duration::zero());
}

void Download::on_missing(Source& source, std::uint64_t first, const SegmentResponse& segment) {
  const Entry& entry = tree_->entries[content::place_of_leaf(*tree_, first).entry];
  ++source.errors;
  missing_text_ = fmt::format("'{}' is {} {}", entry.path.empty() ? record_.name : entry.path,
                              missing_text(segment.missing), source.peer.to_string());
  log::info("transfer", "{}: {}", record_.name, missing_text_);
}

// Everything on the stream goes back to the scheduler.
void Download::lane_failed(Source& source, Lane& lane, const Error& error) {
  const bool given_up = std::exchange(lane.given_up, false);
  lane.session.reset();
  for (const std::shared_ptr<Asked>& asked : std::exchange(lane.sent, {})) {
    asked->received = true;
    asked->broken = !given_up;
    finish_asked(*asked);
  }
  if (given_up || !source.id) return;
  log::debug("transfer", "stream to {}: {}", source.peer.to_string(), error.message());
  ++source.failures;
  const bool gone = !context_.swarm.is_connected(source.peer);
  if (gone || broke_protocol(error) || source.failures >= kLaneFailuresMax ||
      error.code() == ErrorCode::kNotFound) {
    source.failures = 0;
    on_source_error(source, error);
    wake_->notify();
  } else {
    ++source.errors;
  }
}

// Tells the scheduler when the last that came of a request is written.
void Download::finish_asked(Asked& asked) {
  if (!asked.received || asked.jobs > 0 || asked.abandoned) return;
  const RequestId request = asked.ask.request;
  const bool broken = asked.broken;
  if (asked_.erase(request) > 0) feed(events::Ended{request, broken});
}

}  // namespace warren::transfer
