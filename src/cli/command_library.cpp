// `warren library` with its verbs.

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "api/client.hpp"
#include "api/router.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "cli/verification.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr OptionSpec kPath{
    .name = "PATH", .value = "", .help = "a library folder", .required = true};
constexpr std::array<OptionSpec, 1> kPathOptions{{kPath}};
constexpr std::array<OptionSpec, 1> kSomePathOptions{{
    {.name = "PATH", .value = "", .help = "a library folder; all of them without it"},
}};
constexpr OptionSpec kFor{.name = "--for",
                          .value = "WHO",
                          .help =
                              "who may see it: lan, anyone, trusted, or peers by id or name, "
                              "separated by commas (lan)"};
constexpr OptionSpec kTopic{
    .name = "--topic", .value = "TOPIC", .help = "the topic of entries that name none"};
constexpr OptionSpec kSentinel{.name = "--sentinel",
                               .value = "FILE",
                               .help = "the file in an entry that says its version (version.ini)"};
constexpr OptionSpec kFormat{
    .name = "--sentinel-format", .value = "FORMAT", .help = "how it says so: line, keys, or auto"};
constexpr OptionSpec kRequired{.name = "--require-sentinel",
                               .value = "",
                               .help = "an entry without that file is not complete, and not shared",
                               .kind = ValueKind::kFlag};
constexpr OptionSpec kNotRequired{.name = "--no-require-sentinel",
                                  .value = "",
                                  .help = "entries need no such file",
                                  .kind = ValueKind::kFlag};
constexpr OptionSpec kExpect{.name = "--expect",
                             .value = "ENTRY=VERSION",
                             .help = "share an entry in this version only; may be repeated",
                             .kind = ValueKind::kList};
constexpr std::array<OptionSpec, 7> kAddOptions{
    {kPath, kFor, kTopic, kSentinel, kFormat, kRequired, kExpect}};
constexpr std::array<OptionSpec, 8> kSetOptions{
    {kPath, kFor, kTopic, kSentinel, kFormat, kRequired, kNotRequired, kExpect}};
constexpr std::array<OptionSpec, 2> kScanOptions{{
    {.name = "PATH", .value = "", .help = "a library folder; all of them without it"},
    {.name = "--wait",
     .value = "SECONDS",
     .help = "until everything is read and hashed, so long at most",
     .kind = ValueKind::kSeconds,
     .most = 86'400},
}};
constexpr std::array<OptionSpec, 1> kEntryOptions{{
    {.name = "ENTRY", .value = "", .help = "as 'library list' names it", .required = true},
}};

constexpr std::array<OptionSpec, 3> kPruneOptions{{
    {.name = "ENTRY", .value = "", .help = "only this one"},
    {.name = "--force",
     .value = "",
     .help = "also what the mode wants, and the last copy that is to be seen",
     .kind = ValueKind::kFlag},
    {.name = "--dry-run",
     .value = "",
     .help = "only say what would be freed",
     .kind = ValueKind::kFlag},
}};

/// Absolute, without a final slash.
Result<std::string> absolute_path(const std::string& given) {
  std::error_code error;
  std::string path = std::filesystem::absolute(given, error).lexically_normal().string();
  if (error) return fail(system_error("cannot find " + given, error.value()));
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string shown(const api::Json& object, const char* key, std::size_t most = 60) {
  const std::string text = node::escape_for_display(object.value(key, ""), most);
  return text.empty() ? "-" : text;
}

Result<api::Json> settings_body(const Args& args) {
  WARREN_TRY(std::string path, absolute_path(args.text("PATH")));
  api::Json body{{"path", std::move(path)}};
  const std::array<std::pair<const char*, const char*>, 4> texts{
      {{"for", "audience"},
       {"topic", "topic"},
       {"sentinel", "sentinel"},
       {"sentinel-format", "sentinel_format"}}};
  for (const auto& [option, field] : texts) {
    if (args.flag(option)) body[field] = args.text(option);
  }
  if (args.flag("require-sentinel")) body["sentinel_required"] = true;
  if (args.flag("no-require-sentinel")) body["sentinel_required"] = false;
  if (args.flag("expect")) {
    api::Json expected = api::Json::object();
    for (const std::string& pair : args.list("expect")) {
      const std::size_t equals = pair.rfind('=');
      if (equals == 0 || equals == std::string::npos) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("--expect must be ENTRY=VERSION; found '{}'",
                                node::escape_for_display(pair)));
      }
      expected[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    body["expected"] = std::move(expected);
  }
  return body;
}

ExitCode put_settings(Invocation& invocation, std::string method, std::string_view done) {
  const auto body = settings_body(invocation.args);
  const std::string given = invocation.args.text("PATH");
  if (!body) return invocation.output.failure(body.error(), given);
  return ask(
      invocation, {.method = std::move(method), .target = "/api/v1/library", .body = *body}, given,
      [&](const api::Json& folder) {
        invocation.output.text(fmt::format("{} {} (for {})\n", done, shown(folder, "path", 200),
                                           shown(folder, "audience", 200)));
      });
}

ExitCode run_add(Invocation& invocation) {
  const ExitCode code = put_settings(invocation, "POST", "added");
  if (code == ExitCode::kOk) invocation.output.note("next: 'warren library list'");
  return code;
}
ExitCode run_set(Invocation& invocation) { return put_settings(invocation, "PATCH", "changed"); }

ExitCode run_remove(Invocation& invocation) {
  const std::string given = invocation.args.text("PATH");
  const auto path = absolute_path(given);
  if (!path) return invocation.output.failure(path.error(), given);
  return ask(
      invocation, {.method = "DELETE", .target = "/api/v1/library", .body = {{"path", *path}}},
      given, [&](const api::Json& folder) {
        invocation.output.text(fmt::format("no longer a library folder: {} (its files stay)\n",
                                           shown(folder, "path", 200)));
      });
}

ExitCode run_folders(Invocation& invocation) {
  return ask(
      invocation, {.method = "GET", .target = "/api/v1/library"}, "", [&](const api::Json& answer) {
        Output& output = invocation.output;
        if (answer["folders"].empty()) {
          output.note("no library folders yet");
          output.note("next: 'warren library add PATH'");
          return;
        }
        std::vector<std::vector<std::string>> rows{{"PATH", "ENTRIES", "FOR", "TOPIC"}};
        std::string problems;
        for (const auto& folder : answer["folders"]) {
          rows.push_back({shown(folder, "path", 200), fmt::format("{}", folder.value("entries", 0)),
                          shown(folder, "audience"), shown(folder, "topic")});
          const std::string problem = folder.value("problem", "");
          if (!problem.empty()) {
            problems += fmt::format("{}: {}\n", shown(folder, "path", 200),
                                    node::escape_for_display(problem, 300));
          }
          for (const auto& name : folder["left_out"]) {
            problems += fmt::format("{}: '{}' is left out: {}\n", shown(folder, "path", 200),
                                    shown(name, "name"), shown(name, "message", 200));
          }
        }
        output.text(format_table(rows) + problems);
      });
}

std::string state_of(const api::Json& entry) {
  std::string state = entry.value("availability", "");
  if (state == "local_only") state = "local only";
  const std::string work = entry.value("work", "");
  if (work != "nothing" && work != "waiting" && work != state) state += ", " + work;
  if (entry.value("installed", false)) state += ", installed";
  if (!entry.value("downloaded", true)) state += ", not downloaded";
  return state;
}

ExitCode run_list(Invocation& invocation) {
  std::string target = "/api/v1/library/entries";
  const std::string given = invocation.args.text("PATH");
  if (!given.empty()) {
    const auto path = absolute_path(given);
    if (!path) return invocation.output.failure(path.error(), given);
    target += "?path=" + api::percent_encode(*path);
  }
  return ask(invocation, {.method = "GET", .target = std::move(target)}, given,
             [&](const api::Json& answer) {
               Output& output = invocation.output;
               if (answer["entries"].empty()) {
                 output.note("no entries: each folder in a library folder is one");
                 return;
               }
               std::vector<std::vector<std::string>> rows{
                   {"ENTRY", "VERSION", "STATE", "FILES", "SIZE", "TOPIC"}};
               std::string problems;
               for (const auto& entry : answer["entries"]) {
                 rows.push_back({shown(entry, "id"), shown(entry, "version"), state_of(entry),
                                 fmt::format("{}", entry.value("files", std::uint64_t{0})),
                                 runtime::human_bytes(entry.value("bytes", std::uint64_t{0})),
                                 shown(entry, "topic")});
                 const std::string problem = entry.value("problem", "");
                 if (!problem.empty()) {
                   problems += fmt::format("{}: {}\n", shown(entry, "id"),
                                           node::escape_for_display(problem, 300));
                 }
               }
               output.text(format_table(rows) + problems);
             });
}

ExitCode run_show(Invocation& invocation) {
  const std::string id = invocation.args.text("ENTRY");
  return ask(
      invocation, {.method = "GET", .target = "/api/v1/library/entries/" + api::percent_encode(id)},
      id, [&](const api::Json& entry) {
        const std::string cid = entry["cid"].is_string() ? entry["cid"].get<std::string>() : "-";
        invocation.output.text(fmt::format(
            "entry    {}\nname     {}\nversion  {}\nstate    {}\nfiles    {}\nsize     {}\n"
            "topic    {}\ncid      {}\nfolder   {}\n",
            shown(entry, "id", 255), shown(entry, "name", 255), shown(entry, "version"),
            state_of(entry), entry.value("files", std::uint64_t{0}),
            runtime::human_bytes(entry.value("bytes", std::uint64_t{0})),
            shown(entry, "topic", 255), cid, shown(entry, "folder", 300)));
      });
}

ExitCode run_scan(Invocation& invocation) {
  api::Json body = api::Json::object();
  const std::string given = invocation.args.text("PATH");
  if (!given.empty()) {
    const auto path = absolute_path(given);
    if (!path) return invocation.output.failure(path.error(), given);
    body["path"] = *path;
  }
  if (const auto wait = invocation.args.seconds("wait")) body["wait"] = *wait;
  return ask(invocation,
             {.method = "POST", .target = "/api/v1/library/scan", .body = std::move(body)}, given,
             [&](const api::Json& answer) {
               std::uint64_t entries = 0;
               for (const auto& folder : answer["folders"]) {
                 entries += folder.value("entries", std::uint64_t{0});
               }
               invocation.output.text(
                   fmt::format("{}: {}\n", invocation.args.flag("wait") ? "scanned" : "scanning",
                               fmt::format("{} {}", entries, entries == 1 ? "entry" : "entries")));
             });
}

ExitCode run_verify(Invocation& invocation) {
  const std::string id = invocation.args.text("ENTRY");
  return verify_at(invocation,
                   fmt::format("/api/v1/library/entries/{}/verify", api::percent_encode(id)), id);
}

ExitCode run_prune(Invocation& invocation) {
  const std::string entry = invocation.args.text("ENTRY");
  api::Json body{{"entry", entry},
                 {"force", invocation.args.flag("force")},
                 {"dry_run", invocation.args.flag("dry-run")}};
  return ask(
      invocation, {.method = "POST", .target = "/api/v1/library/prune", .body = std::move(body)},
      entry, [&](const api::Json& answer) {
        std::string text;
        const bool dry_run = answer.value("dry_run", false);
        for (const auto& item : answer["freed"]) {
          text +=
              fmt::format("{} {} ({})\n", dry_run ? "would free" : "freed", shown(item, "id", 255),
                          runtime::human_bytes(bytes_of(item, "bytes")));
        }
        for (const auto& item : answer["kept"]) {
          text += fmt::format("kept {}: {}\n", shown(item, "id", 255), shown(item, "reason", 300));
        }
        invocation.output.text(text);
        invocation.output.note(fmt::format("{} {}",
                                           runtime::human_bytes(bytes_of(answer, "bytes_freed")),
                                           dry_run ? "would be freed" : "freed"));
      });
}

constexpr std::array<CommandSpec, 8> kLibraryVerbs{{
    {.name = "library add",
     .summary = "show what is in a folder to others: each folder in it is an entry",
     .example = "warren library add ~/games --for lan",
     .options = kAddOptions,
     .run = run_add},
    {.name = "library set",
     .summary = "change who may see a library folder, its topic or its sentinel",
     .example = "warren library set ~/games --for trusted",
     .options = kSetOptions,
     .run = run_set},
    {.name = "library remove",
     .summary = "take a library folder out of the catalog; its files stay",
     .example = "warren library remove ~/games",
     .options = kPathOptions,
     .run = run_remove},
    {.name = "library list",
     .summary = "the entries of the library folders",
     .example = "warren library list",
     .options = kSomePathOptions,
     .run = run_list},
    {.name = "library show",
     .summary = "all that is known of an entry",
     .example = "warren library show quake",
     .options = kEntryOptions,
     .run = run_show},
    {.name = "library scan",
     .summary = "look through a library folder now",
     .example = "warren library scan --wait 60",
     .options = kScanOptions,
     .run = run_scan},
    {.name = "library verify",
     .summary = "read an entry again and compare every byte",
     .example = "warren library verify quake",
     .options = kEntryOptions,
     .streams = true,
     .run = run_verify},
    {.name = "library prune",
     .summary = "free what this node fetched by itself and its mode does not want any more",
     .example = "warren library prune --dry-run",
     .options = kPruneOptions,
     .run = run_prune},
}};

}  // namespace

CommandSpec library_command() {
  return {.name = "library",
          .summary = "folders whose entries others see in their catalogs; add, list, scan",
          .example = "warren library",
          .options = {},
          .run = run_folders,
          .verbs = kLibraryVerbs};
}

}  // namespace warren::cli
