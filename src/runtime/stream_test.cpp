// Byte streams and listeners: TCP on the machine's loopback, and the simulated network.

#include <numeric>

#include "runtime/task_group.hpp"
#include "runtime/test_stages.hpp"

namespace warren::runtime {
namespace {

template <class Stage>
class StreamTest : public ::testing::Test {
 public:
  Stage stage;
};
TYPED_TEST_SUITE(StreamTest, BothStages, StageNames);

struct Pair {
  std::unique_ptr<StreamListener> listener;
  std::unique_ptr<ByteStream> client;
  std::unique_ptr<ByteStream> server;
};

/// A listener on B and a connection from A to it.
template <class Stage>
awaitable<Pair> connected(Stage& stage) {
  Pair pair;
  pair.listener = stage.b().listen_stream({stage.ip_b, 0}).value();
  auto client = co_await stage.a().connect_stream(pair.listener->local(), stage.a().now() + 5s);
  EXPECT_TRUE(client) << client.error().message();
  pair.client = std::move(*client);
  auto server = co_await pair.listener->accept();
  EXPECT_TRUE(server) << server.error().message();
  pair.server = std::move(*server);
  co_return pair;
}

Bytes pattern(std::size_t size, std::uint8_t first) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

awaitable<Result<>> write(ByteStream& stream, BytesView bytes, TimePoint deadline = kNever) {
  const std::array<BytesView, 1> parts{bytes};
  co_return co_await stream.write_all(parts, deadline);
}

/// Everything up to the end of the stream.
awaitable<Result<Bytes>> read_to_end(ByteStream& stream) {
  Bytes all;
  Bytes buffer(10'000);
  for (;;) {
    WARREN_CO_TRY(const std::size_t n, co_await stream.read_some(buffer, kNever));
    if (n == 0) co_return all;
    append(all, BytesView(buffer).first(n));
  }
}

template <class Stage>
awaitable<void> addresses(Stage& stage) {
  const Pair pair = co_await connected(stage);
  EXPECT_EQ(pair.client->remote(), pair.server->local());
  EXPECT_EQ(pair.client->local(), pair.server->remote());
  EXPECT_EQ(pair.server->local().port, pair.listener->local().port);
  EXPECT_NE(pair.listener->local().port, 0);
}

TYPED_TEST(StreamTest, BothEndsAgreeOnTheAddresses) { this->stage.run(addresses(this->stage)); }

template <class Stage>
awaitable<void> parts_in_order(Stage& stage) {
  const Pair pair = co_await connected(stage);
  std::vector<Bytes> owned;
  std::vector<BytesView> parts;
  Bytes all;
  for (std::size_t i = 0; i < 200; ++i) {  // More than one call takes, some of them empty.
    owned.push_back(pattern(i % 7, static_cast<std::uint8_t>(i)));
    append(all, owned.back());
  }
  parts.assign(owned.begin(), owned.end());
  const auto written = co_await pair.client->write_all(parts, kNever);
  EXPECT_TRUE(written);
  EXPECT_TRUE(pair.client->close_write());
  const auto got = co_await read_to_end(*pair.server);
  EXPECT_EQ(got.value(), all);
}

TYPED_TEST(StreamTest, PartsArriveInOrder) { this->stage.run(parts_in_order(this->stage)); }

template <class Stage>
awaitable<void> half_close(Stage& stage) {
  const Pair pair = co_await connected(stage);
  const auto sent_1 = co_await write(*pair.client, as_bytes("question"));
  EXPECT_TRUE(sent_1);
  EXPECT_TRUE(pair.client->close_write());
  const auto question = co_await read_to_end(*pair.server);
  EXPECT_EQ(as_text(question.value()), "question");
  const auto sent_2 = co_await write(*pair.server, as_bytes("answer"));
  EXPECT_TRUE(sent_2);
  EXPECT_TRUE(pair.server->close_write());
  const auto answer = co_await read_to_end(*pair.client);
  EXPECT_EQ(as_text(answer.value()), "answer");
}

TYPED_TEST(StreamTest, AnswerComesAfterAHalfClose) { this->stage.run(half_close(this->stage)); }

awaitable<void> write_then_close(ByteStream& stream, const Bytes& bytes, bool* written) {
  const auto sent = co_await write(stream, bytes);
  *written = sent.has_value();
  if (sent) (void)stream.close_write();
}

template <class Stage>
awaitable<void> large_both_ways(Stage& stage) {
  const Pair pair = co_await connected(stage);
  const Bytes up = pattern(5'000'001, 1);
  const Bytes down = pattern(7'000'003, 2);
  bool up_written = false;
  bool down_written = false;
  TaskGroup tasks(stage.a(), 2);
  EXPECT_TRUE(tasks.spawn(write_then_close(*pair.client, up, &up_written)));
  EXPECT_TRUE(tasks.spawn(write_then_close(*pair.server, down, &down_written)));
  const auto at_server = co_await read_to_end(*pair.server);
  const auto at_client = co_await read_to_end(*pair.client);
  EXPECT_TRUE(at_server.value() == up);
  EXPECT_TRUE(at_client.value() == down);
  co_await tasks.join();
  EXPECT_TRUE(up_written && down_written);
}

TYPED_TEST(StreamTest, LargeTransfersBothWaysAtOnce) {
  this->stage.run(large_both_ways(this->stage));
}

template <class Stage>
awaitable<void> backpressure(Stage& stage) {
  const Pair pair = co_await connected(stage);
  const Bytes chunk(1u << 20, 7);
  std::size_t chunks = 0;
  for (;; ++chunks) {
    const auto written = co_await write(*pair.client, chunk, stage.a().now() + 50ms);
    if (written) continue;
    EXPECT_EQ(written.error().code(), ErrorCode::kTimedOut);
    break;
  }
  // Loopback TCP grows its buffers to some mebibytes, but not without end.
  EXPECT_LT(chunks, 64u);
}

TYPED_TEST(StreamTest, WriterWaitsWhenNobodyReads) { this->stage.run(backpressure(this->stage)); }

template <class Stage>
awaitable<void> read_deadline(Stage& stage) {
  const Pair pair = co_await connected(stage);
  Bytes buffer(10);
  const TimePoint begin = stage.a().now();
  const auto late = co_await pair.client->read_some(buffer, begin + 5ms);
  EXPECT_EQ(late.error().code(), ErrorCode::kTimedOut);
  EXPECT_GE(stage.a().now() - begin, 5ms);
  // The stream is as good as before.
  const auto sent_3 = co_await write(*pair.server, as_bytes("late"));
  EXPECT_TRUE(sent_3);
  const auto got = co_await pair.client->read_some(buffer, kNever);
  EXPECT_EQ(got.value(), 4u);
}

TYPED_TEST(StreamTest, ReadTimesOutAndLosesNothing) { this->stage.run(read_deadline(this->stage)); }

/// `begun` is told; whoever waits for it runs when read_some() waits.
awaitable<void> read_into(ByteStream& stream, MutableBytes out, Signal& begun,
                          Result<std::size_t>* got) {
  begun.notify();
  *got = co_await stream.read_some(out, kNever);
}

template <class Stage>
awaitable<void> cancel_read(Stage& stage) {
  const Pair pair = co_await connected(stage);
  Bytes buffer(10);
  const auto begun = stage.a().make_signal();
  Result<std::size_t> got = 99u;
  {
    TaskGroup tasks(stage.a(), 1);
    EXPECT_TRUE(tasks.spawn(read_into(*pair.client, buffer, *begun, &got)));
    co_await begun->wait_until(kNever);
    co_await tasks.join();
  }
  EXPECT_EQ(got.error().code(), ErrorCode::kCancelled);
  const auto sent_4 = co_await write(*pair.server, as_bytes("kept"));
  EXPECT_TRUE(sent_4);
  got = co_await pair.client->read_some(buffer, kNever);
  EXPECT_EQ(got.value(), 4u);
}

TYPED_TEST(StreamTest, CancelledReadLosesNothing) { this->stage.run(cancel_read(this->stage)); }

template <class Stage>
awaitable<void> close_ends_read(Stage& stage) {
  const Pair pair = co_await connected(stage);
  Bytes buffer(10);
  const auto begun = stage.a().make_signal();
  Result<std::size_t> got = 99u;
  TaskGroup tasks(stage.a(), 1);
  EXPECT_TRUE(tasks.spawn(read_into(*pair.client, buffer, *begun, &got)));
  co_await begun->wait_until(kNever);
  pair.client->close();
  co_await tasks.drain(kNever);
  EXPECT_EQ(got.error().code(), ErrorCode::kClosed);
  const auto at_server = co_await pair.server->read_some(buffer, kNever);
  EXPECT_EQ(at_server.value_or(99u), 0u);
}

TYPED_TEST(StreamTest, CloseEndsAPendingReadOnBothSides) {
  this->stage.run(close_ends_read(this->stage));
}

template <class Stage>
awaitable<void> write_to_the_gone(Stage& stage) {
  const Pair pair = co_await connected(stage);
  pair.server->close();
  const Bytes chunk(1'000, 7);
  Result<> written;
  for (int i = 0; i < 1'000 && written; ++i) {
    written = co_await write(*pair.client, chunk, stage.a().now() + 5s);
    co_await stage.a().sleep_for(1ms);
  }
  EXPECT_FALSE(written);
  if (!written) EXPECT_EQ(written.error().code(), ErrorCode::kReset);
}

TYPED_TEST(StreamTest, WritingToAClosedPeerIsReset) {
  this->stage.run(write_to_the_gone(this->stage));
}

template <class Stage>
awaitable<void> refused(Stage& stage) {
  auto listener = stage.b().listen_stream({stage.ip_b, 0}).value();
  const Endpoint was = listener->local();
  listener->close();
  const auto accepted = co_await listener->accept();
  EXPECT_EQ(accepted.error().code(), ErrorCode::kClosed);
  const auto client = co_await stage.a().connect_stream(was, stage.a().now() + 5s);
  EXPECT_FALSE(client);
  if (!client) EXPECT_EQ(client.error().code(), ErrorCode::kUnreachable);
}

TYPED_TEST(StreamTest, ConnectingToNobodyIsRefused) { this->stage.run(refused(this->stage)); }

TYPED_TEST(StreamTest, TwoListenersOnOnePortConflict) {
  const auto first = this->stage.b().listen_stream({this->stage.ip_b, 0});
  ASSERT_TRUE(first);
  const auto second = this->stage.b().listen_stream((*first)->local());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
}

template <class Stage>
awaitable<void> accept_in_order(Stage& stage) {
  auto listener = stage.b().listen_stream({stage.ip_b, 0}).value();
  std::vector<std::unique_ptr<ByteStream>> clients;
  for (int i = 0; i < 20; ++i) {
    auto client = co_await stage.a().connect_stream(listener->local(), stage.a().now() + 5s);
    clients.push_back(std::move(*client));
  }
  for (int i = 0; i < 20; ++i) {
    const auto server = co_await listener->accept();
    EXPECT_EQ((*server)->remote(), clients[static_cast<std::size_t>(i)]->local());
  }
}

TYPED_TEST(StreamTest, ConnectionsAreAcceptedInTheOrderTheyCame) {
  this->stage.run(accept_in_order(this->stage));
}

awaitable<void> partitioned(SimStage& stage) {
  const Pair pair = co_await connected(stage);
  stage.world.partition({2});
  const auto sent_5 = co_await write(*pair.client, as_bytes("held"));
  EXPECT_TRUE(sent_5);
  Bytes buffer(10);
  const auto early = co_await pair.server->read_some(buffer, stage.b().now() + 10s);
  EXPECT_EQ(early.error().code(), ErrorCode::kTimedOut);
  const auto nobody =
      co_await stage.a().connect_stream(pair.listener->local(), stage.a().now() + 3s);
  EXPECT_EQ(nobody.error().code(), ErrorCode::kTimedOut);
  stage.world.heal();
  const auto got = co_await pair.server->read_some(buffer, stage.b().now() + 1s);
  EXPECT_EQ(got.value_or(0), 4u);
}

TEST(SimStream, APartitionHoldsBytesBackUntilItHeals) {
  SimStage stage;
  stage.run(partitioned(stage));
}

awaitable<Duration> timed_transfer(SimStage& stage, std::size_t bytes) {
  const Pair pair = co_await connected(stage);
  const Bytes sent = pattern(bytes, 0);
  bool written = false;
  TaskGroup tasks(stage.a(), 1);
  const TimePoint begin = stage.a().now();
  EXPECT_TRUE(tasks.spawn(write_then_close(*pair.client, sent, &written)));
  const auto got = co_await read_to_end(*pair.server);
  EXPECT_TRUE(got.value() == sent);
  co_await tasks.join();
  co_return stage.a().now() - begin;
}

TEST(SimStream, BandwidthBoundsATransfer) {
  SimStage stage;
  stage.world.link.bytes_per_second = 1'000'000;
  const Duration took = stage.run(timed_transfer(stage, 2'000'000));
  EXPECT_GE(took, 2s);
  EXPECT_LT(took, 2'200ms);
}

}  // namespace
}  // namespace warren::runtime
