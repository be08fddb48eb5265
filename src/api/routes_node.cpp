// The node as a whole, and all routes together.

#include "api/routes.hpp"
#include "api/views.hpp"

namespace warren::api {
namespace {

awaitable<Result<Json>> show_status(node::Node& node, const node::ConfigReload* config,
                                    Json extra) {
  Json view = status_view(node.status());
  view.update(extra);
  if (config != nullptr && config->problem()) {
    view["warnings"].push_back("the configuration is not in force: " +
                               config->problem()->message());
  }
  co_return view;
}

}  // namespace

void add_node_routes(Router& router, node::Node& node, const Surroundings& around) {
  router.add("GET", "/api/v1/status",
             [&node, config = around.config, extra = around.status](Request, Lines&) {
               return show_status(node, config, extra);
             });
}

Router make_router(node::Node& node, Surroundings around) {
  Router router;
  add_node_routes(router, node, around);
  if (around.config != nullptr) add_config_routes(router, node, *around.config, around.paths);
  add_peer_routes(router, node);
  add_share_routes(router, node);
  add_library_routes(router, node);
  add_install_routes(router, node);
  add_catalog_routes(router, node);
  add_sync_routes(router, node);
  add_transfer_routes(router, node);
  return router;
}

}  // namespace warren::api
