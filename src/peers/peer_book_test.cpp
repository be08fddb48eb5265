// The book of peers: what is learnt, kept, pushed out, chosen and told.

#include "peers/peer_book.hpp"

#include <gmock/gmock.h>

#include "peers/test_support.hpp"

namespace warren::peers {
namespace {

using namespace testing;

TEST(PeerBook, LearnsAddressesOfAPeerOnce) {
  Fixture f;
  const Multiaddr plain = quic(198, 51, 100, 1);
  EXPECT_EQ(f.learn(peer(1), {plain, plain.with_peer(peer(1)), plain}), 1u);
  EXPECT_EQ(f.learn(peer(1), {plain}), 0u);
  const Peer* const known = f.book.find(peer(1));
  ASSERT_NE(known, nullptr);
  ASSERT_EQ(known->addresses.size(), 1u);
  EXPECT_EQ(known->addresses[0].address, plain);
  EXPECT_EQ(known->addresses[0].group, group(198, 51));
  EXPECT_EQ(known->first_seen, kNow);
  EXPECT_EQ(to_hex(known->public_key), to_hex(peer(1).inline_key()));
  EXPECT_FALSE(known->proven());
  f.book.check_invariants();
}

TEST(PeerBook, LeavesOutWhatCannotBeDialled) {
  Fixture f;
  for (const char* text : {
           "/ip4/0.0.0.0/udp/4001/quic-v1",
           "/ip4/239.1.2.3/udp/4001/quic-v1",
           "/ip4/198.51.100.1/udp/0/quic-v1",
           "/ip4/198.51.100.1",
           "/ip6/ff02::1/tcp/4001",
           "/unix/%2ftmp%2fx",
           "/tcp/4001",
       }) {
    EXPECT_EQ(f.learn(peer(1), {address(text)}), 0u) << text;
  }
  EXPECT_EQ(f.learn(peer(1), {quic(198, 51, 100, 1).with_peer(peer(2))}), 0u) << "another peer's";
  EXPECT_EQ(f.learn(peer(0), {quic(198, 51, 100, 1)}), 0u) << "our own";
  const std::string label(60, 'a');
  EXPECT_EQ(
      f.learn(peer(1), {address(fmt::format("/dns4/{0}.{0}.{0}.{0}/tcp/1/ws/tls/sni/{0}", label))}),
      0u)
      << "too long";
  EXPECT_EQ(f.book.find(peer(1)), nullptr) << "a peer without an address is not learnt";
  EXPECT_EQ(f.learn(peer(1), {address("/dns4/host.example/tcp/4001")}), 1u);
  EXPECT_EQ(f.learn(peer(2), {Multiaddr::memory(7)}), 1u);
  f.book.check_invariants();
}

TEST(PeerBook, ANewerRecordReplacesWhatItsOriginSaidAndAnOlderOneSaysNothing) {
  Fixture f;
  const auto a = quic(198, 51, 1, 1), b = quic(198, 51, 1, 2), c = quic(198, 51, 1, 3);
  EXPECT_EQ(f.learn(peer(1), {c}, Origin::kMdns), 1u);
  EXPECT_EQ(f.learn(peer(1), {a}, Origin::kExchange, group(1, 1), record(5)), 1u);
  EXPECT_EQ(f.learn(peer(1), {b}, Origin::kExchange, group(1, 1), record(4)), 0u);
  EXPECT_EQ(f.book.find(peer(1))->record->sequence, 5u);
  EXPECT_EQ(f.learn(peer(1), {b}, Origin::kExchange, group(1, 1), record(6)), 1u);
  const Peer& known = *f.book.find(peer(1));
  EXPECT_TRUE(has_address(known.addresses, b));
  EXPECT_TRUE(has_address(known.addresses, c)) << "of another origin";
  EXPECT_FALSE(has_address(known.addresses, a));
  EXPECT_EQ(known.record->sequence, 6u);
  EXPECT_EQ(known.origin, Origin::kMdns) << "the better one";
  f.book.check_invariants();
}

TEST(PeerBook, OneTellerFillsASmallPartOnly) {
  Fixture f;
  const limits::Peers limits;
  std::size_t taken = 0;
  for (unsigned i = 0; i < 20'000; ++i) {
    taken += f.learn(peer(100 + i), {quic(11 + i % 150, i % 251, i % 253, 1 + i % 200)},
                     Origin::kExchange, group(203, 0));
  }
  EXPECT_LE(taken, limits.new_buckets_per_teller * limits.bucket_places);  // 64 of 2,048: 3 %.
  EXPECT_GE(taken, limits.bucket_places);
  EXPECT_EQ(f.book.addresses(), taken);
  f.book.check_invariants();
}

TEST(PeerBook, OneNetworkCannotFillTheTable) {
  Fixture f;
  const limits::Peers limits;
  // Sixteen networks, each tells of itself and of the others, a thousand identities in each.
  for (unsigned teller = 0; teller < 16; ++teller) {
    for (unsigned i = 0; i < 1'000; ++i) {
      f.learn(peer(1'000 + i), {quic(60 + i % 16, 1, i / 200, 1 + i % 200, 4001 + i)},
              Origin::kExchange, group(60 + teller, 1));
    }
  }
  const std::size_t most = 16 * limits.new_buckets_per_teller * limits.bucket_places;
  EXPECT_LE(f.book.addresses(), most);
  EXPECT_LE(most * 2, limits.new_buckets * limits.bucket_places) << "half of the part at most";
  // Every one of them is dialled and works: they still have at most half of the proven part.
  std::vector<std::pair<PeerId, Multiaddr>> all;
  for (const auto& [id, known] : f.book.all()) {
    for (const AddressEntry& entry : known.addresses) all.emplace_back(id, entry.address);
  }
  for (const auto& [id, at] : all) {
    f.book.connected(id, at, f.now);
    f.book.disconnected(id, 1, 1, f.now);
  }
  EXPECT_LE(f.book.table().size(Part::kProven),
            16 * limits.proven_buckets_per_group * limits.bucket_places);
  EXPECT_LE(16 * limits.proven_buckets_per_group * 2, limits.proven_buckets);
  f.book.check_invariants();
}

TEST(PeerBook, ALyingTellerCannotPushOutProvenOrFreshAddresses) {
  Fixture f;
  std::vector<std::pair<PeerId, Multiaddr>> honest;
  for (unsigned i = 0; i < 200; ++i) {
    const PeerId id = peer(10 + i);
    const Multiaddr at = quic(20 + i % 40, i % 200, 3, 4);
    ASSERT_EQ(f.learn(id, {at}, Origin::kExchange, group(20 + i % 40, 9)), 1u) << i;
    if (i % 2 == 0) {
      f.book.connected(id, at, f.now);
      f.book.disconnected(id, 1, 1, f.now);
    }
    honest.emplace_back(id, at);
  }
  for (unsigned i = 0; i < 30'000; ++i) {
    f.learn(peer(100'000 + i), {quic(120 + i % 100, i % 256, i % 255, 5)}, Origin::kExchange,
            group(120 + i % 16, 1));
  }
  for (const auto& [id, at] : honest) {
    ASSERT_NE(f.book.find(id), nullptr);
    EXPECT_TRUE(has_address(f.book.find(id)->addresses, at));
  }
  f.book.check_invariants();
}

TEST(PeerBook, ALanOfHundredsFitsAndWhatTheLinkSaysGoesBeforeWhatOthersSayOfIt) {
  Fixture f;
  const NetworkGroup local{};
  for (unsigned i = 0; i < 2'000; ++i) {
    f.learn(peer(10'000 + i), {quic(10, 9, i / 250, 1 + i % 250)}, Origin::kInbound, local);
  }
  EXPECT_EQ(f.book.table().size(Part::kLocal), limits::Peers{}.local_places);
  for (unsigned i = 0; i < 400; ++i) {
    EXPECT_EQ(
        f.learn(peer(10 + i),
                {quic(192, 168, i / 250, 1 + i % 250), quic(192, 168, i / 250, 1 + i % 250, 4002)},
                Origin::kMdns),
        2u)
        << i;
  }
  // A stranger from elsewhere that tells of private addresses has its own small part.
  std::size_t taken = 0;
  for (unsigned i = 0; i < 1'000; ++i) {
    taken += f.learn(peer(50'000 + i), {quic(10, 8, i / 250, 1 + i % 250)}, Origin::kExchange,
                     group(203, 0));
  }
  EXPECT_LE(taken, limits::Peers{}.bucket_places);
  f.book.check_invariants();
}

TEST(PeerBook, AFullBucketGivesWayOnlyForWhatHasFailedOrIsOld) {
  limits::Peers limits;
  limits.new_buckets = 1;
  limits.bucket_places = 4;
  Fixture f(limits);
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(f.learn(peer(1 + i), {quic(20 + i, 1, 1, 1)}), 1u);
  }
  EXPECT_EQ(f.learn(peer(9), {quic(30, 1, 1, 1)}), 0u);
  f.book.dial_failed(peer(2), std::vector{quic(21, 1, 1, 1)}, f.now);
  EXPECT_EQ(f.learn(peer(9), {quic(30, 1, 1, 1)}), 1u);
  EXPECT_EQ(f.book.find(peer(2)), nullptr);
  EXPECT_EQ(f.learn(peer(10), {quic(31, 1, 1, 1)}), 0u);
  f.now += std::chrono::hours(24 * 8);
  EXPECT_EQ(f.learn(peer(10), {quic(31, 1, 1, 1)}), 1u);
  f.book.check_invariants();
}

TEST(PeerBook, NeverPushesOutWhomAPersonOrAConnectionHolds) {
  limits::Peers limits;
  limits.new_buckets = 1;
  limits.bucket_places = 4;
  Fixture f(limits);
  for (unsigned i = 0; i < 4; ++i) f.learn(peer(1 + i), {quic(20 + i, 1, 1, 1)});
  ASSERT_TRUE(f.book.keep(peer(1), std::nullopt, f.now));
  ASSERT_TRUE(f.book.pin(peer(2), f.now));
  ASSERT_TRUE(f.book.tie_name("alice", peer(3)));
  f.book.connected(peer(4), std::nullopt, f.now, quic(23, 1, 1, 1, 5555));
  for (unsigned i = 0; i < 4; ++i) {
    f.book.dial_failed(peer(1 + i), std::vector{quic(20 + i, 1, 1, 1)}, f.now);
  }
  f.now += std::chrono::hours(24 * 365);
  for (unsigned i = 0; i < 50; ++i) EXPECT_EQ(f.learn(peer(100 + i), {quic(40 + i, 1, 1, 1)}), 0u);
  f.book.prune(f.now);
  for (unsigned i = 0; i < 4; ++i) EXPECT_NE(f.book.find(peer(1 + i)), nullptr) << i;
  f.book.check_invariants();
}

TEST(PeerBook, AnAddressThatFailsIsTriedLessAndGoesInTheEnd) {
  Fixture f;
  const auto good = quic(20, 1, 1, 1), bad = quic(21, 1, 1, 1);
  f.learn(peer(1), {good});
  f.learn(peer(2), {bad});
  for (int i = 0; i < 4; ++i) {
    f.book.connected(peer(3), quic(22, 1, 1, 1), f.now);  // Some dial works: our network is there.
    f.now += 1min;
    f.book.dial_failed(peer(2), std::vector{bad}, f.now);
  }
  EXPECT_EQ(f.book.find(peer(2))->addresses[0].failures, 4u);
  int chosen_bad = 0;
  for (int i = 0; i < 1'000; ++i) {
    chosen_bad += f.book.choose(Table::kNew, f.now, anyone)->id == peer(2) ? 1 : 0;
  }
  // 0.66^4 = 0.19 against 1.
  EXPECT_GT(chosen_bad, 100);
  EXPECT_LT(chosen_bad, 230);
  for (int i = 0; i < 6; ++i) {
    f.book.connected(peer(3), quic(22, 1, 1, 1), f.now);
    f.now += 1min;
    f.book.dial_failed(peer(2), std::vector{bad}, f.now);
  }
  EXPECT_TRUE(f.book.find(peer(2)) == nullptr || f.book.find(peer(2))->addresses.empty());
  f.book.check_invariants();
}

TEST(PeerBook, LearnsNothingOfAddressesWhileItsOwnNetworkIsDown) {
  Fixture f;
  const auto at = quic(20, 1, 1, 1);
  f.learn(peer(1), {at});
  for (int i = 0; i < 100; ++i) {
    f.now += 1min;
    f.book.dial_failed(peer(1), std::vector{at}, f.now);
  }
  EXPECT_EQ(f.book.find(peer(1))->addresses.at(0).failures, 1u);
  EXPECT_EQ(f.book.find(peer(1))->failures, 100u);
}

TEST(PeerBook, ChooseIsUniformOverNetworks) {
  Fixture f;
  // Ten networks; the first has 40 peers, the others one each.
  for (unsigned i = 0; i < 40; ++i) {
    f.learn(peer(100 + i), {quic(20, 1, i, 1)}, Origin::kExchange, group(90, i));
  }
  for (unsigned i = 1; i < 10; ++i) f.learn(peer(i), {quic(20 + i, 1, 1, 1)});
  std::map<NetworkGroup, int> counts;
  constexpr int kDraws = 10'000;
  for (int i = 0; i < kDraws; ++i) {
    ++counts[f.book.choose(Table::kNew, f.now, anyone)->addresses[0].group];
  }
  ASSERT_EQ(counts.size(), 10u);
  double chi_square = 0;
  for (const auto& [network, count] : counts) {
    const double off = count - kDraws / 10.0;
    chi_square += off * off / (kDraws / 10.0);
  }
  EXPECT_LT(chi_square, 27.9) << "9 degrees of freedom, p = 0.001";
}

TEST(PeerBook, ChooseCountsEachLocalPeerAsANetwork) {
  Fixture f;
  for (unsigned i = 0; i < 9; ++i) f.learn(peer(1 + i), {quic(10, 0, 0, 1 + i)}, Origin::kMdns);
  f.learn(peer(50), {quic(60, 1, 1, 1)});
  int far = 0;
  for (int i = 0; i < 10'000; ++i) {
    far += f.book.choose(Table::kNew, f.now, anyone)->id == peer(50) ? 1 : 0;
  }
  EXPECT_NEAR(far, 1'000, 150);
}

TEST(PeerBook, ChooseIsTheSameForTheSameSeed) {
  const auto draws = [](std::uint64_t seed) {
    Fixture f({}, seed);
    for (unsigned i = 0; i < 50; ++i) f.learn(peer(1 + i), {quic(20 + i % 7, i, 1, 1)});
    std::vector<PeerId> chosen;
    for (int i = 0; i < 50; ++i) chosen.push_back(f.book.choose(Table::kNew, f.now, anyone)->id);
    return chosen;
  };
  EXPECT_EQ(draws(1), draws(1));
  EXPECT_NE(draws(1), draws(2));
}

TEST(PeerBook, ChooseTellsNewFromProvenAndLeavesOutTheBannedAndUnfit) {
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  f.learn(peer(2), {quic(21, 1, 1, 1)});
  EXPECT_EQ(f.book.choose(Table::kProven, f.now, anyone), nullptr);
  f.book.connected(peer(2), quic(21, 1, 1, 1), f.now);
  f.book.disconnected(peer(2), 10, 20, f.now);
  EXPECT_EQ(f.book.choose(Table::kProven, f.now, anyone)->id, peer(2));
  EXPECT_EQ(f.book.choose(Table::kNew, f.now, anyone)->id, peer(1));
  EXPECT_EQ(f.book.choose(Table::kNew, f.now, [](const Peer&) { return false; }), nullptr);
  ASSERT_TRUE(f.book.ban(peer(2), WallTime::max(), "test", f.now));
  EXPECT_EQ(f.book.choose(Table::kProven, f.now, anyone), nullptr);
  ASSERT_TRUE(f.book.ban(*resources::Prefix::parse("20.1.0.0/16"), WallTime::max(), "", f.now));
  EXPECT_EQ(f.book.choose(Table::kNew, f.now, anyone), nullptr);
}

TEST(PeerBook, APeerThatCameToUsIsRememberedWithoutAnAddressAndIsNotProven) {
  Fixture f;
  f.book.connected(peer(1), std::nullopt, f.now, quic(20, 1, 1, 1, 50'000));
  f.book.disconnected(peer(1), 1'000, 2'000, f.now);
  const Peer* const known = f.book.find(peer(1));
  ASSERT_NE(known, nullptr);
  EXPECT_FALSE(known->proven());
  EXPECT_TRUE(known->addresses.empty());
  EXPECT_EQ(known->origin, Origin::kInbound);
  EXPECT_EQ(known->bytes_received, 1'000u);
  EXPECT_EQ(known->bytes_sent, 2'000u);
  EXPECT_EQ(known->last_seen, kNow);
}

TEST(PeerBook, PeersWithoutAnAddressAreBounded) {
  limits::Peers limits;
  limits.peers_max = 100;
  Fixture f(limits);
  for (unsigned i = 0; i < 1'000; ++i) {
    f.now += 1s;
    f.book.connected(peer(1 + i), std::nullopt, f.now);
    f.book.disconnected(peer(1 + i), 1, 1, f.now);
  }
  EXPECT_EQ(f.book.all().size(), 100u);
  EXPECT_NE(f.book.find(peer(1'000)), nullptr);
  EXPECT_EQ(f.book.find(peer(1)), nullptr);
  f.book.check_invariants();
}

TEST(PeerBook, TellsStrangersAtMostTwoRecordsOfANetworkAndOnlyOfPeersThatAreReal) {
  Fixture f;
  for (unsigned i = 0; i < 30; ++i) {
    const Multiaddr at = quic(20 + i % 3, 1, 1, 1 + i);
    f.learn(peer(1 + i), {at}, Origin::kExchange, group(20 + i % 3, 1), record(7));
    if (i >= 3) {
      f.book.connected(peer(1 + i), at, f.now);
      f.book.disconnected(peer(1 + i), 1, 1, f.now);
    }
  }
  EXPECT_EQ(f.book.sample_records(32, anyone).size(), 6u);
  EXPECT_EQ(f.book.sample_records(4, anyone).size(), 4u);
  EXPECT_TRUE(f.book.sample_records(32, [](const Peer&) { return false; }).empty());
}

TEST(PeerBook, KeepsRecordsWithinTheirBound) {
  limits::Peers limits;
  limits.records_bytes_max = 1'000;
  limits.record_bytes_max = 300;
  Fixture f(limits);
  for (unsigned i = 0; i < 20; ++i) {
    f.learn(peer(1 + i), {quic(20 + i, 1, 1, 1)}, Origin::kExchange, std::nullopt, record(1, 250));
  }
  f.learn(peer(90), {quic(90, 1, 1, 1)}, Origin::kExchange, std::nullopt, record(1, 301));
  EXPECT_EQ(f.book.find(peer(90))->record, nullptr);
  f.book.check_invariants();
}

TEST(PeerBook, ATooManyOfOnePeerTakeThePlaceOfItsWorst) {
  Fixture f;
  std::vector<Multiaddr> many;
  for (unsigned i = 0; i < 40; ++i) many.push_back(quic(192, 168, 1, 1 + i));
  EXPECT_EQ(f.learn(peer(1), many, Origin::kExchange), 16u);
  EXPECT_EQ(f.learn(peer(1), {quic(192, 168, 2, 1)}, Origin::kExchange), 0u);
  f.book.dial_failed(peer(1), std::vector{many[3]}, f.now);
  EXPECT_EQ(f.learn(peer(1), {quic(192, 168, 2, 1)}, Origin::kExchange), 1u);
  EXPECT_FALSE(has_address(f.book.find(peer(1))->addresses, many[3]));
  f.book.check_invariants();
}

TEST(PeerBook, WhatTheLinkDoesNotSayAnyMoreIsForgotten) {
  Fixture f;
  EXPECT_EQ(f.learn(peer(1), {quic(192, 168, 1, 1), quic(192, 168, 1, 2)}, Origin::kMdns), 2u);
  EXPECT_EQ(f.learn(peer(1), {quic(192, 168, 1, 9)}, Origin::kManual), 1u);
  EXPECT_EQ(f.learn(peer(1), {quic(192, 168, 1, 2)}, Origin::kMdns), 0u);
  const auto& left = f.book.find(peer(1))->addresses;
  EXPECT_FALSE(has_address(left, quic(192, 168, 1, 1)));
  EXPECT_TRUE(has_address(left, quic(192, 168, 1, 2)));
  EXPECT_TRUE(has_address(left, quic(192, 168, 1, 9))) << "a person said that one";
  f.book.check_invariants();
}

TEST(PeerBook, PrunesWhatIsTooOld) {
  Fixture f;
  f.learn(peer(1), {quic(20, 1, 1, 1)});
  f.book.connected(peer(2), quic(21, 1, 1, 1), f.now);
  f.book.disconnected(peer(2), 1, 1, f.now);
  f.now += std::chrono::hours(24 * 20);
  f.learn(peer(3), {quic(22, 1, 1, 1)});
  EXPECT_EQ(f.book.prune(f.now), 0u);
  f.now += std::chrono::hours(24 * 11);
  EXPECT_EQ(f.book.prune(f.now), 2u);
  EXPECT_NE(f.book.find(peer(3)), nullptr);
  f.book.check_invariants();
}

TEST(PeerBook, ANameIsTiedToOneKey) {
  Fixture f;
  EXPECT_TRUE(f.book.tie_name("laptop", peer(1)));
  EXPECT_TRUE(f.book.tie_name("laptop", peer(1)));
  const auto refused = f.book.tie_name("laptop", peer(2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kConflict);
  EXPECT_THAT(refused.error().message(), ::testing::HasSubstr(peer(1).to_string()));
  EXPECT_THAT(refused.error().message(), ::testing::HasSubstr(peer(2).to_string()));
  EXPECT_EQ(f.book.find_name("laptop"), peer(1));
  EXPECT_EQ(f.book.name_of(peer(1)), "laptop");
  EXPECT_EQ(f.book.name_of(peer(2)), "");
  for (const std::string& bad : {std::string(), std::string(65, 'x'), std::string("a\nb"),
                                 std::string("\xff\xfe"), std::string("\xc0\xaf")}) {
    EXPECT_EQ(f.book.tie_name(bad, peer(1)).error().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(f.book.tie_name("J\xc3\xbcrgen", peer(3)));
  EXPECT_TRUE(f.book.remove(peer(1)));
  EXPECT_FALSE(f.book.find_name("laptop"));
  EXPECT_EQ(f.book.remove(peer(1)).error().code(), ErrorCode::kNotFound);
  f.book.check_invariants();
}

TEST(PeerBook, FailuresCountAlsoAfterTheClockWentBack) {
  Fixture f;
  const auto bad = quic(20, 1, 1, 1);
  f.learn(peer(1), {bad});
  f.book.connected(peer(2), quic(21, 1, 1, 1), f.now);
  f.book.dial_failed(peer(1), std::vector{bad}, f.now);
  f.now -= std::chrono::hours(24 * 365);
  for (std::uint32_t i = 2; i <= 5; ++i) {
    f.book.connected(peer(2), quic(21, 1, 1, 1), f.now);
    f.now += 1min;
    f.book.dial_failed(peer(1), std::vector{bad}, f.now);
    EXPECT_EQ(f.book.find(peer(1))->addresses.at(0).failures, i);
  }
}

TEST(PeerBook, WritesNothingWhileItsOwnNetworkIsDown) {
  Fixture f;
  const auto at = quic(20, 1, 1, 1);
  f.learn(peer(1), {at});
  f.book.dial_failed(peer(1), std::vector{at}, f.now);
  f.book.take_changes();
  for (int i = 0; i < 100; ++i) {
    f.now += 2s;
    f.book.dial_failed(peer(1), std::vector{at}, f.now);
    f.book.dial_failed(peer(1), {}, f.now);
  }
  EXPECT_FALSE(f.book.has_changes());
  EXPECT_EQ(f.book.find(peer(1))->failures, 201u);
}

TEST(PeerBook, ATypedAddressTakesThePlaceOfTheTypedOneThatFailsMostOrIsOldest) {
  Fixture f;
  const auto nth = [](unsigned i) { return quic(20 + i, 1, 1, 1); };
  for (unsigned i = 0; i < 16; ++i) {
    f.now += 1s;
    ASSERT_TRUE(f.book.keep(peer(1), nth(i), f.now)) << i;
  }
  f.book.dial_failed(peer(1), std::vector{nth(5)}, f.now);
  EXPECT_EQ(f.learn(peer(1), {nth(90)}), 0u) << "only a person's goes before a person's";
  ASSERT_TRUE(f.book.keep(peer(1), nth(16), f.now));
  EXPECT_FALSE(has_address(f.book.find(peer(1))->addresses, nth(5)));
  EXPECT_TRUE(has_address(f.book.find(peer(1))->addresses, nth(16)));
  ASSERT_TRUE(f.book.keep(peer(1), nth(17), f.now));
  EXPECT_FALSE(has_address(f.book.find(peer(1))->addresses, nth(0)));
  EXPECT_EQ(f.book.find(peer(1))->addresses.size(), 16u);
  f.book.check_invariants();
}

TEST(PeerBook, WhoIsHeardOnTheLinkIsBelievedOfTheLinkOnly) {
  for (const Origin origin : {Origin::kMdns, Origin::kBeacon}) {
    Fixture f;
    for (unsigned i = 0; i < 5'000; ++i) {
      f.learn(peer(10 + i), {quic(20 + i % 70, i % 251, 1, 1)}, origin);
    }
    const limits::Peers limits;
    EXPECT_EQ(f.book.table().size(Part::kLocal), 0u);
    EXPECT_LE(f.book.addresses(), limits.new_buckets_per_teller * limits.bucket_places);
    EXPECT_EQ(f.learn(peer(1), {quic(192, 168, 1, 1)}, origin), 1u);
    EXPECT_EQ(f.learn(peer(2), {quic(30, 1, 1, 1)}, Origin::kBootstrap), 1u);
    EXPECT_TRUE(f.book.keep(peer(3), quic(31, 1, 1, 1), f.now));
    EXPECT_EQ(f.book.table().size(Part::kLocal), 3u);
    f.book.check_invariants();
  }
}

TEST(PeerBook, AProvenAddressKeepsItsPlaceWhenTheLinkNamesIt) {
  Fixture f;
  const auto at = quic(20, 1, 1, 1);
  f.learn(peer(1), {at});
  f.book.connected(peer(1), at, f.now);
  f.learn(peer(1), {at}, Origin::kMdns);
  EXPECT_EQ(f.book.find(peer(1))->addresses.at(0).origin, Origin::kMdns);
  EXPECT_EQ(f.book.table().size(Part::kProven), 1u);
  f.book.check_invariants();
}

TEST(PeerBook, TakesAddressesOfTheMemoryTransportInASimulatedWorldOnly) {
  std::mt19937_64 rng(1);
  PeerBook book(peer(0), {}, rng);
  const Learnt memory{
      .peer = peer(1), .addresses = {Multiaddr::memory(7)}, .told_by = {}, .record = {}};
  EXPECT_EQ(book.learn(memory, kNow), 0u);
  EXPECT_EQ(book.keep(peer(1), Multiaddr::memory(7), kNow).error().code(),
            ErrorCode::kInvalidArgument);
  const Learnt behind{.peer = peer(1),
                      .addresses = {address("/ip4/198.51.100.1/tcp/1/memory/7")},
                      .told_by = {},
                      .record = {}};
  EXPECT_EQ(book.learn(behind, kNow), 0u);
  Fixture f;
  EXPECT_EQ(f.book.learn(memory, kNow), 1u);
}

}  // namespace
}  // namespace warren::peers
