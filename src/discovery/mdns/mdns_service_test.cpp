// Two services in one process on the real loopback interface, with a port of their own so that no
// other node on this computer takes part.

#include "discovery/mdns/mdns_service.hpp"

#include <gtest/gtest.h>

#include "discovery/mdns/mdns_test_link.hpp"
#include "discovery/source_for_test.hpp"
#include "runtime/run_task.hpp"

namespace warren::discovery {
namespace {

using runtime::RealRuntime;
using testing::make_peer;
using testing::no_loopback;
using testing::Sink;
using testing::wait_for;

constexpr std::uint16_t kTestPort = 45'353;
// On a busy computer. How fast it must be: mdns_sim_test.cpp and tests/netns.
constexpr Duration kPatience = 10s;

struct TestNode {
  TestNode(RealRuntime& runtime, std::uint8_t tag, std::uint16_t listen_port)
      : sink(runtime),
        id(make_peer(tag)),
        service(
            runtime, id,
            [listen_port] {
              return std::vector{Multiaddr::quic({IpAddress::v4(127, 0, 0, 1), listen_port, 0})};
            },
            options()) {}
  static MdnsOptions options() {
    MdnsOptions options;
    options.port = kTestPort;
    options.interfaces = {"lo"};
    return options;
  }
  Sink sink;
  PeerId id;
  MdnsService service;
};

awaitable<void> find_each_other(RealRuntime& runtime, TestNode& a, TestNode& b) {
  const TimePoint start = runtime.now();
  const auto a_started = a.service.start(a.sink);
  const auto b_started = b.service.start(b.sink);
  EXPECT_TRUE(a_started && b_started);
  const bool a_found = co_await wait_for(a.sink, 1, start + kPatience);
  const bool b_found = co_await wait_for(b.sink, 1, start + kPatience);
  EXPECT_TRUE(a_found && b_found);
  if (a_found) {
    EXPECT_EQ(a.sink.known.begin()->first, b.id);
    const PeerHint& hint = a.sink.known.begin()->second;
    EXPECT_EQ(hint.addresses, std::vector{Multiaddr::quic({IpAddress::v4(127, 0, 0, 1), 4002, 0})});
    EXPECT_EQ(hint.via, a.service.name());
  }
  const std::vector<SourceCounters> counters = a.service.counters();
  EXPECT_EQ(counters.size(), 1u);
  if (!counters.empty()) {
    EXPECT_EQ(counters[0].interface, "lo");
    EXPECT_TRUE(counters[0].usable);
    EXPECT_GE(counters[0].sent, 2u);
    EXPECT_EQ(counters[0].send_failed, 0u);
    EXPECT_GE(counters[0].heard, 1u);
    EXPECT_GE(counters[0].heard_peers, 1u);
    EXPECT_EQ(counters[0].malformed, 0u);
  }
  // A goodbye is heard at once.
  const TimePoint stopped = runtime.now();
  co_await b.service.stop();
  const bool gone = co_await wait_for(a.sink, 0, stopped + kPatience);
  EXPECT_TRUE(gone);
  EXPECT_EQ(a.sink.lost, 1);
  co_await a.service.stop();
}

TEST(MdnsService, TwoOnLoopbackFindEachOtherAndSayGoodbye) {
  RealRuntime runtime;
  if (const auto reason = no_loopback(runtime); !reason.empty()) GTEST_SKIP() << reason;
  TestNode a(runtime, 1, 4001);
  TestNode b(runtime, 2, 4002);
  run_task(runtime, find_each_other(runtime, a, b));
}

awaitable<void> change_address(RealRuntime& runtime, MdnsService& changing, Sink& own, TestNode& b,
                               std::vector<Multiaddr>& addresses) {
  EXPECT_TRUE(changing.start(own));
  EXPECT_TRUE(b.service.start(b.sink));
  bool found = co_await wait_for(own, 1, runtime.now() + kPatience);
  EXPECT_TRUE(found);
  EXPECT_TRUE(b.sink.known.empty());  // It listens nowhere yet.
  addresses.push_back(Multiaddr::quic({IpAddress::v4(127, 0, 0, 1), 4003, 0}));
  changing.addresses_changed();
  found = co_await wait_for(b.sink, 1, runtime.now() + kPatience);
  EXPECT_TRUE(found);
  co_await changing.stop();
  co_await b.service.stop();
}

TEST(MdnsService, ANewAddressIsHeardOfBeforeTheNextPoll) {
  RealRuntime runtime;
  if (const auto reason = no_loopback(runtime); !reason.empty()) GTEST_SKIP() << reason;
  TestNode b(runtime, 2, 4002);
  Sink own(runtime);
  std::vector<Multiaddr> addresses;
  MdnsOptions options = TestNode::options();
  options.poll_interval = 1h;
  MdnsService changing(runtime, make_peer(1), [&] { return addresses; }, options);
  run_task(runtime, change_address(runtime, changing, own, b, addresses));
}

awaitable<void> stop_at_once(TestNode& a) {
  EXPECT_TRUE(a.service.start(a.sink));
  co_await a.service.stop();
  EXPECT_TRUE(a.sink.known.empty());
}

TEST(MdnsService, MayBeStoppedRightAfterTheStart) {
  RealRuntime runtime;
  if (const auto reason = no_loopback(runtime); !reason.empty()) GTEST_SKIP() << reason;
  TestNode a(runtime, 1, 4001);
  run_task(runtime, stop_at_once(a));
}

}  // namespace
}  // namespace warren::discovery
