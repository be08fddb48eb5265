#include "cli/parser.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "node/config.hpp"
#include "node/escape.hpp"
#include "node/nearest.hpp"

namespace warren::cli {
namespace {

/// Where the first word from `begin` on is that is neither an option nor the value of one, global
/// or in `own`; the number of words when there is none.
std::size_t next_word(const std::vector<std::string>& words, std::size_t begin,
                      std::span<const OptionSpec> own = {}) {
  const auto takes_value = [](std::span<const OptionSpec> options, const std::string& word) {
    return std::ranges::any_of(options, [&word](const OptionSpec& option) {
      return option.name == word && option.kind != ValueKind::kFlag;
    });
  };
  std::size_t i = begin;
  for (; i < words.size(); ++i) {
    if (!words[i].starts_with('-')) return i;
    if (takes_value(global_options(), words[i]) || takes_value(own, words[i])) ++i;
  }
  return words.size();
}

std::unexpected<Error> unknown_command(const std::string& word) {
  std::vector<std::string_view> known{"help"};
  for (const CommandSpec& command : commands()) known.push_back(command.name);
  const std::string shown = node::escape_for_display(word);
  if (const auto near = node::nearest(word, known)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("there is no command '{}'; did you mean '{}'?", shown, *near),
                "'warren --help' lists the commands");
  }
  return fail(ErrorCode::kInvalidArgument, fmt::format("there is no command '{}'", shown),
              "'warren --help' lists the commands");
}

/// A command that is nothing without one of its verbs.
std::unexpected<Error> unknown_verb(const CommandSpec& command, const std::string& word) {
  std::vector<std::string_view> known;
  for (const CommandSpec& verb : command.verbs) known.push_back(last_word(verb));
  const std::string hint = fmt::format("one of: {}", fmt::join(known, ", "));
  if (word.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'warren {}' needs to know what to do", command.name), hint);
  }
  const std::string shown = node::escape_for_display(word);
  const auto near = node::nearest(word, known);
  return fail(ErrorCode::kInvalidArgument,
              near ? fmt::format("there is no '{} {}'; did you mean '{} {}'?", command.name, shown,
                                 command.name, *near)
                   : fmt::format("there is no '{} {}'", command.name, shown),
              hint);
}

std::string help_hint(const CommandSpec& command) {
  return fmt::format("'warren {} --help' shows how it is used", command.name);
}

Result<> check_value(const OptionSpec& option, const std::string& value) {
  const auto wrong = [&](std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} must be {}; found '{}'", option.name,
                                                         what, node::escape_for_display(value)));
  };
  switch (option.kind) {
    case ValueKind::kFlag: return {};
    case ValueKind::kText:
    case ValueKind::kList:
      if (value.empty())
        return fail(ErrorCode::kInvalidArgument, fmt::format("{} must not be empty", option.name));
      return {};
    case ValueKind::kNumber:
    case ValueKind::kBytes: {
      const bool digits = std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
      const auto number = node::parse_bytes(value);
      if (number && *number >= option.least && *number <= option.most &&
          (digits || option.kind == ValueKind::kBytes)) {
        return {};
      }
      return wrong(fmt::format("a whole number from {} to {}{}", option.least, option.most,
                               option.kind == ValueKind::kBytes ? " (or 64KiB, 1MiB, 2GiB)" : ""));
    }
    case ValueKind::kSeconds: {
      Args one;
      one.set("x", {value});
      const auto seconds = one.seconds("x");
      if (seconds && *seconds >= static_cast<double>(option.least) &&
          *seconds <= static_cast<double>(option.most)) {
        return {};
      }
      return wrong(fmt::format("a number of seconds from {} to {}", option.least, option.most));
    }
  }
  return {};
}

/// CLI11 fills these; they stay in place while it parses.
struct Slot {
  const OptionSpec* spec = nullptr;
  std::vector<std::string> values;
  bool flag = false;
};

void add_options(CLI::App& app, std::span<const OptionSpec> specs,
                 std::vector<std::unique_ptr<Slot>>& slots) {
  for (const OptionSpec& spec : specs) {
    Slot& slot = *slots.emplace_back(std::make_unique<Slot>());
    slot.spec = &spec;
    const std::string name(spec.name);
    if (spec.kind == ValueKind::kFlag) {
      app.add_flag(name, slot.flag);
      continue;
    }
    CLI::Option* option = app.add_option(name, slot.values);
    // One word each time it is named: what follows is an argument.
    option->type_size(1)->expected(1)->allow_extra_args(false);
    if (!spec.is_argument()) {
      option->multi_option_policy(spec.kind == ValueKind::kList ? CLI::MultiOptionPolicy::TakeAll
                                                                : CLI::MultiOptionPolicy::TakeLast);
    }
    option->required(spec.required);
  }
}

/// What CLI11 found wrong, in our words.
Error usage_error(const CLI::App& app, const CommandSpec& command, const CLI::ParseError& thrown) {
  std::vector<std::string> extras = app.remaining(/*recurse=*/true);
  for (const CLI::App* part : app.get_subcommands()) {
    for (const CLI::Option* option : part->get_options()) {
      if (option->get_positional() && option->results().size() > 1) {
        extras.push_back(option->results()[1]);
      }
    }
  }
  if (!extras.empty()) {
    const std::string shown = node::escape_for_display(extras.front());
    if (!extras.front().starts_with('-')) {
      return {ErrorCode::kInvalidArgument, fmt::format("'{}' is one argument too many", shown),
              help_hint(command)};
    }
    std::vector<std::string_view> known{"--help"};
    const auto add = [&](std::string_view name) {
      known.push_back(name.substr(name.find("--") == std::string_view::npos ? 0 : name.find("--")));
    };
    for (const OptionSpec& option : command.options) {
      if (!option.is_argument()) add(option.name);
    }
    for (const OptionSpec& option : global_options()) add(option.name);
    const auto near = node::nearest(extras.front(), known);
    return {ErrorCode::kInvalidArgument,
            near ? fmt::format("there is no option '{}'; did you mean '{}'?", shown, *near)
                 : fmt::format("there is no option '{}'", shown),
            help_hint(command)};
  }
  for (const OptionSpec& option : command.options) {
    if (dynamic_cast<const CLI::RequiredError*>(&thrown) != nullptr && option.required &&
        std::string_view(thrown.what()).starts_with(option.name)) {
      return {ErrorCode::kInvalidArgument,
              fmt::format("{} is missing", option.is_argument()
                                               ? std::string(option.name)
                                               : fmt::format("{} {}", option.name, option.value)),
              help_hint(command)};
    }
  }
  return {ErrorCode::kInvalidArgument, node::escape_for_display(thrown.what(), 160),
          help_hint(command)};
}

Result<Parsed> parse_help(const std::vector<std::string>& words) {
  HelpWanted wanted;
  for (auto word = std::ranges::find(words, "help") + 1; word != words.end(); ++word) {
    if (word->starts_with('-')) continue;
    const CommandSpec* verb =
        wanted.command == nullptr ? nullptr : find_verb(*wanted.command, *word);
    if (verb != nullptr) {
      wanted.command = verb;
      continue;
    }
    if (!wanted.topic.empty() || wanted.command != nullptr) {
      return fail(ErrorCode::kInvalidArgument, "help takes one command or topic");
    }
    wanted.command = find_command(*word);
    if (wanted.command == nullptr) wanted.topic = *word;
  }
  return wanted;
}

}  // namespace

bool asks_for_json(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--json") return true;
  }
  return false;
}

Result<Parsed> parse_command_line(std::vector<std::string> words) {
  const std::size_t first = next_word(words, 0);
  const std::optional<std::string> word =
      first < words.size() ? std::optional(words[first]) : std::nullopt;
  const bool help = std::ranges::any_of(
      words, [](const std::string& one) { return one == "--help" || one == "-h"; });
  if (!word && help) return HelpWanted{};
  if (!word && words.empty()) return NothingWanted{};
  if (word == "help") return parse_help(words);
  const CommandSpec* command = word ? find_command(*word) : nullptr;
  if (word && command == nullptr) return unknown_command(*word);
  // A command with verbs takes no arguments itself: the word behind it is a verb.
  if (command != nullptr && !command->verbs.empty()) {
    const std::size_t second = next_word(words, first + 1, command->options);
    const std::string verb = second < words.size() ? words[second] : "";
    if (const CommandSpec* found = find_verb(*command, verb)) {
      command = found;
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(second));
    } else if (!help && (command->run == nullptr || !verb.empty())) {
      return unknown_verb(*command, verb);
    }
  }

  CLI::App app;
  app.set_help_flag("-h,--help");
  std::vector<std::unique_ptr<Slot>> slots;
  add_options(app, global_options(), slots);
  CLI::App* chosen = &app;
  if (command != nullptr) {
    chosen = app.add_subcommand(*word);
    chosen->fallthrough();
    add_options(*chosen, command->options, slots);
  }
  const CommandSpec nothing{.name = "", .summary = "", .example = "", .options = {}};
  std::ranges::reverse(words);  // CLI11 takes them from the back.
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    return HelpWanted{command, ""};
  } catch (const CLI::ParseError& thrown) {
    return fail(usage_error(app, command != nullptr ? *command : nothing, thrown));
  }
  if (command == nullptr) {
    return fail(ErrorCode::kInvalidArgument, "a command is missing",
                "'warren --help' lists the commands");
  }
  ParsedCommand parsed{.command = command, .args = {}};
  for (const auto& slot : slots) {
    for (const std::string& value : slot->values) {
      auto checked = check_value(*slot->spec, value);
      if (!checked) {
        return fail(Error(checked.error().code(), checked.error().message(), help_hint(*command)));
      }
    }
    if (slot->flag || !slot->values.empty()) parsed.args.set(slot->spec->key(), slot->values);
  }
  return parsed;
}

}  // namespace warren::cli
