// Installing, uninstalling and updating entries of the libraries.

#include "api/fields.hpp"
#include "api/job_watch.hpp"
#include "api/routes.hpp"
#include "library/install/installer.hpp"

namespace warren::api {
namespace {

using Begin = Result<std::shared_ptr<node::Node::InstallJob>> (node::Node::*)(std::string);

awaitable<Result<Json>> operate(node::Node& node, Request request, Lines& lines, Begin begin,
                                std::string_view phase) {
  Fields fields(request.body);
  const Duration interval =
      fields.seconds("interval", kIntervalDefault, kIntervalMin, kIntervalMax);
  WARREN_CO_TRY_VOID(fields.finish());
  const TimePoint begun = node.runtime().now();
  WARREN_CO_TRY(const auto job, (node.*begin)(request.path.at("entry")));
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
  add(router, node, "install", &node::Node::install, "unpacking");
  add(router, node, "uninstall", &node::Node::uninstall, "removing");
  add(router, node, "update", &node::Node::update, "updating");
}

}  // namespace warren::api
