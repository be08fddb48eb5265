// `warren catalog` with its verbs, `topics`, `subscribe` and `unsubscribe`.

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

constexpr OptionSpec kTopicOption{
    .name = "--topic",
    .value = "TOPIC",
    .help = "only of this topic; weather/* is that and all below, */papers all that end so"};
constexpr OptionSpec kLimitOption{.name = "--limit",
                                  .value = "N",
                                  .help = "so many at most (1000)",
                                  .kind = ValueKind::kNumber,
                                  .least = 1,
                                  .most = 1'000};
constexpr OptionSpec kOffsetOption{.name = "--offset",
                                   .value = "N",
                                   .help = "leave out the first N",
                                   .kind = ValueKind::kNumber,
                                   .most = INT64_MAX};
constexpr std::array<OptionSpec, 3> kListOptions{{kTopicOption, kLimitOption, kOffsetOption}};
constexpr std::array<OptionSpec, 4> kSearchOptions{{
    {.name = "PATTERN",
     .value = "",
     .help = "part of a name or id; with * or ? in it, all of it",
     .required = true},
    kTopicOption,
    kLimitOption,
    kOffsetOption,
}};
constexpr std::array<OptionSpec, 2> kTopicsOptions{{kLimitOption, kOffsetOption}};
constexpr std::array<OptionSpec, 2> kSubscribeOptions{{
    {.name = "PATTERN",
     .value = "",
     .help = "a topic, weather/*, */papers or *; without it: what is subscribed"},
    {.name = "--on-demand",
     .value = "",
     .help = "mark it only: nothing is fetched by itself",
     .kind = ValueKind::kFlag},
}};
constexpr std::array<OptionSpec, 1> kUnsubscribeOptions{{
    {.name = "PATTERN", .value = "", .help = "as 'subscribe' lists it", .required = true},
}};

std::string shown(const api::Json& object, const char* key, std::size_t most = 40) {
  const std::string text = node::escape_for_display(object.value(key, ""), most);
  return text.empty() ? "-" : text;
}

std::string target_of(std::string_view path, const Args& args) {
  std::string target(path);
  char join = '?';
  const std::array<std::pair<const char*, const char*>, 4> options{
      {{"PATTERN", "name"}, {"topic", "topic"}, {"limit", "limit"}, {"offset", "offset"}}};
  for (const auto& [option, field] : options) {
    if (!args.flag(option)) continue;
    target += fmt::format("{}{}={}", join, field, api::percent_encode(args.text(option)));
    join = '&';
  }
  return target;
}

/// "yours, here (different contents)".
std::string where(const api::Json& entry) {
  std::string text = entry.value("own", false) ? "yours" : "";
  if (entry.value("peers_connected", std::uint64_t{0}) > 0) {
    text += text.empty() ? "here" : ", here";
  } else if (entry.value("away", false)) {
    text = "away";
  }
  if (entry.value("contents", std::uint64_t{0}) > 1) text += " (different contents)";
  return text;
}

std::string version_of(const api::Json& entry) {
  const std::string version = shown(entry, "version");
  const bool differs = entry.value("contents", std::uint64_t{0}) > 1;
  if (!differs || !entry["cid"].is_string()) return version;
  return version + "@" + entry["cid"].get<std::string>().substr(0, 16);
}

void show_entries(Output& output, const api::Json& answer) {
  const auto& entries = answer["entries"];
  const std::uint64_t total = answer.value("total", std::uint64_t{0});
  const std::uint64_t offset = answer.value("offset", std::uint64_t{0});
  if (entries.empty()) {
    output.note(total == 0 ? "nothing: no peer's library, nor one here, has such an entry"
                           : fmt::format("nothing from {} on: there are {}", offset, total));
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"ENTRY", "NAME", "VERSION", "SIZE", "TOPIC", "PEERS", "WHERE"}};
  for (const auto& entry : entries) {
    const std::string state = entry.value("availability", "");
    std::string size = runtime::human_bytes(entry.value("bytes", std::uint64_t{0}));
    if (state == "hashing" || state == "downloading") size += ", " + state;
    rows.push_back({shown(entry, "id"), shown(entry, "name"), version_of(entry), std::move(size),
                    shown(entry, "topic"),
                    fmt::format("{}", entry.value("peers_count", std::uint64_t{0})), where(entry)});
  }
  output.text(format_table(rows));
  const std::uint64_t end = offset + entries.size();
  if (end < total) output.note(fmt::format("{} more: '--offset {}'", total - end, end));
}

ExitCode run_catalog(Invocation& invocation) {
  return ask(invocation, {.method = "GET", .target = target_of("/api/v1/catalog", invocation.args)},
             invocation.args.text("PATTERN"),
             [&](const api::Json& answer) { show_entries(invocation.output, answer); });
}

ExitCode run_peers(Invocation& invocation) {
  return ask(invocation, {.method = "GET", .target = "/api/v1/catalog/peers"}, "",
             [&](const api::Json& answer) {
               if (answer["peers"].empty()) {
                 invocation.output.note("no peer has told of its libraries yet");
                 return;
               }
               std::vector<std::vector<std::string>> rows{
                   {"PEER", "ENTRIES", "MODE", "STATE", "LAST SEEN"}};
               for (const auto& peer : answer["peers"]) {
                 std::string state = "away";
                 if (peer.value("connected", false)) {
                   state = peer.value("complete", false) ? "complete" : "being told";
                 }
                 rows.push_back({shown(peer, "peer_id", 64),
                                 fmt::format("{}", peer.value("entries", std::uint64_t{0})),
                                 shown(peer, "mode"), std::move(state), shown(peer, "last_seen")});
               }
               invocation.output.text(format_table(rows));
             });
}

ExitCode run_topics(Invocation& invocation) {
  return ask(invocation, {.method = "GET", .target = target_of("/api/v1/topics", invocation.args)},
             "", [&](const api::Json& answer) {
               if (answer["topics"].empty()) {
                 invocation.output.note("no entry has a topic");
                 return;
               }
               std::vector<std::vector<std::string>> rows{{"TOPIC", "ENTRIES", "SUBSCRIBED"}};
               for (const auto& topic : answer["topics"]) {
                 std::string patterns;
                 for (const auto& pattern : topic["patterns"]) {
                   if (!patterns.empty()) patterns += ", ";
                   patterns += pattern.get<std::string>();
                 }
                 rows.push_back({shown(topic, "topic", 255),
                                 fmt::format("{}", topic.value("entries", std::uint64_t{0})),
                                 patterns.empty() ? "-" : std::move(patterns)});
               }
               invocation.output.text(format_table(rows));
             });
}

void show_subscriptions(Output& output, const api::Json& answer) {
  const std::string mode = answer.value("mode", "");
  if (answer["subscriptions"].empty()) {
    output.note("no subscriptions yet");
    output.note("next: 'warren topics', then 'warren subscribe PATTERN'");
  } else {
    std::vector<std::vector<std::string>> rows{{"PATTERN", "FETCHED", "SINCE"}};
    for (const auto& each : answer["subscriptions"]) {
      const bool on_demand = each.value("on_demand", false) || mode == "proxy";
      rows.push_back({shown(each, "pattern", 255), on_demand ? "on demand" : "by itself",
                      shown(each, "since")});
    }
    output.text(format_table(rows));
  }
  if (mode == "proxy") {
    output.note("mode proxy: nothing is fetched by itself; 'mode: selective' in config.yaml does");
    return;
  }
  const auto fetched = answer.value("fetched", std::uint64_t{0});
  output.note(fmt::format("mode {}, to {}: {} {} fetched since the start", mode,
                          shown(answer, "folder", 200), fetched,
                          fetched == 1 ? "entry" : "entries"));
  const std::string problem = answer.value("problem", "");
  if (!problem.empty()) output.note("nothing can be fetched: " + node::escape_line(problem));
}

ExitCode run_subscribe(Invocation& invocation) {
  const std::string pattern = invocation.args.text("PATTERN");
  if (pattern.empty()) {
    if (invocation.args.flag("on-demand")) {
      return invocation.output.failure(
          Error(ErrorCode::kInvalidArgument, "--on-demand needs a PATTERN"));
    }
    return ask(invocation, {.method = "GET", .target = "/api/v1/subscriptions"}, "",
               [&](const api::Json& answer) { show_subscriptions(invocation.output, answer); });
  }
  return ask(
      invocation,
      {.method = "POST",
       .target = "/api/v1/subscriptions",
       .body = {{"pattern", pattern}, {"on_demand", invocation.args.flag("on-demand")}}},
      pattern, [&](const api::Json& answer) {
        invocation.output.text(fmt::format("subscribed to {}\n", shown(answer, "pattern", 255)));
      });
}

ExitCode run_unsubscribe(Invocation& invocation) {
  const std::string pattern = invocation.args.text("PATTERN");
  return ask(
      invocation,
      {.method = "DELETE", .target = "/api/v1/subscriptions", .body = {{"pattern", pattern}}},
      pattern, [&](const api::Json& answer) {
        invocation.output.text(fmt::format("no longer subscribed to {} (what was fetched stays)\n",
                                           shown(answer, "pattern", 255)));
      });
}

constexpr std::array<CommandSpec, 2> kCatalogVerbs{{
    {.name = "catalog search",
     .summary = "entries whose name or id has a text in it",
     .example = "warren catalog search quake",
     .options = kSearchOptions,
     .run = run_catalog},
    {.name = "catalog peers",
     .summary = "whose libraries are known, and how well",
     .example = "warren catalog peers",
     .options = {},
     .run = run_peers},
}};

}  // namespace

CommandSpec catalog_command() {
  return {.name = "catalog",
          .summary = "what the libraries of all peers offer, also of those that are away",
          .example = "warren catalog --topic 'weather/*'",
          .options = kListOptions,
          .run = run_catalog,
          .verbs = kCatalogVerbs};
}

CommandSpec topics_command() {
  return {.name = "topics",
          .summary = "the topics of the entries in the catalog",
          .example = "warren topics",
          .options = kTopicsOptions,
          .run = run_topics};
}

CommandSpec subscribe_command() {
  return {.name = "subscribe",
          .summary = "have entries of a topic fetched by themselves (in mode selective)",
          .example = "warren subscribe 'weather/*'",
          .options = kSubscribeOptions,
          .run = run_subscribe};
}

CommandSpec unsubscribe_command() {
  return {.name = "unsubscribe",
          .summary = "end a subscription; what was fetched stays",
          .example = "warren unsubscribe 'weather/*'",
          .options = kUnsubscribeOptions,
          .run = run_unsubscribe};
}

}  // namespace warren::cli
