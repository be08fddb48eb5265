// Values and whole configurations as text.

#include <fmt/format.h>

#include "node/config_schema.hpp"

namespace warren::node {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

/// Whether YAML takes `text` for this very text when it stands without quotes.
bool is_plain(const std::string& text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '_' || c == '.' || c == '-' || c == '%' || c == '+';
    if (!plain) return false;
  }
  return text.front() != '-' && text.front() != '%';
}

std::string quoted(const std::string& text) {
  if (is_plain(text)) return text;
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

/// "# " and the words of `text` in lines of at most 96 columns behind `indent`.
std::string comment(std::string_view indent, std::string_view text) {
  constexpr std::size_t kColumns = 96;
  std::string out;
  std::string line;
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && indent.size() + 2 + line.size() + 1 + word.size() > kColumns) {
      out += fmt::format("{}# {}\n", indent, line);
      line.clear();
    }
    line += line.empty() ? "" : " ";
    line += word;
  }
  return out + fmt::format("{}# {}\n", indent, line);
}

std::string default_lines(const Setting& setting, const Config& config) {
  const std::string_view indent = setting.section().empty() ? "" : "  ";
  std::string help = fmt::format("{}: {}", setting.help, setting.range);
  if (!setting.otherwise.empty()) help += fmt::format("; unless set: {}", setting.otherwise);
  if (setting.applies == Applies::kAfterRestart) help += " (after a restart)";
  // A value that is not the same for every node stays a comment: written out, it would be set.
  const std::string_view mark = setting.otherwise.empty() ? "" : "# ";
  const SettingValue value = setting.get(config);
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  std::string text = comment(indent, help);
  if (list == nullptr || list->empty()) {
    return text + fmt::format("{}{}{}: {}\n", indent, mark, setting.name(), setting_text(value));
  }
  text += fmt::format("{}{}{}:\n", indent, mark, setting.name());
  for (const std::string& entry : *list) {
    text += fmt::format("{}{}  - {}\n", indent, mark, quoted(entry));
  }
  return text;
}

}  // namespace

std::string setting_text(const SettingValue& value) {
  return std::visit(Overloaded{[](bool flag) { return std::string(flag ? "true" : "false"); },
                               [](std::uint64_t number) { return fmt::format("{}", number); },
                               [](SizeInBytes size) { return bytes_text(size.bytes); },
                               [](Duration duration) { return duration_text(duration); },
                               [](const std::string& text) { return quoted(text); },
                               [](const std::vector<std::string>& list) {
                                 std::string text = "[";
                                 for (const std::string& entry : list) {
                                   text += (text.size() == 1 ? "" : ", ") + quoted(entry);
                                 }
                                 return text + "]";
                               }},
                    value);
}

std::string default_config_text() {
  const Config config;
  std::string text =
      "# The configuration of a node, with every key and its default. 'warren config check' looks\n"
      "# whether a file is right; a running node takes a changed file at once, but for the keys\n"
      "# that say otherwise.\n";
  std::string_view section;
  for (const Setting& setting : settings()) {
    if (setting.section() != section) text += fmt::format("\n{}:\n", setting.section());
    if (setting.section().empty()) text += '\n';
    section = setting.section();
    text += default_lines(setting, config);
  }
  return text;
}

std::string settings_table() {
  const Config config;
  std::string text =
      "| key | value | default | takes effect | what it is |\n|---|---|---|---|---|\n";
  for (const Setting& setting : settings()) {
    const SettingValue value = setting.get(config);
    const bool is_list = std::holds_alternative<std::vector<std::string>>(value);
    std::string standard = fmt::format("`{}`", setting_text(value));
    if (!setting.otherwise.empty()) {
      standard = is_list ? std::string(setting.otherwise)
                         : fmt::format("{}, {}", standard, setting.otherwise);
    }
    text += fmt::format("| `{}` | {} | {} | {} | {} |\n", setting.key, setting.range, standard,
                        applies_name(setting.applies), setting.help);
  }
  return text;
}

std::vector<Effective> effective(const LoadedConfig& loaded) {
  std::vector<Effective> all;
  for (const Setting& setting : settings()) {
    const auto origin = loaded.origins.find(setting.key);
    const SettingValue value = setting.get(loaded.config);
    all.push_back({std::string(setting.key), setting_text(value), value,
                   origin == loaded.origins.end() ? "default" : origin->second});
  }
  return all;
}

}  // namespace warren::node
