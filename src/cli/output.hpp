#pragma once
// Where a command's words go: results to stdout, all else to stderr; with --json lines of JSON.

#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "cli/exit_code.hpp"

namespace warren::cli {

/// What is known of the place where the output goes.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  /// Width of the terminal now; asked each time, since a window changes.
  int (*columns)() = nullptr;
};

/// Writes in one of two forms: for people, or (json) for programs. Every command ends with
/// exactly one call of success() or failure().
class Output {
 public:
  /// `command` stands in front of errors, and may be empty. `streams`: the command prints lines
  /// before its result, and an error becomes a line of its own, too.
  Output(Terminal terminal, bool json, std::string command, bool streams)
      : terminal_(terminal), json_(json), command_(std::move(command)), streams_(streams) {}

  bool json() const { return json_; }
  const Terminal& terminal() const { return terminal_; }

  /// Text of the answer, to stdout, as it is. Nothing in JSON form.
  void text(std::string_view text);
  /// A line to stderr, in both forms.
  void note(std::string_view line);
  /// A line of JSON with "v" added, to stdout. Nothing for people.
  void event(const nlohmann::json& line);

  /// The result line in JSON form: `fields` behind type, v, ok, code. For people nothing.
  ExitCode success(const nlohmann::json& fields, ExitCode code = ExitCode::kOk);
  /// The error to stderr, and in JSON form the result line with it. `item`: the path, peer or name
  /// that it is about.
  ExitCode failure(const Error& error, std::string_view item = {});
  /// The same with another exit code and name than those of the error.
  ExitCode failure(const Error& error, ExitCode code, std::string_view name,
                   std::string_view item = {});

 private:
  void line(std::string text);

  Terminal terminal_;
  bool json_;
  std::string command_;
  bool streams_;
};

}  // namespace warren::cli
