// The configuration in force, reading it again, and the doctor, who needs it.

#include "api/fields.hpp"
#include "api/routes.hpp"
#include "api/views.hpp"
#include "node/doctor_facts.hpp"
#include "node/version.hpp"

namespace warren::api {
namespace {

awaitable<Result<Json>> show_config(node::ConfigReload& config, std::string file) {
  const auto& problem = config.problem();
  co_return Json{{"file", std::move(file)},
                 {"settings", config_view(config.effective())},
                 {"problem", problem ? error_view(*problem) : Json(nullptr)}};
}

awaitable<Result<Json>> examine(node::Node& node, node::ConfigReload& config, node::Paths paths) {
  const auto checks = co_await node::examine(node.runtime(), {.paths = std::move(paths),
                                                              .config = config.in_force(),
                                                              .config_problem = config.problem(),
                                                              .node = &node});
  co_return Json{{"version", std::string(node::version())}, {"checks", checks_view(checks)}};
}

awaitable<Result<Json>> reload_config(node::ConfigReload& config, Request request) {
  const Fields fields(request.body);
  WARREN_CO_TRY_VOID(fields.finish());
  WARREN_CO_TRY(const node::Reloaded reloaded, co_await config.reload());
  co_return Json{{"applied", reloaded.applied},
                 {"after_restart", reloaded.after_restart},
                 {"text", node::reloaded_text(reloaded)}};
}

}  // namespace

void add_config_routes(Router& router, node::Node& node, node::ConfigReload& config,
                       const node::Paths& paths) {
  const std::string file = paths.config_file;
  router.add("GET", "/api/v1/config",
             [&config, file](Request, Lines&) { return show_config(config, file); });
  router.add("POST", "/api/v1/config/reload", [&config](Request request, Lines&) {
    return reload_config(config, std::move(request));
  });
  router.add("GET", "/api/v1/doctor",
             [&node, &config, paths](Request, Lines&) { return examine(node, config, paths); });
}

}  // namespace warren::api
