// `warren doctor`: what may stand in the way.

#include <fmt/format.h>

#include "api/client.hpp"
#include "api/views.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "node/doctor_facts.hpp"
#include "node/escape.hpp"
#include "node/version.hpp"
#include "runtime/run_task.hpp"

namespace warren::cli {
namespace {

/// What the doctor can see where no node runs.
api::Json examine_alone(const node::Paths& paths) {
  const auto loaded = node::load_config(paths.config_file);
  node::Patient patient{.paths = paths,
                        .config = loaded ? loaded->config : node::Config{},
                        .config_problem = {},
                        .node = nullptr};
  if (!loaded) patient.config_problem = loaded.error();
  runtime::RealRuntime runtime({.pool_threads = 1});
  return api::checks_view(runtime::run_task(runtime, node::examine(runtime, std::move(patient))));
}

/// Columns: verdict, what, detail; what to do stands below.
std::string checks_text(const api::Json& checks) {
  std::string text;
  for (const auto& check : checks) {
    const std::string verdict = check.value("verdict", "");
    text += fmt::format("{:<5}{:<16}{}\n", verdict == "fail" ? "FAIL" : verdict,
                        check.value("name", ""), node::escape_line(check.value("detail", "")));
    const std::string fix = check.value("fix", "");
    if (!fix.empty()) text += fmt::format("{:<21}-> {}\n", "", node::escape_line(fix));
  }
  return text;
}

/// Source: quality statement DI-3.
ExitCode exit_code(const api::Json& checks) {
  ExitCode code = ExitCode::kOk;
  for (const auto& check : checks) {
    const std::string verdict = check.value("verdict", "");
    if (verdict == "fail") return ExitCode::kFailed;
    if (verdict == "warn") code = ExitCode::kPartly;
  }
  return code;
}

ExitCode run_doctor(Invocation& invocation) {
  auto answer = invocation.session.call({.method = "GET", .target = "/api/v1/doctor"});
  const bool runs = answer.has_value();
  if (!runs && answer.error().code() != ErrorCode::kNoDaemon) {
    return invocation.session.failure(answer.error());
  }
  node::DaemonFacts facts{.version = std::nullopt,
                          .own_version = std::string(node::version()),
                          .error = runs ? "" : answer.error().message()};
  if (runs) facts.version = answer->value("version", "");
  api::Json checks = api::checks_view({node::check_daemon(facts)});
  const api::Json others = runs ? (*answer)["checks"] : examine_alone(invocation.paths);
  checks.insert(checks.end(), others.begin(), others.end());
  invocation.output.text(checks_text(checks));
  return invocation.output.success(api::Json{{"checks", checks}}, exit_code(checks));
}

}  // namespace

CommandSpec doctor_command() {
  return {.name = "doctor",
          .summary = "look for what stands in the way: ports, multicast, clock, limits, files",
          .example = "warren doctor",
          .options = {},
          .run = run_doctor};
}

}  // namespace warren::cli
