#pragma once
// Numbers and tables for people.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace warren::cli {

/// "1.4/3.4 GiB": both in the unit of the larger.
std::string format_share_of(std::uint64_t done, std::uint64_t total);
/// "41.2%".
std::string format_percent(std::uint64_t done, std::uint64_t total);
/// "18s", "3m05s", "2h07m", "4d03h".
std::string format_duration(double seconds);
/// "0.42 ms", "12.3 ms", "134 ms".
std::string format_milliseconds(double milliseconds);
/// "1 peer", "3 peers": adds an s.
std::string format_count(std::uint64_t count, std::string_view noun);

/// Columns as wide as their widest cell, two blanks between them, no blanks at the end of a line.
/// Widths count characters of UTF-8. The first row is the head.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace warren::cli
