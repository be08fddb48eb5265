#include "transfer/download.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/log.hpp"
#include "content/path_rules.hpp"
#include "content/tree_reader.hpp"
#include "runtime/file.hpp"
#include "runtime/worker_pool.hpp"
#include "transfer/offers.hpp"

namespace warren::transfer {
namespace {

using content::Entry;
using content::EntryKind;

constexpr auto kFindTime = 5s;          // For the answers of all peers to a name.
constexpr auto kLookAgain = 2s;         // Between looks at who is connected.
constexpr auto kAskAgainAsker = 500ms;  // One that asked us: it may have a part soon.
constexpr std::size_t kCompanyMax = 256;
Error cancelled_error() { return {ErrorCode::kCancelled, "stopped"}; }

}  // namespace

Download::Download(DownloadContext context, content::TransferRecord record,
                   std::vector<PeerId> from, Duration wait)
    : Fetch(context, std::move(record), std::move(from), wait),
      directory_(std::filesystem::path(record_.temporary_path).parent_path().string()),
      end_(runtime_.make_signal()) {}

Download::~Download() = default;

awaitable<Outcome> Download::run() {
  begin(runtime_.now());
  if (!stopping_) ended_ = !tasks_.spawn(main_task());
  while (!ended_ && !stopping_) {
    const runtime::Wake wake = co_await end_->wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) stop();
  }
  co_await tasks_.join();
  if (destination_ && scheduler_ && phase_ != Phase::kDone && bytes_since_sync_ > 0) {
    const Result<> saved = co_await commit(true);
    if (!saved) log::warn("transfer", "{}: {}", record_.name, saved.error().message());
  }
  destination_.reset();
  ended_at_ = runtime_.now();
  const bool completed = phase_ == Phase::kDone;
  phase_ = Phase::kDone;
  waiting_for_.clear();
  if (completed) co_return Outcome{Outcome::Kind::kCompleted, std::nullopt, 0};
  if (result_ || result_.error().code() == ErrorCode::kCancelled) {
    co_return Outcome{Outcome::Kind::kStopped, std::nullopt, 0};
  }
  const bool no_space = result_.error().code() == ErrorCode::kNoSpace;
  co_return Outcome{no_space ? Outcome::Kind::kNoSpace : Outcome::Kind::kFailed,
                    std::move(result_).error(), bytes_needed_};
}

void Download::stop() {
  stopping_ = true;
  compare_.stop = true;
  tasks_.cancel();
  end_->notify();
}

void Download::set_terms(std::optional<peers::AccessRule> audience, bool background) {
  record_.audience = std::move(audience);
  record_.background = background;
  wake_->notify();
}

awaitable<void> Download::main_task() {
  result_ = co_await main_steps();
  if (result_) phase_ = Phase::kDone;
  ended_ = true;
  end_->notify();
}

awaitable<Result<>> Download::main_steps() {
  WARREN_CO_TRY_VOID(co_await resolve());
  WARREN_CO_TRY_VOID(co_await load_tree());
  WARREN_CO_TRY(const bool complete, co_await already_there());
  // Nobody was asked whether it may be passed on.
  if (complete && !obeyed_) record_.audience.reset();
  if (!complete) {
    WARREN_CO_TRY_VOID(co_await prepare());
    WARREN_CO_TRY_VOID(co_await move_data());
    WARREN_CO_TRY_VOID(co_await place());
  }
  co_await keep_serving();
  co_return co_await forget_leaves();
}

// ------------------------------------------------------------------------- what is to be got

awaitable<Result<>> Download::resolve() {
  while (record_.root == Cid{}) {
    set_phase(Phase::kResolving, fmt::format("a peer that shares '{}'", record_.name));
    const std::vector<PeerId> peers = wanted_peers();
    const std::vector<Offer> offers = co_await find_offers(
        context_.swarm, context_.config.limits, record_.name, peers, runtime_.now() + kFindTime);
    if (stopping_) co_return fail(cancelled_error());
    for (const Offer& offer : offers) {
      if (record_.root == Cid{}) record_.root = offer.root;
      if (record_.root == offer.root) continue;
      const std::string both = fmt::format(
          "{} (from {}) and {} (from {})", offers.front().root.to_string(),
          offers.front().peer.to_string(), offer.root.to_string(), offer.peer.to_string());
      record_.root = Cid{};
      co_return fail(ErrorCode::kConflict,
                     fmt::format("'{}' names different datasets: {}", record_.name, both),
                     "get it by its CID, or name the peer with --from");
    }
    if (record_.root != Cid{}) break;
    if (give_up_waiting(runtime_.now())) {
      co_return fail(
          peers.empty() ? ErrorCode::kNoPeer : ErrorCode::kNotFound,
          peers.empty()
              ? fmt::format("no peer was connected that could know '{}'", record_.name)
              : fmt::format("none of {} connected peers shares '{}'", peers.size(), record_.name),
          "check the name with the sharer, or get it by its CID");
    }
    const runtime::Wake wake = co_await wake_->wait_until(runtime_.now() + kLookAgain);
    if (wake == runtime::Wake::kCancelled) co_return fail(cancelled_error());
  }
  waiting_since_ = runtime_.now();
  co_return Result<>();
}

awaitable<Result<>> Download::load_tree() {
  const Cid root = record_.root;
  auto known =
      co_await runtime::run(runtime_.pool(), [this, root] { return context_.store.tree(root); });
  const bool named = !std::filesystem::path(record_.out_path).filename().empty();
  if (!known || !named) {
    WARREN_CO_TRY(Source * holder, co_await wait_for_holder());
    WARREN_CO_TRY_VOID(decide_name(holder->holding.name));
  }
  if (!known) {
    content::TreeReader reader(root);
    WARREN_CO_TRY_VOID(co_await fetch_tree(reader));
    WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), [this, root, &reader] {
      return context_.store.add_tree(root, reader.take_nodes());
    }));
    known =
        co_await runtime::run(runtime_.pool(), [this, root] { return context_.store.tree(root); });
    if (!known) co_return fail(std::move(known).error());
  }
  tree_ = *known;
  WARREN_CO_TRY_VOID(may_stand());
  record_.bytes_total = tree_->bytes_total;
  count_files();
  // What the bitmap is about has to be known before there is a bitmap.
  co_return co_await runtime::run(runtime_.pool(),
                                  [this] { return context_.store.update_transfer(record_); });
}

// Names of peers are taken only when they can be a name here.
Result<> Download::decide_name(const std::string& shared_as) {
  if (!std::filesystem::path(record_.out_path).filename().empty()) return {};
  std::string name = record_.name;
  // A hidden one only who asked for it by that name. Source: quality statement P13.
  if (name.empty() && !shared_as.starts_with('.')) name = shared_as;
  if (!content::check_name(name)) name = record_.root.to_string();
  if (record_.name.empty()) record_.name = name;
  record_.out_path = directory_ + "/" + name;
  return {};
}

Result<> Download::may_stand() const {
  const auto& may_place = context_.config.may_place;
  return may_place ? may_place(directory_, *tree_, record_.audience) : Result<>{};
}

// ------------------------------------------------------------------------------- where it goes

DestinationPaths Download::destination_paths() const {
  return {directory_, std::filesystem::path(record_.temporary_path).filename().string(),
          std::filesystem::path(record_.out_path).filename().string()};
}

awaitable<Result<bool>> Download::already_there() {
  set_phase(Phase::kVerifying, "what is there already");
  // First, since it ends what was interrupted there.
  takes_in_ = co_await is_taken_in();
  if (takes_in_) co_return false;
  const DestinationPaths paths = destination_paths();
  const TransferConfig& config = context_.config;
  const bool owned = config.has_owner && config.has_owner(directory_);
  const auto leave_out = owned ? config.is_owners : nullptr;
  std::string where;
  const auto existing = co_await runtime::run(runtime_.pool(), [&] {
    return compare_existing(*tree_, paths.directory, paths.final_name, leave_out, compare_, where);
  });
  if (!existing) co_return fail(existing.error());
  switch (*existing) {
    case Existing::kNone: co_return false;
    case Existing::kIdentical: break;
    case Existing::kDifferent:
      co_return fail(ErrorCode::kExists,
                     fmt::format("{} exists and differs at {}", record_.out_path, where),
                     "move it away, or choose another folder with --out");
  }
  bytes_reused_ = record_.bytes_done = tree_->bytes_total;
  files_done_ = files_total_;
  // What an interrupted run before left is of no use any more.
  const Result<> removed =
      co_await runtime::run(runtime_.pool(), [&paths] { return Destination::remove(paths); });
  if (!removed) log::warn("transfer", "{}", removed.error().message());
  co_return true;
}

awaitable<Result<>> Download::prepare() {
  WARREN_CO_TRY(StoredLeaves stored, co_await stored_leaves());
  WARREN_CO_TRY_VOID(co_await forget_missing(stored));
  LeafSet& done = stored.written;
  const LeafSet& synced = stored.synced;
  const DestinationPaths paths = destination_paths();
  const DiskHooks& hooks = context_.config.disk_hooks;
  const auto needed = co_await runtime::run(runtime_.pool(), [this, &paths, &done] {
    return Destination::bytes_needed(*tree_, paths, done);
  });
  if (!needed) co_return fail(needed.error());
  const auto available = co_await runtime::run(runtime_.pool(), [&paths, &hooks] {
    return Destination::free_bytes(paths.directory, hooks);
  });
  if (!available) co_return fail(available.error());
  bytes_needed_ = *needed + context_.config.free_bytes_min;
  if (*needed > 0 && *available < bytes_needed_) {
    co_return fail(ErrorCode::kNoSpace,
                   fmt::format("{} needs {} more and {} in reserve, but {} has {} free",
                               record_.name, runtime::human_bytes(*needed),
                               runtime::human_bytes(context_.config.free_bytes_min),
                               paths.directory, runtime::human_bytes(*available)),
                   "it goes on by itself when there is room");
  }
  auto destination = co_await runtime::run(runtime_.pool(), [this, &paths, &done, &synced, &hooks] {
    return Destination::prepare(tree_, paths, done, synced, hooks);
  });
  if (!destination) co_return fail(std::move(destination).error());
  destination_ = std::move(*destination);
  synced_ = synced;
  for (std::uint64_t leaf = 0; leaf < done.size(); ++leaf) {
    if (done.contains(leaf) && !synced.contains(leaf)) {
      bytes_since_sync_ += tree_->leaves[leaf].bytes;
    }
  }
  partial_ = std::make_shared<PartialDataset>(runtime_, tree_, paths, done);
  make_scheduler(std::move(done));
  tell_company();
  bytes_reused_ = record_.bytes_done = scheduler_->bytes_done();
  count_files();
  committed_at_ = synced_at_ = waiting_since_ = runtime_.now();
  co_return Result<>();
}

// -------------------------------------------------------------------------------- the transfer

awaitable<Result<>> Download::move_data() {
  set_phase(Phase::kDownloading);
  for (;;) {
    const TimePoint now = runtime_.now();
    const TimePoint next = tend(now);
    const bool complete = scheduler_->state() == Scheduler::State::kComplete;
    if (complete && write_jobs_ == 0 && !committing_) {
      all_there_ = true;
      break;
    }
    if (write_error_) {
      bytes_needed_ =
          record_.bytes_total - scheduler_->bytes_done() + context_.config.free_bytes_min;
      co_return fail(*write_error_);
    }
    WARREN_CO_TRY_VOID(check_progress(now));
    commit_if_due(now);
    const runtime::Wake wake = co_await wake_->wait_until(next);
    if (wake == runtime::Wake::kCancelled) co_return fail(cancelled_error());
  }
  co_return Result<>();
}

awaitable<Result<>> Download::place() {
  set_phase(Phase::kPlacing, "the disk");
  WARREN_CO_TRY_VOID(may_stand());
  // So that no chunk is fetched again if this is the moment at which the power goes.
  WARREN_CO_TRY_VOID(co_await commit(false));
  if (takes_in_) {
    WARREN_CO_TRY_VOID(
        co_await runtime::run(runtime_.pool(), [this] { return destination_->finish(); }));
  } else {
    auto placed = co_await runtime::run(runtime_.pool(), [this] { return destination_->place(); });
    if (placed || placed.error().code() != ErrorCode::kExists) co_return placed;
    const bool taken_in = co_await is_taken_in();
    if (!taken_in) co_return placed;
  }
  const DestinationPaths paths = destination_paths();
  co_return co_await context_.config.take_in(paths.directory, paths.temporary_name,
                                             paths.final_name);
}

// Whether who owns what has the final name puts the dataset beside it.
awaitable<bool> Download::is_taken_in() {
  const auto& takes_in = context_.config.takes_in;
  const DestinationPaths paths = destination_paths();
  if (!takes_in || !context_.config.take_in) co_return false;
  co_return co_await takes_in(paths.directory, paths.final_name);
}

void Download::peer_asked(const PeerId& peer) {
  if (company_.size() < kCompanyMax && company_.insert(peer).second) tell_company();
  const auto found = sources_.find(peer);
  if (found == sources_.end() || found->second->state != SourceState::kNothing) return;
  const TimePoint soon = runtime_.now() + kAskAgainAsker;
  if (found->second->retry_at <= soon) return;
  found->second->retry_at = soon;
  wake_->notify();
}

void Download::report(Progress& progress) const {
  const TimePoint now = std::min(runtime_.now(), ended_at_);
  progress.phase = phase_;
  progress.waiting_for = waiting_for_;
  progress.reason = stuck_reason(now);
  if (record_.root != Cid{}) progress.root = record_.root;
  progress.name = record_.name;
  progress.bytes_total = record_.bytes_total;
  progress.bytes_done = bytes_reused_ + bytes_verified_;
  progress.bytes_verified = bytes_verified_;
  progress.bytes_reused = bytes_reused_;
  progress.files_total = files_total_;
  progress.files_done = files_done_;
  progress.links_left_out = links_left_out_;
  progress.rate = rate_.rate(now);
  progress.elapsed = now - started_at_;
  progress.bad_chunks = bad_chunks_;
  progress.retries = scheduler_ ? scheduler_->retries() : 0;
  if (progress.rate > 0 && phase_ == Phase::kDownloading) {
    const auto left = static_cast<double>(progress.bytes_total - progress.bytes_done);
    progress.eta = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(left / static_cast<double>(progress.rate)));
  }
  report_peers(progress, now);
}

}  // namespace warren::transfer
