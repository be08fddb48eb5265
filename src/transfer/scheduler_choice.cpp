// What the scheduler asks of whom.

#include <algorithm>
#include <limits>
#include <tuple>

#include "transfer/scheduler.hpp"

namespace warren::transfer {
namespace {

// Leaves that are compared by how many have them before the rarest of those is taken, and that are
// looked at until so many are found.
constexpr std::size_t kComparedMax = 64;
constexpr std::size_t kLookedAtMax = 4096;
// In a swarm: how many times the usual wait for the first bytes is silence.
constexpr double kPatienceWaits = 4;
// Leaves that a source did not have after all until it is not relied on.
constexpr std::uint32_t kMissedMax = 3;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

// While others fetch the same, a source is asked for no more than it delivers in request_time: what
// waits at a busy source is better had from one that has it meanwhile.
bool Scheduler::may_ask(const Source& source, TimePoint now) const {
  if (source.requests >= source.requests_max || now < source.resume_at) return false;
  if (yields_ && !requests_.empty()) return false;
  if (source.requests == 0 || !in_swarm()) return true;
  return static_cast<double>(source.planned_bytes) < source.rate * seconds(config_.request_time);
}

// A node that fetches too, and can be relied on for what it says that it has.
bool Scheduler::helps(const Source& source, TimePoint now) const {
  if (!source.part || source.bad_chunks > 0 || source.missed > kMissedMax) return false;
  if (now < source.resume_at) return false;
  return source.requests == 0 || now - source.heard_at < config_.stall_time / 2;
}

// Those that fetch too give more than this source, which has had everything from the start.
bool Scheduler::others_suffice(const Source& source, TimePoint now) const {
  double rate = 0;
  for (const auto& [id, other] : sources_) rate += helps(other, now) ? other.rate : 0;
  return source.rate * 2 <= rate;
}

bool Scheduler::others_have(std::uint64_t leaf, TimePoint now) const {
  if (partial_holders_.empty() || partial_holders_[leaf] == 0) return false;
  return std::ranges::any_of(sources_, [&](const auto& entry) {
    return entry.second.part && has(entry.second, leaf) && helps(entry.second, now);
  });
}

// What waits at a source that had everything from the start, and which another node has meanwhile,
// is better had from that one.
void Scheduler::spare_seeds(TimePoint now, Actions& out) {
  if (!in_swarm()) return;
  std::vector<RequestId> over;
  for (const auto& [id, request] : requests_) {
    const Source& source = sources_.at(request.source);
    if (source.part || request.heard_at != request.asked_at) continue;
    if (!others_suffice(source, now)) continue;
    bool spared = true;
    for (std::uint64_t i = 0; spared && i < request.count; ++i) {
      spared = !request.open[static_cast<std::size_t>(i)] || others_have(request.first + i, now);
    }
    if (spared) over.push_back(id);
  }
  for (const RequestId id : over) {
    out.push_back(actions::Abandon{id, requests_.at(id).source, false});
    end_request(id);
  }
}

void Scheduler::move_cursor() {
  cursor_ = LeafSet::next_in_both(todo_, todo_, cursor_).value_or(done_.size());
}

// Who has the least to do first; of those the fastest.
void Scheduler::fill(TimePoint now, Actions& out) {
  move_cursor();
  std::vector<SourceId> order;
  for (const auto& [id, source] : sources_) {
    if (may_ask(source, now)) order.push_back(id);
  }
  std::ranges::sort(order, [&](SourceId a, SourceId b) {
    const Source& first = sources_.at(a);
    const Source& second = sources_.at(b);
    return std::tuple(first.planned_bytes, -first.rate, a) <
           std::tuple(second.planned_bytes, -second.rate, b);
  });
  // One request each in turn, so that no source takes all of a small dataset.
  for (bool asked = true; asked && !order.empty();) {
    asked = false;
    for (const SourceId id : order) {
      Source& source = sources_.at(id);
      if (!may_ask(source, now)) continue;
      std::optional<Run> run;
      if (bytes_todo_ > 0 || cursor_ < done_.size()) {
        run = in_swarm() || any_partial() ? pick_rarest(source, now) : pick(source);
      }
      if (!run) run = pick_end_game(id, source, now);
      if (!run) continue;
      ask(id, source, *run, now, out);
      asked = true;
    }
  }
}

// What it delivers in request_time over each of its requests; and near the end less, so that all
// requests of all sources end at about the same time.
std::uint64_t Scheduler::request_bytes(const Source& source) const {
  std::uint64_t slots = 0;
  for (const auto& [id, other] : sources_) slots += other.requests_max;
  const double by_rate = source.rate * seconds(config_.request_time);
  std::uint64_t bytes = static_cast<std::uint64_t>(std::min(by_rate, 1e15));
  if (source.rate == 0) {
    bytes = in_swarm() ? config_.request_bytes_min : config_.request_bytes_max / 4;
  }
  bytes = std::min({bytes, config_.request_bytes_max, bytes_todo_ / (2 * slots)});
  if (yields_) bytes = 0;
  return std::max(bytes, config_.request_bytes_min);
}

Scheduler::Run Scheduler::extend(const Source& source, std::uint64_t first) const {
  const std::uint64_t bytes_max = request_bytes(source);
  std::uint64_t bytes = tree_->leaves[first].bytes;
  std::uint64_t end = first + 1;
  while (end < done_.size() && end - first < config_.request_leaves_max) {
    if (!todo_.contains(end) || !usable(source, end)) break;
    if (holders(end) > holders(first)) break;
    bytes += tree_->leaves[end].bytes;
    if (bytes > bytes_max) break;
    ++end;
  }
  return {first, end - first};
}

std::optional<Scheduler::Run> Scheduler::pick(const Source& source) const {
  const LeafSet& held = source.leaves ? *source.leaves : todo_;
  for (auto leaf = LeafSet::next_in_both(todo_, held, cursor_); leaf;
       leaf = LeafSet::next_in_both(todo_, held, *leaf + 1)) {
    if (usable(source, *leaf)) return extend(source, *leaf);
    if (!source.leaves) return std::nullopt;  // A better source has all leaves.
  }
  return std::nullopt;
}

// Source: Marsaglia, "Xorshift RNGs", 2003.
std::uint64_t Scheduler::roll(std::uint64_t bound) {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ % bound;
}

// One of those leaves that the fewest sources have. In a swarm each node begins at a place of its
// own. A source that had everything from the start is asked for what no other node has: first for
// this node's share of that, so that it is asked once for everything before it is asked twice.
std::optional<Scheduler::Run> Scheduler::pick_rarest(const Source& source, TimePoint now) {
  if (done_.size() == 0) return std::nullopt;
  if (!in_swarm()) {
    const auto leaf = rarest(source, cursor_, done_.size(), false, now);
    return leaf ? std::optional(extend(source, *leaf)) : std::nullopt;
  }
  std::optional<std::uint64_t> leaf;
  const bool alone = !source.part && others_suffice(source, now);
  if (!source.part && company_) {
    const std::uint64_t begin = done_.size() * company_->position / company_->count;
    const std::uint64_t end = done_.size() * (company_->position + 1) / company_->count;
    leaf = rarest(source, begin, end, true, now);
  }
  const std::uint64_t start = roll(done_.size());
  if (!leaf) leaf = rarest(source, start, done_.size(), alone, now);
  if (!leaf) leaf = rarest(source, 0, start, alone, now);
  return leaf ? std::optional(extend(source, *leaf)) : std::nullopt;
}

// Of those in [begin, end) that the source has; `alone`: and no node that fetches too.
std::optional<std::uint64_t> Scheduler::rarest(const Source& source, std::uint64_t begin,
                                               std::uint64_t end, bool alone, TimePoint now) const {
  const LeafSet& held = source.leaves ? *source.leaves : todo_;
  std::optional<std::uint64_t> best;
  std::int32_t fewest = std::numeric_limits<std::int32_t>::max();
  std::size_t compared = 0;
  std::uint64_t from = begin;
  for (std::size_t looked = 0; looked < kLookedAtMax && compared < kComparedMax && fewest > 1;
       ++looked) {
    const auto leaf = LeafSet::next_in_both(todo_, held, from);
    if (!leaf || *leaf >= end) break;
    from = *leaf + 1;
    if (!usable(source, *leaf)) continue;
    if (alone && others_have(*leaf, now)) continue;
    ++compared;
    if (holders(*leaf) >= fewest) continue;
    fewest = holders(*leaf);
    best = leaf;
  }
  return best;
}

// Where all sources are busy, waiting is no sign that one is slow.
Duration Scheduler::patience() const {
  if (!in_swarm()) return config_.patience;
  const std::chrono::duration<double> usual(waited_ * kPatienceWaits);
  return std::max(config_.patience, std::chrono::duration_cast<Duration>(usual));
}

// Nothing is left to ask for the first time: take over the far end of the request that would take
// another source the longest, if this one is clearly faster.
std::optional<Scheduler::Run> Scheduler::pick_end_game(SourceId id, const Source& source,
                                                       TimePoint now) const {
  std::optional<Run> best;
  double longest = 0;
  const Duration longest_silence = patience();
  const bool alone = in_swarm() && !source.part && others_suffice(source, now);
  for (const auto& [request_id, request] : requests_) {
    if (request.source == id || request.open_count == 0) continue;
    const Source& holder = sources_.at(request.source);
    const auto bytes = static_cast<double>(request.bytes_left);
    const bool silent = now - request.heard_at >= longest_silence;
    const double holder_time =
        holder.rate > 0 ? bytes * holder.requests / holder.rate : seconds(now - request.heard_at);
    const double own_time = source.rate > 0 ? bytes * (source.requests + 1) / source.rate : 0;
    const bool faster = source.rate > 0 && holder.rate > 0 &&
                        own_time * config_.speedup_min < holder_time &&
                        holder_time > seconds(longest_silence);
    if (!silent && !faster) continue;
    if (holder_time < longest) continue;
    // The last open leaves of it that may be asked once more.
    std::uint64_t end = request.first + request.count;
    const auto open = [&](std::uint64_t leaf) {
      return request.open[static_cast<std::size_t>(leaf - request.first)] &&
             copies_[leaf] < config_.copies_max && usable(source, leaf) &&
             !(alone && others_have(leaf, now));
    };
    while (end > request.first && !open(end - 1)) --end;
    std::uint64_t first = end;
    std::uint64_t taken = 0;
    const std::uint64_t wanted = std::max(config_.request_bytes_min, request.bytes_left / 2);
    while (first > request.first && open(first - 1) && taken < wanted) {
      taken += tree_->leaves[--first].bytes;
    }
    if (first == end) continue;
    longest = holder_time;
    best = Run{first, end - first};
  }
  return best;
}

void Scheduler::ask(SourceId id, Source& source, Run run, TimePoint now, Actions& out) {
  Request request;
  request.source = id;
  request.first = run.first;
  request.count = run.count;
  request.asked_at = request.heard_at = now;
  request.open.assign(static_cast<std::size_t>(run.count), true);
  request.open_count = run.count;
  bool again = false;
  for (std::uint64_t leaf = run.first; leaf < run.first + run.count; ++leaf) {
    const std::uint32_t bytes = tree_->leaves[leaf].bytes;
    request.bytes_left += bytes;
    source.planned_bytes += bytes;
    if (copies_[leaf]++ == 0) {
      bytes_todo_ -= bytes;
      todo_.remove(leaf);
    } else {
      again = true;
    }
  }
  if (again) ++retries_;
  if (source.requests++ == 0) {
    source.heard_at = now;
    source.window_start = now;
    source.window_bytes = 0;
  }
  move_cursor();
  const RequestId request_id = ++request_serial_;
  requests_.emplace(request_id, std::move(request));
  out.push_back(actions::Ask{request_id, id, run.first, run.count});
}

// Wakes for the next stall, the end of a backoff, or to look at slow requests again.
void Scheduler::set_timer(TimePoint now, Actions& out) {
  TimePoint next = kNever;
  bool idle_source = false;
  for (const auto& [id, source] : sources_) {
    if (source.requests > 0) next = std::min(next, source.heard_at + config_.stall_time);
    if (now < source.resume_at) next = std::min(next, source.resume_at);
    idle_source = idle_source || source.requests < source.requests_max;
  }
  if (sources_.size() > 1 && idle_source && !requests_.empty()) {
    next = std::min(next, now + config_.patience);
  }
  if (done_.full() || next == kNever) return;
  if (next <= now) next = now + Duration(1);
  // A timer that comes too early only asks again, so it is moved only forward in urgency.
  if (timer_ && *timer_ <= next && *timer_ > now) return;
  timer_ = next;
  out.push_back(actions::SetTimer{next});
}

}  // namespace warren::transfer
