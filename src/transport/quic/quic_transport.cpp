#include "transport/quic/quic_transport.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "crypto/sha256.hpp"
#include "transport/quic/endpoint.hpp"

namespace warren::transport::quic {
namespace {

class QuicListener final : public Listener {
 public:
  explicit QuicListener(std::shared_ptr<QuicEndpoint> endpoint)
      : endpoint_(std::move(endpoint)), address_(Multiaddr::quic(endpoint_->local())) {}
  ~QuicListener() override { close(); }
  Multiaddr address() const override { return address_; }
  awaitable<Result<std::shared_ptr<Connection>>> accept() override { return endpoint_->accept(); }
  void close() override { endpoint_->stop_accepting(); }

 private:
  std::shared_ptr<QuicEndpoint> endpoint_;
  Multiaddr address_;
};

class QuicTransport final : public Transport {
 public:
  QuicTransport(runtime::Runtime& runtime, std::unique_ptr<TlsContext> tls, PeerId local_peer,
                QuicConfig config, crypto::Sha256Digest secret)
      : runtime_(runtime),
        tls_(std::move(tls)),
        local_peer_(std::move(local_peer)),
        config_(config),
        secret_(secret),
        resources_(config.resources) {
    if (resources_ != nullptr) return;
    resources::Manager::Options options;
    options.limits.transient.connections_inbound = config.limits.half_open_max;
    // How many connections one peer may have is not for a transport alone to say.
    const limits::Holdings& all = options.limits.node;
    options.limits.peer = all;
    own_resources_ = std::make_unique<resources::Manager>([&runtime] { return runtime.now(); },
                                                          std::move(options));
    resources_ = own_resources_.get();
  }

  bool can_dial(const Multiaddr& address) const override {
    const auto endpoint = address.endpoint();
    return address.is_quic() && endpoint && endpoint->port != 0 && !endpoint->ip.is_unspecified();
  }

  bool can_listen(const Multiaddr& address) const override { return address.is_quic(); }

  awaitable<Result<std::shared_ptr<Connection>>> dial(Multiaddr address,
                                                      std::optional<PeerId> expected,
                                                      TimePoint deadline) override {
    if (!can_dial(address)) {
      co_return fail(ErrorCode::kUnsupported,
                     fmt::format("{} is not a QUIC address", address.to_string()));
    }
    const Endpoint to = *address.endpoint();
    WARREN_CO_TRY(const std::shared_ptr<QuicEndpoint> endpoint, endpoint_towards(to));
    co_return co_await endpoint->dial(to, std::move(expected), deadline);
  }

  Result<std::unique_ptr<Listener>> listen(const Multiaddr& address) override {
    const auto at = address.endpoint();
    if (!at || !can_listen(address)) {
      return fail(ErrorCode::kUnsupported,
                  fmt::format("cannot listen on {}: not a QUIC address", address.to_string()));
    }
    // A socket stays for its connections when its listener goes.
    for (const auto& endpoint : endpoints_) {
      if (endpoint->accepting() || endpoint->local() != *at) continue;
      endpoint->start_accepting();
      return std::make_unique<QuicListener>(endpoint);
    }
    WARREN_TRY(const std::shared_ptr<QuicEndpoint> endpoint, bind(*at));
    endpoint->start_accepting();
    return std::make_unique<QuicListener>(endpoint);
  }

  awaitable<void> close() override {
    for (const auto& endpoint : endpoints_) endpoint->close();
    for (const auto& endpoint : endpoints_) co_await endpoint->join();
    endpoints_.clear();
  }

 private:
  Result<std::shared_ptr<QuicEndpoint>> bind(Endpoint at) {
    runtime::DatagramOptions options;
    options.buffer_bytes = config_.socket_buffer_bytes;
    options.do_not_fragment = true;
    WARREN_TRY(auto socket, runtime_.bind_datagram(at, options));
    auto endpoint = std::make_shared<QuicEndpoint>(runtime_, *tls_, local_peer_, config_,
                                                   *resources_, secret_, std::move(socket));
    endpoint->start();
    endpoints_.push_back(endpoint);
    return endpoint;
  }

  /// A socket that can reach `to`: one that listens, else one made for dialing.
  Result<std::shared_ptr<QuicEndpoint>> endpoint_towards(const Endpoint& to) {
    for (const auto& endpoint : endpoints_) {
      const IpAddress local = endpoint->local().ip;
      if (local.is_v6() != to.ip.is_v6()) continue;
      if (local.is_unspecified() || local.is_loopback() == to.ip.is_loopback()) return endpoint;
    }
    Endpoint any;
    if (to.ip.is_v6()) any.ip = *IpAddress::parse("::");
    return bind(any);
  }

  runtime::Runtime& runtime_;
  std::unique_ptr<TlsContext> tls_;
  PeerId local_peer_;
  QuicConfig config_;
  crypto::Sha256Digest secret_;
  std::unique_ptr<resources::Manager> own_resources_;
  resources::Manager* resources_;
  std::vector<std::shared_ptr<QuicEndpoint>> endpoints_;
};

}  // namespace

Result<std::unique_ptr<Transport>> make_quic_transport(runtime::Runtime& runtime,
                                                       const crypto::PrivateKey& identity,
                                                       QuicConfig config) {
  WARREN_TRY(std::unique_ptr<TlsContext> tls, TlsContext::create(runtime, identity));
  const PeerId local = PeerId::from_public_key(identity.public_key().protobuf());
  Bytes material = to_bytes("warren quic reset tokens");
  append(material, identity.to_protobuf());
  return std::make_unique<QuicTransport>(runtime, std::move(tls), local, config,
                                         crypto::sha256(material));
}

}  // namespace warren::transport::quic
