// Streams by protocol between whole nodes: what both sides see of a negotiation, and the limits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "negotiate/multistream.hpp"
#include "runtime/deadline.hpp"
#include "swarm/nodes_for_test.hpp"

namespace warren::swarm {
namespace {

using fakes::Network;
using fakes::Node;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kEcho = "/test/echo";

/// Echoes until the peer's end.
awaitable<void> echo(runtime::Runtime& runtime, ProtocolStream stream) {
  Bytes buffer(64u << 10);
  for (;;) {
    const auto n = co_await stream.stream->read_some(buffer, runtime.now() + 1h);
    if (!n || *n == 0) break;
    const auto sent =
        co_await stream.stream->write(BytesView(buffer).first(*n), runtime.now() + 1h);
    if (!sent) break;
  }
  stream.stream->close_write();
  co_await stream.stream->flush(runtime.now() + 1h);
}

class StreamsTest : public testing::Test {
 protected:
  StreamsTest() { start({}); }
  ~StreamsTest() override {
    for (const auto& node : {a.get(), b.get()}) {
      sim::run(world, node->swarm->close());
      EXPECT_EQ(node->swarm->stats().streams_inbound, 0u);
      EXPECT_EQ(node->swarm->stats().connections, 0u);
      EXPECT_EQ(node->swarm->stats().tasks_failed, 0u);
    }
  }

  void start(SwarmConfig config) {
    for (const auto& node : {a.get(), b.get()}) {
      if (node != nullptr) sim::run(world, node->swarm->close());
    }
    a.reset();
    b.reset();
    a = std::make_unique<Node>(network, 1, config);
    b = std::make_unique<Node>(network, 2, config);
  }

  void serve_echo(HandlerLimits limits = {}) {
    b->swarm->set_handler(
        std::string(kEcho),
        [this](ProtocolStream stream) { return echo(*b->runtime, std::move(stream)); }, limits);
  }

  std::shared_ptr<Connection> connect() {
    const auto connected =
        sim::run(world, a->swarm->connect(b->id, {b->address}, world.now() + 10s));
    EXPECT_TRUE(connected) << connected.error().message();
    world.run_for(100ms);
    return connected.value_or(nullptr);
  }

  Result<ProtocolStream> open(std::vector<std::string> protocols) {
    return sim::run(world, a->swarm->open_stream(b->id, std::move(protocols), world.now() + 60s));
  }

  Network network{sim::seed_from_env(42)};
  sim::World& world = network.world;
  std::unique_ptr<Node> a;
  std::unique_ptr<Node> b;
};

awaitable<Result<std::string>> ask(Stream& stream, std::string text, TimePoint deadline) {
  WARREN_CO_TRY_VOID(co_await stream.write(as_bytes(text), deadline));
  std::string answer(text.size(), ' ');
  WARREN_CO_TRY(
      const std::size_t n,
      co_await stream.read_full(
          MutableBytes(reinterpret_cast<std::uint8_t*>(answer.data()), answer.size()), deadline));
  answer.resize(n);
  co_return answer;
}

TEST_F(StreamsTest, ASingleProtocolCostsNoRoundTripOfItsOwn) {
  serve_echo();
  connect();
  const TimePoint start = world.now();
  auto opened = open({std::string(kEcho)});
  ASSERT_TRUE(opened);
  EXPECT_EQ(world.now(), start);
  EXPECT_EQ(opened->protocol, kEcho);
  EXPECT_EQ(opened->peer(), b->id);
  const auto answer = sim::run(world, ask(*opened->stream, "hello", kNever));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(*answer, "hello");
  EXPECT_EQ(world.now() - start, 20ms);
}

TEST_F(StreamsTest, OfSeveralProtocolsTheFirstThatThePeerSpeaksIsAgreedOn) {
  serve_echo();
  connect();
  auto opened = open({"/test/other", std::string(kEcho), "/test/third"});
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->protocol, kEcho);
  EXPECT_EQ(sim::run(world, ask(*opened->stream, "hello", kNever)).value(), "hello");
}

TEST_F(StreamsTest, AnUnknownProtocolShowsAtTheFirstReadWhateverWasWritten) {
  connect();
  for (const std::string_view data : {"", "some data that is no proposal"}) {
    SCOPED_TRACE(data);
    auto opened = open({"/test/unknown"});
    ASSERT_TRUE(opened);
    ASSERT_TRUE(sim::run(world, opened->stream->write(as_bytes(data), kNever)));
    Bytes byte(1);
    const auto n = sim::run(world, opened->stream->read_some(byte, kNever));
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error().code(), ErrorCode::kUnsupported);
  }
  auto opened = open({"/test/unknown"});
  ASSERT_TRUE(opened);
  opened->stream->close_write();
  Bytes buffer(10);
  for (int i = 0; i < 2; ++i) {
    const auto n = sim::run(world, opened->stream->read_some(buffer, kNever));
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error().code(), ErrorCode::kUnsupported);
    EXPECT_THAT(n.error().message(), HasSubstr("/test/unknown"));
  }
}

TEST_F(StreamsTest, SeveralUnknownProtocolsShowAtOpening) {
  connect();
  const auto opened = open({"/test/unknown", "/test/unheard"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(opened.error().message(), HasSubstr("/test/unheard"));
  EXPECT_THAT(opened.error().message(), HasSubstr(b->id.to_string()));
}

TEST_F(StreamsTest, AStreamToAPeerThatIsNotConnectedIsRefused) {
  EXPECT_EQ(open({std::string(kEcho)}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(open({}).error().code(), ErrorCode::kNotFound);
  connect();
  EXPECT_EQ(open({}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(open({"bad\n"}).error().code(), ErrorCode::kInvalidArgument);
}

/// Sends `bytes` on a stream of no protocol and returns the error that reading then ends with.
awaitable<Result<>> send_raw(std::shared_ptr<Connection> connection, std::string bytes,
                             TimePoint deadline) {
  WARREN_CO_TRY(const std::unique_ptr<Stream> stream, co_await connection->open_stream(deadline));
  WARREN_CO_TRY_VOID(co_await stream->write(as_bytes(bytes), deadline));
  Bytes buffer(100);
  for (;;) {
    WARREN_CO_TRY(const std::size_t n, co_await stream->read_some(buffer, deadline));
    if (n == 0) co_return Result<>{};
  }
}

TEST_F(StreamsTest, AnOversizedOrMalformedTokenResetsTheStreamAndNothingElse) {
  serve_echo();
  const auto connection = connect();
  std::string header;
  {
    Bytes out;
    negotiate::append_message(out, negotiate::kHeader);
    header = as_text(out);
  }
  const TimePoint start = world.now();
  for (const std::string& bytes :
       {header + "\xff\xff\xff\x7f", header + "\x81\x08" + std::string(1025, 'x'),
        std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\0", 1)}) {
    const auto ended = sim::run(world, send_raw(connection, bytes, world.now() + 1min));
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().code(), ErrorCode::kReset);
  }
  EXPECT_EQ(b->swarm->stats().negotiations_failed, 4u);
  EXPECT_LT(world.now() - start, 1s) << "at once, not at the deadline";
  EXPECT_FALSE(connection->closed());
  auto opened = open({std::string(kEcho)});
  ASSERT_TRUE(opened);
  EXPECT_TRUE(sim::run(world, ask(*opened->stream, "still here", kNever)));
}

TEST_F(StreamsTest, AResponderGivesAPeerThatStallsTenSeconds) {
  const auto connection = connect();
  const TimePoint start = world.now();
  const auto ended = sim::run(world, send_raw(connection, "\x13/multi", world.now() + 1min));
  EXPECT_EQ(ended.error().code(), ErrorCode::kReset);
  EXPECT_GE(world.now() - start, 10s);
  EXPECT_LT(world.now() - start, 11s);
  EXPECT_EQ(b->swarm->stats().negotiations_failed, 1u);
}

TEST_F(StreamsTest, AnInitiatorGivesAPeerThatNeverAnswersTenSeconds) {
  const auto connection = connect();
  world.partition({2});
  const TimePoint start = world.now();
  const auto opened = open({"/test/a", "/test/b"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kTimedOut);
  EXPECT_EQ(world.now() - start, 10s);
  world.heal();
}

TEST_F(StreamsTest, AReadThatCameTooEarlyLosesNothingOfTheAnswer) {
  serve_echo();
  connect();
  auto opened = open({std::string(kEcho)});
  ASSERT_TRUE(opened);
  ASSERT_TRUE(sim::run(world, opened->stream->write(as_bytes("hello"), kNever)));
  Bytes buffer(5);
  // The answer comes after 20 ms.
  for (int i = 0; i < 4; ++i) {
    const auto early = sim::run(world, opened->stream->read_full(buffer, world.now() + 4ms));
    EXPECT_EQ(early.error().code(), ErrorCode::kTimedOut);
  }
  ASSERT_TRUE(sim::run(world, opened->stream->read_full(buffer, kNever)));
  EXPECT_EQ(as_text(buffer), "hello");
}

awaitable<Result<>> write_then_end(Stream& stream, SharedBytes bytes) {
  WARREN_CO_TRY_VOID(co_await stream.write(std::move(bytes), kNever));
  stream.close_write();
  co_return Result<>{};
}

awaitable<Result<Bytes>> read_all(Stream& stream, std::size_t bytes_max) {
  Bytes out(bytes_max);
  WARREN_CO_TRY(const std::size_t n, co_await stream.read_full(out, kNever));
  out.resize(n);
  co_return out;
}

awaitable<Result<Bytes>> send_and_receive(Stream& stream, SharedBytes bytes) {
  using namespace boost::asio::experimental::awaitable_operators;
  const std::size_t size = bytes.size();
  auto both = runtime::errors_as_values(write_then_end(stream, std::move(bytes))) &&
              runtime::errors_as_values(read_all(stream, size + 1));
  auto results = co_await std::move(both);
  WARREN_CO_TRY_VOID(std::get<0>(std::move(results)));
  co_return std::get<1>(std::move(results));
}

TEST_F(StreamsTest, BytesThatFollowTheNegotiationAreTheProtocolsToTheLast) {
  serve_echo();
  connect();
  Bytes data(3u << 20);
  a->runtime->random_bytes(data);
  auto opened = open({std::string(kEcho)});
  ASSERT_TRUE(opened);
  const auto back = sim::run(world, send_and_receive(*opened->stream, SharedBytes(data)));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, data);
}

TEST_F(StreamsTest, AHandlerServesOnlySoManyStreamsOfOnePeer) {
  serve_echo({.streams_per_peer_max = 2, .streams_max = 10});
  connect();
  auto first = open({std::string(kEcho)});
  auto second = open({std::string(kEcho)});
  EXPECT_TRUE(sim::run(world, ask(*first->stream, "1", kNever)));
  EXPECT_TRUE(sim::run(world, ask(*second->stream, "2", kNever)));
  auto third = open({std::string(kEcho)});
  const auto refused = sim::run(world, ask(*third->stream, "3", kNever));
  EXPECT_EQ(refused.error().code(), ErrorCode::kReset);
  EXPECT_THAT(refused.error().message(), HasSubstr("0x1002"));
  EXPECT_EQ(b->swarm->stats().streams_refused, 1u);
  first->stream.reset();
  world.run_for(100ms);
  auto fourth = open({std::string(kEcho)});
  EXPECT_TRUE(sim::run(world, ask(*fourth->stream, "4", kNever))) << "there is room again";
}

TEST_F(StreamsTest, AHandlerServesOnlySoManyStreamsInAll) {
  serve_echo({.streams_per_peer_max = 2, .streams_max = 1});
  connect();
  Node c(network, 3);
  auto first = open({std::string(kEcho)});
  EXPECT_TRUE(sim::run(world, ask(*first->stream, "1", kNever)));
  ASSERT_TRUE(sim::run(world, c.swarm->connect(b->address.with_peer(b->id), kNever)));
  auto second = sim::run(world, c.swarm->open_stream(b->id, {std::string(kEcho)}, kNever));
  EXPECT_FALSE(sim::run(world, ask(*second->stream, "2", kNever)));
  second->stream.reset();
  sim::run(world, c.swarm->close());
}

TEST_F(StreamsTest, AConnectionHasOnlySoManyInboundStreams) {
  start({.limits = {.streams_inbound_max = 2}});
  serve_echo();
  connect();
  auto first = open({std::string(kEcho)});
  auto second = open({std::string(kEcho)});
  auto third = open({std::string(kEcho)});
  EXPECT_TRUE(sim::run(world, ask(*first->stream, "1", kNever)));
  EXPECT_TRUE(sim::run(world, ask(*second->stream, "2", kNever)));
  EXPECT_FALSE(sim::run(world, ask(*third->stream, "3", kNever)));
}

TEST_F(StreamsTest, ClosingWithOpenStreamsOnBothSidesLeavesNoTask) {
  serve_echo();
  connect();
  std::vector<ProtocolStream> streams;
  for (int i = 0; i < 20; ++i) {
    auto opened = open({std::string(kEcho)});
    ASSERT_TRUE(opened);
    EXPECT_TRUE(sim::run(world, ask(*opened->stream, "x", kNever)));
    streams.push_back(std::move(*opened));
  }
  EXPECT_EQ(b->swarm->stats().streams_inbound, 20u);
  sim::run(world, b->swarm->close());
  EXPECT_EQ(b->swarm->stats().streams_inbound, 0u);
  world.run_for(1s);
  EXPECT_FALSE(a->swarm->is_connected(b->id));
  EXPECT_FALSE(sim::run(world, ask(*streams.front().stream, "x", kNever)));
}

awaitable<void> wait_for_ever(runtime::Runtime& runtime, ProtocolStream stream, bool& ended) {
  const auto slept = co_await runtime.sleep_until(kNever);
  ended = !slept && slept.error().code() == ErrorCode::kCancelled;
}

TEST_F(StreamsTest, AHandlerThatWaitsForSomethingElseIsCancelledByClosing) {
  bool ended = false;
  b->swarm->set_handler("/test/wait", [&](ProtocolStream stream) {
    return wait_for_ever(*b->runtime, std::move(stream), ended);
  });
  connect();
  auto opened = open({"/test/wait"});
  world.run_for(1s);
  EXPECT_EQ(b->swarm->stats().streams_inbound, 1u);
  sim::run(world, b->swarm->close());
  EXPECT_TRUE(ended);
}

TEST_F(StreamsTest, ADisconnectIsSeenOnBothSides) {
  std::vector<std::string> log;
  const auto listen_on = [&log](Node& node, std::string name) {
    node.swarm->on_connection([&log, name](const ConnectionEvent& event) {
      log.push_back(name + (event.kind == ConnectionEvent::Kind::kConnected ? " up" : " down"));
    });
  };
  listen_on(*a, "a");
  listen_on(*b, "b");
  connect();
  EXPECT_THAT(log, testing::UnorderedElementsAre("a up", "b up"));
  log.clear();
  EXPECT_EQ(a->swarm->disconnect(b->id), 1u);
  world.run_for(1s);
  EXPECT_THAT(log, ElementsAre("a down", "b down"));
  EXPECT_FALSE(b->swarm->is_connected(a->id));
}

TEST_F(StreamsTest, AnotherIdentityThanTheOneDialledIsRefused) {
  const PeerId other =
      PeerId::from_public_key(crypto::PrivateKey::from_seed(Bytes(32, 99)).public_key().protobuf());
  const auto connected = sim::run(world, a->swarm->connect(other, {b->address}, world.now() + 10s));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), ErrorCode::kIntegrity);
  EXPECT_THAT(connected.error().message(), HasSubstr(b->id.to_string()));
  EXPECT_FALSE(connected.error().hint().empty());
  EXPECT_TRUE(a->swarm->connections().empty());
}

using Connected = Result<std::shared_ptr<Connection>>;
awaitable<std::pair<Connected, Connected>> both(awaitable<Connected> first,
                                                awaitable<Connected> second) {
  using namespace boost::asio::experimental::awaitable_operators;
  auto together =
      runtime::errors_as_values(std::move(first)) && runtime::errors_as_values(std::move(second));
  auto results = co_await std::move(together);
  co_return std::pair(std::get<0>(std::move(results)), std::get<1>(std::move(results)));
}

TEST_F(StreamsTest, ASimultaneousDialEndsInOneConnectionThatBothPrefer) {
  serve_echo();
  a->swarm->set_handler(std::string(kEcho), [this](ProtocolStream stream) {
    return echo(*a->runtime, std::move(stream));
  });
  const auto [from_a, from_b] =
      sim::run(world, both(a->swarm->connect(b->id, {b->address}, kNever),
                           b->swarm->connect(a->id, {a->address}, kNever)));
  ASSERT_TRUE(from_a && from_b);
  world.run_for(1s);
  const auto at_a = a->swarm->connections_to(b->id);
  const auto at_b = b->swarm->connections_to(a->id);
  ASSERT_EQ(at_a.size(), 2u);
  ASSERT_EQ(at_b.size(), 2u);
  EXPECT_NE(at_a.front()->info().outbound, at_b.front()->info().outbound) << "the same link";
  auto to_b = open({std::string(kEcho)});
  EXPECT_TRUE(sim::run(world, ask(*to_b->stream, "x", kNever)));
  auto to_a = sim::run(world, b->swarm->open_stream(a->id, {std::string(kEcho)}, kNever));
  EXPECT_TRUE(sim::run(world, ask(*to_a->stream, "x", kNever)));
  world.run_for(10s);
  ASSERT_EQ(a->swarm->connections().size(), 1u) << "the other one was of no use";
  ASSERT_EQ(b->swarm->connections().size(), 1u);
  EXPECT_EQ(a->swarm->connections_to(b->id).front(), at_a.front());
  EXPECT_EQ(b->swarm->connections_to(a->id).front(), at_b.front());
  EXPECT_TRUE(sim::run(world, ask(*to_b->stream, "y", kNever))) << "no stream was lost";
  EXPECT_TRUE(sim::run(world, ask(*to_a->stream, "y", kNever)));
}

TEST_F(StreamsTest, TheSpareConnectionOfASimultaneousDialStaysAsLongAsItHasStreams) {
  serve_echo();
  const auto [from_a, from_b] =
      sim::run(world, both(a->swarm->connect(b->id, {b->address}, kNever),
                           b->swarm->connect(a->id, {a->address}, kNever)));
  ASSERT_TRUE(from_a && from_b);
  world.run_for(1s);
  const auto spare = a->swarm->connections_to(b->id).at(1);
  auto stream = sim::run(world, a->swarm->open_stream(spare, {std::string(kEcho)}, kNever));
  ASSERT_TRUE(stream);
  for (int i = 0; i < 6; ++i) {
    world.run_for(10s);
    ASSERT_TRUE(sim::run(world, ask(*stream->stream, "still", kNever)));
  }
  EXPECT_EQ(a->swarm->connections().size(), 2u);
  stream->stream.reset();
  world.run_for(10s);
  EXPECT_TRUE(spare->closed());
  EXPECT_EQ(a->swarm->connections().size(), 1u);
  EXPECT_EQ(b->swarm->connections().size(), 1u);
}

TEST_F(StreamsTest, EveryStreamIsCountedInItsProtocolOnBothSides) {
  serve_echo();
  connect();
  auto first = open({std::string(kEcho)});
  auto second = open({"/test/other", std::string(kEcho)});
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(sim::run(world, ask(*first->stream, "1", kNever)));
  ASSERT_TRUE(sim::run(world, ask(*second->stream, "2", kNever)));
  for (const Node* node : {a.get(), b.get()}) {
    const resources::Snapshot held = node->swarm->resources().snapshot();
    ASSERT_EQ(held.protocols.size(), 1u);
    EXPECT_EQ(held.protocols[0].first, kEcho);
    EXPECT_EQ(held.protocols[0].second.streams(), 2u);
    EXPECT_EQ(held.node.streams(), 2u);
    ASSERT_EQ(held.peers.size(), 1u);
    EXPECT_EQ(held.peers[0].second.connections(), 1u);
    node->swarm->resources().check_invariants();
  }
  first->stream.reset();
  second->stream.reset();
  world.run_for(1s);
  EXPECT_EQ(a->swarm->resources().total().streams(), 0u);
  EXPECT_EQ(b->swarm->resources().total().streams(), 0u);
}

TEST_F(StreamsTest, AManagerThatIsGivenLimitsOutboundStreamsToo) {
  resources::Manager::Options options;
  options.limits.peer.streams_outbound = 2;
  resources::Manager manager([this] { return world.now(); }, std::move(options));
  start({.resources = &manager});
  b->swarm->set_handler(
      "/test/wait", [this](ProtocolStream stream) { return echo(*b->runtime, std::move(stream)); });
  connect();
  auto first = open({"/test/wait"});
  auto second = open({"/test/wait"});
  EXPECT_TRUE(first && second);
  const auto third = open({"/test/wait"});
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code(), ErrorCode::kLimited);
  first->stream.reset();
  EXPECT_TRUE(open({"/test/wait"}));
  for (const auto& node : {a.get(), b.get()}) sim::run(world, node->swarm->close());
  EXPECT_EQ(manager.total().connections(), 0u);
  second->stream.reset();
  start({});
}

/// Opens `count` streams, each with a proposal, and breaks each off at once.
awaitable<Result<std::size_t>> open_and_reset(std::shared_ptr<Connection> connection,
                                              std::size_t count, std::string proposal,
                                              TimePoint deadline) {
  std::size_t opened = 0;
  for (; opened < count; ++opened) {
    WARREN_CO_TRY(const std::unique_ptr<Stream> stream, co_await connection->open_stream(deadline));
    WARREN_CO_TRY_VOID(co_await stream->write(as_bytes(proposal), deadline));
    stream->reset();
  }
  co_return opened;
}

std::string proposal_of(std::string_view protocol) {
  Bytes out;
  negotiate::append_message(out, negotiate::kHeader);
  negotiate::append_message(out, protocol);
  return std::string(as_text(out));
}

TEST_F(StreamsTest, OnePeerThatOpensAndResetsAHundredThousandStreams) {
  serve_echo();
  const auto connection = connect();
  const auto opened =
      sim::run(world, open_and_reset(connection, 100'000, proposal_of(kEcho), world.now() + 1h));
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(*opened, 100'000u);
  world.run_for(30s);
  const resources::Snapshot held = b->swarm->resources().snapshot();
  EXPECT_LE(held.peak.of(resources::Resource::kStreamsInbound), 256u);
  EXPECT_EQ(held.total.streams(), 0u);
  EXPECT_FALSE(connection->closed());
  auto honest = open({std::string(kEcho)});
  ASSERT_TRUE(honest);
  EXPECT_TRUE(sim::run(world, ask(*honest->stream, "still here", kNever)));
}

/// Opens streams and keeps them, until none is to be had within `patience`.
awaitable<std::vector<std::unique_ptr<Stream>>> open_and_keep(
    runtime::Runtime& runtime, std::shared_ptr<Connection> connection, std::size_t count,
    Duration patience) {
  std::vector<std::unique_ptr<Stream>> kept;
  while (kept.size() < count) {
    auto stream = co_await connection->open_stream(runtime.now() + patience);
    if (!stream) break;
    kept.push_back(std::move(*stream));
  }
  co_return kept;
}

TEST_F(StreamsTest, OnePeerThatOpensStreamsAndKeepsThemGetsItsShareAndNoMore) {
  serve_echo();
  const auto connection = connect();
  Node c(network, 3);
  ASSERT_TRUE(sim::run(world, c.swarm->connect(b->address.with_peer(b->id), kNever)));
  auto kept = sim::run(world, open_and_keep(*a->runtime, connection, 100'000, 1s));
  EXPECT_EQ(kept.size(), 256u);
  EXPECT_LE(b->swarm->resources().total().streams(), 256u);
  auto honest = sim::run(world, c.swarm->open_stream(b->id, {std::string(kEcho)}, kNever));
  ASSERT_TRUE(honest);
  EXPECT_TRUE(sim::run(world, ask(*honest->stream, "and others", kNever)));
  world.run_for(15s);  // None of them has agreed on a protocol in time.
  EXPECT_LE(b->swarm->resources().total().streams(), 2u);
  honest->stream.reset();
  sim::run(world, c.swarm->close());
}

TEST_F(StreamsTest, AReplacedHandlerFinishesTheStreamsThatItServes) {
  serve_echo();
  connect();
  auto opened = open({std::string(kEcho)});
  EXPECT_TRUE(sim::run(world, ask(*opened->stream, "x", kNever)));
  b->swarm->remove_handler(kEcho);
  EXPECT_TRUE(sim::run(world, ask(*opened->stream, "y", kNever)));
  auto late = open({std::string(kEcho)});
  EXPECT_EQ(sim::run(world, ask(*late->stream, "z", kNever)).error().code(),
            ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace warren::swarm
