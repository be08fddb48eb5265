// Node: what it shares and fetches.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/log.hpp"
#include "node/entry_choice.hpp"
#include "node/escape.hpp"
#include "node/node.hpp"
#include "node/paths.hpp"

namespace warren::node {
namespace {

constexpr Duration kSourceDialTimeMax = 10s;

/// Counts one job as long as it runs, and makes it stoppable by the node.
class JobSlot {
 public:
  JobSlot(std::size_t& count, std::set<std::shared_ptr<content::Progress>>& running,
          std::shared_ptr<content::Progress> progress)
      : count_(count), stoppable_(running, std::move(progress)) {}
  ~JobSlot() { --count_; }
  JobSlot(const JobSlot&) = delete;
  JobSlot& operator=(const JobSlot&) = delete;

 private:
  std::size_t& count_;
  Stoppable stoppable_;
};

}  // namespace

Result<> Node::take_job_slot() {
  if (!started_) return fail(ErrorCode::kClosed, "the node is shutting down");
  if (jobs_ >= options_.jobs_max) {
    return fail(ErrorCode::kLimited,
                fmt::format("{} imports and verifications run already, the most allowed", jobs_),
                "wait until one of them has ended");
  }
  ++jobs_;
  return {};
}

Result<std::shared_ptr<Node::ShareJob>> Node::share(std::string path, std::string name,
                                                    std::optional<peers::AccessRule> audience) {
  WARREN_TRY_VOID(take_job_slot());
  auto job = std::make_shared<ShareJob>(runtime_);
  if (!tasks_.spawn(run_share(job, std::move(path), std::move(name), std::move(audience)))) {
    --jobs_;
    return fail(ErrorCode::kClosed, "the node is shutting down");
  }
  return job;
}

awaitable<void> Node::run_share(std::shared_ptr<ShareJob> job, std::string path, std::string name,
                                std::optional<peers::AccessRule> audience) {
  const JobSlot slot(jobs_, job_progress_, job->shared_progress());
  auto shared = co_await content::share_path(runtime_, *store_, path, name, job->shared_progress(),
                                             std::move(audience));
  co_await count_shares();
  job->finish(std::move(shared));
}

Result<std::shared_ptr<Node::VerifyJob>> Node::verify(std::string name_or_cid) {
  return begin_verify(
      [name = std::move(name_or_cid)](content::Store& store) { return store.find_share(name); });
}

Result<std::shared_ptr<Node::VerifyJob>> Node::verify_entry(std::string id) {
  return begin_verify([id = std::move(id)](content::Store& store) { return store.find_entry(id); });
}

Result<std::shared_ptr<Node::VerifyJob>> Node::begin_verify(FindShare find) {
  WARREN_TRY_VOID(take_job_slot());
  auto job = std::make_shared<VerifyJob>(runtime_);
  if (!tasks_.spawn(run_verify(job, std::move(find)))) {
    --jobs_;
    return fail(ErrorCode::kClosed, "the node is shutting down");
  }
  return job;
}

awaitable<void> Node::run_verify(std::shared_ptr<VerifyJob> job, FindShare find) {
  const JobSlot slot(jobs_, job_progress_, job->shared_progress());
  auto verified =
      co_await content::verify(runtime_, *store_, std::move(find), job->shared_progress());
  job->finish(std::move(verified));
}

awaitable<Result<std::vector<content::ShareInfo>>> Node::shares() {
  auto list = [this] { return store_->shares(); };
  co_return co_await runtime::run(runtime_.pool(), list);
}

awaitable<Result<content::ShareInfo>> Node::unshare(std::string name_or_cid) {
  auto forget = [this, &name_or_cid] { return store_->unshare(name_or_cid); };
  auto forgotten = co_await runtime::run(runtime_.pool(), forget);
  co_await count_shares();
  co_return forgotten;
}

awaitable<void> Node::count_shares() {
  const auto all = co_await shares();
  if (all) shares_count_ = all->size();
}

awaitable<void> Node::rehash_changed_shares() {
  for (;;) {
    const auto slept = co_await runtime_.sleep_for(options_.rehash_interval);
    if (!slept) co_return;
    if (shares_count_ == 0) continue;
    const auto all = co_await shares();
    if (!all) continue;
    for (const content::ShareInfo& info : *all) {
      if (info.state != content::ShareState::kChanged) continue;
      const auto progress = std::make_shared<content::Progress>();
      const auto shared =
          co_await content::share_path(runtime_, *store_, info.path, info.name, progress);
      const std::string name = escape_for_display(info.name);
      if (shared) {
        log::info("node", "share '{}' changed on disk: now {}", name,
                  shared->info.root.to_string());
      } else if (shared.error().code() == ErrorCode::kCancelled) {
        co_return;
      } else {
        log::warn("node", "share '{}' cannot be hashed again: {}", name, shared.error().message());
      }
    }
  }
}

/// A mistyped CID is an error at once; anything shorter, or with other characters, is a name.
static bool looks_like_cid(std::string_view text) {
  constexpr std::size_t kShortestCid = 46;  // "Qm..." of a sha2-256 digest.
  return text.size() >= kShortestCid && std::ranges::all_of(text, [](char c) {
           return std::isalnum(static_cast<unsigned char>(c));
         });
}

awaitable<Result<transfer::TransferId>> Node::get(GetOptions wanted) {
  if (!wanted.library.empty() && !wanted.directory.empty()) {
    co_return fail(ErrorCode::kInvalidArgument, "a folder and a library are two places");
  }
  transfer::GetRequest request;
  auto root = Cid::parse(wanted.what);
  if (!root && looks_like_cid(wanted.what)) co_return fail(std::move(root).error());
  for (const std::string& source : wanted.from) {
    const TimePoint deadline = runtime_.now() + kSourceDialTimeMax;
    auto peer = co_await reach(source, deadline);
    if (!peer && !source.starts_with('/')) {
      // A peer known by its id alone may still turn up while the transfer waits for it.
      auto known = find_peer(source);
      if (known) peer = *std::move(known);
    }
    if (!peer)
      co_return fail(std::move(peer).error().in("the source " + escape_for_display(source, 200)));
    request.from.push_back(*std::move(peer));
  }
  request.save_as = wanted.save_as;
  request.wait = wanted.wait;
  bool is_entry = false;
  if (root) {
    request.root = *root;
  } else {
    WARREN_CO_TRY(const auto entry, co_await find_entry(wanted.what, request.from));
    is_entry = entry.has_value();
    if (entry) {
      request.root = entry->listing.root;
      if (request.save_as.empty()) request.save_as = entry->listing.id;
      dial_sources(entry->peers);
    } else {
      request.name = wanted.what;
    }
  }
  request.directory = wanted.directory.empty() ? options_.download_dir : wanted.directory;
  if (!wanted.library.empty() || (is_entry && wanted.directory.empty())) {
    WARREN_CO_TRY(const auto library, choose_library(wanted.library));
    if (library) {
      request.directory = library->settings.path;
      request.audience = library->settings.audience;
    }
  }
  const std::string& name = request.save_as.empty() ? request.name : request.save_as;
  const auto* library = library_around(request.directory);
  if (!name.empty() && library != nullptr && library->path == request.directory) {
    WARREN_CO_TRY_VOID(check_entry_id(name));
  }
  if (!wanted.directory.empty()) {
    auto make_directory = [&request] { return ensure_directory(request.directory); };
    WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), make_directory));
  }
  co_return co_await transfers_->start(std::move(request));
}

}  // namespace warren::node
