// Connections that stand: slow readers, resets, dropped handles, how they end, what they count as.

#include "transport/upgrade/upgrade_for_test.hpp"

namespace warren::transport {
namespace {

using contract::StreamPair;
using yamux::Type;

Bytes bytes_of(std::size_t count) { return contract::pattern(count, 3); }

// --------------------------------------------------------------------------------- streams

class Streams : public UpgradeTest {
 protected:
  awaitable<void> write_into(Stream& stream, Bytes bytes, Result<>* out) {
    *out = co_await stream.write(bytes, soon());
    stream.close_write();
  }

  awaitable<void> slow_reader() {
    auto ends = co_await dial();
    const StreamPair stuck = co_await open(*ends);
    // As much as it takes while nobody reads.
    std::size_t taken = 0;
    for (;;) {
      const Bytes piece(64u << 10, 7);
      const auto written = co_await stuck.a->write(piece, world_.now() + 100ms);
      if (!written) break;
      taken += piece.size();
    }
    EXPECT_GE(taken, 256u << 10);
    EXPECT_LE(taken, (1u << 20) + (512u << 10));  // The window, what is unsent, and one piece.
    // Others flow meanwhile.
    for (int i = 0; i < 3; ++i) {
      const StreamPair beside = co_await open(*ends);
      const Bytes sent = bytes_of(5'000'000);
      Result<> written;
      runtime::TaskGroup tasks(*peer_host_, 1);
      EXPECT_TRUE(tasks.spawn(write_into(*beside.a, sent, &written)));
      Bytes got(sent.size());
      const auto read = co_await beside.b->read_full(got, soon());
      EXPECT_EQ(read.value_or(0), sent.size());
      EXPECT_TRUE(got == sent);
      co_await tasks.join();
    }
    // Nothing of the stuck one is lost.
    Bytes all(taken);
    const auto read = co_await stuck.b->read_full(all, soon());
    EXPECT_EQ(read.value_or(0), taken);
  }

  awaitable<void> reset_in_mid_transfer() {
    auto ends = co_await dial();
    const StreamPair broken = co_await open(*ends);
    const StreamPair beside = co_await open(*ends);
    Result<> wrote_broken;
    Result<> wrote_beside = fail(ErrorCode::kInternal, "not yet");
    runtime::TaskGroup tasks(*peer_host_, 2);
    EXPECT_TRUE(tasks.spawn(write_into(*broken.a, Bytes(20'000'000, 1), &wrote_broken)));
    EXPECT_TRUE(tasks.spawn(write_into(*beside.a, bytes_of(3'000'000), &wrote_beside)));
    Bytes some(1'000'000);
    const auto got = co_await broken.b->read_full(some, soon());
    EXPECT_EQ(got.value_or(0), some.size());
    broken.b->reset(CloseCode::kResourceLimit);
    const auto after = co_await broken.b->read_some(some, soon());
    EXPECT_FALSE(after);
    Bytes all(3'000'000);
    const auto read = co_await beside.b->read_full(all, soon());
    EXPECT_EQ(read.value_or(0), all.size());
    EXPECT_TRUE(all == bytes_of(3'000'000));
    const auto flushed = co_await broken.a->flush(soon());
    EXPECT_EQ(flushed.error().code(), ErrorCode::kReset);
    EXPECT_TRUE(wrote_beside);
    EXPECT_FALSE(ends->node->closed());
    co_await tasks.join();
    EXPECT_EQ(ends->node->stats().streams_open, 1u);
  }

  awaitable<void> unread_beyond_the_bound() {
    auto ends = co_await dial();
    std::vector<std::unique_ptr<Stream>> opened;
    for (int i = 0; i < 6; ++i) {
      auto stream = co_await ends->dialler->open_stream(soon());
      const auto written = co_await (*stream)->write(Bytes(250'000, 1), soon());
      EXPECT_TRUE(written);
      const auto flushed = co_await (*stream)->flush(soon());
      EXPECT_EQ(flushed.has_value(), i < 4);  // A million bytes is the bound.
      if (!flushed) EXPECT_EQ(flushed.error().code(), ErrorCode::kReset);
      opened.push_back(std::move(*stream));
    }
    for (int i = 0; i < 4; ++i) {
      const auto stream = co_await ends->node->accept_stream();
      Bytes all(250'000);
      const auto read = co_await (*stream)->read_full(all, soon());
      EXPECT_EQ(read.value_or(0), all.size());
    }
    EXPECT_FALSE(ends->node->closed());
    const StreamPair next = co_await open(*ends);  // There is room again.
    EXPECT_TRUE(next.b);
  }

  awaitable<void> flush_and_credit() {
    auto ends = co_await dial();
    const StreamPair pair = co_await open(*ends);
    bool written = co_await write_to(pair, 100'000);
    EXPECT_TRUE(written);
    const TimePoint begin = world_.now();
    const auto flushed = co_await pair.a->flush(soon());
    EXPECT_TRUE(flushed);
    EXPECT_GE(world_.now() - begin, 2ms);  // A round trip.
    const TimePoint again = world_.now();
    const auto nothing_new = co_await pair.a->flush(soon());
    EXPECT_TRUE(nothing_new);
    EXPECT_EQ(world_.now(), again);
    // Beyond the window nothing is confirmed until somebody reads.
    written = co_await write_to(pair, 300'000);
    EXPECT_TRUE(written);
    const auto late = co_await pair.a->flush(world_.now() + 1s);
    EXPECT_EQ(late.error().code(), ErrorCode::kTimedOut);
    Bytes all(400'000);
    const auto read = co_await pair.b->read_full(all, soon());
    EXPECT_EQ(read.value_or(0), all.size());
    const auto last = co_await pair.a->flush(soon());
    EXPECT_TRUE(last);
  }
  awaitable<bool> write_to(const StreamPair& pair, std::size_t count) {
    const auto done = co_await pair.a->write(bytes_of(count), soon());
    co_return done.has_value();
  }

  awaitable<void> many_small_writes() {
    auto ends = co_await dial();
    const StreamPair pair = co_await open(*ends);
    const Bytes sent = bytes_of(50'000);
    for (const std::uint8_t byte : sent) {
      const auto done = co_await pair.a->write(BytesView(&byte, 1), soon());
      EXPECT_TRUE(done);
    }
    Bytes all(sent.size());
    const auto read = co_await pair.b->read_full(all, soon());
    EXPECT_EQ(read.value_or(0), all.size());
    EXPECT_TRUE(all == sent);
    // Gathered on the way: not a frame with its 30 bytes of headers for each.
    EXPECT_LE(ends->dialler->stats().bytes_sent, 2 * sent.size());
  }
};

TEST_F(Streams, OneThatNobodyReadsHoldsUpNoOther) { play(slow_reader()); }
TEST_F(Streams, AResetInMidTransferLeavesOthersAlone) { play(reset_in_mid_transfer()); }
TEST_F(Streams, FlushWaitsForThePeersMuxerAndNotForNothing) { play(flush_and_credit()); }
TEST_F(Streams, SmallWritesAreGathered) { play(many_small_writes()); }
TEST_F(Streams, UnreadBytesBeyondTheBoundCostTheStreamThatBringsThem) {
  UpgradeConfig config;
  config.buffered_bytes_max = 1'000'000;
  start(config);
  play(unread_beyond_the_bound());
}

// ------------------------------------------------------------------------ dropped handles

class Dropped : public UpgradeTest {
 protected:
  awaitable<void> last_bytes_go_out() {
    auto ends = co_await dial();
    StreamPair pair = co_await open(*ends);
    const Bytes sent = bytes_of(900'000);  // More than the window.
    const auto written = co_await pair.a->write(sent, soon());
    EXPECT_TRUE(written);
    pair.a->close_write();
    pair.a.reset();
    const auto got = co_await read_all(*pair.b);
    EXPECT_TRUE(got.value_or(Bytes{}) == sent);
    pair.b->close_write();
    const bool gone =
        co_await eventually(*host_, [&] { return ends->dialler->stats().streams_open == 0; });
    EXPECT_TRUE(gone);
  }

  awaitable<Result<Bytes>> read_all(Stream& stream) {
    Bytes all;
    Bytes buffer(64u << 10);
    for (;;) {
      WARREN_CO_TRY(const std::size_t n, co_await stream.read_some(buffer, soon()));
      if (n == 0) co_return all;
      append(all, BytesView(buffer).first(n));
    }
  }

  awaitable<void> answers_are_unwanted() {
    auto ends = co_await dial();
    StreamPair pair = co_await open(*ends);
    pair.a->close_write();
    pair.a.reset();
    co_await host_->sleep_for(10ms);
    EXPECT_EQ(ends->dialler->stats().streams_open, 1u);  // The peer may still end it well.
    auto written = co_await pair.b->write(as_bytes("who reads this?"), soon());
    EXPECT_TRUE(written);
    co_await host_->sleep_for(10ms);
    EXPECT_EQ(ends->dialler->stats().streams_open, 0u);
    written = co_await pair.b->write(as_bytes("nobody"), soon());
    EXPECT_EQ(written.error().code(), ErrorCode::kReset);
  }

  awaitable<void> nobody_for_ever() {
    auto ends = co_await dial();
    StreamPair pair = co_await open(*ends);
    pair.a->close_write();
    pair.a.reset();
    co_await host_->sleep_for(20s);
    EXPECT_EQ(ends->dialler->stats().streams_open, 1u);
    co_await host_->sleep_for(50s);
    EXPECT_EQ(ends->dialler->stats().streams_open, 0u);
    Bytes buffer(10);
    const auto end = co_await pair.b->read_some(buffer, soon());
    EXPECT_EQ(end.value_or(99), 0u);  // What was said stays true.
    const auto written = co_await pair.b->write(as_bytes("?"), soon());
    EXPECT_EQ(written.error().code(), ErrorCode::kReset);
  }
};

TEST_F(Dropped, AHandleThatClosedItsWritingBringsItsLastBytesOut) { play(last_bytes_go_out()); }
TEST_F(Dropped, WhatIsSentToAHandleThatIsGoneIsAnsweredWithAReset) { play(answers_are_unwanted()); }
TEST_F(Dropped, AStreamThatThePeerNeverEndsIsResetAfterAWhile) { play(nobody_for_ever()); }

// ------------------------------------------------------------------------------------- ends

class Ends : public UpgradeTest {
 protected:
  awaitable<std::unique_ptr<Stream>> open_by_hand(RawEnds& ends) {
    const auto sent = co_await ends.raw->frame(Type::kWindowUpdate, yamux::kSyn, 1, 0);
    EXPECT_TRUE(sent);
    auto accepted = co_await ends.node->accept_stream();
    co_return std::move(accepted.value());
  }

  awaitable<void> without_goodbye() {
    auto ends = co_await shake();
    const auto stream = co_await open_by_hand(ends);
    ends.raw->stream->close();
    Bytes buffer(10);
    const auto read = co_await stream->read_some(buffer, soon());
    EXPECT_EQ(read.error().code(), ErrorCode::kReset);
  }

  awaitable<void> with_goodbye() {
    auto ends = co_await shake();
    const auto stream = co_await open_by_hand(ends);
    auto sent = co_await ends.raw->frame(Type::kGoAway, 0, 0, 0);
    EXPECT_TRUE(sent);
    co_await host_->sleep_for(10ms);
    EXPECT_FALSE(ends.node->closed());
    const auto opened = co_await ends.node->open_stream(soon());
    EXPECT_EQ(opened.error().code(), ErrorCode::kClosed);
    // What is open goes on, both ways.
    sent = co_await ends.raw->frame(Type::kData, 0, 1, 4, to_bytes("more"));
    EXPECT_TRUE(sent);
    Bytes buffer(4);
    auto read = co_await stream->read_full(buffer, soon());
    EXPECT_EQ(read.value_or(0), 4u);
    const auto written = co_await stream->write(as_bytes("answer"), soon());
    EXPECT_TRUE(written);
    const auto header = co_await ends.raw->next_frame(Type::kData);
    EXPECT_TRUE(header);
    EXPECT_EQ(as_text(ends.raw->body), "answer");
    ends.raw->stream->close();
    read = co_await stream->read_some(buffer, soon());
    EXPECT_EQ(read.error().code(), ErrorCode::kClosed);
    EXPECT_TRUE(ends.node->closed());
  }

  awaitable<void> says_goodbye() {
    auto ends = co_await shake();
    const auto stream = co_await open_by_hand(ends);
    const auto written = co_await stream->write(as_bytes("last words"), soon());
    EXPECT_TRUE(written);
    ends.node->close(CloseCode::kNone, "done");
    EXPECT_EQ(ends.node->close_reason(), "done");
    auto header = co_await ends.raw->next_frame(Type::kData);
    EXPECT_TRUE(header);
    EXPECT_EQ(as_text(ends.raw->body), "last words");
    header = co_await ends.raw->next_frame(Type::kGoAway);
    EXPECT_TRUE(header);
    if (header) EXPECT_EQ(header->length, 0u);
    const TimePoint begin = world_.now();
    Bytes buffer(10);
    const auto end = co_await ends.raw->stream->read_some(buffer, soon());
    EXPECT_EQ(end.value_or(99), 0u);
    EXPECT_LE(world_.now() - begin, 100ms);
  }

  awaitable<void> goodbye_to_the_deaf() {
    auto ends = co_await shake();
    const auto stream = co_await open_by_hand(ends);
    Result<> written;
    while (written) written = co_await stream->write(Bytes(64u << 10), world_.now() + 100ms);
    auto sent = co_await ends.raw->frame(Type::kWindowUpdate, 0, 1, 10u << 20);
    while (sent) {  // The bytes pile up in the network.
      sent = co_await stream->write(Bytes(64u << 10), world_.now() + 100ms);
    }
    const TimePoint begin = world_.now();
    co_await node_->close();
    EXPECT_GE(world_.now() - begin, 1s);
    EXPECT_LE(world_.now() - begin, 2s);
  }

  awaitable<void> silence() {
    auto ends = co_await shake();
    const TimePoint begin = world_.now();
    const auto accepted = co_await ends.node->accept_stream();
    EXPECT_EQ(accepted.error().code(), ErrorCode::kClosed);
    EXPECT_NE(ends.node->close_reason().find("ping"), std::string::npos);
    EXPECT_GE(world_.now() - begin, 9s);
    EXPECT_LE(world_.now() - begin, 11s);
  }

  awaitable<void> long_idle() {
    auto ends = co_await dial();
    co_await host_->sleep_for(600s);
    EXPECT_FALSE(ends->node->closed());
    EXPECT_GE(ends->node->stats().rtt, 2ms);
    const StreamPair pair = co_await open(*ends);
    EXPECT_TRUE(pair.b);
  }
};

TEST_F(Ends, BytesThatEndWithoutAGoodbyeResetTheStreams) { play(without_goodbye()); }
TEST_F(Ends, AfterGoAwayNothingOpensAndWhatIsOpenGoesOn) { play(with_goodbye()); }
TEST_F(Ends, CloseSendsWhatIsReadyThenGoAwayThenTheEnd) { play(says_goodbye()); }
TEST_F(Ends, APeerThatReadsNothingHoldsTheGoodbyeUpForASecond) { play(goodbye_to_the_deaf()); }
TEST_F(Ends, APeerThatAnswersNoPingIsGivenUpAfterTenSeconds) { play(silence()); }
TEST_F(Ends, AnIdleConnectionStaysUp) { play(long_idle()); }

// -------------------------------------------------------------------------------- resources

class Resources : public UpgradeTest {
 protected:
  awaitable<void> counted() {
    auto ends = co_await dial();
    const resources::Usage idle = manager_.snapshot().total;
    EXPECT_EQ(idle.connections(), 1u);
    EXPECT_NE(ends->node->scope(), nullptr);
    EXPECT_EQ(ends->dialler->scope(), nullptr);
    const StreamPair pair = co_await open(*ends);
    const auto written = co_await pair.a->write(Bytes(200'000), soon());
    EXPECT_TRUE(written);
    co_await host_->sleep_for(100ms);
    EXPECT_GE(ends->node->scope()->usage().memory_bytes(), 200'000u);
    // A fast reader makes the window grow, which is counted too.
    Bytes buffer(64u << 10);
    for (int i = 0; i < 100; ++i) {
      (void)co_await pair.a->write(Bytes(64u << 10), soon());
      (void)co_await pair.b->read_full(buffer, soon());
    }
    EXPECT_GE(ends->node->scope()->usage().memory_bytes(), 500'000u);
    EXPECT_EQ(manager_.snapshot().peers.size(), 1u);
    manager_.check_invariants();
  }

  awaitable<void> refused_unread() {
    std::vector<std::unique_ptr<RawPeer>> peers;
    const std::size_t most = manager_.limits().inbound_per_private;
    for (std::size_t i = 0; i < most + 5; ++i) {
      auto stream = co_await connect();
      peers.push_back(std::make_unique<RawPeer>(*peer_host_, std::move(stream)));
    }
    co_await peer_host_->sleep_for(10ms);
    EXPECT_EQ(node_->counters().refused_limit, 5u);
    const TimePoint begin = world_.now();
    co_await peers.back()->wait_for_end();
    EXPECT_LE(world_.now() - begin, 10ms);
    co_await peer_host_->sleep_for(6s);
    EXPECT_EQ(manager_.snapshot().total.connections(), 0u);
  }

  void start_counted() {
    UpgradeConfig config;
    config.resources = &manager_;
    start(config);
  }

  /// Fewer connections of one address than handshakes make room for each other.
  static resources::Manager::Options few_of_one_address() {
    resources::Manager::Options options;
    options.limits.inbound_per_private = 10;
    return options;
  }
  resources::Manager manager_{[this] { return host_->now(); }, few_of_one_address()};
};

TEST_F(Resources, ConnectionsWindowsAndUnreadBytesAreCountedAndGivenBack) {
  start_counted();
  play(counted());
  listener_.reset();
  EXPECT_EQ(manager_.snapshot().total, resources::Usage{});
}
TEST_F(Resources, AConnectionBeyondTheLimitIsClosedUnread) {
  start_counted();
  play(refused_unread());
}

}  // namespace
}  // namespace warren::transport
