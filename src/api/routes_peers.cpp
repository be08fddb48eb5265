// Peers, ping and perf.

#include <fmt/format.h>

#include "api/fields.hpp"
#include "api/routes.hpp"
#include "api/views.hpp"
#include "node/discovery_report.hpp"
#include "runtime/deadline.hpp"

namespace warren::api {
namespace {

constexpr Duration kConnectTimeMax = 15s;
/// For the answers to a question of all sources. Source: quality statement DI-5.
constexpr Duration kRefreshTime = 1s;
/// Longest ban that ends by itself: a hundred years.
constexpr Duration kBanTimeMax = 24h * 36'525;
constexpr Duration kPingTimeMax = 10s;
constexpr Duration kPerfTimeMax = 1h;
constexpr std::uint64_t kPerfBytesMax = 1ull << 40;

/// What the connection manager holds, and within which bounds.
Json limits_view(const node::Node& node) {
  const swarm::ConnectionManager& manager = node.keeper().manager();
  const auto counts = manager.counts();
  return Json{{"target_peers", manager.config().target_peers},
              {"max_peers", manager.config().max_peers},
              {"low_watermark", manager.config().low_water},
              {"high_watermark", manager.config().high_water},
              {"connected", counts.connected},
              {"outbound", counts.outbound},
              {"protected", counts.protected_peers},
              {"max_neighbours", manager.config().neighbours_max},
              {"neighbours", counts.neighbours},
              {"dials", counts.dials}};
}

/// With ?all=1 all that are known; with ?refresh=1 after every source has looked again.
awaitable<Result<Json>> list_peers(node::Node& node, Request request) {
  if (request.query.contains("refresh")) {
    node.refresh();
    WARREN_CO_TRY_VOID(co_await node.runtime().sleep_for(kRefreshTime));
  }
  const bool all = request.query.contains("all");
  Json list = Json::array();
  for (const node::PeerView& peer : all ? node.known_peers() : node.peers()) {
    list.push_back(peer_view(peer));
  }
  co_return Json{{"peers", std::move(list)},
                 {"limits", limits_view(node)},
                 {"report", node::discovery_report(node.status())},
                 {"advice", node::discovery_advice()}};
}

Json reached(const node::Node& node, const PeerId& peer) {
  const auto view = node.peer(peer);
  return view ? peer_view(*view) : Json{{"peer_id", peer.to_string()}};
}

awaitable<Result<Json>> connect(node::Node& node, Request request) {
  Fields fields(request.body);
  const std::string address = fields.required_text("address");
  WARREN_CO_TRY_VOID(fields.finish());
  const TimePoint deadline = node.runtime().now() + kConnectTimeMax;
  WARREN_CO_TRY(const PeerId peer, co_await node.connect(address, deadline));
  co_return reached(node, peer);
}

awaitable<Result<Json>> disconnect(node::Node& node, Request request) {
  Fields fields(request.body);
  const std::string text = fields.required_text("peer");
  WARREN_CO_TRY_VOID(fields.finish());
  WARREN_CO_TRY(const PeerId peer, co_await node.disconnect(text));
  co_return Json{{"peer_id", peer.to_string()}};
}

awaitable<Result<Json>> add_peer(node::Node& node, Request request) {
  Fields fields(request.body);
  node::AddPeer what{.address = fields.required_text("address"),
                     .expected_key = fields.text("key"),
                     .name = fields.text("name")};
  WARREN_CO_TRY_VOID(fields.finish());
  const TimePoint deadline = node.runtime().now() + kConnectTimeMax;
  WARREN_CO_TRY(const PeerId peer, co_await node.add_peer(std::move(what), deadline));
  co_return reached(node, peer);
}

awaitable<Result<Json>> remove_peer(node::Node& node, Request request) {
  WARREN_CO_TRY(const PeerId peer, co_await node.remove_peer(request.path["peer"]));
  co_return Json{{"peer_id", peer.to_string()}};
}

awaitable<Result<Json>> ban(node::Node& node, Request request) {
  Fields fields(request.body);
  const std::string who = fields.required_text("who");
  const std::string reason = fields.text("reason");
  const Duration length = fields.seconds("for", Duration::zero(), 0s, kBanTimeMax);
  WARREN_CO_TRY_VOID(fields.finish());
  const auto how_long = length > Duration::zero() ? std::optional(length) : std::nullopt;
  WARREN_CO_TRY(const peers::Ban made, co_await node.ban(who, how_long, reason));
  co_return ban_view(made);
}

awaitable<Result<Json>> unban(node::Node& node, Request request) {
  const std::string who = request.path["who"];
  WARREN_CO_TRY_VOID(co_await node.unban(who));
  co_return Json{{"who", who}};
}

awaitable<Result<Json>> list_bans(node::Node& node) {
  Json list = Json::array();
  for (const peers::Ban& one : node.bans()) list.push_back(ban_view(one));
  co_return Json{{"bans", std::move(list)}};
}

awaitable<Result<Json>> show_discovery(node::Node& node) {
  Json list = Json::array();
  for (const node::DiscoveryView& source : node.discovery()) {
    list.push_back(discovery_view(source));
  }
  co_return Json{{"sources", std::move(list)},
                 {"report", node::discovery_report(node.status())},
                 {"advice", node::discovery_advice()}};
}

/// One line for each answer; the result sums them up. The first ping that fails ends it, unless
/// others came back before.
awaitable<Result<Json>> ping(node::Node& node, Request request, Lines& lines) {
  Fields fields(request.body);
  const std::string target = fields.required_text("target");
  const std::uint64_t count = fields.number("count", 3, 1, 100'000);
  const Duration interval = fields.seconds("interval", 1s, 0s, 1h);
  WARREN_CO_TRY_VOID(fields.finish());
  runtime::Runtime& runtime = node.runtime();
  WARREN_CO_TRY(const PeerId peer, co_await node.reach(target, runtime.now() + kConnectTimeMax));
  WARREN_CO_TRY(const auto session, co_await node.open_ping(peer, runtime.now() + kPingTimeMax));

  std::uint64_t received = 0;
  Duration least = Duration::max();
  Duration most{};
  Duration sum{};
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i > 0 && interval > Duration::zero()) {
      WARREN_CO_TRY_VOID(co_await runtime.sleep_for(interval));
    }
    WARREN_CO_TRY(const Duration rtt, co_await session->ping(runtime.now() + kPingTimeMax));
    ++received;
    least = std::min(least, rtt);
    most = std::max(most, rtt);
    sum += rtt;
    WARREN_CO_TRY_VOID(co_await lines.send(Json{{"type", "ping"},
                                                {"sequence", i + 1},
                                                {"peer_id", peer.to_string()},
                                                {"rtt_ms", seconds_of(rtt) * 1000}}));
  }
  const double average = seconds_of(sum) * 1000 / static_cast<double>(received);
  co_return Json{{"peer_id", peer.to_string()}, {"sent", count},
                 {"received", received},        {"rtt_ms_min", seconds_of(least) * 1000},
                 {"rtt_ms_avg", average},       {"rtt_ms_max", seconds_of(most) * 1000}};
}

awaitable<Result<Json>> perf(node::Node& node, Request request) {
  Fields fields(request.body);
  const std::string target = fields.required_text("target");
  const std::uint64_t upload = fields.number("upload_bytes", 0, 0, kPerfBytesMax);
  const std::uint64_t download = fields.number("download_bytes", 0, 0, kPerfBytesMax);
  WARREN_CO_TRY_VOID(fields.finish());
  runtime::Runtime& runtime = node.runtime();
  WARREN_CO_TRY(const PeerId peer, co_await node.reach(target, runtime.now() + kConnectTimeMax));
  WARREN_CO_TRY(const protocols::PerfResult result,
                co_await node.perf(peer, upload, download, runtime.now() + kPerfTimeMax));
  const auto rate = [](std::uint64_t bytes, double seconds) {
    return seconds > 0 ? static_cast<double>(bytes) / seconds : 0.0;
  };
  co_return Json{{"peer_id", peer.to_string()},
                 {"upload_bytes", result.uploaded_bytes},
                 {"upload_seconds", result.upload_seconds},
                 {"upload_rate", rate(result.uploaded_bytes, result.upload_seconds)},
                 {"download_bytes", result.downloaded_bytes},
                 {"download_seconds", result.download_seconds},
                 {"download_rate", rate(result.downloaded_bytes, result.download_seconds)}};
}

}  // namespace

void add_peer_routes(Router& router, node::Node& node) {
  router.add("GET", "/api/v1/peers",
             [&node](Request request, Lines&) { return list_peers(node, std::move(request)); });
  router.add("POST", "/api/v1/peers",
             [&node](Request request, Lines&) { return add_peer(node, std::move(request)); });
  router.add("DELETE", "/api/v1/peers/{peer}",
             [&node](Request request, Lines&) { return remove_peer(node, std::move(request)); });
  router.add("GET", "/api/v1/bans", [&node](Request, Lines&) { return list_bans(node); });
  router.add("POST", "/api/v1/bans",
             [&node](Request request, Lines&) { return ban(node, std::move(request)); });
  router.add("DELETE", "/api/v1/bans/{who}",
             [&node](Request request, Lines&) { return unban(node, std::move(request)); });
  router.add("GET", "/api/v1/discovery", [&node](Request, Lines&) { return show_discovery(node); });
  router.add("POST", "/api/v1/connect",
             [&node](Request request, Lines&) { return connect(node, std::move(request)); });
  router.add("POST", "/api/v1/disconnect",
             [&node](Request request, Lines&) { return disconnect(node, std::move(request)); });
  router.add("POST", "/api/v1/ping", [&node](Request request, Lines& lines) {
    return ping(node, std::move(request), lines);
  });
  router.add("POST", "/api/v1/perf",
             [&node](Request request, Lines&) { return perf(node, std::move(request)); });
}

}  // namespace warren::api
