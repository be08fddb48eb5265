// The configuration in force, and reading it again.

#include "api/fields.hpp"
#include "api/routes.hpp"
#include "api/views.hpp"

namespace warren::api {
namespace {

awaitable<Result<Json>> show_config(node::ConfigReload& config, std::string file) {
  const auto& problem = config.problem();
  co_return Json{{"file", std::move(file)},
                 {"settings", config_view(config.effective())},
                 {"problem", problem ? error_view(*problem) : Json(nullptr)}};
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

void add_config_routes(Router& router, node::ConfigReload& config, std::string file) {
  router.add("GET", "/api/v1/config",
             [&config, file](Request, Lines&) { return show_config(config, file); });
  router.add("POST", "/api/v1/config/reload", [&config](Request request, Lines&) {
    return reload_config(config, std::move(request));
  });
}

}  // namespace warren::api
