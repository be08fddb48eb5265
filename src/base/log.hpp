#pragma once
// Log lines to stderr. The process has one log, as it has one stderr: the only global state here.
// Cheap when the level is off: arguments are formatted only if the line is wanted.

#include <fmt/core.h>

#include <string_view>

namespace warren::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError, kOff };

/// Sets the lowest level that is written. Default: kWarn. Safe from any thread.
void set_level(Level level);
bool enabled(Level level);
/// Writes one line: level, component, text. Safe from any thread.
void write(Level level, std::string_view component, std::string_view text);

template <class... Args>
void line(Level level, std::string_view component, fmt::format_string<Args...> format,
          Args&&... args) {
  if (!enabled(level)) return;
  write(level, component, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  line(Level::kDebug, component, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  line(Level::kInfo, component, format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  line(Level::kWarn, component, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  line(Level::kError, component, format, std::forward<Args>(args)...);
}

}  // namespace warren::log
