#pragma once
// Numbers with units, as the configuration and options of commands write them.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::node {

/// "64KiB", "128 MiB", "2GiB" or plain bytes; B, KiB, MiB, GiB, TiB. Errors: kInvalidArgument.
Result<std::uint64_t> parse_bytes(std::string_view text);
/// With the largest unit that gives a whole number: parse_bytes() reads it back.
std::string bytes_text(std::uint64_t bytes);

/// "250ms", "30s", "5m", "1h", "2d". Errors: kInvalidArgument.
Result<Duration> parse_duration(std::string_view text);
/// The same for times. Parts of a millisecond are cut off.
std::string duration_text(Duration duration);

}  // namespace warren::node
