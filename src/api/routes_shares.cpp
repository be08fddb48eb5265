// Sharing, listing, verifying.

#include "api/fields.hpp"
#include "api/routes.hpp"
#include "api/views.hpp"

namespace warren::api {
namespace {

/// Between two progress lines.
constexpr Duration kIntervalDefault = 500ms;
constexpr Duration kIntervalMin = 50ms;
constexpr Duration kIntervalMax = 60s;

/// Stops a job when its watcher goes away before its end.
template <class T>
class StopUnlessDone {
 public:
  explicit StopUnlessDone(std::shared_ptr<node::Job<T>> job) : job_(std::move(job)) {}
  ~StopUnlessDone() {
    if (!job_->result()) job_->stop();
  }
  StopUnlessDone(const StopUnlessDone&) = delete;
  StopUnlessDone& operator=(const StopUnlessDone&) = delete;

 private:
  std::shared_ptr<node::Job<T>> job_;
};

/// Sends progress lines until the job has ended. The job stops when the caller has gone.
template <class T>
awaitable<Result<>> watch(runtime::Runtime& runtime, std::shared_ptr<node::Job<T>> job,
                          std::string_view phase, Duration interval, Lines& lines) {
  const StopUnlessDone<T> guard(job);
  const TimePoint begun = runtime.now();
  for (;;) {
    const bool done = co_await job->wait_until(runtime.now() + interval);
    if (done) break;
    WARREN_CO_TRY_VOID(
        co_await lines.send(job_line(job->progress(), phase, runtime.now() - begun)));
  }
  co_return Result<>{};
}

awaitable<Result<Json>> share(node::Node& node, Request request, Lines& lines) {
  Fields fields(request.body);
  const std::string path = fields.required_text("path");
  const std::string name = fields.text("name");
  const auto audience_text = fields.optional_text("audience");
  const Duration interval =
      fields.seconds("interval", kIntervalDefault, kIntervalMin, kIntervalMax);
  WARREN_CO_TRY_VOID(fields.finish());
  if (!path.starts_with('/')) {
    co_return fail(ErrorCode::kInvalidArgument, "the field 'path' must be an absolute path");
  }
  const TimePoint begun = node.runtime().now();
  std::optional<peers::AccessRule> audience;
  if (audience_text) {
    WARREN_CO_TRY(audience, node.parse_audience(*audience_text));
  }
  WARREN_CO_TRY(const auto job, node.share(path, name, std::move(audience)));
  WARREN_CO_TRY_VOID(co_await watch(node.runtime(), job, "hashing", interval, lines));
  if (!*job->result()) co_return fail(job->result()->error());
  const content::Shared& shared = **job->result();
  Json view = share_view(shared.info);
  view["bytes_hashed"] = shared.bytes_hashed;
  view["skipped"] = skipped_view(shared.skipped);
  view["skipped_count"] = shared.skipped_count;
  view["seconds"] = seconds_of(node.runtime().now() - begun);
  co_return view;
}

awaitable<Result<Json>> verify(node::Node& node, Request request, Lines& lines) {
  Fields fields(request.body);
  const Duration interval =
      fields.seconds("interval", kIntervalDefault, kIntervalMin, kIntervalMax);
  WARREN_CO_TRY_VOID(fields.finish());
  WARREN_CO_TRY(const auto job, node.verify(request.path.at("share")));
  WARREN_CO_TRY_VOID(co_await watch(node.runtime(), job, "verifying", interval, lines));
  if (!*job->result()) co_return fail(job->result()->error());
  const content::Verified& verified = **job->result();
  Json view = share_view(verified.info);
  view["files_ok"] = verified.files_ok;
  view["bytes_read"] = verified.bytes_read;
  view["bad"] = skipped_view(verified.bad);
  view["bad_count"] = verified.bad_count;
  co_return view;
}

awaitable<Result<Json>> list_shares(node::Node& node) {
  WARREN_CO_TRY(const auto all, co_await node.shares());
  Json list = Json::array();
  for (const content::ShareInfo& info : all) list.push_back(share_view(info));
  co_return Json{{"shares", std::move(list)}};
}

awaitable<Result<Json>> unshare(node::Node& node, Request request) {
  WARREN_CO_TRY(const auto info, co_await node.unshare(request.path.at("share")));
  co_return share_view(info);
}

}  // namespace

void add_share_routes(Router& router, node::Node& node) {
  router.add("GET", "/api/v1/shares", [&node](Request, Lines&) { return list_shares(node); });
  router.add("POST", "/api/v1/shares", [&node](Request request, Lines& lines) {
    return share(node, std::move(request), lines);
  });
  router.add("DELETE", "/api/v1/shares/{share}",
             [&node](Request request, Lines&) { return unshare(node, std::move(request)); });
  router.add("POST", "/api/v1/shares/{share}/verify", [&node](Request request, Lines& lines) {
    return verify(node, std::move(request), lines);
  });
}

}  // namespace warren::api
