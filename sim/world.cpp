#include "sim/world.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <stdexcept>

#include "base/check.hpp"
#include "sim/network.hpp"
#include "sim/sim_runtime.hpp"

namespace warren::sim {
namespace {

using runtime::Wake;

// Virtual time begins away from zero, so that a TimePoint that nobody set is not "now".
constexpr TimePoint kBegin{1'000s};
// Handlers that may run at one virtual instant. Beyond it two tasks wake each other for ever.
constexpr std::uint64_t kHandlersPerInstantMax = 20'000'000;
// A parcel that meets a partition asks again after this long, as a retransmission would.
constexpr Duration kPartitionRetry = 50ms;

IpAddress v6_of(std::uint8_t first, std::uint8_t second, Host host) {
  std::array<std::uint8_t, 16> raw{};
  raw[0] = first;
  raw[1] = second;
  raw[14] = static_cast<std::uint8_t>(host >> 8);
  raw[15] = static_cast<std::uint8_t>(host & 0xff);
  return *IpAddress::from_bytes(raw);
}

std::optional<std::uint64_t> number_in_env(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

}  // namespace

std::uint64_t seed_from_env(std::uint64_t fallback) {
  return number_in_env("SIM_SEED").value_or(fallback);
}

std::vector<std::uint64_t> seeds_from_env(std::uint64_t first, std::size_t count) {
  if (const auto one = number_in_env("SIM_SEED")) return {*one};
  const std::uint64_t wanted = number_in_env("SIM_SEEDS").value_or(count);
  std::vector<std::uint64_t> seeds;
  for (std::uint64_t i = 0; i < std::max<std::uint64_t>(wanted, 1); ++i) seeds.push_back(first + i);
  return seeds;
}

IpAddress host_v4(Host host) {
  return IpAddress::v4(10, 0, static_cast<std::uint8_t>(host >> 8),
                       static_cast<std::uint8_t>(host & 0xff));
}
IpAddress host_v6(Host host) { return v6_of(0xfd, 0, host); }
IpAddress host_link_local(Host host) { return v6_of(0xfe, 0x80, host); }

Host host_of(const IpAddress& ip) {
  const BytesView raw = ip.bytes();
  const Host host = Host{raw[raw.size() - 2]} << 8 | raw[raw.size() - 1];
  if (host == 0) return 0;
  const bool ours = ip == host_v4(host) || ip == host_v6(host) || ip == host_link_local(host);
  return ours ? host : 0;
}

World::World(std::uint64_t seed)
    : reachable([](Host, Host) { return true; }),
      seed_(seed),
      rng_(seed),
      now_(kBegin),
      network_(std::make_unique<Network>(*this)) {
  loopback_.latency_min = loopback_.latency_max = 20us;
  loopback_.mtu_bytes = 65'536;
  trace({seed});
}

World::~World() {
  // What still waits is dropped. A task's frame may own what others wait on: hence the loop.
  while (!events_.empty() || !waiters_.empty() || !flows_.empty()) {
    const auto events = std::exchange(events_, {});
    const auto waiters = std::exchange(waiters_, {});
    const auto flows = std::exchange(flows_, {});
  }
}

std::unique_ptr<runtime::Runtime> World::make_runtime(Host host) {
  WARREN_CHECK(host >= 1 && host <= 65'534);
  return make_sim_runtime(*this, host);
}

// ------------------------------------------------------------------------------- the network

void World::set_link(Host from, Host to, LinkModel model) { links_[{from, to}] = model; }

void World::set_links_between(Host a, Host b, LinkModel model) {
  set_link(a, b, model);
  set_link(b, a, model);
}

const LinkModel& World::link_between(Host from, Host to) const {
  const auto own = links_.find({from, to});
  if (own != links_.end()) return own->second;
  return from == to ? loopback_ : link;
}

void World::partition(std::vector<Host> island) {
  std::ranges::sort(island);
  reachable = [island = std::move(island)](Host from, Host to) {
    return std::ranges::binary_search(island, from) == std::ranges::binary_search(island, to);
  };
}

void World::heal(LinkModel model) {
  reachable = [](Host, Host) { return true; };
  links_.clear();
  link = model;
}

std::uint32_t World::lan_of(Host host) const {
  const auto found = lans_.find(host);
  return found == lans_.end() ? 0 : found->second;
}

// ---------------------------------------------------------------------------- the addresses

void World::add_address(Host host, IpAddress ip) {
  WARREN_CHECK(owner_of(ip) == 0);
  owners_[ip] = host;
  added_[host].push_back(ip);
  for (const auto* watcher : address_watchers[host]) (*watcher)();
}

void World::remove_address(Host host, IpAddress ip) {
  WARREN_CHECK(std::erase(added_[host], ip) == 1);
  owners_.erase(ip);
  for (const auto* watcher : address_watchers[host]) (*watcher)();
}

void World::set_outside_address(Host host, IpAddress ip) {
  WARREN_CHECK(!ip.is_private() && owner_of(ip) == 0 && !outside_address(host, ip.is_v6()));
  owners_[ip] = host;
  outside_[host].push_back(ip);
}

const std::vector<IpAddress>& World::added_addresses(Host host) const {
  static const std::vector<IpAddress> kNone;
  const auto found = added_.find(host);
  return found == added_.end() ? kNone : found->second;
}

std::optional<IpAddress> World::outside_address(Host host, bool v6) const {
  const auto found = outside_.find(host);
  if (found == outside_.end()) return std::nullopt;
  const auto ip = std::ranges::find(found->second, v6, &IpAddress::is_v6);
  return ip == found->second.end() ? std::nullopt : std::optional(*ip);
}

Host World::owner_of(const IpAddress& ip) const {
  if (const Host host = host_of(ip)) return host;
  const auto found = owners_.find(ip);
  return found == owners_.end() ? 0 : found->second;
}

std::optional<TimePoint> World::through_bottleneck(Host from, Host to, std::size_t bytes,
                                                   bool may_drop) {
  const LinkModel& model = link_between(from, to);
  if (model.bytes_per_second == 0) return now_;
  TimePoint& busy = busy_until_[{from, to}];
  const TimePoint start = std::max(busy, now_);
  const double rate = static_cast<double>(model.bytes_per_second);
  if (may_drop) {
    const double waiting = std::chrono::duration<double>(start - now_).count() * rate;
    if (waiting + static_cast<double>(bytes) > static_cast<double>(model.queue_bytes_max)) {
      return std::nullopt;
    }
  }
  busy = start + Duration(static_cast<std::int64_t>(static_cast<double>(bytes) / rate * 1e9));
  return busy;
}

void World::carry(std::uint64_t flow, Host from, Host to, std::size_t bytes,
                  std::move_only_function<void()> deliver) {
  const LinkModel& model = link_between(from, to);
  TimePoint at = *through_bottleneck(from, to, bytes, false);
  at += between(model.latency_min, model.latency_max);
  std::deque<Parcel>& parcels = flows_[flow];
  if (!parcels.empty()) at = std::max(at, parcels.back().at);
  trace({from, to, bytes});
  counters_.stream_bytes_sent += bytes;
  parcels.push_back({at, from, to, std::move(deliver)});
  schedule(at, [this, flow] { arrive(flow); });
}

void World::arrive(std::uint64_t flow) {
  for (;;) {
    // Looked up anew each time: deliver() may end the flow or put more on it.
    const auto found = flows_.find(flow);
    if (found == flows_.end()) return;
    std::deque<Parcel>& parcels = found->second;
    if (parcels.front().at > now_) return;  // Held back by a partition; its own event follows.
    if (!reachable(parcels.front().from, parcels.front().to)) {
      parcels.front().at = now_ + kPartitionRetry;
      schedule(parcels.front().at, [this, flow] { arrive(flow); });
      return;
    }
    auto deliver = std::move(parcels.front().deliver);
    parcels.pop_front();
    if (parcels.empty()) flows_.erase(found);
    deliver();
  }
}

void World::end_flow(std::uint64_t flow) { const auto dropped = flows_.extract(flow); }

// ---------------------------------------------------------------------------------- the time

World::EventKey World::schedule(TimePoint at, std::move_only_function<void()> event) {
  const EventKey key{std::max(at, now_), ++event_serial_};
  events_.emplace(key, std::move(event));
  return key;
}

void World::drain() {
  std::uint64_t count = 0;
  loop_.restart();
  while (loop_.poll_one() != 0) {
    if (++count > kHandlersPerInstantMax) {
      throw std::runtime_error(
          fmt::format("virtual time stands still at {} ns: tasks keep waking each other; {}",
                      now_.time_since_epoch().count(), replay_hint()));
    }
  }
}

bool World::step(TimePoint end) {
  if (events_.empty() || events_.begin()->first.first > end) return false;
  auto event = events_.extract(events_.begin());
  now_ = event.key().first;
  ++counters_.events;
  trace({static_cast<std::uint64_t>(now_.time_since_epoch().count()), event.key().second});
  event.mapped()();
  drain();
  return true;
}

void World::run_to(TimePoint end) {
  drain();
  while (step(end)) {
  }
  now_ = std::max(now_, end);
}

bool World::run_until(const std::function<bool()>& done, Duration max) {
  const TimePoint end = now_ + max;
  drain();
  while (!done()) {
    if (step(end)) continue;
    now_ = end;
    return done();
  }
  return true;
}

awaitable<Wake> World::park(TimePoint deadline, std::uint64_t* waiter) {
  auto initiate = [this, deadline, waiter](auto handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    const std::uint64_t id = ++waiter_serial_;
    *waiter = id;
    Waiter& entry = waiters_[id];
    entry.handler = std::move(handler);
    if (deadline != kNever) {
      entry.timer = schedule(deadline, [this, id] { wake(id, Wake::kTimedOut); });
    }
    if (slot.is_connected()) {
      slot.assign([this, id](asio::cancellation_type) { wake(id, Wake::kCancelled); });
    }
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Wake)>(
      initiate, asio::use_awaitable);
}

bool World::wake(std::uint64_t waiter, Wake how) {
  auto found = waiters_.extract(waiter);
  if (found.empty()) return false;
  if (found.mapped().timer) cancel(*found.mapped().timer);
  asio::post(loop_, [handler = std::move(found.mapped().handler), how]() mutable { handler(how); });
  return true;
}

// ------------------------------------------------------------------------ the seed, the trace

std::string World::replay_hint() const { return fmt::format("replay with SIM_SEED={}", seed_); }

void World::trace(std::initializer_list<std::uint64_t> values) {
  for (const std::uint64_t value : values) {
    trace_hash_ = (trace_hash_ ^ value) * 1'099'511'628'211ull;  // FNV-1a's prime.
  }
}

bool World::chance(double probability) {
  // No draw for a fault that is off: a link without faults does not shift the dice of others.
  if (probability <= 0) return false;
  return static_cast<double>(rng_() >> 11) * 0x1p-53 < probability;
}

Duration World::between(Duration min, Duration max) {
  if (max <= min) return min;
  const auto range = static_cast<std::uint64_t>((max - min).count()) + 1;
  return min + Duration(static_cast<std::int64_t>(rng_() % range));
}

void detail::drive(World& world, const bool& done, Duration max) {
  const TimePoint begin = world.now();
  if (world.run_until([&done] { return done; }, max)) return;
  throw std::runtime_error(fmt::format("the task has not ended after {} s of virtual time; {}",
                                       std::chrono::duration<double>(world.now() - begin).count(),
                                       world.replay_hint()));
}

}  // namespace warren::sim
