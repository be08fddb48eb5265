#include "api/views.hpp"

#include <gtest/gtest.h>

namespace warren::api {
namespace {

PeerId some_peer() {
  Bytes multihash{0x12, 0x20};
  multihash.resize(34);
  return PeerId::from_bytes(multihash).value();
}

TEST(Views, TimesAreRfc3339InUtc) {
  EXPECT_EQ(time_text(WallTime{}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(time_text(WallTime{1'700'000'000s + 999ms}), "2023-11-14T22:13:20Z");
}

TEST(Views, AStatusHasIdAndFullAddresses) {
  node::NodeStatus status;
  status.peer = some_peer();
  status.listen = {Multiaddr::quic({IpAddress::v4(127, 0, 0, 1), 4001, 0}).with_peer(status.peer)};
  status.uptime = 1500ms;
  const Json view = status_view(status);
  EXPECT_EQ(view["peer_id"], status.peer.to_string());
  EXPECT_EQ(view["listen"][0], "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/" + status.peer.to_string());
  EXPECT_EQ(view["uptime"], 1.5);
}

TEST(Views, AStatusTellsWhatWasRefused) {
  node::NodeStatus status;
  status.peer = some_peer();
  EXPECT_EQ(status_view(status)["refused"], Json::array());
  status.refused.push_back(
      {resources::ScopeKind::kSource, resources::Resource::kConnectionsInbound, 7});
  EXPECT_EQ(status_view(status)["refused"][0],
            (Json{{"scope", "source"}, {"resource", "connections_inbound"}, {"count", 7}}));
}

TEST(Views, APeerHasTheFieldsThatProgramsRelyOn) {
  node::PeerView peer;
  peer.peer = some_peer();
  Json view = peer_view(peer);
  EXPECT_EQ(view["connected"], false);
  EXPECT_TRUE(view["rtt_ms"].is_null());
  EXPECT_TRUE(view["path"].is_null());
  EXPECT_TRUE(view["addresses"].is_array());

  peer.connected = true;
  peer.rtt = 1250us;
  peer.path = "lan/quic";
  peer.via = "mdns";
  view = peer_view(peer);
  EXPECT_EQ(view["rtt_ms"], 1.25);
  EXPECT_EQ(view["path"], "lan/quic");
  EXPECT_EQ(view["via"], "mdns");
}

TEST(Views, AnImportHasRateAndEta) {
  content::Progress progress;
  progress.bytes_found = 1000;
  progress.bytes_done = 250;
  Json line = job_line(progress, "hashing", 2s);
  EXPECT_EQ(line["phase"], "walking");
  EXPECT_EQ(line["rate"], 125);
  EXPECT_TRUE(line["eta"].is_null()) << "the total still grows";
  progress.walking = false;
  line = job_line(progress, "hashing", 2s);
  EXPECT_EQ(line["phase"], "hashing");
  EXPECT_EQ(line["eta"], 6.0);
  EXPECT_EQ(job_line(progress, "hashing", 0s)["rate"], 0);
}

TEST(Views, ATransferIsCountedInBytesAndSeconds) {
  transfer::Progress progress;
  progress.id = 7;
  progress.name = "photos";
  progress.bytes_total = 1000;
  progress.bytes_done = 250;
  progress.eta = 3s;
  progress.peers.push_back({.peer = some_peer(), .bytes = 200, .rate = 10, .connected = true});
  Json view = transfer_view(progress);
  EXPECT_EQ(view["id"], "7");
  EXPECT_EQ(view["state"], "active");
  EXPECT_EQ(view["eta"], 3.0);
  EXPECT_EQ(view["peers"][0]["bytes"], 200);
  EXPECT_TRUE(view["error"].is_null());

  progress.error = Error(ErrorCode::kNoSpace, "full", "make room");
  view = transfer_view(progress);
  EXPECT_EQ(view["error"]["name"], "disk_full");
  EXPECT_EQ(view["error"]["retryable"], true);
}

}  // namespace
}  // namespace warren::api
