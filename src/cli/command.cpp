#include "cli/command.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "cli/commands.hpp"
#include "node/config.hpp"

namespace warren::cli {
namespace {

constexpr std::array<OptionSpec, 4> kGlobalOptions{{
    {.name = "--home",
     .value = "DIR",
     .help = "keep configuration, state, data and socket under DIR"},
    {.name = "--json",
     .value = "",
     .help = "print JSON lines, the result last",
     .kind = ValueKind::kFlag},
    {.name = "--progress",
     .value = "MODE",
     .help = "none, plain or bar; by default what fits stderr"},
    {.name = "--timeout",
     .value = "SECONDS",
     .help = "give up after so long, with exit code 124",
     .kind = ValueKind::kSeconds,
     .most = 365u * 86'400u},
}};

}  // namespace

std::string OptionSpec::key() const {
  const std::size_t comma = name.rfind(',');
  std::string_view longest = comma == std::string_view::npos ? name : name.substr(comma + 1);
  while (longest.starts_with('-')) longest.remove_prefix(1);
  return std::string(longest);
}

std::string Args::text(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() || found->second.empty() ? std::string() : found->second.back();
}

std::vector<std::string> Args::list(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::optional<std::uint64_t> Args::number(std::string_view key) const {
  const std::string value = text(key);
  if (value.empty()) return std::nullopt;
  const auto bytes = node::parse_bytes(value);  // Plain digits are bytes, too.
  if (!bytes) return std::nullopt;
  return *bytes;
}

std::optional<double> Args::seconds(std::string_view key) const {
  const std::string value = text(key);
  double seconds = 0;
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (value.empty() || code != std::errc{} || end != value.data() + value.size()) {
    return std::nullopt;
  }
  return seconds;
}

std::span<const CommandSpec> commands() {
  static const std::array kCommands{
      up_command(),          status_command(),     id_command(),        peers_command(),
      connect_command(),     disconnect_command(), ping_command(),      perf_command(),
      share_command(),       shares_command(),     unshare_command(),   verify_command(),
      library_command(),     catalog_command(),    topics_command(),    subscribe_command(),
      unsubscribe_command(), sync_command(),       get_command(),       install_command(),
      update_command(),      uninstall_command(),  transfers_command(), pause_command(),
      resume_command(),      cancel_command(),     config_command(),    discover_command(),
      doctor_command(),      interop_command()};
  return kCommands;
}

const CommandSpec* find_command(std::string_view name) {
  const auto found = std::ranges::find(commands(), name, &CommandSpec::name);
  return found == commands().end() ? nullptr : &*found;
}

std::string_view last_word(const CommandSpec& command) {
  return command.name.substr(command.name.rfind(' ') + 1);
}

const CommandSpec* find_verb(const CommandSpec& command, std::string_view word) {
  const auto found = std::ranges::find(command.verbs, word, last_word);
  return found == command.verbs.end() ? nullptr : &*found;
}

std::span<const OptionSpec> global_options() { return kGlobalOptions; }

}  // namespace warren::cli
