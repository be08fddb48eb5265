#pragma once
// The routes of a node's API, under /api/v1. README.md lists them.

#include <functional>

#include "api/router.hpp"
#include "node/node.hpp"

namespace warren::api {

/// `node` must outlive the router and have been started. `extra_status` adds fields to the status
/// that a Node does not know, like its folders.
Router make_router(node::Node& node, Json extra_status = Json::object());

/// Parts of make_router.
void add_peer_routes(Router& router, node::Node& node, Json extra_status);
void add_share_routes(Router& router, node::Node& node);
void add_transfer_routes(Router& router, node::Node& node);

}  // namespace warren::api
