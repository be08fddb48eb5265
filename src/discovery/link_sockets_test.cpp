#include "discovery/link_sockets.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sim/world.hpp"

namespace warren::discovery {
namespace {

constexpr IpAddress kGroup = IpAddress::v4(239, 192, 0, 9);

/// A simulated host, but with the interfaces that a test says.
class OtherInterfaces final : public runtime::Runtime {
 public:
  explicit OtherInterfaces(std::unique_ptr<runtime::Runtime> host)
      : interfaces(host->network_interfaces().value()), host_(std::move(host)) {}

  Result<std::vector<runtime::NetworkInterface>> network_interfaces() override {
    return interfaces;
  }
  boost::asio::any_io_executor executor() override { return host_->executor(); }
  TimePoint now() const override { return host_->now(); }
  WallTime wall_now() const override { return host_->wall_now(); }
  awaitable<Result<>> sleep_until(TimePoint when) override { return host_->sleep_until(when); }
  std::unique_ptr<runtime::Signal> make_signal() override { return host_->make_signal(); }
  std::mt19937_64& rng() override { return host_->rng(); }
  void random_bytes(MutableBytes out) override { host_->random_bytes(out); }
  Result<std::unique_ptr<runtime::DatagramSocket>> bind_datagram(
      Endpoint local, const runtime::DatagramOptions& options) override {
    return host_->bind_datagram(local, options);
  }
  awaitable<Result<std::unique_ptr<runtime::ByteStream>>> connect_stream(
      Endpoint to, TimePoint deadline) override {
    return host_->connect_stream(to, deadline);
  }
  Result<std::unique_ptr<runtime::StreamListener>> listen_stream(Endpoint local) override {
    return host_->listen_stream(local);
  }
  Result<std::unique_ptr<runtime::InterfaceWatch>> watch_interfaces() override {
    return host_->watch_interfaces();
  }
  runtime::Resolver& resolver() override { return host_->resolver(); }
  runtime::WorkerPool& pool() override { return host_->pool(); }

  std::vector<runtime::NetworkInterface> interfaces;

 private:
  std::unique_ptr<runtime::Runtime> host_;
};

runtime::NetworkInterface container(std::uint32_t index) {
  runtime::NetworkInterface one;
  one.name = fmt::format("veth{}", index);
  one.index = index;
  one.addresses = {IpAddress::v4(10, 9, 0, 1)};
  one.prefix_lengths = {24};
  one.up = true;
  return one;
}

awaitable<bool> stop(LinkSockets& sockets) {
  co_await sockets.join();
  sockets.close();
  co_return true;
}

/// Sockets of host 1, and the events that came of them.
struct Station {
  explicit Station(LinkOptions options = {}) {
    options.name = "test";
    options.port = 4'999;
    options.group_v4 = kGroup;
    options.group_v6 = IpAddress::parse("ff12::9").value();
    options.interfaces_max = 20;
    options.packets_per_second_max = 1'000;
    options.packet_bytes_max = 1'200;
    const auto handle = [this](const LinkEvent& event) {
      if (const auto* packet = std::get_if<PacketReceived>(&event)) {
        heard.emplace_back(packet->interface_index, packet->multicast);
      }
      fired += std::holds_alternative<TimerFired>(event);
      refreshed += std::holds_alternative<RefreshAsked>(event);
    };
    sockets = std::make_unique<LinkSockets>(
        runtime, options, [] { return std::vector<Multiaddr>{}; }, handle);
    EXPECT_TRUE(sockets->start());
    world.run_for(1ms);
  }
  ~Station() { sim::run(world, stop(*sockets)); }
  void look_again() {
    sockets->addresses_changed();
    world.run_for(1ms);
  }

  sim::World world{sim::seed_from_env(1)};
  OtherInterfaces runtime{world.make_runtime(1)};
  std::unique_ptr<LinkSockets> sockets;
  std::vector<std::pair<std::uint32_t, bool>> heard;
  int fired = 0;
  int refreshed = 0;
};

LinkOptions with_broadcast() {
  LinkOptions options;
  options.broadcast = true;
  return options;
}

// Before, those beyond 64 were not known, and one of them that is the loopback interface was sent
// what is meant for a network.
TEST(LinkSockets, InterfacesBeyondThoseThatAreCountedWorkLikeOthers) {
  Station station(with_broadcast());
  const auto usual = station.runtime.interfaces;
  for (std::uint32_t index = 100; index < 300; ++index) {
    station.runtime.interfaces = {container(index)};
    station.look_again();
    ASSERT_EQ(station.sockets->interfaces().size(), 1u);
    ASSERT_LE(station.sockets->counters().size(), 64u);
  }
  station.runtime.interfaces = usual;
  station.look_again();
  station.sockets->broadcast(sim::kLoopbackInterface, as_bytes("here"),
                             IpAddress::v4(127, 0, 0, 1));
  station.sockets->multicast(sim::kLanInterface, false, as_bytes("there"));
  station.world.run_for(1s);
  EXPECT_EQ(station.heard, (std::vector<std::pair<std::uint32_t, bool>>{
                               {sim::kLoopbackInterface, false}, {sim::kLanInterface, true}}));
  EXPECT_EQ(station.sockets->counters().at(sim::kLoopbackInterface).sent, 1u);
  EXPECT_EQ(station.sockets->counters().at(sim::kLanInterface).sent, 1u);
}

TEST(LinkSockets, NothingIsSentOnAnInterfaceThatIsNotUsed) {
  Station station(with_broadcast());
  station.sockets->broadcast(99, as_bytes("?"), IpAddress::v4(10, 0, 0, 1));
  station.sockets->multicast(99, false, as_bytes("?"));
  EXPECT_FALSE(station.sockets->counters().contains(99));
}

TEST(LinkSockets, WithoutBroadcastOnlyInterfacesInAGroupAreUsed) {
  Station station;
  station.runtime.interfaces.push_back(container(100));
  station.look_again();
  for (const LinkInterface& each : station.sockets->interfaces()) {
    EXPECT_TRUE(each.joined) << each.index;
  }
  EXPECT_EQ(station.sockets->interfaces().size(), 2u);
}

TEST(LinkSockets, TheTimerFiresOnceAndARefreshComesAtOnce) {
  Station station;
  EXPECT_EQ(station.fired, 0);
  station.sockets->set_timer(station.world.now() + 1s);
  station.sockets->refresh();
  station.world.run_for(10s);
  EXPECT_EQ(station.fired, 1);
  EXPECT_EQ(station.refreshed, 1);
}

}  // namespace
}  // namespace warren::discovery
