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

constexpr OptionSpec kWaitOption{.name = "--wait",
                                 .value = "SECONDS",
                                 .help =
                                     "with --stream: how long to look for a peer that has it "
                                     "(60; 0: for ever)",
                                 .kind = ValueKind::kSeconds,
                                 .most = 30 * 86'400};
constexpr std::array<OptionSpec, 1> kEntryOptions{{
    {.name = "ENTRY", .value = "", .help = "as 'warren library list' names it", .required = true},
}};
constexpr std::array<OptionSpec, 4> kInstallOptions{{
    {.name = "ENTRY",
     .value = "",
     .help = "as 'warren library list' names it; with --stream as 'warren catalog' does, or "
             "ENTRY@VERSION, ENTRY@CID",
     .required = true},
    {.name = "--stream",
     .value = "",
     .help = "of an entry that is not here: unpack its archives while they come, and do not keep "
             "them",
     .kind = ValueKind::kFlag},
    {.name = "--library",
     .value = "NAME",
     .help = "with --stream: the library folder it goes into, its path or last name"},
    kWaitOption,
}};
constexpr std::array<OptionSpec, 3> kUpdateOptions{{
    {.name = "ENTRY",
     .value = "",
     .help = "as 'warren library list' names it; ENTRY@VERSION or ENTRY@CID for one of several",
     .required = true},
    {.name = "--stream",
     .value = "",
     .help =
         "of an entry that was installed with --stream: unpack the newer version while it comes",
     .kind = ValueKind::kFlag},
    kWaitOption,
}};

/// Only the options that were given.
api::Json streamed_body(const Invocation& invocation, bool library) {
  const Args& args = invocation.args;
  api::Json body = api::Json::object();
  if (args.flag("stream")) body["stream"] = true;
  if (library && !args.text("library").empty()) body["library"] = args.text("library");
  if (const auto wait = args.seconds("wait")) body["wait"] = *wait;
  return body;
}

ExitCode operate(Invocation& invocation, std::string_view verb, std::string_view done,
                 api::Json body = api::Json::object()) {
  Output& output = invocation.output;
  const std::string entry = invocation.args.text("ENTRY");
  const auto answer = post_with_progress(
      invocation, fmt::format("/api/v1/library/entries/{}/{}", api::percent_encode(entry), verb),
      std::move(body));
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

ExitCode run_install(Invocation& invocation) {
  return operate(invocation, "install", "installed", streamed_body(invocation, true));
}
ExitCode run_update(Invocation& invocation) {
  return operate(invocation, "update", "updated", streamed_body(invocation, false));
}
ExitCode run_uninstall(Invocation& invocation) {
  return operate(invocation, "uninstall", "uninstalled");
}

}  // namespace

CommandSpec install_command() {
  return {.name = "install",
          .summary = "unpack an entry of a library here into its folder 'local'",
          .example = "warren install quake",
          .options = kInstallOptions,
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
