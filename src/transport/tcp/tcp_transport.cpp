#include "transport/tcp/tcp_transport.hpp"

#include <fmt/core.h>

namespace warren::transport::tcp {
namespace {

RawStream with_addresses(std::unique_ptr<runtime::ByteStream> stream) {
  RawStream raw;
  raw.local_address = Multiaddr::tcp(stream->local());
  raw.remote_address = Multiaddr::tcp(stream->remote());
  raw.stream = std::move(stream);
  return raw;
}

awaitable<Result<RawStream>> prepare(std::unique_ptr<runtime::ByteStream> stream, TimePoint) {
  co_return with_addresses(std::move(stream));
}

}  // namespace

TcpTransport::TcpTransport(runtime::Runtime& runtime, crypto::PublicKey identity,
                           Upgrader::Securities securities, TcpConfig config)
    : runtime_(runtime),
      upgrader_(runtime, std::move(identity), std::move(securities), "tcp", config.upgrade) {}

bool TcpTransport::can_dial(const Multiaddr& address) const {
  const auto endpoint = address.endpoint();
  return address.is_tcp() && endpoint && endpoint->port != 0 && !endpoint->ip.is_unspecified();
}

bool TcpTransport::can_listen(const Multiaddr& address) const {
  return address.is_tcp() && address.endpoint().has_value();
}

awaitable<Result<std::shared_ptr<Connection>>> TcpTransport::dial(Multiaddr address,
                                                                  std::optional<PeerId> expected,
                                                                  TimePoint deadline) {
  if (!can_dial(address)) {
    co_return fail(ErrorCode::kUnsupported,
                   fmt::format("{} is not a TCP address", address.to_string()));
  }
  if (!expected) expected = address.peer_id();
  const Endpoint to = *address.endpoint();
  WARREN_CO_TRY(auto scope, upgrader_.admit(to, expected));
  WARREN_CO_TRY(auto stream, co_await runtime_.connect_stream(to, deadline));
  RawStream raw = with_addresses(std::move(stream));
  raw.remote_address = address.without_peer();
  raw.scope = std::move(scope);
  co_return co_await upgrader_.dial(std::move(raw), std::move(expected), deadline);
}

Result<std::unique_ptr<Listener>> TcpTransport::listen(const Multiaddr& address) {
  if (!can_listen(address)) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("cannot listen on {}: not a TCP address", address.to_string()));
  }
  WARREN_TRY(auto source, runtime_.listen_stream(*address.endpoint()));
  AcceptOptions options{.address = Multiaddr::tcp(source->local()), .prepare = &prepare};
  return upgrader_.listen(std::move(source), std::move(options));
}

awaitable<void> TcpTransport::close() { return upgrader_.close(); }

}  // namespace warren::transport::tcp
