#include "discovery/beacon/beacon_table.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "discovery/beacon/beacon_test_link.hpp"

namespace warren::discovery::beacon {
namespace {

using testing::address;
using testing::ip;

RawKey raw_key(std::uint32_t number) {
  RawKey key{};
  for (std::size_t i = 0; i < 4; ++i) key[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return key;
}

/// A table, and peers that are named by numbers.
struct Hearing {
  explicit Hearing(limits::Beacon bounds) : table(bounds) {}

  BeaconTable::Outcome hear(std::uint32_t number, const IpAddress& source,
                            std::size_t address_count = 1, std::uint32_t interface_index = 2) {
    const Arrival arrival{interface_index, interface_index == 1, true, source, ++digest};
    Announcement said;
    said.serial = digest;
    std::vector<Multiaddr> addresses;
    for (std::size_t i = 0; i < address_count; ++i) {
      const auto port = static_cast<std::uint16_t>(1 + i);
      addresses.push_back(Multiaddr::tcp({source, port, 0}));
    }
    now += 1ms;
    const bool may = table.may_have_room(raw_key(number), arrival);
    const auto outcome = table.hear(raw_key(number), arrival, said, addresses, 0s, now, now + 5s);
    table.check_all();
    EXPECT_TRUE(may || outcome != BeaconTable::Outcome::kNew);
    return outcome;
  }
  bool knows(std::uint32_t number) { return table.find(raw_key(number)) != nullptr; }
  std::size_t known(std::uint32_t first, std::uint32_t last) {
    std::size_t count = 0;
    for (std::uint32_t number = first; number <= last; ++number) count += knows(number);
    return count;
  }

  BeaconTable table;
  TimePoint now{1h};
  std::size_t digest = 0;
};

using Outcome = BeaconTable::Outcome;
const IpAddress kBad = IpAddress::v4(10, 0, 0, 66);
const IpAddress kGood = IpAddress::v4(10, 0, 0, 7);

limits::Beacon of_peers(std::size_t peers_max) {
  limits::Beacon limits;
  limits.peers_max = peers_max;
  return limits;
}

TEST(BeaconTable, TheSourceWithTheMostGivesWayToOthers) {
  Hearing hearing(of_peers(6));
  for (std::uint32_t i = 1; i <= 6; ++i) EXPECT_EQ(hearing.hear(i, kBad), Outcome::kNew);
  EXPECT_EQ(hearing.hear(7, kBad), Outcome::kNoRoom);
  hearing.table.take_found(hearing.now);
  for (std::uint32_t i = 11; i <= 13; ++i) EXPECT_EQ(hearing.hear(i, kGood), Outcome::kNew);
  EXPECT_EQ(hearing.known(1, 3), 3u) << "those that came last go first";
  EXPECT_EQ(hearing.known(4, 7), 0u);
  EXPECT_EQ(hearing.table.take_lost().size(), 3u) << "whoever was told of them hears of it";
  EXPECT_EQ(hearing.hear(14, kGood), Outcome::kNoRoom) << "both have the same";
  EXPECT_EQ(hearing.hear(7, kBad), Outcome::kNoRoom);
}

// Goal: one computer with any number of keys never costs another its place.
// Method: eight with one peer each, then a thousand keys of one more, then of all addresses of its.
TEST(BeaconTable, OneHostNeverPushesOutThePeersOfOthers) {
  Hearing hearing(of_peers(16));
  for (std::uint8_t host = 1; host <= 8; ++host) {
    hearing.hear(host, IpAddress::v4(10, 0, 1, host));
  }
  for (std::uint32_t i = 0; i < 1'000; ++i) hearing.hear(1'000 + i, kBad);
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    hearing.hear(5'000 + i, IpAddress::v4(10, 0, 2, static_cast<std::uint8_t>(i)));
  }
  EXPECT_EQ(hearing.known(1, 8), 8u);
  EXPECT_EQ(hearing.table.peers(), 16u);
}

TEST(BeaconTable, ANewHostIsTakenInBesideOneWithManyAddresses) {
  Hearing hearing(of_peers(16));
  for (std::uint32_t i = 0; i < 16; ++i) {
    hearing.hear(i, IpAddress::v4(10, 0, 2, static_cast<std::uint8_t>(i / 2)));
  }
  EXPECT_EQ(hearing.hear(100, kGood), Outcome::kNew);
}

TEST(BeaconTable, AnIpv6NetworkIsOneSource) {
  Hearing hearing(of_peers(8));
  for (std::uint32_t i = 1; i <= 8; ++i) hearing.hear(i, ip(fmt::format("fe80::{:x}", i)));
  EXPECT_EQ(hearing.hear(9, ip("fe80::9")), Outcome::kNoRoom);
  EXPECT_EQ(hearing.hear(10, ip("fd00::9")), Outcome::kNew);
  EXPECT_EQ(hearing.hear(11, kGood), Outcome::kNew);
}

TEST(BeaconTable, LoopbackIsASourceLikeOthers) {
  Hearing hearing(of_peers(4));
  for (std::uint32_t i = 1; i <= 4; ++i) hearing.hear(i, IpAddress::v4(127, 0, 0, 1), 1, 1);
  EXPECT_EQ(hearing.hear(5, IpAddress::v4(127, 0, 0, 1), 1, 1), Outcome::kNoRoom);
  EXPECT_EQ(hearing.hear(6, kGood), Outcome::kNew);
}

TEST(BeaconTable, APeerThatIsHeardFromElsewhereTooLosesOneSightingAlone) {
  Hearing hearing(of_peers(3));
  hearing.hear(1, kBad);
  hearing.hear(2, kBad);
  hearing.hear(3, kBad);
  hearing.hear(3, IpAddress::v4(10, 0, 0, 67));  // The newest there, and heard here too.
  EXPECT_EQ(hearing.hear(4, kGood), Outcome::kNew);
  EXPECT_TRUE(hearing.knows(3));
  EXPECT_EQ(hearing.known(1, 2), 1u);
}

// Before, only a new entry was held against the bound: a peer that named more later could grow.
TEST(BeaconTable, TheBoundOfBytesHoldsForUpdatesToo) {
  limits::Beacon limits;
  limits.table_bytes_max = 4'000;
  Hearing hearing(limits);
  const auto host = [](std::uint32_t i) {
    return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(i));
  };
  for (std::uint32_t i = 1; i <= 10; ++i) hearing.hear(i, host(i));
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t i = 1; i <= 10; ++i) {
      EXPECT_EQ(hearing.hear(i, host(i), 16), Outcome::kKnown);
      EXPECT_LE(hearing.table.bytes(), limits.table_bytes_max);
    }
  }
  EXPECT_EQ(hearing.known(1, 10), 10u) << "nobody lost its place by the growth of another";
}

TEST(BeaconTable, WhoeverNeedsManyBytesByManyPeersGivesWay) {
  limits::Beacon limits;
  limits.table_bytes_max = 20'000;
  Hearing hearing(limits);
  for (std::uint32_t i = 1; i <= 100; ++i) hearing.hear(i, kBad, 16);
  EXPECT_LE(hearing.table.peers(), 20u);
  EXPECT_EQ(hearing.hear(1'000, kGood), Outcome::kNew);
  EXPECT_EQ(hearing.hear(1'000, kGood, 16), Outcome::kKnown);
  EXPECT_EQ(hearing.table.find(raw_key(1'000))->sightings[0].addresses.size(), 16u);
}

}  // namespace
}  // namespace warren::discovery::beacon
