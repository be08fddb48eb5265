#pragma once
// What a route sees of HTTP: a request, a way to send lines while it works, and a JSON answer.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace warren::api {

using boost::asio::awaitable;
using Json = nlohmann::json;

/// Bounds of the local API. Source: quality statements C6 (HTTP).
struct HttpLimits {
  std::size_t header_bytes_max = 8u << 10;  ///< Beyond: 431, the connection ends.
  std::size_t body_bytes_max = 1u << 20;    ///< Beyond: 413, the connection ends.
  std::size_t connections_max = 64;         ///< Beyond: a new one is closed at once.
  std::size_t json_depth_max = 64;          ///< Beyond: 400.
};

struct Request {
  std::string method;
  std::map<std::string, std::string, std::less<>> path;   ///< Values of {names} in the pattern.
  std::map<std::string, std::string, std::less<>> query;  ///< Percent-decoded.
  Json body = Json::object();                             ///< Always an object.
};

/// Lines that reach the caller before the answer, one JSON object each. The first one makes the
/// response a chunked NDJSON stream whose last line is the answer.
class Lines {
 public:
  virtual ~Lines() = default;
  /// Errors: kReset, kTimedOut when the caller has gone or no longer reads; kCancelled.
  virtual awaitable<Result<>> send(Json line) = 0;
};

/// Serves one request: the fields of the answer, or an error. `lines` lives as long as the call.
using Handler = std::function<awaitable<Result<Json>>(Request request, Lines& lines)>;

/// One line of ASCII; text that is not UTF-8 is replaced. No control or bidirectional character can
/// reach a terminal through it.
std::string to_line(const Json& value);

/// The JSON object in `text`; an empty text is an empty object. Errors: kInvalidArgument.
Result<Json> parse_object(std::string_view text, std::size_t depth_max);

/// An error as an RFC 9457 problem with `name`, `hint` and `retryable`, and back. A problem from
/// another version with a name that is not known becomes kInternal.
Json to_problem(const Error& error);
Error from_problem(const Json& problem);
/// The HTTP status of an error.
unsigned http_status(ErrorCode code);
/// Whether the same call may succeed later without a change by the caller.
bool is_retryable(ErrorCode code);

}  // namespace warren::api
