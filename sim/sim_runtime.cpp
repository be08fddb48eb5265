#include "sim/sim_runtime.hpp"

#include <boost/asio/post.hpp>

#include "base/check.hpp"

namespace warren::sim {
namespace {

using runtime::Wake;

// 2035-01-01T00:00:00Z, where civil time begins in every world: later than the real files that a
// test writes, which must not seem to come from the future.
constexpr WallTime kWallBegin{std::chrono::seconds(2'051'222'400)};
// What a piece of slow work costs in virtual time.
constexpr Duration kWorkTime = 50us;
constexpr std::size_t kPoolThreads = 2;

class SimSignal final : public runtime::Signal {
 public:
  explicit SimSignal(World& world) : world_(world) {}

  awaitable<Wake> wait_until(TimePoint deadline) override {
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return Wake::kCancelled;
    WARREN_CHECK(!waiting_);
    if (std::exchange(pending_, false)) co_return Wake::kNotified;
    waiting_ = true;
    const Wake how = co_await world_.park(deadline, &waiter_);
    waiting_ = false;
    co_return how;
  }

  void notify() override {
    if (!waiting_ || !world_.wake(waiter_, Wake::kNotified)) pending_ = true;
  }

 private:
  World& world_;
  std::uint64_t waiter_ = 0;
  bool waiting_ = false;
  bool pending_ = false;
};

/// Work runs at a later virtual instant, in order of submission, each thread one job at a time.
class SimPool final : public runtime::WorkerPool {
 public:
  explicit SimPool(World& world) : world_(world) {}

  void submit(std::move_only_function<void()> work, std::move_only_function<void()> done) override {
    TimePoint& free_at = free_at_[next_++ % kPoolThreads];
    free_at = std::max(free_at, world_.now()) + kWorkTime;
    World& world = world_;  // The job may outlive the pool.
    world.schedule(free_at, [&world, work = std::move(work), done = std::move(done)]() mutable {
      work();
      asio::post(world.executor(), [done = std::move(done)]() mutable { done(); });
    });
  }

  std::size_t threads() const override { return kPoolThreads; }

 private:
  World& world_;
  std::size_t next_ = 0;
  std::array<TimePoint, kPoolThreads> free_at_{};
};

class SimRuntime final : public runtime::Runtime {
 public:
  SimRuntime(World& world, Host host)
      : world_(world),
        host_(host),
        rng_(world.seed() * 0x9e3779b97f4a7c15ull + host),
        secrets_(world.seed() * 0xd1342543de82ef95ull + (std::uint64_t{host} << 32)),
        pool_(world) {
    WARREN_CHECK(!world.network().is_up(host));
    world_.network().host_up(host);
  }
  ~SimRuntime() override { world_.network().host_down(host_); }

  asio::any_io_executor executor() override { return world_.executor(); }
  TimePoint now() const override { return world_.now(); }
  WallTime wall_now() const override { return kWallBegin + world_.now().time_since_epoch(); }

  awaitable<Result<>> sleep_until(TimePoint when) override {
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    std::uint64_t waiter = 0;
    const Wake how = co_await world_.park(when, &waiter);
    if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    co_return Result<>{};
  }

  std::unique_ptr<runtime::Signal> make_signal() override { return make_sim_signal(world_); }
  std::mt19937_64& rng() override { return rng_; }
  void random_bytes(MutableBytes out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(secrets_() >> 56);
  }

  Result<std::unique_ptr<runtime::DatagramSocket>> bind_datagram(
      Endpoint local, const runtime::DatagramOptions& options) override {
    return bind_sim_datagram(world_, host_, local, options);
  }
  awaitable<Result<std::unique_ptr<runtime::ByteStream>>> connect_stream(
      Endpoint to, TimePoint deadline) override {
    return connect_sim_stream(world_, host_, to, deadline);
  }
  Result<std::unique_ptr<runtime::StreamListener>> listen_stream(Endpoint local) override {
    return listen_sim_stream(world_, host_, local);
  }

  Result<std::vector<runtime::NetworkInterface>> network_interfaces() override {
    runtime::NetworkInterface loopback;
    loopback.name = "lo";
    loopback.index = kLoopbackInterface;
    loopback.addresses = {IpAddress::v4(127, 0, 0, 1), *IpAddress::parse("::1")};
    loopback.up = loopback.loopback = true;
    runtime::NetworkInterface lan;
    lan.name = "sim0";
    lan.index = kLanInterface;
    lan.addresses = {host_v4(host_), host_v6(host_), host_link_local(host_)};
    lan.up = lan.multicast = true;
    return std::vector{std::move(loopback), std::move(lan)};
  }

  runtime::WorkerPool& pool() override { return pool_; }

 private:
  World& world_;
  Host host_;
  std::mt19937_64 rng_;
  std::mt19937_64 secrets_;
  SimPool pool_;
};

}  // namespace

std::unique_ptr<runtime::Runtime> make_sim_runtime(World& world, Host host) {
  return std::make_unique<SimRuntime>(world, host);
}

std::unique_ptr<runtime::Signal> make_sim_signal(World& world) {
  return std::make_unique<SimSignal>(world);
}

}  // namespace warren::sim
