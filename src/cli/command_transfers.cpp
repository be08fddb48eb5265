// `warren transfers`, `pause`, `resume` and `cancel`.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "api/client.hpp"
#include "api/router.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr double kWatchSeconds = 0.5;  // Source: quality statement TR-2, at most two a second.
constexpr std::size_t kPeersShown = 10;

constexpr std::array<OptionSpec, 1> kWatchOptions{{
    {.name = "--watch",
     .value = "",
     .help = "go on showing them, twice a second, until Ctrl-C",
     .kind = ValueKind::kFlag},
}};
constexpr std::array<OptionSpec, 1> kIdOptions{{
    {.name = "ID",
     .value = "",
     .help = "a transfer, as 'warren transfers' lists it",
     .required = true},
}};

std::vector<std::string> transfer_row(const api::Json& transfer) {
  const auto done = transfer.value("bytes_done", std::uint64_t{0});
  const auto total = transfer.value("bytes_total", std::uint64_t{0});
  const bool active = transfer.value("state", "") == "active";
  std::string phase = transfer.value("phase", "");
  std::ranges::replace(phase, '_', ' ');
  return {transfer.value("id", ""),
          active ? phase : transfer.value("state", ""),
          total > 0 ? format_percent(done, total) : "-",
          total > 0 ? format_share_of(done, total) : "-",
          active ? runtime::human_bytes(transfer.value("rate", std::uint64_t{0})) + "/s" : "-",
          transfer["eta"].is_number() ? format_duration(transfer["eta"].get<double>()) : "-",
          node::escape_for_display(transfer.value("name", ""))};
}

/// "  3fGqWx9a  lan/quic  1.2 GiB (61.0%)  88 MiB/s  1 bad chunk (refetched)". Those that gave the
/// most first.
std::string contributions(const api::Json& transfer) {
  std::vector<const api::Json*> peers;
  std::uint64_t all = 0;
  for (const auto& peer : transfer["peers"]) {
    peers.push_back(&peer);
    all += peer.value("bytes", std::uint64_t{0});
  }
  std::ranges::sort(peers, [](const api::Json* a, const api::Json* b) {
    return a->value("bytes", std::uint64_t{0}) > b->value("bytes", std::uint64_t{0});
  });
  std::string text;
  for (std::size_t i = 0; i < std::min(peers.size(), kPeersShown); ++i) {
    const api::Json& peer = *peers[i];
    const std::string id = peer.value("id", "");
    const auto bytes = peer.value("bytes", std::uint64_t{0});
    // All Ed25519 ids begin alike: the end tells them apart.
    text += fmt::format("  {}  {}  {} ({})  {}/s", id.size() > 8 ? id.substr(id.size() - 8) : id,
                        peer["path"].is_string()
                            ? node::escape_for_display(peer["path"].get<std::string>())
                            : std::string("-"),
                        runtime::human_bytes(bytes), all > 0 ? format_percent(bytes, all) : "-",
                        runtime::human_bytes(peer.value("rate", std::uint64_t{0})));
    if (const auto bad = peer.value("bad_chunks", std::uint64_t{0}); bad > 0) {
      text += fmt::format("  {} (refetched)", format_count(bad, "bad chunk"));
    }
    if (!peer.value("connected", false)) text += "  not asked now";
    text += '\n';
  }
  if (peers.size() > kPeersShown) {
    text += fmt::format("  and {}\n", format_count(peers.size() - kPeersShown, "more peer"));
  }
  return text;
}

/// The table, what went wrong or keeps one waiting, and who gives what to those under way.
std::string transfers_text(const api::Json& answer) {
  std::vector<std::vector<std::string>> rows{
      {"ID", "STATE", "DONE", "SIZE", "RATE", "ETA", "NAME"}};
  std::string details;
  for (const auto& transfer : answer["transfers"]) {
    rows.push_back(transfer_row(transfer));
    const std::string id = transfer.value("id", "");
    if (transfer["error"].is_object()) {
      details += fmt::format("{}: {}\n", id,
                             node::escape_for_display(transfer["error"].value("message", ""), 300));
    } else if (transfer["reason"].is_string()) {
      details +=
          fmt::format("{}: nothing has come for 10 s: {}\n", id, transfer.value("reason", ""));
    }
    if (transfer.value("state", "") != "active" || transfer["peers"].empty()) continue;
    details += fmt::format("{}: from {}\n", id, format_count(transfer["peers"].size(), "peer"));
    details += contributions(transfer);
  }
  return format_table(rows) + details;
}

ExitCode watch_transfers(Invocation& invocation) {
  Output& output = invocation.output;
  const auto show = [&](const api::Json& line) {
    output.event(line);
    const std::string text =
        line["transfers"].empty() ? std::string("no transfers yet\n") : transfers_text(line);
    // A terminal shows the newest only; elsewhere a blank line stands between two.
    output.text(::isatty(STDOUT_FILENO) != 0 ? "\x1b[H\x1b[2J" + text : text + "\n");
  };
  const auto answer = invocation.session.call({.method = "POST",
                                               .target = "/api/v1/transfers/watch",
                                               .body = {{"interval", kWatchSeconds}}},
                                              show);
  if (!answer) return invocation.session.failure(answer.error());
  return output.success(*answer);
}

ExitCode run_transfers(Invocation& invocation) {
  if (invocation.args.flag("watch")) return watch_transfers(invocation);
  return ask(invocation, {.method = "GET", .target = "/api/v1/transfers"}, "",
             [&](const api::Json& answer) {
               if (answer["transfers"].empty()) {
                 invocation.output.note("no transfers yet");
                 invocation.output.note("next: 'warren get CID|NAME'");
                 return;
               }
               invocation.output.text(transfers_text(answer));
             });
}

ExitCode change(Invocation& invocation, std::string_view action, std::string_view done) {
  const std::string id = invocation.args.text("ID");
  return ask(
      invocation,
      {.method = "POST",
       .target = fmt::format("/api/v1/transfers/{}/{}", api::percent_encode(id), action)},
      id, [&](const api::Json& transfer) {
        invocation.output.text(fmt::format("{} {}: {}\n", done, transfer.value("id", ""),
                                           node::escape_for_display(transfer.value("name", ""))));
      });
}

ExitCode run_pause(Invocation& invocation) { return change(invocation, "pause", "paused"); }
ExitCode run_resume(Invocation& invocation) { return change(invocation, "resume", "resumed"); }
ExitCode run_cancel(Invocation& invocation) { return change(invocation, "cancel", "cancelled"); }

constexpr CommandSpec kPause{.name = "pause",
                             .summary = "pause a download; what is there stays",
                             .example = "warren pause 7",
                             .options = kIdOptions,
                             .hidden = true,
                             .run = run_pause};
constexpr CommandSpec kResume{.name = "resume",
                              .summary = "go on with a paused or failed download",
                              .example = "warren resume 7",
                              .options = kIdOptions,
                              .hidden = true,
                              .run = run_resume};
constexpr CommandSpec kCancel{.name = "cancel",
                              .summary = "end a download and remove what is not complete",
                              .example = "warren cancel 7",
                              .options = kIdOptions,
                              .hidden = true,
                              .run = run_cancel};
constexpr std::array<CommandSpec, 3> kTransfersVerbs{
    verb_of(kPause, "transfers pause", "warren transfers pause 7"),
    verb_of(kResume, "transfers resume", "warren transfers resume 7"),
    verb_of(kCancel, "transfers cancel", "warren transfers cancel 7")};

}  // namespace

CommandSpec transfers_command() {
  return {.name = "transfers",
          .summary = "downloads: under way, paused, done and failed; pause, resume, cancel",
          .example = "warren transfers --watch",
          .options = kWatchOptions,
          .streams = true,
          .run = run_transfers,
          .verbs = kTransfersVerbs};
}

CommandSpec pause_command() { return kPause; }
CommandSpec resume_command() { return kResume; }
CommandSpec cancel_command() { return kCancel; }

}  // namespace warren::cli
