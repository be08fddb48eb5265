// QUIC held against the contract of all transports: over the machine's loopback, and over the
// simulated network. (The contract speaks of order that only a link without loss keeps; what loss
// does is in quic_sim_test.cpp.)

#include "runtime/run_task.hpp"
#include "sim/world.hpp"
#include "transport/contract_tests.hpp"
#include "transport/quic/quic_transport.hpp"

namespace warren::transport {
namespace contract {
namespace {

/// Two QUIC transports on runtimes of the derived class.
class QuicStage : public Stage {
 public:
  QuicStage(runtime::Runtime& dialler, runtime::Runtime& listener, IpAddress ip)
      : runtime_(dialler),
        ip_(ip),
        dialler_(quic::make_quic_transport(dialler, dialler_identity_).value()),
        listener_(quic::make_quic_transport(listener, listener_identity_).value()) {}

  runtime::Runtime& runtime() override { return runtime_; }
  Transport& dialler() override { return *dialler_; }
  Transport& listener() override { return *listener_; }
  crypto::PublicKey dialler_key() override { return dialler_identity_.public_key(); }
  crypto::PublicKey listener_key() override { return listener_identity_.public_key(); }
  Multiaddr listen_address() override { return Multiaddr::quic({ip_, 0, 0}); }
  Multiaddr nobody() override { return Multiaddr::quic({ip_, 9, 0}); }
  Multiaddr foreign_address() override { return Multiaddr::memory(7); }

 protected:
  awaitable<void> play(awaitable<void> scene) {
    co_await std::move(scene);
    co_await dialler_->close();
    co_await listener_->close();
  }

 private:
  runtime::Runtime& runtime_;
  IpAddress ip_;
  crypto::PrivateKey dialler_identity_ = crypto::PrivateKey::from_seed(Bytes(32, 1));
  crypto::PrivateKey listener_identity_ = crypto::PrivateKey::from_seed(Bytes(32, 2));
  std::unique_ptr<Transport> dialler_;
  std::unique_ptr<Transport> listener_;
};

struct RealWorld {
  runtime::RealRuntime real{{.pool_threads = 1}};
};

class LoopbackStage final : private RealWorld, public QuicStage {
 public:
  LoopbackStage() : QuicStage(real, real, IpAddress::v4(127, 0, 0, 1)) {}
  void run(awaitable<void> scene) override { runtime::run_task(real, play(std::move(scene))); }
};

struct SimulatedWorld {
  SimulatedWorld() { world.link.latency_min = world.link.latency_max = 2ms; }
  sim::World world{sim::seed_from_env(11)};
  std::unique_ptr<runtime::Runtime> a = world.make_runtime(1);
};

class SimulatedStage final : private SimulatedWorld, public QuicStage {
 public:
  SimulatedStage() : QuicStage(*a, *a, sim::host_v4(1)) {}
  void run(awaitable<void> scene) override { sim::run(world, play(std::move(scene))); }
};

std::unique_ptr<Stage> make_loopback() { return std::make_unique<LoopbackStage>(); }
std::unique_ptr<Stage> make_simulated() { return std::make_unique<SimulatedStage>(); }

}  // namespace

INSTANTIATE_TEST_SUITE_P(Loopback, TransportContract, ::testing::Values(&make_loopback));
INSTANTIATE_TEST_SUITE_P(Simulated, TransportContract, ::testing::Values(&make_simulated));

}  // namespace contract
}  // namespace warren::transport
