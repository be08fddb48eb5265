#include "cli/verification.hpp"

#include <fmt/format.h>

#include "cli/format.hpp"
#include "cli/progress_option.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

/// Items that were skipped or found bad, shown one by one; the rest is counted.
constexpr std::size_t kItemsShown = 10;

}  // namespace

std::uint64_t bytes_of(const api::Json& object, const char* key) {
  return object.value(key, std::uint64_t{0});
}

void note_items(Output& output, const api::Json& items, std::uint64_t count,
                std::string_view what) {
  std::size_t shown = 0;
  for (const auto& item : items) {
    if (shown++ == kItemsShown) break;
    output.note(fmt::format("warning: {} {}: {}", what,
                            node::escape_for_display(item.value("item", ""), 120),
                            node::escape_for_display(item.value("message", ""), 200)));
  }
  if (count > kItemsShown) {
    output.note(fmt::format("warning: {} more {}", count - kItemsShown, what));
  }
}

Result<api::Json> post_with_progress(Invocation& invocation, std::string target, api::Json body) {
  WARREN_TRY(const ProgressChoice choice, progress_choice(invocation));
  body["interval"] = choice.interval_seconds;
  Output& output = invocation.output;
  ProgressView view(output, choice.mode, choice.every_line);
  invocation.session.on_status_wanted([&view] { view.show_now(); });
  const auto show = [&](const api::Json& line) {
    output.event(line);
    view.update(line);
  };
  auto answer = invocation.session.call(
      {.method = "POST", .target = std::move(target), .body = std::move(body)}, show);
  invocation.session.on_status_wanted({});
  return answer;
}

ExitCode verify_at(Invocation& invocation, std::string target, const std::string& reference) {
  Output& output = invocation.output;
  const auto answer = post_with_progress(invocation, std::move(target), api::Json::object());
  if (!answer) return invocation.session.failure(answer.error(), reference);
  const std::uint64_t bad = bytes_of(*answer, "bad_count");
  note_items(output, (*answer)["bad"], bad, "not as hashed:");
  output.text(fmt::format(
      "{}: {} good, {} bad, {} read\n", node::escape_for_display(answer->value("name", ""), 255),
      bytes_of(*answer, "files_ok"), bad, runtime::human_bytes(bytes_of(*answer, "bytes_read"))));
  return output.success(*answer, bad > 0 ? ExitCode::kIntegrity : ExitCode::kOk);
}

}  // namespace warren::cli
