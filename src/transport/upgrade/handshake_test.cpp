// From a byte stream to a proven connection, and everything that a peer can do wrong on the way.

#include "transport/upgrade/upgrade_for_test.hpp"

namespace warren::transport {
namespace {

using yamux::Type;

// ---------------------------------------------------------------------------- the good ways

awaitable<void> echo_once(Connection& from, Connection& to, TimePoint deadline) {
  auto opened = co_await from.open_stream(deadline);
  const auto written = co_await (*opened)->write(as_bytes("question"), deadline);
  EXPECT_TRUE(written);
  (*opened)->close_write();
  auto accepted = co_await to.accept_stream();
  Bytes buffer(100);
  const auto got = co_await (*accepted)->read_full(buffer, deadline);
  EXPECT_EQ(as_text(BytesView(buffer).first(got.value_or(0))), "question");
}

class Muxers : public UpgradeTest {
 protected:
  awaitable<void> with_muxers(std::vector<std::string> muxers) {
    Upgrader dialler(*peer_host_, identity_of(kOther).public_key(),
                     noise_of(*peer_host_, kOther, std::move(muxers)), "tcp");
    auto stream = co_await connect();
    auto raw = co_await name_ends(std::move(stream), soon());
    auto dialled = co_await dialler.dial(std::move(*raw), peer_of(kNode), soon());
    EXPECT_TRUE(dialled) << dialled.error().message();
    if (dialled) {
      auto accepted = co_await listener_->accept();
      co_await echo_once(**dialled, **accepted, soon());
      co_await echo_once(**accepted, **dialled, soon());
    }
    co_await dialler.close();
  }
};

TEST_F(Muxers, ADiallerThatNamesNoneInTheHandshakeFindsItByMultistreamSelect) {
  play(with_muxers({}));
}
TEST_F(Muxers, AListenerThatNamesNoneInTheHandshakeFindsItByMultistreamSelect) {
  start({}, {});
  play(with_muxers({std::string(kYamux)}));
}
TEST_F(Muxers, TwoThatNameNoneFindItByMultistreamSelect) {
  start({}, {});
  play(with_muxers({}));
}
TEST_F(Muxers, ADiallerThatNamesOnlyOthersFindsItByMultistreamSelect) {
  play(with_muxers({"/mplex/6.7.0"}));
}

class Surplus : public UpgradeTest {
 protected:
  /// The last handshake message and the first frames of the muxer in one segment.
  awaitable<void> behind_the_handshake() {
    auto stream = co_await connect();
    RawPeer raw(*peer_host_, std::move(stream));
    const auto handshake = other_securities().front()->start(Side::kDialler, peer_of(kNode));
    Bytes first = to_bytes("\x13/multistream/1.0.0\n\x07/noise\n");
    append(first, handshake->take_output());
    auto sent = co_await raw.write(first);  // The proposal is the only one: no need to wait.
    EXPECT_TRUE(sent);
    Bytes answer(28);
    Bytes got_all;
    while (got_all.size() < answer.size()) {
      const auto got = co_await raw.stream->read_some(
          MutableBytes(answer).first(answer.size() - got_all.size()), soon());
      append(got_all, BytesView(answer).first(got.value_or(0)));
      if (!got || *got == 0) co_return ADD_FAILURE() << "no answer";
    }
    EXPECT_EQ(as_text(got_all), "\x13/multistream/1.0.0\n\x07/noise\n");
    while (!handshake->done()) {
      Bytes in(handshake->wants());
      const auto got = co_await raw.stream->read_some(in, soon());
      if (!got || *got == 0) co_return ADD_FAILURE() << "no handshake";
      const auto fed = handshake->feed(BytesView(in).first(*got));
      EXPECT_TRUE(fed);
    }
    Bytes last = handshake->take_output();
    raw.channel = handshake->take_outcome().channel;
    Bytes frames = RawPeer::encoded(Type::kData, yamux::kSyn | yamux::kFin, 1, 5);
    append(frames, as_bytes("early"));
    append(last, raw.seal(BytesView(frames).first(3)));
    append(last, raw.seal(BytesView(frames).subspan(3)));
    sent = co_await raw.write(last);
    EXPECT_TRUE(sent);
    auto accepted = co_await listener_->accept();
    auto opened = co_await (*accepted)->accept_stream();
    Bytes buffer(100);
    const auto read = co_await (*opened)->read_full(buffer, soon());
    EXPECT_EQ(as_text(BytesView(buffer).first(read.value_or(0))), "early");
  }

  /// A lazy dialler: the muxer's proposal and its first frames in one frame of the channel.
  awaitable<void> behind_the_proposal() {
    auto stream = co_await connect();
    RawPeer raw(*peer_host_, std::move(stream));
    const std::vector<std::string> none;
    // The handshake ends with the proposal of a muxer, which the peer refuses to wait for.
    const auto handshake =
        noise_of(*peer_host_, kOther, none).front()->start(Side::kDialler, peer_of(kNode));
    Bytes out = to_bytes("\x13/multistream/1.0.0\n\x07/noise\n");
    append(out, handshake->take_output());
    auto sent = co_await raw.write(out);
    EXPECT_TRUE(sent);
    Bytes in(4096);
    Bytes all;
    while (!handshake->done()) {
      const auto got = co_await raw.stream->read_some(in, soon());
      if (!got || *got == 0) co_return ADD_FAILURE() << "no handshake";
      append(all, BytesView(in).first(*got));
      if (all.size() <= 28) continue;
      const auto fed = handshake->feed(BytesView(all).subspan(28));
      EXPECT_TRUE(fed);
      all.resize(28);
    }
    Bytes last = handshake->take_output();
    raw.channel = handshake->take_outcome().channel;
    Bytes plain = to_bytes("\x13/multistream/1.0.0\n\x0d/yamux/1.0.0\n");
    append(plain, RawPeer::encoded(Type::kData, yamux::kSyn | yamux::kFin, 1, 4));
    append(plain, as_bytes("lazy"));
    append(last, raw.seal(plain));
    sent = co_await raw.write(last);
    EXPECT_TRUE(sent);
    auto accepted = co_await listener_->accept();
    auto opened = co_await (*accepted)->accept_stream();
    const auto read = co_await (*opened)->read_full(in, soon());
    EXPECT_EQ(as_text(BytesView(in).first(read.value_or(0))), "lazy");
  }
};

TEST_F(Surplus, BytesBehindTheLastHandshakeMessageReachTheMuxer) { play(behind_the_handshake()); }
TEST_F(Surplus, FramesBehindTheProposalOfAMuxerReachIt) { play(behind_the_proposal()); }

// ------------------------------------------------------------------------------- the silent

class Silence : public UpgradeTest {
 protected:
  awaitable<void> mute() {
    const TimePoint begin = world_.now();
    auto stream = co_await connect();
    RawPeer raw(*peer_host_, std::move(stream));
    co_await raw.wait_for_end();
    EXPECT_GE(world_.now() - begin, 5s);
    EXPECT_LE(world_.now() - begin, 5s + 100ms);
    EXPECT_EQ(node_->counters().failed_handshakes, 1u);
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }

  awaitable<void> one_byte_a_second() {
    const TimePoint begin = world_.now();
    auto stream = co_await connect();
    RawPeer raw(*peer_host_, std::move(stream));
    const Bytes bytes = to_bytes("\x13/multistream/1.0.0\n\x07/noise\n");
    for (const std::uint8_t byte : bytes) {
      const auto sent = co_await raw.write({byte});
      if (!sent) break;
      co_await peer_host_->sleep_for(1s);
    }
    EXPECT_LE(world_.now() - begin, 8s);
    EXPECT_EQ(node_->counters().failed_handshakes, 1u);
  }

  awaitable<void> mute_listener() {
    auto source = host_->listen_stream({sim::host_v4(1), 77, 0}).value();
    auto stream = co_await peer_host_->connect_stream({sim::host_v4(1), 77, 0}, soon());
    auto raw = co_await name_ends(std::move(*stream), soon());
    const TimePoint begin = world_.now();
    const auto dialled = co_await other_.dial(std::move(*raw), std::nullopt, kNever);
    EXPECT_FALSE(dialled);
    if (!dialled) EXPECT_EQ(dialled.error().code(), ErrorCode::kTimedOut);
    EXPECT_EQ(world_.now() - begin, 5s);
  }

  awaitable<void> flood() {
    const std::size_t most = node_->config().limits.half_open_max;
    std::vector<std::unique_ptr<RawPeer>> peers;
    for (std::size_t i = 0; i < most + 200; ++i) {
      auto stream = co_await connect();
      peers.push_back(std::make_unique<RawPeer>(*peer_host_, std::move(stream)));
    }
    // From three quarters on each new one takes the place of the oldest.
    const std::size_t kept = most * 3 / 4;
    EXPECT_EQ(node_->half_open(), kept);
    EXPECT_EQ(node_->counters().displaced, most + 200u - kept);
    EXPECT_EQ(node_->counters().inbound, most + 200u);
    EXPECT_EQ(node_->counters().failed_handshakes, 0u);
    // The oldest knows it at once, not after the deadline; who speaks is served meanwhile.
    const TimePoint begin = world_.now();
    co_await peers.front()->wait_for_end();
    const bool served_meanwhile = co_await is_served();
    EXPECT_TRUE(served_meanwhile);
    EXPECT_LE(world_.now() - begin, 100ms);
    co_await peers.back()->wait_for_end();
    EXPECT_GE(world_.now() - begin, 4s);
    co_await peer_host_->sleep_for(1s);  // The others came a little later.
    EXPECT_EQ(node_->half_open(), 0u);
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }

  awaitable<void> full_backlog() {
    std::vector<std::shared_ptr<Connection>> dialled;
    for (std::size_t i = 0; i < node_->config().backlog_max + 1; ++i) {
      auto stream = co_await connect();
      auto raw = co_await name_ends(std::move(stream), soon());
      auto connection = co_await other_.dial(std::move(*raw), std::nullopt, soon());
      EXPECT_TRUE(connection);
      dialled.push_back(std::move(connection.value()));
    }
    const auto refused = co_await dialled.back()->accept_stream();
    EXPECT_EQ(refused.error().code(), ErrorCode::kClosed);
    EXPECT_TRUE(dialled.back()->closed());
    EXPECT_EQ(node_->counters().refused_backlog, 1u);
    EXPECT_FALSE(dialled.front()->closed());
  }
};

TEST_F(Silence, APeerThatOpensAndNeverSpeaksIsDroppedAfterFiveSeconds) { play(mute()); }
TEST_F(Silence, APeerThatSpeaksOneByteASecondIsDroppedAfterFiveSeconds) {
  play(one_byte_a_second());
}
TEST_F(Silence, DiallingAListenerThatNeverSpeaksTimesOutAfterFiveSeconds) { play(mute_listener()); }
TEST_F(Silence, HalfOpenConnectionsMakeRoomForNewerOnesAndWhoSpeaksIsServed) { play(flood()); }
TEST_F(Silence, AProvenConnectionThatNobodyAcceptsIsClosedWhenTheBacklogIsFull) {
  play(full_backlog());
}

// ----------------------------------------------------------------------------- the tampered

class Tampering : public UpgradeTest {
 protected:
  /// One handshake over a stream that `tamper` changes. How many bytes the dialler wrote.
  awaitable<std::size_t> handshake_with(std::size_t cut_at, std::size_t flip_at) {
    auto stream = co_await connect();
    auto tampered = std::make_unique<TamperedStream>(std::move(stream));
    TamperedStream& watched = *tampered;
    tampered->cut_at = cut_at;
    tampered->flip_at = flip_at;
    RawPeer raw(*peer_host_, std::move(tampered));
    const auto shaken = co_await raw.shake(other_securities());
    co_await peer_host_->sleep_for(10ms);
    if (cut_at == SIZE_MAX && flip_at == SIZE_MAX) EXPECT_TRUE(shaken);
    co_return watched.written;
  }

  awaitable<void> cut_everywhere() {
    const std::size_t all = co_await handshake_with(SIZE_MAX, SIZE_MAX);
    EXPECT_EQ(node_->counters().proven, 1u);
    EXPECT_GT(all, 200u);
    for (std::size_t cut = 0; cut < all; ++cut) (void)co_await handshake_with(cut, SIZE_MAX);
    EXPECT_EQ(node_->counters().proven, 1u);
    EXPECT_EQ(node_->counters().failed_handshakes, all);
    const auto first = co_await listener_->accept();
    EXPECT_TRUE(first);
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }

  awaitable<void> changed_everywhere() {
    const std::size_t all = co_await handshake_with(SIZE_MAX, SIZE_MAX);
    const auto first = co_await listener_->accept();
    for (std::size_t at = 0; at < all; ++at) {
      (void)co_await handshake_with(SIZE_MAX, at);
      EXPECT_EQ(node_->counters().proven, 1u) << "byte " << at;
    }
    // Those that the node still waits for run into the deadline.
    co_await peer_host_->sleep_for(6s);
    EXPECT_EQ(node_->counters().failed_handshakes, all);
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }

  awaitable<void> garbage() {
    std::mt19937 dice(7);
    for (int round = 0; round < 200; ++round) {
      auto stream = co_await connect();
      RawPeer raw(*peer_host_, std::move(stream));
      Bytes bytes;
      if (round % 2 == 1) bytes = to_bytes("\x13/multistream/1.0.0\n\x07/noise\n");
      for (int i = 0; i < 300; ++i) bytes.push_back(static_cast<std::uint8_t>(dice()));
      (void)co_await raw.write(bytes);
      co_await raw.wait_for_end();
    }
    EXPECT_EQ(node_->counters().proven, 0u);
    EXPECT_EQ(node_->counters().failed_handshakes, 200u);
    const bool served = co_await is_served();
    EXPECT_TRUE(served);
  }

  awaitable<void> no_protocol_in_common() {
    auto stream = co_await connect();
    RawPeer raw(*peer_host_, std::move(stream));
    auto sent = co_await raw.write(to_bytes("\x13/multistream/1.0.0\n\x11/plaintext/2.0.0"));
    EXPECT_TRUE(sent);
    sent = co_await raw.write(to_bytes("\n"));
    Bytes answer(100);
    std::size_t got_bytes = 0;
    while (got_bytes < 24) {
      const auto got =
          co_await raw.stream->read_some(MutableBytes(answer).subspan(got_bytes), soon());
      if (!got || *got == 0) co_return ADD_FAILURE() << "no answer";
      got_bytes += *got;
    }
    EXPECT_EQ(as_text(BytesView(answer).first(got_bytes)), "\x13/multistream/1.0.0\n\x03na\n");
  }

  awaitable<void> wrong_peer() {
    // The dialler expects another one than the node.
    auto stream = co_await connect();
    auto raw = co_await name_ends(std::move(stream), soon());
    const auto dialled = co_await other_.dial(std::move(*raw), peer_of(9), soon());
    EXPECT_EQ(dialled.error().code(), ErrorCode::kIntegrity);
    EXPECT_NE(dialled.error().message().find(peer_of(9).to_string()), std::string::npos);
    EXPECT_NE(dialled.error().message().find(peer_of(kNode).to_string()), std::string::npos);
    co_await peer_host_->sleep_for(1s);
    EXPECT_EQ(node_->counters().proven, 0u);
    EXPECT_EQ(node_->counters().failed_handshakes, 1u);
    // The node dials somebody who is another one.
    auto source = peer_host_->listen_stream({sim::host_v4(2), 77, 0}).value();
    const auto listener =
        other_.listen(std::move(source), {.address = {}, .prepare = &name_ends}).value();
    auto back = co_await host_->connect_stream({sim::host_v4(2), 77, 0}, soon());
    auto to_other = co_await name_ends(std::move(*back), soon());
    const auto refused = co_await node_->dial(std::move(*to_other), peer_of(9), soon());
    EXPECT_EQ(refused.error().code(), ErrorCode::kIntegrity);
    EXPECT_NE(refused.error().message().find(peer_of(kOther).to_string()), std::string::npos);
    co_await peer_host_->sleep_for(1s);
    EXPECT_EQ(other_.counters().proven, 0u);
  }
};

TEST_F(Tampering, AHandshakeCutAtAnyByteProvesNobody) { play(cut_everywhere()); }
TEST_F(Tampering, AHandshakeWithAnyByteChangedProvesNobody) { play(changed_everywhere()); }
TEST_F(Tampering, GarbageInPlaceOfAHandshakeEndsIt) { play(garbage()); }
TEST_F(Tampering, AnUnknownSecurityProtocolIsAnsweredWithNa) { play(no_protocol_in_common()); }
TEST_F(Tampering, TheWrongPeerIsRefusedOnBothSidesNamingBoth) { play(wrong_peer()); }

}  // namespace
}  // namespace warren::transport
