#include "discovery/manual_source.hpp"

#include <gtest/gtest.h>

#include "sim/world.hpp"

namespace warren::discovery {
namespace {

struct Sink final : PeerSink {
  void peer_found(const PeerHint& hint) override { found.push_back(hint); }
  void peer_lost(const PeerHint& hint) override { lost.push_back(hint); }
  std::vector<PeerHint> found, lost;
};

TEST(ManualSource, TellsWhatAPersonSaysOnlyWhileItRuns) {
  sim::World world(1);
  const PeerId peer = PeerId::parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N").value();
  const Multiaddr address = Multiaddr::memory(7).with_peer(peer);
  Sink sink;
  ManualSource source;
  source.add(peer, address, world.now());
  EXPECT_TRUE(source.start(sink));
  EXPECT_TRUE(sink.found.empty());
  source.add(peer, address, world.now());
  ASSERT_EQ(sink.found.size(), 1u);
  EXPECT_EQ(sink.found[0].via, "manual");
  EXPECT_EQ(sink.found[0].addresses, std::vector{Multiaddr::memory(7)});
  EXPECT_EQ(source.summary(), "1 peer added");
  source.remove(peer, world.now());
  source.remove(peer, world.now());
  EXPECT_EQ(sink.lost.size(), 1u);
  sim::run(world, source.stop());
  source.add(peer, address, world.now());
  EXPECT_EQ(sink.found.size(), 1u);
}

}  // namespace
}  // namespace warren::discovery
