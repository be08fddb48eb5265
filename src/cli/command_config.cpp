// `warren config`: check, show, default, path, reload.

#include <fmt/format.h>

#include <array>

#include "api/client.hpp"
#include "api/views.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "node/config_schema.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr std::array<OptionSpec, 1> kCheckOptions{{
    {.name = "FILE", .value = "", .help = "the file to look at instead of the node's own"},
}};
constexpr std::array<OptionSpec, 2> kShowOptions{{
    {.name = "--origin",
     .value = "",
     .help = "where each value comes from: the default, a line of the file, a flag of 'up'",
     .kind = ValueKind::kFlag},
    {.name = "--file",
     .value = "",
     .help = "what the file says, also while a node runs",
     .kind = ValueKind::kFlag},
}};

ExitCode run_check(Invocation& invocation) {
  Output& output = invocation.output;
  const std::string given = invocation.args.text("FILE");
  const std::string file = given.empty() ? invocation.paths.config_file : given;
  const auto loaded = node::load_config(file);
  if (!loaded)
    return output.failure(loaded.error(), ExitCode::kUsage, error_name(loaded.error().code()),
                          file);
  const bool exists = runtime::file_info(file).has_value();
  if (!exists && !given.empty()) {
    return output.failure(Error(ErrorCode::kNotFound, "there is no file " + file,
                                "'warren config default' prints one to begin with"),
                          file);
  }
  const std::string shown = node::escape_line(file);
  output.text(!exists ? fmt::format("{}: not there, so the defaults are in force\n", shown)
                      : fmt::format("{}: good, {} set\n", shown,
                                    format_count(loaded->origins.size(), "key")));
  return output.success(
      api::Json{{"file", file}, {"exists", exists}, {"keys_set", loaded->origins.size()}});
}

void show_settings(Output& output, const api::Json& answer, bool with_origin) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer["settings"]) {
    std::vector<std::string> row{one.value("key", ""), node::escape_line(one.value("text", ""))};
    if (with_origin) row.push_back(node::escape_line(one.value("origin", "")));
    if (one["pending"].is_string()) {
      row.back() += fmt::format("  (after a restart: {})",
                                node::escape_line(one["pending"].get<std::string>()));
    }
    rows.push_back(std::move(row));
  }
  output.text(format_table(rows));
  if (answer["problem"].is_object()) {
    output.note("warning: the file is not in force: " +
                node::escape_line(answer["problem"].value("message", "")));
  }
}

ExitCode run_show(Invocation& invocation) {
  Output& output = invocation.output;
  const bool with_origin = invocation.args.flag("origin");
  if (!invocation.args.flag("file")) {
    const auto answer = invocation.session.call({.method = "GET", .target = "/api/v1/config"});
    if (answer) {
      show_settings(output, *answer, with_origin);
      return output.success(*answer);
    }
    if (answer.error().code() != ErrorCode::kNoDaemon) {
      return invocation.session.failure(answer.error());
    }
  }
  const std::string& file = invocation.paths.config_file;
  const auto loaded = node::load_config(file);
  if (!loaded) return output.failure(loaded.error(), file);
  const api::Json answer{{"file", file},
                         {"settings", api::config_view(node::effective(*loaded))},
                         {"problem", nullptr}};
  show_settings(output, answer, with_origin);
  return output.success(answer);
}

ExitCode run_default(Invocation& invocation) {
  const std::string text = node::default_config_text();
  invocation.output.text(text);
  return invocation.output.success(api::Json{{"text", text}});
}

ExitCode run_path(Invocation& invocation) {
  invocation.output.text(invocation.paths.config_file + "\n");
  return invocation.output.success(api::Json{{"file", invocation.paths.config_file}});
}

ExitCode run_reload(Invocation& invocation) {
  return ask(invocation, {.method = "POST", .target = "/api/v1/config/reload"},
             invocation.paths.config_file, [&](const api::Json& answer) {
               invocation.output.text(node::escape_line(answer.value("text", "")) + "\n");
             });
}

constexpr std::array<CommandSpec, 5> kVerbs{{
    {.name = "config check",
     .summary = "whether a configuration file is right; needs no node",
     .example = "warren config check",
     .options = kCheckOptions,
     .run = run_check},
    {.name = "config show",
     .summary = "every value in force: of the node that runs, else of the file",
     .example = "warren config show --origin",
     .options = kShowOptions,
     .run = run_show},
    {.name = "config default",
     .summary = "a file with every key, its default, range and meaning",
     .example = "warren config default",
     .options = {},
     .run = run_default},
    {.name = "config path",
     .summary = "where the configuration file is, or would be",
     .example = "warren config path",
     .options = {},
     .run = run_path},
    {.name = "config reload",
     .summary = "have the node read its file again, as it does by itself on a change",
     .example = "warren config reload",
     .options = {},
     .run = run_reload},
}};

}  // namespace

CommandSpec config_command() {
  return {.name = "config",
          .summary = "check, show or reload the configuration",
          .example = "warren config show --origin",
          .options = {},
          .verbs = kVerbs};
}

}  // namespace warren::cli
