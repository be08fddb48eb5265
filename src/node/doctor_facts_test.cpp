#include "node/doctor_facts.hpp"

#include <gtest/gtest.h>

#include "node/testing/temporary_directory.hpp"
#include "runtime/run_task.hpp"
#include "sim/world.hpp"

namespace warren::node {
namespace {

TEST(DoctorFacts, MulticastComesBackInTheSimulatedWorld) {
  sim::World world(sim::seed_from_env(1));
  const auto host = world.make_runtime(1);
  const auto facts = sim::run(world, probe_multicast(*host, 2s));
  ASSERT_FALSE(facts.empty());
  for (const MulticastFacts& one : facts) {
    EXPECT_TRUE(one.came_back) << one.interface << " " << one.v6 << ": " << one.problem;
    EXPECT_EQ(one.problem, "");
  }
  EXPECT_EQ(check_multicast(facts).verdict, Verdict::kOk);
}

TEST(DoctorFacts, APortInUseIsFoundAndAFreeOneIsGivenBack) {
  sim::World world(sim::seed_from_env(1));
  const auto host = world.make_runtime(1);
  const Endpoint taken{sim::host_v4(1), 4001, 0};
  const auto holder = host->bind_datagram(taken, {});
  ASSERT_TRUE(holder);
  const std::vector<ListenAddress> wanted{{Multiaddr::quic(taken), true},
                                          {Multiaddr::tcp(taken), true}};
  for (int i = 0; i < 2; ++i) {
    const auto facts = probe_ports(*host, wanted);
    ASSERT_EQ(facts.size(), 2u);
    EXPECT_FALSE(facts[0].bound);
    EXPECT_NE(facts[0].problem, "");
    EXPECT_TRUE(facts[1].bound) << facts[1].problem;
  }
}

TEST(DoctorFacts, SocketsOfOthersAreCountedByPort) {
  const std::string_view table =
      "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode ref pointer drops\n"
      "  100: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000   107        0 "
      "21001 2 0000000000000000 0\n"
      "  100: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 "
      "21002 2 0000000000000000 0\n"
      "  101: 00000000:0FA1 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 "
      "21003 2 0000000000000000 0\n"
      "  102: short\n";
  EXPECT_EQ(count_udp_sockets(table, 5353, {}), 2u);
  EXPECT_EQ(count_udp_sockets(table, 5353, {21002}), 1u) << "our own does not count";
  EXPECT_EQ(count_udp_sockets("", 5353, {}), 0u);
  EXPECT_EQ(count_udp_sockets("head alone", 5353, {}), 0u);
}

TEST(DoctorFacts, WithoutANodeTheMachineIsLookedAtInTime) {
  const testing::TemporaryDirectory home;
  Patient patient{.paths = paths_under(home.path()).value(),
                  .config = {},
                  .config_problem = Error(ErrorCode::kInvalidArgument, "c.yaml:1:1: bad"),
                  .node = nullptr};
  patient.config.listen_addresses = {Multiaddr::parse("/ip4/127.0.0.1/udp/0/quic-v1").value()};
  home.write("peers.db", std::string(5000, 'x'));
  patient.config.peer_store_path = home.path() + "/peers.db";
  runtime::RealRuntime runtime({.pool_threads = 1});
  const TimePoint begun = runtime.now();
  const auto checks = runtime::run_task(runtime, examine(runtime, patient));
  EXPECT_LT(runtime.now() - begun, 10s);
  std::map<std::string, Check> by_name;
  for (const Check& check : checks) {
    EXPECT_TRUE(by_name.emplace(check.name, check).second) << check.name << " stands there twice";
    EXPECT_NE(check.detail, "") << check.name;
    if (check.verdict == Verdict::kFail) EXPECT_NE(check.fix, "") << check.name;
  }
  for (const char* name : {"ports", "multicast", "mdns port", "ipv6", "socket buffers",
                           "file watches", "descriptors", "space", "peer store", "configuration"}) {
    EXPECT_TRUE(by_name.contains(name)) << name;
  }
  EXPECT_EQ(by_name["ports"].verdict, Verdict::kOk) << by_name["ports"].detail;
  EXPECT_EQ(by_name["peer store"].verdict, Verdict::kFail) << by_name["peer store"].detail;
  EXPECT_EQ(by_name["configuration"].verdict, Verdict::kFail);
}

}  // namespace
}  // namespace warren::node
