#pragma once
// The contract of transports: dialling, listening, closing. Included by contract_tests.hpp.

#include "transport/contract_stage.hpp"

namespace warren::transport::contract {

inline awaitable<void> both_are_proven(Stage& stage) {
  const Connected made = co_await connect(stage);
  const ConnectionInfo& a = made.a->info();
  const ConnectionInfo& b = made.b->info();
  const PeerId dialler = PeerId::from_public_key(stage.dialler_key().protobuf());
  const PeerId listener = PeerId::from_public_key(stage.listener_key().protobuf());
  EXPECT_EQ(a.local_peer, dialler);
  EXPECT_EQ(a.remote_peer, listener);
  EXPECT_TRUE(a.remote_key == stage.listener_key());
  EXPECT_TRUE(a.outbound);
  EXPECT_EQ(b.local_peer, listener);
  EXPECT_EQ(b.remote_peer, dialler);
  EXPECT_TRUE(b.remote_key == stage.dialler_key());
  EXPECT_FALSE(b.outbound);
  EXPECT_EQ(a.transport, b.transport);
  EXPECT_EQ(a.remote_address, made.listener->address());
  EXPECT_EQ(b.local_address, made.listener->address());
  EXPECT_FALSE(a.remote_address.peer_id().has_value());
  EXPECT_FALSE(b.remote_address.empty());
}
WARREN_CONTRACT_TEST(BothSidesKnowWhoIsThere, both_are_proven)

inline awaitable<void> any_identity(Stage& stage) {
  const auto listener = stage.listener().listen(stage.listen_address()).value();
  const auto dialled =
      co_await stage.dialler().dial(listener->address(), std::nullopt, soon(stage));
  EXPECT_EQ(dialled.value()->info().remote_peer,
            PeerId::from_public_key(stage.listener_key().protobuf()));
}
WARREN_CONTRACT_TEST(WithoutAnExpectedPeerAnyProvenOneIsTaken, any_identity)

inline awaitable<void> accept_into(Listener& listener, Result<std::shared_ptr<Connection>>* out) {
  *out = co_await listener.accept();
}

inline awaitable<void> wrong_peer(Stage& stage) {
  const auto listener = stage.listener().listen(stage.listen_address()).value();
  const PeerId wrong = PeerId::from_public_key(stage.dialler_key().protobuf());
  const PeerId right = PeerId::from_public_key(stage.listener_key().protobuf());
  Result<std::shared_ptr<Connection>> accepted = fail(ErrorCode::kInternal, "not yet");
  runtime::TaskGroup tasks(stage.runtime(), 1);
  EXPECT_TRUE(tasks.spawn(accept_into(*listener, &accepted)));
  const auto dialled = co_await stage.dialler().dial(listener->address(), wrong, soon(stage));
  co_await stage.runtime().sleep_for(kShort);
  co_await tasks.join();
  EXPECT_FALSE(dialled);
  if (dialled) co_return;
  EXPECT_EQ(dialled.error().code(), ErrorCode::kIntegrity);
  EXPECT_NE(dialled.error().message().find(wrong.to_string()), std::string::npos);
  EXPECT_NE(dialled.error().message().find(right.to_string()), std::string::npos);
  EXPECT_FALSE(accepted) << "the listener was given a connection that the dialler refused";
}
WARREN_CONTRACT_TEST(AnotherIdentityThanExpectedIsRefused, wrong_peer)

inline awaitable<void> nobody_there(Stage& stage) {
  const auto dialled =
      co_await stage.dialler().dial(stage.nobody(), std::nullopt, stage.runtime().now() + 1s);
  EXPECT_FALSE(dialled);
  if (dialled) co_return;
  const ErrorCode code = dialled.error().code();
  EXPECT_TRUE(code == ErrorCode::kUnreachable || code == ErrorCode::kTimedOut)
      << dialled.error().message();
}
WARREN_CONTRACT_TEST(DiallingNobodyFails, nobody_there)

inline awaitable<void> foreign(Stage& stage) {
  EXPECT_FALSE(stage.dialler().can_dial(stage.foreign_address()));
  EXPECT_FALSE(stage.dialler().can_listen(stage.foreign_address()));
  EXPECT_TRUE(stage.dialler().can_dial(stage.nobody()));
  EXPECT_TRUE(stage.dialler().can_listen(stage.listen_address()));
  const auto dialled =
      co_await stage.dialler().dial(stage.foreign_address(), std::nullopt, soon(stage));
  EXPECT_FALSE(dialled);
  if (!dialled) EXPECT_EQ(dialled.error().code(), ErrorCode::kUnsupported);
  const auto listened = stage.listener().listen(stage.foreign_address());
  EXPECT_FALSE(listened);
  if (!listened) EXPECT_EQ(listened.error().code(), ErrorCode::kUnsupported);
}
WARREN_CONTRACT_TEST(AnAddressOfAnotherTransportIsUnsupported, foreign)

inline awaitable<void> taken(Stage& stage) {
  const auto first = stage.listener().listen(stage.listen_address()).value();
  const auto second = stage.dialler().listen(first->address());
  EXPECT_FALSE(second);
  if (!second) EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  co_return;
}
WARREN_CONTRACT_TEST(AnAddressInUseIsAConflict, taken)

inline awaitable<void> dial_and_keep(Stage& stage, Multiaddr to,
                                     std::vector<std::shared_ptr<Connection>>* out) {
  auto dialled = co_await stage.dialler().dial(to, std::nullopt, soon(stage));
  if (dialled) out->push_back(std::move(*dialled));
}

inline awaitable<void> many_dials(Stage& stage) {
  const auto listener = stage.listener().listen(stage.listen_address()).value();
  std::vector<std::shared_ptr<Connection>> dialled;
  std::vector<std::shared_ptr<Connection>> accepted;
  runtime::TaskGroup tasks(stage.runtime(), 20);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(tasks.spawn(dial_and_keep(stage, listener->address(), &dialled)));
  }
  for (int i = 0; i < 20; ++i) {
    auto one = co_await listener->accept();
    accepted.push_back(std::move(one.value()));
  }
  while (tasks.size() > 0) co_await stage.runtime().sleep_for(1ms);
  co_await tasks.join();
  EXPECT_EQ(dialled.size(), 20u);
}
WARREN_CONTRACT_TEST(TwentyDialsAtOnceAllArrive, many_dials)

inline awaitable<void> dial_into(Stage& stage, Multiaddr to,
                                 Result<std::shared_ptr<Connection>>* out) {
  *out = co_await stage.dialler().dial(to, std::nullopt, soon(stage));
}

inline awaitable<void> cancelled_dial(Stage& stage) {
  const auto listener = stage.listener().listen(stage.listen_address()).value();
  Result<std::shared_ptr<Connection>> dialled = fail(ErrorCode::kInternal, "not yet");
  runtime::TaskGroup tasks(stage.runtime(), 1);
  EXPECT_TRUE(tasks.spawn(dial_into(stage, listener->address(), &dialled)));
  co_await tasks.join();
  EXPECT_FALSE(dialled);
  if (!dialled) EXPECT_EQ(dialled.error().code(), ErrorCode::kCancelled);
}
WARREN_CONTRACT_TEST(ACancelledDialIsGivenUp, cancelled_dial)

inline awaitable<void> closed_listener(Stage& stage) {
  const auto listener = stage.listener().listen(stage.listen_address()).value();
  Result<std::shared_ptr<Connection>> accepted = fail(ErrorCode::kInternal, "not yet");
  runtime::TaskGroup tasks(stage.runtime(), 1);
  EXPECT_TRUE(tasks.spawn(accept_into(*listener, &accepted)));
  co_await stage.runtime().sleep_for(1ms);
  listener->close();
  while (tasks.size() > 0) co_await stage.runtime().sleep_for(1ms);
  co_await tasks.join();
  EXPECT_EQ(accepted.error().code(), ErrorCode::kClosed);
}
WARREN_CONTRACT_TEST(ClosingAListenerEndsItsAccept, closed_listener)

inline awaitable<void> read_into(Stage& stage, Stream& stream, Result<std::size_t>* out) {
  Bytes buffer(100);
  *out = co_await stream.read_some(buffer, soon(stage));
}
inline awaitable<void> accept_stream_into(Connection& connection, Result<std::size_t>* out) {
  const auto stream = co_await connection.accept_stream();
  if (!stream) *out = fail(stream.error());
}

inline bool ended(const Result<std::size_t>& result) {
  if (result) return false;
  const ErrorCode code = result.error().code();
  return code == ErrorCode::kClosed || code == ErrorCode::kReset;
}

inline awaitable<void> close_ends_all(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  Result<std::size_t> read_a = 1u;
  Result<std::size_t> read_b = 1u;
  Result<std::size_t> accept_a = 1u;
  Result<std::size_t> accept_b = 1u;
  runtime::TaskGroup tasks(stage.runtime(), 4);
  EXPECT_TRUE(tasks.spawn(read_into(stage, *pair.a, &read_a)));
  EXPECT_TRUE(tasks.spawn(read_into(stage, *pair.b, &read_b)));
  EXPECT_TRUE(tasks.spawn(accept_stream_into(*made.a, &accept_a)));
  EXPECT_TRUE(tasks.spawn(accept_stream_into(*made.b, &accept_b)));
  co_await stage.runtime().sleep_for(1ms);
  EXPECT_FALSE(made.a->closed());
  EXPECT_TRUE(made.a->close_reason().empty());
  made.a->close(CloseCode::kResourceLimit, "enough for today");
  made.a->close();
  EXPECT_TRUE(made.a->closed());
  while (tasks.size() > 0) co_await stage.runtime().sleep_for(1ms);
  co_await tasks.join();
  EXPECT_TRUE(ended(read_a));
  EXPECT_TRUE(ended(read_b));
  EXPECT_TRUE(ended(accept_a));
  EXPECT_TRUE(ended(accept_b));
  EXPECT_TRUE(made.b->closed());
  EXPECT_FALSE(made.a->close_reason().empty());
  EXPECT_FALSE(made.b->close_reason().empty());
  const auto opened = co_await made.b->open_stream(soon(stage));
  EXPECT_FALSE(opened);
  if (!opened) EXPECT_EQ(opened.error().code(), ErrorCode::kClosed);
}
WARREN_CONTRACT_TEST(ClosingAConnectionEndsEverythingOnBothSides, close_ends_all)

inline awaitable<void> outlives(Stage& stage) {
  Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  made.a->close();
  made.a.reset();
  Bytes buffer(10);
  const auto read = co_await pair.a->read_some(buffer, soon(stage));
  EXPECT_TRUE(ended(read));
  const auto written = co_await pair.a->write(as_bytes("?"), soon(stage));
  EXPECT_FALSE(written);
  const auto flushed = co_await pair.a->flush(soon(stage));
  EXPECT_FALSE(flushed);
  pair.a->close_write();
  pair.a->reset();
  const auto at_b = co_await pair.b->read_some(buffer, soon(stage));
  EXPECT_TRUE(ended(at_b));
  made.b.reset();
  pair.b->reset();
}
WARREN_CONTRACT_TEST(AStreamHandleMayOutliveItsConnection, outlives)

inline awaitable<void> transport_close(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  co_await stage.listener().close();
  EXPECT_TRUE(made.b->closed());
  Bytes buffer(10);
  const auto read = co_await pair.a->read_some(buffer, soon(stage));
  EXPECT_TRUE(ended(read));
  EXPECT_TRUE(made.a->closed());
  const auto accepted = co_await made.listener->accept();
  EXPECT_EQ(accepted.error().code(), ErrorCode::kClosed);
}
WARREN_CONTRACT_TEST(ClosingTheTransportClosesAllItMade, transport_close)

}  // namespace warren::transport::contract
