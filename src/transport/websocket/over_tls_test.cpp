// WebSocket over TLS, with a server in front of a node that ends the TLS for it, as the operators
// of public nodes have it.

#include "security/noise/noise_security.hpp"
#include "security/tls/test_authority.hpp"
#include "security/tls/test_raw_peer.hpp"
#include "transport/websocket/address.hpp"
#include "transport/websocket/test_wire.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace warren::transport::websocket {
namespace {

using runtime::Runtime;
using runtime::TaskGroup;
using security::Authority;
using security::RawPeer;
using security::Recipe;

Upgrader::Securities noise_of(Runtime& runtime, const crypto::PrivateKey& identity) {
  const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
  return {security::noise::make_noise_security(
      std::make_shared<const security::noise::Credentials>(
          identity, std::vector<std::string>{"/yamux/1.0.0"}, random),
      random)};
}

/// Ends TLS for one connection and passes what is in it on to `behind`.
class Front {
 public:
  Front(Runtime& runtime, Endpoint behind, const Recipe& certificate)
      : runtime_(runtime),
        behind_(behind),
        tls_(security::Side::kListener, certificate,
             [](SSL_CTX* context) { ::SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr); }),
        tasks_(runtime, 1) {}

  awaitable<void> serve(runtime::StreamListener& listener) {
    auto outside = co_await listener.accept();
    outside_ = std::move(outside.value());
    auto inside = co_await runtime_.connect_stream(behind_, runtime_.now() + 5s);
    inside_ = std::move(inside.value());
    (void)tasks_.spawn(back());
    Bytes buffer(50'000);
    for (;;) {
      const auto got = co_await outside_->read_some(buffer, kNever);
      if (!got || *got == 0) break;
      tls_.feed(BytesView(buffer).first(*got));
      const Bytes text = tls_.advance();
      const Bytes said = tls_.take_output();
      (void)co_await write(*outside_, said);
      (void)co_await write(*inside_, text);
    }
    inside_->close();
    co_await tasks_.join();
    outside_->close();
  }

  awaitable<void> back() {
    Bytes buffer(50'000);
    for (;;) {
      const auto got = co_await inside_->read_some(buffer, kNever);
      if (!got || *got == 0) break;
      tls_.write(BytesView(buffer).first(*got));
      const Bytes said = tls_.take_output();
      (void)co_await write(*outside_, said);
    }
    (void)outside_->close_write();
  }

  RawPeer& tls() { return tls_; }

 private:
  Runtime& runtime_;
  Endpoint behind_;
  RawPeer tls_;
  std::unique_ptr<ByteStream> outside_;
  std::unique_ptr<ByteStream> inside_;
  TaskGroup tasks_;
};

template <class Stage>
class WebSocketOverTlsTest : public ::testing::Test {
 public:
  /// Dials the node through the front; `name` is what the address says.
  awaitable<Result<std::shared_ptr<Connection>>> dial(std::string name) {
    listener_ = node_.listen(plain_address({stage_.ip_b, 0, 0})).value();
    front_listener_ = stage_.b().listen_stream({stage_.ip_b, 0}).value();
    front_ = std::make_unique<Front>(stage_.b(), *plain_endpoint(listener_->address()),
                                     authority_.server("DNS:node.example"));
    EXPECT_TRUE(tasks_.spawn(front_->serve(*front_listener_)));
    const Multiaddr tcp = Multiaddr::tcp(front_listener_->local());
    const Multiaddr above = Multiaddr::parse("/tls/sni/" + name + "/ws").value();
    co_return co_await dialler_.dial(tcp.encapsulate(above), peer_, stage_.a().now() + 10s);
  }

  awaitable<void> talk() {
    auto dialled = co_await dial("node.example");
    EXPECT_TRUE(dialled) << dialled.error().message();
    if (dialled) {
      auto accepted = co_await listener_->accept();
      auto ours = co_await (*dialled)->open_stream(kNever);
      const Bytes text = pattern(300'000);
      (void)co_await (*ours)->write(text, kNever);
      (*ours)->close_write();
      auto theirs = co_await (*accepted)->accept_stream();
      Bytes come(text.size());
      const auto got = co_await (*theirs)->read_full(come, stage_.a().now() + 10s);
      EXPECT_TRUE(got && come == text);
      EXPECT_STREQ(::SSL_get_servername(front_->tls().ssl(), TLSEXT_NAMETYPE_host_name),
                   "node.example");
      EXPECT_EQ((*dialled)->info().remote_peer, peer_);
      EXPECT_TRUE(
          (*dialled)->info().remote_address.to_string().ends_with("/tls/sni/node.example/ws"));
    }
    co_await end();
  }

  awaitable<void> refuse() {
    const auto dialled = co_await dial("other.example");
    EXPECT_FALSE(dialled);
    if (!dialled) {
      EXPECT_EQ(dialled.error().code(), ErrorCode::kIntegrity);
      EXPECT_NE(dialled.error().message().find("other.example"), std::string::npos)
          << dialled.error().message();
    }
    co_await end();
  }

  awaitable<void> end() {
    co_await dialler_.close();
    co_await node_.close();
    co_await tasks_.join();
  }

  Stage stage_;
  Authority authority_{stage_.a().wall_now()};
  crypto::PrivateKey dialler_identity_ = crypto::PrivateKey::from_seed(Bytes(32, 1));
  crypto::PrivateKey node_identity_ = crypto::PrivateKey::from_seed(Bytes(32, 2));
  PeerId peer_ = PeerId::from_public_key(node_identity_.public_key().protobuf());
  WebSocketTransport dialler_{stage_.a(), dialler_identity_.public_key(),
                              noise_of(stage_.a(), dialler_identity_), UpgradeConfig{},
                              authority_.pem()};
  WebSocketTransport node_{stage_.b(), node_identity_.public_key(),
                           noise_of(stage_.b(), node_identity_)};
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<runtime::StreamListener> front_listener_;
  std::unique_ptr<Front> front_;
  TaskGroup tasks_{stage_.b(), 1};
};
TYPED_TEST_SUITE(WebSocketOverTlsTest, runtime::BothStages, runtime::StageNames);

TYPED_TEST(WebSocketOverTlsTest, ConnectsThroughAServerThatEndsTheTls) {
  this->stage_.run(this->talk());
}
TYPED_TEST(WebSocketOverTlsTest, RefusesAServerWithoutTheName) { this->stage_.run(this->refuse()); }

}  // namespace
}  // namespace warren::transport::websocket
