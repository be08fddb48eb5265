#pragma once
// Reads the fields of a request's body. Every field must be known, of its type and in its range.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/exchange.hpp"
#include "base/time.hpp"

namespace warren::api {

/// Take all fields first, then ask finish(): it gives the first thing that was wrong.
class Fields {
 public:
  /// `body` is an object and must outlive this.
  explicit Fields(const Json& body) : body_(body) {}

  std::string required_text(std::string_view name);
  /// Absent or null: empty.
  std::string text(std::string_view name);
  std::uint64_t number(std::string_view name, std::uint64_t fallback, std::uint64_t least,
                       std::uint64_t most);
  /// Seconds, also in fractions.
  Duration seconds(std::string_view name, Duration fallback, Duration least, Duration most);
  /// A list of at most `most` texts. Absent: empty.
  std::vector<std::string> texts(std::string_view name, std::size_t most);

  /// Absent or null: unset.
  std::optional<bool> flag(std::string_view name);
  std::optional<std::string> optional_text(std::string_view name);
  /// An object of at most `most` texts. Absent or null: unset.
  std::optional<std::map<std::string, std::string, std::less<>>> texts_by_name(
      std::string_view name, std::size_t most);

  /// Errors: kInvalidArgument naming the field.
  Result<> finish() const;

 private:
  const Json* find(std::string_view name);
  void wrong(std::string_view name, std::string_view what);

  const Json& body_;
  std::set<std::string, std::less<>> known_;
  std::optional<Error> error_;
};

}  // namespace warren::api
