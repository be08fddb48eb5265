// `warren get`.

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "api/client.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/progress_option.hpp"
#include "cli/session.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr std::array<OptionSpec, 7> kGetOptions{{
    {.name = "CID|NAME",
     .value = "",
     .help = "a dataset, the name under which a peer shares it, or an entry of the catalog: "
             "ENTRY, ENTRY@VERSION or ENTRY@CID",
     .required = true},
    {.name = "--out",
     .value = "DIR",
     .help = "where to put it (an entry: the library here; else the data folder of the node)"},
    {.name = "--library",
     .value = "NAME",
     .help = "put it into this library folder: its path or last name"},
    {.name = "--name",
     .value = "NAME",
     .help = "the name it gets here (the one it is shared under)"},
    {.name = "--from",
     .value = "PEER",
     .help = "only from this peer id or multiaddr; may be repeated",
     .kind = ValueKind::kList},
    {.name = "--wait",
     .value = "SECONDS",
     .help = "how long to look for a peer that has it (60; 0: for ever)",
     .kind = ValueKind::kSeconds,
     .most = 30 * 86'400},
    {.name = "--foreground",
     .value = "",
     .help = "Ctrl-C pauses the download, too",
     .kind = ValueKind::kFlag},
}};

Result<api::Json> request_body(const Invocation& invocation, const ProgressChoice& choice) {
  const Args& args = invocation.args;
  api::Json body{{"what", args.text("CID|NAME")},
                 {"save_as", args.text("name")},
                 {"library", args.text("library")},
                 {"from", args.list("from")},
                 {"interval", choice.interval_seconds}};
  if (!args.text("out").empty()) {
    std::error_code error;
    body["directory"] =
        std::filesystem::absolute(args.text("out"), error).lexically_normal().string();
    if (error) return fail(system_error("cannot find " + args.text("out"), error.value()));
  }
  if (const auto wait = args.seconds("wait")) body["wait"] = *wait;
  return body;
}

/// One line on what a stopped get leaves behind. Source: quality statement CL-7.
std::string stopped_text(const std::optional<ProgressState>& last, const std::string& id,
                         bool paused) {
  std::string text = "stopped";
  if (last && last->bytes_total > 0) {
    text += fmt::format(" at {} ({} kept)", format_percent(last->bytes_done, last->bytes_total),
                        format_share_of(last->bytes_done, last->bytes_total));
  }
  if (id.empty()) return text + "; run the same command to go on";
  if (paused) return text + fmt::format("; 'warren resume {}' or the same command goes on", id);
  return text +
         fmt::format("; download continues in warren (id {}); 'warren cancel {}' to stop", id, id);
}

ExitCode stopped(Invocation& invocation, const Error& error, const ProgressView& view,
                 const std::string& id) {
  bool paused = false;
  if (invocation.args.flag("foreground") && !id.empty()) {
    const auto answer = invocation.session.call(
        {.method = "POST", .target = "/api/v1/transfers/" + id + "/pause"}, {}, true);
    paused = answer.has_value();
  }
  const Error told(error.code(), stopped_text(view.last(), id, paused));
  return invocation.session.failure(told, id);
}

void show_result(Output& output, const api::Json& answer) {
  output.text(answer.value("path", "") + "\n");
  const std::uint64_t bytes = answer.value("bytes", std::uint64_t{0});
  const std::uint64_t reused = answer.value("bytes_reused", std::uint64_t{0});
  const double seconds = answer.value("seconds", 0.0);
  std::string text;
  if (bytes > 0 && reused >= bytes) {
    text = fmt::format("already complete: {}, nothing fetched", runtime::human_bytes(bytes));
  } else {
    text = fmt::format(
        "{} in {:.1f} s, {}/s, verified", runtime::human_bytes(bytes - reused), seconds,
        runtime::human_bytes(static_cast<std::uint64_t>(answer.value("avg_rate", 0.0))));
    if (reused > 0) text += fmt::format("; {} already here", runtime::human_bytes(reused));
  }
  if (const auto bad = answer.value("bad_chunks", std::uint64_t{0}); bad > 0) {
    text += fmt::format("; {} (refetched)", format_count(bad, "bad chunk"));
  }
  output.note(text);
  if (const auto links = answer.value("links_left_out", std::uint64_t{0}); links > 0) {
    output.note(format_count(links, "symlink") + " that lead out of the dataset were not made");
  }
}

ExitCode run_get(Invocation& invocation) {
  Output& output = invocation.output;
  const std::string what = invocation.args.text("CID|NAME");
  const auto choice = progress_choice(invocation);
  if (!choice) return output.failure(choice.error());
  const auto body = request_body(invocation, *choice);
  if (!body) return output.failure(body.error(), what);

  ProgressView view(output, choice->mode, choice->every_line);
  invocation.session.on_status_wanted([&view] { view.show_now(); });
  std::string id;
  bool told_discovery = false;
  const auto show = [&](const api::Json& line) {
    id = line.value("id", "");
    output.event(line);
    view.update(line);
    // Five seconds without a source: say what was tried. Source: quality statement DI-2.
    if (!told_discovery && line.contains("discovery") && line.value("elapsed", 0.0) >= 5) {
      told_discovery = true;
      view.end();
      output.note(line["discovery"].get<std::string>());
    }
  };
  const auto answer = invocation.session.call(
      {.method = "POST", .target = "/api/v1/transfers", .body = *body}, show);
  view.end();
  if (!answer && (invocation.session.stopped_by() != 0 || invocation.session.timed_out())) {
    return stopped(invocation, answer.error(), view, id);
  }
  if (!answer) return invocation.session.failure(answer.error(), what);
  show_result(output, *answer);
  return output.success(*answer);
}

}  // namespace

CommandSpec get_command() {
  return {.name = "get",
          .summary = "fetch a dataset, every byte verified",
          .example = "warren get photos --out ~/Downloads",
          .options = kGetOptions,
          .streams = true,
          .run = run_get};
}

}  // namespace warren::cli
