#include "node/discovery_report.hpp"

#include <gtest/gtest.h>

namespace warren::node {
namespace {

void summarize(NodeStatus& status) {
  for (DiscoveryView& view : status.discovery) {
    view.summary = discovery::summary_of(view.counters);
  }
}

NodeStatus alone() {
  NodeStatus status;
  status.uptime = 8s + 300ms;
  discovery::SourceCounters wlan{.interface = "wlan0", .sent = 3};
  discovery::SourceCounters ethernet{.interface = "eth0", .sent = 1};
  discovery::SourceCounters down{.interface = "docker0", .usable = false};
  status.discovery = {{.name = "mdns", .counters = {wlan, ethernet, down}}};
  summarize(status);
  return status;
}

TEST(DiscoveryReport, NamesWhatRanAndWhatItSaw) {
  EXPECT_EQ(discovery_report(alone()), "no peers yet (8 s). mdns: sent 4, heard 0 on wlan0, eth0.");
}

TEST(DiscoveryReport, TellsPeersThatCouldNotBeReached) {
  NodeStatus status = alone();
  status.peers_known = 2;
  status.dials_failed = 3;
  status.discovery[0].counters[0].heard_peers = 5;
  summarize(status);
  EXPECT_EQ(discovery_report(status),
            "no peer connected (8 s), 2 heard of, 3 dials failed. mdns: sent 4, heard 5 on wlan0, "
            "eth0.");
}

TEST(DiscoveryReport, TellsPeersThatAreConnected) {
  NodeStatus status = alone();
  status.peers_known = 2;
  status.peers_connected = 1;
  EXPECT_TRUE(discovery_report(status).starts_with("1 peer connected. mdns:"));
}

TEST(DiscoveryReport, TellsWhatDoesNotRun) {
  NodeStatus status = alone();
  status.discovery[0].problem = "port 5353 is taken";
  EXPECT_EQ(discovery_report(status), "no peers yet (8 s). mdns: port 5353 is taken.");
  status.discovery.clear();
  EXPECT_EQ(discovery_report(status), "no peers yet (8 s). Discovery is off.");
  NodeStatus offline = alone();
  offline.discovery[0].counters = {};
  summarize(offline);
  EXPECT_EQ(discovery_report(offline),
            "no peers yet (8 s). mdns: sent 0, heard 0 (no interface is usable).");
}

}  // namespace
}  // namespace warren::node
