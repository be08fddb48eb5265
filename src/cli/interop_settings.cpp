#include "cli/interop_settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace warren::cli {
namespace {

/// The names of the variables in one form; empty: that form has none.
struct Names {
  std::string_view transport, security, muxer, dialler, ip, redis, timeout, key, debug;
};
constexpr Names kOlder{.transport = "transport",
                       .security = "security",
                       .muxer = "muxer",
                       .dialler = "is_dialer",
                       .ip = "ip",
                       .redis = "redis_addr",
                       .timeout = "test_timeout_seconds",
                       .key = "",
                       .debug = ""};
constexpr Names kNewer{.transport = "TRANSPORT",
                       .security = "SECURE_CHANNEL",
                       .muxer = "MUXER",
                       .dialler = "IS_DIALER",
                       .ip = "LISTENER_IP",
                       .redis = "REDIS_ADDR",
                       .timeout = "",
                       .key = "TEST_KEY",
                       .debug = "DEBUG"};
constexpr std::uint64_t kTimeoutSecondsMax = 24 * 3600;

std::string value_of(const node::Environment& environment, std::string_view name,
                     std::string_view fallback) {
  if (name.empty()) return std::string(fallback);
  return environment(name).value_or(std::string(fallback));
}

std::unexpected<Error> wrong(std::string_view name, std::string_view value, std::string_view rule) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("{}={}: {}", name, value, rule),
              "the variables: docs/guides/interop.md");
}

Result<std::string> one_of(const node::Environment& environment, std::string_view name,
                           std::span<const std::string_view> known) {
  const std::string value = value_of(environment, name, "");
  if (std::ranges::find(known, value) != known.end()) return value;
  const std::string rule = fmt::format("must be {}", fmt::join(known, " or "));
  if (value.empty()) return wrong(name, value, rule);
  return fail(ErrorCode::kUnsupported, fmt::format("{}={}: {}", name, value, rule));
}

Result<std::string> stack_of(const node::Environment& environment, const Names& names) {
  static constexpr std::array<std::string_view, 3> kTransports{"quic-v1", "tcp", "ws"};
  static constexpr std::array<std::string_view, 2> kSecurities{"noise", "tls"};
  static constexpr std::array<std::string_view, 1> kMuxers{"yamux"};
  WARREN_TRY(std::string transport, one_of(environment, names.transport, kTransports));
  // QUIC has both in itself, whatever else is set.
  if (transport == "quic-v1") return transport;
  WARREN_TRY(const std::string security, one_of(environment, names.security, kSecurities));
  WARREN_TRY_VOID(one_of(environment, names.muxer, kMuxers));
  return transport + "+" + security;
}

template <class Number>
Result<Number> number(std::string_view name, std::string_view text, Number most) {
  Number value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || value < 1 || value > most) {
    return wrong(name, text, fmt::format("must have a number from 1 to {}", most));
  }
  return value;
}

Result<> set_redis(std::string_view name, std::string text, InteropSettings& settings) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) {
    settings.redis_host = std::move(text);
  } else {
    WARREN_TRY(settings.redis_port,
               number<std::uint16_t>(name, std::string_view(text).substr(colon + 1), 65'535));
    settings.redis_host = text.substr(0, colon);
  }
  if (settings.redis_host.empty()) return wrong(name, "", "must be HOST or HOST:PORT");
  return {};
}

Result<bool> truth(const node::Environment& environment, std::string_view name) {
  const std::string value = value_of(environment, name, "");
  if (value == "true" || value == "false") return value == "true";
  return wrong(name, value, "must be true or false");
}

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

Result<InteropSettings> interop_settings(const node::Environment& environment) {
  const bool newer = environment(kNewer.dialler) || environment(kNewer.transport);
  const Names& names = newer ? kNewer : kOlder;
  InteropSettings settings;
  settings.form = newer ? InteropSettings::Form::kYaml : InteropSettings::Form::kJson;
  WARREN_TRY(settings.dialler, truth(environment, names.dialler));
  WARREN_TRY(settings.stack, stack_of(environment, names));
  settings.ip = value_of(environment, names.ip, settings.ip);
  WARREN_TRY_VOID(set_redis(
      names.redis,
      value_of(environment, names.redis, newer ? "transport-redis:6379" : "redis:6379"), settings));
  if (newer) {
    const std::string key = value_of(environment, names.key, "");
    if (key.empty()) return wrong(names.key, key, "must be set");
    settings.redis_key = key + "_listener_multiaddr";
    settings.debug = value_of(environment, names.debug, "") == "true";
  } else {
    settings.redis_key = "listenerAddr";
    WARREN_TRY(const auto seconds,
               number<std::uint64_t>(names.timeout, value_of(environment, names.timeout, "180"),
                                     kTimeoutSecondsMax));
    settings.timeout = std::chrono::seconds(seconds);
  }
  return settings;
}

std::string interop_result(InteropSettings::Form form, Duration handshake_plus_one_rtt,
                           Duration ping_rtt) {
  const double whole = milliseconds(handshake_plus_one_rtt);
  const double ping = milliseconds(ping_rtt);
  switch (form) {
    case InteropSettings::Form::kJson:
      return fmt::format("{{\"handshakePlusOneRTTMillis\":{:.3f},\"pingRTTMilllis\":{:.3f}}}\n",
                         whole, ping);
    case InteropSettings::Form::kYaml:
      return fmt::format(
          "latency:\n  handshake_plus_one_rtt: {:.3f}\n  ping_rtt: {:.3f}\n  unit: ms\n", whole,
          ping);
  }
  return {};
}

}  // namespace warren::cli
