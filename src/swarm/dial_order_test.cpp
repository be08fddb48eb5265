#include "swarm/dial_order.hpp"

#include <gtest/gtest.h>

#include "swarm/backoff.hpp"
#include "swarm/fakes_for_test.hpp"

namespace warren::swarm {
namespace {

using fakes::address;

std::vector<std::string> texts(const std::vector<DialCandidate>& candidates) {
  std::vector<std::string> out;
  for (const DialCandidate& candidate : candidates) out.push_back(candidate.address.to_string());
  return out;
}

TEST(DialOrder, PutsLanThenThisMachineThenPublicThenRelays) {
  const auto ordered = order_for_dialing(
      {
          address("/ip4/203.0.113.1/tcp/4001"),
          address("/ip4/203.0.113.1/udp/4001/quic-v1"),
          address("/ip4/192.168.1.2/udp/4001/quic-v1/p2p/" + fakes::peer(1).to_string() +
                  "/p2p-circuit"),
          address("/ip6/2001:db8::1/udp/4001/quic-v1"),
          address("/ip4/127.0.0.1/udp/4001/quic-v1"),
          address("/ip4/192.168.1.2/tcp/4001"),
          address("/ip6/fd00::2/udp/4001/quic-v1"),
          address("/ip4/192.168.1.2/udp/4001/quic-v1"),
      },
      {30ms, 250ms}, 64);
  EXPECT_EQ(texts(ordered), (std::vector<std::string>{
                                "/ip4/192.168.1.2/udp/4001/quic-v1",
                                "/ip6/fd00::2/udp/4001/quic-v1",
                                "/ip4/192.168.1.2/tcp/4001",
                                "/ip4/127.0.0.1/udp/4001/quic-v1",
                                "/ip6/2001:db8::1/udp/4001/quic-v1",
                                "/ip4/203.0.113.1/udp/4001/quic-v1",
                                "/ip4/203.0.113.1/tcp/4001",
                                "/ip4/192.168.1.2/udp/4001/quic-v1/p2p/" +
                                    fakes::peer(1).to_string() + "/p2p-circuit",
                            }));
  std::vector<Duration> head_starts;
  for (const DialCandidate& candidate : ordered) head_starts.push_back(candidate.head_start);
  EXPECT_EQ(head_starts, (std::vector<Duration>{0ms, 30ms, 30ms, 30ms, 30ms, 250ms, 250ms, 250ms}));
}

TEST(DialOrder, LeavesDoublesOutAndKeepsTheBestUpToTheLimit) {
  const Multiaddr lan = address("/ip4/10.0.0.1/udp/1/quic-v1");
  const Multiaddr wan = address("/ip4/203.0.113.1/udp/1/quic-v1");
  EXPECT_EQ(order_for_dialing({wan, lan, wan, lan}, {}, 64).size(), 2u);
  EXPECT_EQ(texts(order_for_dialing({wan, lan}, {}, 1)), std::vector<std::string>{lan.to_string()});
  EXPECT_TRUE(order_for_dialing({}, {}, 64).empty());
}

class BackoffTest : public testing::Test {
 protected:
  Backoff backoff{5s, 5min, 3};
  std::mt19937_64 rng{42};
  TimePoint now{};

  Duration fail_and_wait(const Multiaddr& at) {
    backoff.failed(at, now, rng);
    const auto until = backoff.until(at, now);
    EXPECT_TRUE(until);
    const Duration wait = *until - now;
    now = *until;
    EXPECT_FALSE(backoff.until(at, now)) << "free at the end of the wait";
    return wait;
  }
};

TEST_F(BackoffTest, DoublesFromFiveSecondsToFiveMinutesWithJitterBelow) {
  const Multiaddr at = address("/ip4/10.0.0.1/udp/1/quic-v1");
  for (const Duration most : {5s, 10s, 20s, 40s, 80s, 160s, 300s, 300s}) {
    const Duration wait = fail_and_wait(at);
    EXPECT_LE(wait, most);
    EXPECT_GE(wait, most * 4 / 5);
  }
}

TEST_F(BackoffTest, StartsOverAfterASuccessAndLongAfterAFailure) {
  const Multiaddr at = address("/ip4/10.0.0.1/udp/1/quic-v1");
  fail_and_wait(at);
  fail_and_wait(at);
  backoff.succeeded(at);
  EXPECT_LE(fail_and_wait(at), 5s);
  fail_and_wait(at);
  now += 6min;
  EXPECT_LE(fail_and_wait(at), 5s);
}

TEST_F(BackoffTest, ForgetsOnePeerAndIsBounded) {
  const Multiaddr base = address("/ip4/10.0.0.1/udp/1/quic-v1");
  backoff.failed(base.with_peer(fakes::peer(1)), now, rng);
  backoff.failed(base.with_peer(fakes::peer(2)), now, rng);
  backoff.forget(fakes::peer(1));
  EXPECT_FALSE(backoff.until(base.with_peer(fakes::peer(1)), now));
  EXPECT_TRUE(backoff.until(base.with_peer(fakes::peer(2)), now));
  for (std::uint8_t n = 3; n < 20; ++n) {
    now += 1s;
    backoff.failed(base.with_peer(fakes::peer(n)), now, rng);
    EXPECT_LE(backoff.size(), 3u);
  }
  EXPECT_TRUE(backoff.until(base.with_peer(fakes::peer(19)), now));
}

}  // namespace
}  // namespace warren::swarm
