#include "api/views.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace warren::api {
namespace {

Json address_list(const std::vector<Multiaddr>& addresses) {
  Json list = Json::array();
  for (const Multiaddr& address : addresses) list.push_back(address.to_string());
  return list;
}

Json optional_seconds(const std::optional<Duration>& duration) {
  return duration ? Json(seconds_of(*duration)) : Json(nullptr);
}

Json counters_view(const discovery::SourceCounters& counters) {
  return Json{{"interface", counters.interface}, {"usable", counters.usable},
              {"sent", counters.sent},           {"send_failed", counters.send_failed},
              {"heard", counters.heard},         {"heard_peers", counters.heard_peers},
              {"malformed", counters.malformed}};
}

Json source_view(const node::DiscoveryView& source) {
  Json interfaces = Json::array();
  for (const auto& counters : source.counters) interfaces.push_back(counters_view(counters));
  return Json{{"name", source.name},
              {"running", source.problem.empty()},
              {"problem", source.problem},
              {"summary", source.summary},
              {"interfaces", std::move(interfaces)}};
}

Json refused_view(const std::vector<resources::Refusals>& refused) {
  Json list = Json::array();
  for (const resources::Refusals& some : refused) {
    list.push_back(Json{{"scope", std::string(resources::scope_name(some.scope))},
                        {"resource", std::string(resources::resource_name(some.resource))},
                        {"count", some.count}});
  }
  return list;
}

/// "forever" for a ban that only a person lifts; null for none.
Json until_view(const std::optional<WallTime>& until) {
  if (!until) return nullptr;
  return *until == WallTime::max() ? Json("forever") : Json(api::time_text(*until));
}

Json optional_time(const std::optional<WallTime>& time) {
  return time ? Json(api::time_text(*time)) : Json(nullptr);
}

}  // namespace

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string time_text(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch();
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds.count()));
}

Json status_view(const node::NodeStatus& status) {
  Json discovery = Json::array();
  for (const node::DiscoveryView& source : status.discovery) {
    discovery.push_back(source_view(source));
  }
  return Json{
      {"peer_id", status.peer.to_string()},          {"version", status.version},
      {"listen", address_list(status.listen)},       {"discovery", std::move(discovery)},
      {"uptime", seconds_of(status.uptime)},         {"peers_connected", status.peers_connected},
      {"peers_known", status.peers_known},           {"shares", status.shares},
      {"transfers_active", status.transfers_active}, {"transfers_paused", status.transfers_paused},
      {"bytes_received", status.bytes_received},     {"bytes_sent", status.bytes_sent},
      {"refused", refused_view(status.refused)},     {"warnings", status.warnings}};
}

Json peer_view(const node::PeerView& peer) {
  const auto rtt_ms = peer.rtt ? Json(seconds_of(*peer.rtt) * 1000) : Json(nullptr);
  return Json{{"peer_id", peer.peer.to_string()},
              {"connected", peer.connected},
              {"name", peer.name},
              {"public_key", peer.public_key},
              {"outbound", peer.outbound},
              {"kept", peer.kept},
              {"pinned", peer.pinned},
              {"anchor", peer.anchor},
              {"reputation", peer.reputation},
              {"score", peer.score},
              {"first_seen", optional_time(peer.first_seen)},
              {"last_seen", optional_time(peer.last_seen)},
              {"banned_until", until_view(peer.banned_until)},
              {"addresses", address_list(peer.addresses)},
              {"path", peer.path.empty() ? Json(nullptr) : Json(peer.path)},
              {"rtt_ms", rtt_ms},
              {"via", peer.via},
              {"agent", peer.agent},
              {"protocols", peer.protocols},
              {"bytes_received", peer.bytes_received},
              {"bytes_sent", peer.bytes_sent},
              {"connected_for", optional_seconds(peer.connected_for)},
              {"connections", peer.connections},
              {"streams", peer.streams_open}};
}

Json ban_view(const peers::Ban& ban) {
  const auto* peer = std::get_if<PeerId>(&ban.who);
  return Json{{"who", peer != nullptr ? peer->to_string()
                                      : std::get<resources::Prefix>(ban.who).to_string()},
              {"kind", peer != nullptr ? "peer" : "prefix"},
              {"until", until_view(ban.until)},
              {"reason", ban.reason}};
}

Json discovery_view(const node::DiscoveryView& source) {
  Json view = source_view(source);
  Json seen = Json::array();
  for (const node::SeenPeer& peer : source.seen) {
    seen.push_back(Json{{"peer_id", peer.peer.to_string()},
                        {"addresses", address_list(peer.addresses)},
                        {"seen_ago", seconds_of(peer.seen_ago)},
                        {"lost", peer.lost},
                        {"free_bytes", peer.spare ? Json(peer.spare->free_bytes) : Json(nullptr)},
                        {"price_micro_per_mib",
                         peer.spare ? Json(peer.spare->price_micro_per_mib) : Json(nullptr)}});
  }
  view["seen"] = std::move(seen);
  return view;
}

Json share_view(const content::ShareInfo& share) {
  return Json{{"name", share.name},
              {"cid", share.root.to_string()},
              {"path", share.path},
              {"state", std::string(content::share_state_name(share.state))},
              {"files", share.files},
              {"bytes", share.bytes},
              {"files_changed", share.files_changed},
              {"audience", share.audience.to_string()},
              {"added", time_text(share.added_at)}};
}

Json folder_view(const library::FolderView& view) {
  const library::FolderSettings& settings = view.folder.settings;
  Json left_out = Json::array();
  for (const auto& [name, why] : view.left_out) {
    left_out.push_back(Json{{"name", name}, {"message", why}});
  }
  return Json{{"path", settings.path},
              {"entries", view.entries},
              {"audience", settings.audience.to_string()},
              {"topic", settings.topic},
              {"sentinel", settings.sentinel.file},
              {"sentinel_format", std::string(library::format_name(settings.sentinel.format))},
              {"sentinel_required", settings.sentinel.required},
              {"expected", settings.expected},
              {"watched", view.watched},
              {"problem", view.problem},
              {"left_out", std::move(left_out)},
              {"added", time_text(view.folder.added_at)}};
}

Json listing_view(const library::Listing& listing) {
  return Json{{"id", listing.id},
              {"name", listing.name},
              {"version", listing.version},
              {"topic", listing.topic},
              {"bytes", listing.bytes},
              {"files", listing.files},
              {"cid", listing.root ? Json(listing.root->to_string()) : Json(nullptr)},
              {"downloaded", listing.downloaded},
              {"installed", listing.installed},
              {"availability", std::string(library::availability_name(listing.availability))}};
}

Json entry_view(const library::EntryView& view) {
  Json entry = listing_view(view.entry.published.listing);
  entry["folder"] = view.folder;
  entry["work"] = std::string(library::work_name(view.work));
  entry["problem"] = view.problem;
  return entry;
}

Json skipped_view(const std::vector<content::Skipped>& skipped) {
  Json list = Json::array();
  for (const content::Skipped& item : skipped) {
    Json entry = error_view(item.error);
    entry["item"] = item.path;
    list.push_back(std::move(entry));
  }
  return list;
}

Json job_line(const content::Progress& progress, std::string_view phase, Duration elapsed) {
  const bool walking = progress.walking;
  const std::uint64_t done = progress.bytes_done;
  const std::uint64_t total = progress.bytes_found;
  const double seconds = seconds_of(elapsed);
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const bool eta_known = !walking && rate > 0 && total >= done;
  return Json{{"type", "progress"},
              {"phase", walking ? "walking" : std::string(phase)},
              {"bytes_done", done},
              {"bytes_total", total},
              {"files_done", progress.files_done.load()},
              {"files_total", progress.files_found.load()},
              {"elapsed", seconds},
              {"rate", static_cast<std::uint64_t>(rate)},
              {"eta", eta_known ? Json(static_cast<double>(total - done) / rate) : Json(nullptr)}};
}

Json transfer_view(const transfer::Progress& progress) {
  Json peers = Json::array();
  for (const transfer::PeerProgress& peer : progress.peers) {
    peers.push_back(Json{{"id", peer.peer.to_string()},
                         {"bytes", peer.bytes},
                         {"rate", peer.rate},
                         {"errors", peer.errors},
                         {"bad_chunks", peer.bad_chunks},
                         {"connected", peer.connected},
                         {"demoted", peer.demoted}});
  }
  return Json{
      {"id", fmt::format("{}", progress.id)},
      {"state", std::string(transfer::state_name(progress.state))},
      {"phase", std::string(transfer::phase_name(progress.phase))},
      {"waiting_for", progress.waiting_for},
      {"reason", progress.reason.empty() ? Json(nullptr) : Json(std::string(progress.reason))},
      {"priority", progress.priority == transfer::Priority::kUser ? "user" : "background"},
      {"cid", progress.root ? Json(progress.root->to_string()) : Json(nullptr)},
      {"name", progress.name},
      {"path", progress.path},
      {"bytes_total", progress.bytes_total},
      {"bytes_done", progress.bytes_done},
      {"bytes_verified", progress.bytes_verified},
      {"bytes_reused", progress.bytes_reused},
      {"files_total", progress.files_total},
      {"files_done", progress.files_done},
      {"links_left_out", progress.links_left_out},
      {"rate", progress.rate},
      {"eta", optional_seconds(progress.eta)},
      {"elapsed", seconds_of(progress.elapsed)},
      {"retries", progress.retries},
      {"bad_chunks", progress.bad_chunks},
      {"peers", std::move(peers)},
      {"error", progress.error ? error_view(*progress.error) : Json(nullptr)}};
}

Json checks_view(const std::vector<node::Check>& checks) {
  Json list = Json::array();
  for (const node::Check& check : checks) {
    const char* verdict = check.verdict == node::Verdict::kOk     ? "ok"
                          : check.verdict == node::Verdict::kWarn ? "warn"
                                                                  : "fail";
    list.push_back(Json{
        {"name", check.name}, {"verdict", verdict}, {"detail", check.detail}, {"fix", check.fix}});
  }
  return list;
}

Json config_view(const std::vector<node::Effective>& settings) {
  Json list = Json::array();
  for (const node::Effective& one : settings) {
    Json value;
    if (const auto* time = std::get_if<Duration>(&one.typed)) {
      value = seconds_of(*time);
    } else if (const auto* size = std::get_if<node::SizeInBytes>(&one.typed)) {
      value = size->bytes;
    } else if (const auto* flag = std::get_if<bool>(&one.typed)) {
      value = *flag;
    } else if (const auto* number = std::get_if<std::uint64_t>(&one.typed)) {
      value = *number;
    } else if (const auto* text = std::get_if<std::string>(&one.typed)) {
      value = *text;
    } else {
      value = std::get<std::vector<std::string>>(one.typed);
    }
    list.push_back(Json{{"key", one.key},
                        {"value", std::move(value)},
                        {"text", one.value},
                        {"origin", one.origin},
                        {"pending", one.pending.empty() ? Json(nullptr) : Json(one.pending)}});
  }
  return list;
}

Json error_view(const Error& error) {
  return Json{{"name", std::string(error_name(error.code()))},
              {"message", error.message()},
              {"hint", error.hint()},
              {"retryable", is_retryable(error.code())}};
}

}  // namespace warren::api
