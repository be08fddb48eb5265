#pragma once
// "Did you mean": the known word nearest to what a person typed.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace warren::node {

/// The word of `known` nearest to `typed` by edit distance (a swap of two neighbours counts as
/// one), if it is near enough to be a slip: at most one edit for each three characters, at least
/// one. Among equally near ones the first. Words beyond 64 characters have no neighbour.
std::optional<std::string> nearest(std::string_view typed, std::span<const std::string_view> known);

}  // namespace warren::node
