#include "node/config_values.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "node/escape.hpp"

namespace warren::node {
namespace {

struct ByteUnit {
  std::string_view name;
  unsigned shift;
};
constexpr std::array<ByteUnit, 6> kByteUnits{
    {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}, {"", 0}}};

struct TimeUnit {
  std::string_view name;
  Duration length;
};
constexpr std::array<TimeUnit, 5> kTimeUnits{
    {{"d", 24h}, {"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}}};

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const ByteUnit& known : kByteUnits) {
    if (code == std::errc{} && unit == known.name && value <= (UINT64_MAX >> known.shift)) {
      return value << known.shift;
    }
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is not a size", escape_for_display(text)),
              "write a number with B, KiB, MiB, GiB or TiB behind it, or plain bytes");
}

std::string bytes_text(std::uint64_t bytes) {
  for (const ByteUnit& unit : kByteUnits) {
    const std::uint64_t whole = bytes >> unit.shift;
    if (bytes > 0 && unit.shift > 0 && whole << unit.shift == bytes) {
      return fmt::format("{}{}", whole, unit.name);
    }
  }
  return fmt::format("{}", bytes);
}

Result<Duration> parse_duration(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const TimeUnit& known : kTimeUnits) {
    if (code == std::errc{} && unit == known.name && value >= 0 &&
        value <= Duration::max() / known.length) {
      return value * known.length;
    }
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is not a time", escape_for_display(text)),
              "write a whole number with ms, s, m, h or d behind it");
}

std::string duration_text(Duration duration) {
  for (const TimeUnit& unit : kTimeUnits) {
    if (duration >= unit.length && duration % unit.length == Duration::zero()) {
      return fmt::format("{}{}", duration / unit.length, unit.name);
    }
  }
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return whole == 0 ? "0s" : fmt::format("{}ms", whole);
}

}  // namespace warren::node
