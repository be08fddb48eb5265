#include "discovery/link_sockets.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/log.hpp"

namespace warren::discovery {
namespace {

using runtime::NetworkInterface;

constexpr IpAddress kBroadcast = IpAddress::v4(255, 255, 255, 255);
constexpr IpAddress kLoopbackBroadcast = IpAddress::v4(127, 255, 255, 255);
// How long reading rests when packets come too fast; the kernel drops what its buffer can't hold.
constexpr Duration kPause = 20ms;
// Reading that finds little each time rests, so that what comes is read in few calls: under a flood
// the calls and not the packets are what costs. Source: docs/protocols/beacon.md, "Limits".
constexpr Duration kRest = 10ms;
constexpr double kSmallReadsPerSecond = 50;
constexpr double kSmallReadsBurst = 100;
constexpr std::size_t kSmallRead = 8;
constexpr std::size_t kTasksMax = 3;  // A reader for each IP version, and the loop.
// Interfaces of containers come and go with ever new numbers.
constexpr std::size_t kCountersMax = 64;

LinkInterface link_interface(const NetworkInterface& interface, bool joined) {
  LinkInterface link{interface.index, interface.addresses, interface.loopback, {}, joined};
  for (std::size_t i = 0; i < interface.addresses.size(); ++i) {
    link.prefixes.push_back(
        resources::Prefix::of(interface.addresses[i], interface.prefix_lengths.at(i)));
  }
  return link;
}

}  // namespace

LinkSockets::LinkSockets(runtime::Runtime& runtime, LinkOptions options,
                         AddressSource own_addresses, Handler handler)
    : runtime_(runtime),
      options_(std::move(options)),
      own_addresses_(std::move(own_addresses)),
      handler_(std::move(handler)),
      small_reads_(kSmallReadsBurst),
      wake_(runtime.make_signal()),
      tasks_(runtime, kTasksMax) {}

// ---------------------------------------------------------------------------- start and stop

Result<> LinkSockets::start() {
  WARREN_CHECK(families_.empty());
  runtime::DatagramOptions options;
  options.reuse_port = true;
  options.multicast_loop = true;
  options.multicast_ttl = options_.ttl;
  options.broadcast = options_.broadcast;
  auto v4 = runtime_.bind_datagram({IpAddress(), options_.port, 0}, options);
  options.broadcast = false;  // IPv6 has none.
  auto v6 = runtime_.bind_datagram({IpAddress::parse("::").value(), options_.port, 0}, options);
  if (!v4 && !v6) return fail(std::move(v4).error().in(options_.name));
  if (!v4) log::info(options_.name, "no IPv4: {}", v4.error().message());
  if (!v6) log::info(options_.name, "no IPv6: {}", v6.error().message());
  if (v4) families_.push_back({std::move(*v4), options_.group_v4, {}});
  if (v6) families_.push_back({std::move(*v6), options_.group_v6, {}});
  poll_at_ = runtime_.now();
  packets_left_ = options_.packets_per_second_max;
  WARREN_CHECK(tasks_.spawn(run()));
  for (Family& family : families_) WARREN_CHECK(tasks_.spawn(receive_from(family)));
  return {};
}

awaitable<void> LinkSockets::join() { return tasks_.join(); }

void LinkSockets::close() {
  interfaces_.clear();
  leave_unused();
  for (Family& family : families_) family.socket->close();
  families_.clear();
}

// -------------------------------------------------------------------------------------- loops

awaitable<void> LinkSockets::run() {
  for (;;) {
    const TimePoint now = runtime_.now();
    if (now >= poll_at_) {
      poll_at_ = options_.poll_interval ? now + *options_.poll_interval : kNever;
      poll();
    }
    if (std::exchange(refresh_, false)) handler_(RefreshAsked{});
    if (now >= timer_at_) {
      timer_at_ = kNever;  // The machine says when it wants the next one, or nothing.
      handler_(TimerFired{});
    }
    const runtime::Wake wake = co_await wake_->wait_until(std::min(timer_at_, poll_at_));
    if (wake == runtime::Wake::kCancelled) co_return;
  }
}

void LinkSockets::refresh() {
  refresh_ = true;
  wake_->notify();
}

void LinkSockets::addresses_changed() {
  poll_at_ = runtime_.now();
  wake_->notify();
}

void LinkSockets::set_timer(TimePoint at) {
  const bool sooner = at < timer_at_;
  timer_at_ = at;
  if (sooner) wake_->notify();
}

awaitable<void> LinkSockets::receive_from(Family& family) {
  for (;;) {
    const auto batches = co_await family.socket->receive();
    if (!batches) co_return;  // Cancelled or closed: the source stops.
    std::size_t packets = 0;
    for (const runtime::ReceivedBatch& batch : *batches) packets += take_batch(family, batch);
    const bool rest = packets < kSmallRead &&
                      !small_reads_.take(kSmallReadsPerSecond, kSmallReadsBurst, runtime_.now());
    if (rest) {
      const auto slept = co_await runtime_.sleep_for(kRest);
      if (!slept) co_return;
    }
    while (!may_read(packets)) {
      packets = 0;
      const auto slept = co_await runtime_.sleep_for(kPause);
      if (!slept) co_return;
    }
  }
}

/// Returns what counts towards packets_per_second_max.
std::size_t LinkSockets::take_batch(const Family& family, const runtime::ReceivedBatch& batch) {
  // Only what was sent to all on a link that we are on: no one can ask from further away.
  // Source: RFC 6762 section 11.
  const bool multicast =
      batch.to.ip == family.group && family.joined.contains(batch.interface_index);
  const bool broadcast =
      options_.broadcast && (batch.to.ip == kBroadcast || batch.to.ip == kLoopbackBroadcast);
  std::size_t cost = 0;
  BytesView rest = batch.bytes;
  do {
    const std::size_t size = batch.segment_bytes == 0 ? rest.size() : batch.segment_bytes;
    const BytesView packet = rest.first(std::min(size, rest.size()));
    if (multicast || broadcast) {
      handler_(PacketReceived{batch.interface_index, batch.from.ip, multicast, packet});
    }
    cost += 1 + packet.size() / options_.packet_bytes_max;
    rest = rest.subspan(packet.size());
  } while (!rest.empty());
  return cost;
}

bool LinkSockets::may_read(std::size_t packets) {
  const double rate = options_.packets_per_second_max;
  const TimePoint now = runtime_.now();
  const double seconds = std::chrono::duration<double>(now - packets_at_).count();
  packets_at_ = now;
  packets_left_ = std::min(rate, packets_left_ + seconds * rate) - static_cast<double>(packets);
  if (packets_left_ > 0) return true;
  if (packets != 0) {
    for (auto& [index, counters] : counters_) ++counters.throttled;
  }
  return false;
}

// --------------------------------------------------------------------------------- interfaces

void LinkSockets::poll() {
  // Addresses first, so that a new interface is announced with them at once.
  std::vector<Multiaddr> addresses = own_addresses_();
  if (addresses != last_addresses_) {
    last_addresses_ = addresses;
    handler_(AddressesChanged{std::move(addresses)});
  }
  poll_interfaces();
}

void LinkSockets::poll_interfaces() {
  const auto all = runtime_.network_interfaces();
  if (!all) {
    log::warn(options_.name, "cannot list the network interfaces: {}", all.error().message());
    return;
  }
  std::vector<LinkInterface> now;
  for (const NetworkInterface& each : *all) {
    if (!is_candidate(each)) continue;
    if (now.size() == options_.interfaces_max) break;
    bool joined = false;
    for (Family& family : families_) joined = join_group(family, each) || joined;
    count(each);
    if (joined || options_.broadcast) now.push_back(link_interface(each, joined));
  }
  const bool changed = now != interfaces_;
  interfaces_ = std::move(now);
  leave_unused();
  for (auto& [index, counters] : counters_) counters.usable = used(index) != nullptr;
  if (changed) handler_(InterfacesChanged{interfaces_});
}

bool LinkSockets::is_candidate(const NetworkInterface& interface) const {
  const auto& only = options_.interfaces;
  if (!only.empty() && std::ranges::find(only, interface.name) == only.end()) return false;
  if (options_.loopback_only && !interface.loopback) return false;
  // The loopback interface has no multicast flag, and delivers multicast all the same.
  const bool reaches_others = interface.multicast || interface.loopback || options_.broadcast;
  return interface.up && reaches_others && !interface.addresses.empty();
}

bool LinkSockets::join_group(Family& family, const NetworkInterface& interface) {
  const bool v6 = family.group.is_v6();
  // Loopback without the flag has no route for IPv6 multicast; IPv4 serves both there.
  const bool routed = interface.multicast || (interface.loopback && !v6);
  const auto own = std::ranges::find(interface.addresses, v6, &IpAddress::is_v6);
  if (!options_.multicast || !routed || own == interface.addresses.end()) {
    if (family.joined.erase(interface.index) != 0) {
      family.socket->leave_multicast(family.group, interface.index);
    }
    return false;
  }
  if (!family.joined.contains(interface.index)) {
    const auto result = family.socket->join_multicast(family.group, interface.index);
    if (!result) {
      log::debug(options_.name, "{}: {}", interface.name, result.error().message());
      return false;
    }
  }
  family.joined[interface.index] = *own;
  return true;
}

void LinkSockets::leave_unused() {
  for (Family& family : families_) {
    std::erase_if(family.joined, [&](const auto& entry) {
      if (used(entry.first) != nullptr) return false;
      family.socket->leave_multicast(family.group, entry.first);
      return true;
    });
  }
}

void LinkSockets::count(const NetworkInterface& interface) {
  if (counters_.size() >= kCountersMax && !counters_.contains(interface.index)) {
    std::erase_if(counters_, [&](const auto& entry) { return used(entry.first) == nullptr; });
  }
  counters_[interface.index].interface = interface.name;
}

const LinkInterface* LinkSockets::used(std::uint32_t interface_index) const {
  const auto found = std::ranges::find(interfaces_, interface_index, &LinkInterface::index);
  return found == interfaces_.end() ? nullptr : &*found;
}

// ------------------------------------------------------------------------------------ sending

void LinkSockets::multicast(std::uint32_t interface_index, bool v6, BytesView packet,
                            const std::optional<IpAddress>& from) {
  for (Family& family : families_) {
    const auto joined = family.joined.find(interface_index);
    if (family.group.is_v6() != v6 || joined == family.joined.end()) continue;
    // IPv6 chooses its link-local address by itself, as RFC 6762 section 11 would have it.
    const IpAddress source = from.value_or(v6 ? IpAddress() : joined->second);
    send(family, interface_index, packet, family.group, source);
  }
}

void LinkSockets::broadcast(std::uint32_t interface_index, BytesView packet,
                            const IpAddress& from) {
  const LinkInterface* interface = used(interface_index);
  if (interface == nullptr) return;
  for (Family& family : families_) {
    if (family.group.is_v6()) continue;
    send(family, interface_index, packet, interface->loopback ? kLoopbackBroadcast : kBroadcast,
         from);
  }
}

void LinkSockets::send(Family& family, std::uint32_t interface_index, BytesView packet,
                       const IpAddress& to, const IpAddress& from) {
  runtime::SendBatch batch;
  batch.to = {to, options_.port, to.is_v6() ? interface_index : 0};
  batch.bytes = packet;
  batch.interface_index = interface_index;
  batch.from = from;
  const Result<bool> sent = family.socket->try_send(batch);
  // What is lost here is like what is lost on the wire: it is said again.
  if (!sent) log::debug(options_.name, "{}", sent.error().message());
  const auto counters = counters_.find(interface_index);
  if (counters == counters_.end()) return;
  ++(sent && *sent ? counters->second.sent : counters->second.send_failed);
}

}  // namespace warren::discovery
