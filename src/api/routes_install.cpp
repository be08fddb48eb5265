// Installing, uninstalling and updating entries of the libraries.

#include "api/fields.hpp"
#include "api/job_watch.hpp"
#include "api/routes.hpp"
#include "library/install/installer.hpp"

namespace warren::api {
namespace {

using Job = Result<std::shared_ptr<node::Node::InstallJob>>;
using Begin = Job (*)(node::Node& node, node::InstallOptions options);

Job install(node::Node& node, node::InstallOptions options) {
  return node.install(std::move(options));
}
Job update(node::Node& node, node::InstallOptions options) {
  return node.update(std::move(options));
}
Job uninstall(node::Node& node, node::InstallOptions options) {
  return node.uninstall(std::move(options.entry));
}

awaitable<Result<Json>> operate(node::Node& node, Request request, Lines& lines, Begin begin,
                                std::string_view phase) {
  Fields fields(request.body);
  const Duration interval =
      fields.seconds("interval", kIntervalDefault, kIntervalMin, kIntervalMax);
  node::InstallOptions options;
  options.entry = request.path.at("entry");
  if (begin != &uninstall) {
    options.stream = fields.flag("stream").value_or(false);
    options.wait = fields.seconds("wait", options.wait, 0s, kWaitMax);
  }
  if (begin == &install) options.library = fields.text("library");
  WARREN_CO_TRY_VOID(fields.finish());
  if (!options.stream && !options.library.empty()) {
    co_return fail(ErrorCode::kInvalidArgument, "a library is named for what is streamed only");
  }
  const TimePoint begun = node.runtime().now();
  WARREN_CO_TRY(const auto job, begin(node, std::move(options)));
  WARREN_CO_TRY_VOID(co_await watch(node.runtime(), job, phase, interval, lines));
  if (!*job->result()) co_return fail(job->result()->error());
  const install::Installed& done = **job->result();
  co_return Json{{"id", done.id},
                 {"path", done.path},
                 {"installed", done.installed},
                 {"files", done.files},
                 {"bytes", done.bytes},
                 {"seconds", seconds_of(node.runtime().now() - begun)}};
}

void add(Router& router, node::Node& node, std::string_view verb, Begin begin,
         std::string_view phase) {
  router.add("POST", "/api/v1/library/entries/{entry}/" + std::string(verb),
             [&node, begin, phase](Request request, Lines& lines) {
               return operate(node, std::move(request), lines, begin, phase);
             });
}

}  // namespace

void add_install_routes(Router& router, node::Node& node) {
  add(router, node, "install", &install, "unpacking");
  add(router, node, "uninstall", &uninstall, "removing");
  add(router, node, "update", &update, "updating");
}

}  // namespace warren::api
