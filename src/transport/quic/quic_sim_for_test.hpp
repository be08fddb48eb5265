#pragma once
// Nodes with QUIC on the simulated network, and what tests send between them.

#include "sim/world.hpp"
#include "transport/quic/quic_transport.hpp"

namespace warren::transport::quic::testing {

inline crypto::PrivateKey identity(std::uint8_t number) {
  return crypto::PrivateKey::from_seed(Bytes(32, number));
}

inline PeerId peer_of(const crypto::PrivateKey& key) {
  return PeerId::from_public_key(key.public_key().protobuf());
}

/// One node with a QUIC transport on the host of its number.
struct Host {
  explicit Host(sim::World& world, std::uint8_t number, QuicConfig config = {})
      : runtime(world.make_runtime(number)), key(identity(number)) {
    transport = make_quic_transport(*runtime, key, config).value();
  }
  PeerId peer() const { return peer_of(key); }

  std::unique_ptr<runtime::Runtime> runtime;
  crypto::PrivateKey key;
  std::unique_ptr<Transport> transport;
};

inline Multiaddr address_of(sim::Host host) {
  return Multiaddr::quic({sim::host_v4(host), 4001, 0});
}

struct Pair {
  explicit Pair(sim::World& given, QuicConfig config = {}) : Pair(given, config, config) {}
  Pair(sim::World& given, QuicConfig of_a, QuicConfig of_b)
      : world(given), a(given, 1, of_a), b(given, 2, of_b) {
    listener = b.transport->listen(Multiaddr::quic({{}, 4001, 0})).value();
  }
  ~Pair() { sim::run(world, close_all()); }
  awaitable<bool> close_all() {
    co_await a.transport->close();
    co_await b.transport->close();
    co_return true;
  }
  Result<std::shared_ptr<Connection>> dial(std::optional<PeerId> expected) {
    return sim::run(world,
                    a.transport->dial(address_of(2), std::move(expected), a.runtime->now() + 10s));
  }
  std::shared_ptr<Connection> accept() { return sim::run(world, listener->accept()).value(); }

  sim::World& world;
  Host a, b;
  std::unique_ptr<Listener> listener;
};

inline awaitable<bool> close_host(Host& host) {
  co_await host.transport->close();
  co_return true;
}

inline Bytes pattern(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7919 >> 3);
  return bytes;
}

inline awaitable<Result<>> send_all(Connection& connection, Bytes bytes) {
  WARREN_CO_TRY(const auto stream, co_await connection.open_stream(kNever));
  WARREN_CO_TRY_VOID(co_await stream->write(SharedBytes(std::move(bytes)), kNever));
  stream->close_write();
  co_return co_await stream->flush(kNever);
}

inline awaitable<Result<Bytes>> receive_all(Connection& connection, std::size_t bytes_max) {
  WARREN_CO_TRY(const auto stream, co_await connection.accept_stream());
  Bytes bytes(bytes_max);
  WARREN_CO_TRY(const std::size_t count, co_await stream->read_full(bytes, kNever));
  stream->close_write();
  bytes.resize(count);
  co_return bytes;
}

}  // namespace warren::transport::quic::testing
