#include "cli/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace warren::cli {
namespace {

constexpr std::array<std::string_view, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string in_unit(std::uint64_t bytes, std::size_t unit) {
  const double value = static_cast<double>(bytes) / static_cast<double>(1ull << (10 * unit));
  return unit == 0 ? fmt::format("{}", bytes) : fmt::format("{:.1f}", value);
}

}  // namespace

std::string format_share_of(std::uint64_t done, std::uint64_t total) {
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && (std::max(done, total) >> (10 * (unit + 1))) > 0) ++unit;
  return fmt::format("{}/{} {}", in_unit(done, unit), in_unit(total, unit), kUnits[unit]);
}

std::string format_percent(std::uint64_t done, std::uint64_t total) {
  if (total == 0) return "0.0%";
  // Rounded down: 100 % is said only when it is so.
  const auto tenths = static_cast<std::uint64_t>(static_cast<long double>(done) /
                                                 static_cast<long double>(total) * 1000);
  return fmt::format("{}.{}%", tenths / 10, tenths % 10);
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 1e12));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (whole < 86'400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{:02}h", whole / 86'400, whole / 3600 % 24);
}

std::string format_milliseconds(double milliseconds) {
  if (milliseconds < 10) return fmt::format("{:.2f} ms", milliseconds);
  if (milliseconds < 100) return fmt::format("{:.1f} ms", milliseconds);
  return fmt::format("{:.0f} ms", milliseconds);
}

std::string format_count(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - columns_of(row[i]) + 2, ' ');
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

}  // namespace warren::cli
