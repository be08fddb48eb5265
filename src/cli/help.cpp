#include "cli/help.hpp"

#include <fmt/format.h>

#include <array>

#include "cli/format.hpp"
#include "node/version.hpp"

namespace warren::cli {
namespace {

constexpr std::string_view kDiscoveryTopic =
    "How nodes find each other\n"
    "\n"
    "mdns       on one network: each node announces itself and listens for others\n"
    "multicast  on one network, by signed beacons on a group and port of their own\n"
    "bootstrap  from a list of first peers in config.yaml; empty unless you fill it\n"
    "pex        from peers: each one tells of a few others, in records that they signed\n"
    "manual     by hand: 'warren status' on one machine lists its addresses, 'warren connect\n"
    "           ADDRESS' or 'warren peers add ADDRESS --key KEY' on the other connects\n"
    "\n"
    "What a node hears is a hint; the handshake of the connection proves who answers. An address\n"
    "that ends in /p2p/ID accepts only that identity. Nothing here asks a server on the Internet\n"
    "unless the bootstrap list names one.\n"
    "\n"
    "'warren discover' shows what each way saw, 'warren doctor' what stands in the way. Each one "
    "is\n"
    "switched in config.yaml ('warren config default').\n";

constexpr std::string_view kFilesTopic =
    "Where things are\n"
    "\n"
    "               default                               with --home DIR\n"
    "configuration  $XDG_CONFIG_HOME/warren/config.yaml   DIR/config.yaml\n"
    "identity       $XDG_STATE_HOME/warren/identity.pem   DIR/state/identity.pem\n"
    "state          $XDG_STATE_HOME/warren/               DIR/state/\n"
    "downloads      $XDG_DATA_HOME/warren/                DIR/data/\n"
    "socket         $XDG_RUNTIME_DIR/warren/api.sock      DIR/run/api.sock\n"
    "\n"
    "Shared files stay where they are.\n"
    "\n"
    "config.yaml: 'warren config default' prints one with every key, 'warren config check' looks\n"
    "whether one is right, 'warren config show --origin' says what is in force and why. A node\n"
    "takes a changed file at once.\n";

constexpr std::string_view kJsonTopic =
    "--json\n"
    "\n"
    "Every command prints JSON lines to stdout. The last one is the result:\n"
    "{\"type\":\"result\",\"v\":1,\"ok\":true,\"code\":0,...}\n"
    "with the fields of the answer, or, when it failed, \"ok\":false and an \"error\" with code, "
    "name,\n"
    "message, item, hint and retryable. 'code' is the exit code. Commands that take long print\n"
    "lines of other types before it, such as \"progress\". Sizes are bytes, durations seconds, "
    "rates\n"
    "bytes a second, times RFC 3339 in UTC, ids whole. Fields may be added; none is changed or\n"
    "removed while \"v\" is 1.\n";

struct Topic {
  std::string_view name;
  std::string_view summary;
};
constexpr std::array<Topic, 4> kTopics{{
    {"exit-codes", "what each exit code means"},
    {"discovery", "how nodes find each other"},
    {"files", "where things are, and the configuration"},
    {"json", "the form of --json"},
}};

std::string usage(const CommandSpec& command) {
  std::string text = fmt::format("Usage: warren {}", command.name);
  for (const OptionSpec& option : command.options) {
    if (option.is_argument()) text += fmt::format(" {}", option.name);
  }
  for (const OptionSpec& option : command.options) {
    if (option.is_argument()) continue;
    const std::string_view shortest = option.name.substr(0, option.name.find(','));
    text += option.value.empty() ? fmt::format(" [{}]", shortest)
                                 : fmt::format(" [{} {}]", shortest, option.value);
    if (option.kind == ValueKind::kList) text += "...";
  }
  return text;
}

std::string option_rows(std::span<const OptionSpec> options) {
  std::vector<std::vector<std::string>> rows;
  for (const OptionSpec& option : options) {
    std::string name = fmt::format("  {}", option.name);
    if (const auto comma = name.find(','); comma != std::string::npos) name.insert(comma + 1, " ");
    if (!option.value.empty()) name += fmt::format(" {}", option.value);
    rows.push_back({std::move(name), std::string(option.help)});
  }
  return format_table(rows);
}

}  // namespace

std::string overview() {
  return "warren: machines find each other and share folders, with no server in the middle\n"
         "\n"
         "Usage: warren [--home DIR] [--json] COMMAND [ARGUMENTS]\n"
         "\n"
         "  run a node here           warren up\n"
         "  see how it is             warren status\n"
         "  see who is there          warren peers\n"
         "  share a folder            warren share ~/photos\n"
         "  fetch what a peer shares  warren get photos --out ~/Downloads\n"
         "  see the downloads         warren transfers\n"
         "\n"
         "'warren --help' lists every command, 'warren help COMMAND' explains one.\n";
}

std::string help_on_all() {
  std::string text = fmt::format(
      "warren {}\n\nUsage: warren [--home DIR] [--json] COMMAND [ARGUMENTS]\n\n"
      "Commands:\n",
      node::version());
  std::vector<std::vector<std::string>> rows;
  for (const CommandSpec& command : commands()) {
    if (command.hidden) continue;
    rows.push_back({fmt::format("  {}", command.name), std::string(command.summary)});
  }
  text += format_table(rows) + "\nOptions of every command:\n" + option_rows(global_options());
  text += "  -h, --help          this text, or that on a command\n\nTopics (warren help TOPIC):\n";
  rows.clear();
  for (const Topic& topic : kTopics) {
    rows.push_back({fmt::format("  {}", topic.name), std::string(topic.summary)});
  }
  return text + format_table(rows);
}

std::string help_on(const CommandSpec& command) {
  std::string text =
      fmt::format("warren {}: {}\n\n{}\n", command.name, command.summary, usage(command));
  if (!command.options.empty()) text += "\n" + option_rows(command.options);
  if (!command.verbs.empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const CommandSpec& verb : command.verbs) {
      rows.push_back({fmt::format("  {}", verb.name), std::string(verb.summary)});
    }
    text += "\nCommands:\n" + format_table(rows);
  }
  text += "\nOptions of every command:\n" + option_rows(global_options());
  return text + fmt::format("\nExample: {}\n", command.example);
}

std::optional<std::string> help_on_topic(std::string_view topic) {
  if (topic == "exit-codes") return "Exit codes\n\n" + exit_code_table();
  if (topic == "discovery") return std::string(kDiscoveryTopic);
  if (topic == "files") return std::string(kFilesTopic);
  if (topic == "json") return std::string(kJsonTopic);
  return std::nullopt;
}

std::vector<std::string_view> help_topics() {
  std::vector<std::string_view> all;
  for (const Topic& topic : kTopics) all.push_back(topic.name);
  return all;
}

}  // namespace warren::cli
