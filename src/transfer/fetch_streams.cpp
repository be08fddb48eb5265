// The streams on which the chunks of a dataset come.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "transfer/fetch.hpp"

namespace warren::transfer {
namespace {

constexpr std::size_t kPieceBytes = 128u << 10;  // Read at a time of a batch of chunks.
constexpr auto kTellAfter = 1s;                  // How long the scheduler may hear nothing of it.

constexpr auto kOpenTime = 10s;                // For a stream and its negotiation.
constexpr std::uint32_t kLaneFailuresMax = 8;  // In a row, over all streams of a source.
// The slowest that counts as progress: a batch may take the stall time and its bytes at this rate.
constexpr std::uint64_t kSlowestBytesPerSecond = 64u << 10;
// How often a stream that waits for a buffer says that it lives.
constexpr auto kBufferPatience = 1s;
constexpr std::uint32_t kMissedMax =
    64;  // Leaves of a part that were not there, one after another.
// Who waits so long for a piece is held up by the limit.
constexpr auto kLimitedTime = 100ms;

}  // namespace

awaitable<void> Fetch::lane_task(Source& source, SourceId id) {
  Lane lane;
  source.lanes.insert(&lane);
  while (source.id == id) {
    if (lane.sent.empty() && (source.asks.empty() || (!lane.session && others_take(source)))) {
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

// Whether streams that have nothing to do are enough for what is to be asked.
bool Fetch::others_take(const Source& source) const {
  const auto free = std::ranges::count_if(source.lanes, [](const Lane* lane) {
    return lane->opening || (lane->session && lane->sent.empty());
  });
  return static_cast<std::size_t>(free) >= source.asks.size();
}

awaitable<Result<>> Fetch::lane_step(Source& source, Lane& lane) {
  const limits::Transfer& limits = context_.config.limits;
  if (!lane.session) {
    lane.opening = true;
    auto opened =
        co_await PeerSession::open(context_.swarm, source.peer, limits, runtime_.now() + kOpenTime);
    lane.opening = false;
    if (!opened) co_return fail(std::move(opened).error());
    lane.session = std::move(*opened);
    co_return Result<>();  // Others may have taken the work meanwhile.
  }
  while (lane.sent.size() < kSentPerStream && !source.asks.empty()) {
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

awaitable<Result<>> Fetch::receive_segment(Source& source, Lane& lane,
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
    // It lists them again as soon as it is asked what it has: that may go on for ever.
    const bool part = source.holding.extent == Extent::kPartial;
    if (part && ++source.missed >= kMissedMax) {
      source.missed = 0;
      co_return fail(ErrorCode::kNotFound, "it does not have what it says that it has");
    }
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
awaitable<Result<>> Fetch::receive_batch(Source& source, Lane& lane, std::shared_ptr<Asked> asked,
                                         std::uint64_t count, std::size_t bytes) {
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
  // In pieces: the scheduler hears of the first bytes, and on a slow link of more long before a
  // batch is full, and does not take the source for silent.
  TimePoint deadline = runtime_.now() + stall;
  TimePoint told_at = runtime_.now();
  std::size_t told = 0;
  for (std::size_t at = 0; at < bytes;) {
    std::size_t piece = std::min(bytes - at, kPieceBytes);
    if (RateLimit* limit = context_.bandwidth.down(lane.session->remote_address())) {
      piece = std::min<std::size_t>(piece, limit->piece_bytes());
      WARREN_CO_TRY(const Duration waited, co_await wait_for_limit(*limit, *asked, piece));
      deadline += waited;
    }
    WARREN_CO_TRY_VOID(co_await lane.session->read_bytes(room.subspan(at, piece), deadline));
    at += piece;
    if (at == bytes) continue;
    if (at > kPieceBytes && runtime_.now() - told_at < kTellAfter) continue;
    feed(events::Arrived{asked->ask.request, at - told});
    told = at;
    told_at = runtime_.now();
  }
  source.failures = 0;
  source.missed = 0;
  feed(events::Arrived{asked->ask.request, bytes - told});
  // The same once more, of the end game: nobody writes to files that are served from now on.
  if (all_there_) co_return fail(ErrorCode::kCancelled, "all is there");
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

// Not reading is what slows the sender. Returns how long it took.
awaitable<Result<Duration>> Fetch::wait_for_limit(RateLimit& limit, Asked& asked,
                                                  std::size_t bytes) {
  const TimePoint began = runtime_.now();
  const Priority priority = record_.background ? Priority::kBackground : Priority::kUser;
  asked.limited = true;
  const Result<> may = co_await limit.take(bytes, priority, kNever);
  asked.limited = false;
  if (!may) co_return fail(may.error());
  const Duration waited = runtime_.now() - began;
  if (waited > kLimitedTime) limited_at_ = runtime_.now();
  co_return waited;
}

awaitable<void> Fetch::write_task(Source& source, std::shared_ptr<Asked> asked, Buffer buffer,
                                  std::uint64_t first, std::uint64_t count, std::size_t bytes) {
  const BytesView view = buffer.bytes().first(bytes);
  WriteResult result = co_await take(first, count, view);
  buffer = Buffer();
  --asked->jobs;
  --write_jobs_;
  on_written(source, *asked, first, count, std::move(result));
  finish_asked(*asked);
  if (write_jobs_ == 0) wake_->notify();
}

void Fetch::on_written(Source& source, Asked& asked, std::uint64_t first, std::uint64_t count,
                       WriteResult result) {
  const TimePoint now = runtime_.now();
  const RequestId request = asked.ask.request;
  std::uint64_t leaf = first;
  const std::uint64_t end = first + result.written;
  std::uint64_t new_bytes = 0;
  obey(source);
  result.bad.push_back(end);  // The end of the last run of good ones.
  for (const std::uint64_t bad : result.bad) {
    if (leaf < bad) fruitless_ = false;
    for (std::uint64_t good = leaf; good < bad; ++good) {
      if (scheduler_->done().contains(good)) continue;
      rate_.add(tree_->leaves[good].bytes, now);
      moved_at_ = now;
      came(good);
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

void Fetch::on_bad_leaf(Source& source, Asked& asked, std::uint64_t leaf) {
  const Entry& entry = tree_->entries[content::place_of_leaf(*tree_, leaf).entry];
  log::warn("transfer", "{}: chunk {} ({}) from {} does not verify", record_.name, leaf, entry.path,
            source.peer.to_string());
  ban_if_bad(source);
  const bool banned = source.state == SourceState::kBanned;
  feed(events::Bad{asked.ask.request, leaf});
  if (banned) detach(source, SourceState::kBanned, Duration::zero());
}

void Fetch::on_missing(Source& source, std::uint64_t first, const SegmentResponse& segment) {
  const Entry& entry = tree_->entries[content::place_of_leaf(*tree_, first).entry];
  ++source.errors;
  missing_text_ = fmt::format("'{}' is {} {}", entry.path.empty() ? record_.name : entry.path,
                              missing_text(segment.missing), source.peer.to_string());
  log::info("transfer", "{}: {}", record_.name, missing_text_);
}

// Everything on the stream goes back to the scheduler.
void Fetch::lane_failed(Source& source, Lane& lane, const Error& error) {
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
  if (gone || breaks_protocol(error) || source.failures >= kLaneFailuresMax ||
      error.code() == ErrorCode::kNotFound) {
    source.failures = 0;
    on_source_error(source, error);
    wake_->notify();
  } else {
    ++source.errors;
  }
}

// Tells the scheduler when the last that came of a request is written.
void Fetch::finish_asked(Asked& asked) {
  if (!asked.received || asked.jobs > 0 || asked.abandoned) return;
  const RequestId request = asked.ask.request;
  const bool broken = asked.broken;
  if (asked_.erase(request) > 0) feed(events::Ended{request, broken});
}

}  // namespace warren::transfer
