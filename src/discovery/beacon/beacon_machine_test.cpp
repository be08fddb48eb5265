#include "discovery/beacon/beacon_machine.hpp"

#include <gtest/gtest.h>

#include "discovery/beacon/beacon_test_link.hpp"

namespace warren::discovery::beacon {
namespace {

using testing::address;
using testing::Ear;
using testing::ip;
using testing::kPeerIp;
using testing::Link;
using testing::make_key;
using testing::Node;
using testing::Two;

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
  Two two(4s);
  auto& [link, a, b] = two;
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
  Two two(4s);
  auto& [link, a, b] = two;
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
  ear.link.handle(ear.node,
                  InterfacesChanged{{{2, {IpAddress::v4(127, 0, 0, 1)}, true, {}, true}}});
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
    Node& a = link.add(1, MachineConfig{.mode = mode});
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

TEST(BeaconMachine, OnlyAddressesThatASenderMayNameAreBelieved) {
  Ear ear;
  Announcement said = ear.said();
  said.addresses = {
      address("/ip4/10.0.0.77/tcp/1"),     // Where it comes from.
      address("/ip4/192.168.9.9/tcp/2"),   // Another network of its, not ours.
      address("/ip6/fd12::77/tcp/3"),      // The same.
      address("/ip4/10.0.0.1/tcp/4"),      // We.
      address("/ip4/198.51.100.9/tcp/5"),  // Somebody on the Internet.
      address("/ip6/2001:db8::9/tcp/6"),   // The same.
      address("/ip4/127.0.0.1/tcp/7"),     // Nobody's but ours.
  };
  ear.hear(said);
  ASSERT_TRUE(ear.node.known.contains(ear.peer));
  EXPECT_EQ(ear.node.known[ear.peer].addresses,
            (std::vector{address("/ip4/10.0.0.77/tcp/1"), address("/ip4/192.168.9.9/tcp/2"),
                         address("/ip6/fd12::77/tcp/3")}));

  // A public address is believed of the one that sends from it, on a link that has such addresses.
  LinkInterface link{
      2, {ip("198.51.100.1")}, false, {resources::Prefix::of(ip("198.51.100.0"), 24)}, true};
  ear.link.handle(ear.node, InterfacesChanged{{link}});
  ear.link.run_for(1s);
  ear.key = make_key(78);
  said = ear.said(ip("198.51.100.9"));
  said.addresses.push_back(address("/ip4/198.51.100.10/tcp/1"));
  ear.hear(said, ip("198.51.100.9"));
  EXPECT_EQ(ear.node.known[testing::id_of(ear.key)].addresses,
            std::vector{address("/ip4/198.51.100.9/udp/4001/quic-v1")});
}

TEST(BeaconMachine, ABeaconFromOffTheLinkIsDropped) {
  Ear ear;
  for (const std::string_view from : {"192.168.9.9", "198.51.100.9", "2001:db8::9"}) {
    ear.hear(ear.said(ip(from)), ip(from));
  }
  EXPECT_EQ(ear.drops().off_link, 3u);
  EXPECT_EQ(ear.node.machine->checked(), 0u);
  EXPECT_EQ(ear.node.machine->peers(), 0u);
}

TEST(BeaconMachine, ANodeThatAnnouncesNothingSleeps) {
  Link link;
  Node& a = link.add(1);
  link.handle(a, InterfacesChanged{{a.interface}});
  link.handle(a, RefreshAsked{});
  EXPECT_EQ(a.timer, kNever);
  // It hears others, and looks once a second whether they are still there: no more often.
  link.start(link.add(2));
  link.run_for(1s);
  EXPECT_EQ(a.known.size(), 1u);
  const std::size_t before = a.fired;
  link.handle(a, RefreshAsked{});
  link.run_for(60s);
  EXPECT_LE(a.fired - before, 61u);
  EXPECT_TRUE(a.sent.empty());
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
