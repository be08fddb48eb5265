// Peers that are through with the handshake and then break the rules, or ask for too much.

#include "transport/upgrade/upgrade_for_test.hpp"

namespace warren::transport {
namespace {

using yamux::Type;

// ----------------------------------------------------------------------------- broken rules

class BrokenRules : public UpgradeTest {
 protected:
  /// The node says go-away with a protocol error, closes, and serves others.
  awaitable<void> expect_thrown_out(RawEnds ends) {
    const auto header = co_await ends.raw->next_frame(Type::kGoAway);
    EXPECT_TRUE(header) << header.error().message();
    if (header) EXPECT_EQ(header->length, 1u);
    co_await ends.raw->wait_for_end();
    EXPECT_TRUE(ends.node->closed());
    EXPECT_FALSE(ends.node->close_reason().empty());
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }

  awaitable<void> after(unsigned flags, Type type, std::uint32_t id, std::uint32_t length) {
    auto ends = co_await shake();
    const auto sent = co_await ends.raw->frame(type, flags, id, length);
    EXPECT_TRUE(sent);
    co_await expect_thrown_out(std::move(ends));
  }

  awaitable<void> credit_overflow() {
    auto ends = co_await shake();
    auto sent = co_await ends.raw->frame(Type::kWindowUpdate, yamux::kSyn, 1, 0xffff'0000);
    EXPECT_TRUE(sent);
    co_await expect_thrown_out(std::move(ends));
    ends = co_await shake();
    sent = co_await ends.raw->frame(Type::kWindowUpdate, yamux::kSyn, 1, 0);
    for (int i = 0; i < 3 && sent; ++i) {
      sent = co_await ends.raw->frame(Type::kWindowUpdate, 0, 1, 0x7fff'ffff);
    }
    co_await expect_thrown_out(std::move(ends));
  }

  awaitable<void> beyond_the_window() {
    auto ends = co_await shake();
    auto sent = co_await ends.raw->frame(Type::kData, yamux::kSyn, 1, 262'144, Bytes(262'144));
    EXPECT_TRUE(sent);
    sent = co_await ends.raw->frame(Type::kData, 0, 1, 1, Bytes(1));
    co_await expect_thrown_out(std::move(ends));
  }

  awaitable<void> not_yamux() {
    auto ends = co_await shake();
    const auto sent = co_await ends.raw->send(to_bytes("GET / HTTP/1.1\r\n\r\n"));
    EXPECT_TRUE(sent);
    co_await expect_thrown_out(std::move(ends));
  }

  awaitable<void> wrong_tag() {
    auto ends = co_await shake();
    auto opened = co_await open_by_hand(ends);
    Bytes frame = ends.raw->seal(RawPeer::encoded(Type::kData, 0, 1, 0));
    frame.back() ^= 1;
    const auto sent = co_await ends.raw->write(frame);
    EXPECT_TRUE(sent);
    co_await ends.raw->wait_for_end();
    Bytes buffer(10);
    const auto read = co_await opened->read_some(buffer, soon());
    EXPECT_EQ(read.error().code(), ErrorCode::kReset);
    EXPECT_NE(ends.node->close_reason().find("tag"), std::string::npos);
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }
  /// The raw peer opens stream 1; the node's end of it.
  awaitable<std::unique_ptr<Stream>> open_by_hand(RawEnds& ends) {
    const auto sent = co_await ends.raw->frame(Type::kWindowUpdate, yamux::kSyn, 1, 0);
    EXPECT_TRUE(sent);
    auto accepted = co_await ends.node->accept_stream();
    co_return std::move(accepted.value());
  }

  awaitable<void> cut_everywhere() {
    // One stream with a byte, cut off at every place.
    std::size_t all = SIZE_MAX;
    for (std::size_t cut = 0; cut < all; ++cut) {
      auto ends = co_await shake();
      Bytes plain = RawPeer::encoded(Type::kData, yamux::kSyn, 1, 3);
      append(plain, as_bytes("abc"));
      const Bytes frame = ends.raw->seal(plain);
      all = frame.size();
      const auto sent = co_await ends.raw->write(to_bytes(BytesView(frame).first(cut)));
      EXPECT_TRUE(sent);
      ends.raw->stream->close();
      const auto accepted = co_await ends.node->accept_stream();
      EXPECT_EQ(accepted.error().code(), ErrorCode::kClosed) << cut;
      EXPECT_TRUE(ends.node->closed());
    }
    EXPECT_EQ(all, 2u + 12 + 3 + 16);
  }

  awaitable<void> garbage() {
    std::mt19937 dice(11);
    for (int round = 0; round < 100; ++round) {
      auto ends = co_await shake();
      Bytes bytes(200);
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(dice());
      if (round % 2 == 0) {
        (void)co_await ends.raw->send(bytes);
      } else {
        (void)co_await ends.raw->write(bytes);
        ends.raw->stream->close();
      }
      const bool closed = co_await eventually(*host_, [&] { return ends.node->closed(); });
      EXPECT_TRUE(closed) << round;
    }
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }
};

TEST_F(BrokenRules, DataWithSynOf262145BytesEndsTheConnection) {
  play(after(yamux::kSyn, Type::kData, 1, 262'145));
}
TEST_F(BrokenRules, WindowCreditBeyond32BitsEndsTheConnection) { play(credit_overflow()); }
TEST_F(BrokenRules, DataBeyondTheWindowEndsTheConnection) { play(beyond_the_window()); }
TEST_F(BrokenRules, AStreamIdOfOursEndsTheConnection) {
  play(after(yamux::kSyn, Type::kWindowUpdate, 2, 0));
}
TEST_F(BrokenRules, AnotherProtocolInTheChannelEndsTheConnection) { play(not_yamux()); }
TEST_F(BrokenRules, AWrongTagEndsTheConnectionAndResetsItsStreams) { play(wrong_tag()); }
TEST_F(BrokenRules, AFrameCutAtAnyByteEndsTheConnection) { play(cut_everywhere()); }
TEST_F(BrokenRules, GarbageInTheChannelAndBelowItEndsTheConnection) { play(garbage()); }

// ----------------------------------------------------------------------------------- floods

class Floods : public UpgradeTest {
 protected:
  /// Frames of 1,000 streams in one sealed piece.
  static Bytes thousand(std::uint32_t first, bool reset) {
    Bytes bytes;
    for (std::uint32_t i = 0; i < 1'000; ++i) {
      const std::uint32_t id = first + 2 * i;
      append(bytes, RawPeer::encoded(Type::kData, yamux::kSyn, id, 1));
      bytes.push_back('x');
      if (reset) append(bytes, RawPeer::encoded(Type::kWindowUpdate, yamux::kRst, id, 0));
    }
    return bytes;
  }

  awaitable<void> count_resets(RawPeer& raw, std::size_t* resets) {
    for (;;) {
      const auto header = co_await raw.next_frame();
      if (!header) co_return;
      if (header->has(yamux::kRst)) ++*resets;
    }
  }

  awaitable<void> hundred_thousand() {
    auto ends = co_await shake();
    std::size_t resets = 0;
    runtime::TaskGroup tasks(*peer_host_, 1);
    EXPECT_TRUE(tasks.spawn(count_resets(*ends.raw, &resets)));
    for (std::uint32_t i = 0; i < 100; ++i) {
      const auto sent = co_await ends.raw->send(thousand(1 + 2'000 * i, false));
      EXPECT_TRUE(sent);
      if (i % 25 == 0) {
        const bool served = co_await is_served();
        EXPECT_TRUE(served);
      }
    }
    co_await peer_host_->sleep_for(100ms);
    EXPECT_EQ(ends.node->stats().streams_open, 256u);
    EXPECT_EQ(resets, 100'000u - 256);
    EXPECT_FALSE(ends.node->closed());
    co_await tasks.join();
  }

  awaitable<void> rapid_resets() {
    auto ends = co_await shake();
    std::size_t resets = 0;
    runtime::TaskGroup tasks(*peer_host_, 1);
    EXPECT_TRUE(tasks.spawn(count_resets(*ends.raw, &resets)));
    for (std::uint32_t i = 0; i < 100; ++i) {
      const auto sent = co_await ends.raw->send(thousand(1 + 2'000 * i, true));
      EXPECT_TRUE(sent);
    }
    // Behind them all, one that stays: it is the first that the node is given.
    auto sent = co_await ends.raw->frame(Type::kData, yamux::kSyn, 900'001, 4, to_bytes("stay"));
    EXPECT_TRUE(sent);
    co_await peer_host_->sleep_for(100ms);
    EXPECT_EQ(ends.node->stats().streams_open, 1u);
    auto opened = co_await ends.node->accept_stream();
    EXPECT_EQ((*opened)->id(), 900'001u);
    EXPECT_EQ(resets, 0u);
    co_await tasks.join();
  }

  awaitable<void> unread_answers() {
    auto ends = co_await shake();
    Bytes pings;
    for (std::uint32_t i = 0; i < 5'000; ++i) {
      append(pings, RawPeer::encoded(Type::kPing, yamux::kSyn, 0, i));
    }
    // The peer never reads: its side of the network fills up, then the node's answers wait.
    for (int i = 0; i < 1'000 && !ends.node->closed(); ++i) {
      const auto sent = co_await ends.raw->send(pings);
      if (!sent) break;
    }
    const bool closed = co_await eventually(*host_, [&] { return ends.node->closed(); });
    EXPECT_TRUE(closed);
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }

  awaitable<void> tiny_frames() {
    auto ends = co_await shake();
    Bytes frames = RawPeer::encoded(Type::kWindowUpdate, yamux::kSyn, 1, 0);
    for (std::uint32_t i = 0; i < 100'000; ++i) {
      append(frames, RawPeer::encoded(Type::kData, 0, 1, 1));
      frames.push_back(static_cast<std::uint8_t>(i));
    }
    const auto sent = co_await ends.raw->send(std::move(frames));
    EXPECT_TRUE(sent);
    auto opened = co_await ends.node->accept_stream();
    Bytes all(100'000);
    const auto read = co_await (*opened)->read_full(all, soon());
    EXPECT_EQ(read.value_or(0), all.size());
    for (std::uint32_t i = 0; i < all.size(); i += 999) EXPECT_EQ(all[i], i & 0xff);
  }
};

TEST_F(Floods, AHundredThousandStreamsOfOnePeerTake256AndOthersAreServed) {
  play(hundred_thousand());
}
TEST_F(Floods, StreamsThatAreResetBeforeTheyAreAcceptedLeaveNothing) { play(rapid_resets()); }
TEST_F(Floods, APeerThatAsksAndNeverReadsIsThrownOut) { play(unread_answers()); }
TEST_F(Floods, FramesOfOneByteArrive) { play(tiny_frames()); }

}  // namespace
}  // namespace warren::transport
