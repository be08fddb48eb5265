#pragma once
// What the two forms of libp2p's transport-interop harness ask for through the environment.
// Source: libp2p test-plans, transport-interop/README.md; libp2p unified-testing, transport.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "node/paths.hpp"

namespace warren::cli {

struct InteropSettings {
  /// How the dialler's result is written.
  enum class Form : std::uint8_t { kJson, kYaml } form = Form::kJson;
  bool dialler = false;
  std::string stack;           ///< "quic-v1", "tcp+noise", "tcp+tls", "ws+noise", "ws+tls".
  std::string ip = "0.0.0.0";  ///< Where a listener listens.
  std::string redis_host;
  std::uint16_t redis_port = 6379;
  std::string redis_key;    ///< The list through which the listener's address goes.
  Duration timeout = 180s;  ///< For everything.
  bool debug = false;
};

/// The newer form (upper case: IS_DIALER, REDIS_ADDR, TEST_KEY, TRANSPORT, SECURE_CHANNEL, MUXER,
/// LISTENER_IP, DEBUG) when IS_DIALER or TRANSPORT is set, else the older one (lower case:
/// is_dialer, redis_addr, transport, security, muxer, ip, test_timeout_seconds).
/// Errors: kInvalidArgument naming the variable; kUnsupported for a transport, security protocol or
/// muxer that Warren has not.
Result<InteropSettings> interop_settings(const node::Environment& environment);

/// {"handshakePlusOneRTTMillis":1.25,"pingRTTMilllis":0.25} (so written by the harness), or the
/// three lines of YAML. Ends with a line feed.
std::string interop_result(InteropSettings::Form form, Duration handshake_plus_one_rtt,
                           Duration ping_rtt);

}  // namespace warren::cli
