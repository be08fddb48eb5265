// The catalog: what others' libraries offer, topics, subscriptions.

#include <charconv>

#include "api/fields.hpp"
#include "api/routes.hpp"
#include "api/views.hpp"
#include "catalog/catalog_service.hpp"
#include "catalog/patterns.hpp"

namespace warren::api {
namespace {

/// A number of the query; absent: 0.
Result<std::uint64_t> number_of(const Request& request, std::string_view name) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return std::uint64_t{0};
  const std::string& text = found->second;
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size()) {
    return fail(ErrorCode::kInvalidArgument,
                "'" + std::string(name) + "' must be a whole number; found '" + text + "'");
  }
  return number;
}

std::string text_of(const Request& request, std::string_view name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::string() : found->second;
}

Json page_entry_view(node::Node& node, const catalog::CatalogEntry& entry) {
  Json view = listing_view(entry.listing);
  Json peers = Json::array();
  std::uint64_t connected = 0;
  bool own = false;
  for (const PeerId& peer : entry.peers) {
    if (peer == node.id()) {
      own = true;
      continue;
    }
    if (node.swarm().is_connected(peer)) ++connected;
    peers.push_back(peer.to_string());
  }
  view["own"] = own;
  view["peers"] = std::move(peers);
  view["peers_count"] = entry.peers_count - (own ? 1 : 0);
  view["peers_connected"] = connected;
  view["away"] = connected == 0 && !own;
  view["contents"] = entry.roots_count;
  view["last_seen"] = own ? Json(nullptr) : Json(time_text(entry.last_seen));
  return view;
}

awaitable<Result<Json>> list(node::Node& node, Request request) {
  catalog::CatalogQuery query;
  query.name = text_of(request, "name");
  query.topic = text_of(request, "topic");
  WARREN_CO_TRY(const std::uint64_t limit, number_of(request, "limit"));
  WARREN_CO_TRY(query.offset, number_of(request, "offset"));
  query.limit = static_cast<std::size_t>(limit);
  const std::uint64_t offset = query.offset;
  WARREN_CO_TRY(const catalog::CatalogPage page, co_await node.catalog().list(std::move(query)));
  Json entries = Json::array();
  for (const catalog::CatalogEntry& entry : page.entries) {
    entries.push_back(page_entry_view(node, entry));
  }
  co_return Json{{"entries", std::move(entries)}, {"total", page.total}, {"offset", offset}};
}

Json peer_catalog_view(const catalog::CatalogPeer& peer) {
  return Json{{"peer_id", peer.stored.peer.to_string()},
              {"entries", peer.stored.known.count},
              {"mode", std::string(catalog::mode_name(peer.stored.mode))},
              {"connected", peer.connected},
              {"following", peer.following},
              {"complete", peer.complete},
              {"followed", peer.followed},
              {"told_all", peer.told_all},
              {"last_seen", time_text(peer.stored.last_seen)}};
}

awaitable<Result<Json>> peers(node::Node& node) {
  WARREN_CO_TRY(const auto known, co_await node.catalog().peers());
  Json list = Json::array();
  for (const catalog::CatalogPeer& peer : known) list.push_back(peer_catalog_view(peer));
  const catalog::CatalogCounters& counters = node.catalog().counters();
  co_return Json{{"peers", std::move(list)},
                 {"subscriptions", counters.subscriptions},
                 {"snapshots", counters.snapshots},
                 {"deltas", counters.deltas},
                 {"served", counters.served},
                 {"refused", counters.refused},
                 {"violations", counters.violations},
                 {"bytes_sent", counters.bytes_sent},
                 {"bytes_received", counters.bytes_received}};
}

/// The patterns that match `topic`.
Json patterns_of(const std::vector<catalog::Subscription>& subscriptions, std::string_view topic) {
  Json patterns = Json::array();
  for (const catalog::Subscription& subscription : subscriptions) {
    if (catalog::topic_matches(subscription.pattern, topic)) {
      patterns.push_back(subscription.pattern);
    }
  }
  return patterns;
}

awaitable<Result<Json>> topics(node::Node& node, Request request) {
  WARREN_CO_TRY(const std::uint64_t limit, number_of(request, "limit"));
  WARREN_CO_TRY(const std::uint64_t offset, number_of(request, "offset"));
  WARREN_CO_TRY(const auto found,
                co_await node.catalog().topics(static_cast<std::size_t>(limit), offset));
  WARREN_CO_TRY(const auto subscriptions, co_await node.catalog().subscriptions());
  Json list = Json::array();
  for (const catalog::TopicCount& topic : found) {
    Json patterns = patterns_of(subscriptions, topic.topic);
    list.push_back(Json{{"topic", topic.topic},
                        {"entries", topic.entries},
                        {"subscribed", !patterns.empty()},
                        {"patterns", std::move(patterns)}});
  }
  co_return Json{{"topics", std::move(list)}};
}

Json subscription_view(const catalog::Subscription& subscription) {
  return Json{{"pattern", subscription.pattern},
              {"on_demand", subscription.on_demand},
              {"since", time_text(subscription.since)}};
}

awaitable<Result<Json>> subscriptions(node::Node& node) {
  WARREN_CO_TRY(const auto all, co_await node.catalog().subscriptions());
  Json list = Json::array();
  for (const catalog::Subscription& each : all) list.push_back(subscription_view(each));
  const node::ReplicatorView& view = node.replication();
  co_return Json{{"subscriptions", std::move(list)},
                 {"mode", std::string(catalog::mode_name(view.settings.mode))},
                 {"folder", view.settings.folder},
                 {"fetching", view.fetching.empty() ? Json(nullptr) : Json(view.fetching)},
                 {"fetched", view.fetched},
                 {"failed", view.failed},
                 {"problem", view.problem}};
}

awaitable<Result<Json>> subscribe(node::Node& node, Request request) {
  Fields fields(request.body);
  std::string pattern = fields.required_text("pattern");
  const bool on_demand = fields.flag("on_demand").value_or(false);
  WARREN_CO_TRY_VOID(fields.finish());
  const Json answer{{"pattern", pattern}, {"on_demand", on_demand}};
  WARREN_CO_TRY_VOID(co_await node.subscribe(std::move(pattern), on_demand));
  co_return answer;
}

awaitable<Result<Json>> unsubscribe(node::Node& node, Request request) {
  Fields fields(request.body);
  std::string pattern = fields.required_text("pattern");
  WARREN_CO_TRY_VOID(fields.finish());
  const Json answer{{"pattern", pattern}};
  WARREN_CO_TRY_VOID(co_await node.catalog().unsubscribe(std::move(pattern)));
  co_return answer;
}

}  // namespace

void add_catalog_routes(Router& router, node::Node& node) {
  router.add("GET", "/api/v1/catalog",
             [&node](Request request, Lines&) { return list(node, std::move(request)); });
  router.add("GET", "/api/v1/catalog/peers", [&node](Request, Lines&) { return peers(node); });
  router.add("GET", "/api/v1/topics",
             [&node](Request request, Lines&) { return topics(node, std::move(request)); });
  router.add("GET", "/api/v1/subscriptions",
             [&node](Request, Lines&) { return subscriptions(node); });
  router.add("POST", "/api/v1/subscriptions",
             [&node](Request request, Lines&) { return subscribe(node, std::move(request)); });
  router.add("DELETE", "/api/v1/subscriptions",
             [&node](Request request, Lines&) { return unsubscribe(node, std::move(request)); });
}

}  // namespace warren::api
