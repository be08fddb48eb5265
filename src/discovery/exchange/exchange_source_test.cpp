// Peer exchange between whole nodes, and with peers that do what they should not.

#include "discovery/exchange/exchange_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "base/varint.hpp"
#include "discovery/exchange/records_for_test.hpp"
#include "protocols/ping.hpp"
#include "swarm/nodes_for_test.hpp"
#include "transport/frame_io.hpp"

namespace warren::discovery {
namespace {

using fakes::peer;
using fakes::public_address;
using fakes::record;
using peers::ReputationEvent;
using swarm::ProtocolStream;
using swarm::fakes::Network;
using swarm::fakes::Node;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using Reports = std::vector<std::pair<PeerId, ReputationEvent>>;

/// A node with the exchange on it, and what it was told.
struct ExchangingNode final : Node, PeerSink {
  ExchangingNode(Network& network, sim::Host host, ExchangeOptions options = {})
      : Node(network, host), exchange(*swarm, hooks(), options) {
    WARREN_CHECK(exchange.start(*this));
  }
  ExchangeHooks hooks() {
    ExchangeHooks all;
    all.candidates = [this] {
      std::vector<ExchangeCandidate> candidates;
      for (const auto& connection : swarm->connections()) {
        candidates.push_back({connection->info().remote_peer, connection->info().outbound});
      }
      return candidates;
    };
    all.wants_peers = [this] { return wants; };
    all.sample = [this](const PeerId&, const Multiaddr&, std::size_t count) {
      ++samples;
      std::vector<std::shared_ptr<const peers::SignedRecord>> some = book;
      some.resize(std::min(some.size(), count));
      return some;
    };
    all.report = [this](const PeerId& who, ReputationEvent event) {
      reports.emplace_back(who, event);
    };
    return all;
  }
  void peer_found(const PeerHint& hint) override { hints.push_back(hint); }
  void peer_lost(const PeerHint&) override { ADD_FAILURE() << "it loses nobody"; }
  void fill(std::uint32_t first, std::uint32_t count) {
    for (std::uint32_t n = first; n < first + count; ++n) {
      book.push_back(fakes::shared_record(record(n)));
    }
  }

  bool wants = false;
  std::size_t samples = 0;
  std::vector<std::shared_ptr<const peers::SignedRecord>> book;
  std::vector<PeerHint> hints;
  Reports reports;
  ExchangeSource exchange;
};

class ExchangeSourceTest : public testing::Test {
 protected:
  ~ExchangeSourceTest() override {
    for (ExchangingNode* node : {&a, &b}) {
      sim::run(world, node->exchange.stop());
      sim::run(world, node->swarm->close());
      EXPECT_EQ(node->swarm->stats().tasks_failed, 0u);
      EXPECT_EQ(node->swarm->stats().streams_inbound, 0u);
    }
  }
  void connect() {
    ASSERT_TRUE(sim::run(world, a.swarm->connect(b.address.with_peer(b.id), kNever)));
    world.run_for(100ms);
  }
  /// A stream from a to b, on which a test says what it likes.
  std::unique_ptr<transport::Stream> open() {
    auto opened = sim::run(
        world, a.swarm->open_stream(b.id, {std::string(kExchangeProtocol)}, world.now() + 10s));
    EXPECT_TRUE(opened);
    return std::move(opened->stream);
  }
  void write(transport::Stream& stream, const Bytes& bytes) {
    EXPECT_TRUE(sim::run(world, stream.write(BytesView(bytes), world.now() + 10s)));
  }
  Result<std::vector<Bytes>> ask(std::uint32_t want = 0) {
    const auto stream = open();
    Bytes request;
    append_uvarint(request, encode_exchange_request(want).size());
    append(request, encode_exchange_request(want));
    write(*stream, request);
    stream->close_write();
    WARREN_TRY(const Bytes answer,
               sim::run(world, transport::read_frame(*stream, 1u << 20, world.now() + 30s)));
    return decode_exchange_answer(answer, {});
  }
  /// b answers everyone who asks with `bytes`, as they are.
  void answer_with(Bytes bytes) {
    b.swarm->set_handler(std::string(kExchangeProtocol),
                         [this, bytes = std::move(bytes)](ProtocolStream stream) {
                           return send(*b.runtime, std::move(stream), bytes);
                         });
  }
  static awaitable<void> send(runtime::Runtime& runtime, ProtocolStream stream, Bytes bytes) {
    const auto request = co_await transport::read_frame(*stream.stream, 1'000, runtime.now() + 10s);
    if (!request) co_return;
    const auto sent = co_await stream.stream->write(BytesView(bytes), runtime.now() + 1min);
    if (!sent) co_return;
    stream.stream->close_write();
    co_await stream.stream->flush(runtime.now() + 1min);
  }
  static Bytes frame(const Bytes& message) {
    Bytes framed;
    append_uvarint(framed, message.size());
    append(framed, message);
    return framed;
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  ExchangingNode a{network, 1};
  ExchangingNode b{network, 2};
};

// -------------------------------------------------------------------------------- asking

TEST_F(ExchangeSourceTest, AsksAPeerSoonAfterItIsThereAndTellsOfOthers) {
  EXPECT_EQ(a.exchange.summary(), "no peers to ask");
  b.fill(100, 5);
  connect();
  a.exchange.look_again();
  world.run_for(2s);
  ASSERT_THAT(a.hints, SizeIs(5));
  for (const PeerHint& hint : a.hints) {
    EXPECT_EQ(hint.via, "pex");
    EXPECT_EQ(hint.told_by, b.address);
    EXPECT_TRUE(hint.record);
    EXPECT_EQ(hint.record_sequence, 1u);
  }
  EXPECT_EQ(a.hints[0].peer, peer(100));
  EXPECT_THAT(a.hints[0].addresses, ElementsAre(public_address(100)));
  EXPECT_EQ(a.exchange.summary(), "asked 1, heard 5, refused 0");
  EXPECT_TRUE(a.reports.empty()) << "records alone are worth nothing";
  EXPECT_THAT(b.reports, IsEmpty());
}

TEST_F(ExchangeSourceTest, WithoutACallItAsksWithinTenSeconds) {
  b.fill(100, 5);
  connect();
  world.run_for(10s);
  EXPECT_THAT(a.hints, SizeIs(5));
}

TEST_F(ExchangeSourceTest, HintsComeAtThePaceOfTheSink) {
  b.fill(100, 32);
  connect();
  a.exchange.refresh();
  world.run_for(500ms);
  EXPECT_THAT(a.hints, SizeIs(8));
  world.run_for(10s);
  EXPECT_THAT(a.hints, SizeIs(32));
}

TEST_F(ExchangeSourceTest, OneTellerIsTakenAHundredAddressesAndNoMore) {
  b.fill(100, 32);
  connect();
  for (std::uint32_t round = 1; round <= 6; ++round) {
    world.run_for(11min);
    b.book.clear();
    b.fill(100 + 32 * round, 32);
  }
  EXPECT_LE(a.hints.size(), 100u + 66u * 60u / 10u);
  EXPECT_EQ(a.exchange.exchange_counters().over_rate, 0u) << "66 of 10 min are allowed";
  EXPECT_GE(a.hints.size(), 100u);
}

TEST_F(ExchangeSourceTest, AFloodOfRecordsIsCutAndCounted) {
  connect();
  for (std::uint32_t round = 0; round < 10; ++round) {
    std::vector<Bytes> records;
    for (std::uint32_t n = 0; n < 32; ++n) records.push_back(record(1'000 + 32 * round + n));
    a.exchange.take(std::move(records), b.id, b.address);
    world.run_for(1ms);
  }
  world.run_for(1min);
  EXPECT_THAT(a.hints, SizeIs(100));
  EXPECT_EQ(a.exchange.exchange_counters().over_rate, 220u);
}

TEST_F(ExchangeSourceTest, RecordsOfAnotherProtocolAreTakenInTheSameWay) {
  a.exchange.take({record(1), record(2)}, b.id, b.address);
  a.exchange.take({}, b.id, b.address);
  world.run_for(1s);
  ASSERT_THAT(a.hints, SizeIs(2));
  EXPECT_EQ(a.hints[0].told_by, b.address);
  a.exchange.take(std::vector<Bytes>(33, record(3)), b.id, b.address);
  world.run_for(1s);
  EXPECT_THAT(a.hints, SizeIs(3));
  EXPECT_THAT(a.reports, Contains(std::pair(b.id, ReputationEvent::kMalformedMessage)));
}

TEST_F(ExchangeSourceTest, TooManyAnswersToCheckAtATimeAreIgnored) {
  for (std::uint32_t n = 0; n < 50; ++n) a.exchange.take({record(n)}, b.id, b.address);
  world.run_for(1min);
  EXPECT_LE(a.hints.size(), 12u);
  EXPECT_EQ(a.hints.size() + a.exchange.exchange_counters().over_rate, 50u);
}

// ------------------------------------------------------------------------- hostile servers

TEST_F(ExchangeSourceTest, ThirtyThreeRecordsAreRefusedAndReported) {
  answer_with(frame(encode_exchange_answer(std::vector<Bytes>(33, record(5)))));
  connect();
  world.run_for(30s);
  EXPECT_THAT(a.hints, IsEmpty());
  EXPECT_THAT(a.reports, ElementsAre(std::pair(b.id, ReputationEvent::kMalformedMessage)));
}

TEST_F(ExchangeSourceTest, RecordsThatAreNotSignedByTheirPeerAreRefusedAndReported) {
  Bytes forged = record(5);
  forged.back() ^= 1;
  answer_with(frame(
      encode_exchange_answer({forged, fakes::wrong_signer_record(6, 7), Bytes{1, 2}, record(8)})));
  connect();
  world.run_for(30s);
  ASSERT_THAT(a.hints, SizeIs(1));
  EXPECT_EQ(a.hints[0].peer, peer(8));
  EXPECT_THAT(a.reports, ElementsAre(std::pair(b.id, ReputationEvent::kFailedVerification)));
  EXPECT_EQ(a.exchange.summary(), "asked 1, heard 1, refused 3");
}

TEST_F(ExchangeSourceTest, AnAnswerOfAGibibyteIsRefusedAtItsLength) {
  Bytes length;
  append_uvarint(length, 1u << 30);
  answer_with(length);
  connect();
  world.run_for(30s);
  EXPECT_THAT(a.reports, ElementsAre(std::pair(b.id, ReputationEvent::kMalformedMessage)));
}

TEST_F(ExchangeSourceTest, BytesBehindTheAnswerAreMalformed) {
  Bytes answer = frame(encode_exchange_answer({record(5)}));
  answer.push_back(0);
  answer_with(answer);
  connect();
  world.run_for(30s);
  EXPECT_THAT(a.hints, IsEmpty());
  EXPECT_THAT(a.reports, ElementsAre(std::pair(b.id, ReputationEvent::kMalformedMessage)));
}

awaitable<void> drip(runtime::Runtime& runtime, ProtocolStream stream, std::size_t& sent) {
  Bytes length;
  append_uvarint(length, 100'000);
  auto written = co_await stream.stream->write(length, runtime.now() + 1s);
  while (written) {
    const auto slept = co_await runtime.sleep_for(500ms);
    if (!slept) co_return;
    written = co_await stream.stream->write(Bytes(1), runtime.now() + 1s);
    ++sent;
  }
}

TEST_F(ExchangeSourceTest, AnAnswerThatNeverEndsIsGivenUpAfterTenSeconds) {
  std::size_t sent = 0;
  b.swarm->set_handler(std::string(kExchangeProtocol), [&](ProtocolStream stream) {
    return drip(*b.runtime, std::move(stream), sent);
  });
  connect();
  world.run_for(1min);
  EXPECT_LE(sent, 22u);
  EXPECT_THAT(a.reports, ElementsAre(std::pair(b.id, ReputationEvent::kTimeout)));
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

awaitable<void> stay_silent(runtime::Runtime& runtime, ProtocolStream stream) {
  const auto slept = co_await runtime.sleep_for(1h);
  if (slept) stream.stream->reset();
}

TEST_F(ExchangeSourceTest, ASilentPeerIsGivenUpAndOthersAreAskedMeanwhile) {
  b.swarm->set_handler(std::string(kExchangeProtocol), [this](ProtocolStream stream) {
    return stay_silent(*b.runtime, std::move(stream));
  });
  ExchangingNode c(network, 3);
  c.fill(200, 3);
  a.wants = true;
  connect();
  ASSERT_TRUE(sim::run(world, a.swarm->connect(c.address.with_peer(c.id), kNever)));
  world.run_for(15s);
  EXPECT_THAT(a.hints, SizeIs(3));
  world.run_for(10s);
  EXPECT_THAT(a.reports, Contains(std::pair(b.id, ReputationEvent::kTimeout)));
  sim::run(world, c.exchange.stop());
  sim::run(world, c.swarm->close());
}

TEST_F(ExchangeSourceTest, APeerThatDoesNotSpeakItIsNotBlamed) {
  b.swarm->remove_handler(kExchangeProtocol);
  connect();
  world.run_for(30s);
  EXPECT_EQ(a.exchange.exchange_counters().failed, 1u);
  EXPECT_THAT(a.reports, IsEmpty());
}

// -------------------------------------------------------------------------- hostile askers

TEST_F(ExchangeSourceTest, AnAskerHasFourAnswersAndThenOneAMinute) {
  b.fill(100, 3);
  connect();
  world.run_for(10s);  // a itself has asked once.
  for (int i = 0; i < 3; ++i) EXPECT_THAT(ask().value(), SizeIs(3)) << i;
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("0x1003"));
  EXPECT_EQ(b.exchange.exchange_counters().served_refused, 1u);
  world.run_for(61s);
  EXPECT_TRUE(ask());
}

TEST_F(ExchangeSourceTest, AskingAgainShowsNoMoreOfTheBook) {
  b.fill(100, 32);
  connect();
  world.run_for(61s);
  const auto first = ask(32).value();
  EXPECT_THAT(first, SizeIs(32));
  b.book.clear();
  b.fill(500, 40);
  EXPECT_EQ(ask(32).value(), first);
  EXPECT_THAT(ask(4).value(), SizeIs(4));
  world.run_for(1h);
  EXPECT_NE(ask(32).value(), first);
}

TEST_F(ExchangeSourceTest, AnAskerIsNotToldOfItself) {
  b.book.push_back(fakes::shared_record(wire::seal_peer_record(a.key, 1, {a.address})));
  b.fill(100, 1);
  connect();
  EXPECT_THAT(ask().value(), ElementsAre(record(100)));
}

TEST_F(ExchangeSourceTest, ARequestThatIsNoneIsResetAndReported) {
  connect();
  const auto stream = open();
  write(*stream, frame(Bytes{0x08}));
  world.run_for(1s);
  EXPECT_THAT(b.reports, ElementsAre(std::pair(a.id, ReputationEvent::kMalformedMessage)));
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

TEST_F(ExchangeSourceTest, ARequestOfAGibibyteIsRefusedAtItsLength) {
  connect();
  const auto stream = open();
  Bytes length;
  append_uvarint(length, 1u << 30);
  write(*stream, length);
  world.run_for(1s);
  EXPECT_THAT(b.reports, ElementsAre(std::pair(a.id, ReputationEvent::kMalformedMessage)));
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
}

TEST_F(ExchangeSourceTest, AnAskerThatSaysNothingIsGivenUp) {
  connect();
  world.run_for(10s);
  const auto stream = open();
  write(*stream, Bytes{2});
  world.run_for(1s);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 1u);
  world.run_for(10s);
  EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
  EXPECT_EQ(b.samples, 1u) << "for the question of a itself";
}

// ------------------------------------------------------------------------------ the whole

TEST_F(ExchangeSourceTest, StopsInTheMiddleOfAnExchange) {
  b.swarm->set_handler(std::string(kExchangeProtocol), [this](ProtocolStream stream) {
    return stay_silent(*b.runtime, std::move(stream));
  });
  connect();
  a.exchange.refresh();
  world.run_for(1s);
  sim::run(world, a.exchange.stop());
  a.exchange.take({record(1)}, b.id, b.address);
  world.run_for(1min);
  EXPECT_THAT(a.hints, IsEmpty());
  EXPECT_THAT(a.reports, IsEmpty());
}

/// As after a change of the configuration.
TEST_F(ExchangeSourceTest, AnotherOneMayTakeItsPlaceWhileStreamsAreServed) {
  connect();
  world.run_for(10s);
  for (const Duration ahead : {0ms, 5ms, 10ms, 15ms, 25ms, 100ms}) {
    auto other = std::make_unique<ExchangeSource>(*b.swarm, b.hooks());
    sim::run(world, b.exchange.stop());
    ASSERT_TRUE(other->start(b));
    const auto silent = open();
    write(*silent, Bytes{2});
    world.run_for(ahead);
    const TimePoint begin = world.now();
    sim::run(world, other->stop());
    EXPECT_EQ(world.now(), begin) << "a silent asker is not waited for";
    other.reset();
    world.run_for(15s);  // What was refused is still negotiating, 10 s at most.
    EXPECT_EQ(b.swarm->stats().streams_inbound, 0u);
  }
}

awaitable<void> stop_and_tell(ExchangeSource& source, bool& ended) {
  co_await source.stop();
  ended = true;
}

TEST_F(ExchangeSourceTest, StoppingInATaskThatIsCancelledEnds) {
  connect();
  world.run_for(10s);
  const auto silent = open();
  write(*silent, Bytes{2});
  world.run_for(100ms);
  bool ended = false;
  runtime::TaskGroup group(b.swarm->runtime(), 1);
  ASSERT_TRUE(group.spawn(stop_and_tell(b.exchange, ended)));
  sim::run(world, group.join());
  EXPECT_TRUE(ended);
}

TEST_F(ExchangeSourceTest, AQuietDayCostsFewBytes) {
  b.fill(100, 32);
  connect();
  world.run_for(1h);
  const std::uint64_t bytes = world.counters().stream_bytes_sent;
  world.run_for(24h);
  const auto per_second =
      static_cast<double>(world.counters().stream_bytes_sent - bytes) / (24 * 3600.0);
  EXPECT_LE(per_second, 20.0) << "both ways";
}

}  // namespace
}  // namespace warren::discovery
