#include "transport/quic/stream_state.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "sim/world.hpp"

namespace warren::transport::quic {
namespace {

struct FakeOwner final : StreamOwner {
  void stream_ready(StreamState&) override { ++ready; }
  void give_credit(std::int64_t, std::size_t count) override { credit += count; }
  void stop_reading(std::int64_t, CloseCode) override { ++stopped_reading; }
  void stop_writing(std::int64_t, CloseCode) override { ++stopped_writing; }
  void stream_drained(std::int64_t) override { ++drained; }
  bool reserve_copied(std::size_t bytes) override {
    if (copied + bytes > copied_max) return false;
    copied += bytes;
    return true;
  }
  void release_copied(std::size_t bytes) override { copied -= bytes; }
  int ready = 0;
  std::size_t credit = 0;
  int stopped_reading = 0;
  int stopped_writing = 0;
  int drained = 0;
  std::size_t copied = 0;
  std::size_t copied_max = 1u << 20;
};

Bytes counting(std::size_t count) {
  Bytes bytes(count);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  return bytes;
}

class StreamStateTest : public ::testing::Test {
 protected:
  using Read = std::shared_ptr<runtime::TaskOutcome<Result<std::size_t>>>;
  using Write = std::shared_ptr<runtime::TaskOutcome<Result<>>>;

  Read start_read(MutableBytes out, std::size_t least, TimePoint deadline = kNever) {
    const Read read =
        runtime::start_task(world.executor(), state.read(out, least, deadline), [] {});
    settle();
    return read;
  }
  Write start_write(Bytes bytes) {
    const Write write = runtime::start_task(
        world.executor(), state.write(SharedBytes(std::move(bytes)), kNever), [] {});
    settle();
    return write;
  }
  Result<> write_copy(BytesView bytes) {
    const Write write =
        runtime::start_task(world.executor(), state.write(bytes, world.now()), [] {});
    settle();
    return write->get();
  }
  void settle() { world.run_for(1us); }
  /// Sends up to `count` bytes as a connection would; returns what went.
  Bytes send(std::size_t count) {
    std::array<BytesView, 4> views;
    const auto gathered = state.gather(views);
    Bytes sent;
    std::size_t offered = 0;
    for (std::size_t i = 0; i < gathered.count; ++i) {
      offered += views[i].size();
      append(sent, views[i].first(std::min(views[i].size(), count - sent.size())));
    }
    state.on_sent(sent.size(), gathered.fin && sent.size() == offered);
    return sent;
  }

  sim::World world{1};
  std::unique_ptr<runtime::Runtime> runtime = world.make_runtime(1);
  FakeOwner owner;
  StreamState state{*runtime, owner, 4, 1'000};
};

TEST_F(StreamStateTest, SmallCopiesAreGatheredAndCountedUntilTheyAreAcknowledged) {
  for (std::size_t i = 0; i < 900; ++i) ASSERT_TRUE(write_copy(Bytes(1, std::uint8_t(i))));
  // A byte each, in two chunks: not an allocation a byte.
  EXPECT_LE(owner.copied, 10u << 10);
  EXPECT_GE(owner.copied, 900u);
  Bytes sent;
  for (const std::size_t count : {1u, 300u, 400u, 199u}) append(sent, send(count));
  ASSERT_EQ(sent.size(), 900u);
  for (std::size_t i = 0; i < sent.size(); ++i) ASSERT_EQ(sent[i], std::uint8_t(i));
  // All has gone out: what is written now stands in a chunk of its own.
  ASSERT_TRUE(write_copy(counting(10)));
  EXPECT_EQ(send(10), counting(10));
  state.on_acked(900);
  EXPECT_GE(owner.copied, 10u);
  EXPECT_LT(owner.copied, 900u);
  state.on_acked(10);
  EXPECT_EQ(owner.copied, 0u);
}

TEST_F(StreamStateTest, ACopyWithoutMemoryForItIsRefusedAndNothingIsHeld) {
  owner.copied_max = 4'096;
  ASSERT_TRUE(write_copy(counting(100)));
  const Result<> refused = write_copy(Bytes(5'000));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kLimited);
  EXPECT_EQ(send(10'000), counting(100));
  state.reset(CloseCode::kNone);
  EXPECT_FALSE(state.finish());
  EXPECT_EQ(owner.copied, 0u);
}

TEST_F(StreamStateTest, AResetLetsGoOfWhatWasNotSent) {
  const auto owned = std::make_shared<const Bytes>(counting(100));
  const auto chunk = [&] { return SharedBytes(owned, BytesView(*owned)); };
  for (int i = 0; i < 5; ++i) {
    const auto write = runtime::start_task(world.executor(), state.write(chunk(), kNever), [] {});
    settle();
    ASSERT_TRUE(write->done);
  }
  EXPECT_EQ(owned.use_count(), 6);
  send(150);  // The library has seen the first chunk and half of the second.
  state.reset(CloseCode::kNone);
  EXPECT_EQ(owned.use_count(), 3) << "those two it may still send again";
  EXPECT_FALSE(state.wants_to_send());
  state.on_acked(100);
  EXPECT_EQ(owned.use_count(), 2);
  EXPECT_FALSE(state.finish());
  EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(StreamStateTest, APeerThatStopsReadingLetsGoOfWhatWasNotSent) {
  const auto owned = std::make_shared<const Bytes>(counting(100));
  const auto write = runtime::start_task(
      world.executor(), state.write(SharedBytes(owned, BytesView(*owned)), kNever), [] {});
  settle();
  state.on_stop_sending(7);
  EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(StreamStateTest, BytesForAWaitingReaderArriveInPlaceAndAreCreditedAtOnce) {
  Bytes out(10);
  const Read read = start_read(out, 10);
  state.on_data(counting(4), false);
  EXPECT_EQ(owner.credit, 4u);
  settle();
  EXPECT_FALSE(read->done);
  state.on_data(counting(8), false);
  settle();
  ASSERT_TRUE(read->done);
  EXPECT_EQ(*read->get(), 10u);
  EXPECT_EQ(out, (Bytes{0, 1, 2, 3, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(owner.credit, 10u);  // The two that nobody asked for wait without credit.
}

TEST_F(StreamStateTest, WhatNobodyReadsIsNotCredited) {
  state.on_data(counting(200), false);
  EXPECT_EQ(owner.credit, 0u);
  Bytes out(50);
  const Read read = start_read(out, 1);
  ASSERT_TRUE(read->done);
  EXPECT_EQ(*read->get(), 50u);
  EXPECT_EQ(owner.credit, 50u);
  state.release();
  EXPECT_EQ(owner.credit, 200u);  // Dropped bytes count as consumed, or the connection would stall.
}

TEST_F(StreamStateTest, BytesReadAfterBothSidesEndedAreCreditedToTheConnection) {
  state.on_data(counting(100), true);
  EXPECT_TRUE(state.finish());
  Bytes out(60);
  EXPECT_EQ(*start_read(out, 60)->get(), 60u);
  EXPECT_EQ(owner.credit, 60u);
  EXPECT_EQ(owner.drained, 0);
  EXPECT_EQ(*start_read(out, 40)->get(), 40u);
  EXPECT_EQ(owner.credit, 100u);
  EXPECT_EQ(owner.drained, 1);
}

TEST_F(StreamStateTest, BytesThatADroppedHandleLeavesAfterTheEndAreCreditedToo) {
  state.on_data(counting(100), true);
  EXPECT_TRUE(state.finish());
  state.release();
  EXPECT_EQ(owner.credit, 100u);
  EXPECT_EQ(owner.drained, 1);
  EXPECT_EQ(owner.stopped_reading, 0);
}

TEST_F(StreamStateTest, ReadFullGivesLessOnlyAtTheEnd) {
  Bytes out(10);
  const Read read = start_read(out, 10);
  state.on_data(counting(3), true);
  settle();
  ASSERT_TRUE(read->done);
  EXPECT_EQ(*read->get(), 3u);
  const Read after = start_read(out, 1);
  ASSERT_TRUE(after->done);
  EXPECT_EQ(*after->get(), 0u);
}

TEST_F(StreamStateTest, AReadEndsAtItsDeadlineAndLosesNothing) {
  Bytes out(10);
  const Read read = start_read(out, 1, world.now() + 1s);
  world.run_for(2s);
  ASSERT_TRUE(read->done);
  EXPECT_EQ(read->get().error().code(), ErrorCode::kTimedOut);
  state.on_data(counting(4), false);
  const Read again = start_read(out, 1);
  ASSERT_TRUE(again->done);
  EXPECT_EQ(*again->get(), 4u);
}

TEST_F(StreamStateTest, AWriterWaitsAtTheBoundAndGoesOnWhenHalfIsGone) {
  EXPECT_TRUE(start_write(counting(1'000))->done);
  const Write second = start_write(counting(10));
  EXPECT_FALSE(second->done);
  EXPECT_EQ(send(400).size(), 400u);
  settle();
  EXPECT_FALSE(second->done);
  EXPECT_EQ(send(200).size(), 200u);
  settle();
  ASSERT_TRUE(second->done);
  EXPECT_TRUE(second->get());
}

TEST_F(StreamStateTest, SentBytesStayUntilAcknowledgedInAnyPieces) {
  auto held = std::make_shared<const Bytes>(counting(100));
  const std::weak_ptr<const Bytes> alive = held;
  {
    const SharedBytes shared(held, *held);
    held.reset();
    const Write write = runtime::start_task(world.executor(), state.write(shared, kNever), [] {});
    settle();
    EXPECT_TRUE(write->done);
  }
  EXPECT_TRUE(start_write(counting(50))->done);
  Bytes sent = send(70);
  append(sent, send(1'000));
  EXPECT_EQ(sent.size(), 150u);
  EXPECT_FALSE(state.wants_to_send());
  settle();
  state.on_acked(60);
  EXPECT_FALSE(alive.expired());
  state.on_acked(90);
  settle();
  EXPECT_TRUE(alive.expired());
}

TEST_F(StreamStateTest, TheEndIsSentOnceBehindTheLastByte) {
  EXPECT_TRUE(start_write(counting(5))->done);
  state.close_write();
  std::array<BytesView, 1> views;
  EXPECT_TRUE(state.gather(views).fin);
  state.on_sent(5, true);
  EXPECT_FALSE(state.wants_to_send());
  const Write late = start_write(counting(1));
  ASSERT_TRUE(late->done);
  EXPECT_EQ(late->get().error().code(), ErrorCode::kClosed);
}

TEST_F(StreamStateTest, AResetFromThePeerEndsReaderAndStopSendingTheWriter) {
  Bytes out(4);
  const Read read = start_read(out, 4);
  state.on_reset(0x1002);
  settle();
  ASSERT_TRUE(read->done);
  EXPECT_EQ(read->get().error().code(), ErrorCode::kReset);
  EXPECT_TRUE(start_write(counting(1'000))->done);
  const Write write = start_write(counting(1));
  state.on_stop_sending(0);
  settle();
  ASSERT_TRUE(write->done);
  EXPECT_EQ(write->get().error().code(), ErrorCode::kReset);
  EXPECT_FALSE(state.wants_to_send());
}

TEST_F(StreamStateTest, DroppingAnUnfinishedHandleBreaksBothSidesOff) {
  state.release();
  EXPECT_EQ(owner.stopped_reading, 1);
  EXPECT_EQ(owner.stopped_writing, 1);
}

TEST_F(StreamStateTest, DroppingAFinishedHandleBreaksNothingOff) {
  state.close_write();
  state.on_data({}, true);
  state.release();
  EXPECT_EQ(owner.stopped_reading, 0);
  EXPECT_EQ(owner.stopped_writing, 0);
  EXPECT_TRUE(state.wants_to_send());  // Its end still goes out.
}

TEST_F(StreamStateTest, OutlivesItsConnection) {
  Bytes out(4);
  const Read read = start_read(out, 4);
  state.detach(Error(ErrorCode::kReset, "the connection ended"));
  settle();
  ASSERT_TRUE(read->done);
  EXPECT_EQ(read->get().error().code(), ErrorCode::kReset);
  EXPECT_FALSE(start_write(counting(1))->get());
  state.close_write();
  state.reset(CloseCode::kNone);
  state.release();
  EXPECT_EQ(owner.stopped_reading, 0);
}

TEST_F(StreamStateTest, WhatArrivedBeforeTheConnectionEndedCanStillBeRead) {
  state.on_data(counting(8), true);
  state.detach(Error(ErrorCode::kClosed, "the connection ended"));
  Bytes out(20);
  const Read read = start_read(out, 20);
  ASSERT_TRUE(read->done);
  EXPECT_EQ(*read->get(), 8u);
}

}  // namespace
}  // namespace warren::transport::quic
