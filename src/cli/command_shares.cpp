// `warren share`, `shares`, `unshare` and `verify`.

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "api/client.hpp"
#include "api/router.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "cli/verification.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr std::array<OptionSpec, 3> kShareOptions{{
    {.name = "PATH", .value = "", .help = "file or folder; it stays where it is", .required = true},
    {.name = "--name", .value = "NAME", .help = "what others call it (the last name of PATH)"},
    {.name = "--for",
     .value = "WHO",
     .help = "who may fetch it: lan, anyone, trusted, or peers by id or name, separated by commas "
             "(lan)"},
}};
constexpr std::array<OptionSpec, 1> kShareReference{{
    {.name = "NAME|CID",
     .value = "",
     .help = "a share, as 'warren shares' lists it",
     .required = true},
}};

ExitCode run_share(Invocation& invocation) {
  Output& output = invocation.output;
  const std::string given = invocation.args.text("PATH");
  std::error_code error;
  std::string path = std::filesystem::absolute(given, error).lexically_normal().string();
  if (error) return output.failure(system_error("cannot find " + given, error.value()), given);
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  api::Json body{{"path", path}, {"name", invocation.args.text("name")}};
  if (invocation.args.flag("for")) body["audience"] = invocation.args.text("for");
  const auto answer = post_with_progress(invocation, "/api/v1/shares", std::move(body));
  if (!answer) return invocation.session.failure(answer.error(), path);
  const std::uint64_t skipped = bytes_of(*answer, "skipped_count");
  note_items(output, (*answer)["skipped"], skipped, "not shared:");
  output.text(fmt::format("{}  {}\n", node::escape_for_display(answer->value("name", ""), 255),
                          answer->value("cid", "")));
  output.note(fmt::format("{}, {}, for {}", format_count(bytes_of(*answer, "files"), "file"),
                          runtime::human_bytes(bytes_of(*answer, "bytes")),
                          answer->value("audience", "")));
  return output.success(*answer, skipped > 0 ? ExitCode::kPartly : ExitCode::kOk);
}

ExitCode run_shares(Invocation& invocation) {
  return ask(
      invocation, {.method = "GET", .target = "/api/v1/shares"}, "", [&](const api::Json& answer) {
        if (answer["shares"].empty()) {
          invocation.output.note("nothing is shared yet");
          invocation.output.note("next: 'warren share PATH'");
          return;
        }
        std::vector<std::vector<std::string>> rows{
            {"NAME", "CID", "FILES", "SIZE", "STATE", "FOR", "PATH"}};
        for (const auto& share : answer["shares"]) {
          rows.push_back({node::escape_for_display(share.value("name", "")), share.value("cid", ""),
                          fmt::format("{}", bytes_of(share, "files")),
                          runtime::human_bytes(bytes_of(share, "bytes")), share.value("state", ""),
                          share.value("audience", ""),
                          node::escape_for_display(share.value("path", ""), 200)});
        }
        invocation.output.text(format_table(rows));
      });
}

std::string share_target(const std::string& reference, std::string_view action) {
  return fmt::format("/api/v1/shares/{}{}", api::percent_encode(reference), action);
}

ExitCode run_unshare(Invocation& invocation) {
  const std::string reference = invocation.args.text("NAME|CID");
  return ask(
      invocation, {.method = "DELETE", .target = share_target(reference, "")}, reference,
      [&](const api::Json& share) {
        invocation.output.text(fmt::format("no longer shared: {} (the files stay in {})\n",
                                           node::escape_for_display(share.value("name", ""), 255),
                                           node::escape_for_display(share.value("path", ""), 200)));
      });
}

ExitCode run_verify(Invocation& invocation) {
  const std::string reference = invocation.args.text("NAME|CID");
  return verify_at(invocation, share_target(reference, "/verify"), reference);
}

constexpr CommandSpec kUnshare{.name = "unshare",
                               .summary = "stop sharing; the files stay",
                               .example = "warren unshare photos",
                               .options = kShareReference,
                               .hidden = true,
                               .run = run_unshare};
constexpr CommandSpec kVerify{.name = "verify",
                              .summary = "read a share again and compare every byte",
                              .example = "warren verify photos",
                              .options = kShareReference,
                              .streams = true,
                              .hidden = true,
                              .run = run_verify};
constexpr std::array<CommandSpec, 2> kSharesVerbs{
    verb_of(kUnshare, "shares remove", "warren shares remove photos"),
    verb_of(kVerify, "shares verify", "warren shares verify photos")};

}  // namespace

CommandSpec share_command() {
  return {.name = "share",
          .summary = "share a file or folder, in place",
          .example = "warren share ~/photos",
          .options = kShareOptions,
          .streams = true,
          .run = run_share};
}

CommandSpec shares_command() {
  return {.name = "shares",
          .summary = "what is shared from here; verify it, or stop sharing it",
          .example = "warren shares",
          .options = {},
          .run = run_shares,
          .verbs = kSharesVerbs};
}

CommandSpec unshare_command() { return kUnshare; }
CommandSpec verify_command() { return kVerify; }

}  // namespace warren::cli
