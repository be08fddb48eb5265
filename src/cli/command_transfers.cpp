// `warren transfers`, `pause`, `resume` and `cancel`.

#include <fmt/format.h>

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

ExitCode run_transfers(Invocation& invocation) {
  return ask(invocation, {.method = "GET", .target = "/api/v1/transfers"}, "",
             [&](const api::Json& answer) {
               if (answer["transfers"].empty()) {
                 invocation.output.note("no transfers yet");
                 invocation.output.note("next: 'warren get CID|NAME'");
                 return;
               }
               std::vector<std::vector<std::string>> rows{
                   {"ID", "STATE", "DONE", "SIZE", "RATE", "ETA", "NAME"}};
               std::string errors;
               for (const auto& transfer : answer["transfers"]) {
                 rows.push_back(transfer_row(transfer));
                 if (!transfer["error"].is_object()) continue;
                 errors += fmt::format(
                     "{}: {}\n", transfer.value("id", ""),
                     node::escape_for_display(transfer["error"].value("message", ""), 300));
               }
               invocation.output.text(format_table(rows) + errors);
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
          .example = "warren transfers",
          .options = {},
          .run = run_transfers,
          .verbs = kTransfersVerbs};
}

CommandSpec pause_command() { return kPause; }
CommandSpec resume_command() { return kResume; }
CommandSpec cancel_command() { return kCancel; }

}  // namespace warren::cli
