#include "cli/output.hpp"

#include <nlohmann/json.hpp>

#include "api/exchange.hpp"
#include "node/escape.hpp"

namespace warren::cli {
namespace {

using Ordered = nlohmann::ordered_json;

/// One line of ASCII, whatever the texts in it hold.
std::string dump(const Ordered& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/true, Ordered::error_handler_t::replace);
}

Ordered result_head(bool ok, ExitCode code) {
  return Ordered{{"type", "result"}, {"v", 1}, {"ok", ok}, {"code", static_cast<int>(code)}};
}

}  // namespace

void Output::text(std::string_view text) {
  if (!json_) terminal_.out << text << std::flush;
}

void Output::note(std::string_view line) { terminal_.err << line << '\n' << std::flush; }

void Output::event(const nlohmann::json& event) {
  if (!json_) return;
  Ordered ordered{{"type", event.value("type", "event")}, {"v", 1}};
  for (const auto& [key, value] : event.items()) {
    if (key != "type" && key != "v") ordered[key] = value;
  }
  line(dump(ordered));
}

ExitCode Output::success(const nlohmann::json& fields, ExitCode code) {
  if (json_) {
    Ordered result = result_head(code == ExitCode::kOk, code);
    for (const auto& [key, value] : fields.items()) {
      if (!result.contains(key)) result[key] = value;
    }
    line(dump(result));
  }
  return code;
}

ExitCode Output::failure(const Error& error, std::string_view item) {
  return failure(error, exit_code_of(error.code()), error_name(error.code()), item);
}

ExitCode Output::failure(const Error& error, ExitCode code, std::string_view name,
                         std::string_view item) {
  std::string text = "warren";
  if (!command_.empty()) text += " " + command_;
  text += ": " + error.message();
  // The text may hold words of a peer.
  note(node::escape_line(text));
  if (!error.hint().empty()) note("next: " + node::escape_line(error.hint()));
  if (json_) {
    const Ordered object{{"type", "error"},
                         {"v", 1},
                         {"code", static_cast<int>(code)},
                         {"name", std::string(name)},
                         {"message", error.message()},
                         {"item", std::string(item)},
                         {"hint", error.hint()},
                         {"retryable", api::is_retryable(error.code())}};
    if (streams_) line(dump(object));
    Ordered result = result_head(false, code);
    result["error"] = object;
    line(dump(result));
  }
  return code;
}

void Output::line(std::string text) { terminal_.out << text << '\n' << std::flush; }

}  // namespace warren::cli
