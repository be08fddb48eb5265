#include "node/replicator.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/check.hpp"
#include "base/log.hpp"
#include "catalog/patterns.hpp"
#include "node/escape.hpp"
#include "node/paths.hpp"
#include "runtime/file.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::node {
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
constexpr std::size_t kTriedMax = 100'000;
constexpr std::size_t kPageIds = 256;
/// In the folder of the replicas; hidden, so no entry.
constexpr std::string_view kUpdateFolder = "/.warren-new";

/// At once, whatever happens. Blocks.
Result<> exchange_paths(const std::string& a, const std::string& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return {};
  return fail(system_error("cannot put the new " + b + " in its place", errno));
}

}  // namespace

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
  for (;;) {
    TimePoint next = kNever;
    co_await find_library();
    if (view_.settings.mode != catalog::Mode::kProxy) {
      const auto passed = co_await pass(generation_);
      if (!passed && passed.error().code() == ErrorCode::kCancelled) co_return;
      view_.problem = passed ? "" : passed.error().message();
      if (!passed) log::warn("node", "nothing is fetched: {}", passed.error().message());
      next = runtime_.now() + kPassInterval;
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
      const bool is_wanted = std::ranges::any_of(wanted, [&](const std::string& pattern) {
        return pattern.empty() || catalog::topic_matches(pattern, each.listing.topic);
      });
      if (!is_wanted) continue;
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
  return listing.root == what.replica.root && !listing.installed && may_ask({what.replica.peer}) &&
         !was_tried(listing.id, *what.listing.root);
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
  if (!done && !may_update(what, folder)) co_return Result<>{};
  folder.settings.path += kUpdateFolder;
  const std::string fresh = folder.settings.path + "/" + id;
  if (!done) {
    tried_[id] = {root, runtime_.now()};
    auto make = [&path = folder.settings.path] { return ensure_directory(path); };
    WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), std::move(make)));
    view_.fetching = id;
    EntryChoice choice{std::move(what.listing), {what.replica.peer}};
    const bool fetched = co_await fetch(std::move(choice), std::move(folder), generation);
    view_.fetching.clear();
    if (!fetched) co_return Result<>{};
    auto operation = libraries_.begin_operation(id);
    if (!operation) co_return Result<>{};  // Somebody works on it: the next time.
    auto swap = [&] { return exchange_paths(fresh, entry); };
    WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), std::move(swap)));
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
  WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), std::move(make)));
  co_await find_library();
  for (const library::FolderView& view : libraries_.folders()) {
    if (view.folder.settings.path == library_) co_return view.folder;
  }
  library::FolderSettings settings;
  settings.path = library_;
  co_return co_await libraries_.add_folder(std::move(settings));
}

awaitable<Result<std::vector<std::string>>> Replicator::patterns() {
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
    co_return Result<>{};
  }
  const Cid root = *chosen->listing.root;
  const bool now = may_ask(chosen->peers) && !was_tried(id, root);
  if (!now || libraries_.find(id)) co_return Result<>{};
  tried_[id] = {root, runtime_.now()};
  const catalog::Replica replica{id, chosen->peers.front(), root};
  view_.fetching = id;
  const bool fetched = co_await fetch(*std::move(chosen), std::move(folder), generation);
  view_.fetching.clear();
  if (!fetched) co_return Result<>{};
  ++view_.fetched;
  auto note = [this, &replica] { return store_.put_replica(replica); };
  co_return co_await runtime::run(runtime_.pool(), std::move(note));
}

bool Replicator::was_tried(const std::string& id, const Cid& root) {
  const TimePoint now = runtime_.now();
  if (tried_.size() >= kTriedMax) {
    std::erase_if(tried_, [now](const auto& entry) { return now - entry.second.at > kTryAgain; });
  }
  if (tried_.size() >= kTriedMax) return true;
  const auto found = tried_.find(id);
  return found != tried_.end() && found->second.root == root && now - found->second.at < kTryAgain;
}

/// Entries of peers that are away come when these do.
bool Replicator::may_ask(const std::vector<PeerId>& peers) const {
  return std::ranges::any_of(peers, [this](const PeerId& peer) {
    const auto rests = resting_.find(peer);
    return hooks_.is_connected(peer) &&
           (rests == resting_.end() || rests->second <= runtime_.now());
  });
}

awaitable<bool> Replicator::fetch(EntryChoice choice, library::Folder folder,
                                  std::uint64_t generation) {
  const std::string id = choice.listing.id;
  const std::vector<PeerId> peers = choice.peers;
  const auto begun = co_await hooks_.fetch(std::move(choice), std::move(folder));
  if (!begun) {
    ++view_.failed;
    log::warn("node", "{} is not fetched: {}", escape_for_display(id), begun.error().message());
    co_return false;
  }
  const std::uint64_t failed_before = view_.failed;
  const bool done = co_await follow(*begun, generation);
  if (view_.failed > failed_before) {
    const TimePoint now = runtime_.now();
    std::erase_if(resting_, [now](const auto& entry) { return entry.second <= now; });
    for (const PeerId& peer : peers) resting_[peer] = now + kTryAgain;
  }
  if (!done) co_return false;
  // The library looks at it now, and it serves it from then on: the transfer has done its part.
  if (auto operation = libraries_.begin_operation(id)) operation->end();
  const auto forgotten = co_await transfers_.cancel(*begun);
  if (!forgotten) log::debug("node", "{}", forgotten.error().message());
  co_return true;
}

/// Until it is complete. False: it is not; when the settings are others it is paused.
awaitable<bool> Replicator::follow(transfer::TransferId id, std::uint64_t generation) {
  for (;;) {
    const auto progress = co_await transfers_.wait(id, runtime_.now() + kLookTime);
    if (progress) {
      if (progress->state == transfer::State::kCompleted) co_return true;
      if (progress->state == transfer::State::kFailed) ++view_.failed;
      co_return false;
    }
    if (progress.error().code() != ErrorCode::kTimedOut) co_return false;
    if (generation == generation_) continue;
    const auto paused = co_await transfers_.pause(id);
    if (!paused) log::debug("node", "{}", paused.error().message());
    co_return false;
  }
}

}  // namespace warren::node
