// `warren install`, `update` and `uninstall`.

#include <fmt/format.h>

#include <array>

#include "api/router.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/progress_option.hpp"
#include "cli/session.hpp"
#include "cli/verification.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr std::array<OptionSpec, 1> kEntryOptions{{
    {.name = "ENTRY", .value = "", .help = "as 'warren library list' names it", .required = true},
}};
constexpr std::array<OptionSpec, 1> kUpdateOptions{{
    {.name = "ENTRY",
     .value = "",
     .help = "as 'warren library list' names it; ENTRY@VERSION or ENTRY@CID for one of several",
     .required = true},
}};

ExitCode operate(Invocation& invocation, std::string_view verb, std::string_view done) {
  Output& output = invocation.output;
  const std::string entry = invocation.args.text("ENTRY");
  const auto answer = post_with_progress(
      invocation, fmt::format("/api/v1/library/entries/{}/{}", api::percent_encode(entry), verb),
      api::Json::object());
  if (!answer) return invocation.session.failure(answer.error(), entry);
  output.text(
      fmt::format("{}  {}\n", done, node::escape_for_display(answer->value("id", ""), 255)));
  const std::string path = node::escape_for_display(answer->value("path", ""), 300);
  if (const std::uint64_t files = bytes_of(*answer, "files"); files > 0) {
    output.note(fmt::format("{}, {} in {}/local", format_count(files, "file"),
                            runtime::human_bytes(bytes_of(*answer, "bytes")), path));
  }
  return output.success(*answer);
}

ExitCode run_install(Invocation& invocation) { return operate(invocation, "install", "installed"); }
ExitCode run_update(Invocation& invocation) { return operate(invocation, "update", "updated"); }
ExitCode run_uninstall(Invocation& invocation) {
  return operate(invocation, "uninstall", "uninstalled");
}

}  // namespace

CommandSpec install_command() {
  return {.name = "install",
          .summary = "unpack an entry of a library here into its folder 'local'",
          .example = "warren install quake",
          .options = kEntryOptions,
          .streams = true,
          .run = run_install};
}

CommandSpec update_command() {
  return {.name = "update",
          .summary = "fetch the newer version of an entry, and install it anew if it was",
          .example = "warren update quake",
          .options = kUpdateOptions,
          .streams = true,
          .run = run_update};
}

CommandSpec uninstall_command() {
  return {.name = "uninstall",
          .summary = "remove the folder 'local' of an entry, with all that is in it",
          .example = "warren uninstall quake",
          .options = kEntryOptions,
          .streams = true,
          .run = run_uninstall};
}

}  // namespace warren::cli
