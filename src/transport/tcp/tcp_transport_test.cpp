// What is TCP's own: its addresses, both families, and the choice of a security protocol.

#include "transport/tcp/tcp_transport.hpp"

#include <gtest/gtest.h>

#include "runtime/run_task.hpp"
#include "security/noise/noise_security.hpp"
#include "security/tls/tls_security.hpp"

namespace warren::transport::tcp {
namespace {

crypto::PrivateKey identity_of(std::uint8_t number) {
  return crypto::PrivateKey::from_seed(Bytes(32, number));
}

using Security = std::shared_ptr<security::SecurityProtocol>;

Security noise(runtime::Runtime& runtime, std::uint8_t number) {
  const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
  return security::noise::make_noise_security(
      std::make_shared<const security::noise::Credentials>(
          identity_of(number), std::vector<std::string>{"/yamux/1.0.0"}, random),
      random);
}

Security tls(runtime::Runtime& runtime, std::uint8_t number) {
  return security::make_tls_security(identity_of(number), {"/yamux/1.0.0"},
                                     [&runtime] { return runtime.wall_now(); })
      .value();
}

/// Counts the handshakes of one protocol.
class Watched final : public security::SecurityProtocol {
 public:
  explicit Watched(Security inner) : inner_(std::move(inner)) {}
  std::string_view name() const override { return inner_->name(); }
  std::unique_ptr<security::SecureHandshake> start(security::Side side,
                                                   std::optional<PeerId> expected) override {
    ++started;
    return inner_->start(side, std::move(expected));
  }
  int started = 0;

 private:
  Security inner_;
};

class Tcp : public ::testing::Test {
 protected:
  std::unique_ptr<TcpTransport> make(std::uint8_t number, Upgrader::Securities securities) {
    return std::make_unique<TcpTransport>(runtime_, identity_of(number).public_key(),
                                          std::move(securities));
  }
  /// A dials B at `address` and sends a byte.
  awaitable<Result<std::shared_ptr<Connection>>> exchange(TcpTransport& a, Listener& listener,
                                                          Multiaddr address) {
    const TimePoint soon = runtime_.now() + 10s;
    WARREN_CO_TRY(auto dialled, co_await a.dial(address, std::nullopt, soon));
    WARREN_CO_TRY(const auto accepted, co_await listener.accept());
    WARREN_CO_TRY(const auto stream, co_await dialled->open_stream(soon));
    WARREN_CO_TRY_VOID(co_await stream->write(as_bytes("x"), soon));
    WARREN_CO_TRY(const auto other, co_await accepted->accept_stream());
    Bytes byte(1);
    WARREN_CO_TRY(const std::size_t got, co_await other->read_full(byte, soon));
    EXPECT_EQ(got, 1u);
    co_return dialled;
  }
  void run(awaitable<void> scene) { runtime::run_task(runtime_, std::move(scene)); }

  runtime::RealRuntime runtime_{{.pool_threads = 1}};
};

TEST_F(Tcp, TakesPlainTcpAddressesAlone) {
  const auto transport = make(1, {noise(runtime_, 1)});
  const auto can = [&](std::string_view text) {
    const Multiaddr address = Multiaddr::parse(text).value();
    return std::pair{transport->can_dial(address), transport->can_listen(address)};
  };
  constexpr std::pair kBoth{true, true};
  constexpr std::pair kNeither{false, false};
  constexpr std::pair kListenOnly{false, true};
  EXPECT_EQ(can("/ip4/192.0.2.1/tcp/4001"), kBoth);
  EXPECT_EQ(can("/ip6/2001:db8::1/tcp/4001"), kBoth);
  EXPECT_EQ(can("/ip4/192.0.2.1/tcp/4001/p2p/"
                "12D3KooWGvf5VgToi1Cw3Woxcr5Rq5MuFT1n47YKr6HZbTxtuMNM"),
            kBoth);
  EXPECT_EQ(can("/ip4/0.0.0.0/tcp/4001"), kListenOnly);
  EXPECT_EQ(can("/ip6/::/tcp/4001"), kListenOnly);
  EXPECT_EQ(can("/ip4/127.0.0.1/tcp/0"), kListenOnly);
  for (const std::string_view other :
       {"/ip4/192.0.2.1/tcp/4001/ws", "/ip4/192.0.2.1/tcp/4001/wss", "/ip4/192.0.2.1/tcp/4001/tls",
        "/ip4/192.0.2.1/tcp/4001/tls/ws", "/ip4/192.0.2.1/udp/4001/quic-v1",
        "/ip4/192.0.2.1/udp/4001", "/dns4/example.com/tcp/4001", "/memory/5",
        "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWGvf5VgToi1Cw3Woxcr5Rq5MuFT1n47YKr6HZbTxtuMNM/"
        "p2p-circuit"}) {
    EXPECT_EQ(can(other), kNeither) << other;
  }
}

awaitable<void> both_families(TcpTransport& a, TcpTransport& b) {
  const auto v4 = b.listen(*Multiaddr::parse("/ip4/0.0.0.0/tcp/0")).value();
  const std::uint16_t port = v4->address().endpoint()->port;
  EXPECT_NE(port, 0);
  EXPECT_TRUE(v4->address().endpoint()->ip.is_unspecified());
  const Endpoint any_v6{IpAddress::parse("::").value(), port, 0};
  const auto v6 = b.listen(Multiaddr::tcp(any_v6));
  EXPECT_TRUE(v6) << "the IPv6 listener takes IPv4 too";
  if (v6) EXPECT_EQ((*v6)->address(), Multiaddr::tcp(any_v6));
  co_await a.close();
  co_await b.close();
}

TEST_F(Tcp, OnePortListensOnBothFamilies) {
  const auto a = make(1, {noise(runtime_, 1)});
  const auto b = make(2, {noise(runtime_, 2)});
  run(both_families(*a, *b));
}

class TcpExchange : public Tcp {
 protected:
  awaitable<void> over(TcpTransport& a, TcpTransport& b, std::string at, std::string to) {
    const auto listener = b.listen(*Multiaddr::parse(at)).value();
    const std::uint16_t port = listener->address().endpoint()->port;
    Endpoint target = *Multiaddr::parse(to)->endpoint();
    target.port = port;
    const auto connection = co_await exchange(a, *listener, Multiaddr::tcp(target));
    EXPECT_TRUE(connection) << connection.error().message();
    if (connection) {
      EXPECT_EQ((*connection)->info().transport, "tcp");
      EXPECT_EQ((*connection)->info().remote_address, Multiaddr::tcp(target));
      EXPECT_NE((*connection)->info().local_address.endpoint()->port, 0);
    }
    co_await a.close();
    co_await b.close();
  }

  awaitable<void> other_identity(TcpTransport& a, TcpTransport& b) {
    const auto listener = b.listen(*Multiaddr::parse("/ip4/127.0.0.1/tcp/0")).value();
    const PeerId wrong = PeerId::from_public_key(identity_of(7).public_key().protobuf());
    const auto dialled =
        co_await a.dial(listener->address().with_peer(wrong), std::nullopt, runtime_.now() + 10s);
    EXPECT_FALSE(dialled);
    if (!dialled) EXPECT_EQ(dialled.error().code(), ErrorCode::kIntegrity);
    co_await a.close();
    co_await b.close();
  }

  awaitable<void> nothing_in_common(TcpTransport& a, TcpTransport& b) {
    const auto listener = b.listen(*Multiaddr::parse("/ip4/127.0.0.1/tcp/0")).value();
    const auto dialled = co_await a.dial(listener->address(), std::nullopt, runtime_.now() + 10s);
    EXPECT_EQ(dialled.error().code(), ErrorCode::kUnsupported);
    co_await a.close();
    co_await b.close();
  }
};

TEST_F(TcpExchange, WorksOverIpv6) {
  const auto a = make(1, {noise(runtime_, 1)});
  const auto b = make(2, {noise(runtime_, 2)});
  run(over(*a, *b, "/ip6/::1/tcp/0", "/ip6/::1/tcp/1"));
}

TEST_F(TcpExchange, AnUnspecifiedAddressIsReachedAtARealOne) {
  const auto a = make(1, {noise(runtime_, 1)});
  const auto b = make(2, {noise(runtime_, 2)});
  run(over(*a, *b, "/ip4/0.0.0.0/tcp/0", "/ip4/127.0.0.1/tcp/1"));
}

TEST_F(TcpExchange, ThePeerInAnAddressIsExpected) {
  const auto a = make(1, {noise(runtime_, 1)});
  const auto b = make(2, {noise(runtime_, 2)});
  run(other_identity(*a, *b));
}

TEST_F(TcpExchange, TheDiallersFirstProposalWinsWhereTheListenerHasIt) {
  const auto first = std::make_shared<Watched>(tls(runtime_, 1));
  const auto second = std::make_shared<Watched>(noise(runtime_, 1));
  const auto a = make(1, {first, second});
  const auto b = make(2, {noise(runtime_, 2), tls(runtime_, 2)});
  run(over(*a, *b, "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/1"));
  EXPECT_EQ(first->started, 1);
  EXPECT_EQ(second->started, 0);
}

TEST_F(TcpExchange, TheNextProposalIsTakenWhereTheListenerLacksTheFirst) {
  const auto first = std::make_shared<Watched>(tls(runtime_, 1));
  const auto second = std::make_shared<Watched>(noise(runtime_, 1));
  const auto a = make(1, {first, second});
  const auto b = make(2, {noise(runtime_, 2)});
  run(over(*a, *b, "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/1"));
  EXPECT_EQ(first->started, 0);
  EXPECT_EQ(second->started, 1);
}

TEST_F(TcpExchange, WithoutAProtocolInCommonADialIsUnsupported) {
  const auto a = make(1, {tls(runtime_, 1)});
  const auto b = make(2, {noise(runtime_, 2)});
  run(nothing_in_common(*a, *b));
}

}  // namespace
}  // namespace warren::transport::tcp
