#pragma once
// What a command is: one row of the table, from which parser, help and tests are made.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/exit_code.hpp"

namespace warren::cli {

enum class ValueKind : std::uint8_t {
  kFlag,     ///< No value.
  kText,     ///< Any text.
  kNumber,   ///< A whole number within [least, most].
  kBytes,    ///< The same, also written as 64KiB, 1MiB, 2GiB.
  kSeconds,  ///< A number of seconds, with fractions, within [least, most].
  kList,     ///< A text that may be given several times.
};

/// One argument or option.
struct OptionSpec {
  std::string_view name;   ///< "PATH" for an argument, "--out" or "-c,--count" for an option.
  std::string_view value;  ///< "DIR": what stands for the value in help; empty for a flag.
  std::string_view help;
  ValueKind kind = ValueKind::kText;
  bool required = false;
  std::uint64_t least = 0;
  std::uint64_t most = UINT64_MAX;

  bool is_argument() const { return !name.starts_with('-'); }
  /// The name under which Args has it: "out", "count", "PATH".
  std::string key() const;
};

/// The values of one command line, checked against their OptionSpec.
class Args {
 public:
  void set(std::string key, std::vector<std::string> values) {
    values_[std::move(key)] = std::move(values);
  }
  bool flag(std::string_view key) const { return values_.contains(key); }
  /// Empty when not given.
  std::string text(std::string_view key) const;
  std::vector<std::string> list(std::string_view key) const;
  std::optional<std::uint64_t> number(std::string_view key) const;
  std::optional<double> seconds(std::string_view key) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

struct Invocation;

struct CommandSpec {
  std::string_view name;
  std::string_view summary;  ///< One line, no full stop.
  std::string_view example;
  std::span<const OptionSpec> options;
  /// Prints lines before the result: with --json an error is a line of its own, too.
  bool streams = false;
  /// Left out of the list of commands, explained when asked for: what is for programs, and short
  /// forms of verbs.
  bool hidden = false;
  ExitCode (*run)(Invocation& invocation) = nullptr;
  /// Commands of their own behind this one's name, like "peers add", which is the `name` of one.
  /// Without such a word `run` runs; null: a word is needed.
  std::span<const CommandSpec> verbs{};
};

/// `command` as a verb: another name, and in the list of verbs.
constexpr CommandSpec verb_of(CommandSpec command, std::string_view name,
                              std::string_view example) {
  command.name = name;
  command.example = example;
  command.hidden = false;
  return command;
}

/// Every command, in the order of help.
std::span<const CommandSpec> commands();
const CommandSpec* find_command(std::string_view name);
/// The one of `command` whose name ends in `word`.
const CommandSpec* find_verb(const CommandSpec& command, std::string_view word);
/// "add" of "peers add".
std::string_view last_word(const CommandSpec& command);

/// Options that every command takes.
std::span<const OptionSpec> global_options();

}  // namespace warren::cli
