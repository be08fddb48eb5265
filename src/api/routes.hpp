#pragma once
// The routes of a node's API, under /api/v1. README.md lists them.

#include <functional>

#include "api/router.hpp"
#include "node/config_reload.hpp"
#include "node/node.hpp"
#include "node/paths.hpp"

namespace warren::api {

/// What the program around a Node adds to its API; all of it must outlive the router.
struct Surroundings {
  Json status = Json::object();          ///< Fields of the status that a Node does not know.
  node::ConfigReload* config = nullptr;  ///< Null: there are no routes for the configuration.
  node::Paths paths{};
};

/// `node` must outlive the router and have been started.
Router make_router(node::Node& node, Surroundings around = {});

/// Parts of make_router.
void add_node_routes(Router& router, node::Node& node, const Surroundings& around);
void add_config_routes(Router& router, node::Node& node, node::ConfigReload& config,
                       const node::Paths& paths);
void add_peer_routes(Router& router, node::Node& node);
void add_library_routes(Router& router, node::Node& node);
/// Longest wait for a source that can be asked for.
inline constexpr Duration kWaitMax = 30 * 24h;

void add_install_routes(Router& router, node::Node& node);
void add_catalog_routes(Router& router, node::Node& node);
void add_sync_routes(Router& router, node::Node& node);
void add_share_routes(Router& router, node::Node& node);
void add_transfer_routes(Router& router, node::Node& node);

}  // namespace warren::api
