// Bounds, pings and go-away of the session.

#include "muxer/yamux/session_fixture.hpp"

namespace warren::muxer::yamux {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// ------------------------------------------------------------------------------------- limits

TEST_F(YamuxSession, NoMoreThanTheBacklogWaitsToBeAccepted) {
  SessionConfig config;
  config.backlog_max = 3;
  Session& session = start_dialer(config);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(session.open());
  EXPECT_EQ(session.open().error().code(), ErrorCode::kLimited);
  (void)send(1, 1);
  ASSERT_TRUE(window(1, 0, kAck));
  ASSERT_TRUE(window(1, 0));
  EXPECT_EQ(backlog_calls_, 1);
  ASSERT_TRUE(session.open());
  EXPECT_FALSE(session.open());
  (void)send(3, 1);
  ASSERT_TRUE(data(3, "", kRst));  // Refused: that frees a place as well.
  EXPECT_EQ(backlog_calls_, 2);
  ASSERT_TRUE(session.open());
  session.reset(5);
  ASSERT_TRUE(session.open());
}

TEST_F(YamuxSession, StreamsBeyondTheLimitAreRefusedAndTheOthersGoOn) {
  SessionConfig config;
  config.streams_inbound_max = 2;
  start(config);
  ASSERT_TRUE(window(1, 0, kSyn));
  ASSERT_TRUE(window(3, 0, kSyn));
  ASSERT_TRUE(data(5, "dropped", kSyn));
  ASSERT_TRUE(data(5, "dropped too"));
  EXPECT_THAT(sent_text(), ElementsAre("window ACK 1 0", "window ACK 3 0", "window RST 5 0"));
  ASSERT_TRUE(data(3, "kept"));
  EXPECT_EQ(data_[3], "kept");
  EXPECT_TRUE(data_[5].empty());
  ASSERT_TRUE(window(1, 0, kRst));
  ASSERT_TRUE(window(7, 0, kSyn));
  EXPECT_THAT(sent_text(), ElementsAre("window ACK 7 0"));
}

TEST_F(YamuxSession, ARefusedStreamHasNoLargerWindow) {
  SessionConfig config;
  config.streams_inbound_max = 0;
  start(config);
  ASSERT_TRUE(frame(Type::kData, kSyn, 1, 262'144));
  start(config);
  expect_violation(frame(Type::kData, kSyn, 1, 262'145));
}

TEST_F(YamuxSession, AHundredThousandStreamsTakeNoMoreThanTheLimit) {
  Session& session = start();
  std::size_t refused = 0;
  std::size_t most_bytes = 0;
  for (StreamId id = 1; id < 200'000; id += 2) {
    ASSERT_TRUE(window(id, 0, kSyn));
    most_bytes = std::max(most_bytes, session.output().size());
    if (id % 1'000 == 1) {
      for (const Header& header : sent()) refused += header.has(kRst) ? 1 : 0;
    }
  }
  for (const Header& header : sent()) refused += header.has(kRst) ? 1 : 0;
  EXPECT_EQ(session.stream_count(), 256u);
  EXPECT_EQ(refused, 100'000u - 256);
  EXPECT_LE(most_bytes, 64u << 10);
}

TEST_F(YamuxSession, AFloodWhoseAnswersNobodyReadsEndsTheSession) {
  for (const Type type : {Type::kPing, Type::kWindowUpdate, Type::kData}) {
    Session& session = start();
    Result<> result;
    std::uint32_t count = 0;
    while (result && count < 100'000) {
      const StreamId id = type == Type::kPing ? 0 : 2 * count + 1;
      result = frame(type, type == Type::kData ? 0 : kSyn, id, type == Type::kData ? 1 : 0,
                     type == Type::kData ? "x" : "");
      ++count;
    }
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::kLimited);
    EXPECT_LE(session.output().size(), 64u << 10);
    EXPECT_EQ(count, (64u << 10) / 12 + 1);
  }
}

TEST_F(YamuxSession, IdsEndBeforeTheyRepeat) {
  SessionConfig config;
  config.stream_id_max = 5;
  Session& session = start_dialer(config);
  for (const StreamId id : {1u, 3u, 5u}) EXPECT_EQ(*session.open(), id);
  EXPECT_EQ(session.open().error().code(), ErrorCode::kClosed);
}

// -------------------------------------------------------------------------- ping and go-away

TEST_F(YamuxSession, PingIsAnsweredWithItsValue) {
  start();
  ASSERT_TRUE(frame(Type::kPing, kSyn, 0, 0xdead'beef));
  EXPECT_THAT(sent_text(), ElementsAre("ping ACK 0 3735928559"));
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 77));  // Nobody asked: nothing happens.
  EXPECT_THAT(sent_text(), IsEmpty());
}

TEST_F(YamuxSession, PingsMeasureTheRoundTripAndGoOn) {
  Session& session = start_dialer();
  EXPECT_EQ(session.next_timer(), now_ + 30s);
  ASSERT_TRUE(session.handle_timer(now_ + 29s));
  EXPECT_THAT(sent_text(), IsEmpty());
  now_ += 30s;
  ASSERT_TRUE(session.handle_timer(now_));
  EXPECT_THAT(sent_text(), ElementsAre("ping SYN 0 2"));
  now_ += 30ms;
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 1));  // An old value.
  EXPECT_NE(session.rtt(), 30ms);
  now_ += 50ms;
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 2));
  EXPECT_EQ(session.rtt(), 80ms);
  EXPECT_EQ(session.next_timer(), now_ + 30s);
}

TEST_F(YamuxSession, AnAskedForPingTellsOfItsOwnAnswerOnly) {
  Session& session = start_dialer();
  EXPECT_FALSE(session.ping_pending());
  session.ping();
  EXPECT_TRUE(session.ping_pending());
  EXPECT_THAT(sent_text(), ElementsAre("ping SYN 0 2"));
  now_ += 30s;
  ASSERT_TRUE(session.handle_timer(now_));  // One of the timer beside it.
  EXPECT_THAT(sent_text(), ElementsAre("ping SYN 0 3"));
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 3));
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 1));
  ASSERT_TRUE(frame(Type::kPing, kSyn, 0, 2));  // The peer's own ping, with the same value.
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_TRUE(session.ping_pending());
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 2));
  EXPECT_THAT(events(), ElementsAre("pong 0"));
  EXPECT_FALSE(session.ping_pending());
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 2));  // Once.
  EXPECT_THAT(events(), IsEmpty());
  session.ping();
  EXPECT_TRUE(session.ping_pending());
}

TEST_F(YamuxSession, AnAskedForPingIsNoMeasureOfTheRoundTrip) {
  Session& session = start_dialer();
  now_ += 30s;
  ASSERT_TRUE(session.handle_timer(now_));
  session.ping();
  now_ += 70ms;
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 3));
  EXPECT_NE(session.rtt(), 70ms);
  ASSERT_TRUE(frame(Type::kPing, kAck, 0, 2));
  EXPECT_EQ(session.rtt(), 70ms);
}

TEST_F(YamuxSession, ASilentPeerIsDeadAfterTheTimeout) {
  session_.emplace(SessionConfig{}, *this, now_);
  EXPECT_EQ(session_->next_timer(), now_ + 10s);
  ASSERT_TRUE(session_->handle_timer(now_ + 9s));
  EXPECT_EQ(session_->handle_timer(now_ + 10s).error().code(), ErrorCode::kTimedOut);
}

TEST_F(YamuxSession, BytesFromBeforeThePingAreNoSignOfLife) {
  Session& session = start();
  ASSERT_TRUE(window(1, 0, kSyn));
  now_ += 30s;
  ASSERT_TRUE(session.handle_timer(now_));
  EXPECT_FALSE(session.handle_timer(now_ + 10s));
}

TEST_F(YamuxSession, ASlowLinkThatStillDeliversBytesIsNotDead) {
  session_.emplace(SessionConfig{}, *this, now_);
  for (int i = 0; i < 5; ++i) {
    now_ += 10s;
    ASSERT_TRUE(session_->read(Bytes{0}, now_));
    ASSERT_TRUE(session_->handle_timer(now_));
    EXPECT_EQ(session_->next_timer(), now_ + 10s);
  }
  EXPECT_FALSE(session_->handle_timer(now_ + 10s));
}

TEST_F(YamuxSession, AfterThePeersGoAwayNoStreamIsOpenedAndOldOnesGoOn) {
  Session& session = start_dialer();
  ASSERT_TRUE(session.open());
  ASSERT_TRUE(frame(Type::kGoAway, 0, 0, 0));
  EXPECT_THAT(events(), ElementsAre("go-away 0"));
  EXPECT_EQ(session.open().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(send(1, 4), "data SYN 1 4");
  ASSERT_TRUE(data(1, "still", kAck));
  EXPECT_EQ(data_[1], "still");
}

TEST_F(YamuxSession, AfterOurGoAwayNewStreamsAreRefusedAndOldOnesGoOn) {
  Session& session = start();
  ASSERT_TRUE(window(1, 0, kSyn));
  session.go_away(GoAwayCode::kNormal);
  session.go_away(GoAwayCode::kInternalError);
  ASSERT_TRUE(window(3, 0, kSyn));
  EXPECT_THAT(sent_text(), ElementsAre("window ACK 1 0", "go-away 0 0", "window RST 3 0"));
  ASSERT_TRUE(data(1, "still"));
  EXPECT_EQ(data_[1], "still");
  EXPECT_FALSE(session.open());
}

}  // namespace
}  // namespace warren::muxer::yamux
