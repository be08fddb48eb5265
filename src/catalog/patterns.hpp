#pragma once
// Patterns of topics and names, as queries, subscriptions and searches have them. Case counts for
// topics; for names that of A to Z does not.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace warren::catalog {

/// A topic in which '*' may stand for any run of characters: `weather` is that topic, `weather/*`
/// that and all below, `*/papers` every topic that ends so, `*` every entry, also one without a
/// topic. At most 255 bytes. Errors: kInvalidArgument.
Result<> check_topic_pattern(std::string_view pattern);
/// `pattern` has passed check_topic_pattern().
bool topic_matches(std::string_view pattern, std::string_view topic);
/// Whether one of `patterns` does. One that is empty matches every topic.
bool matches_any(const std::vector<std::string>& patterns, std::string_view topic);

/// Whether `pattern` is in `text`; with '*' (any run of characters) or '?' (any one) in it, whether
/// it is all of `text`.
bool name_matches(std::string_view pattern, std::string_view text);

/// What SQLite's GLOB takes to match as the two above do: for a topic itself, for a name after
/// lower(). `weather/*` is left to the caller: GLOB, or equal to the part before "/*".
std::string glob_of_topic(std::string_view pattern);
std::string glob_of_name(std::string_view pattern);

}  // namespace warren::catalog
