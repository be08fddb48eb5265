#include "discovery/mdns/mdns_machine.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "discovery/mdns/mdns_test_link.hpp"

namespace warren::discovery {
namespace {

using testing::address;
using testing::make_peer;

using Node = testing::MdnsNode;
using Link = testing::Link<Node>;
using One = testing::One<Node>;
using Two = testing::Two<Node>;

const IpAddress kStranger = IpAddress::v4(10, 0, 0, 200);

MdnsNames names_of(std::uint16_t number) {
  std::string name(40, 'a');
  name.replace(0, 5, fmt::format("{:05}", number));
  return MdnsNames::make("_p2p._udp.local", name).value();
}

/// What a stranger with this number would announce.
Bytes announcement(std::uint16_t number, std::chrono::seconds ttl = 120s,
                   std::string_view at = "/ip4/10.0.0.200/udp/4001/quic-v1") {
  const std::vector<std::string> texts{
      fmt::format("dnsaddr={}/p2p/{}", at, make_peer(255, number).to_string())};
  return encode_announcement(names_of(number), texts, {}, ttl).at(0);
}

std::size_t queries(const Node& node) {
  return static_cast<std::size_t>(std::ranges::count_if(
      node.sent, [](const auto& sent) { return !decode_dns(sent.second.bytes).value().response; }));
}

std::size_t answers(const Node& node) { return node.sent.size() - queries(node); }

TEST(MdnsMachine, TwoFreshNodesSeeEachOtherWithinTwoSeconds) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  link.start(a);
  link.run_for(700ms);
  link.start(b);
  link.run_for(200ms);
  ASSERT_TRUE(b.known.contains(a.id) || !a.known.empty());
  link.run_for(1100ms);
  ASSERT_TRUE(a.known.contains(b.id));
  ASSERT_TRUE(b.known.contains(a.id));
  const PeerHint& hint = a.known.at(b.id);
  EXPECT_EQ(hint.via, "mdns");
  EXPECT_EQ(hint.addresses, std::vector{address("/ip4/10.0.0.2/udp/4001/quic-v1")});
  EXPECT_EQ(a.found.size(), 1u);
  EXPECT_EQ(b.found.size(), 1u);
}

TEST(MdnsMachine, ASecondNodeIsSeenAtOnceByOneThatRunsForLong) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  link.start(a);
  link.run_for(1h);
  const TimePoint started = link.now;
  link.start(b);
  link.run_for(2s);
  ASSERT_EQ(a.found.size(), 1u);
  ASSERT_EQ(b.found.size(), 1u);
  EXPECT_LE(a.found[0].first - started, 10ms);
  // The first has perhaps answered a moment ago, and answers at most once a second.
  EXPECT_LE(b.found[0].first - started, 1121ms);
}

TEST(MdnsMachine, FindsThePeerEvenIfTheFirstPacketsAreLost) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  link.start(a);
  link.run_for(5s);
  b.dead = true;
  link.start(b);  // Its first question and announcement go nowhere.
  link.now += 500ms;
  b.dead = false;
  link.run_for(1500ms);
  EXPECT_TRUE(a.known.contains(b.id));
  EXPECT_TRUE(b.known.contains(a.id));
}

TEST(MdnsMachine, AsksAtOnceThenLessAndLess) {
  Link link;
  Node& a = link.add(1);
  const TimePoint start = link.now;
  link.start(a);
  link.run_for(10min);
  std::vector<Duration> asked;
  for (const auto& [at, sent] : a.sent) {
    if (!decode_dns(sent.bytes).value().response) asked.push_back(at - start);
  }
  ASSERT_GE(asked.size(), 5u);
  EXPECT_EQ(asked[0], 0s);
  EXPECT_EQ(asked[1], 1s);
  EXPECT_EQ(asked[2], 3s);
  EXPECT_EQ(asked[3], 10s);
  for (std::size_t i = 4; i < asked.size(); ++i) {
    EXPECT_GE(asked[i] - asked[i - 1], 20s);
    EXPECT_LE(asked[i] - asked[i - 1], 24s);
  }
}

TEST(MdnsMachine, AnswersItsOwnQuestionSoThatListenersLearnOfIt) {
  One one(10min);
  auto& [link, a] = one;
  EXPECT_GE(answers(a), queries(a) - 1);
}

TEST(MdnsMachine, NodesOnOneLinkShareTheirQuestions) {
  Link link;
  std::vector<Node*> nodes;
  for (std::uint8_t i = 1; i <= 20; ++i) nodes.push_back(&link.add(i));
  for (Node* node : nodes) link.start(*node);
  link.run_for(30s);
  std::size_t before = 0;
  for (const Node* node : nodes) before += queries(*node);
  link.run_for(10min);
  std::size_t asked = 0;
  for (const Node* node : nodes) {
    asked += queries(*node);
    EXPECT_EQ(node->known.size(), 19u);
    EXPECT_TRUE(node->lost.empty());
  }
  EXPECT_LE(asked - before, 45u);  // Once in 20 s and a few at the same moment, not 20 times that.
}

TEST(MdnsMachine, GoodbyeRemovesThePeerAtOnce) {
  Two two(2s);
  auto& [link, a, b] = two;
  ASSERT_TRUE(a.known.contains(b.id));
  const TimePoint stopped = link.now;
  link.handle(b, StopAsked{});
  EXPECT_EQ(b.timer, kNever);
  link.run_for(1s);
  EXPECT_FALSE(a.known.contains(b.id));
  ASSERT_EQ(a.lost.size(), 1u);
  EXPECT_LE(a.lost[0].first - stopped, 1s);
  EXPECT_EQ(a.lost[0].second, b.id);
  link.inject(b, kStranger, announcement(1));
  EXPECT_TRUE(b.machine->handle(TimerFired{}, link.now).empty());
}

TEST(MdnsMachine, ACrashedPeerIsForgottenWithinAMinute) {
  Two two(1min);
  auto& [link, a, b] = two;
  ASSERT_TRUE(a.known.contains(b.id));
  b.dead = true;
  link.run_for(60s);
  EXPECT_FALSE(a.known.contains(b.id));
  EXPECT_EQ(a.machine->peers(), 0u);
}

TEST(MdnsMachine, AShortTimeToLiveIsObeyed) {
  One one;
  auto& [link, a] = one;
  link.inject(a, kStranger, announcement(1, 5s));
  EXPECT_EQ(a.known.size(), 1u);
  link.run_for(4s);
  EXPECT_EQ(a.known.size(), 1u);
  link.run_for(1s);
  EXPECT_EQ(a.known.size(), 0u);
}

TEST(MdnsMachine, ALivingPeerStays) {
  Two two(1h);
  auto& [link, a, b] = two;
  EXPECT_TRUE(a.lost.empty() && b.lost.empty());
  EXPECT_EQ(a.found.size(), 1u);  // Told once, not with every answer.
}

TEST(MdnsMachine, IgnoresItselfUnderEveryName) {
  One one;
  auto& [link, a] = one;
  const std::vector<std::string> texts{
      fmt::format("dnsaddr=/ip4/10.0.0.1/udp/4001/quic-v1/p2p/{}", a.id.to_string())};
  link.inject(a, kStranger, encode_announcement(names_of(7), texts, {}, 120s).at(0));
  link.run_for(10s);
  EXPECT_TRUE(a.found.empty());
  EXPECT_EQ(a.machine->peers(), 0u);
  // What came back of its own is not counted as heard.
  EXPECT_EQ(a.machine->counters().at(2).heard, 1u);
}

TEST(MdnsMachine, ANewAddressIsAnnouncedAndTheOldOneForgotten) {
  Two two(5s);
  auto& [link, a, b] = two;
  link.handle(b, AddressesChanged{{address("/ip4/10.0.0.2/udp/5001/quic-v1")}});
  link.run_for(2s);
  EXPECT_EQ(a.known.at(b.id).addresses, std::vector{address("/ip4/10.0.0.2/udp/5001/quic-v1")});
  EXPECT_TRUE(a.lost.empty());
}

TEST(MdnsMachine, SaysGoodbyeWhenNothingIsLeftToAnnounce) {
  Two two(5s);
  auto& [link, a, b] = two;
  link.handle(b, AddressesChanged{});
  link.run_for(1s);
  EXPECT_TRUE(a.known.empty());
  const std::size_t sent = answers(b);
  link.run_for(1min);
  EXPECT_EQ(answers(b), sent);
  EXPECT_TRUE(b.known.contains(a.id));
}

TEST(MdnsMachine, AnInterfaceThatGoesTakesItsPeersAlong) {
  Two two(2s);
  auto& [link, a, b] = two;
  ASSERT_EQ(a.known.size(), 1u);
  link.handle(a, InterfacesChanged{});
  EXPECT_EQ(a.known.size(), 0u);
  EXPECT_EQ(a.timer, kNever);
  link.handle(a, InterfacesChanged{{a.interface}});
  link.run_for(1s);
  EXPECT_EQ(a.known.size(), 1u);
}

TEST(MdnsMachine, RefreshAsksAgainButNotMoreThanFourTimesASecond) {
  One one(15s);
  auto& [link, a] = one;
  const std::size_t before = queries(a);
  link.handle(a, RefreshAsked{});
  EXPECT_EQ(queries(a), before + 1);
  for (int i = 0; i < 100; ++i) {
    link.handle(a, RefreshAsked{});
    link.run_for(10ms);
  }
  EXPECT_LE(queries(a), before + 6);
}

TEST(MdnsMachine, AnswersAreSpreadAndNeverMoreThanOneASecond) {
  One one(15s);
  auto& [link, a] = one;
  const std::size_t before = answers(a);
  const TimePoint asked = link.now;
  const Bytes query = encode_query(names_of(1), 0);
  for (int i = 0; i < 1000; ++i) {
    link.inject(a, kStranger, query);
    link.run_for(10ms);
  }
  EXPECT_GE(answers(a) - before, 8u);
  EXPECT_LE(answers(a) - before, 11u);
  const auto first = std::ranges::find_if(a.sent, [&](const auto& sent) {
    return sent.first >= asked && decode_dns(sent.second.bytes).value().response;
  });
  EXPECT_GE(first->first - asked, 20ms);
  EXPECT_LE(first->first - asked, 120ms);
}

TEST(MdnsMachine, StaysSilentWhenTheAskerKnowsTheAnswer) {
  One one(15s);
  auto& [link, a] = one;
  const DnsMessage own = decode_dns(a.sent.back().second.bytes).value();
  ASSERT_TRUE(own.response);
  DnsMessage query = decode_dns(encode_query(names_of(1), 0)).value();
  query.answers = own.answers;
  const std::size_t before = answers(a);
  link.inject(a, kStranger, encode_dns(query).value());
  link.run_for(2s);
  EXPECT_EQ(answers(a), before);
  query.answers[0].ttl = 59s;  // Less than half: it is about to forget.
  link.inject(a, kStranger, encode_dns(query).value());
  link.run_for(2s);
  EXPECT_EQ(answers(a), before + 1);
}

TEST(MdnsMachine, TellsBrowsersThatTheServiceExists) {
  One one(15s);
  auto& [link, a] = one;
  a.sent.clear();
  DnsMessage query;
  query.questions.push_back(
      {DnsName::parse("_services._dns-sd._udp.local").value(), DnsType::kPtr, false});
  link.inject(a, kStranger, encode_dns(query).value());
  link.run_for(200ms);
  ASSERT_EQ(a.sent.size(), 1u);
  const DnsMessage answer = decode_dns(a.sent[0].second.bytes).value();
  ASSERT_EQ(answer.answers.size(), 1u);
  EXPECT_EQ(std::get<PtrData>(answer.answers[0].data).target.to_string(), "_p2p._udp.local");
}

TEST(MdnsMachine, AnswersWhoAsksForItsNameAlone) {
  One one(15s);
  auto& [link, a] = one;
  const DnsMessage own = decode_dns(a.sent.back().second.bytes).value();
  const DnsName instance = std::get<PtrData>(own.answers.at(0).data).target;
  a.sent.clear();
  DnsMessage query;
  query.questions.push_back({instance, DnsType::kTxt, false});
  link.inject(a, kStranger, encode_dns(query).value());
  link.run_for(200ms);
  EXPECT_EQ(a.sent.size(), 1u);
}

// Goal: forged announcements cost little and never lead to more than eight hints in a second.
TEST(MdnsMachine, AFloodOfForgedPeersIsBounded) {
  Two two(2s);
  auto& [link, a, b] = two;
  ASSERT_TRUE(a.known.contains(b.id));
  a.found.clear();
  for (int i = 0; i < 10'000; ++i) {
    const auto source = static_cast<std::uint8_t>(3 + i % 250);
    link.inject(a, IpAddress::v4(10, 0, 0, source), announcement(static_cast<std::uint16_t>(i)));
    link.run_for(100us);
  }
  EXPECT_LE(a.found.size(), 9u);  // One second: eight, and one where it begins or ends.
  EXPECT_LE(a.machine->peers(), limits::Discovery{}.peers_max);
  EXPECT_GT(a.machine->counters().at(2).refused_peers, 9'000u);
  EXPECT_TRUE(a.known.contains(b.id));
  for (std::size_t i = 8; i < a.found.size(); ++i) {
    EXPECT_GE(a.found[i].first - a.found[i - 8].first, 1s);
  }
  link.run_for(2min);
  EXPECT_TRUE(a.known.contains(b.id));
  EXPECT_EQ(a.known.size(), 1u);
}

TEST(MdnsMachine, OneLiarDoesNotKeepOthersOut) {
  Link link;
  Node& a = link.add(1);
  Node& b = link.add(2);
  link.start(a);
  link.run_for(2s);
  for (int i = 0; i < 1'000; ++i) {
    link.inject(a, kStranger, announcement(static_cast<std::uint16_t>(i)));
  }
  EXPECT_EQ(a.machine->peers(), limits::Discovery{}.peers_per_source_max);
  link.start(b);
  link.run_for(6s);
  EXPECT_TRUE(a.known.contains(b.id));
}

TEST(MdnsMachine, CountsWhatItCannotRead) {
  One one;
  auto& [link, a] = one;
  link.inject(a, kStranger, {});
  link.inject(a, kStranger, Bytes(3, 0xff));
  link.inject(a, kStranger, Bytes(9'001));
  const auto& counters = a.machine->counters().at(2);
  EXPECT_EQ(counters.heard, 3u);
  EXPECT_EQ(counters.malformed, 3u);
  link.handle(a, PacketReceived{99, kStranger, true, announcement(1)});  // No such interface.
  EXPECT_EQ(counters.heard, 3u);
}

TEST(MdnsMachine, RefusesABadName) {
  std::mt19937_64 rng(1);
  MdnsConfig config;
  config.self = make_peer(1);
  EXPECT_FALSE(MdnsMachine::make(config, rng));
  config.peer_name = std::string(31, 'a');
  EXPECT_FALSE(MdnsMachine::make(config, rng));
  config.peer_name = std::string(64, 'a');
  EXPECT_FALSE(MdnsMachine::make(config, rng));
  config.peer_name = std::string(32, 'A');
  EXPECT_FALSE(MdnsMachine::make(config, rng));
  config.peer_name = std::string(63, 'a');
  EXPECT_TRUE(MdnsMachine::make(config, rng));
  config.service = "a..b";
  EXPECT_FALSE(MdnsMachine::make(config, rng));
  EXPECT_NE(random_peer_name(rng), random_peer_name(rng));
}

}  // namespace
}  // namespace warren::discovery
