// QUIC over the simulated network: loss, reordering, silence, impostors, floods.

#include <gtest/gtest.h>

#include "transport/quic/quic_sim_for_test.hpp"

namespace warren::transport::quic {
namespace {

using namespace quic::testing;

TEST(QuicOverSimulatedNetwork, CarriesEveryByteThroughLossAndReordering) {
  sim::World world(sim::seed_from_env(7));
  world.link.loss = 0.03;
  world.link.reorder = 0.05;
  world.link.latency_min = 5ms;
  world.link.latency_max = 15ms;
  Pair pair(world);
  const auto dialled = pair.dial(pair.b.peer());
  ASSERT_TRUE(dialled) << dialled.error().message() << world.replay_hint();
  const auto accepted = pair.accept();
  EXPECT_EQ(accepted->info().remote_peer, pair.a.peer());
  EXPECT_EQ((*dialled)->info().remote_peer, pair.b.peer());

  const Bytes sent = pattern(3'000'000);
  const auto sending = runtime::start_task(world.executor(), send_all(**dialled, sent), [] {});
  const auto received = sim::run(world, receive_all(*accepted, sent.size() + 1));
  ASSERT_TRUE(received) << received.error().message();
  EXPECT_TRUE(*received == sent) << world.replay_hint();
  EXPECT_GT(world.counters().datagrams_lost, 50u);
}

awaitable<Result<>> first_byte(Connection& opener, Connection& answerer) {
  WARREN_CO_TRY(const auto asked, co_await opener.open_stream(kNever));
  WARREN_CO_TRY_VOID(co_await asked->write(as_bytes("?"), kNever));
  WARREN_CO_TRY(const auto answer, co_await answerer.accept_stream());
  Bytes question(1);
  WARREN_CO_TRY_VOID(co_await answer->read_full(question, kNever));
  co_return Result<>{};
}

TEST(QuicOverSimulatedNetwork, TheFirstByteFollowsTheHandshakeAtOnce) {
  sim::World world(1);
  world.link.latency_min = world.link.latency_max = 5ms;
  Pair pair(world);
  const TimePoint began = world.now();
  const auto dialled = pair.dial(pair.b.peer());
  ASSERT_TRUE(dialled);
  const auto accepted = pair.accept();
  ASSERT_TRUE(sim::run(world, first_byte(**dialled, *accepted)));
  EXPECT_LE(world.now() - began, 20ms) << "nothing but four ways over the link";
}

TEST(QuicOverSimulatedNetwork, RefusesAnotherIdentityInsideTheHandshake) {
  sim::World world(1);
  Pair pair(world);
  const PeerId wrong = peer_of(identity(9));
  const auto dialled = pair.dial(wrong);
  ASSERT_FALSE(dialled);
  EXPECT_EQ(dialled.error().code(), ErrorCode::kIntegrity);
  EXPECT_NE(dialled.error().message().find(wrong.to_string()), std::string::npos);
  EXPECT_NE(dialled.error().message().find(pair.b.peer().to_string()), std::string::npos);
}

TEST(QuicOverSimulatedNetwork, AnUnansweredDialEndsAtItsDeadline) {
  sim::World world(1);
  Pair pair(world);
  const auto dialled =
      sim::run(world, pair.a.transport->dial(address_of(77), std::nullopt, world.now() + 2s));
  ASSERT_FALSE(dialled);
  EXPECT_EQ(dialled.error().code(), ErrorCode::kTimedOut);
}

TEST(QuicOverSimulatedNetwork, ASilentPeerIsGivenUpAfterTheIdleTimeout) {
  sim::World world(1);
  Pair pair(world);
  const auto dialled = pair.dial(pair.b.peer());
  ASSERT_TRUE(dialled);
  world.run_for(5min);  // Idle, but alive: keep-alive holds it.
  EXPECT_FALSE((*dialled)->closed());
  world.partition({2});
  world.run_for(35s);
  EXPECT_TRUE((*dialled)->closed());
  EXPECT_EQ((*dialled)->close_reason(), "the peer fell silent");
}

TEST(QuicOverSimulatedNetwork, TheReaderIsTheBrakeOfTheWriter) {
  sim::World world(1);
  QuicConfig config;
  config.stream_window_bytes = 256 << 10;
  config.connection_window_bytes = 512 << 10;
  config.unsent_bytes_max = 128 << 10;
  Pair pair(world, config);
  const auto dialled = pair.dial(pair.b.peer());
  ASSERT_TRUE(dialled);
  const auto accepted = pair.accept();
  const auto sending =
      runtime::start_task(world.executor(), send_all(**dialled, pattern(4'000'000)), [] {});
  world.run_for(30s);
  EXPECT_FALSE(sending->done);
  EXPECT_LE(accepted->stats().bytes_received, 320u << 10);
  const auto received = sim::run(world, receive_all(*accepted, 5'000'000));
  ASSERT_TRUE(received);
  EXPECT_EQ(received->size(), 4'000'000u);
}

awaitable<Result<>> exchange_and_read_late(runtime::Runtime& runtime, Connection& opener,
                                           Connection& answerer) {
  WARREN_CO_TRY(const auto asked, co_await opener.open_stream(kNever));
  WARREN_CO_TRY_VOID(co_await asked->write(as_bytes("?"), kNever));
  asked->close_write();
  WARREN_CO_TRY(const auto answer, co_await answerer.accept_stream());
  Bytes question(2);
  WARREN_CO_TRY_VOID(co_await answer->read_full(question, kNever));
  WARREN_CO_TRY_VOID(co_await answer->write(SharedBytes(pattern(4'000)), kNever));
  answer->close_write();
  WARREN_CO_TRY_VOID(co_await answer->flush(runtime.now() + 10s));
  WARREN_CO_TRY_VOID(co_await runtime.sleep_for(1s));
  Bytes out(5'000);
  WARREN_CO_TRY(const std::size_t count, co_await asked->read_full(out, kNever));
  if (count != 4'000) co_return fail(ErrorCode::kInternal, "bytes are missing");
  co_return Result<>{};
}

TEST(QuicOverSimulatedNetwork, WhatIsReadAfterAStreamEndedStillCountsForTheWindow) {
  sim::World world(1);
  QuicConfig config;
  config.connection_window_bytes = config.small_window_bytes = 64 << 10;
  Pair pair(world, config);
  const auto dialled = pair.dial(pair.b.peer());
  ASSERT_TRUE(dialled);
  const auto accepted = pair.accept();
  for (int i = 0; i < 100; ++i) {
    const auto done =
        sim::run(world, exchange_and_read_late(*pair.a.runtime, **dialled, *accepted));
    ASSERT_TRUE(done) << i << ": " << done.error().message();
  }
}

TEST(QuicOverSimulatedNetwork, ManyStreamsShareAConnectionAndEndBeyondTheirLimit) {
  sim::World world(1);
  QuicConfig config;
  config.limits.streams_inbound_max = 8;
  Pair pair(world, config);
  const auto dialled = pair.dial(pair.b.peer());
  ASSERT_TRUE(dialled);
  const auto accepted = pair.accept();
  std::vector<std::unique_ptr<Stream>> open;
  for (int i = 0; i < 8; ++i) {
    auto stream = sim::run(world, (*dialled)->open_stream(world.now() + 1s));
    ASSERT_TRUE(stream);
    open.push_back(std::move(*stream));
  }
  const auto beyond = sim::run(world, (*dialled)->open_stream(world.now() + 1s));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code(), ErrorCode::kTimedOut);

  // A stream that ended on both sides makes room for another.
  const auto sent = sim::run(world, open.front()->write(as_bytes("x"), kNever));
  ASSERT_TRUE(sent);
  open.front()->close_write();
  const auto received = sim::run(world, receive_all(*accepted, 10));
  ASSERT_TRUE(received);
  const auto again = sim::run(world, (*dialled)->open_stream(world.now() + 5s));
  EXPECT_TRUE(again);
}

TEST(QuicOverSimulatedNetwork, HalfOpenHandshakesAreBoundedAndHonestDialersGetIn) {
  sim::World world(3);
  QuicConfig config;
  config.retry_above = 4;
  config.limits.half_open_max = 16;
  Pair pair(world, config);
  // Clients that vanish after their first packet: the answers to them are lost.
  std::vector<std::unique_ptr<Host>> ghosts;
  std::vector<std::shared_ptr<runtime::TaskOutcome<Result<std::shared_ptr<Connection>>>>> dials;
  world.reachable = [](sim::Host from, sim::Host to) { return !(from == 2 && to >= 50); };
  for (std::uint8_t i = 0; i < 40; ++i) {
    ghosts.push_back(std::make_unique<Host>(world, static_cast<std::uint8_t>(50 + i)));
    dials.push_back(runtime::start_task(
        world.executor(),
        ghosts.back()->transport->dial(address_of(2), std::nullopt, world.now() + 3s), [] {}));
  }
  world.run_for(200ms);
  const auto honest = pair.dial(pair.b.peer());
  ASSERT_TRUE(honest) << honest.error().message();
  world.run_for(10s);
  for (const auto& dial : dials) EXPECT_FALSE(dial->get());
  const auto later = pair.dial(pair.b.peer());
  EXPECT_TRUE(later);
  for (const auto& ghost : ghosts) {
    const auto close = runtime::start_task(world.executor(), ghost->transport->close(), [] {});
    world.run_for(10ms);
  }
}

TEST(QuicOverSimulatedNetwork, AListenerThatWasClosedMayBeOpenedAgainBesideItsConnections) {
  sim::World world(1);
  Pair pair(world);
  const auto first = pair.dial(pair.b.peer());
  ASSERT_TRUE(first);
  pair.accept();
  pair.listener.reset();
  EXPECT_FALSE(pair.dial(pair.b.peer()));
  EXPECT_FALSE((*first)->closed());
  pair.listener = pair.b.transport->listen(Multiaddr::quic({{}, 4001, 0})).value();
  EXPECT_TRUE(pair.dial(pair.b.peer()));
  EXPECT_FALSE(pair.b.transport->listen(Multiaddr::quic({{}, 4001, 0}))) << "it is in use again";
}

TEST(QuicOverSimulatedNetwork, AnAddressWithoutARouteFailsAtOnce) {
  sim::World world(1);
  Pair pair(world);
  const TimePoint start = world.now();
  const Multiaddr nowhere = Multiaddr::quic({IpAddress::v4(203, 0, 113, 1), 4001, 0});
  const auto dialled =
      sim::run(world, pair.a.transport->dial(nowhere, std::nullopt, world.now() + 10s));
  ASSERT_FALSE(dialled);
  EXPECT_EQ(dialled.error().code(), ErrorCode::kUnreachable);
  EXPECT_LE(world.now() - start, 1ms);
}

TEST(QuicOverSimulatedNetwork, GarbageOnTheSocketIsIgnored) {
  sim::World world(5);
  Pair pair(world);
  auto attacker = world.make_runtime(9);
  auto socket = attacker->bind_datagram({{}, 999, 0}, {}).value();
  for (int i = 0; i < 2'000; ++i) {
    Bytes junk(1 + attacker->rng()() % 1'400);
    attacker->random_bytes(junk);
    if (i % 3 == 0) junk[0] |= 0xc0;  // A long header.
    if (i % 6 == 0 && junk.size() > 5) junk[1] = junk[2] = junk[3] = 0, junk[4] = 1;
    const auto sent = socket->try_send({.to = {sim::host_v4(2), 4001, 0}, .bytes = junk});
    ASSERT_TRUE(sent);
    if (i % 50 == 0) world.run_for(1ms);
  }
  world.run_for(1s);
  EXPECT_TRUE(pair.dial(pair.b.peer()));
}

TEST(QuicOverSimulatedNetwork, ARestartedPeerTellsOldConnectionsSo) {
  sim::World world(6);
  Host a(world, 1);
  auto b = std::make_unique<Host>(world, 2);
  auto listener = b->transport->listen(Multiaddr::quic({{}, 4001, 0})).value();
  const auto connection =
      sim::run(world, a.transport->dial(address_of(2), b->peer(), world.now() + 5s)).value();
  // The host loses its state without a word, as after kill -9.
  world.partition({2});
  listener.reset();
  const auto gone = runtime::start_task(world.executor(), b->transport->close(), [] {});
  world.run_for(100ms);
  b.reset();
  world.heal();
  b = std::make_unique<Host>(world, 2);
  listener = b->transport->listen(Multiaddr::quic({{}, 4001, 0})).value();
  world.run_for(27s);  // Less than the idle timeout: the answer to a keep-alive is a reset.
  EXPECT_TRUE(connection->closed());
  const auto again = sim::run(world, a.transport->dial(address_of(2), b->peer(), world.now() + 5s));
  EXPECT_TRUE(again);
  const auto closed = [](Host& host) -> awaitable<bool> {
    co_await host.transport->close();
    co_return true;
  };
  sim::run(world, closed(a));
  sim::run(world, closed(*b));
}

}  // namespace
}  // namespace warren::transport::quic
