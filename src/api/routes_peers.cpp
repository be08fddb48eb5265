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
constexpr Duration kPingTimeMax = 10s;
constexpr Duration kPerfTimeMax = 1h;
constexpr std::uint64_t kPerfBytesMax = 1ull << 40;

awaitable<Result<Json>> list_peers(node::Node& node) {
  Json list = Json::array();
  for (const node::PeerView& peer : node.peers()) list.push_back(peer_view(peer));
  co_return Json{{"peers", std::move(list)},
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
  WARREN_CO_TRY(const PeerId peer, node.disconnect(text));
  co_return Json{{"peer_id", peer.to_string()}};
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
  router.add("GET", "/api/v1/peers", [&node](Request, Lines&) { return list_peers(node); });
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
