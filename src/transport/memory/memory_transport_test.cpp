// The memory transport keeps the contract of every transport, over a direct link and over the
// simulated network; and what is its own.

#include "transport/memory/memory_transport.hpp"

#include "runtime/run_task.hpp"
#include "security/noise/noise_security.hpp"
#include "sim/memory_link.hpp"
#include "sim/world.hpp"
#include "transport/contract_tests.hpp"

namespace warren::transport {
namespace {

crypto::PublicKey key_of(std::uint8_t number) {
  return crypto::PrivateKey::from_seed(Bytes(32, number)).public_key();
}

/// Two nodes on the machine's own clock.
class DirectStage final : public contract::Stage {
 public:
  runtime::Runtime& runtime() override { return runtime_; }
  Transport& dialler() override { return dialler_; }
  Transport& listener() override { return listener_; }
  crypto::PublicKey dialler_key() override { return key_of(1); }
  crypto::PublicKey listener_key() override { return key_of(2); }
  Multiaddr listen_address() override { return Multiaddr::memory(0); }
  Multiaddr nobody() override { return Multiaddr::memory(77); }
  Multiaddr foreign_address() override { return Multiaddr::tcp({IpAddress::v4(127, 0, 0, 1), 1}); }
  void run(awaitable<void> task) override { run_task(runtime_, std::move(task)); }

 private:
  runtime::RealRuntime runtime_{{.pool_threads = 1}};
  memory::Hub hub_{runtime_.executor()};
  memory::MemoryTransport dialler_{runtime_, hub_, key_of(1)};
  memory::MemoryTransport listener_{runtime_, hub_, key_of(2)};
};

/// Two simulated hosts.
class SimStage : public contract::Stage {
 public:
  runtime::Runtime& runtime() override { return *runtime_a_; }
  Transport& dialler() override { return dialler_; }
  Transport& listener() override { return listener_; }
  crypto::PublicKey dialler_key() override { return key_of(1); }
  crypto::PublicKey listener_key() override { return key_of(2); }
  Multiaddr listen_address() override { return Multiaddr::memory(0); }
  Multiaddr nobody() override { return Multiaddr::memory(77); }
  Multiaddr foreign_address() override { return Multiaddr::tcp({IpAddress::v4(127, 0, 0, 1), 1}); }
  void run(awaitable<void> task) override { sim::run(world_, std::move(task)); }
  sim::World& world() { return world_; }

 private:
  sim::World world_{sim::seed_from_env(1)};
  std::unique_ptr<runtime::Runtime> runtime_a_ = world_.make_runtime(1);
  std::unique_ptr<runtime::Runtime> runtime_b_ = world_.make_runtime(2);
  memory::Hub hub_{std::make_shared<sim::MemoryLink>(world_)};
  memory::MemoryTransport dialler_{*runtime_a_, hub_, key_of(1), {.node = 1}};
  memory::MemoryTransport listener_{*runtime_b_, hub_, key_of(2), {.node = 2}};
};

/// With Noise and Yamux in between, as over TCP.
memory::MemoryConfig upgraded(runtime::Runtime& runtime, std::uint64_t number) {
  const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
  const auto identity = crypto::PrivateKey::from_seed(Bytes(32, static_cast<std::uint8_t>(number)));
  memory::MemoryConfig config{.node = number};
  config.securities.push_back(security::noise::make_noise_security(
      std::make_shared<const security::noise::Credentials>(
          identity, std::vector<std::string>{"/yamux/1.0.0"}, random),
      random));
  return config;
}

/// Two nodes whose connections pass through the upgrade.
class UpgradedStage : public contract::Stage {
 public:
  UpgradedStage(std::shared_ptr<memory::Link> link, runtime::Runtime& a, runtime::Runtime& b)
      : runtime_(a),
        hub_(std::move(link)),
        dialler_(a, hub_, key_of(1), upgraded(a, 1)),
        listener_(b, hub_, key_of(2), upgraded(b, 2)) {}

  runtime::Runtime& runtime() override { return runtime_; }
  Transport& dialler() override { return dialler_; }
  Transport& listener() override { return listener_; }
  crypto::PublicKey dialler_key() override { return key_of(1); }
  crypto::PublicKey listener_key() override { return key_of(2); }
  Multiaddr listen_address() override { return Multiaddr::memory(0); }
  Multiaddr nobody() override { return Multiaddr::memory(77); }
  Multiaddr foreign_address() override { return Multiaddr::tcp({IpAddress::v4(127, 0, 0, 1), 1}); }

 protected:
  awaitable<void> play(awaitable<void> scene) {
    co_await std::move(scene);
    co_await dialler_.close();
    co_await listener_.close();
  }

 private:
  runtime::Runtime& runtime_;
  memory::Hub hub_;
  memory::MemoryTransport dialler_;
  memory::MemoryTransport listener_;
};

struct SimHosts {
  sim::World world{sim::seed_from_env(1)};
  std::unique_ptr<runtime::Runtime> a = world.make_runtime(1);
  std::unique_ptr<runtime::Runtime> b = world.make_runtime(2);
};

class UpgradedSimStage final : private SimHosts, public UpgradedStage {
 public:
  UpgradedSimStage() : UpgradedStage(std::make_shared<sim::MemoryLink>(SimHosts::world), *a, *b) {}
  void run(awaitable<void> task) override { sim::run(SimHosts::world, play(std::move(task))); }
  sim::World& world() { return SimHosts::world; }
};

std::unique_ptr<contract::Stage> make_upgraded() { return std::make_unique<UpgradedSimStage>(); }
std::unique_ptr<contract::Stage> make_upgraded_slow() {
  auto stage = std::make_unique<UpgradedSimStage>();
  stage->world().link.latency_min = 20ms;
  stage->world().link.latency_max = 60ms;
  stage->world().link.bytes_per_second = 20'000'000;
  return stage;
}

std::unique_ptr<contract::Stage> make_direct() { return std::make_unique<DirectStage>(); }
std::unique_ptr<contract::Stage> make_sim() { return std::make_unique<SimStage>(); }
std::unique_ptr<contract::Stage> make_slow() {
  auto stage = std::make_unique<SimStage>();
  stage->world().link.latency_min = 20ms;
  stage->world().link.latency_max = 60ms;
  stage->world().link.bytes_per_second = 20'000'000;
  return stage;
}

}  // namespace

namespace contract {
INSTANTIATE_TEST_SUITE_P(Direct, TransportContract, ::testing::Values(&make_direct));
INSTANTIATE_TEST_SUITE_P(Simulated, TransportContract, ::testing::Values(&make_sim));
INSTANTIATE_TEST_SUITE_P(Upgraded, TransportContract, ::testing::Values(&make_upgraded));
INSTANTIATE_TEST_SUITE_P(UpgradedSlowLink, TransportContract,
                         ::testing::Values(&make_upgraded_slow));
INSTANTIATE_TEST_SUITE_P(SlowLink, TransportContract, ::testing::Values(&make_slow));
}  // namespace contract

namespace {

awaitable<void> partitioned(SimStage& stage) {
  const contract::Connected made = co_await contract::connect(stage);
  const contract::StreamPair pair = co_await contract::open(stage, *made.a, *made.b);
  stage.world().partition({2});
  const auto written = co_await pair.a->write(as_bytes("held"), kNever);
  EXPECT_TRUE(written);
  Bytes buffer(4);
  const auto early = co_await pair.b->read_full(buffer, stage.runtime().now() + 10s);
  EXPECT_EQ(early.error().code(), ErrorCode::kTimedOut);
  const auto dialled = co_await stage.dialler().dial(made.listener->address(), std::nullopt,
                                                     stage.runtime().now() + 3s);
  EXPECT_EQ(dialled.error().code(), ErrorCode::kTimedOut);
  stage.world().heal();
  const auto got = co_await pair.b->read_full(buffer, stage.runtime().now() + 1s);
  EXPECT_EQ(got.value(), 4u);
}

TEST(MemoryTransport, APartitionHoldsBytesBackUntilItHeals) {
  SimStage stage;
  stage.run(partitioned(stage));
}

awaitable<void> measured(SimStage& stage) {
  stage.world().link.latency_min = stage.world().link.latency_max = 40ms;
  const contract::Connected made = co_await contract::connect(stage);
  EXPECT_EQ(made.a->stats().rtt, 80ms);
  EXPECT_EQ(made.b->stats().rtt, 80ms);
}

TEST(MemoryTransport, TheRoundTripTimeIsTheHandshakes) {
  SimStage stage;
  stage.run(measured(stage));
}

awaitable<void> address_with_peer(SimStage& stage) {
  const auto listener = stage.listener().listen(Multiaddr::memory(5)).value();
  EXPECT_EQ(listener->address(), Multiaddr::memory(5));
  const PeerId wrong = PeerId::from_public_key(key_of(9).protobuf());
  const auto dialled = co_await stage.dialler().dial(Multiaddr::memory(5).with_peer(wrong),
                                                     std::nullopt, contract::soon(stage));
  EXPECT_EQ(dialled.error().code(), ErrorCode::kIntegrity);
}

TEST(MemoryTransport, ThePeerInAnAddressIsExpected) {
  SimStage stage;
  stage.run(address_with_peer(stage));
}

awaitable<void> full_backlog(SimStage& stage) {
  const auto listener = stage.listener().listen(Multiaddr::memory(5)).value();
  std::vector<std::shared_ptr<Connection>> kept;
  for (std::size_t i = 0; i < memory::MemoryConfig().backlog_max; ++i) {
    auto dialled =
        co_await stage.dialler().dial(Multiaddr::memory(5), std::nullopt, contract::soon(stage));
    kept.push_back(std::move(dialled.value()));
  }
  co_await stage.runtime().sleep_for(1s);
  const auto refused =
      co_await stage.dialler().dial(Multiaddr::memory(5), std::nullopt, contract::soon(stage));
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnreachable);
}

TEST(MemoryTransport, AFullBacklogRefuses) {
  SimStage stage;
  stage.run(full_backlog(stage));
}

}  // namespace
}  // namespace warren::transport
