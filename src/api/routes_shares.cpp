// Sharing, listing, verifying.

#include "api/fields.hpp"
#include "api/job_watch.hpp"
#include "api/routes.hpp"
#include "api/views.hpp"

namespace warren::api {
namespace {

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

/// `entry`: of a library; else a share.
awaitable<Result<Json>> verify(node::Node& node, Request request, bool entry, Lines& lines) {
  Fields fields(request.body);
  const Duration interval =
      fields.seconds("interval", kIntervalDefault, kIntervalMin, kIntervalMax);
  WARREN_CO_TRY_VOID(fields.finish());
  WARREN_CO_TRY(const auto job, entry ? node.verify_entry(request.path.at("entry"))
                                      : node.verify(request.path.at("share")));
  WARREN_CO_TRY_VOID(co_await watch(node.runtime(), job, "verifying", interval, lines));
  if (!*job->result()) co_return fail(job->result()->error());
  const content::Verified& verified = **job->result();
  Json view = share_view(verified.info);
  view["name"] = verified.info.shared_as();
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
    return verify(node, std::move(request), false, lines);
  });
  router.add("POST", "/api/v1/library/entries/{entry}/verify",
             [&node](Request request, Lines& lines) {
               return verify(node, std::move(request), true, lines);
             });
}

}  // namespace warren::api
