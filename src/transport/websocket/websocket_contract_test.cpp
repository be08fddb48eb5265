// WebSocket held against the contract of all transports: over the machine's loopback and over the
// simulated network, with each security protocol.

#include "runtime/run_task.hpp"
#include "security/noise/noise_security.hpp"
#include "security/tls/tls_security.hpp"
#include "sim/world.hpp"
#include "transport/contract_tests.hpp"
#include "transport/websocket/address.hpp"
#include "transport/websocket/websocket_transport.hpp"

namespace warren::transport {
namespace contract {
namespace {

using Make = std::shared_ptr<security::SecurityProtocol> (*)(runtime::Runtime&,
                                                             const crypto::PrivateKey&);

std::shared_ptr<security::SecurityProtocol> make_noise(runtime::Runtime& runtime,
                                                       const crypto::PrivateKey& identity) {
  const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
  return security::noise::make_noise_security(
      std::make_shared<const security::noise::Credentials>(
          identity, std::vector<std::string>{"/yamux/1.0.0"}, random),
      random);
}

std::shared_ptr<security::SecurityProtocol> make_tls(runtime::Runtime& runtime,
                                                     const crypto::PrivateKey& identity) {
  return security::make_tls_security(identity, {"/yamux/1.0.0"},
                                     [&runtime] { return runtime.wall_now(); })
      .value();
}

/// Two WebSocket transports on runtimes of the derived class.
class WebSocketStage : public Stage {
 public:
  WebSocketStage(runtime::Runtime& dialler, runtime::Runtime& listener, IpAddress ip, Make make)
      : runtime_(dialler),
        ip_(ip),
        dialler_(dialler, dialler_identity_.public_key(), {make(dialler, dialler_identity_)}),
        listener_(listener, listener_identity_.public_key(), {make(listener, listener_identity_)}) {
  }

  runtime::Runtime& runtime() override { return runtime_; }
  Transport& dialler() override { return dialler_; }
  Transport& listener() override { return listener_; }
  crypto::PublicKey dialler_key() override { return dialler_identity_.public_key(); }
  crypto::PublicKey listener_key() override { return listener_identity_.public_key(); }
  Multiaddr listen_address() override { return websocket::plain_address({ip_, 0, 0}); }
  Multiaddr nobody() override { return websocket::plain_address({ip_, 9, 0}); }
  Multiaddr foreign_address() override { return Multiaddr::tcp({ip_, 7, 0}); }

 protected:
  awaitable<void> play(awaitable<void> scene) {
    co_await std::move(scene);
    co_await dialler_.close();
    co_await listener_.close();
  }

 private:
  runtime::Runtime& runtime_;
  IpAddress ip_;
  crypto::PrivateKey dialler_identity_ = crypto::PrivateKey::from_seed(Bytes(32, 1));
  crypto::PrivateKey listener_identity_ = crypto::PrivateKey::from_seed(Bytes(32, 2));
  websocket::WebSocketTransport dialler_;
  websocket::WebSocketTransport listener_;
};

struct RealWorld {
  runtime::RealRuntime real{{.pool_threads = 1}};
};

class LoopbackStage final : private RealWorld, public WebSocketStage {
 public:
  explicit LoopbackStage(Make make)
      : WebSocketStage(real, real, IpAddress::v4(127, 0, 0, 1), make) {}
  void run(awaitable<void> scene) override { runtime::run_task(real, play(std::move(scene))); }
};

struct SimulatedWorld {
  SimulatedWorld() { world.link.latency_min = world.link.latency_max = 2ms; }
  sim::World world{sim::seed_from_env(11)};
  std::unique_ptr<runtime::Runtime> a = world.make_runtime(1);
};

class SimulatedStage final : private SimulatedWorld, public WebSocketStage {
 public:
  explicit SimulatedStage(Make make) : WebSocketStage(*a, *a, sim::host_v4(1), make) {}
  void run(awaitable<void> scene) override { sim::run(world, play(std::move(scene))); }
};

std::unique_ptr<Stage> make_loopback_noise() {
  return std::make_unique<LoopbackStage>(&make_noise);
}
std::unique_ptr<Stage> make_simulated_noise() {
  return std::make_unique<SimulatedStage>(&make_noise);
}
std::unique_ptr<Stage> make_loopback_tls() { return std::make_unique<LoopbackStage>(&make_tls); }
std::unique_ptr<Stage> make_simulated_tls() { return std::make_unique<SimulatedStage>(&make_tls); }

}  // namespace

INSTANTIATE_TEST_SUITE_P(LoopbackNoise, TransportContract, ::testing::Values(&make_loopback_noise));
INSTANTIATE_TEST_SUITE_P(SimulatedNoise, TransportContract,
                         ::testing::Values(&make_simulated_noise));
INSTANTIATE_TEST_SUITE_P(LoopbackTls, TransportContract, ::testing::Values(&make_loopback_tls));
INSTANTIATE_TEST_SUITE_P(SimulatedTls, TransportContract, ::testing::Values(&make_simulated_tls));

}  // namespace contract
}  // namespace warren::transport
