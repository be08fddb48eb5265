#include "swarm/dial_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/backoff.hpp"
#include "swarm/fakes_for_test.hpp"

namespace warren::swarm {
namespace {

using fakes::address;
using testing::ElementsAre;

std::vector<std::string> texts(const std::vector<DialCandidate>& candidates) {
  std::vector<std::string> out;
  for (const DialCandidate& candidate : candidates) out.push_back(candidate.address.to_string());
  return out;
}

/// Each as "milliseconds address".
std::vector<std::string> schedule(std::vector<std::string> addresses) {
  std::vector<Multiaddr> parsed;
  for (const std::string& text : addresses) parsed.push_back(address(text));
  std::vector<std::string> out;
  for (const DialCandidate& candidate : order_for_dialing(std::move(parsed), {}, 64)) {
    const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(candidate.delay).count();
    out.push_back(std::to_string(at) + " " + candidate.address.to_string());
  }
  return out;
}

TEST(DialOrder, InALanQuicGoesFirstAndTcpThirtyMillisecondsLater) {
  EXPECT_THAT(schedule({"/ip4/192.168.1.2/tcp/4001", "/ip4/192.168.1.2/udp/4001/quic-v1"}),
              ElementsAre("0 /ip4/192.168.1.2/udp/4001/quic-v1", "30 /ip4/192.168.1.2/tcp/4001"));
  EXPECT_THAT(schedule({"/ip4/192.168.1.2/tcp/4001"}), ElementsAre("0 /ip4/192.168.1.2/tcp/4001"));
}

TEST(DialOrder, OutsideQuicGoesFirstAndTcpAQuarterOfASecondLater) {
  EXPECT_THAT(schedule({"/ip4/203.0.113.1/tcp/4001", "/ip4/203.0.113.1/udp/4001/quic-v1"}),
              ElementsAre("0 /ip4/203.0.113.1/udp/4001/quic-v1", "250 /ip4/203.0.113.1/tcp/4001"));
}

TEST(DialOrder, TheTwoIpVersionsTakeTurnsIpv6FirstOutside) {
  EXPECT_THAT(schedule({"/ip4/203.0.113.1/udp/1/quic-v1", "/ip6/2001:db8::1/udp/1/quic-v1",
                        "/ip6/2001:db8::2/udp/1/quic-v1", "/ip4/203.0.113.1/tcp/1",
                        "/ip6/2001:db8::1/tcp/1"}),
              ElementsAre("0 /ip6/2001:db8::1/udp/1/quic-v1", "250 /ip4/203.0.113.1/udp/1/quic-v1",
                          "250 /ip6/2001:db8::1/tcp/1", "500 /ip6/2001:db8::2/udp/1/quic-v1",
                          "500 /ip4/203.0.113.1/tcp/1"));
}

TEST(DialOrder, ManyAddressesOfALanDoNotKeepTcpWaiting) {
  EXPECT_THAT(schedule({"/ip4/172.17.0.1/udp/1/quic-v1", "/ip4/172.18.0.1/udp/1/quic-v1",
                        "/ip4/172.19.0.1/udp/1/quic-v1", "/ip4/192.168.1.2/udp/1/quic-v1",
                        "/ip4/172.17.0.1/tcp/1", "/ip4/192.168.1.2/tcp/1/ws"}),
              ElementsAre("0 /ip4/172.17.0.1/udp/1/quic-v1", "30 /ip4/172.18.0.1/udp/1/quic-v1",
                          "30 /ip4/172.17.0.1/tcp/1", "60 /ip4/172.19.0.1/udp/1/quic-v1",
                          "60 /ip4/192.168.1.2/udp/1/quic-v1", "60 /ip4/192.168.1.2/tcp/1/ws"));
}

TEST(DialOrder, PutsLanThenThisMachineThenPublicThenRelays) {
  const std::string relay =
      "/ip4/192.168.1.2/udp/1/quic-v1/p2p/" + fakes::peer(1).to_string() + "/p2p-circuit";
  EXPECT_THAT(
      schedule({relay, "/ip4/203.0.113.1/tcp/1", "/ip4/203.0.113.1/udp/1/quic-v1",
                "/ip4/127.0.0.1/udp/1/quic-v1", "/ip6/fd00::2/udp/1/quic-v1",
                "/ip4/192.168.1.2/tcp/1", "/ip4/192.168.1.2/udp/1/quic-v1"}),
      ElementsAre("0 /ip4/192.168.1.2/udp/1/quic-v1", "30 /ip6/fd00::2/udp/1/quic-v1",
                  "30 /ip4/192.168.1.2/tcp/1", "30 /ip4/203.0.113.1/udp/1/quic-v1",
                  "60 /ip4/127.0.0.1/udp/1/quic-v1", "280 /ip4/203.0.113.1/tcp/1", "500 " + relay));
  EXPECT_THAT(schedule({relay}), ElementsAre("0 " + relay));
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

TEST_F(BackoffTest, DoublesFromFiveSecondsToFiveMinutesWithJitter) {
  const Multiaddr at = address("/ip4/10.0.0.1/udp/1/quic-v1");
  for (const Duration least : {5s, 10s, 20s, 40s, 80s, 160s, 300s, 300s}) {
    const Duration wait = fail_and_wait(at);
    EXPECT_GE(wait, std::min<Duration>(least, 250s));
    EXPECT_LE(wait, std::min<Duration>(least * 6 / 5, 300s));
  }
}

TEST_F(BackoffTest, StartsOverAfterASuccessAndLongAfterAFailure) {
  const Multiaddr at = address("/ip4/10.0.0.1/udp/1/quic-v1");
  fail_and_wait(at);
  fail_and_wait(at);
  backoff.succeeded(at);
  EXPECT_LE(fail_and_wait(at), 6s);
  fail_and_wait(at);
  now += 6min;
  EXPECT_LE(fail_and_wait(at), 6s);
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
