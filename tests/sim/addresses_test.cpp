// The addresses of a machine change while whole nodes run on it: nothing is polled, and all who are
// concerned hear of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node_network.hpp"

namespace warren::sim {
namespace {

using testing::Contains;
using testing::Not;

class AddressesTest : public testing::Test {
 protected:
  /// What the first node knows of the second's addresses.
  std::vector<Multiaddr> known() {
    const auto view = network.members[0]->node->peer(network.members[1]->node->id());
    return view ? view->addresses : std::vector<Multiaddr>();
  }
  Multiaddr at(const IpAddress& ip) {
    return Multiaddr::quic({ip, 4001, 0}).with_peer(network.members[1]->node->id());
  }

  NodeNetwork network{seed_from_env(1), 2, Wire::kQuicLan};
};

TEST_F(AddressesTest, AnAddressThatComesLaterIsToldToConnectedPeersAndOneThatGoesToo) {
  const auto connected = [&] {
    const auto view = network.members[0]->node->peer(network.members[1]->node->id());
    return view && view->connected && !view->agent.empty();
  };
  ASSERT_TRUE(network.world.run_until(connected, 10s)) << network.world.replay_hint();
  const IpAddress added = IpAddress::v4(192, 168, 5, 2);
  EXPECT_THAT(known(), Not(Contains(at(added))));
  network.world.add_address(2, added);
  network.world.run_for(1s);
  EXPECT_THAT(known(), Contains(at(added))) << network.world.replay_hint();
  EXPECT_THAT(network.members[1]->node->status().listen, Contains(at(added)));
  network.world.remove_address(2, added);
  network.world.run_for(3s);
  EXPECT_THAT(known(), Not(Contains(at(added)))) << network.world.replay_hint();
}

}  // namespace
}  // namespace warren::sim
