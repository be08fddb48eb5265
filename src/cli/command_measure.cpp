// `warren ping` and `warren perf`.

#include <fmt/format.h>

#include <array>

#include "api/client.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr std::array<OptionSpec, 3> kPingOptions{{
    {.name = "PEER",
     .value = "",
     .help = "multiaddr, peer id, or its last 6 or more characters",
     .required = true},
    {.name = "-c,--count",
     .value = "N",
     .help = "how many pings (3)",
     .kind = ValueKind::kNumber,
     .least = 1,
     .most = 100'000},
    {.name = "--interval",
     .value = "SECONDS",
     .help = "between two pings (1)",
     .kind = ValueKind::kSeconds,
     .most = 3600},
}};
constexpr std::array<OptionSpec, 3> kPerfOptions{{
    {.name = "MULTIADDR",
     .value = "",
     .help = "multiaddr, peer id, or its last 6 or more characters",
     .required = true},
    {.name = "--upload-bytes",
     .value = "N",
     .help = "how much to send (0)",
     .kind = ValueKind::kBytes,
     .most = 1ull << 40},
    {.name = "--download-bytes",
     .value = "N",
     .help = "how much to have sent back (0)",
     .kind = ValueKind::kBytes,
     .most = 1ull << 40},
}};

ExitCode run_ping(Invocation& invocation) {
  Output& output = invocation.output;
  const std::string target = invocation.args.text("PEER");
  api::Json body{{"target", target}, {"count", invocation.args.number("count").value_or(3)}};
  if (const auto interval = invocation.args.seconds("interval")) body["interval"] = *interval;
  const auto show = [&](const api::Json& line) {
    output.event(line);
    output.text(fmt::format("{}  {}  {}\n", line.value("sequence", 0), line.value("peer_id", ""),
                            format_milliseconds(line.value("rtt_ms", 0.0))));
  };
  const auto answer = invocation.session.call(
      {.method = "POST", .target = "/api/v1/ping", .body = std::move(body)}, show);
  if (!answer) return invocation.session.failure(answer.error(), target);
  output.note(fmt::format("{} of {} came back; least {}, average {}, most {}",
                          answer->value("received", 0), answer->value("sent", 0),
                          format_milliseconds(answer->value("rtt_ms_min", 0.0)),
                          format_milliseconds(answer->value("rtt_ms_avg", 0.0)),
                          format_milliseconds(answer->value("rtt_ms_max", 0.0))));
  return output.success(*answer);
}

ExitCode run_perf(Invocation& invocation) {
  const std::string target = invocation.args.text("MULTIADDR");
  const std::uint64_t upload = invocation.args.number("upload-bytes").value_or(0);
  const std::uint64_t download = invocation.args.number("download-bytes").value_or(0);
  const auto show = [&](const api::Json& answer) {
    const auto row = [&](std::string_view what, const std::string& prefix) {
      return fmt::format(
          "{:<9}{:>10}  {:8.3f} s  {:>10}/s  {:6.2f} Gbit/s\n", what,
          runtime::human_bytes(answer.value(prefix + "_bytes", std::uint64_t{0})),
          answer.value(prefix + "_seconds", 0.0),
          runtime::human_bytes(static_cast<std::uint64_t>(answer.value(prefix + "_rate", 0.0))),
          answer.value(prefix + "_rate", 0.0) * 8 / 1e9);
    };
    invocation.output.text(row("upload", "upload") + row("download", "download"));
  };
  return ask(invocation,
             {.method = "POST",
              .target = "/api/v1/perf",
              .body = {{"target", target}, {"upload_bytes", upload}, {"download_bytes", download}}},
             target, show);
}

}  // namespace

CommandSpec ping_command() {
  return {.name = "ping",
          .summary = "how long a peer takes to answer",
          .example = "warren ping 3fGqWx9a -c 5",
          .options = kPingOptions,
          .streams = true,
          .run = run_ping};
}

CommandSpec perf_command() {
  return {.name = "perf",
          .summary = "how fast bytes go to a peer and come back",
          .example = "warren perf 3fGqWx9a --upload-bytes 1GiB",
          .options = kPerfOptions,
          .run = run_perf};
}

}  // namespace warren::cli
