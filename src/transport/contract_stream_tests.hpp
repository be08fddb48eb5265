#pragma once
// The contract of transports: streams. Included by contract_tests.hpp.

#include "transport/contract_connection_tests.hpp"

namespace warren::transport::contract {

inline awaitable<void> echo_stream(Stage& stage, std::unique_ptr<Stream> stream) {
  Bytes buffer(64u << 10);
  for (;;) {
    const auto n = co_await stream->read_some(buffer, soon(stage));
    if (!n) co_return;
    if (*n == 0) break;
    const auto written = co_await stream->write(BytesView(buffer).first(*n), soon(stage));
    if (!written) co_return;
  }
  stream->close_write();
  (void)co_await stream->flush(soon(stage));
}

/// Echoes on every stream that the peer opens, until the connection ends.
inline awaitable<void> echo_server(Stage& stage, std::shared_ptr<Connection> connection) {
  runtime::TaskGroup tasks(stage.runtime(), 1'024);
  for (;;) {
    auto stream = co_await connection->accept_stream();
    if (!stream) break;
    EXPECT_TRUE(tasks.spawn(echo_stream(stage, std::move(*stream))));
  }
  co_await tasks.join();
}

inline awaitable<Result<Bytes>> ask(Stage& stage, Connection& connection, Bytes question) {
  WARREN_CO_TRY(const auto stream, co_await connection.open_stream(soon(stage)));
  WARREN_CO_TRY_VOID(co_await stream->write(question, soon(stage)));
  stream->close_write();
  co_return co_await read_to_end(stage, *stream);
}

inline awaitable<void> echo(Stage& stage) {
  const Connected made = co_await connect(stage);
  runtime::TaskGroup tasks(stage.runtime(), 2);
  EXPECT_TRUE(tasks.spawn(echo_server(stage, made.b)));
  EXPECT_TRUE(tasks.spawn(echo_server(stage, made.a)));
  for (const std::size_t size : {0u, 1u, 1'000u, 100'000u}) {
    const Bytes question = pattern(size, 1);
    const auto forth = co_await ask(stage, *made.a, question);
    EXPECT_TRUE(forth.value() == question) << size;
    const auto back = co_await ask(stage, *made.b, question);  // Both sides may open.
    EXPECT_TRUE(back.value() == question) << size;
  }
  co_await tasks.join();
}
WARREN_CONTRACT_TEST(EchoesFromBothSides, echo)

inline awaitable<void> half_close(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  auto written = co_await pair.a->write(as_bytes("question"), soon(stage));
  EXPECT_TRUE(written);
  pair.a->close_write();
  pair.a->close_write();
  written = co_await pair.a->write(as_bytes("more"), soon(stage));
  EXPECT_EQ(written.error().code(), ErrorCode::kClosed);
  const auto question = co_await read_to_end(stage, *pair.b);
  EXPECT_EQ(as_text(question.value()), "question");
  Bytes buffer(10);
  const auto again = co_await pair.b->read_some(buffer, soon(stage));
  EXPECT_EQ(again.value(), 0u);  // The end stays the end.
  written = co_await pair.b->write(as_bytes("answer"), soon(stage));
  EXPECT_TRUE(written);
  pair.b->close_write();
  const auto answer = co_await read_to_end(stage, *pair.a);
  EXPECT_EQ(as_text(answer.value()), "answer");
  pair.a->reset();  // After a clean end: nothing happens.
  pair.b->reset();
  const auto end = co_await pair.a->read_some(buffer, soon(stage));
  EXPECT_EQ(end.value_or(99u), 0u);
}
WARREN_CONTRACT_TEST(AnAnswerComesAfterAHalfClose, half_close)

inline awaitable<void> read_full_short(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  const Bytes sent = pattern(10'000, 4);
  for (std::size_t at = 0; at < sent.size(); at += 1'000) {
    const auto written = co_await pair.a->write(BytesView(sent).subspan(at, 1'000), soon(stage));
    EXPECT_TRUE(written);
  }
  pair.a->close_write();
  Bytes first(7'777);
  const auto full = co_await pair.b->read_full(first, soon(stage));
  EXPECT_EQ(full.value(), 7'777u);
  EXPECT_TRUE(std::ranges::equal(first, BytesView(sent).first(7'777)));
  Bytes rest(7'777);
  const auto less = co_await pair.b->read_full(rest, soon(stage));
  EXPECT_EQ(less.value(), 2'223u);  // Fewer only at the end.
  EXPECT_TRUE(std::ranges::equal(BytesView(rest).first(2'223), BytesView(sent).subspan(7'777)));
}
WARREN_CONTRACT_TEST(ReadFullFillsUnlessTheStreamEnds, read_full_short)

inline awaitable<void> reset_seen(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  Result<std::size_t> read_a = 1u;
  Result<std::size_t> read_b = 1u;
  runtime::TaskGroup tasks(stage.runtime(), 2);
  EXPECT_TRUE(tasks.spawn(read_into(stage, *pair.a, &read_a)));
  EXPECT_TRUE(tasks.spawn(read_into(stage, *pair.b, &read_b)));
  co_await stage.runtime().sleep_for(1ms);
  pair.a->reset(CloseCode::kRateLimited);
  pair.a->reset();
  while (tasks.size() > 0) co_await stage.runtime().sleep_for(1ms);
  co_await tasks.join();
  EXPECT_TRUE(ended(read_a));
  EXPECT_FALSE(read_b);
  if (!read_b) EXPECT_EQ(read_b.error().code(), ErrorCode::kReset);
  const auto here = co_await pair.a->write(as_bytes("x"), soon(stage));
  EXPECT_FALSE(here);
  const auto there = co_await pair.b->write(as_bytes("x"), soon(stage));
  EXPECT_FALSE(there);
  if (!there) EXPECT_EQ(there.error().code(), ErrorCode::kReset);
  EXPECT_FALSE(made.a->closed());  // The stream is broken, not the connection.
  const StreamPair next = co_await open(stage, *made.a, *made.b);
  EXPECT_NE(next.a->id(), pair.a->id());
}
WARREN_CONTRACT_TEST(AResetIsSeenByBothSides, reset_seen)

inline awaitable<void> dropped_handle(Stage& stage) {
  const Connected made = co_await connect(stage);
  StreamPair pair = co_await open(stage, *made.a, *made.b);
  pair.a.reset();
  Bytes buffer(10);
  const auto read = co_await pair.b->read_some(buffer, soon(stage));
  EXPECT_FALSE(read);
  if (!read) EXPECT_EQ(read.error().code(), ErrorCode::kReset);
  // One that has written its answer and closed is heard although its handle is gone.
  StreamPair other = co_await open(stage, *made.a, *made.b);
  const auto written = co_await other.a->write(as_bytes("last words"), soon(stage));
  EXPECT_TRUE(written);
  other.a->close_write();
  other.a.reset();
  const auto words = co_await read_to_end(stage, *other.b);
  EXPECT_EQ(as_text(words.value()), "last words");
}
WARREN_CONTRACT_TEST(ADroppedHandleResetsWhatIsLeft, dropped_handle)

inline awaitable<void> backpressure(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  const Bytes chunk(1u << 20, 9);
  std::size_t chunks = 0;
  for (;; ++chunks) {
    const auto written = co_await pair.a->write(chunk, stage.runtime().now() + 200ms);
    if (written) {
      if (chunks < 100) continue;
      ADD_FAILURE() << "100 MiB were taken although nobody reads";
      break;
    }
    EXPECT_EQ(written.error().code(), ErrorCode::kTimedOut);
    break;
  }
  // Another stream gets through beside the one that is stuck.
  const StreamPair beside = co_await open(stage, *made.a, *made.b);
  const auto flushed = co_await beside.a->flush(soon(stage));
  EXPECT_TRUE(flushed);
  // And the stuck one goes on when its reader does.
  Result<Bytes> all = fail(ErrorCode::kInternal, "not yet");
  runtime::TaskGroup tasks(stage.runtime(), 1);
  EXPECT_TRUE(tasks.spawn(read_to_end_into(stage, *pair.b, &all)));
  const auto tail = co_await pair.a->write(as_bytes("tail"), soon(stage));
  EXPECT_TRUE(tail);
  pair.a->close_write();
  while (tasks.size() > 0) co_await stage.runtime().sleep_for(1ms);
  co_await tasks.join();
  EXPECT_EQ(as_text(BytesView(all.value()).last(4)), "tail");
  EXPECT_TRUE(std::ranges::all_of(BytesView(*all).first(all->size() - 4),
                                  [](std::uint8_t byte) { return byte == 9; }));
}
WARREN_CONTRACT_TEST(AWriterWaitsWhenNobodyReads, backpressure)

inline awaitable<void> write_all_then_close(Stage& stage, Stream& stream, SharedBytes bytes,
                                            Result<>* out) {
  *out = co_await stream.write(std::move(bytes), soon(stage));
  stream.close_write();
}

inline awaitable<void> large_both_ways(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  const auto up = std::make_shared<const Bytes>(pattern(9'000'001, 1));
  const auto down = std::make_shared<const Bytes>(pattern(11'000'003, 2));
  Result<> wrote_up = fail(ErrorCode::kInternal, "not yet");
  Result<> wrote_down = wrote_up;
  runtime::TaskGroup tasks(stage.runtime(), 2);
  EXPECT_TRUE(tasks.spawn(write_all_then_close(stage, *pair.a, {up, *up}, &wrote_up)));
  EXPECT_TRUE(tasks.spawn(write_all_then_close(stage, *pair.b, {down, *down}, &wrote_down)));
  const auto at_b = co_await read_to_end(stage, *pair.b);
  const auto at_a = co_await read_to_end(stage, *pair.a);
  while (tasks.size() > 0) co_await stage.runtime().sleep_for(1ms);
  co_await tasks.join();
  EXPECT_TRUE(wrote_up);
  EXPECT_TRUE(wrote_down);
  EXPECT_TRUE(at_b.value() == *up);
  EXPECT_TRUE(at_a.value() == *down);
  const ConnectionStats stats = made.a->stats();
  EXPECT_GE(stats.bytes_sent, up->size());
  EXPECT_GE(stats.bytes_received, down->size());
  // What was given to hold is let go once all is acknowledged.
  const auto flushed_a = co_await pair.a->flush(soon(stage));
  const auto flushed_b = co_await pair.b->flush(soon(stage));
  EXPECT_TRUE(flushed_a && flushed_b);
  EXPECT_EQ(up.use_count(), 1);
  EXPECT_EQ(down.use_count(), 1);
}
WARREN_CONTRACT_TEST(LargeTransfersBothWaysAtOnce, large_both_ways)

inline awaitable<void> thousand(Stage& stage) {
  const Connected made = co_await connect(stage);
  runtime::TaskGroup tasks(stage.runtime(), 1);
  EXPECT_TRUE(tasks.spawn(echo_server(stage, made.b)));
  for (int i = 0; i < 1'000; ++i) {
    const Bytes question = pattern(100, static_cast<std::uint8_t>(i));
    const auto answer = co_await ask(stage, *made.a, question);
    EXPECT_TRUE(answer.value() == question) << i;
  }
  co_await tasks.join();
  EXPECT_EQ(made.a->stats().streams_open, 0u);
}
WARREN_CONTRACT_TEST(AThousandStreamsOneAfterAnother, thousand)

inline awaitable<void> ask_and_count(Stage& stage, Connection& connection, std::size_t size,
                                     int* good) {
  const Bytes question = pattern(size, static_cast<std::uint8_t>(size));
  const auto answer = co_await ask(stage, connection, question);
  if (answer && *answer == question) ++*good;
}

inline awaitable<void> hundred_at_once(Stage& stage) {
  const Connected made = co_await connect(stage);
  runtime::TaskGroup server(stage.runtime(), 1);
  EXPECT_TRUE(server.spawn(echo_server(stage, made.b)));
  int good = 0;
  runtime::TaskGroup tasks(stage.runtime(), 100);
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_TRUE(tasks.spawn(ask_and_count(stage, *made.a, 10'000 + i, &good)));
  }
  while (tasks.size() > 0) co_await stage.runtime().sleep_for(1ms);
  co_await tasks.join();
  co_await server.join();
  EXPECT_EQ(good, 100);
}
WARREN_CONTRACT_TEST(AHundredStreamsAtOnce, hundred_at_once)

inline awaitable<void> accept_order(Stage& stage) {
  const Connected made = co_await connect(stage);
  std::vector<std::unique_ptr<Stream>> opened;
  for (std::uint8_t i = 0; i < 20; ++i) {
    auto stream = co_await made.a->open_stream(soon(stage));
    const Bytes number{i};
    const auto written = co_await (*stream)->write(number, soon(stage));
    EXPECT_TRUE(written);
    opened.push_back(std::move(*stream));
  }
  for (std::uint8_t i = 0; i < 20; ++i) {
    const auto stream = co_await made.b->accept_stream();
    Bytes number(1);
    const auto got = co_await (*stream)->read_full(number, soon(stage));
    EXPECT_EQ(got.value(), 1u);
    EXPECT_EQ(number[0], i);
    EXPECT_EQ((*stream)->id(), opened[i]->id());
  }
}
WARREN_CONTRACT_TEST(StreamsAreAcceptedInTheOrderTheyWereOpened, accept_order)

inline awaitable<void> stream_credit(Stage& stage) {
  const Connected made = co_await connect(stage);
  std::vector<std::unique_ptr<Stream>> opened;
  for (;;) {
    auto stream = co_await made.a->open_stream(stage.runtime().now() + 200ms);
    if (!stream) {
      EXPECT_EQ(stream.error().code(), ErrorCode::kTimedOut);
      break;
    }
    const auto written = co_await (*stream)->write(as_bytes("!"), soon(stage));
    EXPECT_TRUE(written);
    opened.push_back(std::move(*stream));
    if (opened.size() == 5'000) {
      ADD_FAILURE() << "5,000 streams are open at once without a bound";
      co_return;
    }
  }
  EXPECT_GE(opened.size(), 8u);
  for (std::size_t i = 0; i < opened.size(); ++i) {  // The peer sees each, and drops it.
    const auto stream = co_await made.b->accept_stream();
    EXPECT_TRUE(stream);
  }
  opened.clear();
  const auto again = co_await made.a->open_stream(soon(stage));
  EXPECT_TRUE(again) << again.error().message();
}
WARREN_CONTRACT_TEST(OpeningWaitsForStreamCredit, stream_credit)

inline awaitable<void> deadlines(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  Bytes buffer(10);
  const TimePoint begin = stage.runtime().now();
  const auto late = co_await pair.b->read_some(buffer, begin + kShort);
  EXPECT_EQ(late.error().code(), ErrorCode::kTimedOut);
  EXPECT_GE(stage.runtime().now() - begin, kShort);
  const auto past = co_await pair.b->read_some(buffer, begin);
  EXPECT_EQ(past.error().code(), ErrorCode::kTimedOut);
  const auto written = co_await pair.a->write(as_bytes("late"), soon(stage));
  EXPECT_TRUE(written);
  const auto got = co_await pair.b->read_full(MutableBytes(buffer).first(4), soon(stage));
  EXPECT_EQ(got.value(), 4u);
  EXPECT_EQ(as_text(BytesView(buffer).first(4)), "late");
}
WARREN_CONTRACT_TEST(AReadTimesOutAndLosesNothing, deadlines)

inline awaitable<void> write_numbers(Stage& stage, Stream& stream, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const Bytes bytes{static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i & 0xff)};
    const auto written = co_await stream.write(bytes, soon(stage));
    if (!written) co_return;
    if (i % 16 == 0) co_await stage.runtime().sleep_for(100us);
  }
  stream.close_write();
}

inline awaitable<void> read_more(Stage& stage, Stream& stream, Bytes* all, bool* end) {
  Bytes buffer(37);
  for (;;) {
    const auto n = co_await stream.read_some(buffer, soon(stage));
    if (!n) co_return;
    append(*all, BytesView(buffer).first(*n));
    *end = *n == 0;
    if (*end) co_return;
  }
}

inline awaitable<void> cancel_mid_read(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  constexpr std::uint32_t kCount = 3'000;
  runtime::TaskGroup writer(stage.runtime(), 1);
  EXPECT_TRUE(writer.spawn(write_numbers(stage, *pair.a, kCount)));
  Bytes all;
  bool end = false;
  for (int i = 0; !end && i < 100'000; ++i) {
    runtime::TaskGroup reader(stage.runtime(), 1);
    EXPECT_TRUE(reader.spawn(read_more(stage, *pair.b, &all, &end)));
    co_await stage.runtime().sleep_for(Duration(i % 7 * 100'000));
    co_await reader.join();
  }
  co_await writer.join();
  EXPECT_EQ(all.size(), 2 * kCount);
  for (std::uint32_t i = 0; i < kCount && 2 * i + 1 < all.size(); ++i) {
    const std::uint32_t number = std::uint32_t{all[2 * i]} << 8 | all[2 * i + 1];
    EXPECT_EQ(number, i);
    if (number != i) break;
  }
}
WARREN_CONTRACT_TEST(ACancelledReadLosesNothing, cancel_mid_read)

inline awaitable<void> flushes(Stage& stage) {
  const Connected made = co_await connect(stage);
  const StreamPair pair = co_await open(stage, *made.a, *made.b);
  const Bytes sent = pattern(100'000, 8);
  const auto written = co_await pair.a->write(sent, soon(stage));
  EXPECT_TRUE(written);
  pair.a->close_write();
  const auto flushed = co_await pair.a->flush(soon(stage));
  EXPECT_TRUE(flushed);
  // All of it is at the peer's side although its application has read nothing.
  EXPECT_GE(made.b->stats().bytes_received, sent.size());
  const auto got = co_await read_to_end(stage, *pair.b);
  EXPECT_TRUE(got.value() == sent);
}
WARREN_CONTRACT_TEST(FlushWaitsUntilThePeerHasItAll, flushes)

}  // namespace warren::transport::contract
