#pragma once
// The caller's side of the API: one request, its lines and its answer.

#include <functional>
#include <string>

#include "api/exchange.hpp"
#include "runtime/runtime.hpp"

namespace warren::api {

struct Call {
  std::string method = "GET";
  std::string target;          ///< Path and query, percent-encoded.
  Json body = Json::object();  ///< Sent when not empty.
};

/// Told of each line that comes before the answer.
using OnLine = std::function<void(const Json& line)>;

/// Asks the daemon that listens at the socket `path`. `runtime` must outlive the call. There is no
/// deadline on the answer: some calls take as long as a transfer does.
/// Errors: kNoDaemon when nobody listens there, kDenied when that is not allowed, kClosed when the
/// daemon ended before it had answered, and what the daemon answers.
/// Cancel: safe; the daemon finds the caller gone.
awaitable<Result<Json>> call(runtime::Runtime& runtime, std::string path, Call call,
                             OnLine on_line = {});

}  // namespace warren::api
