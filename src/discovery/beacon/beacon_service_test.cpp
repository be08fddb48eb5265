// Two services in one process on the real loopback interface, with a port of their own so that no
// other node on this computer takes part.

#include "discovery/beacon/beacon_service.hpp"

#include <gtest/gtest.h>

#include "discovery/beacon/beacon_test_link.hpp"
#include "discovery/source_for_test.hpp"
#include "runtime/run_task.hpp"

namespace warren::discovery {
namespace {

using beacon::testing::id_of;
using beacon::testing::make_key;
using runtime::RealRuntime;
using testing::no_loopback;
using testing::Sink;
using testing::wait_for;

constexpr std::uint16_t kTestPort = 45'402;
// On a busy computer. How fast it must be: beacon_sim_test.cpp and tests/netns.
constexpr Duration kPatience = 10s;

BeaconOptions on_loopback(BeaconMode mode, std::uint16_t port) {
  BeaconOptions options;
  options.mode = mode;
  options.port = port;
  options.interfaces = {"lo"};
  return options;
}

struct TestNode {
  TestNode(RealRuntime& runtime, std::uint8_t tag, std::uint16_t listen_port, BeaconOptions options)
      : sink(runtime),
        key(make_key(tag)),
        service(
            runtime, key,
            [listen_port] {
              return std::vector{Multiaddr::quic({IpAddress::v4(127, 0, 0, 1), listen_port, 0})};
            },
            std::move(options)) {}
  Sink sink;
  crypto::PrivateKey key;
  BeaconService service;
};

awaitable<void> find_each_other(RealRuntime& runtime, TestNode& a, TestNode& b) {
  EXPECT_TRUE(a.service.start(a.sink));
  EXPECT_TRUE(b.service.start(b.sink));
  const bool a_found = co_await wait_for(a.sink, 1, runtime.now() + kPatience);
  const bool b_found = co_await wait_for(b.sink, 1, runtime.now() + kPatience);
  EXPECT_TRUE(a_found && b_found);
  if (a_found) {
    const PeerHint& hint = a.sink.known.begin()->second;
    EXPECT_EQ(hint.peer, id_of(b.key));
    EXPECT_EQ(hint.addresses, std::vector{Multiaddr::quic({IpAddress::v4(127, 0, 0, 1), 4002, 0})});
    EXPECT_EQ(hint.via, "multicast");
    EXPECT_EQ(hint.spare, (SpareCapacity{1'000, 7}));
  }
  const std::vector<SourceCounters> counters = a.service.counters();
  EXPECT_EQ(counters.size(), 1u);
  if (!counters.empty()) {
    EXPECT_EQ(counters[0].interface, "lo");
    EXPECT_TRUE(counters[0].usable);
    EXPECT_GE(counters[0].sent, 1u);
    EXPECT_EQ(counters[0].send_failed, 0u);
    EXPECT_GE(counters[0].heard_peers, 1u);
    EXPECT_EQ(counters[0].malformed, 0u);
  }
  EXPECT_TRUE(a.service.summary().ends_with(" on lo")) << a.service.summary();
  EXPECT_TRUE(a.service.clock_offset().has_value());
  EXPECT_EQ(a.service.links().size(), 1u);
  // A goodbye is heard at once.
  co_await b.service.stop();
  const bool gone = co_await wait_for(a.sink, 0, runtime.now() + kPatience);
  EXPECT_TRUE(gone);
  EXPECT_EQ(a.sink.lost, 1);
  co_await a.service.stop();
}

void discovery_roundtrip(BeaconMode mode, std::uint16_t port) {
  RealRuntime runtime;
  if (const auto reason = no_loopback(runtime); !reason.empty()) GTEST_SKIP() << reason;
  BeaconOptions offering = on_loopback(mode, port);
  offering.spare = [] { return SpareCapacity{1'000, 7}; };
  TestNode a(runtime, 1, 4001, on_loopback(mode, port));
  TestNode b(runtime, 2, 4002, offering);
  run_task(runtime, find_each_other(runtime, a, b));
}

TEST(Beacon, DiscoveryRoundtripOnLoopback) {
  discovery_roundtrip(BeaconMode::kLoopback, kTestPort);
}

TEST(Beacon, DiscoveryRoundtripOnLoopbackByBroadcast) {
  discovery_roundtrip(BeaconMode::kBroadcast, kTestPort + 1);
}

TEST(BeaconService, OptionsOutOfRangeAreRefused) {
  RealRuntime runtime;
  Sink sink(runtime);
  const auto refusal = [&](auto change) {
    BeaconOptions options = on_loopback(BeaconMode::kLoopback, kTestPort + 2);
    change(options);
    TestNode node(runtime, 1, 4001, options);
    const auto started = node.service.start(sink);
    return started ? std::string("none") : std::string(error_name(started.error().code()));
  };
  EXPECT_EQ(refusal([](BeaconOptions& o) { o.interval = 10ms; }), "invalid_argument");
  EXPECT_EQ(refusal([](BeaconOptions& o) { o.timeout = 1s; }), "invalid_argument");
  EXPECT_EQ(refusal([](BeaconOptions& o) { o.group = IpAddress::v4(10, 0, 0, 1); }),
            "invalid_argument");
}

}  // namespace
}  // namespace warren::discovery
