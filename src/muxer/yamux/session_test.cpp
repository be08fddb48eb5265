#include "muxer/yamux/session_fixture.hpp"

namespace warren::muxer::yamux {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// ---------------------------------------------------------------------------- opening streams

TEST_F(YamuxSession, DialersIdsAreOddAndListenersEven) {
  Session& dialer = start_dialer();
  EXPECT_EQ(*dialer.open(), 1u);
  EXPECT_EQ(*dialer.open(), 3u);
  Session& listener = start();
  EXPECT_EQ(*listener.open(), 2u);
  EXPECT_EQ(*listener.open(), 4u);
}

TEST_F(YamuxSession, TheFirstFrameOfAStreamSaysSyn) {
  Session& session = start_dialer();
  ASSERT_TRUE(session.open());
  EXPECT_EQ(send(1, 5), "data SYN 1 5");
  EXPECT_EQ(send(1, 0, true), "data FIN 1 0");
  ASSERT_TRUE(session.open());
  EXPECT_EQ(send(3, 0, true), "data SYN FIN 3 0");
}

TEST_F(YamuxSession, AcknowledgesEveryStreamAtOnce) {
  start();
  ASSERT_TRUE(window(1, 0, kSyn));
  ASSERT_TRUE(data(3, "ab", kSyn));
  ASSERT_TRUE(data(5, "", kSyn | kFin));
  EXPECT_THAT(sent_text(), ElementsAre("window ACK 1 0", "window ACK 3 0", "window ACK 5 0"));
  EXPECT_THAT(events(), ElementsAre("stream 1", "stream 3", "stream 5", "end 5"));
  EXPECT_EQ(data_[3], "ab");
}

TEST_F(YamuxSession, IdsOfThePeerNeedNotComeInOrder) {
  start();
  for (const StreamId id : {5u, 1u, 3u, 9u, 7u}) ASSERT_TRUE(window(id, 0, kSyn));
  EXPECT_EQ(session_->stream_count(), 5u);
}

TEST_F(YamuxSession, RefusesASecondSynAndIdsOfOurOwnParity) {
  start();
  ASSERT_TRUE(window(1, 0, kSyn));
  expect_violation(window(1, 0, kSyn));
  start();
  expect_violation(window(2, 0, kSyn));
  start_dialer();
  expect_violation(data(1, "x", kSyn));
}

TEST_F(YamuxSession, StreamZeroCarriesNoData) {
  start();
  expect_violation(data(0, "x"));
  start();
  expect_violation(window(0, 1, kSyn));
  start();
  expect_violation(frame(Type::kPing, kSyn, 1, 0));
  start();
  expect_violation(frame(Type::kGoAway, 0, 1, 0));
}

TEST_F(YamuxSession, MalformedHeaderEndsTheSession) {
  start();
  expect_violation(session_->read(Bytes{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, now_));
  start();
  expect_violation(session_->read(Bytes{0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, now_));
  start();
  expect_violation(session_->read(Bytes{0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0}, now_));
}

TEST_F(YamuxSession, FramesMayBeCutAnywhere) {
  Bytes bytes;
  for (const auto& [flags, length] : {std::pair{kSyn, 3}, {kAck, 0}, {kFin, 4}}) {
    append(bytes, Header{.type = Type::kData,
                         .flags = flags,
                         .stream = 1,
                         .length = static_cast<std::uint32_t>(length)}
                      .encode());
    append(bytes, as_bytes(std::string("abcdefg").substr(flags == kFin ? 3 : 0,
                                                         static_cast<std::size_t>(length))));
  }
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    start();
    data_.clear();
    ASSERT_TRUE(session_->read(BytesView(bytes).first(cut), now_));
    ASSERT_TRUE(session_->read({}, now_));
    ASSERT_TRUE(session_->read(BytesView(bytes).subspan(cut), now_));
    EXPECT_EQ(data_[1], "abcdefg");
    EXPECT_THAT(events(), ElementsAre("stream 1", "end 1"));
  }
}

// ------------------------------------------------------------------------------------ windows

TEST_F(YamuxSession, WindowStartsAt256KiBAndUpdatesAddToItEvenWithSynAndAck) {
  Session& session = start_dialer();
  ASSERT_TRUE(session.open());
  EXPECT_EQ(session.sendable(1), 262'144u);
  (void)send(1, 262'144);
  EXPECT_EQ(session.sendable(1), 0u);
  ASSERT_TRUE(window(1, 100, kAck));
  EXPECT_EQ(session.sendable(1), 100u);
  EXPECT_THAT(events(), ElementsAre("window 1"));
  ASSERT_TRUE(window(1, 7));
  EXPECT_EQ(session.sendable(1), 107u);
  EXPECT_THAT(events(), IsEmpty());  // Only from zero on.
  ASSERT_TRUE(window(2, 50, kSyn));
  EXPECT_EQ(session.sendable(2), 262'194u);
  EXPECT_EQ(session.sendable(99), 0u);
}

TEST_F(YamuxSession, SynWithDataBeyondTheInitialWindowIsAViolation) {
  start();
  ASSERT_TRUE(frame(Type::kData, kSyn, 1, 262'144));
  start();
  expect_violation(frame(Type::kData, kSyn, 1, 262'145));
}

TEST_F(YamuxSession, CreditBeyond32BitsIsAViolation) {
  Session& session = start_dialer();
  ASSERT_TRUE(session.open());
  (void)send(1, 0);
  ASSERT_TRUE(window(1, 0xffff'ffff - 262'144));
  EXPECT_EQ(session.sendable(1), 0xffff'ffffu);
  expect_violation(window(1, 1));
  start();
  expect_violation(window(1, 0xffff'0000, kSyn));
}

TEST_F(YamuxSession, DataBeyondTheWindowIsAViolation) {
  start();
  ASSERT_TRUE(data(1, std::string(200'000, 'a'), kSyn));
  ASSERT_TRUE(data(1, std::string(62'143, 'a')));
  ASSERT_TRUE(data(1, "b"));
  expect_violation(frame(Type::kData, 0, 1, 1));
  start();
  ASSERT_TRUE(window(1, 0, kSyn));
  expect_violation(frame(Type::kData, kRst, 1, 262'145));
}

TEST_F(YamuxSession, CreditGoesBackWhenHalfAWindowIsConsumed) {
  Session& session = start();
  ASSERT_TRUE(data(1, std::string(262'144, 'a'), kSyn));
  (void)sent();
  now_ += 1h;  // Slow: the window does not grow.
  session.consumed(1, 131'071, now_);
  EXPECT_THAT(sent_text(), IsEmpty());
  session.consumed(1, 1, now_);
  EXPECT_THAT(sent_text(), ElementsAre("window 1 131072"));
  ASSERT_TRUE(data(1, std::string(131'072, 'b')));
  expect_violation(data(1, "c"));
}

TEST_F(YamuxSession, CreditThatWaitsIsAddedUpInOneFrame) {
  SessionConfig config;
  config.window_bytes_max = kInitialWindowBytes;
  Session& session = start(config);
  ASSERT_TRUE(window(1, 0, kSyn));
  ASSERT_TRUE(window(3, 0, kSyn));
  for (int i = 0; i < 1'000; ++i) {
    for (const StreamId id : {1u, 3u}) {
      ASSERT_TRUE(data(id, std::string(131'072, 'a')));
      session.consumed(id, 131'072, now_);
    }
  }
  // The acknowledgements were waiting too, and take the credit along.
  EXPECT_THAT(sent_text(), ElementsAre("window ACK 1 131072000", "window ACK 3 131072000"));
  ASSERT_TRUE(data(1, std::string(131'072, 'a')));
  session.consumed(1, 131'072, now_);
  EXPECT_THAT(sent_text(), ElementsAre("window 1 131072"));
}

TEST_F(YamuxSession, WindowDoublesWhenItIsUsedUpWithinFourRoundTrips) {
  std::int64_t reserved = 0;
  SessionConfig config;
  config.window_bytes_max = 1u << 20;
  config.reserve_window = [&](std::int64_t bytes) {
    reserved += bytes;
    return true;
  };
  session_.emplace(config, *this, now_);
  const auto ping = sent();
  now_ += 10ms;
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, ping.at(0).length));
  EXPECT_EQ(session_->rtt(), 10ms);
  ASSERT_TRUE(window(1, 0, kSyn));
  (void)sent();
  std::uint32_t half = 131'072;
  for (const std::uint32_t grown : {262'144u, 524'288u, 0u}) {
    ASSERT_TRUE(data(1, std::string(half, 'a')));
    now_ += 39ms;
    session_->consumed(1, half, now_);
    EXPECT_THAT(sent_text(), ElementsAre("window 1 " + std::to_string(half + grown)));
    if (grown > 0) half *= 2;
  }
  EXPECT_EQ(reserved, (1 << 20) - 262'144);
  // Given back when the stream has gone.
  ASSERT_TRUE(window(1, 0, kRst));
  EXPECT_EQ(reserved, 0);
}

TEST_F(YamuxSession, WindowKeepsItsSizeWhenSlowOrRefusedOrWithoutARoundTrip) {
  bool granted = true;
  std::int64_t reserved = 0;
  const auto credit_after = [&](Duration rtt, Duration pause) {
    SessionConfig config;
    config.reserve_window = [&](std::int64_t bytes) {
      if (granted) reserved += bytes;
      return granted;
    };
    session_.emplace(config, *this, now_);
    const auto ping = sent();
    now_ += rtt;
    if (rtt > 0s) EXPECT_TRUE(frame(Type::kPing, kAck, 0, ping.at(0).length));
    EXPECT_TRUE(data(1, std::string(131'072, 'a'), kSyn));
    (void)sent();
    now_ += pause;
    session_->consumed(1, 131'072, now_);
    return sent().at(0).length;
  };
  EXPECT_EQ(credit_after(10ms, 40ms), 131'072u);
  EXPECT_EQ(credit_after(0ms, 1ms), 131'072u);
  EXPECT_EQ(credit_after(10ms, 1ms), 131'072u + 262'144u);
  EXPECT_EQ(reserved, 262'144);
  granted = false;
  EXPECT_EQ(credit_after(10ms, 1ms), 131'072u);
  session_.reset();
}

TEST_F(YamuxSession, TheTimeOfAWindowBeginsWithItsFirstByteOrItsLastUpdate) {
  session_.emplace(SessionConfig{}, *this, now_);
  const auto ping = sent();
  now_ += 10ms;
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, ping.at(0).length));
  ASSERT_TRUE(window(1, 0, kSyn));
  (void)sent();
  now_ += 1h;  // A pause is no slowness: what counts begins now.
  ASSERT_TRUE(data(1, std::string(262'144, 'a')));
  now_ += 41ms;
  session_->consumed(1, 131'072, now_);
  EXPECT_THAT(sent_text(), ElementsAre("window 1 131072"));
  now_ += 39ms;  // From that update on it was fast, although bytes waited all the time.
  session_->consumed(1, 131'072, now_);
  EXPECT_THAT(sent_text(), ElementsAre("window 1 393216"));
  now_ += 1h;
  ASSERT_TRUE(data(1, std::string(100'000, 'a')));
  session_->consumed(1, 100'000, now_);
  now_ += 1h;
  ASSERT_TRUE(data(1, std::string(162'144, 'a')));
  session_->consumed(1, 162'144, now_);
  EXPECT_THAT(sent_text(), ElementsAre("window 1 262144"));
  now_ += 1h;
  ASSERT_TRUE(data(1, std::string(262'144, 'a')));
  session_->consumed(1, 262'144, now_);
  EXPECT_THAT(sent_text(), ElementsAre("window 1 786432"));
}

TEST_F(YamuxSession, ReservationsAreGivenBackWithTheSession) {
  std::int64_t reserved = 0;
  {
    SessionConfig config;
    config.reserve_window = [&](std::int64_t bytes) {
      reserved += bytes;
      return true;
    };
    start(config);
    now_ += 1ns;  // The round trip of start() took no time: it counts as the least there is.
    ASSERT_TRUE(data(1, std::string(131'072, 'a'), kSyn));
    session_->consumed(1, 131'072, now_);
    EXPECT_EQ(reserved, 262'144);
  }
  session_.reset();
  EXPECT_EQ(reserved, 0);
}

// ------------------------------------------------------------------------ ends and resets

TEST_F(YamuxSession, HalfCloseLeavesTheOtherDirectionOpen) {
  Session& session = start_dialer();
  ASSERT_TRUE(session.open());
  EXPECT_EQ(send(1, 10, true), "data SYN FIN 1 10");
  EXPECT_EQ(session.sendable(1), 0u);
  ASSERT_TRUE(window(1, 0, kAck));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(data(1, std::string(131'072, 'r')));
    session.consumed(1, 131'072, now_ += 1h);
  }
  EXPECT_EQ(data_[1].size(), 3 * 131'072u);
  ASSERT_TRUE(data(1, "last", kFin));
  EXPECT_TRUE(data_[1].ends_with("last"));
  EXPECT_THAT(events(), ElementsAre("end 1"));
  EXPECT_EQ(session.stream_count(), 0u);
}

TEST_F(YamuxSession, EndComesOnBothKindsOfFrames) {
  start();
  ASSERT_TRUE(window(1, 0, kSyn | kFin));
  ASSERT_TRUE(data(3, "x", kSyn | kFin));
  EXPECT_THAT(events(), ElementsAre("stream 1", "end 1", "stream 3", "end 3"));
  expect_violation(data(1, "late"));
  start();
  ASSERT_TRUE(window(1, 0, kSyn | kFin));
  expect_violation(window(1, 0, kFin));
}

TEST_F(YamuxSession, CreditStillComesAfterThePeersEnd) {
  Session& session = start();
  ASSERT_TRUE(window(1, 0, kSyn | kFin));
  (void)send(1, 262'144);
  ASSERT_TRUE(window(1, 5));
  EXPECT_EQ(session.sendable(1), 5u);
}

TEST_F(YamuxSession, ResetComesOnBothKindsOfFramesWithAnyLength) {
  Session& session = start();
  ASSERT_TRUE(window(1, 0, kSyn));
  ASSERT_TRUE(window(3, 0, kSyn));
  ASSERT_TRUE(window(1, 0xffff'ffff, kRst));  // An error code, by an extension.
  ASSERT_TRUE(data(3, "dropped", kRst));
  EXPECT_THAT(events(), ElementsAre("stream 1", "stream 3", "reset 1", "reset 3"));
  EXPECT_EQ(session.stream_count(), 0u);
  EXPECT_TRUE(data_[3].empty());
  ASSERT_TRUE(data(5, "x", kSyn | kRst));
  EXPECT_EQ(session.stream_count(), 0u);
}

TEST_F(YamuxSession, OurResetIsSaidOnceAndLateFramesAreDropped) {
  Session& session = start();
  ASSERT_TRUE(window(1, 0, kSyn));
  (void)sent();
  session.reset(1);
  session.reset(1);
  EXPECT_THAT(sent_text(), ElementsAre("window RST 1 0"));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(data(1, "in flight"));
  ASSERT_TRUE(window(1, 10));
  ASSERT_TRUE(window(1, 0, kFin));
  ASSERT_TRUE(window(1, 0, kRst));
  EXPECT_THAT(sent_text(), IsEmpty());
  EXPECT_THAT(events(), ElementsAre("stream 1"));
  EXPECT_TRUE(data_[1].empty());
}

TEST_F(YamuxSession, AResetInTheMiddleOfABodyDropsItsRest) {
  start();
  on_data_ = [&](StreamId id) { session_->reset(id); };
  ASSERT_TRUE(frame(Type::kData, kSyn | kFin, 1, 6, "abc"));
  ASSERT_TRUE(session_->read(as_bytes("def"), now_));
  EXPECT_EQ(data_[1], "abc");
  EXPECT_THAT(events(), ElementsAre("stream 1"));
  ASSERT_TRUE(window(3, 0, kSyn));  // The frames are still in step.
  EXPECT_THAT(events(), ElementsAre("stream 3"));
}

TEST_F(YamuxSession, AStreamThatThePeerNeverHeardOfIsForgottenSilently) {
  Session& session = start_dialer();
  ASSERT_TRUE(session.open());
  session.reset(1);
  EXPECT_THAT(sent_text(), IsEmpty());
  EXPECT_EQ(session.stream_count(), 0u);
}

TEST_F(YamuxSession, FramesForStreamsThatWereNeverOpenAreAnsweredWithOneReset) {
  start();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(data(7, "x"));
  EXPECT_THAT(sent_text(), ElementsAre("window RST 7 0"));
  ASSERT_TRUE(data(2, "x"));
  EXPECT_THAT(sent_text(), ElementsAre("window RST 2 0"));
  ASSERT_TRUE(data(9, ""));
  ASSERT_TRUE(window(9, 100));
  ASSERT_TRUE(window(9, 0, kFin));
  ASSERT_TRUE(window(9, 0, kRst));
  EXPECT_THAT(sent_text(), IsEmpty());
  EXPECT_THAT(events(), IsEmpty());
  expect_violation(frame(Type::kData, 0, 9, (16u << 20) + 1));
}

TEST_F(YamuxSession, HandlersMayBreakOffTheVeryStream) {
  Session& session = start_dialer();
  ASSERT_TRUE(session.open());
  (void)send(1, 1);
  on_backlog_ = [&] { session_->reset(1); };
  ASSERT_TRUE(data(1, "answer", kAck | kFin));
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_EQ(session.stream_count(), 0u);
  EXPECT_THAT(sent_text(), ElementsAre("window RST 1 0"));
}

}  // namespace
}  // namespace warren::muxer::yamux
