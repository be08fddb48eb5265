#pragma once
// Text from the network or the disk, made safe to show to a person.

#include <cstddef>
#include <string>
#include <string_view>

namespace warren::node {

/// What one name may take on a terminal. Source: quality statement DI-6.
inline constexpr std::size_t kNameColumnsMax = 40;

/// `text` with every character that could act on a terminal or mislead a reader written out:
/// control characters and bytes that are not UTF-8 as \xNN; bidirectional controls, zero-width and
/// line-separating characters as \u{NNNN}; a backslash as \\. Cut to `columns_max` characters with
/// "..." at the end of a cut text. The result is always valid UTF-8 without control characters.
std::string escape_for_display(std::string_view text, std::size_t columns_max = kNameColumnsMax);

/// The same without a limit and without touching backslashes: for whole lines, in which names may
/// stand that are escaped already.
std::string escape_line(std::string_view text);

}  // namespace warren::node
