#include "transport/websocket/websocket_transport.hpp"

#include <fmt/core.h>

#include "transport/websocket/address.hpp"
#include "transport/websocket/handshake.hpp"

namespace warren::transport::websocket {
namespace {

Error refusal(const Multiaddr& address) {
  if (is_over_tls(address)) {
    return {ErrorCode::kUnsupported,
            fmt::format("{} leads to WebSocket over TLS, which this build does not speak",
                        address.to_string()),
            "Use an address that ends in /ws without TLS, or another transport"};
  }
  return {ErrorCode::kUnsupported,
          fmt::format("{} is not a WebSocket address", address.to_string())};
}

awaitable<Result<RawStream>> prepare(std::shared_ptr<Shared> shared,
                                     std::unique_ptr<runtime::ByteStream> tcp, TimePoint deadline) {
  RawStream raw;
  raw.local_address = plain_address(tcp->local());
  raw.remote_address = plain_address(tcp->remote());
  WARREN_CO_TRY(raw.stream, co_await accept_websocket(std::move(shared), std::move(tcp), deadline));
  co_return raw;
}

}  // namespace

WebSocketTransport::WebSocketTransport(runtime::Runtime& runtime, crypto::PublicKey identity,
                                       Upgrader::Securities securities, UpgradeConfig config)
    : runtime_(runtime),
      shared_(std::make_shared<Shared>(runtime)),
      upgrader_(runtime, std::move(identity), std::move(securities), "ws", config) {}

bool WebSocketTransport::can_dial(const Multiaddr& address) const {
  const auto endpoint = plain_endpoint(address);
  return endpoint && endpoint->port != 0 && !endpoint->ip.is_unspecified();
}

bool WebSocketTransport::can_listen(const Multiaddr& address) const {
  return plain_endpoint(address).has_value();
}

awaitable<Result<std::shared_ptr<Connection>>> WebSocketTransport::dial(
    Multiaddr address, std::optional<PeerId> expected, TimePoint deadline) {
  if (!can_dial(address)) co_return fail(refusal(address));
  if (!expected) expected = address.peer_id();
  const Endpoint to = *plain_endpoint(address);
  RawStream raw;
  raw.remote_address = address.without_peer();
  WARREN_CO_TRY(raw.scope, upgrader_.admit(to, expected));
  WARREN_CO_TRY(auto tcp, co_await runtime_.connect_stream(to, deadline));
  raw.local_address = plain_address(tcp->local());
  WARREN_CO_TRY(raw.stream,
                co_await connect_websocket(shared_, std::move(tcp), to.to_string(), deadline));
  co_return co_await upgrader_.dial(std::move(raw), std::move(expected), deadline);
}

Result<std::unique_ptr<Listener>> WebSocketTransport::listen(const Multiaddr& address) {
  const auto at = plain_endpoint(address);
  if (!at) return fail(refusal(address));
  WARREN_TRY(auto source, runtime_.listen_stream(*at));
  AcceptOptions options;
  options.address = plain_address(source->local());
  options.prepare = [shared = shared_](std::unique_ptr<runtime::ByteStream> tcp,
                                       TimePoint deadline) {
    return prepare(shared, std::move(tcp), deadline);
  };
  return upgrader_.listen(std::move(source), std::move(options));
}

awaitable<void> WebSocketTransport::close() {
  co_await upgrader_.close();
  co_await shared_->tasks.join();
}

}  // namespace warren::transport::websocket
