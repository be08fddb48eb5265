// warren::Node: what it shares and fetches.

#include <algorithm>
#include <filesystem>

#include "embed/begin_get.hpp"
#include "embed/convert.hpp"
#include "embed/node_impl.hpp"
#include "warren/node.hpp"

namespace warren::v1 {
namespace {

using embed::awaitable;
using embed::fail_public;
using embed::to_public;

/// How often get() looks how far it is.
constexpr Duration kProgressInterval = 200ms;
/// How long a source is looked for at most.
constexpr Duration kSourceTimeMax = 60s;
/// For a look, which waits for kProgressInterval only.
constexpr Duration kLookTimeMax = 5s;
/// For pausing a transfer whose time is over.
constexpr Duration kPauseTimeMax = 5s;

std::unexpected<Error> moved_from() {
  return fail_public(ErrorCode::kClosed, "this Node was moved from");
}

/// Relative paths are taken from the working directory of the program.
Result<std::string> absolute(std::string_view path, std::string_view what) {
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    return fail_public(ErrorCode::kInvalidArgument, std::string(what) + " is not a path");
  }
  std::error_code error;
  const auto whole = std::filesystem::absolute(std::filesystem::path(path), error);
  if (error) return std::unexpected(to_public(system_error(what, error.value())));
  std::string text = whole.lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

awaitable<warren::Result<ShareInfo>> share_path(node::Node* node, std::string path,
                                                std::string name, TimePoint deadline) {
  WARREN_CO_TRY(const auto job, node->share(std::move(path), std::move(name),
                                            peers::AccessRule{peers::Access::kAnyone, {}}));
  const bool ended = co_await job->wait_until(deadline);
  if (!ended) {
    job->stop();
    co_return warren::fail(warren::ErrorCode::kTimedOut,
                           "hashing did not end in time; what was hashed counts the next time");
  }
  if (!*job->result()) co_return warren::fail(job->result()->error());
  co_return to_public((*job->result())->info);
}

awaitable<warren::Result<std::vector<ShareInfo>>> list_shares(node::Node* node) {
  WARREN_CO_TRY(const auto list, co_await node->shares());
  std::vector<ShareInfo> infos;
  for (const content::ShareInfo& info : list) infos.push_back(to_public(info));
  co_return infos;
}

awaitable<warren::Result<>> forget_share(node::Node* node, std::string name_or_cid) {
  const auto forgotten = co_await node->unshare(std::move(name_or_cid));
  if (!forgotten) co_return warren::fail(forgotten.error());
  co_return warren::Result<>();
}

/// Where a transfer is after at most one kProgressInterval.
awaitable<warren::Result<transfer::Progress>> watch(node::Node* node, transfer::TransferId id) {
  const TimePoint look_again = node->runtime().now() + kProgressInterval;
  auto ended = co_await node->transfers().wait(id, look_again);
  if (ended || ended.error().code() != warren::ErrorCode::kTimedOut) co_return ended;
  auto progress = node->transfers().progress(id);
  if (!progress)
    co_return warren::fail(warren::ErrorCode::kCancelled, "the transfer was forgotten");
  co_return *std::move(progress);
}

/// Pauses a transfer unless it was told that it ended by itself.
class PauseUnlessEnded {
 public:
  PauseUnlessEnded(embed::Core& core, transfer::TransferId id) : core_(core), id_(id) {}
  ~PauseUnlessEnded() {
    if (ended_) return;
    static_cast<void>(core_.run<void>(kPauseTimeMax, [id = id_](node::Node& node, TimePoint) {
      return node.transfers().pause(id);
    }));
  }
  PauseUnlessEnded(const PauseUnlessEnded&) = delete;
  PauseUnlessEnded& operator=(const PauseUnlessEnded&) = delete;
  void ended() { ended_ = true; }

 private:
  embed::Core& core_;
  transfer::TransferId id_;
  bool ended_ = false;
};

GetResult result_of(const transfer::Progress& progress) {
  return {.cid = progress.root ? progress.root->to_string() : std::string(),
          .name = progress.name,
          .path = progress.path,
          .bytes = progress.bytes_total};
}

std::unexpected<Error> failure_of(const transfer::Progress& progress) {
  if (progress.error) return std::unexpected(to_public(*progress.error));
  return fail_public(ErrorCode::kCancelled, "another call has paused this transfer");
}

}  // namespace

Result<ShareInfo> Node::share(std::string_view path, std::string_view name, Timeout timeout) {
  if (!impl_) return moved_from();
  auto whole = absolute(path, "what to share");
  if (!whole) return std::unexpected(std::move(whole).error());
  return to_public(impl_->core().run<ShareInfo>(
      embed::time_of(timeout),
      [path = *whole, name = std::string(name)](node::Node& node, TimePoint deadline) {
        return share_path(&node, path, name, deadline);
      }));
}

Result<std::vector<ShareInfo>> Node::shares(Timeout timeout) const {
  if (!impl_) return moved_from();
  return to_public(impl_->core().run<std::vector<ShareInfo>>(
      embed::time_of(timeout), [](node::Node& node, TimePoint) { return list_shares(&node); }));
}

Result<> Node::unshare(std::string_view name_or_cid, Timeout timeout) {
  if (!impl_) return moved_from();
  return to_public(impl_->core().run<void>(
      embed::time_of(timeout), [what = std::string(name_or_cid)](node::Node& node, TimePoint) {
        return forget_share(&node, what);
      }));
}

Result<GetResult> Node::get(const GetRequest& request, Timeout timeout,
                            const GetCallback& progress) {
  if (!impl_) return moved_from();
  const Duration time = embed::time_of(timeout);
  // A wait of zero would be one without end.
  node::GetOptions wanted{.what = request.what,
                          .directory = {},
                          .library = {},
                          .save_as = request.save_as,
                          .from = request.from,
                          .wait = std::clamp<Duration>(time, 1ms, kSourceTimeMax)};
  if (!request.folder.empty()) {
    WARREN_TRY(wanted.directory, absolute(request.folder, "the folder of the download"));
  }
  embed::Core& core = impl_->core();
  WARREN_TRY(const TimePoint begun, to_public(core.now()));
  WARREN_TRY(const auto id, to_public(core.run<transfer::TransferId>(
                                time, [wanted](node::Node& node, TimePoint deadline) {
                                  return embed::begin_get(&node, wanted, deadline);
                                })));
  PauseUnlessEnded pause(core, id);
  for (;;) {
    WARREN_TRY(const transfer::Progress seen,
               to_public(core.run<transfer::Progress>(
                   kLookTimeMax, [id](node::Node& node, TimePoint) { return watch(&node, id); })));
    const bool go_on = !progress || progress(embed::progress_of(seen));
    switch (seen.state) {
      case transfer::State::kCompleted: pause.ended(); return result_of(seen);
      case transfer::State::kFailed: pause.ended(); return failure_of(seen);
      case transfer::State::kPaused:
        if (!seen.error) pause.ended();
        return failure_of(seen);
      case transfer::State::kActive: break;
    }
    if (!go_on) return fail_public(ErrorCode::kCancelled, "get() was stopped by its callback");
    WARREN_TRY(const TimePoint now, to_public(core.now()));
    if (now - begun >= time) {
      return fail_public(ErrorCode::kTimedOut, "the transfer did not end in time",
                         "call get() again for the same: it goes on from what is there");
    }
  }
}

}  // namespace warren::v1
