#include "cli/interop_settings.hpp"

#include <gtest/gtest.h>

#include <map>

namespace warren::cli {
namespace {

using Variables = std::map<std::string, std::string, std::less<>>;

Result<InteropSettings> settings(Variables variables) {
  return interop_settings([&](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end() || found->second.empty()) return std::nullopt;
    return found->second;
  });
}

TEST(InteropSettings, TheOlderFormWithItsDefaults) {
  const auto made = settings(
      {{"transport", "tcp"}, {"security", "noise"}, {"muxer", "yamux"}, {"is_dialer", "true"}});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->form, InteropSettings::Form::kJson);
  EXPECT_TRUE(made->dialler);
  EXPECT_EQ(made->stack, "tcp+noise");
  EXPECT_EQ(made->ip, "0.0.0.0");
  EXPECT_EQ(made->redis_host, "redis");
  EXPECT_EQ(made->redis_port, 6379);
  EXPECT_EQ(made->redis_key, "listenerAddr");
  EXPECT_EQ(made->timeout, 180s);
}

TEST(InteropSettings, TheNewerForm) {
  const auto made = settings({{"IS_DIALER", "false"},
                              {"REDIS_ADDR", "192.0.2.1:7"},
                              {"TEST_KEY", "a1b2"},
                              {"TRANSPORT", "ws"},
                              {"SECURE_CHANNEL", "tls"},
                              {"MUXER", "yamux"},
                              {"LISTENER_IP", "127.0.0.1"},
                              {"DEBUG", "true"},
                              // Those of the other form do not count.
                              {"transport", "quic-v1"},
                              {"is_dialer", "true"}});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->form, InteropSettings::Form::kYaml);
  EXPECT_FALSE(made->dialler);
  EXPECT_EQ(made->stack, "ws+tls");
  EXPECT_EQ(made->ip, "127.0.0.1");
  EXPECT_EQ(made->redis_host, "192.0.2.1");
  EXPECT_EQ(made->redis_port, 7);
  EXPECT_EQ(made->redis_key, "a1b2_listener_multiaddr");
  EXPECT_TRUE(made->debug);
}

TEST(InteropSettings, QuicNeedsNeitherSecurityNorMuxer) {
  const auto made = settings({{"transport", "quic-v1"},
                              {"is_dialer", "false"},
                              {"redis_addr", "host"},
                              {"test_timeout_seconds", "7"}});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->stack, "quic-v1");
  EXPECT_EQ(made->redis_host, "host");
  EXPECT_EQ(made->timeout, 7s);
}

TEST(InteropSettings, WhatIsMissingOrWrongIsNamed) {
  const Variables good{
      {"transport", "tcp"}, {"security", "noise"}, {"muxer", "yamux"}, {"is_dialer", "true"}};
  const auto refusal = [&](std::string name, std::string value) {
    Variables changed = good;
    changed[name] = value;
    const auto made = settings(changed);
    EXPECT_FALSE(made) << name << "=" << value;
    if (made) return ErrorCode::kInternal;
    EXPECT_NE(made.error().message().find(name + "=" + value), std::string::npos)
        << made.error().message();
    return made.error().code();
  };
  EXPECT_EQ(refusal("is_dialer", ""), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal("is_dialer", "yes"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal("transport", ""), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal("transport", "webrtc-direct"), ErrorCode::kUnsupported);
  EXPECT_EQ(refusal("security", "plaintext"), ErrorCode::kUnsupported);
  EXPECT_EQ(refusal("muxer", "mplex"), ErrorCode::kUnsupported);
  EXPECT_EQ(refusal("test_timeout_seconds", "0"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal("test_timeout_seconds", "99999999999"), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(settings({{"transport", "tcp"},
                         {"security", "noise"},
                         {"muxer", "yamux"},
                         {"is_dialer", "true"},
                         {"redis_addr", "host:70000"}}));
  EXPECT_FALSE(settings({{"transport", "tcp"},
                         {"security", "noise"},
                         {"muxer", "yamux"},
                         {"is_dialer", "true"},
                         {"redis_addr", ":6379"}}));
  EXPECT_FALSE(settings({{"TRANSPORT", "quic-v1"}, {"IS_DIALER", "true"}})) << "no TEST_KEY";
  EXPECT_FALSE(settings({}));
}

TEST(InteropResult, IsWhatTheHarnessReads) {
  EXPECT_EQ(interop_result(InteropSettings::Form::kJson, 12'345'678ns, 250us),
            "{\"handshakePlusOneRTTMillis\":12.346,\"pingRTTMilllis\":0.250}\n");
  EXPECT_EQ(interop_result(InteropSettings::Form::kYaml, 2ms, 1ms),
            "latency:\n  handshake_plus_one_rtt: 2.000\n  ping_rtt: 1.000\n  unit: ms\n");
}

}  // namespace
}  // namespace warren::cli
