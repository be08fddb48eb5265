#pragma once
// Foreign text inside an error message.

#include <string>
#include <string_view>

namespace warren::multiformats {

/// `text` between single quotes, fit for a terminal and a log line: bytes outside of printable
/// ASCII as \xNN, and at most 120 characters of it.
std::string quote(std::string_view text);

}  // namespace warren::multiformats
