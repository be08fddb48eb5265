#include "discovery/beacon/beacon_machine.hpp"

#include <gtest/gtest.h>

#include "discovery/beacon/beacon_test_link.hpp"

namespace warren::discovery::beacon {
namespace {

using testing::address;
using testing::id_of;
using testing::ip;
using testing::Link;
using testing::make_key;
using testing::Node;

const IpAddress kPeerIp = IpAddress::v4(10, 0, 0, 77);

/// One node that hears what the test makes up, and a peer that is not simulated.
struct Ear {
  Ear() : node(link.add(1)) { link.start(node); }
  explicit Ear(MachineConfig config) : node(link.add(1, std::move(config))) { link.start(node); }

  Announcement said(const IpAddress& at = kPeerIp) const { return link.announcement(at, node); }
  void hear(const Announcement& said, const IpAddress& from = kPeerIp) {
    link.inject(node, from, seal(key, said));
  }
  const BeaconDrops& drops() const { return node.machine->drops(); }

  Link link;
  Node& node;
  crypto::PrivateKey key = make_key(77);
  PeerId peer = id_of(key);
};

TEST(BeaconMachine, TwoFindEachOtherAtOnceWithWhatTheyOffer) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  a.spare = {5'000, 3};
  link.start(a);
  link.run_for(10s);
  link.start(b);
  link.run_for(1'300ms);
  ASSERT_TRUE(a.known.contains(b.id));
  ASSERT_TRUE(b.known.contains(a.id));
  const PeerHint& hint = b.known[a.id];
  EXPECT_EQ(hint.via, "multicast");
  EXPECT_EQ(hint.addresses, std::vector{address("/ip4/10.0.0.1/udp/4001/quic-v1")});
  EXPECT_EQ(hint.spare, (SpareCapacity{5'000, 3}));
  EXPECT_LE(link.now - hint.seen, 2s);
  EXPECT_EQ(hint.record, nullptr);
}

TEST(BeaconMachine, ABeaconGoesOutEveryInterval) {
  Link link;
  Node& a = link.add(1);
  link.start(a);
  link.run_for(60s);
  EXPECT_GE(a.sent.size(), 31u);  // One more after the first.
  EXPECT_LE(a.sent.size(), 35u);
  for (std::size_t i = 2; i < a.sent.size(); ++i) {
    EXPECT_LE(a.sent[i].first - a.sent[i - 1].first, 2s);
  }
  EXPECT_EQ(a.machine->counters().at(2).own_multicast, a.sent.size());
  EXPECT_EQ(a.machine->counters().at(2).heard, 0u);
}

TEST(Beacon, SweepStalePeer) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  link.start(a);
  link.start(b);
  link.run_for(4s);
  ASSERT_EQ(a.known.size(), 1u);
  b.dead = true;
  const TimePoint died = link.now;
  link.run_for(2'900ms);
  EXPECT_EQ(a.lost.size(), 0u);  // Heard 2 s before at the most: not for 5 s.
  link.run_for(3'200ms);
  ASSERT_EQ(a.lost.size(), 1u);
  EXPECT_EQ(a.lost[0].second, b.id);
  EXPECT_LE(a.lost[0].first - died, 6s);
  EXPECT_EQ(a.machine->peers(), 0u);
  EXPECT_EQ(a.machine->bytes(), 0u);
}

TEST(BeaconMachine, AGoodbyeRemovesAtOnce) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  link.start(a);
  link.start(b);
  link.run_for(4s);
  ASSERT_EQ(a.known.size(), 1u);
  link.handle(b, StopAsked{});
  b.dead = true;
  link.run_for(2ms);
  EXPECT_EQ(a.known.size(), 0u);
}

TEST(BeaconMachine, ARestartedPeerIsFoundAgain) {
  Ear ear;
  ear.hear(ear.said());
  Announcement goodbye = ear.said();
  goodbye.goodbye = true;
  ++goodbye.serial;
  ear.hear(goodbye);
  EXPECT_EQ(ear.node.lost.size(), 1u);
  ear.link.run_for(10ms);
  ear.hear(ear.said());  // Its serial is the civil time again.
  EXPECT_TRUE(ear.node.known.contains(ear.peer));
}

TEST(BeaconMachine, ARecordedBeaconIsDroppedWhileThePeerIsThereAndAfterIt) {
  Ear ear;
  const Bytes recorded = seal(ear.key, ear.said());
  ear.link.inject(ear.node, kPeerIp, recorded);
  ear.link.run_for(2s);
  ear.hear(ear.said());
  ear.link.inject(ear.node, kPeerIp, recorded);
  EXPECT_EQ(ear.drops().replayed, 1u);
  Announcement goodbye = ear.said();
  goodbye.goodbye = true;
  ++goodbye.serial;
  ear.hear(goodbye);
  EXPECT_EQ(ear.node.known.size(), 0u);
  ear.link.inject(ear.node, kPeerIp, recorded);
  EXPECT_EQ(ear.drops().replayed, 2u);
  EXPECT_EQ(ear.node.known.size(), 0u);
  EXPECT_EQ(ear.node.machine->checked(), 3u);  // No replay cost a check.
}

TEST(BeaconMachine, ACopyCostsNoCheckAndChangesNothing) {
  Ear ear;
  const Bytes packet = seal(ear.key, ear.said());
  for (int i = 0; i < 1'000; ++i) {
    ear.link.inject(ear.node, i % 2 == 0 ? kPeerIp : ip("fe80::77"), packet, i % 3 == 0);
  }
  EXPECT_EQ(ear.node.machine->checked(), 1u);
  EXPECT_EQ(ear.drops().replayed, 0u);
  ear.link.run_for(7s);
  EXPECT_EQ(ear.node.lost.size(), 1u);  // Nor do copies keep it alive.
}

TEST(BeaconMachine, AnotherHostCannotReplayWhatItRecorded) {
  Ear ear;
  ear.hear(ear.said(), IpAddress::v4(10, 0, 0, 66));
  EXPECT_EQ(ear.drops().foreign, 1u);
  EXPECT_EQ(ear.node.found.size(), 0u);
  EXPECT_EQ(ear.node.machine->checked(), 0u);
}

TEST(BeaconMachine, OnLoopbackEverySourceIsThisComputer) {
  Ear ear;
  ear.link.handle(ear.node, InterfacesChanged{{{{2, {IpAddress::v4(127, 0, 0, 1)}, true}, true}}});
  ear.hear(ear.said(), IpAddress::v4(127, 0, 0, 1));
  EXPECT_EQ(ear.node.known.size(), 1u);
}

TEST(BeaconMachine, AForgedBeaconMakesNoPeerAndSilencesItsSource) {
  Ear ear;
  Announcement said = ear.said();
  for (int i = 0; i < 100; ++i) {
    ++said.serial;
    Bytes forged = seal(ear.key, said);
    forged.back() ^= 1;
    ear.link.inject(ear.node, kPeerIp, forged);
  }
  EXPECT_EQ(ear.drops().forged, 1u);
  EXPECT_EQ(ear.drops().over_rate, 99u);
  EXPECT_EQ(ear.node.found.size(), 0u);
  ear.link.run_for(5s);
  ear.hear(ear.said());
  EXPECT_EQ(ear.node.known.size(), 1u);  // For a while.
}

TEST(BeaconMachine, AClockThatIsFarOffIsCountedApart) {
  for (const Duration off : {Duration(301s), Duration(-301s)}) {
    Ear ear;
    ear.node.clock_ahead = off;
    Announcement said = ear.said();
    ear.node.clock_ahead = 0s;
    ear.hear(said);
    EXPECT_EQ(ear.drops().stale, 1u);
    EXPECT_EQ(ear.node.found.size(), 0u);
    EXPECT_EQ(ear.node.machine->stale_ahead(), off);
  }
  Ear ear;
  ear.node.clock_ahead = 290s;
  Announcement said = ear.said();
  ear.node.clock_ahead = 0s;
  ear.hear(said);
  EXPECT_EQ(ear.node.known.size(), 1u);
  EXPECT_EQ(ear.node.machine->clock_ahead(), Duration(290s));
}

TEST(BeaconMachine, AChangeOfAddressesIsToldAtOnceAndOfCapacityNowAndThen) {
  Ear ear;
  Announcement said = ear.said();
  ear.hear(said);
  ASSERT_EQ(ear.node.found.size(), 1u);
  ear.link.run_for(2s);
  ++said.serial;
  said.spare.free_bytes = 1;
  ear.hear(said);
  EXPECT_EQ(ear.node.found.size(), 1u);
  ++said.serial;
  said.addresses.push_back(address("/ip4/10.0.0.77/tcp/1"));
  ear.hear(said);
  ASSERT_EQ(ear.node.found.size(), 2u);
  EXPECT_EQ(ear.node.found[1].second.addresses.size(), 2u);
  for (int i = 0; i < 30; ++i) {
    ear.link.run_for(1s);
    ++said.serial;
    ++said.spare.free_bytes;
    ear.hear(said);
  }
  EXPECT_GE(ear.node.found.size(), 4u);
  EXPECT_LE(ear.node.found.size(), 5u);
}

TEST(BeaconMachine, APeerThatSpeaksRarelySaysHowLongToWait) {
  Ear ear;
  Announcement said = ear.said();
  said.validity = 30s;
  ear.hear(said);
  ear.link.run_for(29s);
  EXPECT_EQ(ear.node.known.size(), 1u);
  ear.link.run_for(3s);
  EXPECT_EQ(ear.node.known.size(), 0u);
  said = ear.said();
  said.validity = 1h;
  ear.hear(said);
  ear.link.run_for(62s);
  EXPECT_EQ(ear.node.known.size(), 0u);  // Not for ever.
}

TEST(BeaconMachine, ALoneNodeBroadcastsTooUntilItHearsMulticast) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  link.start(a);
  link.run_for(5s);
  EXPECT_TRUE(a.sent.back().second.broadcast && a.sent.back().second.multicast);
  link.start(b);
  link.run_for(10s);
  EXPECT_FALSE(a.sent.back().second.broadcast);
  EXPECT_FALSE(b.sent.back().second.broadcast);
  EXPECT_FALSE(a.machine->broadcasting(2));
  link.multicast_works = false;
  link.run_for(30s);
  EXPECT_TRUE(a.sent.back().second.broadcast);
  EXPECT_EQ(a.known.size(), 1u);
  EXPECT_EQ(b.known.size(), 1u);
}

TEST(BeaconMachine, APeerThatOnlyBroadcastReachesIsAnsweredByBroadcast) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  Node& c = link.add(3);
  c.interface.joined = false;
  link.start(a);
  link.start(b);
  link.run_for(10s);
  EXPECT_FALSE(a.sent.back().second.broadcast);
  link.start(c);
  link.run_for(10s);
  EXPECT_TRUE(a.sent.back().second.broadcast);
  EXPECT_TRUE(a.sent.back().second.multicast);
  EXPECT_FALSE(c.sent.back().second.multicast);
}

TEST(BeaconMachine, ModesDecideTheWay) {
  const auto sent = [](BeaconMode mode) {
    Link link;
    Node& a = link.add(1, {.mode = mode});
    link.start(a);
    return a.sent.at(0).second;
  };
  EXPECT_TRUE(sent(BeaconMode::kMulticast).multicast);
  EXPECT_FALSE(sent(BeaconMode::kMulticast).broadcast);
  EXPECT_FALSE(sent(BeaconMode::kBroadcast).multicast);
  EXPECT_TRUE(sent(BeaconMode::kBroadcast).broadcast);
}

TEST(BeaconMachine, AnInterfaceThatGoesTakesItsPeersWithIt) {
  Ear ear;
  ear.hear(ear.said());
  ear.link.handle(ear.node, InterfacesChanged{});
  EXPECT_EQ(ear.node.known.size(), 0u);
  EXPECT_EQ(ear.node.lost.size(), 1u);
}

// Goal: a flood from many addresses costs few checks and little memory, and one who is known stays
// known. Method: 10,000 forged beacons a second from 200 addresses for 10 s, each of a new peer.
TEST(BeaconMachine, AFloodFromManyAddressesCostsFewChecks) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  link.start(a);
  link.start(b);
  link.run_for(4s);
  const std::uint64_t before = a.machine->checked();
  Bytes forged = seal(make_key(99), link.announcement(IpAddress::v4(10, 0, 1, 1), a));
  for (int second = 0; second < 10; ++second) {
    // Signed once, then changed: the key at the front is another each time.
    for (std::uint32_t i = 0; i < 1'000; ++i) {
      const auto host = static_cast<std::uint8_t>(i % 200);
      if (i % 100 == 0) {
        link.run_for(100ms);
        forged = seal(make_key(99), link.announcement(IpAddress::v4(10, 0, 1, host), a));
      }
      for (int more = 0; more < 10; ++more) {
        forged[20] = static_cast<std::uint8_t>(i);
        forged[21] = static_cast<std::uint8_t>(more);
        forged[22] = static_cast<std::uint8_t>(i >> 8);
        forged[23] = static_cast<std::uint8_t>(second);
        link.inject(a, IpAddress::v4(10, 0, 1, static_cast<std::uint8_t>(i / 100 * 100 % 200)),
                    forged);
      }
    }
  }
  EXPECT_LE(a.machine->checked() - before, 1'200u);
  EXPECT_EQ(a.machine->peers(), 1u);
  EXPECT_EQ(a.found.size(), 1u);
  EXPECT_EQ(a.lost.size(), 0u);
  EXPECT_TRUE(a.known.contains(b.id));
}

TEST(BeaconMachine, ANewPeerIsFoundBesideAFloodFromAnotherAddress) {
  Ear ear;
  const IpAddress bad = IpAddress::v4(10, 0, 0, 66);
  Bytes forged = seal(make_key(99), ear.said(bad));
  forged.back() ^= 1;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    forged[20] = static_cast<std::uint8_t>(i);
    forged[21] = static_cast<std::uint8_t>(i >> 8);
    ear.link.inject(ear.node, bad, forged);
  }
  EXPECT_LE(ear.node.machine->checked(), 16u);
  ear.hear(ear.said());
  EXPECT_TRUE(ear.node.known.contains(ear.peer));
}

TEST(BeaconMachine, HintsComeAtABoundedRate) {
  MachineConfig config;
  config.limits.hints_per_second_max = 3;
  Ear ear(config);
  for (std::uint16_t i = 1; i <= 10; ++i) {
    ear.key = make_key(9, i);
    ear.hear(ear.said());
  }
  EXPECT_EQ(ear.node.found.size(), 3u);
  ear.link.run_for(4s);
  EXPECT_EQ(ear.node.found.size(), 10u);
  for (std::size_t i = 3; i < 10; ++i) {
    EXPECT_GE(ear.node.found[i].first - ear.node.found[i - 3].first, 1s);
  }
}

TEST(BeaconMachine, AfterStoppingNothingHappens) {
  Ear ear;
  ear.link.handle(ear.node, StopAsked{});
  const std::size_t sent = ear.node.sent.size();
  ear.hear(ear.said());
  ear.link.handle(ear.node, RefreshAsked{});
  EXPECT_EQ(ear.node.sent.size(), sent);
  EXPECT_EQ(ear.node.timer, kNever);
}

}  // namespace
}  // namespace warren::discovery::beacon
