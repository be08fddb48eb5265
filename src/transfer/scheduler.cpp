#include "transfer/scheduler.hpp"

#include <algorithm>
#include <limits>

#include "base/check.hpp"

namespace warren::transfer {
namespace {

constexpr auto kRateWindow = 200ms;    // Shorter ones see single bursts.
constexpr double kRateNewShare = 0.3;  // Of the newest window in the moving average.
constexpr auto kBackoffMax = 64s;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Scheduler::Scheduler(std::shared_ptr<const content::Tree> tree, LeafSet done,
                     SchedulerConfig config)
    : tree_(std::move(tree)),
      config_(config),
      done_(std::move(done)),
      copies_(tree_->leaves.size()) {
  WARREN_CHECK(done_.size() == tree_->leaves.size());
  for (std::uint64_t leaf = 0; leaf < done_.size(); ++leaf) {
    (done_.contains(leaf) ? bytes_done_ : bytes_todo_) += tree_->leaves[leaf].bytes;
  }
}

std::vector<SchedulerAction> Scheduler::handle(const SchedulerEvent& event, TimePoint now) {
  Actions out;
  std::visit([&](const auto& e) { on(e, now, out); }, event);
  fill(now, out);
  set_timer(now, out);
  return out;
}

// ----------------------------------------------------------------------------------- events

void Scheduler::on(const events::SourceAdded& event, TimePoint now, Actions&) {
  if (sources_.contains(event.source) || event.requests_max == 0) return;
  if (event.leaves && event.leaves->size() != done_.size()) return;
  if (event.bad_chunks >= config_.bad_chunks_max) return;
  Source source;
  source.requests_max = event.requests_max;
  if (event.leaves && !event.leaves->full()) source.leaves = event.leaves;
  source.bad_chunks = event.bad_chunks;
  source.heard_at = now;
  source.window_start = now;
  count_holder(source, true);
  sources_.emplace(event.source, std::move(source));
}

void Scheduler::on(const events::SourceRemoved& event, TimePoint, Actions&) {
  end_requests_of(event.source);
  remove_source(event.source);
}

void Scheduler::on(const events::Arrived& event, TimePoint now, Actions&) {
  const auto found = requests_.find(event.request);
  if (found == requests_.end()) return;
  found->second.heard_at = now;
  Source& source = sources_.at(found->second.source);
  source.heard_at = now;
  source.failures = 0;
  measure(source, event.bytes, now);
}

void Scheduler::on(const events::Verified& event, TimePoint, Actions& out) {
  const std::uint64_t size = done_.size();
  if (event.first >= size || event.count > size - event.first) return;
  for (std::uint64_t leaf = event.first; leaf < event.first + event.count; ++leaf) {
    const std::uint32_t bytes = tree_->leaves[leaf].bytes;
    if (!done_.add(leaf)) continue;
    bytes_done_ += bytes;
    if (copies_[leaf] == 0) bytes_todo_ -= bytes;
  }
  // Close them in every request, and break those off that have nothing left to bring.
  std::vector<RequestId> over;
  for (auto& [id, request] : requests_) {
    const std::uint64_t from = std::max(event.first, request.first);
    const std::uint64_t to = std::min(event.first + event.count, request.first + request.count);
    for (std::uint64_t leaf = from; leaf < to; ++leaf) close_leaf(request, leaf, false);
    if (from < to && request.open_count == 0 && id != event.request) over.push_back(id);
  }
  for (const RequestId id : over) {
    out.push_back(actions::Abandon{id, requests_.at(id).source, false});
    end_request(id);
  }
}

void Scheduler::on(const events::Bad& event, TimePoint, Actions& out) {
  const auto found = requests_.find(event.request);
  if (found == requests_.end()) return;
  Request& request = found->second;
  if (event.leaf < request.first || event.leaf - request.first >= request.count) return;
  close_leaf(request, event.leaf, true);
  ++retries_;
  const SourceId id = request.source;
  Source& source = sources_.at(id);
  if (++source.bad_chunks < config_.bad_chunks_max) return;
  end_requests_of(id);
  remove_source(id);
  banned_any_ = true;
  out.push_back(actions::Ban{id});
}

void Scheduler::on(const events::Missing& event, TimePoint, Actions&) {
  const auto found = requests_.find(event.request);
  if (found == requests_.end()) return;
  Request& request = found->second;
  const std::uint64_t end = request.first + request.count;
  if (event.first < request.first || event.first >= end || event.count > end - event.first) return;
  Source& source = sources_.at(request.source);
  for (std::uint64_t leaf = event.first; leaf < event.first + event.count; ++leaf) {
    lose(source, leaf);
    close_leaf(request, leaf, true);
  }
}

void Scheduler::on(const events::Dropped& event, TimePoint, Actions&) {
  const auto found = requests_.find(event.request);
  if (found == requests_.end()) return;
  Request& request = found->second;
  const std::uint64_t end = request.first + request.count;
  if (event.first < request.first || event.first >= end || event.count > end - event.first) return;
  for (std::uint64_t leaf = event.first; leaf < event.first + event.count; ++leaf) {
    close_leaf(request, leaf, true);
  }
}

void Scheduler::on(const events::Ended& event, TimePoint now, Actions&) {
  const auto found = requests_.find(event.request);
  if (found == requests_.end()) return;
  Source& source = sources_.at(found->second.source);
  if (found->second.open_count > 0) ++retries_;
  if (event.broken) penalise(source, now);
  end_request(event.request);
}

void Scheduler::on(const events::TimerFired&, TimePoint now, Actions& out) {
  timer_.reset();
  find_stalled(now, out);
}

// ------------------------------------------------------------------------- leaves, requests

bool Scheduler::has(const Source& source, std::uint64_t leaf) const {
  return !source.leaves || source.leaves->contains(leaf);
}

// A source that has sent a bad leaf gets only what no better one has.
bool Scheduler::usable(const Source& source, std::uint64_t leaf) const {
  if (!has(source, leaf)) return false;
  if (source.bad_chunks == 0) return true;
  return std::ranges::none_of(sources_, [&](const auto& other) {
    return other.second.bad_chunks < source.bad_chunks && has(other.second, leaf);
  });
}

void Scheduler::lose(Source& source, std::uint64_t leaf) {
  if (!source.leaves) {
    count_holder(source, false);
    source.leaves.emplace(done_.size(), true);
    count_holder(source, true);
  }
  if (source.leaves->remove(leaf)) --partial_holders_[leaf];
}

void Scheduler::count_holder(const Source& source, bool comes) {
  if (!source.leaves) {
    full_holders_ += comes ? 1 : -1;
    return;
  }
  partial_holders_.resize(done_.size());
  for (std::uint64_t leaf = 0; leaf < done_.size(); ++leaf) {
    if (source.leaves->contains(leaf)) partial_holders_[leaf] += comes ? 1 : -1;
  }
}

void Scheduler::remove_source(SourceId id) {
  const auto found = sources_.find(id);
  if (found == sources_.end()) return;
  count_holder(found->second, false);
  sources_.erase(found);
}

std::int32_t Scheduler::holders(std::uint64_t leaf) const {
  return full_holders_ + (partial_holders_.empty() ? 0 : partial_holders_[leaf]);
}

// `back`: it is still needed, so it returns to those to do unless another request has it.
void Scheduler::close_leaf(Request& request, std::uint64_t leaf, bool back) {
  const auto position = static_cast<std::size_t>(leaf - request.first);
  if (!request.open[position]) return;
  request.open[position] = false;
  --request.open_count;
  request.bytes_left -= tree_->leaves[leaf].bytes;
  --copies_[leaf];
  if (!back || done_.contains(leaf) || copies_[leaf] > 0) return;
  bytes_todo_ += tree_->leaves[leaf].bytes;
  cursor_ = std::min(cursor_, leaf);
}

void Scheduler::end_request(RequestId id) {
  const auto found = requests_.find(id);
  Request& request = found->second;
  for (std::uint64_t leaf = request.first; request.open_count > 0; ++leaf) {
    close_leaf(request, leaf, true);
  }
  --sources_.at(request.source).requests;
  requests_.erase(found);
}

void Scheduler::end_requests_of(SourceId id) {
  std::vector<RequestId> over;
  for (const auto& [request_id, request] : requests_) {
    if (request.source == id) over.push_back(request_id);
  }
  for (const RequestId request : over) {
    if (requests_.at(request).open_count > 0) ++retries_;
    end_request(request);
  }
}

// ---------------------------------------------------------------------------------- sources

void Scheduler::penalise(Source& source, TimePoint now) {
  const std::uint32_t doublings = std::min<std::uint32_t>(source.failures, 6);
  const Duration pause = config_.backoff * (std::int64_t{1} << doublings);
  source.resume_at = now + std::min<Duration>(pause, kBackoffMax);
  ++source.failures;
}

void Scheduler::measure(Source& source, std::uint64_t bytes, TimePoint now) {
  source.window_bytes += bytes;
  const Duration length = now - source.window_start;
  if (length < kRateWindow) return;
  const double newest = static_cast<double>(source.window_bytes) / seconds(length);
  source.rate =
      source.rate == 0 ? newest : source.rate * (1 - kRateNewShare) + newest * kRateNewShare;
  source.window_start = now;
  source.window_bytes = 0;
}

void Scheduler::find_stalled(TimePoint now, Actions& out) {
  for (auto& [source_id, source] : sources_) {
    if (source.requests == 0 || now - source.heard_at < config_.stall_time) continue;
    std::vector<RequestId> over;
    for (const auto& [id, request] : requests_) {
      if (request.source == source_id) over.push_back(id);
    }
    for (const RequestId id : over) {
      out.push_back(actions::Abandon{id, source_id, true});
      ++retries_;
      end_request(id);
    }
    penalise(source, now);
  }
}

bool Scheduler::any_partial() const {
  return std::ranges::any_of(sources_,
                             [](const auto& entry) { return entry.second.leaves.has_value(); });
}

// ------------------------------------------------------------------------------ the choice

// The fastest source first, so that it gets what is left when there is little.
void Scheduler::fill(TimePoint now, Actions& out) {
  while (cursor_ < done_.size() && (done_.contains(cursor_) || copies_[cursor_] > 0)) ++cursor_;
  std::vector<SourceId> order;
  for (const auto& [id, source] : sources_) {
    if (source.requests < source.requests_max && now >= source.resume_at) order.push_back(id);
  }
  std::ranges::sort(order, [&](SourceId a, SourceId b) {
    const double rate_a = sources_.at(a).rate;
    const double rate_b = sources_.at(b).rate;
    return rate_a != rate_b ? rate_a > rate_b : a < b;
  });
  // One request each in turn, so that no source takes all of a small dataset.
  for (bool asked = true; asked && !order.empty();) {
    asked = false;
    for (const SourceId id : order) {
      Source& source = sources_.at(id);
      if (source.requests >= source.requests_max) continue;
      std::optional<Run> run;
      if (bytes_todo_ > 0 || cursor_ < done_.size()) {
        run = any_partial() ? pick_rarest(source) : pick(source);
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
  std::uint64_t bytes = source.rate == 0 ? config_.request_bytes_max / 4
                                         : static_cast<std::uint64_t>(std::min(by_rate, 1e15));
  bytes = std::min({bytes, config_.request_bytes_max, bytes_todo_ / (2 * slots)});
  return std::max(bytes, config_.request_bytes_min);
}

Scheduler::Run Scheduler::extend(const Source& source, std::uint64_t first) const {
  const std::uint64_t bytes_max = request_bytes(source);
  std::uint64_t bytes = tree_->leaves[first].bytes;
  std::uint64_t end = first + 1;
  while (end < done_.size() && end - first < config_.request_leaves_max) {
    if (done_.contains(end) || copies_[end] > 0 || !usable(source, end)) break;
    bytes += tree_->leaves[end].bytes;
    if (bytes > bytes_max) break;
    ++end;
  }
  return {first, end - first};
}

std::optional<Scheduler::Run> Scheduler::pick(const Source& source) const {
  for (std::uint64_t leaf = cursor_; leaf < done_.size(); ++leaf) {
    if (done_.contains(leaf) || copies_[leaf] > 0) continue;
    if (usable(source, leaf)) return extend(source, leaf);
    if (!source.leaves) return std::nullopt;  // A better source has all leaves.
  }
  return std::nullopt;
}

// The first of those leaves that the fewest sources have.
std::optional<Scheduler::Run> Scheduler::pick_rarest(const Source& source) const {
  std::optional<std::uint64_t> best;
  std::int32_t fewest = std::numeric_limits<std::int32_t>::max();
  for (std::uint64_t leaf = cursor_; leaf < done_.size() && fewest > 1; ++leaf) {
    if (done_.contains(leaf) || copies_[leaf] > 0 || !has(source, leaf)) continue;
    const std::int32_t count = holders(leaf);
    if (count >= fewest || !usable(source, leaf)) continue;
    fewest = count;
    best = leaf;
  }
  if (!best) return std::nullopt;
  return extend(source, *best);
}

// Nothing is left to ask for the first time: take over the far end of the request that would take
// another source the longest, if this one is clearly faster.
std::optional<Scheduler::Run> Scheduler::pick_end_game(SourceId id, const Source& source,
                                                       TimePoint now) const {
  std::optional<Run> best;
  double longest = 0;
  for (const auto& [request_id, request] : requests_) {
    if (request.source == id || request.open_count == 0) continue;
    const Source& holder = sources_.at(request.source);
    const auto bytes = static_cast<double>(request.bytes_left);
    const bool silent = now - request.heard_at >= config_.patience;
    const double holder_time =
        holder.rate > 0 ? bytes * holder.requests / holder.rate : seconds(now - request.heard_at);
    const double own_time = source.rate > 0 ? bytes * (source.requests + 1) / source.rate : 0;
    const bool faster = source.rate > 0 && holder.rate > 0 &&
                        own_time * config_.speedup_min < holder_time &&
                        holder_time > seconds(config_.patience);
    if (!silent && !faster) continue;
    if (holder_time < longest) continue;
    // The last open leaves of it that may be asked once more.
    std::uint64_t end = request.first + request.count;
    const auto open = [&](std::uint64_t leaf) {
      return request.open[static_cast<std::size_t>(leaf - request.first)] &&
             copies_[leaf] < config_.copies_max && usable(source, leaf);
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
  request.heard_at = now;
  request.open.assign(static_cast<std::size_t>(run.count), true);
  request.open_count = run.count;
  bool again = false;
  for (std::uint64_t leaf = run.first; leaf < run.first + run.count; ++leaf) {
    const std::uint32_t bytes = tree_->leaves[leaf].bytes;
    request.bytes_left += bytes;
    if (copies_[leaf]++ == 0) {
      bytes_todo_ -= bytes;
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
  while (cursor_ < done_.size() && (done_.contains(cursor_) || copies_[cursor_] > 0)) ++cursor_;
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

// ---------------------------------------------------------------------------------- answers

Scheduler::State Scheduler::state() const {
  if (done_.full()) return State::kComplete;
  if (!requests_.empty()) return State::kWorking;
  for (std::uint64_t leaf = cursor_; leaf < done_.size(); ++leaf) {
    if (done_.contains(leaf)) continue;
    if (holders(leaf) > 0) return State::kWorking;
  }
  return sources_.empty() && banned_any_ ? State::kDefeated : State::kStarved;
}

std::optional<std::uint64_t> Scheduler::first_unavailable() const {
  for (std::uint64_t leaf = cursor_; leaf < done_.size(); ++leaf) {
    if (done_.contains(leaf)) continue;
    if (holders(leaf) == 0) return leaf;
  }
  return std::nullopt;
}

bool Scheduler::demoted(SourceId source) const {
  const auto found = sources_.find(source);
  return found != sources_.end() && found->second.bad_chunks > 0;
}

std::uint64_t Scheduler::rate(SourceId source) const {
  const auto found = sources_.find(source);
  return found == sources_.end() ? 0 : static_cast<std::uint64_t>(found->second.rate);
}

void Scheduler::check_invariants() const {
  std::vector<std::uint8_t> copies(copies_.size());
  std::map<SourceId, std::uint32_t> requests;
  for (const auto& [id, request] : requests_) {
    WARREN_CHECK(sources_.contains(request.source));
    ++requests[request.source];
    WARREN_CHECK(request.count > 0 && request.count <= config_.request_leaves_max);
    std::uint64_t open = 0;
    std::uint64_t bytes = 0;
    for (std::uint64_t i = 0; i < request.count; ++i) {
      if (!request.open[static_cast<std::size_t>(i)]) continue;
      ++open;
      ++copies[request.first + i];
      bytes += tree_->leaves[request.first + i].bytes;
      WARREN_CHECK(!done_.contains(request.first + i));
    }
    WARREN_CHECK(open == request.open_count);
    WARREN_CHECK(bytes == request.bytes_left);
  }
  WARREN_CHECK(copies == copies_);
  for (const auto& [id, source] : sources_) {
    WARREN_CHECK(source.requests == requests[id]);
    WARREN_CHECK(source.requests <= source.requests_max);
    WARREN_CHECK(source.bad_chunks < config_.bad_chunks_max);
  }
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_todo = 0;
  for (std::uint64_t leaf = 0; leaf < done_.size(); ++leaf) {
    const std::uint64_t bytes = tree_->leaves[leaf].bytes;
    if (done_.contains(leaf)) {
      bytes_done += bytes;
    } else if (copies_[leaf] == 0) {
      bytes_todo += bytes;
      WARREN_CHECK(leaf >= cursor_);
    }
    WARREN_CHECK(copies_[leaf] <= config_.copies_max);
    const auto held =
        std::ranges::count_if(sources_, [&](const auto& entry) { return has(entry.second, leaf); });
    WARREN_CHECK(held == holders(leaf));
  }
  WARREN_CHECK(bytes_done == bytes_done_);
  WARREN_CHECK(bytes_todo == bytes_todo_);
}

}  // namespace warren::transfer
