// Getting, listing, pausing, resuming, cancelling.

#include <fmt/format.h>

#include <charconv>

#include "api/fields.hpp"
#include "api/routes.hpp"
#include "api/views.hpp"
#include "node/discovery_report.hpp"
#include "node/escape.hpp"

namespace warren::api {
namespace {

constexpr Duration kIntervalDefault = 500ms;
constexpr Duration kIntervalMin = 50ms;
constexpr Duration kIntervalMax = 60s;
constexpr std::size_t kSourcesMax = 32;

Result<transfer::TransferId> id_of(const Request& request) {
  const std::string& text = request.path.at("id");
  transfer::TransferId id = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (code != std::errc{} || end != text.data() + text.size()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not the number of a transfer", node::escape_for_display(text)),
                "'warren transfers' lists them");
  }
  return id;
}

Error no_transfer(transfer::TransferId id) {
  return {ErrorCode::kNotFound, fmt::format("there is no transfer {}", id),
          "'warren transfers' lists them"};
}

/// A failure for want of a source, with what discovery saw.
Error explain(const node::Node& node, const Error& error) {
  if (error.code() != ErrorCode::kNoPeer) return error;
  return {ErrorCode::kNoPeer,
          fmt::format("{}; {}", error.message(), node::discovery_report(node.status())),
          node::discovery_advice()};
}

Json with_paths(const node::Node& node, const transfer::Progress& progress) {
  Json view = transfer_view(progress);
  for (std::size_t i = 0; i < progress.peers.size(); ++i) {
    const auto peer = node.peer(progress.peers[i].peer);
    view["peers"][i]["path"] = peer && !peer->path.empty() ? Json(peer->path) : Json(nullptr);
  }
  return view;
}

/// Progress lines until the transfer completes, fails or is paused. The caller may go at any time;
/// the transfer goes on.
awaitable<Result<Json>> watch(node::Node& node, transfer::TransferId id, Duration interval,
                              Lines& lines) {
  for (;;) {
    const auto progress = node.transfers().progress(id);
    if (!progress) {
      co_return fail(ErrorCode::kCancelled, fmt::format("transfer {} was cancelled", id),
                     "start it again with 'warren get'");
    }
    Json view = with_paths(node, *progress);
    switch (progress->state) {
      case transfer::State::kCompleted: {
        const double elapsed = seconds_of(progress->elapsed);
        view["bytes"] = progress->bytes_total;
        view["seconds"] = elapsed;
        view["avg_rate"] =
            elapsed > 0 ? static_cast<double>(progress->bytes_verified) / elapsed : 0.0;
        view["root_hash"] = view["cid"];
        co_return view;
      }
      case transfer::State::kFailed:
        if (progress->error) co_return fail(explain(node, *progress->error));
        co_return fail(ErrorCode::kInternal, fmt::format("transfer {} failed", id));
      case transfer::State::kPaused:
        if (progress->error) co_return fail(*progress->error);
        co_return fail(ErrorCode::kConflict, fmt::format("transfer {} was paused", id),
                       fmt::format("'warren resume {}' goes on with it", id));
      case transfer::State::kActive: break;
    }
    view["type"] = "progress";
    if (progress->phase == transfer::Phase::kFindingSources ||
        progress->phase == transfer::Phase::kResolving) {
      view["discovery"] = node::discovery_report(node.status());
    }
    WARREN_CO_TRY_VOID(co_await lines.send(std::move(view)));
    const auto ended = co_await node.transfers().wait(id, node.runtime().now() + interval);
    if (!ended && ended.error().code() == ErrorCode::kCancelled) {
      co_return fail(ErrorCode::kClosed, "the daemon is shutting down",
                     "the download goes on when it runs again");
    }
  }
}

awaitable<Result<Json>> get(node::Node& node, Request request, Lines& lines) {
  Fields fields(request.body);
  node::GetOptions options;
  options.what = fields.required_text("what");
  options.directory = fields.text("directory");
  options.library = fields.text("library");
  options.save_as = fields.text("save_as");
  options.from = fields.texts("from", kSourcesMax);
  options.wait = fields.seconds("wait", options.wait, 0s, kWaitMax);
  const Duration interval =
      fields.seconds("interval", kIntervalDefault, kIntervalMin, kIntervalMax);
  WARREN_CO_TRY_VOID(fields.finish());
  if (!options.directory.empty() && !options.directory.starts_with('/')) {
    co_return fail(ErrorCode::kInvalidArgument, "the field 'directory' must be an absolute path");
  }
  WARREN_CO_TRY(const transfer::TransferId id, co_await node.get(std::move(options)));
  co_return co_await watch(node, id, interval, lines);
}

Json all_transfers(const node::Node& node, const transfer::TransferManager& transfers) {
  Json list = Json::array();
  for (const transfer::Progress& progress : transfers.list()) {
    list.push_back(with_paths(node, progress));
  }
  return Json{{"transfers", std::move(list)}};
}

awaitable<Result<Json>> list_transfers(node::Node& node) {
  co_return all_transfers(node, node.transfers());
}

/// A line with all of them each `interval`, until the caller goes.
awaitable<Result<Json>> watch_transfers(node::Node& node, Request request, Lines& lines) {
  Fields fields(request.body);
  const Duration interval =
      fields.seconds("interval", kIntervalDefault, kIntervalMin, kIntervalMax);
  WARREN_CO_TRY_VOID(fields.finish());
  for (;;) {
    Json line = all_transfers(node, node.transfers());
    line["type"] = "transfers";
    WARREN_CO_TRY_VOID(co_await lines.send(std::move(line)));
    const auto slept = co_await node.runtime().sleep_for(interval);
    if (!slept) co_return fail(ErrorCode::kClosed, "the daemon is shutting down");
  }
}

awaitable<Result<Json>> show_transfer(node::Node& node, Request request) {
  WARREN_CO_TRY(const transfer::TransferId id, id_of(request));
  const auto progress = node.transfers().progress(id);
  if (!progress) co_return fail(no_transfer(id));
  co_return with_paths(node, *progress);
}

using Change = awaitable<Result<>> (transfer::TransferManager::*)(transfer::TransferId);

awaitable<Result<Json>> change(node::Node& node, Request request, Change what) {
  WARREN_CO_TRY(const transfer::TransferId id, id_of(request));
  const auto before = node.transfers().progress(id);
  if (!before) co_return fail(no_transfer(id));
  WARREN_CO_TRY_VOID(co_await (node.transfers().*what)(id));
  const auto after = node.transfers().progress(id);
  Json view = with_paths(node, after ? *after : *before);
  if (!after) view["state"] = "cancelled";
  co_return view;
}

}  // namespace

void add_transfer_routes(Router& router, node::Node& node) {
  router.add("GET", "/api/v1/transfers", [&node](Request, Lines&) { return list_transfers(node); });
  router.add("POST", "/api/v1/transfers", [&node](Request request, Lines& lines) {
    return get(node, std::move(request), lines);
  });
  router.add("POST", "/api/v1/transfers/watch", [&node](Request request, Lines& lines) {
    return watch_transfers(node, std::move(request), lines);
  });
  router.add("GET", "/api/v1/transfers/{id}",
             [&node](Request request, Lines&) { return show_transfer(node, std::move(request)); });
  router.add("POST", "/api/v1/transfers/{id}/pause", [&node](Request request, Lines&) {
    return change(node, std::move(request), &transfer::TransferManager::pause);
  });
  router.add("POST", "/api/v1/transfers/{id}/resume", [&node](Request request, Lines&) {
    return change(node, std::move(request), &transfer::TransferManager::resume);
  });
  router.add("POST", "/api/v1/transfers/{id}/cancel", [&node](Request request, Lines&) {
    return change(node, std::move(request), &transfer::TransferManager::cancel);
  });
}

}  // namespace warren::api
