#pragma once
// Names of hosts to addresses, and the texts of a name, without blocking. Part of the seam to the
// world: reached through Runtime::resolver(). docs/decisions/0015.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::runtime {

/// Which addresses of a host are asked for.
enum class AddressFamily : std::uint8_t { kAny, kV4, kV6 };

/// Asks the name servers of the machine. What they answer is unproven: anyone on the way may have
/// forged it. Core thread only.
class Resolver {
 public:
  virtual ~Resolver() = default;
  /// The addresses of a host, each once, as the answer orders them: at least one, at most
  /// limits::Resolver::answers_max. The file of hosts is looked into first.
  /// Errors: kInvalidArgument (no host name: see check_host_name), kNotFound (no such name, or no
  /// address of that family), kTimedOut, kUnreachable (the servers refuse or fail), kMalformed,
  /// kLimited (too many wait already), kCancelled. Each names the host.
  /// Cancel or time-out: the query goes on for a moment, its answer is forgotten.
  virtual boost::asio::awaitable<Result<std::vector<IpAddress>>> resolve_host(
      std::string name, AddressFamily family, TimePoint deadline) = 0;
  /// The TXT records of a name, the strings of each record joined; those beyond the limits of
  /// count and bytes are left out. Errors and Cancel: as resolve_host.
  virtual boost::asio::awaitable<Result<std::vector<std::string>>> resolve_text(
      std::string name, TimePoint deadline) = 0;
};

/// Whether `name` can be asked for: 1 to 253 characters of letters, digits, '-', '_' and '.', no
/// label empty or longer than 63; one final dot is allowed. Errors: kInvalidArgument.
/// Source: RFC 1035, section 2.3.4; underscores as in RFC 8552.
Result<> check_host_name(std::string_view name);

}  // namespace warren::runtime
