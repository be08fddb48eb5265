#pragma once
// The table of routes.

#include <string>
#include <string_view>
#include <vector>

#include "api/exchange.hpp"

namespace warren::api {

class Router {
 public:
  /// `pattern` is a path like "/api/v1/shares/{name}"; a {name} stands for one whole segment.
  void add(std::string method, std::string_view pattern, Handler handler);

  struct Match {
    const Handler* handler = nullptr;
    std::map<std::string, std::string, std::less<>> path;
    std::map<std::string, std::string, std::less<>> query;
  };
  /// Finds the route of `target`, a path with an optional query. Errors: kNotFound; kUnsupported
  /// when the path takes other methods; kInvalidArgument for a malformed target.
  Result<Match> find(std::string_view method, std::string_view target) const;

  /// "GET /api/v1/status" of each route, in the order of add().
  std::vector<std::string> list() const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
};

/// Undoes %XX; no other change. Errors: kInvalidArgument for a cut-off or non-hexadecimal escape
/// and for an encoded NUL.
Result<std::string> percent_decode(std::string_view text);
/// Escapes all but letters, digits and "-._~". Source: RFC 3986, section 2.3.
std::string percent_encode(std::string_view text);

}  // namespace warren::api
