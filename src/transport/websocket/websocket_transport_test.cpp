// What peers that are no WebSocket of ours make of a listener and of a dial. What every transport
// does is in websocket_contract_test.cpp, the frames are in stream_test.cpp.

#include "transport/websocket/websocket_transport.hpp"

#include "security/noise/noise_security.hpp"
#include "transport/websocket/address.hpp"
#include "transport/websocket/http_upgrade.hpp"
#include "transport/websocket/test_wire.hpp"

namespace warren::transport::websocket {
namespace {

using runtime::Runtime;
using runtime::TaskGroup;

Upgrader::Securities noise_of(Runtime& runtime, const crypto::PrivateKey& identity) {
  const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
  return {security::noise::make_noise_security(
      std::make_shared<const security::noise::Credentials>(
          identity, std::vector<std::string>{"/yamux/1.0.0"}, random),
      random)};
}

/// A node with the transport, on the second host of a stage.
template <class Stage>
class WebSocketTransportTest : public ::testing::Test {
 protected:
  void play(awaitable<void> scene) { stage_.run(with_end(std::move(scene))); }
  awaitable<void> with_end(awaitable<void> scene) {
    co_await std::move(scene);
    co_await transport_.close();
  }
  std::unique_ptr<Listener> listen() {
    return transport_.listen(plain_address({stage_.ip_b, 0, 0})).value();
  }

 public:
  /// A byte stream to `listener`.
  awaitable<std::unique_ptr<ByteStream>> connect(const Listener& listener) {
    auto stream = co_await stage_.a().connect_stream(*plain_endpoint(listener.address()),
                                                     stage_.a().now() + 5s);
    co_return std::move(stream.value());
  }
  /// What the listener says to `request`, up to the end.
  awaitable<void> expect_answer(Bytes request, std::string begins) {
    const auto listener = listen();
    const auto stream = co_await connect(*listener);
    const TimePoint begin = stage_.a().now();
    (void)co_await write(*stream, request);
    const Bytes answer = co_await read_to_end(*stream);
    EXPECT_TRUE(as_text(answer).starts_with(begins)) << as_text(answer);
    EXPECT_EQ(answer.empty(), begins.empty());
    took_ = stage_.a().now() - begin;
    EXPECT_EQ(transport_.upgrader().counters().failed_handshakes, 1u);
    EXPECT_EQ(transport_.upgrader().half_open(), 0u);
  }
  /// How a dial ends when `answer` is what the other side says to it, and `asked` what it heard.
  awaitable<void> expect_dial_fails(Bytes answer, ErrorCode code, std::string text) {
    auto listener = stage_.b().listen_stream({stage_.ip_b, 0}).value();
    TaskGroup tasks(stage_.b(), 1);
    EXPECT_TRUE(tasks.spawn(answer_one(*listener, answer)));
    const auto dialled = co_await transport_.dial(plain_address(listener->local()), std::nullopt,
                                                  stage_.a().now() + 5s);
    EXPECT_FALSE(dialled);
    if (!dialled) {
      EXPECT_EQ(dialled.error().code(), code) << dialled.error().message();
      EXPECT_NE(dialled.error().message().find(text), std::string::npos)
          << dialled.error().message();
    }
    co_await tasks.join();
  }
  static awaitable<void> answer_one(runtime::StreamListener& listener, Bytes answer) {
    auto stream = co_await listener.accept();
    if (!stream) co_return;
    Bytes buffer(1'000);
    (void)co_await (*stream)->read_some(buffer, kNever);
    (void)co_await write(**stream, answer);
    (void)(*stream)->close_write();
    (void)co_await read_to_end(**stream);
  }

  Stage stage_;
  crypto::PrivateKey identity_ = crypto::PrivateKey::from_seed(Bytes(32, 1));
  WebSocketTransport transport_{stage_.b(), identity_.public_key(),
                                noise_of(stage_.b(), identity_)};
  Duration took_{};
};
TYPED_TEST_SUITE(WebSocketTransportTest, runtime::BothStages, runtime::StageNames);

Bytes head(std::string_view text) { return to_bytes(text); }

TYPED_TEST(WebSocketTransportTest, KnowsItsAddresses) {
  const auto address = [](std::string_view text) { return Multiaddr::parse(text).value(); };
  const auto& transport = this->transport_;
  EXPECT_TRUE(transport.can_dial(address("/ip4/192.0.2.1/tcp/80/ws")));
  EXPECT_TRUE(transport.can_listen(address("/ip4/0.0.0.0/tcp/0/ws")));
  EXPECT_FALSE(transport.can_dial(address("/ip4/0.0.0.0/tcp/80/ws")));
  EXPECT_FALSE(transport.can_dial(address("/ip4/192.0.2.1/tcp/0/ws")));
  for (const std::string_view text : {"/ip4/192.0.2.1/tcp/80", "/ip4/192.0.2.1/udp/80/quic-v1",
                                      "/dns4/a.example/tcp/80/ws", "/ip4/0.0.0.0/tcp/443/wss"}) {
    EXPECT_FALSE(transport.can_dial(address(text))) << text;
    EXPECT_FALSE(transport.can_listen(address(text))) << text;
  }
  for (const std::string_view text : {"/ip4/192.0.2.1/tcp/443/wss", "/ip4/192.0.2.1/tcp/443/tls/ws",
                                      "/ip4/192.0.2.1/tcp/443/tls/sni/example.com/ws"}) {
    EXPECT_TRUE(transport.can_dial(address(text))) << text;
    EXPECT_FALSE(transport.can_listen(address(text))) << text;
    const auto refused = this->transport_.listen(address(text));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  }
}

TYPED_TEST(WebSocketTransportTest, TellsABrowserWhatItIs) {
  this->play(this->expect_answer(head("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                                 "HTTP/1.1 426 Upgrade Required\r\n"));
}

TYPED_TEST(WebSocketTransportTest, DropsOtherProtocolsAtTheirFirstByte) {
  this->play(this->expect_answer(head("\x13/multistream/1.0.0\n"), ""));
  EXPECT_LT(this->took_, 1s);
}

TYPED_TEST(WebSocketTransportTest, DropsAnEndlessLine) {
  this->play(this->expect_answer(head("GET /" + std::string(9'000, 'a')), ""));
  EXPECT_LT(this->took_, 1s);
}

// Only on the virtual clock: five seconds.
TEST(WebSocketTransport, DropsASlowHead) {
  struct Scene : WebSocketTransportTest<runtime::SimStage> {
    void TestBody() override {}
    awaitable<void> scene() {
      const auto listener = listen();
      const auto stream = co_await connect(*listener);
      const TimePoint begin = stage_.a().now();
      (void)co_await write(*stream, head("GET / HTTP/1.1\r\n"));
      for (int i = 0; i < 20; ++i) {
        (void)co_await stage_.a().sleep_for(1s);
        const auto written = co_await write(*stream, head("X: y\r\n"));
        if (!written) break;
      }
      took_ = stage_.a().now() - begin;
      EXPECT_EQ(transport_.upgrader().counters().failed_handshakes, 1u);
    }
    void run() { play(scene()); }
  };
  Scene scene;
  scene.run();
  EXPECT_GE(scene.took_, 5s);
  EXPECT_LE(scene.took_, 7s);
}

TYPED_TEST(WebSocketTransportTest, EndsAConnectionThatSendsText) {
  struct Scene {
    static awaitable<void> run(WebSocketTransportTest<TypeParam>& test, Listener& listener) {
      const auto stream = co_await test.connect(listener);
      (void)co_await write(*stream, to_bytes(make_request("h", key_text(Bytes(kKeyBytes, 7)))));
      Bytes buffer(2'000);
      const auto got = co_await stream->read_some(buffer, kNever);
      EXPECT_TRUE(got && as_text(buffer).starts_with("HTTP/1.1 101 "));
      (void)co_await write(*stream, frame_for(Role::kServer, "hello", Opcode::kText));
      const Bytes rest = co_await read_to_end(*stream);
      EXPECT_TRUE(to_hex(rest).ends_with("880203eb")) << to_hex(rest);
      EXPECT_EQ(test.transport_.upgrader().counters().failed_handshakes, 1u);
    }
  };
  const auto listener = this->listen();
  this->play(Scene::run(*this, *listener));
}

TYPED_TEST(WebSocketTransportTest, SaysWhyADialFails) {
  this->play(this->expect_dial_fails(head("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
                                     ErrorCode::kUnsupported, "404"));
}
TYPED_TEST(WebSocketTransportTest, DialsNoPlainTcp) {
  this->play(
      this->expect_dial_fails(head("\x13/multistream/1.0.0\n"), ErrorCode::kMalformed, "0x13"));
}
TYPED_TEST(WebSocketTransportTest, DialsNobodyWhoHangsUp) {
  this->play(this->expect_dial_fails({}, ErrorCode::kReset, "closed within"));
}
TYPED_TEST(WebSocketTransportTest, BelievesNoAnswerToAnotherKey) {
  this->play(this->expect_dial_fails(
      to_bytes(answer_request(make_request("h", key_text(Bytes(kKeyBytes, 7)))).text),
      ErrorCode::kMalformed, "does not fit"));
}
TYPED_TEST(WebSocketTransportTest, DialsNoServerThatNeverEndsItsHead) {
  this->play(this->expect_dial_fails(head("HTTP/1.1 101 " + std::string(9'000, 'a')),
                                     ErrorCode::kTooLarge, "8192"));
}

}  // namespace
}  // namespace warren::transport::websocket
