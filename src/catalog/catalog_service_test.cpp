// Catalogs of whole nodes, over the simulated network and the virtual clock.

#include "catalog/catalog_service.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "catalog/catalog_nodes_for_test.hpp"
#include "library/library_set.hpp"
#include "swarm/nodes_for_test.hpp"
#include "transport/frame_io.hpp"

namespace warren::catalog {
namespace {

using fakes::CatalogNode;
using fakes::entry;
using fakes::listing;
using fakes::say;
using swarm::fakes::Node;

using CatalogServiceTest = fakes::CatalogNodesTest;

TEST_F(CatalogServiceTest, TwoThatMeetKnowEachOthersEntriesAndEachChangeWithinASecond) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  a.put("of a");
  b.put("of b");
  connect(a, b);
  ASSERT_TRUE(comes_to(a, {"of b"}));
  ASSERT_TRUE(comes_to(b, {"of a"}));
  EXPECT_EQ(b.changes, 1);
  a.put("more");
  EXPECT_TRUE(comes_to(b, {"more", "of a"}, 100ms)) << "pushed, not asked for";
  a.set.apply({}, {"of a"});
  EXPECT_TRUE(comes_to(b, {"more"}, 100ms));
}

TEST_F(CatalogServiceTest, ItsOwnSetStandsBesideThoseOfOthersWhateverItsRules) {
  CatalogNode& a = add({.keeps_own = true});
  a.set.set_owner(a.id);
  CatalogNode& b = add();
  a.put("of a");
  a.put("secret", {peers::Access::kListed, {b.id}});
  b.put("of b");
  connect(a, b);
  ASSERT_TRUE(comes_to(a, {"of a", "of b", "secret"}));
  ASSERT_TRUE(comes_to(b, {"of a", "secret"}));
  const auto offers = sim::run(world, a.service->find("secret"));
  ASSERT_TRUE(offers);
  EXPECT_EQ(offers->front().peer, a.id);
  const auto peers = sim::run(world, a.service->peers());
  ASSERT_TRUE(peers);
  EXPECT_EQ(peers->size(), 1u) << "it is no peer of its own";
  a.set.apply({}, {"of a"});
  a.set.begin_epoch(99, {{"secret", {peers::Access::kTrusted, {}}}});
  EXPECT_TRUE(comes_to(a, {"of b", "secret"}));
  EXPECT_EQ(a.store->known(a.id)->digest, a.set.summary({a.id, true, true}).digest);
}

TEST_F(CatalogServiceTest, BothEndsAgreeOnWhatIsMissing) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(comes_to(b, {"one"}));
  world.run_for(1s);
  const CatalogPeer ours = peer_of(b, a);
  EXPECT_TRUE(ours.connected && ours.following && ours.complete);
  EXPECT_EQ(ours.stored.known, a.set.summary({b.id, true, false}));
  EXPECT_EQ(ours.theirs.digest, ours.stored.known.digest);
  const CatalogPeer theirs = peer_of(a, b);
  EXPECT_TRUE(theirs.followed && theirs.told_all);
  EXPECT_EQ(theirs.acknowledged, a.set.revision());
  // While the link is cut both know that b may lack something.
  world.partition({2});
  a.put("two");
  world.run_for(1s);
  EXPECT_FALSE(peer_of(a, b).told_all);
  EXPECT_EQ(peer_of(a, b).acknowledged, ours.stored.known.revision);
  world.heal({.latency_min = 10ms, .latency_max = 10ms});
  EXPECT_TRUE(comes_to(b, {"one", "two"}));
}

TEST_F(CatalogServiceTest, WithWhomSomethingIsSharedIsANeighbour) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  CatalogNode& c = add();
  const auto both_say = [this](CatalogNode& one, CatalogNode& other, bool is) {
    const auto says = [is](const CatalogNode& node, const PeerId& peer) {
      const auto told = node.neighbours.find(peer);
      return told != node.neighbours.end() && told->second == is;
    };
    return world.run_until([&] { return says(one, other.id) && says(other, one.id); }, 1s);
  };
  a.put("for b", {peers::Access::kListed, {b.id}});
  connect(a, b);
  connect(a, c);
  EXPECT_TRUE(both_say(a, b, true));
  EXPECT_TRUE(both_say(a, c, false)) << "what it may not see is not there";
  c.put("of c");
  EXPECT_TRUE(both_say(a, c, true));
  c.set.apply({}, {"of c"});
  EXPECT_TRUE(both_say(a, c, false));
  EXPECT_TRUE(both_say(a, b, true)) << "another one's matter";
}

TEST_F(CatalogServiceTest, TwentyNodesKnowAChangeWithinASecond) {
  for (int i = 0; i < 20; ++i) add();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    nodes[i]->put("of " + std::to_string(i));
    for (std::size_t j = 0; j < i; ++j) connect(*nodes[i], *nodes[j]);
  }
  const auto everybody_has = [&](std::size_t count) {
    return std::ranges::all_of(nodes,
                               [count](const auto& node) { return node->ids().size() == count; });
  };
  world.run_for(5s);
  ASSERT_TRUE(everybody_has(19));
  nodes[7]->put("new");
  world.run_for(1s);
  for (const auto& node : nodes) {
    EXPECT_EQ(node->ids().size(), node == nodes[7] ? 19u : 20u);
  }
}

TEST_F(CatalogServiceTest, NothingIsSaidWhileNothingChanges) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(comes_to(b, {"one"}));
  world.run_for(10s);
  const std::uint64_t before = world.counters().stream_bytes_sent;
  world.run_for(1h);
  EXPECT_EQ(world.counters().stream_bytes_sent, before);
}

TEST_F(CatalogServiceTest, ComingBackCostsBytesOfTheChangeNotOfTheLibrary) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  std::vector<library::PublishedEntry> many;
  for (int i = 0; i < 3'000; ++i) many.push_back(entry(listing("entry-" + std::to_string(i))));
  a.set.apply(std::move(many), {});
  connect(a, b);
  const auto has = [&](std::uint64_t count) {
    return [&b, &a, count] { return b.store->known(a.id)->count == count; };
  };
  ASSERT_TRUE(world.run_until(has(3'000), 10s));
  world.run_for(1s);
  const std::uint64_t all = a.service->counters().bytes_sent;
  EXPECT_GT(all, 300'000u);
  a.swarm->disconnect(b.id);
  world.run_for(1s);
  for (int i = 0; i < 5; ++i) a.put("new-" + std::to_string(i));
  connect(a, b);
  ASSERT_TRUE(world.run_until(has(3'005), 10s));
  EXPECT_LT(a.service->counters().bytes_sent - all, 2'000u);
}

TEST_F(CatalogServiceTest, EntriesOfAPeerThatIsAwayAreStillKnown) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(comes_to(b, {"one"}));
  a.swarm->disconnect(b.id);
  world.run_for(1min);
  const auto offers = sim::run(world, b.service->find("one"));
  ASSERT_TRUE(offers);
  ASSERT_EQ(offers->size(), 1u);
  EXPECT_EQ(offers->front().peer, a.id);
  EXPECT_FALSE(peer_of(b, a).connected);
  EXPECT_LT(peer_of(b, a).stored.last_seen, b.runtime->wall_now() - 30s);
}

TEST_F(CatalogServiceTest, OnlyTrustedPeersSeeWhatIsForThemAndThatMayChange) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  a.put("open");
  a.put("secret", {peers::Access::kTrusted, {}});
  connect(a, b);
  ASSERT_TRUE(comes_to(b, {"open"}));
  const auto asked = sim::run(world, b.service->query(a.id, {.id = "secret"}));
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->total, 0u);
  a.trusted.insert(b.id);
  a.service->peer_changed(b.id);
  EXPECT_TRUE(comes_to(b, {"open", "secret"}, 2s));
  a.trusted.clear();
  a.service->peer_changed(b.id);
  EXPECT_TRUE(comes_to(b, {"open"}, 2s));
}

TEST_F(CatalogServiceTest, APeerAnswersQuestionsAboutItsOwnSet) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  for (const char* id : {"alps", "sea", "sky"}) a.put(id);
  connect(a, b);
  const auto found = sim::run(world, b.service->query(a.id, {.name = "s*", .limit = 1}));
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->total, 2u);
  ASSERT_EQ(found->entries.size(), 1u);
  EXPECT_EQ(found->entries[0], listing("sea"));
  const auto next = sim::run(world, b.service->query(a.id, {.name = "s*", .offset = 1}));
  ASSERT_TRUE(next && next->entries.size() == 1);
  EXPECT_EQ(next->entries[0].id, "sky");
  const auto bad = sim::run(world, b.service->query(a.id, {.topic = "a//b"}));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), ErrorCode::kInvalidArgument);
  const auto info = sim::run(world, b.service->peer_info(a.id));
  ASSERT_TRUE(info) << info.error().message();
  EXPECT_EQ(info->peer, a.id);
  EXPECT_EQ(info->agent, "warren/test");
  EXPECT_EQ(info->mode, Mode::kProxy);
  EXPECT_EQ(info->count, 3u);
  EXPECT_EQ(info->revision, a.set.revision());
  EXPECT_GT(info->uptime, 0ms);
}

TEST_F(CatalogServiceTest, WhoAsksTooMuchIsRefused) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  connect(a, b);
  std::optional<ErrorCode> refused;
  for (int i = 0; i < 40 && !refused; ++i) {
    const auto got = sim::run(world, b.service->query(a.id, {}));
    if (!got) refused = got.error().code();
  }
  EXPECT_EQ(refused, ErrorCode::kLimited);
  world.run_for(10s);
  EXPECT_TRUE(sim::run(world, b.service->query(a.id, {})));
  EXPECT_TRUE(a.reports.empty());
}

TEST_F(CatalogServiceTest, WhoSaysItIsAnotherPeerOrSaysNonsenseIsReported) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  a.put("one");
  ASSERT_TRUE(sim::run(world, b.swarm->connect(a.address.with_peer(a.id), kNever)));
  Hello hello;
  hello.self.peer = a.id;
  EXPECT_FALSE(sim::run(world, say(b, a.id, encode_message(hello))));
  EXPECT_FALSE(sim::run(world, say(b, a.id, Bytes{1, 2, 3})));
  EXPECT_FALSE(sim::run(world, say(b, a.id, encode_message(AnnounceAck{}))));
  EXPECT_EQ(a.reports.size(), 3u);
  for (const auto& [peer, event] : a.reports) {
    EXPECT_EQ(peer, b.id);
    EXPECT_EQ(event, peers::ReputationEvent::kMalformedMessage);
  }
  hello.self.peer = b.id;
  hello.self.version = 2;
  const auto other = sim::run(world, say(b, a.id, encode_message(hello)));
  ASSERT_TRUE(other);
  const auto refusal = decode_message(*other, {});
  ASSERT_TRUE(refusal && std::holds_alternative<Refusal>(*refusal));
  EXPECT_EQ(std::get<Refusal>(*refusal).code, RefusalCode::kVersion);
}

/// A publisher whose digests are lies.
awaitable<void> lie(runtime::Runtime& runtime, PeerId self, int& snapshots,
                    swarm::ProtocolStream stream) {
  const TimePoint deadline = runtime.now() + 1min;
  const auto hello = co_await transport::read_frame(*stream.stream, 1u << 20, deadline);
  if (!hello) co_return;
  HelloAck ack;
  ack.self.peer = self;
  ack.summary = {{1, 1}, {}, 1};
  ack.summary.digest.bytes[0] = 1;
  const Bytes first = encode_message(ack);
  const Bytes part =
      encode_message(SnapshotPart{{1, 1}, 0, true, {listing("x")}, ack.summary.digest});
  const auto said = co_await transport::write_frame(*stream.stream, first, deadline);
  for (bool goes_on = said.has_value(); goes_on;) {
    const auto sent = co_await transport::write_frame(*stream.stream, part, deadline);
    if (!sent) co_return;
    ++snapshots;
    const auto answer = co_await transport::read_frame(*stream.stream, 1u << 20, deadline);
    goes_on = answer.has_value();
  }
}

TEST_F(CatalogServiceTest, APublisherWhoseDigestsAreWrongIsLeftAndReported) {
  CatalogNode& b = add();
  Node liar(network, 2);
  int snapshots = 0;
  liar.swarm->set_handler(std::string(kCatalogProtocol), [&](swarm::ProtocolStream stream) {
    return lie(*liar.runtime, liar.id, snapshots, std::move(stream));
  });
  ASSERT_TRUE(sim::run(world, b.swarm->connect(liar.address.with_peer(liar.id), kNever)));
  b.service->peer_identified(liar.id);
  world.run_for(10min);
  EXPECT_EQ(snapshots, 2);
  EXPECT_TRUE(b.ids().empty());
  ASSERT_EQ(b.reports.size(), 1u);
  EXPECT_EQ(b.reports[0].second, peers::ReputationEvent::kMalformedMessage);
  sim::run(world, liar.swarm->close());
}

TEST_F(CatalogServiceTest, APeerThatDoesNotSpeakItIsLeftAlone) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  a.mute.insert(b.id);
  b.mute.insert(a.id);
  connect(a, b);
  world.run_for(10s);
  EXPECT_EQ(a.service->counters().bytes_sent, 0u);
}

TEST_F(CatalogServiceTest, ASubscriptionThatEndsIsOpenedAgain) {
  CatalogNode& a = add();
  CatalogNode& b = add();
  a.put("one");
  connect(a, b);
  ASSERT_TRUE(comes_to(b, {"one"}));
  sim::run(world, a.service->stop());
  a.service.reset();
  a.put("two");
  world.run_for(1s);
  EXPECT_EQ(b.ids(), Ids{"one"});
  a.begin();
  b.service->peer_identified(a.id);  // Identify says that the protocol is there again.
  EXPECT_TRUE(comes_to(b, {"one", "two"}, 10s));
}

}  // namespace
}  // namespace warren::catalog
