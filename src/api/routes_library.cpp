// Library folders and their entries.

#include <fmt/format.h>

#include "api/fields.hpp"
#include "api/routes.hpp"
#include "api/views.hpp"

namespace warren::api {
namespace {

/// More than a request has room for.
constexpr std::size_t kExpectedMax = 100'000;

/// Those settings of a library folder that are in `fields`, over those of `settings`.
Result<library::FolderSettings> settings_of(node::Node& node, const Json& body,
                                            library::FolderSettings settings) {
  Fields fields(body);
  settings.path = fields.required_text("path");
  const auto sentinel = fields.optional_text("sentinel");
  const auto format = fields.optional_text("sentinel_format");
  const auto required = fields.flag("sentinel_required");
  const auto topic = fields.optional_text("topic");
  const auto audience = fields.optional_text("audience");
  auto expected = fields.texts_by_name("expected", kExpectedMax);
  WARREN_TRY_VOID(fields.finish());
  if (!settings.path.starts_with('/')) {
    return fail(ErrorCode::kInvalidArgument, "the field 'path' must be an absolute path");
  }
  if (sentinel) settings.sentinel.file = *sentinel;
  if (format) {
    WARREN_TRY(settings.sentinel.format, library::parse_format(*format));
  }
  if (required) settings.sentinel.required = *required;
  if (topic) settings.topic = *topic;
  if (audience) {
    WARREN_TRY(settings.audience, node.parse_audience(*audience));
  }
  if (expected) settings.expected = *std::move(expected);
  return settings;
}

std::optional<library::FolderView> view_of(node::Node& node, std::string_view path) {
  for (library::FolderView& view : node.libraries().folders()) {
    if (view.folder.settings.path == path) return std::move(view);
  }
  return std::nullopt;
}

awaitable<Result<Json>> add(node::Node& node, Request request) {
  WARREN_CO_TRY(auto settings, settings_of(node, request.body, {}));
  WARREN_CO_TRY(const library::Folder folder,
                co_await node.libraries().add_folder(std::move(settings)));
  library::FolderView view;
  view.folder = folder;
  co_return folder_view(view);
}

awaitable<Result<Json>> change(node::Node& node, Request request) {
  const auto path = request.body.find("path");
  const auto view = path != request.body.end() && path->is_string()
                        ? view_of(node, path->get_ref<const std::string&>())
                        : std::nullopt;
  const library::FolderSettings now = view ? view->folder.settings : library::FolderSettings{};
  WARREN_CO_TRY(auto settings, settings_of(node, request.body, now));
  const std::string changed = settings.path;
  WARREN_CO_TRY_VOID(co_await node.libraries().change_folder(std::move(settings)));
  const auto after = view_of(node, changed);
  if (!after) co_return fail(ErrorCode::kNotFound, "the library folder was removed meanwhile");
  co_return folder_view(*after);
}

awaitable<Result<Json>> remove(node::Node& node, Request request) {
  Fields fields(request.body);
  const std::string path = fields.required_text("path");
  WARREN_CO_TRY_VOID(fields.finish());
  WARREN_CO_TRY(const library::Folder folder, co_await node.libraries().remove_folder(path));
  co_return Json{{"path", folder.settings.path}};
}

awaitable<Result<Json>> list(node::Node& node) {
  Json folders = Json::array();
  for (const library::FolderView& view : node.libraries().folders()) {
    folders.push_back(folder_view(view));
  }
  co_return Json{{"folders", std::move(folders)}};
}

awaitable<Result<Json>> entries(node::Node& node, Request request) {
  const auto path = request.query.find("path");
  Json list = Json::array();
  for (const library::FolderView& view : node.libraries().folders()) {
    if (path != request.query.end() && view.folder.settings.path != path->second) continue;
    WARREN_CO_TRY(const auto found, node.libraries().entries(view.folder.settings.path));
    for (const library::EntryView& entry : found) list.push_back(entry_view(entry));
  }
  co_return Json{{"entries", std::move(list)}};
}

awaitable<Result<Json>> show(node::Node& node, Request request) {
  const std::string& id = request.path.at("entry");
  const auto entry = node.libraries().find(id);
  if (!entry) co_return fail(ErrorCode::kNotFound, fmt::format("no library has an entry '{}'", id));
  co_return entry_view(*entry);
}

awaitable<Result<Json>> scan(node::Node& node, Request request) {
  Fields fields(request.body);
  const std::string path = fields.text("path");
  const Duration wait = fields.seconds("wait", 0s, 0s, std::chrono::hours(24));
  WARREN_CO_TRY_VOID(fields.finish());
  WARREN_CO_TRY_VOID(node.libraries().scan(path));
  if (wait > Duration(0)) {
    WARREN_CO_TRY_VOID(co_await node.libraries().wait_settled(node.runtime().now() + wait));
  }
  co_return co_await list(node);
}

awaitable<Result<Json>> prune(node::Node& node, Request request) {
  Fields fields(request.body);
  node::PruneOptions options;
  options.entry = fields.text("entry");
  options.force = fields.flag("force").value_or(false);
  options.dry_run = fields.flag("dry_run").value_or(false);
  WARREN_CO_TRY_VOID(fields.finish());
  const bool dry_run = options.dry_run;
  WARREN_CO_TRY(const node::PruneReport report, co_await node.prune(std::move(options)));
  Json freed = Json::array();
  Json kept = Json::array();
  for (const node::PruneReport::Item& item : report.items) {
    Json view{{"id", item.id}, {"bytes", item.bytes}};
    if (!item.kept_why.empty()) view["reason"] = item.kept_why;
    (item.kept_why.empty() ? freed : kept).push_back(std::move(view));
  }
  co_return Json{{"freed", std::move(freed)},
                 {"kept", std::move(kept)},
                 {"bytes_freed", report.bytes_freed},
                 {"dry_run", dry_run}};
}

}  // namespace

void add_library_routes(Router& router, node::Node& node) {
  router.add("GET", "/api/v1/library", [&node](Request, Lines&) { return list(node); });
  router.add("POST", "/api/v1/library",
             [&node](Request request, Lines&) { return add(node, std::move(request)); });
  router.add("PATCH", "/api/v1/library",
             [&node](Request request, Lines&) { return change(node, std::move(request)); });
  router.add("DELETE", "/api/v1/library",
             [&node](Request request, Lines&) { return remove(node, std::move(request)); });
  router.add("GET", "/api/v1/library/entries",
             [&node](Request request, Lines&) { return entries(node, std::move(request)); });
  router.add("GET", "/api/v1/library/entries/{entry}",
             [&node](Request request, Lines&) { return show(node, std::move(request)); });
  router.add("POST", "/api/v1/library/prune",
             [&node](Request request, Lines&) { return prune(node, std::move(request)); });
  router.add("POST", "/api/v1/library/scan",
             [&node](Request request, Lines&) { return scan(node, std::move(request)); });
}

}  // namespace warren::api
