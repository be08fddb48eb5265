// Each check on made-up machines: a good one, a bad one, and one that could not be looked at.

#include "node/doctor.hpp"

#include <gtest/gtest.h>

namespace warren::node {
namespace {

bool says(const Check& check, std::string_view text) {
  return check.detail.find(text) != std::string::npos || check.fix.find(text) != std::string::npos;
}

TEST(Doctor, TheWorstVerdictCounts) {
  EXPECT_EQ(worst_of({}), Verdict::kOk);
  EXPECT_EQ(worst_of({{"a", Verdict::kOk, "", ""},
                      {"b", Verdict::kFail, "", ""},
                      {"c", Verdict::kWarn, "", ""}}),
            Verdict::kFail);
  EXPECT_EQ(verdict_name(Verdict::kFail), "FAIL");
}

TEST(Doctor, ADaemonThatDoesNotAnswerFailsAndAnotherVersionWarns) {
  EXPECT_EQ(check_daemon({"1.0", "1.0", ""}).verdict, Verdict::kOk);
  const Check other = check_daemon({"0.9", "1.0", ""});
  EXPECT_EQ(other.verdict, Verdict::kWarn);
  EXPECT_TRUE(says(other, "0.9") && says(other, "1.0"));
  const Check none = check_daemon({std::nullopt, "1.0", "nobody listens at /run/api.sock"});
  EXPECT_EQ(none.verdict, Verdict::kFail);
  EXPECT_TRUE(says(none, "/run/api.sock") && says(none, "warren up"));
}

TEST(Doctor, APortThatIsTakenFailsAndMissingIpv6Warns) {
  const PortFacts good{"/ip4/0.0.0.0/udp/4001/quic-v1", true, "", true};
  const PortFacts taken{"/ip4/0.0.0.0/tcp/4001", false, "port in use", true};
  const PortFacts v6{"/ip6/::/tcp/4001", false, "no IPv6 here", false};
  EXPECT_EQ(check_ports({good}).verdict, Verdict::kOk);
  EXPECT_EQ(check_ports({good, v6}).verdict, Verdict::kWarn);
  const Check failed = check_ports({good, taken, v6});
  EXPECT_EQ(failed.verdict, Verdict::kFail);
  EXPECT_TRUE(says(failed, "/tcp/4001") && says(failed, "port in use"));
  EXPECT_EQ(check_ports({v6}).verdict, Verdict::kFail) << "nothing is bound at all";
  EXPECT_EQ(check_ports({}).verdict, Verdict::kWarn);
}

TEST(Doctor, BlockedMulticastIsNamedByInterface) {
  const MulticastFacts good{.interface = "eth0", .problem = "", .came_back = true};
  const MulticastFacts silent{.interface = "wlan0", .problem = ""};
  const MulticastFacts refused{
      .interface = "eth0", .problem = "network is unreachable", .v6 = true};
  EXPECT_EQ(check_multicast({good}).verdict, Verdict::kOk);
  const Check some = check_multicast({good, silent, refused});
  EXPECT_EQ(some.verdict, Verdict::kWarn);
  EXPECT_TRUE(says(some, "wlan0 IPv4 (sent, nothing came back)")) << some.detail;
  EXPECT_TRUE(says(some, "eth0 IPv6 (network is unreachable)")) << some.detail;
  EXPECT_TRUE(says(some, "works on eth0 IPv4")) << some.detail;
  EXPECT_EQ(check_multicast({silent}).verdict, Verdict::kFail);
  EXPECT_TRUE(says(check_multicast({silent}), "bootstrap.peers")) << "there is another way";
  EXPECT_EQ(check_multicast({}).verdict, Verdict::kFail);
}

TEST(Doctor, MulticastThatTheNetworkDropsIsToldByBeaconsThatComeByBroadcastOnly) {
  const MulticastFacts dropped{
      .interface = "eth0", .problem = "", .came_back = true, .heard_by_broadcast = 3};
  MulticastFacts both = dropped;
  both.heard_by_multicast = 1;
  EXPECT_EQ(check_multicast({both}).verdict, Verdict::kOk) << "some come by multicast";
  const Check warned = check_multicast({dropped});
  EXPECT_EQ(warned.verdict, Verdict::kWarn);
  EXPECT_TRUE(says(warned, "dropped by the network at eth0 IPv4")) << warned.detail;
  EXPECT_TRUE(says(warned, "switch")) << warned.fix;
  const MulticastFacts silent{.interface = "wlan0", .problem = ""};
  const Check mixed = check_multicast({dropped, silent});
  EXPECT_EQ(mixed.verdict, Verdict::kWarn);
  EXPECT_TRUE(says(mixed, "eth0 IPv4") && says(mixed, "wlan0 IPv4 (sent")) << mixed.detail;
}

TEST(Doctor, OtherMdnsProgramsAreFineUnlessTheyKeepUsOut) {
  EXPECT_EQ(check_mdns_port({0, ""}).verdict, Verdict::kOk);
  EXPECT_TRUE(says(check_mdns_port({3, ""}), "3 sockets"));
  EXPECT_EQ(check_mdns_port({3, ""}).verdict, Verdict::kOk);
  EXPECT_EQ(check_mdns_port({1, "address in use"}).verdict, Verdict::kWarn);
}

TEST(Doctor, NobodyComingInWhileDialsWorkIsAHintAtAFirewall) {
  EXPECT_EQ(check_inbound({1, 0, 1h}).verdict, Verdict::kOk);
  EXPECT_EQ(check_inbound({0, 0, 1h}).verdict, Verdict::kOk) << "nobody is there at all";
  EXPECT_EQ(check_inbound({0, 3, 10s}).verdict, Verdict::kOk) << "too early to tell";
  const Check warned = check_inbound({0, 3, 10min});
  EXPECT_EQ(warned.verdict, Verdict::kWarn);
  EXPECT_TRUE(says(warned, "firewall"));
}

TEST(Doctor, Ipv6IsMissedButNotNeeded) {
  EXPECT_EQ(check_ipv6({{"2001:db8::1 on eth0"}, {}, ""}).verdict, Verdict::kOk);
  EXPECT_EQ(check_ipv6({{}, {"fe80::1 on eth0"}, ""}).verdict, Verdict::kOk);
  EXPECT_EQ(check_ipv6({{}, {}, ""}).verdict, Verdict::kWarn);
  EXPECT_EQ(check_ipv6({{}, {}, "address family not supported"}).verdict, Verdict::kWarn);
}

TEST(Doctor, SmallKernelLimitsAreNamedWithTheCommandThatRaisesThem) {
  EXPECT_EQ(check_socket_buffers(7'500'000, 7'500'000).verdict, Verdict::kOk);
  const Check small = check_socket_buffers(212'992, 7'500'000);
  EXPECT_EQ(small.verdict, Verdict::kWarn);
  EXPECT_TRUE(says(small, "212992") && says(small, "sysctl -w net.core.rmem_max=7500000"));
  EXPECT_EQ(check_socket_buffers(std::nullopt, 1).verdict, Verdict::kWarn);
  EXPECT_EQ(check_file_watches(524'288).verdict, Verdict::kOk);
  EXPECT_TRUE(says(check_file_watches(8192), "fs.inotify.max_user_watches"));
  EXPECT_EQ(check_file_watches(8192).verdict, Verdict::kWarn);
  EXPECT_EQ(check_file_watches(std::nullopt).verdict, Verdict::kWarn);
  EXPECT_EQ(check_descriptors(4096, 400).verdict, Verdict::kOk);
  EXPECT_EQ(check_descriptors(1024, 400).verdict, Verdict::kWarn);
  EXPECT_TRUE(says(check_descriptors(1024, 400), "1024"));
}

TEST(Doctor, AClockMoreThanHalfAMinuteOffWarns) {
  EXPECT_EQ(check_clock({{}, {}}).verdict, Verdict::kOk);
  EXPECT_EQ(check_clock({-30s, {}}).verdict, Verdict::kOk);
  const Check behind = check_clock({31s, {}});
  EXPECT_EQ(behind.verdict, Verdict::kWarn);
  EXPECT_TRUE(says(behind, "31.0 s ahead of this machine")) << behind.detail;
  EXPECT_TRUE(says(check_clock({-31s, {}}), "31.0 s behind this machine"));
  EXPECT_EQ(check_clock({{}, 10min}).verdict, Verdict::kWarn);
  EXPECT_EQ(check_clock({1s, 10min}).verdict, Verdict::kOk) << "the proven ones count";
}

TEST(Doctor, AFullVolumeFailsAndANearlyFullOneWarns) {
  const auto of = [](std::uint64_t free) {
    return check_space({{"/var", "state", free, ""}, {"/data", "downloads", 1ull << 40, ""}});
  };
  EXPECT_EQ(of(1ull << 40).verdict, Verdict::kOk);
  EXPECT_EQ(of(512u << 20).verdict, Verdict::kWarn);
  EXPECT_EQ(of(1u << 20).verdict, Verdict::kFail);
  EXPECT_TRUE(says(of(1u << 20), "state at /var: 1.0 MiB free")) << of(1u << 20).detail;
  EXPECT_EQ(check_space({{"/var", "state", {}, "permission denied"}}).verdict, Verdict::kFail);
}

TEST(Doctor, ABrokenPeerStoreFails) {
  EXPECT_EQ(check_peer_store("/s/peers.db", true, {}).verdict, Verdict::kOk);
  EXPECT_EQ(check_peer_store("/s/peers.db", false, {}).verdict, Verdict::kOk);
  const Check broken =
      check_peer_store("/s/peers.db", true, Error(ErrorCode::kMalformed, "it is damaged"));
  EXPECT_EQ(broken.verdict, Verdict::kFail);
  EXPECT_TRUE(says(broken, "it is damaged") && says(broken, "/s/peers.db"));
}

TEST(Doctor, BootstrapPeersThatDoNotAnswerAreCounted) {
  EXPECT_EQ(check_bootstrap({0, 0, ""}).verdict, Verdict::kOk) << "none are wanted";
  EXPECT_EQ(check_bootstrap({3, 3, "3 of 3 reachable"}).verdict, Verdict::kOk);
  EXPECT_EQ(check_bootstrap({3, 1, "1 of 3 reachable"}).verdict, Verdict::kWarn);
  EXPECT_EQ(check_bootstrap({3, 0, "0 of 3 reachable"}).verdict, Verdict::kFail);
}

TEST(Doctor, AFileThatIsNotInForceFails) {
  EXPECT_EQ(check_configuration("/c.yaml", {}).verdict, Verdict::kOk);
  const Check bad =
      check_configuration("/c.yaml", Error(ErrorCode::kInvalidArgument, "/c.yaml:3:1: x"));
  EXPECT_EQ(bad.verdict, Verdict::kFail);
  EXPECT_TRUE(says(bad, "/c.yaml:3:1"));
}

}  // namespace
}  // namespace warren::node
