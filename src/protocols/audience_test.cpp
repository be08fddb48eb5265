#include "protocols/audience.hpp"

#include <gtest/gtest.h>

#include "sim/world.hpp"
#include "swarm/fakes_for_test.hpp"

namespace warren::protocols {
namespace {

using swarm::fakes::FakeConnection;

TEST(Audience, IsLocalByTheAddressOfThePeer) {
  sim::World world{1};
  const auto runtime = world.make_runtime(1);
  const auto serves = [&](std::string_view at, Audience audience) {
    const FakeConnection connection(*runtime, swarm::fakes::peer(1), swarm::fakes::peer(2),
                                    swarm::fakes::address(at), false);
    return belongs_to(connection, audience);
  };
  for (const std::string_view near :
       {"/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.7/udp/1/quic-v1", "/ip6/fe80::1/tcp/1",
        "/ip6/fd00::1/udp/1/quic-v1", "/memory/7"}) {
    EXPECT_TRUE(serves(near, Audience::kLocal)) << near;
    EXPECT_FALSE(serves(near, Audience::kNobody)) << near;
  }
  for (const std::string_view far : {"/ip4/8.8.8.8/tcp/1", "/ip6/2001:4860::8888/udp/1/quic-v1"}) {
    EXPECT_FALSE(serves(far, Audience::kLocal)) << far;
    EXPECT_TRUE(serves(far, Audience::kAnyone)) << far;
  }
}

}  // namespace
}  // namespace warren::protocols
