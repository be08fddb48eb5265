#include "node/replicator.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/check.hpp"
#include "base/log.hpp"
#include "catalog/patterns.hpp"
#include "library/reserved.hpp"
#include "node/escape.hpp"
#include "node/paths.hpp"
#include "node/replica_pruning.hpp"
#include "runtime/file.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::node {

using catalog::Reason;

namespace {

/// All of the catalog is looked through so often, whatever was announced. Source: the systems' map,
/// row of bib's full nodes.
constexpr Duration kPassInterval = 5min;
/// Announcements within this time are one pass.
constexpr Duration kSettleTime = 200ms;
/// Between looks at whether what is fetched is still wanted.
constexpr Duration kLookTime = 1s;
/// The same thing is not tried again sooner.
constexpr Duration kTryAgain = 5min;
constexpr Duration kPostponeMin = 2s;
constexpr std::size_t kTriedMax = 100'000;
constexpr unsigned kTriedDoublings = 6;
/// A transfer that brings less in that time is given up.
constexpr std::uint64_t kMovedBytes = 1u << 20;
constexpr Duration kStillTime = 5min;
/// Of what was given up more than one part in so many stays, to go on later.
constexpr std::uint64_t kWorthKeeping = 10;
constexpr std::size_t kPageIds = 256;
/// In the folder of the replicas; hidden, so no entry.
constexpr std::string_view kUpdateFolder = "/.warren-new";

/// At once, whatever happens. Blocks.
Result<> exchange_paths(const std::string& a, const std::string& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return {};
  return fail(system_error("cannot put the new " + b + " in its place", errno));
}

}  // namespace

Reason reason_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kNoPeer:
    case ErrorCode::kNotFound: return Reason::kNoPeer;
    case ErrorCode::kTimedOut: return Reason::kPeerSilent;
    case ErrorCode::kNoSpace: return Reason::kDiskFull;
    case ErrorCode::kDenied: return Reason::kPermission;
    case ErrorCode::kExists:
    case ErrorCode::kConflict: return Reason::kConflict;
    case ErrorCode::kLimited: return Reason::kTurn;
    default: return Reason::kError;
  }
}

Replicator::Replicator(runtime::Runtime& runtime, PeerId self, catalog::CatalogStore& store,
                       library::LibraryService& libraries, transfer::TransferManager& transfers,
                       Hooks hooks)
    : runtime_(runtime),
      self_(std::move(self)),
      store_(store),
      libraries_(libraries),
      transfers_(transfers),
      hooks_(std::move(hooks)),
      wake_(runtime.make_signal()),
      tasks_(runtime, 1) {}

void Replicator::start(ReplicatorSettings settings) {
  view_.settings = std::move(settings);
  WARREN_CHECK(tasks_.spawn(run()));
}

void Replicator::configure(ReplicatorSettings settings) {
  if (settings == view_.settings) return;
  view_.settings = std::move(settings);
  view_.problem.clear();
  ++generation_;
  tried_.clear();
  left_.clear();
  problem_ = Reason::kNone;
  wake_->notify();
}

void Replicator::look_again() { wake_->notify(); }

awaitable<void> Replicator::stop() { co_await tasks_.join(); }

awaitable<void> Replicator::find_library() {
  const std::string path = view_.settings.folder;
  auto look = [&path] { return runtime::canonical_path(path); };
  const auto real = co_await runtime::run(runtime_.pool(), std::move(look));
  library_ = real ? *real : path;
}

awaitable<void> Replicator::run() {
  Duration again{};  // What was postponed is looked at sooner, and less and less often.
  for (;;) {
    TimePoint next = kNever;
    if (view_.settings.mode == catalog::Mode::kProxy) {
      co_await find_library();
    } else {
      postponed_ = false;
      ++passes_;
      const auto passed = co_await pass(generation_);
      std::erase_if(left_, [this](const auto& entry) { return entry.second.pass != passes_; });
      if (!passed && passed.error().code() == ErrorCode::kCancelled) co_return;
      view_.problem = passed ? "" : passed.error().message();
      problem_ = passed ? Reason::kNone : reason_of(passed.error());
      if (!passed) log::warn("node", "nothing is fetched: {}", passed.error().message());
      again =
          postponed_ ? std::clamp<Duration>(2 * again, kPostponeMin, kPassInterval) : Duration(0);
      next = runtime_.now() + (postponed_ ? again : Duration(kPassInterval));
    }
    const runtime::Wake woken = co_await wake_->wait_until(next);
    if (woken == runtime::Wake::kCancelled) co_return;
    const auto slept = co_await runtime_.sleep_for(kSettleTime);
    if (!slept) co_return;
  }
}

/// Looks through the catalog once. Ends early, without an error, when the settings change.
awaitable<Result<>> Replicator::pass(std::uint64_t generation) {
  WARREN_CO_TRY(const library::Folder folder, co_await library_folder());
  WARREN_CO_TRY(const std::vector<std::string> wanted, co_await patterns());
  // What ended the last pass is over; this one may take hours.
  problem_ = Reason::kNone;
  view_.problem.clear();
  for (const std::string& pattern : wanted) {
    std::string after;
    for (;;) {
      auto look = [this, &pattern, &after] {
        return store_.lacking(self_, pattern, after, kPageIds);
      };
      WARREN_CO_TRY(const std::vector<std::string> ids,
                    co_await runtime::run(runtime_.pool(), std::move(look)));
      for (const std::string& id : ids) {
        WARREN_CO_TRY_VOID(co_await consider(id, folder, generation));
        if (generation != generation_) co_return Result<>{};
      }
      if (ids.size() < kPageIds) break;
      after = ids.back();
    }
  }
  co_return co_await update_outdated(wanted, folder, generation);
}

awaitable<Result<>> Replicator::update_outdated(const std::vector<std::string>& wanted,
                                                library::Folder folder, std::uint64_t generation) {
  using Outdated = catalog::CatalogStore::Outdated;
  std::string after;
  for (;;) {
    auto look = [this, &after] { return store_.outdated(after, kPageIds); };
    WARREN_CO_TRY(std::vector<Outdated> page,
                  co_await runtime::run(runtime_.pool(), std::move(look)));
    for (Outdated& each : page) {
      after = each.replica.id;
      if (!catalog::matches_any(wanted, each.listing.topic)) continue;
      WARREN_CO_TRY_VOID(co_await update(std::move(each), folder, generation));
      if (generation != generation_) co_return Result<>{};
    }
    if (page.size() < kPageIds) co_return Result<>{};
  }
}

/// What a person did with it here goes before.
bool Replicator::may_update(const catalog::CatalogStore::Outdated& what,
                            const library::Folder& folder) {
  const auto here = libraries_.find(what.replica.id);
  if (!here || here->folder != folder.settings.path) return false;
  const library::Listing& listing = here->entry.published.listing;
  const std::string expected = hooks_.expected(listing.id);
  if (!expected.empty() && expected != what.listing.version) return false;
  return listing.root == what.replica.root && !listing.installed;
}

/// The library may be looking at it still; and a person may have changed it, for good.
Result<> Replicator::postpone(const std::string& id, Reason reason) {
  tried_.erase(id);
  leave(id, reason);
  postponed_ = true;
  return {};
}

void Replicator::leave(const std::string& id, Reason reason) {
  if (left_.size() < kTriedMax || left_.contains(id)) left_[id] = {reason, passes_};
}

Reason Replicator::reason(const std::string& id, const Cid& root) const {
  if (problem_ != Reason::kNone) return problem_;
  const auto tried = tried_.find(id);
  if (tried != tried_.end() && tried->second.root == root && view_.fetching != id) {
    return tried->second.reason;
  }
  const auto left = left_.find(id);
  return left == left_.end() ? Reason::kNone : left->second.reason;
}

/// Fetches the new content beside the old one and exchanges the two.
awaitable<Result<>> Replicator::update(catalog::CatalogStore::Outdated what, library::Folder folder,
                                       std::uint64_t generation) {
  const std::string id = what.replica.id;
  const Cid root = *what.listing.root;
  const catalog::Replica updated{id, what.replica.peer, root};
  const std::string entry = folder.settings.path + "/" + id;
  const auto here = libraries_.find(id);
  const bool done = here && here->entry.published.listing.root == root;
  const bool now = may_ask({what.replica.peer}) && !was_tried(id, root);
  if (!done && !now) {
    leave(id, why_not_asked({what.replica.peer}));
    co_return Result<>{};
  }
  if (!done && !may_update(what, folder)) {
    leave(id, Reason::kConflict);
    postponed_ = true;
    co_return Result<>{};
  }
  library::Folder beside = folder;
  beside.settings.path += kUpdateFolder;
  const std::string fresh = beside.settings.path + "/" + id;
  if (!done) {
    note_try(id, root);
    auto make = [&path = beside.settings.path] { return ensure_directory(path); };
    const auto made = co_await runtime::run(runtime_.pool(), std::move(make));
    if (!made) {
      not_begun(id, made.error());
      co_return Result<>{};
    }
    view_.fetching = id;
    EntryChoice choice{what.listing, {what.replica.peer}};
    const bool fetched = co_await fetch(std::move(choice), beside, generation);
    view_.fetching.clear();
    if (!fetched) co_return Result<>{};
    // That took its time.
    const auto still = libraries_.find(id);
    if (!still || !may_update(what, folder)) co_return postpone(id, Reason::kConflict);
    auto operation = libraries_.begin_operation(id);
    if (!operation) co_return postpone(id, Reason::kBusy);
    auto swap = [&]() -> Result<bool> {
      WARREN_TRY(const bool untouched,
                 is_as_fetched(folder.settings.path, id, still->entry.stamps));
      if (untouched) WARREN_TRY_VOID(exchange_paths(fresh, entry));
      return untouched;
    };
    const auto swapped = co_await runtime::run(runtime_.pool(), std::move(swap));
    if (!swapped) {
      log::warn("node", "{} is not updated: {}", escape_for_display(id), swapped.error().message());
      co_return postpone(id, reason_of(swapped.error()));
    }
    if (!*swapped) co_return postpone(id, Reason::kConflict);
    ++view_.fetched;
  }
  auto finish = [&]() -> Result<> {
    std::error_code ignored;  // What stays is in the way of the next update, and tried again then.
    std::filesystem::remove_all(fresh, ignored);
    return store_.put_replica(updated);
  };
  co_return co_await runtime::run(runtime_.pool(), std::move(finish));
}

awaitable<Result<library::Folder>> Replicator::library_folder() {
  auto make = [path = view_.settings.folder] { return ensure_directory(path); };
  const auto made = co_await runtime::run(runtime_.pool(), std::move(make));
  co_await find_library();
  WARREN_CO_TRY_VOID(made);
  for (const library::FolderView& view : libraries_.folders()) {
    if (view.folder.settings.path == library_) co_return view.folder;
  }
  library::FolderSettings settings;
  settings.path = library_;
  co_return co_await libraries_.add_folder(std::move(settings));
}

awaitable<Result<std::vector<std::string>>> Replicator::patterns() const {
  std::vector<std::string> wanted;
  if (view_.settings.mode == catalog::Mode::kProxy) co_return wanted;
  if (view_.settings.mode == catalog::Mode::kFull) {
    wanted.emplace_back();
    co_return wanted;
  }
  auto look = [this] { return store_.subscriptions(); };
  WARREN_CO_TRY(const auto subscriptions, co_await runtime::run(runtime_.pool(), std::move(look)));
  for (const catalog::Subscription& subscription : subscriptions) {
    if (!subscription.on_demand) wanted.push_back(subscription.pattern);
  }
  co_return wanted;
}

/// Errors: of the database alone.
awaitable<Result<>> Replicator::consider(std::string id, library::Folder folder,
                                         std::uint64_t generation) {
  auto look = [this, &id] { return store_.find(id); };
  WARREN_CO_TRY(auto offers, co_await runtime::run(runtime_.pool(), std::move(look)));
  std::erase_if(offers, [this](const catalog::Offer& offer) { return offer.peer == self_; });
  const EntryName name{id, ""};
  auto chosen = choose_entry(name, offers, hooks_.expected(id),
                             [](const PeerId& peer) { return peer.to_string(); });
  if (!chosen) {
    // What peers disagree about is for a person to decide.
    log::debug("node", "not fetched by itself: {}", chosen.error().message());
    leave(id, reason_of(chosen.error()));
    co_return Result<>{};
  }
  const Cid root = *chosen->listing.root;
  const bool named = library::is_entry_name(id);
  const bool now = may_ask(chosen->peers) && !was_tried(id, root);
  if (!now || !named) leave(id, named ? why_not_asked(chosen->peers) : Reason::kName);
  if (!now || !named || libraries_.find(id)) co_return Result<>{};
  note_try(id, root);
  // Later it follows the one that was known first: a newcomer can repeat what others list.
  const catalog::Offer* first = nullptr;
  for (const catalog::Offer& offer : offers) {
    const bool same = offer.listing.root == root;
    if (same && (first == nullptr || offer.known_as < first->known_as)) first = &offer;
  }
  const catalog::Replica replica{id, first == nullptr ? chosen->peers.front() : first->peer, root};
  view_.fetching = id;
  const bool fetched = co_await fetch(*std::move(chosen), std::move(folder), generation);
  view_.fetching.clear();
  if (!fetched) co_return Result<>{};
  // So that it is looked at now.
  if (auto operation = libraries_.begin_operation(replica.id)) operation->end();
  ++view_.fetched;
  auto note = [this, &replica] { return store_.put_replica(replica); };
  co_return co_await runtime::run(runtime_.pool(), std::move(note));
}

bool Replicator::was_tried(const std::string& id, const Cid& root) {
  const TimePoint now = runtime_.now();
  if (tried_.size() >= kTriedMax) {
    std::erase_if(tried_, [now](const auto& entry) { return entry.second.again <= now; });
  }
  if (tried_.size() >= kTriedMax) return true;
  const auto found = tried_.find(id);
  return found != tried_.end() && found->second.root == root && now < found->second.again;
}

/// What goes on failing is tried less and less often, so that it is in nobody's way.
void Replicator::note_try(const std::string& id, const Cid& root) {
  Tried& tried = tried_[id];
  if (tried.root != root) tried = {root, {}, 0, Reason::kNone};
  tried.again = runtime_.now() + kTryAgain * (1 << std::min(tried.times, kTriedDoublings));
  ++tried.times;
}

void Replicator::note_failure(const std::string& id, Reason reason) {
  const auto tried = tried_.find(id);
  if (tried != tried_.end()) tried->second.reason = reason;
}

void Replicator::not_begun(const std::string& id, const Error& error) {
  ++view_.failed;
  note_failure(id, reason_of(error));
  log::warn("node", "{} is not fetched: {}", escape_for_display(id), error.message());
}

/// Entries of peers that are away come when these do.
bool Replicator::may_ask(const std::vector<PeerId>& peers) const {
  return std::ranges::any_of(peers, [this](const PeerId& peer) {
    const auto rests = resting_.find(peer);
    return hooks_.is_connected(peer) &&
           (rests == resting_.end() || rests->second <= runtime_.now());
  });
}

Reason Replicator::why_not_asked(const std::vector<PeerId>& peers) const {
  const bool any =
      std::ranges::any_of(peers, [this](const PeerId& peer) { return hooks_.is_connected(peer); });
  return any ? Reason::kPeerSilent : Reason::kNoPeer;
}

awaitable<bool> Replicator::fetch(EntryChoice choice, library::Folder folder,
                                  std::uint64_t generation) {
  const std::string id = choice.listing.id;
  const std::vector<PeerId> peers = choice.peers;
  left_.erase(id);
  const auto begun = co_await hooks_.fetch(std::move(choice), std::move(folder));
  if (!begun) {
    not_begun(id, begun.error());
    co_return false;
  }
  const Result<> done = co_await follow(*begun, generation);
  if (!done) {
    const bool cancelled = done.error().code() == ErrorCode::kCancelled;
    if (generation == generation_) {
      note_failure(id, cancelled ? Reason::kPerson : reason_of(done.error()));
    }
    if (!cancelled) co_await give_up(*begun, done.error(), peers);
    co_return false;
  }
  tried_.erase(id);
  // The library serves it from then on: the transfer has done its part.
  const auto forgotten = co_await transfers_.cancel(*begun);
  if (!forgotten) log::debug("node", "{}", forgotten.error().message());
  co_return true;
}

/// Until it is complete. Errors: why it is not; kCancelled when the settings are others or the node
/// stops: then it is paused.
awaitable<Result<>> Replicator::follow(transfer::TransferId id, std::uint64_t generation) {
  std::uint64_t done_before = 0;
  TimePoint moved_at = runtime_.now();
  for (;;) {
    const auto ended = co_await transfers_.wait(id, runtime_.now() + kLookTime);
    if (ended) {
      if (ended->state == transfer::State::kCompleted) co_return Result<>{};
      if (ended->error) co_return fail(*ended->error);
      co_return fail(ErrorCode::kCancelled, "a person has paused it");
    }
    if (ended.error().code() != ErrorCode::kTimedOut) {
      co_return fail(ErrorCode::kCancelled, "the node stops");
    }
    if (generation != generation_) {
      const auto paused = co_await transfers_.pause(id);
      if (!paused) log::debug("node", "{}", paused.error().message());
      co_return fail(ErrorCode::kCancelled, "the mode is another one");
    }
    const auto progress = transfers_.progress(id);
    if (!progress) co_return fail(ErrorCode::kCancelled, "a person has cancelled it");
    if (progress->state == transfer::State::kPaused && progress->error) {
      co_return fail(*progress->error);  // As for want of space: others may have room.
    }
    // Who gives a little now and then would keep all others waiting.
    if (progress->bytes_done >= done_before + kMovedBytes) {
      done_before = progress->bytes_done;
      moved_at = runtime_.now();
    } else if (runtime_.now() - moved_at > kStillTime) {
      co_return fail(ErrorCode::kTimedOut, "too little came");
    }
  }
}

/// What has come stays only when it is worth the room that the rest takes.
awaitable<void> Replicator::give_up(transfer::TransferId id, const Error& error,
                                    const std::vector<PeerId>& peers) {
  ++view_.failed;
  const TimePoint now = runtime_.now();
  const bool theirs = error.code() == ErrorCode::kNoPeer || error.code() == ErrorCode::kIntegrity ||
                      error.code() == ErrorCode::kTimedOut;
  std::erase_if(resting_, [now](const auto& entry) { return entry.second <= now; });
  for (const PeerId& peer : peers) {
    if (theirs) resting_[peer] = now + kTryAgain;
  }
  const auto progress = transfers_.progress(id);
  const bool much = progress && progress->bytes_done > progress->bytes_total / kWorthKeeping;
  Result<> ended;
  if (much) {
    ended = co_await transfers_.pause(id);
  } else {
    ended = co_await transfers_.cancel(id);
  }
  if (!ended) log::debug("node", "{}", ended.error().message());
}

}  // namespace warren::node
