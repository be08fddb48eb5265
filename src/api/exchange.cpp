#include "api/exchange.hpp"

#include <fmt/format.h>

namespace warren::api {

std::string to_line(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

Result<Json> parse_object(std::string_view text, std::size_t depth_max) {
  if (text.empty()) return Json::object();
  bool too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || static_cast<std::size_t>(depth) > depth_max;
    return !too_deep;
  };
  Json value = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (too_deep) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the body is nested deeper than {} levels", depth_max));
  }
  if (value.is_discarded()) return fail(ErrorCode::kInvalidArgument, "the body is not JSON");
  if (!value.is_object()) {
    return fail(ErrorCode::kInvalidArgument, "the body must be a JSON object");
  }
  return value;
}

Json to_problem(const Error& error) {
  return Json{{"type", "about:blank"},
              {"title", std::string(error_name(error.code()))},
              {"status", http_status(error.code())},
              {"name", std::string(error_name(error.code()))},
              {"detail", error.message()},
              {"hint", error.hint()},
              {"retryable", is_retryable(error.code())}};
}

Error from_problem(const Json& problem) {
  const auto text = [&](const char* key) -> std::string {
    const auto found = problem.find(key);
    return found != problem.end() && found->is_string() ? found->get<std::string>() : "";
  };
  const std::string name = text("name");
  ErrorCode code = ErrorCode::kInternal;
  for (auto i = static_cast<unsigned>(ErrorCode::kInternal);
       i <= static_cast<unsigned>(ErrorCode::kNoDaemon); ++i) {
    if (error_name(static_cast<ErrorCode>(i)) == name) code = static_cast<ErrorCode>(i);
  }
  std::string message = text("detail");
  return {code, message.empty() ? "the daemon answered without saying what failed" : message,
          text("hint")};
}

unsigned http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kMalformed: return 400;
    case ErrorCode::kDenied: return 403;
    case ErrorCode::kNotFound: return 404;
    case ErrorCode::kExists:
    case ErrorCode::kConflict: return 409;
    case ErrorCode::kTooLarge: return 413;
    case ErrorCode::kIntegrity: return 422;
    case ErrorCode::kLimited: return 429;
    case ErrorCode::kUnsupported: return 501;
    case ErrorCode::kUnreachable:
    case ErrorCode::kReset: return 502;
    case ErrorCode::kClosed:
    case ErrorCode::kNoDaemon:
    case ErrorCode::kCancelled: return 503;
    case ErrorCode::kNoPeer:
    case ErrorCode::kTimedOut: return 504;
    case ErrorCode::kNoSpace: return 507;
    case ErrorCode::kInternal:
    case ErrorCode::kIo: return 500;
  }
  return 500;
}

bool is_retryable(ErrorCode code) {
  switch (code) {
    case ErrorCode::kTimedOut:
    case ErrorCode::kReset:
    case ErrorCode::kUnreachable:
    case ErrorCode::kNoPeer:
    case ErrorCode::kNoSpace:
    case ErrorCode::kLimited:
    case ErrorCode::kNoDaemon: return true;
    case ErrorCode::kInternal:
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kMalformed:
    case ErrorCode::kTooLarge:
    case ErrorCode::kNotFound:
    case ErrorCode::kExists:
    case ErrorCode::kConflict:
    case ErrorCode::kDenied:
    case ErrorCode::kCancelled:
    case ErrorCode::kClosed:
    case ErrorCode::kIntegrity:
    case ErrorCode::kUnsupported:
    case ErrorCode::kIo: return false;
  }
  return false;
}

}  // namespace warren::api
