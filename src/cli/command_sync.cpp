// `warren sync status`: what is missing here of what peers offer, and there of what is offered
// here.

#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "api/client.hpp"
#include "api/router.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr std::array<OptionSpec, 1> kStatusOptions{{
    {.name = "PEER", .value = "", .help = "only this one: its name, id, or the end of its id"},
}};

std::string text_of(const api::Json& object, const char* key) {
  return object[key].is_string() ? object[key].get<std::string>() : std::string();
}

/// "waiting (disk full)".
std::string state_of(const api::Json& direction) {
  std::string state = text_of(direction, "state");
  const std::string reason = text_of(direction, "reason");
  if (state == "waiting" && !reason.empty()) state += fmt::format(" ({})", reason);
  return state;
}

/// "3 entries, 1.2 GiB".
std::string missing_of(const api::Json& direction) {
  if (!direction["missing"].is_number()) return "-";
  const auto count = direction.value("missing", std::uint64_t{0});
  if (count == 0) return "0";
  return fmt::format("{} {}, {}", count, count == 1 ? "entry" : "entries",
                     runtime::human_bytes(direction.value("bytes", std::uint64_t{0})));
}

/// Of an id nothing but the end is told apart at a glance.
std::string peer_of(const api::Json& peer) {
  const std::string name = text_of(peer, "name");
  return name.empty() ? text_of(peer, "peer_id") : node::escape_for_display(name);
}

/// A line for each entry that is missing here, or on which the two ends differ.
std::string details_of(const api::Json& direction, std::string_view where) {
  std::string text;
  for (const auto& item : direction["items"]) {
    const std::string reason = text_of(item, "reason");
    text += fmt::format("  missing {}: {}  {}{}{}\n", where,
                        node::escape_for_display(item.value("id", ""), 64),
                        runtime::human_bytes(item.value("bytes", std::uint64_t{0})),
                        reason.empty() ? "" : "  ", reason);
  }
  if (text_of(direction, "state") != "differs") return text;
  const std::string head = fmt::format("  the two ends differ about what is missing {}", where);
  if (direction["differing"].empty()) return text + head + ": they know different entries\n";
  for (const auto& id : direction["differing"]) {
    text += fmt::format("{}: {}\n", head, node::escape_for_display(id.get<std::string>(), 64));
  }
  return text;
}

ExitCode run_status(Invocation& invocation) {
  const std::string peer = invocation.args.text("PEER");
  std::string target = "/api/v1/sync";
  if (!peer.empty()) target += "?peer=" + api::percent_encode(peer);
  return ask(invocation, {.method = "GET", .target = std::move(target)}, peer,
             [&](const api::Json& answer) {
               if (answer["peers"].empty()) {
                 invocation.output.note("not connected to any peer");
                 return;
               }
               std::vector<std::vector<std::string>> rows{
                   {"PEER", "MISSING HERE", "STATE", "MISSING THERE", "STATE"}};
               std::string details;
               for (const auto& each : answer["peers"]) {
                 const api::Json& here = each["here"];
                 const api::Json& there = each["there"];
                 rows.push_back({peer_of(each), missing_of(here), state_of(here), missing_of(there),
                                 state_of(there)});
                 const std::string more = details_of(here, "here") + details_of(there, "there");
                 if (!more.empty()) details += peer_of(each) + ":\n" + more;
               }
               invocation.output.text(format_table(rows) + details);
             });
}

constexpr std::array<CommandSpec, 1> kSyncVerbs{{
    {.name = "sync status",
     .summary = "what is missing here of what peers offer, and there; and why it does not come",
     .example = "warren sync status",
     .options = kStatusOptions,
     .run = run_status},
}};

}  // namespace

CommandSpec sync_command() {
  return {.name = "sync",
          .summary = "how far this node and its peers are apart",
          .example = "warren sync status",
          .options = {},
          .run = run_status,
          .verbs = kSyncVerbs};
}

}  // namespace warren::cli
