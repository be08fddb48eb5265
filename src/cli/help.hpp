#pragma once
// What `warren`, `warren --help`, `warren help COMMAND` and `warren help TOPIC` print.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"

namespace warren::cli {

/// At most 25 lines: what it is, and one example for each task. Source: quality statement CL-10.
std::string overview();
/// Usage, all commands, global options, topics.
std::string help_on_all();
std::string help_on(const CommandSpec& command);
/// nullopt for a topic that does not exist.
std::optional<std::string> help_on_topic(std::string_view topic);
std::vector<std::string_view> help_topics();

}  // namespace warren::cli
