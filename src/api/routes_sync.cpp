// How far this node and its peers are apart.

#include "api/routes.hpp"
#include "api/views.hpp"
#include "catalog/catalog_service.hpp"

namespace warren::api {
namespace {

Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(std::string(text));
}

Json direction_view(const catalog::SyncDirection& direction) {
  Json items = Json::array();
  for (const catalog::MissingItem& item : direction.items) {
    items.push_back(Json{{"id", item.id},
                         {"bytes", item.bytes},
                         {"reason", text_or_null(catalog::reason_name(item.reason))}});
  }
  const bool known = direction.state != catalog::SyncDirection::State::kUnknown;
  return Json{{"state", std::string(catalog::sync_state_name(direction.state))},
              {"missing", known ? Json(direction.need.count) : Json(nullptr)},
              {"bytes", known ? Json(direction.need.bytes) : Json(nullptr)},
              {"ids", direction.need.ids},
              {"reason", text_or_null(catalog::reason_name(direction.reason))},
              {"items", std::move(items)},
              {"agreed", direction.compared},
              {"differing", direction.differing},
              {"differs_for",
               direction.differs_for ? Json(seconds_of(*direction.differs_for)) : Json(nullptr)}};
}

awaitable<Result<Json>> sync_status(node::Node& node, Request request) {
  std::optional<PeerId> only;
  const auto asked = request.query.find("peer");
  if (asked != request.query.end()) {
    WARREN_CO_TRY(only, node.find_peer(asked->second));
    if (!node.swarm().is_connected(*only)) {
      co_return fail(ErrorCode::kNotFound, "not connected to " + only->to_string(),
                     "'warren connect' does that");
    }
  }
  Json peers = Json::array();
  for (const catalog::PeerSync& sync : node.catalog().sync()) {
    if (only && sync.peer != *only) continue;
    const auto view = node.peer(sync.peer);
    peers.push_back(Json{{"peer_id", sync.peer.to_string()},
                         {"name", text_or_null(view ? view->name : std::string())},
                         {"here", direction_view(sync.here)},
                         {"there", direction_view(sync.there)}});
  }
  co_return Json{{"peers", std::move(peers)}};
}

}  // namespace

void add_sync_routes(Router& router, node::Node& node) {
  router.add("GET", "/api/v1/sync",
             [&node](Request request, Lines&) { return sync_status(node, std::move(request)); });
}

}  // namespace warren::api
