#pragma once
// From the words of a command line to a command and its checked values. The only user of CLI11.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "cli/command.hpp"

namespace warren::cli {

struct ParsedCommand {
  const CommandSpec* command = nullptr;
  Args args;  ///< Its own options and the global ones.
};
/// The person asked for help on a command, on a topic, or (both empty) on all.
struct HelpWanted {
  const CommandSpec* command = nullptr;
  std::string topic;
};
/// No word at all: the overview.
struct NothingWanted {};

using Parsed = std::variant<ParsedCommand, HelpWanted, NothingWanted>;

/// `words` without the program's name. Errors: kInvalidArgument with a suggestion where one is
/// near.
Result<Parsed> parse_command_line(std::vector<std::string> words);

/// Whether --json stands in front of a "--": also where the rest cannot be parsed.
bool asks_for_json(const std::vector<std::string>& words);

}  // namespace warren::cli
