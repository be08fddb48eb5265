#include "sim/sim_runtime.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/check.hpp"
#include "base/limits.hpp"

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

/// Answers out of World::names.
class SimResolver final : public runtime::Resolver {
 public:
  explicit SimResolver(World& world) : world_(world) {}

  awaitable<Result<std::vector<IpAddress>>> resolve_host(std::string name,
                                                         runtime::AddressFamily family,
                                                         TimePoint deadline) override {
    WARREN_CO_TRY(const NameRecord record, co_await look_up(name, deadline));
    std::vector<IpAddress> found;
    for (const IpAddress& ip : record.addresses) {
      const bool wanted = family == runtime::AddressFamily::kAny ||
                          ip.is_v6() == (family == runtime::AddressFamily::kV6);
      if (wanted && found.size() < limits::Resolver{}.answers_max) found.push_back(ip);
    }
    if (found.empty()) co_return fail(nothing(name));
    co_return found;
  }

  awaitable<Result<std::vector<std::string>>> resolve_text(std::string name,
                                                           TimePoint deadline) override {
    WARREN_CO_TRY(NameRecord record, co_await look_up(name, deadline));
    if (record.texts.empty()) co_return fail(nothing(name));
    if (record.texts.size() > limits::Resolver{}.answers_max) {
      record.texts.resize(limits::Resolver{}.answers_max);
    }
    co_return std::move(record.texts);
  }

 private:
  static Error nothing(const std::string& name) {
    return {ErrorCode::kNotFound, fmt::format("{}: no such name", name)};
  }

  awaitable<Result<NameRecord>> look_up(std::string name, TimePoint deadline) {
    WARREN_CO_TRY_VOID(runtime::check_host_name(name));
    ++world_.names_asked[name];
    const auto found = world_.names.find(name);
    const bool known = found != world_.names.end();
    const NameRecord record = known ? found->second : NameRecord{};
    const TimePoint answer = record.silent ? kNever : world_.now() + record.delay;
    std::uint64_t waiter = 0;
    const bool stop = co_await runtime::cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    const Wake how = co_await world_.park(std::min(answer, deadline), &waiter);
    if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (answer > deadline) {
      co_return fail(ErrorCode::kTimedOut, fmt::format("{}: no answer in time", name));
    }
    if (record.error) co_return fail(*record.error, fmt::format("{}: the lookup failed", name));
    if (!known) co_return fail(nothing(name));
    co_return record;
  }

  World& world_;
};

class SimInterfaceWatch final : public runtime::InterfaceWatch {
 public:
  SimInterfaceWatch(World& world, Host host)
      : world_(world), host_(host), signal_(make_sim_signal(world)) {
    notify_ = [this] { signal_->notify(); };
    world_.address_watchers[host_].push_back(&notify_);
  }
  ~SimInterfaceWatch() override { std::erase(world_.address_watchers[host_], &notify_); }

  awaitable<Result<>> changed() override {
    const Wake how = co_await signal_->wait_until(kNever);
    if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    co_return Result<>{};
  }

 private:
  World& world_;
  Host host_;
  std::unique_ptr<runtime::Signal> signal_;
  std::function<void()> notify_;
};

class SimRuntime final : public runtime::Runtime {
 public:
  SimRuntime(World& world, Host host)
      : world_(world),
        host_(host),
        rng_(world.seed() * 0x9e3779b97f4a7c15ull + host),
        secrets_(world.seed() * 0xd1342543de82ef95ull + (std::uint64_t{host} << 32)),
        pool_(world),
        resolver_(world) {
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
    loopback.prefix_lengths = {8, 128};
    loopback.up = loopback.loopback = true;
    runtime::NetworkInterface lan;
    lan.name = "sim0";
    lan.index = kLanInterface;
    lan.addresses = {host_v4(host_), host_v6(host_), host_link_local(host_)};
    lan.prefix_lengths = {16, 64, 64};
    for (const IpAddress& ip : world_.added_addresses(host_)) {
      lan.addresses.push_back(ip);
      lan.prefix_lengths.push_back(ip.is_v6() ? 64 : 24);
    }
    lan.up = lan.multicast = true;
    return std::vector{std::move(loopback), std::move(lan)};
  }

  Result<std::unique_ptr<runtime::InterfaceWatch>> watch_interfaces() override {
    return std::make_unique<SimInterfaceWatch>(world_, host_);
  }
  runtime::Resolver& resolver() override { return resolver_; }
  runtime::WorkerPool& pool() override { return pool_; }

 private:
  World& world_;
  Host host_;
  std::mt19937_64 rng_;
  std::mt19937_64 secrets_;
  SimPool pool_;
  SimResolver resolver_;
};

}  // namespace

std::unique_ptr<runtime::Runtime> make_sim_runtime(World& world, Host host) {
  return std::make_unique<SimRuntime>(world, host);
}

std::unique_ptr<runtime::Signal> make_sim_signal(World& world) {
  return std::make_unique<SimSignal>(world);
}

}  // namespace warren::sim
