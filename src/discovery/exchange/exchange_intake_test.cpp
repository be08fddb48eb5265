#include "discovery/exchange/exchange_intake.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "discovery/exchange/records_for_test.hpp"

namespace warren::discovery {
namespace {

using fakes::address;
using fakes::peer;
using fakes::public_address;
using fakes::record;
using testing::ElementsAre;
using testing::IsEmpty;

class ExchangeIntakeTest : public testing::Test {
 protected:
  ExchangeIntake::Taken take(std::vector<Bytes> records) {
    auto received = intake.sort(std::move(records));
    for (ReceivedRecord& each : received) {
      if (each.opened) continue;
      ++verified;
      each.opened = wire::open_peer_record(*each.envelope);
    }
    return intake.take(std::move(received), told_by, now);
  }
  /// Where a teller is whose network is number `n`.
  static Multiaddr in_network(std::uint32_t n) {
    return Multiaddr::quic({IpAddress::v4(20, static_cast<std::uint8_t>(n), 0, 1), 4001, 0});
  }
  /// All that is told now and later.
  std::vector<PeerHint> hints() {
    std::vector<PeerHint> all;
    for (;;) {
      while (auto hint = intake.next_hint(now)) all.push_back(*hint);
      if (intake.next_wake(now) == kNever) return all;
      now = intake.next_wake(now);
    }
  }

  limits::Exchange limits;
  TimePoint now{};
  ExchangeIntake intake{peer(0), limits, {}, 10min, now};
  Multiaddr told_by = address("/ip4/203.0.113.9/udp/4001/quic-v1");
  std::size_t verified = 0;
};

TEST_F(ExchangeIntakeTest, ARecordThatHoldsIsTold) {
  const Bytes envelope = record(1, {public_address(1)}, 77);
  const auto taken = take({envelope});
  EXPECT_EQ(taken.heard, 1u);
  EXPECT_EQ(taken.news, 1u);
  EXPECT_FALSE(taken.lie);
  const auto told = hints();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].peer, peer(1));
  EXPECT_THAT(told[0].addresses, ElementsAre(public_address(1)));
  EXPECT_EQ(told[0].via, "pex");
  EXPECT_EQ(*told[0].record, envelope);
  EXPECT_EQ(told[0].record_sequence, 77u);
  EXPECT_EQ(told[0].told_by, told_by);
}

TEST_F(ExchangeIntakeTest, WhatIsNotSignedByItsPeerIsALie) {
  Bytes forged = record(1);
  forged[forged.size() / 2] ^= 1;
  for (const Bytes& bad : {forged, Bytes{1, 2, 3}, Bytes(), Bytes(5'000, 7)}) {
    const auto taken = take({bad, record(2)});
    EXPECT_EQ(taken.refused, 1u);
    EXPECT_TRUE(taken.lie);
    EXPECT_EQ(taken.heard, 1u) << "the others still count";
  }
  EXPECT_EQ(hints().size(), 1u);
}

TEST_F(ExchangeIntakeTest, ARecordAboutAnotherPeerThanItsSignerIsALie) {
  const auto taken = take({fakes::wrong_signer_record(1, 2)});
  EXPECT_TRUE(taken.lie);
  EXPECT_EQ(taken.heard, 0u);
  EXPECT_THAT(hints(), IsEmpty());
}

TEST_F(ExchangeIntakeTest, ATellerIsBelievedAHundredAddressesAndThenOneInTenSeconds) {
  std::uint32_t n = 1;
  std::uint64_t news = 0;
  std::uint64_t ignored = 0;
  const auto answer = [&] {
    std::vector<Bytes> records;
    for (int i = 0; i < 32; ++i) records.push_back(record(n++));
    const auto taken = take(std::move(records));
    news += taken.news;
    ignored += taken.over_rate;
  };
  for (int i = 0; i < 5; ++i) answer();
  EXPECT_EQ(news, 100u);
  EXPECT_EQ(ignored, 60u);
  now += 100s;
  news = 0;
  answer();
  EXPECT_EQ(news, 10u);
}

TEST_F(ExchangeIntakeTest, AllTellersTogetherHaveABoundToo) {
  std::uint32_t n = 1;
  std::uint64_t news = 0;
  for (std::uint32_t who = 0; who < 20; ++who) {
    told_by = in_network(who);
    std::vector<Bytes> records;
    for (int i = 0; i < 32; ++i) records.push_back(record(n++));
    news += take(std::move(records)).news;
    hints();  // About four seconds.
  }
  EXPECT_GE(news, 300u);
  EXPECT_LE(news, 345u);
}

/// Identities and ports cost nothing, so they give nothing.
TEST_F(ExchangeIntakeTest, TellersOfOneNetworkOrOneLinkShareWhatOneHas) {
  std::uint32_t n = 1;
  for (const std::string_view form :
       {"/ip4/203.0.{}.9/udp/4001/quic-v1", "/ip4/192.168.7.{}/udp/4001/quic-v1"}) {
    std::uint64_t news = 0;
    for (std::uint32_t who = 1; who <= 200; ++who) {
      told_by = address(fmt::format(fmt::runtime(form), who));
      const auto taken = take({record(n), record(n + 1)});
      n += 2;
      news += taken.news;
      hints();
    }
    EXPECT_GE(news, 100u);
    EXPECT_LE(news, 110u) << "some seconds pass, one more in ten of them";
  }
  told_by = in_network(1);
  EXPECT_EQ(take({record(n)}).news, 1u) << "others are heard";
}

TEST_F(ExchangeIntakeTest, TellersWhoTakeTurnsGetNoNewBurst) {
  limits.tellers_max = 4;
  limits.addresses_burst_all = 1e6;
  limits.hints_waiting_max = 10'000;
  ExchangeIntake few(peer(0), limits, {}, 10min, now);
  std::uint64_t news = 0;
  for (std::uint32_t n = 1; n <= 1'600; ++n) {
    auto received = few.sort({record(n)});
    received[0].opened = wire::open_peer_record(*received[0].envelope);
    news += few.take(std::move(received), in_network(n % 8), now).news;
  }
  EXPECT_EQ(news, 500u) << "four who are remembered, and all others as one";
}

TEST_F(ExchangeIntakeTest, ARecordWithManyAddressesCostsAsMuch) {
  std::vector<Multiaddr> many;
  for (std::uint32_t n = 0; n < 16; ++n) many.push_back(public_address(500 + n));
  std::uint64_t news = 0;
  for (std::uint32_t n = 1; n <= 10; ++n) news += take({record(n, many)}).news;
  EXPECT_EQ(news, 6u) << "6 times 16 are 96 of 100";
}

TEST_F(ExchangeIntakeTest, HintsComeAtThePaceThatTheSinkTakes) {
  std::vector<Bytes> records;
  for (std::uint32_t n = 1; n <= 32; ++n) records.push_back(record(n));
  take(std::move(records));
  std::size_t told = 0;
  while (intake.next_hint(now)) ++told;
  EXPECT_EQ(told, 8u);
  now += 1s;
  while (intake.next_hint(now)) ++told;
  EXPECT_EQ(told, 16u);
  EXPECT_EQ(hints().size(), 16u);
  EXPECT_EQ(intake.next_wake(now), kNever);
}

TEST_F(ExchangeIntakeTest, ARecordIsVerifiedOnceAndToldAgainAfterAWhile) {
  for (int i = 0; i < 5; ++i) take({record(1)});
  EXPECT_EQ(verified, 1u);
  EXPECT_EQ(hints().size(), 1u);
  now += 10min;
  EXPECT_EQ(take({record(1)}).news, 1u);
  EXPECT_EQ(verified, 1u);
  EXPECT_EQ(take({record(1, {public_address(1)}, 2)}).news, 1u) << "a newer record is news";
}

TEST_F(ExchangeIntakeTest, OnlyAddressesThatCanBeDialledFromHereAreTold) {
  take({record(
      1,
      {address("/ip4/0.0.0.0/tcp/1"), address("/ip4/224.0.0.1/udp/1/quic-v1"),
       address("/ip4/198.51.100.1/tcp/0"), address("/dns4/evil.example/tcp/1"),
       address("/unix/%2Ftmp%2Fx"), address("/ip4/192.168.0.1/tcp/1"),
       address("/ip4/127.0.0.1/tcp/1"),
       address("/ip4/198.51.100.2/tcp/1").with_peer(peer(9)).encapsulate(address("/p2p-circuit")),
       address("/ip4/198.51.100.3/tcp/1").with_peer(peer(9)),
       address("/ip4/198.51.100.4/tcp/1").with_peer(peer(1)),
       address("/ip4/198.51.100.4/tcp/1")})});
  const auto told = hints();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].addresses, ElementsAre(address("/ip4/198.51.100.4/tcp/1")));
}

TEST_F(ExchangeIntakeTest, APeerOfTheLanMayTellOfTheLan) {
  told_by = address("/ip4/192.168.0.5/tcp/4001");
  take({record(1, {address("/ip4/192.168.0.1/tcp/1"), address("/ip4/127.0.0.1/tcp/1")})});
  const auto told = hints();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].addresses, ElementsAre(address("/ip4/192.168.0.1/tcp/1")));
}

TEST_F(ExchangeIntakeTest, AddressesOfTheMemoryTransportCountOnlyFromThere) {
  EXPECT_EQ(take({record(1, {address("/memory/7")})}).news, 0u);
  told_by = address("/ip4/127.0.0.1/tcp/1");
  EXPECT_EQ(take({record(2, {address("/memory/7")})}).news, 0u);
  told_by = address("/memory/3");
  EXPECT_EQ(take({record(3, {address("/memory/7")})}).news, 1u);
}

TEST_F(ExchangeIntakeTest, ANodeIsNotToldOfItself) {
  EXPECT_EQ(take({record(0)}).news, 0u);
  EXPECT_THAT(hints(), IsEmpty());
}

TEST_F(ExchangeIntakeTest, MoreThanThirtyTwoRecordsAreNotLookedAt) {
  EXPECT_EQ(intake.sort(std::vector<Bytes>(40, record(1))).size(), 32u);
}

TEST_F(ExchangeIntakeTest, TheMemoryOfRecordsIsBounded) {
  std::vector<Multiaddr> many;
  for (std::uint32_t n = 0; n < 40; ++n) many.push_back(public_address(n));
  for (std::uint32_t n = 1; n <= 400; ++n) {
    told_by = in_network(n);
    take({record(n, many)});
    ASSERT_LE(intake.known_bytes(), limits.known_bytes_max);
  }
  EXPECT_GT(intake.known_bytes(), limits.known_bytes_max / 2);
}

}  // namespace
}  // namespace warren::discovery
