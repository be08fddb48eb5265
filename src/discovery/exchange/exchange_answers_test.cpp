#include "discovery/exchange/exchange_answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "discovery/exchange/exchange_messages.hpp"
#include "discovery/exchange/records_for_test.hpp"

namespace warren::discovery {
namespace {

using fakes::address;
using fakes::peer;
using fakes::record;
using fakes::shared_record;
using testing::ElementsAre;
using testing::SizeIs;

std::vector<SharedRecord> sample_of(std::uint32_t first, std::uint32_t count) {
  std::vector<SharedRecord> sample;
  for (std::uint32_t n = first; n < first + count; ++n) sample.push_back(shared_record(record(n)));
  return sample;
}

class ExchangeAnswersTest : public testing::Test {
 protected:
  ExchangeAnswers answers{{}, 1h};
  TimePoint now{};
  Multiaddr here = address("/ip4/203.0.113.9/udp/4001/quic-v1");
  Multiaddr near = address("/ip4/203.0.77.1/udp/1/quic-v1");  // The same /16.
  Multiaddr far = address("/ip4/192.0.2.1/udp/1/quic-v1");
  Multiaddr lan = address("/ip4/192.168.1.7/udp/4001/quic-v1");
};

TEST_F(ExchangeAnswersTest, APeerHasFourAnswersAndThenOneAMinute) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(answers.admit(peer(1), now));
  EXPECT_FALSE(answers.admit(peer(1), now));
  EXPECT_TRUE(answers.admit(peer(2), now)) << "each for itself";
  now += 59s;
  EXPECT_FALSE(answers.admit(peer(1), now));
  now += 2s;
  EXPECT_TRUE(answers.admit(peer(1), now));
  EXPECT_FALSE(answers.admit(peer(1), now));
}

TEST_F(ExchangeAnswersTest, AskersAreRememberedInABoundedTable) {
  limits::Exchange limits;
  limits.askers_max = 3;
  ExchangeAnswers few(limits, 1h);
  int answered = 0;
  for (std::uint32_t n = 0; n < 20; ++n) answered += few.admit(peer(n), now) ? 1 : 0;
  EXPECT_EQ(answered, 3 + 4) << "those beyond the table share what one has";
  EXPECT_EQ(few.askers(), 3u);
  now += 1min;
  for (std::uint32_t n = 20; n < 23; ++n) EXPECT_TRUE(few.admit(peer(n), now));
  EXPECT_EQ(few.askers(), 3u);
}

TEST_F(ExchangeAnswersTest, OneNetworkHearsTheSameForAnHour) {
  EXPECT_FALSE(answers.find(peer(1), here, now));
  const auto sample = sample_of(100, 32);
  answers.keep(peer(1), here, sample, now);
  now += 59min;
  EXPECT_EQ(answers.find(peer(2), near, now).value(), sample) << "whoever asks there";
  EXPECT_FALSE(answers.find(peer(2), far, now));
  now += 1min;
  EXPECT_FALSE(answers.find(peer(1), here, now));
}

TEST_F(ExchangeAnswersTest, InALanEachPeerStandsForItself) {
  answers.keep(peer(1), lan, sample_of(100, 32), now);
  EXPECT_TRUE(answers.find(peer(1), lan, now));
  EXPECT_FALSE(answers.find(peer(2), lan, now));
}

TEST_F(ExchangeAnswersTest, WhatIsAllThatThereIsIsNotKept) {
  answers.keep(peer(1), here, sample_of(100, 31), now);
  EXPECT_FALSE(answers.find(peer(1), here, now)) << "the next asker hears of newcomers";
}

TEST_F(ExchangeAnswersTest, SamplesAreKeptInABoundedTable) {
  limits::Exchange limits;
  limits.samples_max = 3;
  limits.records_max = 1;
  ExchangeAnswers few(limits, 1h);
  for (std::uint32_t n = 0; n < 20; ++n) {
    few.keep(peer(n), lan, sample_of(n, 1), now += 1s);
    EXPECT_TRUE(few.find(peer(n), lan, now));
  }
  EXPECT_EQ(few.samples(), 3u);
}

TEST_F(ExchangeAnswersTest, APeerIsNotToldOfItself) {
  const auto picked = answers.pick(sample_of(1, 3), peer(2), here, 32);
  EXPECT_THAT(picked, ElementsAre(record(1), record(3)));
}

TEST_F(ExchangeAnswersTest, APeerIsToldNoMoreThanItWants) {
  EXPECT_THAT(answers.pick(sample_of(1, 32), peer(99), here, 5), SizeIs(5));
  EXPECT_THAT(answers.pick(sample_of(1, 60), peer(99), here, 60), SizeIs(32));
}

TEST_F(ExchangeAnswersTest, AddressesOfALanStayThere) {
  std::vector<SharedRecord> sample = sample_of(1, 1);
  sample.push_back(shared_record(record(2, {address("/ip4/192.168.1.9/udp/1/quic-v1")})));
  sample.push_back(
      shared_record(record(3, {address("/ip4/192.168.1.8/tcp/1"), fakes::public_address(3)})));
  sample.push_back(shared_record(record(4, {address("/ip4/127.0.0.1/tcp/1")})));
  EXPECT_THAT(answers.pick(sample, peer(99), here, 32), ElementsAre(record(1)));
  EXPECT_THAT(answers.pick(sample, peer(99), lan, 32), SizeIs(3));
  const Multiaddr other_lan = address("/ip4/192.168.2.7/udp/4001/quic-v1");
  EXPECT_THAT(answers.pick(sample, peer(99), other_lan, 32), ElementsAre(record(1)));
  EXPECT_THAT(answers.pick(sample, peer(99), address("/ip4/127.0.0.1/tcp/1"), 32), SizeIs(4));
}

TEST_F(ExchangeAnswersTest, WhatIsNoRecordOrTooLargeIsLeftOut) {
  const std::vector<SharedRecord> sample = {nullptr, shared_record(Bytes{1, 2, 3}),
                                            shared_record(Bytes(5'000)), shared_record(record(1))};
  EXPECT_THAT(answers.pick(sample, peer(99), here, 32), ElementsAre(record(1)));
}

}  // namespace
}  // namespace warren::discovery
