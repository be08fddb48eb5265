#include "cli/app.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/help.hpp"
#include "cli/parser.hpp"
#include "cli/session.hpp"
#include "node/escape.hpp"
#include "node/nearest.hpp"

namespace warren::cli {
namespace {

ExitCode show_help(const HelpWanted& wanted, Output& output) {
  std::optional<std::string> text;
  if (wanted.command != nullptr) {
    text = help_on(*wanted.command);
  } else if (wanted.topic.empty()) {
    text = help_on_all();
  } else {
    text = help_on_topic(wanted.topic);
  }
  if (!text) {
    std::vector<std::string_view> known = help_topics();
    const std::string topics = fmt::format("{}", fmt::join(known, ", "));
    for (const CommandSpec& command : commands()) known.push_back(command.name);
    const auto near = node::nearest(wanted.topic, known);
    const std::string shown = node::escape_for_display(wanted.topic);
    return output.failure(
        Error(ErrorCode::kInvalidArgument,
              near ? fmt::format("there is no help on '{}'; did you mean '{}'?", shown, *near)
                   : fmt::format("there is no help on '{}'", shown),
              "topics: " + topics + "; or the name of a command"));
  }
  output.text(*text);
  return output.success(nlohmann::json{{"help", *text}});
}

ExitCode run_command(const ParsedCommand& parsed, Terminal terminal,
                     const node::Environment& environment) {
  const CommandSpec& command = *parsed.command;
  Output output(terminal, parsed.args.flag("json"), std::string(command.name), command.streams);
  const auto paths = parsed.args.flag("home") ? node::paths_under(parsed.args.text("home"))
                                              : node::xdg_paths(environment);
  if (!paths) return output.failure(paths.error());
  Session session(output, *paths, parsed.args.seconds("timeout"));
  Invocation invocation{.args = parsed.args,
                        .output = output,
                        .paths = *paths,
                        .session = session,
                        .environment = environment};
  return command.run(invocation);
}

}  // namespace

ExitCode run(std::vector<std::string> words, Terminal terminal,
             const node::Environment& environment) {
  const bool json = asks_for_json(words);
  const auto parsed = parse_command_line(std::move(words));
  Output output(terminal, json, "", /*streams=*/true);
  if (!parsed) return output.failure(parsed.error());
  if (std::holds_alternative<NothingWanted>(*parsed)) {
    output.text(overview());
    return ExitCode::kOk;
  }
  if (const auto* help = std::get_if<HelpWanted>(&*parsed)) return show_help(*help, output);
  return run_command(std::get<ParsedCommand>(*parsed), terminal, environment);
}

}  // namespace warren::cli
