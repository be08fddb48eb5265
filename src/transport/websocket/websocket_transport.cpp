#include "transport/websocket/websocket_transport.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "transport/websocket/address.hpp"
#include "transport/websocket/handshake.hpp"
#include "transport/websocket/tls_stream.hpp"

namespace warren::transport::websocket {
namespace {

Error refusal(const Multiaddr& address) {
  return {ErrorCode::kUnsupported,
          fmt::format("{} is not a WebSocket address", address.to_string())};
}

/// Where a dial goes. Over TLS the server has to prove `name`.
struct Target {
  Endpoint endpoint;
  std::optional<std::string> name;
};

std::optional<Target> target_of(const Multiaddr& address) {
  std::optional<Target> target;
  if (const auto plain = plain_endpoint(address)) {
    target = Target{*plain, std::nullopt};
  } else if (auto secure = secure_target(address)) {
    target = Target{secure->endpoint, std::move(secure->name)};
  }
  if (target && (target->endpoint.port == 0 || target->endpoint.ip.is_unspecified())) return {};
  return target;
}

/// What the header Host says. Source: RFC 9110, section 7.2.
std::string host_of(const Target& target) {
  const Endpoint& to = target.endpoint;
  if (!target.name || *target.name == to.ip.to_string())
    return Endpoint{to.ip, to.port}.to_string();
  return to.port == 443 ? *target.name : fmt::format("{}:{}", *target.name, to.port);
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
                                       Upgrader::Securities securities, UpgradeConfig config,
                                       std::string authorities)
    : runtime_(runtime),
      authorities_(std::move(authorities)),
      shared_(std::make_shared<Shared>(runtime)),
      upgrader_(runtime, std::move(identity), std::move(securities), "ws", config) {}

bool WebSocketTransport::can_dial(const Multiaddr& address) const {
  return target_of(address).has_value();
}

bool WebSocketTransport::can_listen(const Multiaddr& address) const {
  return plain_endpoint(address).has_value();
}

/// The system's are some hundred files or one large one: not for the core thread.
awaitable<Result<>> WebSocketTransport::load_authorities() {
  if (web_tls_) co_return Result<>{};
  const auto load = [&runtime = runtime_, pem = authorities_] {
    return security::WebTls::create([&runtime] { return runtime.wall_now(); }, pem);
  };
  WARREN_CO_TRY(auto made, co_await runtime::run(runtime_.pool(), load));
  if (!web_tls_) web_tls_ = std::move(made);
  co_return Result<>{};
}

awaitable<Result<std::shared_ptr<Connection>>> WebSocketTransport::dial(
    Multiaddr address, std::optional<PeerId> expected, TimePoint deadline) {
  const auto target = target_of(address);
  if (!target) co_return fail(refusal(address));
  if (!expected) expected = address.peer_id();
  RawStream raw;
  raw.remote_address = address.without_peer();
  WARREN_CO_TRY(raw.scope, upgrader_.admit(target->endpoint, expected));
  if (target->name) {
    WARREN_CO_TRY_VOID(co_await load_authorities());
  }
  WARREN_CO_TRY(auto stream, co_await runtime_.connect_stream(target->endpoint, deadline));
  raw.local_address = plain_address(stream->local());
  deadline = std::min(deadline, runtime_.now() + upgrader_.config().limits.handshake_time_max);
  if (target->name) {
    auto tls = web_tls_->start(*target->name);
    WARREN_CO_TRY(stream, co_await connect_tls(std::move(stream), std::move(tls), deadline));
  }
  WARREN_CO_TRY(raw.stream,
                co_await connect_websocket(shared_, std::move(stream), host_of(*target), deadline));
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
