// What the beacon machine does under load: whose budget is used, and who still gets in.

#include <gtest/gtest.h>

#include "discovery/beacon/beacon_machine.hpp"
#include "discovery/beacon/beacon_test_link.hpp"

namespace warren::discovery::beacon {
namespace {

using testing::Ear;
using testing::id_of;
using testing::kPeerIp;
using testing::make_key;

IpAddress host(std::uint32_t number) {
  return IpAddress::v4(10, 0, static_cast<std::uint8_t>(1 + number / 200),
                       static_cast<std::uint8_t>(1 + number % 200));
}

/// `packet` with another key at its front, which its signature does not fit.
void name_another_key(Bytes& packet, std::uint32_t number) {
  for (std::size_t i = 0; i < 4; ++i) packet[20 + i] = static_cast<std::uint8_t>(number >> (8 * i));
}

TEST(BeaconFlood, WhatIsWrongCostsItsSourceAndNobodyElse) {
  MachineConfig config;
  config.limits.strangers_burst = 1;
  config.limits.strangers_per_second = 0.001;
  Ear ear(config);
  const IpAddress bad = IpAddress::v4(10, 0, 0, 66);
  Announcement stale = ear.said(bad);
  stale.sent_at -= 10min;
  const Bytes stale_packet = seal(ear.key, stale);
  const Bytes foreign_packet = seal(ear.key, ear.said(kPeerIp));
  Bytes malformed = stale_packet;
  malformed.resize(100);
  Bytes headless = stale_packet;
  headless[0] = 'X';
  for (int i = 0; i < 4; ++i) {
    for (const Bytes* packet : std::initializer_list<const Bytes*>{&stale_packet, &foreign_packet,
                                                                   &malformed, &headless}) {
      ear.link.inject(ear.node, bad, *packet);
    }
  }
  EXPECT_EQ(ear.drops().stale, 4u);
  EXPECT_EQ(ear.drops().foreign, 4u);
  EXPECT_EQ(ear.drops().malformed, 8u);
  // Its budget of 16 is used up, and that of all strangers is whole.
  ear.hear(ear.said(bad), bad);
  EXPECT_EQ(ear.drops().over_rate, 1u);
  EXPECT_EQ(ear.node.machine->checked(), 0u);
  ear.hear(ear.said());
  EXPECT_TRUE(ear.node.known.contains(ear.peer));
}

TEST(BeaconFlood, WhoWasNotCheckedForTheSakeOfOthersHasPaidNothing) {
  MachineConfig config;
  config.limits.strangers_burst = 1;
  config.limits.strangers_per_second = 1;
  config.limits.source_burst = 1;
  config.limits.source_per_second = 0.001;
  Ear ear(config);
  ear.hear(ear.said(host(0)), host(0));
  ear.key = make_key(78);
  ear.hear(ear.said());
  EXPECT_EQ(ear.drops().over_rate, 1u);
  ear.link.run_for(1s);
  ear.hear(ear.said());
  EXPECT_TRUE(ear.node.known.contains(id_of(ear.key)));
}

// Goal: known peers that say much take nothing from one that says what it must.
// Method: checks for one beacon of each peer in a second; three say ten a second, one as usual.
TEST(BeaconFlood, KnownPeersShareTheChecksEqually) {
  MachineConfig config;
  config.limits.known_per_second = 4;
  Ear ear(config);
  std::uint64_t serial = ear.said().serial;
  const auto hear_of = [&](std::uint8_t tag) {
    const IpAddress at = IpAddress::v4(10, 0, 0, tag);
    Announcement said = ear.said(at);
    said.serial = ++serial;
    ear.link.inject(ear.node, at, seal(make_key(tag), said));
  };
  for (std::uint8_t tag = 101; tag <= 104; ++tag) hear_of(tag);
  ASSERT_EQ(ear.node.known.size(), 4u);
  const std::uint64_t before = ear.node.machine->checked();
  for (int tenth = 0; tenth < 600; ++tenth) {
    for (std::uint8_t tag = 101; tag <= 103; ++tag) hear_of(tag);
    if (tenth % 20 == 19) hear_of(104);
    ear.link.run_for(100ms);
  }
  EXPECT_EQ(ear.node.lost.size(), 0u);
  EXPECT_LE(ear.node.machine->checked() - before, 4u * 60 + 16);
}

TEST(BeaconFlood, ANewPeerIsFoundBesideAFloodFromAnotherAddress) {
  Ear ear;
  const IpAddress bad = IpAddress::v4(10, 0, 0, 66);
  Bytes forged = seal(make_key(99), ear.said(bad));
  forged.back() ^= 1;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    name_another_key(forged, i);
    ear.link.inject(ear.node, bad, forged);
  }
  EXPECT_LE(ear.node.machine->checked(), 16u);
  ear.hear(ear.said());
  EXPECT_TRUE(ear.node.known.contains(ear.peer));
}

/// A full table, and a flood on it.
class FullTable {
 public:
  FullTable() : ear(config()) {
    for (std::uint32_t number = 0; number < peers_max_; ++number) {
      if (number % 50 == 0) ear.link.run_for(1s);
      Announcement said = ear.said(host(number / 2));
      said.validity = 60s;
      const auto key = make_key(200, static_cast<std::uint16_t>(number));
      ear.link.inject(ear.node, host(number / 2), seal(key, said));
      said.serial += 60'000;  // So that it is no replay.
      later_packets_.push_back(seal(key, said));
    }
  }

  /// A tenth of a second of it, a thousand packets: nine of ten name ever new keys, in turn from
  /// 200 addresses; the rest name peers that are known, from where these are.
  void flood() {
    Bytes forged;
    for (std::uint32_t i = 0; i < 1'000; ++i, ++count_) {
      if (i % 10 == 9) {
        forged = later_packets_[count_ / 10 % later_packets_.size()];
        forged[forged.size() - 1 - count_ % 60] ^= 1;  // Of the signature.
        send(host(static_cast<std::uint32_t>(count_ / 10 % later_packets_.size()) / 2), forged);
        continue;
      }
      const IpAddress at = IpAddress::v4(10, 0, 77, static_cast<std::uint8_t>(count_ % 200));
      if (i % 100 == 0) forged_ = seal(make_key(99), ear.said(at));
      forged = forged_;
      name_another_key(forged, static_cast<std::uint32_t>(count_));
      send(at, forged);
    }
    ear.link.run_for(100ms);
  }

  Ear ear;

 private:
  static MachineConfig config() {
    MachineConfig config;
    config.limits.hints_per_second_max = 1'000;  // All of the table is told at once.
    return config;
  }
  void send(const IpAddress& from, const Bytes& packet) {
    ear.link.inject_unchecked(ear.node, from, packet);
  }

  std::size_t peers_max_ = limits::Beacon().peers_max;
  std::vector<Bytes> later_packets_;
  Bytes forged_;
  std::size_t count_ = 0;
};

// Goal: a flood costs few checks, makes no peer, and neither costs a known peer its place nor keeps
// a new one out. Method: a full table, two peers of each source; 10,000 forged beacons a second for
// 10 s from 200 addresses, a tenth of them in the names of known peers; two honest nodes.
TEST(BeaconFlood, TwoHundredSourcesKeepNeitherAKnownPeerNorANewOneOut) {
  FullTable full;
  testing::Link& link = full.ear.link;
  testing::Node& a = full.ear.node;
  testing::Node& known = link.add(2);
  testing::Node& late = link.add(3);
  link.start(known);
  link.run_for(1s);
  EXPECT_EQ(a.machine->peers(), limits::Beacon().peers_max);
  ASSERT_TRUE(a.known.contains(known.id));
  const std::uint64_t before = a.machine->checked();
  const std::size_t lost = a.lost.size();
  const std::size_t forged = a.machine->drops().forged;
  for (int tenth = 0; tenth < 100; ++tenth) {
    if (tenth == 30) link.start(late);
    full.flood();
  }
  EXPECT_TRUE(a.known.contains(known.id));
  EXPECT_TRUE(a.known.contains(late.id));
  EXPECT_GE(a.machine->drops().forged - forged, 1'000u);
  EXPECT_EQ(a.machine->peers(), limits::Beacon().peers_max);
  EXPECT_LE(a.lost.size() - lost, 1u) << "the one whose place the new one took";
  const limits::Beacon limits;
  const double allowed = limits.strangers_burst + 10 * limits.strangers_per_second +
                         limits.peer_burst * static_cast<double>(limits.peers_max) +
                         10 * limits.known_per_second;
  EXPECT_LE(static_cast<double>(a.machine->checked() - before), allowed);
}

}  // namespace
}  // namespace warren::discovery::beacon
