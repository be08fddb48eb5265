#include "transfer/scheduler.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace warren::transfer {
namespace {

constexpr auto kRateWindow = 200ms;    // Shorter ones see single bursts.
constexpr double kRateNewShare = 0.3;  // Of the newest window in the moving average.
constexpr double kWaitNewShare = 0.1;  // Of the newest request.
constexpr auto kBackoffMax = 64s;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Scheduler::Scheduler(std::shared_ptr<const content::Tree> tree, LeafSet done,
                     SchedulerConfig config)
    : tree_(std::move(tree)),
      config_(config),
      done_(std::move(done)),
      todo_(tree_->leaves.size()),
      copies_(tree_->leaves.size()),
      random_(config.seed == 0 ? 1 : config.seed) {
  WARREN_CHECK(done_.size() == tree_->leaves.size());
  for (std::uint64_t leaf = 0; leaf < done_.size(); ++leaf) {
    (done_.contains(leaf) ? bytes_done_ : bytes_todo_) += tree_->leaves[leaf].bytes;
    if (!done_.contains(leaf)) todo_.add(leaf);
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
  source.part = source.leaves.has_value();
  parts_ += source.part ? 1 : 0;
  source.bad_chunks = event.bad_chunks;
  source.heard_at = now;
  source.window_start = now;
  count_holder(source, true);
  sources_.emplace(event.source, std::move(source));
}

void Scheduler::on(const events::LeavesHeld& event, TimePoint now, Actions& out) {
  const auto found = sources_.find(event.source);
  if (found == sources_.end()) return;
  if (event.leaves && event.leaves->size() != done_.size()) return;
  Source& source = found->second;
  LeafSet leaves = event.leaves ? *event.leaves : LeafSet(done_.size(), true);
  if (!source.leaves) {
    count_holder(source, false);
    source.leaves = std::move(leaves);
    count_holder(source, true);
    return;
  }
  const BytesView before = source.leaves->bytes();
  const BytesView now_held = leaves.bytes();
  for (std::size_t byte = 0; byte < before.size(); ++byte) {  // Mostly a few more than before.
    if (before[byte] == now_held[byte]) continue;
    const std::uint64_t end = std::min<std::uint64_t>(done_.size(), byte * 8 + 8);
    for (std::uint64_t leaf = byte * 8; leaf < end; ++leaf) {
      partial_holders_[leaf] += leaves.contains(leaf) ? 1 : 0;
      partial_holders_[leaf] -= source.leaves->contains(leaf) ? 1 : 0;
    }
  }
  source.leaves = std::move(leaves);
  spare_seeds(now, out);
}

void Scheduler::on(const events::Company& event, TimePoint, Actions&) {
  if (event.position < event.count) company_ = event;
}

void Scheduler::on(const events::Yield& event, TimePoint, Actions&) { yields_ = event.yields; }

void Scheduler::on(const events::SourceRemoved& event, TimePoint, Actions&) {
  end_requests_of(event.source);
  remove_source(event.source);
}

void Scheduler::on(const events::Arrived& event, TimePoint now, Actions&) {
  const auto found = requests_.find(event.request);
  if (found == requests_.end()) return;
  if (event.bytes > 0 && found->second.heard_at == found->second.asked_at) {
    const double waited = seconds(now - found->second.asked_at);
    waited_ = waited_ * (1 - kWaitNewShare) + waited * kWaitNewShare;
  }
  found->second.heard_at = now;
  Source& source = sources_.at(found->second.source);
  source.heard_at = now;
  source.failures = 0;
  measure(source, event.bytes, now);
}

void Scheduler::on(const events::Wanted& event, TimePoint, Actions&) {
  const std::uint64_t size = done_.size();
  if (event.first >= size || event.count > size - event.first) return;
  for (std::uint64_t leaf = event.first; leaf < event.first + event.count; ++leaf) {
    if (!done_.remove(leaf)) continue;
    bytes_done_ -= tree_->leaves[leaf].bytes;
    bytes_todo_ += tree_->leaves[leaf].bytes;
    todo_.add(leaf);
    cursor_ = std::min(cursor_, leaf);
  }
}

void Scheduler::on(const events::Verified& event, TimePoint, Actions& out) {
  const std::uint64_t size = done_.size();
  if (event.first >= size || event.count > size - event.first) return;
  for (std::uint64_t leaf = event.first; leaf < event.first + event.count; ++leaf) {
    const std::uint32_t bytes = tree_->leaves[leaf].bytes;
    if (!done_.add(leaf)) continue;
    bytes_done_ += bytes;
    if (todo_.remove(leaf)) bytes_todo_ -= bytes;
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
  ++source.missed;
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
  parts_ -= found->second.part ? 1 : 0;
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
  sources_.at(request.source).planned_bytes -= tree_->leaves[leaf].bytes;
  --copies_[leaf];
  if (!back || done_.contains(leaf) || copies_[leaf] > 0) return;
  bytes_todo_ += tree_->leaves[leaf].bytes;
  todo_.add(leaf);
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

bool Scheduler::gives_nothing(SourceId source) const {
  const auto found = sources_.find(source);
  if (found == sources_.end()) return true;
  const Source& known = found->second;
  return known.requests == 0 && known.leaves && !LeafSet::next_in_both(todo_, *known.leaves, 0);
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
  std::size_t parts = 0;
  for (const auto& [id, source] : sources_) {
    std::uint64_t planned = 0;
    for (const auto& [request_id, request] : requests_) {
      planned += request.source == id ? request.bytes_left : 0;
    }
    WARREN_CHECK(source.planned_bytes == planned);
    parts += source.part ? 1 : 0;
    WARREN_CHECK(source.requests == requests[id]);
    WARREN_CHECK(source.requests <= source.requests_max);
    WARREN_CHECK(source.bad_chunks < config_.bad_chunks_max);
  }
  WARREN_CHECK(parts == parts_);
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
    WARREN_CHECK(todo_.contains(leaf) == (!done_.contains(leaf) && copies_[leaf] == 0));
    WARREN_CHECK(copies_[leaf] <= config_.copies_max);
    const auto held =
        std::ranges::count_if(sources_, [&](const auto& entry) { return has(entry.second, leaf); });
    WARREN_CHECK(held == holders(leaf));
  }
  WARREN_CHECK(bytes_done == bytes_done_);
  WARREN_CHECK(bytes_todo == bytes_todo_);
}

}  // namespace warren::transfer
