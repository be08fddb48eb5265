#include "runtime/real_runtime.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <cerrno>
#include <map>

#include "base/check.hpp"
#include "runtime/cancellation.hpp"
#include "runtime/real_datagram.hpp"
#include "runtime/real_interface_watch.hpp"
#include "runtime/real_stream.hpp"
#include "runtime/socket_address.hpp"
#include "runtime/thread_pool.hpp"

namespace warren::runtime {
namespace {

std::chrono::nanoseconds read_clock(clockid_t id) {
  timespec t{};
  ::clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

/// MonotonicClock with a now(), which only this file may call.
struct AsioClock : MonotonicClock {
  static time_point now() { return time_point(read_clock(CLOCK_MONOTONIC)); }
};
using AsioTimer = asio::basic_waitable_timer<AsioClock>;
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

AsioClock::time_point to_asio(TimePoint when) {
  return AsioClock::time_point(when.time_since_epoch());
}

/// How many of the first bits of `ip` all of its link share; all of them where the system says
/// nothing.
std::uint8_t prefix_length(const IpAddress& ip, const sockaddr* netmask) {
  const auto mask = netmask == nullptr ? std::nullopt : endpoint_of(*netmask);
  if (!mask || mask->ip.is_v6() != ip.is_v6()) {
    return static_cast<std::uint8_t>(ip.bytes().size() * 8);
  }
  int bits = 0;
  for (const std::uint8_t byte : mask->ip.bytes()) bits += std::popcount(byte);
  return static_cast<std::uint8_t>(bits);
}

class RealSignal final : public Signal {
 public:
  explicit RealSignal(asio::any_io_executor executor) : timer_(std::move(executor)) {}

  awaitable<Wake> wait_until(TimePoint deadline) override {
    const bool stop = co_await cancelled();
    if (stop) co_return Wake::kCancelled;
    WARREN_CHECK(!waiting_);
    if (std::exchange(pending_, false)) co_return Wake::kNotified;
    waiting_ = true;
    timer_.expires_at(to_asio(deadline));
    const auto [error] = co_await timer_.async_wait(kToken);
    waiting_ = false;
    if (std::exchange(pending_, false)) co_return Wake::kNotified;
    co_return error ? Wake::kCancelled : Wake::kTimedOut;
  }

  void notify() override {
    if (std::exchange(pending_, true)) return;
    if (waiting_) timer_.cancel();
  }

 private:
  AsioTimer timer_;
  bool waiting_ = false;
  bool pending_ = false;
};

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  WARREN_CHECK(::getrandom(&seed, sizeof seed, 0) == sizeof seed);
  return seed;
}

}  // namespace

RealRuntime::RealRuntime(RealRuntimeOptions options)
    : context_(1),
      rng_(random_seed()),
      resolver_(make_real_resolver(context_, *this, std::move(options.resolver))),
      pool_(make_thread_pool(context_.get_executor(), options.pool_threads)) {}

RealRuntime::~RealRuntime() = default;

void RealRuntime::run() {
  const auto work = asio::make_work_guard(context_);
  context_.run();
}

void RealRuntime::stop() { context_.stop(); }

TimePoint RealRuntime::now() const { return TimePoint(read_clock(CLOCK_MONOTONIC)); }

WallTime RealRuntime::wall_now() const { return WallTime(read_clock(CLOCK_REALTIME)); }

awaitable<Result<>> RealRuntime::sleep_until(TimePoint when) {
  const bool stop = co_await cancelled();
  if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
  AsioTimer timer(context_.get_executor(), to_asio(when));
  const auto [error] = co_await timer.async_wait(kToken);
  if (error) co_return fail(ErrorCode::kCancelled, "cancelled");
  co_return Result<>{};
}

std::unique_ptr<Signal> RealRuntime::make_signal() {
  return std::make_unique<RealSignal>(context_.get_executor());
}

void RealRuntime::random_bytes(MutableBytes out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    WARREN_CHECK(n > 0 || errno == EINTR);
    if (n > 0) out = out.subspan(static_cast<std::size_t>(n));
  }
}

Result<std::unique_ptr<DatagramSocket>> RealRuntime::bind_datagram(Endpoint local,
                                                                   const DatagramOptions& options) {
  return bind_real_datagram(context_.get_executor(), local, options);
}

awaitable<Result<std::unique_ptr<ByteStream>>> RealRuntime::connect_stream(Endpoint to,
                                                                           TimePoint deadline) {
  return connect_real_stream(*this, to, deadline);
}

Result<std::unique_ptr<StreamListener>> RealRuntime::listen_stream(Endpoint local) {
  return listen_real_stream(*this, local);
}

Result<std::unique_ptr<InterfaceWatch>> RealRuntime::watch_interfaces() {
  return make_real_interface_watch(context_, *this);
}

Result<std::vector<NetworkInterface>> RealRuntime::network_interfaces() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail(system_error("getifaddrs", errno));
  std::map<std::string, NetworkInterface> by_name;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    NetworkInterface& found = by_name[entry->ifa_name];
    found.name = entry->ifa_name;
    found.index = ::if_nametoindex(entry->ifa_name);
    found.up = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_RUNNING) != 0;
    found.loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
    found.multicast = (entry->ifa_flags & IFF_MULTICAST) != 0;
    if (entry->ifa_addr == nullptr) continue;
    if (const auto endpoint = endpoint_of(*entry->ifa_addr)) {
      found.addresses.push_back(endpoint->ip);
      found.prefix_lengths.push_back(prefix_length(endpoint->ip, entry->ifa_netmask));
    }
  }
  ::freeifaddrs(list);
  std::vector<NetworkInterface> all;
  for (auto& [name, found] : by_name) all.push_back(std::move(found));
  std::ranges::sort(all, {}, &NetworkInterface::index);
  return all;
}

}  // namespace warren::runtime
