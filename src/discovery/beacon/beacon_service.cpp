#include "discovery/beacon/beacon_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.hpp"
#include "base/log.hpp"
#include "discovery/beacon/beacon_machine.hpp"
#include "runtime/task_group.hpp"

namespace warren::discovery {
namespace {

using beacon::BeaconMachine;
using runtime::DatagramSocket;
using runtime::NetworkInterface;

constexpr IpAddress kBroadcast = IpAddress::v4(255, 255, 255, 255);
constexpr IpAddress kLoopbackBroadcast = IpAddress::v4(127, 255, 255, 255);
// The link and no further. Source: RFC 1112 section 6.1.
constexpr std::uint8_t kTtl = 1;
// How long reading rests when packets come too fast; the kernel drops what its buffer can't hold.
constexpr Duration kPause = 20ms;
// Reading that finds little each time rests, so that what comes is read in few calls: under a flood
// the calls and not the packets are what costs. Source: docs/protocols/beacon.md, "Limits".
constexpr Duration kRest = 10ms;
constexpr double kSmallReadsPerSecond = 50;
constexpr double kSmallReadsBurst = 100;
constexpr std::size_t kSmallRead = 8;
constexpr Duration kIntervalMin = 50ms;
constexpr std::size_t kTasksMax = 3;  // A reader for each IP version, and the loop.
constexpr std::size_t kCountersMax = 64;

std::vector<resources::Prefix> prefixes_of(const NetworkInterface& interface) {
  std::vector<resources::Prefix> all;
  for (std::size_t i = 0; i < interface.addresses.size(); ++i) {
    all.push_back(resources::Prefix::of(interface.addresses[i], interface.prefix_lengths.at(i)));
  }
  return all;
}

/// One socket, and on which interfaces it is in the group.
struct Family {
  std::unique_ptr<DatagramSocket> socket;
  IpAddress group;
  std::map<std::uint32_t, bool> joined;
};

}  // namespace

class BeaconService::Driver {
 public:
  Driver(runtime::Runtime& runtime, const crypto::PrivateKey& key, AddressSource own_addresses,
         BeaconOptions options)
      : runtime_(runtime),
        key_(key),
        own_addresses_(std::move(own_addresses)),
        options_(std::move(options)),
        small_reads_(kSmallReadsBurst),
        wake_(runtime.make_signal()),
        tasks_(runtime, kTasksMax) {}

  Result<> start(PeerSink& sink);
  awaitable<void> stop();
  void refresh() {
    refresh_ = true;
    wake_->notify();
  }
  void addresses_changed() {
    poll_at_ = runtime_.now();
    wake_->notify();
  }
  std::vector<SourceCounters> counters() const;
  std::vector<BeaconLinkState> links() const;
  const BeaconMachine* machine() const { return machine_.get(); }

 private:
  Result<> check_options() const;
  Result<> bind();
  awaitable<void> run();
  awaitable<void> receive_from(Family& family);
  std::size_t take_batch(const Family& family, const runtime::ReceivedBatch& batch);
  void poll();
  void poll_interfaces();
  bool usable(const NetworkInterface& interface) const;
  bool join(Family& family, const NetworkInterface& interface);
  void handle(const beacon::Event& event);
  void send(const beacon::SendPacket& packet);
  void send_to(Family& family, const beacon::SendPacket& packet, const IpAddress& to,
               const IpAddress& from);
  bool may_read(std::size_t packets);

  runtime::Runtime& runtime_;
  crypto::PrivateKey key_;
  AddressSource own_addresses_;
  BeaconOptions options_;
  PeerSink* sink_ = nullptr;
  std::unique_ptr<BeaconMachine> machine_;
  std::vector<Family> families_;
  std::vector<beacon::Interface> interfaces_;
  std::vector<Multiaddr> last_addresses_;
  std::map<std::uint32_t, SourceCounters> counters_;
  std::map<std::uint32_t, BeaconLinkState> links_;
  TimePoint timer_at_ = kNever;
  TimePoint poll_at_ = kNever;
  bool refresh_ = false;
  double packets_left_ = 0;
  TimePoint packets_at_{};
  beacon::TokenBucket small_reads_;
  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;  // Last.
};

// ---------------------------------------------------------------------------- start and stop

Result<> BeaconService::Driver::check_options() const {
  if (options_.group.is_v6() || !options_.group.is_multicast()) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("beacon: {} is no multicast group of IPv4",
                                                         options_.group.to_string()));
  }
  if (options_.interval < kIntervalMin || options_.interval > beacon::kPeriodMax ||
      options_.timeout < options_.interval || options_.timeout > beacon::kPeriodMax ||
      options_.sweep < kIntervalMin) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("beacon: an interval of {} ms with a timeout of {} ms; from 50 ms to an "
                    "hour, the timeout not shorter than the interval",
                    options_.interval / 1ms, options_.timeout / 1ms));
  }
  return {};
}

Result<> BeaconService::Driver::bind() {
  runtime::DatagramOptions options;
  options.reuse_port = true;
  options.multicast_loop = true;
  options.multicast_ttl = kTtl;
  options.broadcast = true;
  const IpAddress group_v6 = IpAddress::parse(kBeaconGroupV6).value();
  const IpAddress any_v6 = IpAddress::parse("::").value();
  auto v4 = runtime_.bind_datagram({IpAddress(), options_.port, 0}, options);
  options.broadcast = false;  // IPv6 has none.
  auto v6 = runtime_.bind_datagram({any_v6, options_.port, 0}, options);
  if (!v4 && !v6) return fail(std::move(v4).error().in("beacon"));
  if (!v4) log::info("beacon", "no IPv4: {}", v4.error().message());
  if (!v6) log::info("beacon", "no IPv6: {}", v6.error().message());
  if (v4) families_.push_back({std::move(*v4), options_.group, {}});
  if (v6) families_.push_back({std::move(*v6), group_v6, {}});
  return {};
}

Result<> BeaconService::Driver::start(PeerSink& sink) {
  WARREN_CHECK(sink_ == nullptr);
  WARREN_TRY_VOID(check_options());
  WARREN_TRY_VOID(bind());
  beacon::MachineConfig config{options_.mode,  options_.interval, options_.timeout,
                               options_.sweep, options_.spare,    options_.limits};
  machine_ = std::make_unique<BeaconMachine>(std::move(config), key_, runtime_.rng());
  sink_ = &sink;
  poll_at_ = runtime_.now();
  packets_left_ = options_.limits.packets_per_second_max;
  WARREN_CHECK(tasks_.spawn(run()));
  for (Family& family : families_) WARREN_CHECK(tasks_.spawn(receive_from(family)));
  return {};
}

awaitable<void> BeaconService::Driver::stop() {
  co_await tasks_.join();
  if (machine_ == nullptr) co_return;
  handle(beacon::StopAsked{});
  for (Family& family : families_) {
    for (const auto& [index, joined] : family.joined) {
      family.socket->leave_multicast(family.group, index);
    }
    family.socket->close();
  }
  families_.clear();
}

// ------------------------------------------------------------------------------------- loops

awaitable<void> BeaconService::Driver::run() {
  for (;;) {
    const TimePoint now = runtime_.now();
    if (now >= poll_at_) {
      poll_at_ = options_.poll_interval ? now + *options_.poll_interval : kNever;
      poll();
    }
    if (std::exchange(refresh_, false)) handle(beacon::RefreshAsked{});
    if (now >= timer_at_) {
      timer_at_ = kNever;  // The machine says when it wants the next one, or nothing.
      handle(beacon::TimerFired{});
    }
    const runtime::Wake wake = co_await wake_->wait_until(std::min(timer_at_, poll_at_));
    if (wake == runtime::Wake::kCancelled) co_return;
  }
}

awaitable<void> BeaconService::Driver::receive_from(Family& family) {
  for (;;) {
    const auto batches = co_await family.socket->receive();
    if (!batches) co_return;  // Cancelled or closed: the service stops.
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

/// Returns what counts towards packets_per_second_max: a packet of several MTUs counts as that
/// many.
std::size_t BeaconService::Driver::take_batch(const Family& family,
                                              const runtime::ReceivedBatch& batch) {
  // Only what was sent to all on a link that we are on: no one can ask from further away.
  const bool multicast =
      batch.to.ip == family.group && family.joined.contains(batch.interface_index);
  const bool broadcast = batch.to.ip == kBroadcast || batch.to.ip == kLoopbackBroadcast;
  std::size_t cost = 0;
  BytesView rest = batch.bytes;
  do {
    const std::size_t size = batch.segment_bytes == 0 ? rest.size() : batch.segment_bytes;
    const BytesView segment = rest.first(std::min(size, rest.size()));
    if (multicast || broadcast) {
      handle(beacon::PacketReceived{batch.interface_index, batch.from.ip, multicast, segment});
    }
    cost += 1 + segment.size() / beacon::kPacketBytesMax;
    rest = rest.subspan(segment.size());
  } while (!rest.empty());
  return cost;
}

bool BeaconService::Driver::may_read(std::size_t packets) {
  const double rate = options_.limits.packets_per_second_max;
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

void BeaconService::Driver::poll() {
  // Addresses first, so that a new interface is announced with them at once.
  std::vector<Multiaddr> addresses = own_addresses_();
  if (addresses != last_addresses_) {
    last_addresses_ = addresses;
    handle(beacon::AddressesChanged{std::move(addresses)});
  }
  poll_interfaces();
}

bool BeaconService::Driver::usable(const NetworkInterface& interface) const {
  const auto& only = options_.interfaces;
  if (!only.empty() && std::ranges::find(only, interface.name) == only.end()) return false;
  if (options_.mode == BeaconMode::kLoopback && !interface.loopback) return false;
  return interface.up && !interface.addresses.empty();
}

void BeaconService::Driver::poll_interfaces() {
  const auto all = runtime_.network_interfaces();
  if (!all) {
    log::warn("beacon", "cannot list the network interfaces: {}", all.error().message());
    return;
  }
  std::vector<beacon::Interface> now;
  for (const NetworkInterface& each : *all) {
    if (!usable(each)) continue;
    if (now.size() == options_.limits.interfaces_max) break;
    bool joined = false;
    for (Family& family : families_) joined = join(family, each) || joined;
    now.push_back({{each.index, each.addresses, each.loopback, prefixes_of(each)}, joined});
    if (counters_.size() < kCountersMax || counters_.contains(each.index)) {
      counters_[each.index].interface = each.name;
      BeaconLinkState& link = links_[each.index];
      link.interface = each.name;
      link.loopback = each.loopback;
      link.joined = joined;
    }
  }
  const auto used = [&](std::uint32_t index) {
    return std::ranges::any_of(now, [&](const auto& each) { return each.link.index == index; });
  };
  for (Family& family : families_) {
    std::erase_if(family.joined, [&](const auto& entry) {
      if (used(entry.first)) return false;
      family.socket->leave_multicast(family.group, entry.first);
      return true;
    });
  }
  for (auto& [index, counters] : counters_) counters.usable = used(index);
  if (now == interfaces_) return;
  interfaces_ = now;
  handle(beacon::InterfacesChanged{std::move(now)});
}

bool BeaconService::Driver::join(Family& family, const NetworkInterface& interface) {
  if (options_.mode == BeaconMode::kBroadcast) return false;
  // The loopback interface has no multicast flag, and delivers IPv4 multicast all the same; IPv6
  // has no route there.
  const bool v6 = family.group.is_v6();
  const bool possible = interface.multicast || (interface.loopback && !v6);
  const bool own =
      std::ranges::find(interface.addresses, v6, &IpAddress::is_v6) != interface.addresses.end();
  if (!possible || !own) {
    if (family.joined.erase(interface.index) != 0) {
      family.socket->leave_multicast(family.group, interface.index);
    }
    return false;
  }
  if (family.joined.contains(interface.index)) return true;
  const auto result = family.socket->join_multicast(family.group, interface.index);
  if (!result) {
    log::debug("beacon", "{}: {}", interface.name, result.error().message());
    return false;
  }
  family.joined[interface.index] = true;
  return true;
}

// ----------------------------------------------------------------------------------- actions

void BeaconService::Driver::handle(const beacon::Event& event) {
  struct Carry {
    Driver& self;
    void operator()(const beacon::SendPacket& packet) const { self.send(packet); }
    void operator()(const beacon::TellFound& found) const { self.sink_->peer_found(found.hint); }
    void operator()(const beacon::TellLost& lost) const { self.sink_->peer_lost(lost.hint); }
    void operator()(const beacon::SetTimer& timer) const {
      const bool sooner = timer.at < self.timer_at_;
      self.timer_at_ = timer.at;
      if (sooner) self.wake_->notify();
    }
  };
  const beacon::Now now{runtime_.now(), runtime_.wall_now()};
  for (const beacon::Action& action : machine_->handle(event, now)) {
    std::visit(Carry{*this}, action);
  }
}

void BeaconService::Driver::send(const beacon::SendPacket& packet) {
  const auto loopback = links_.find(packet.interface_index);
  const bool on_loopback = loopback != links_.end() && loopback->second.loopback;
  for (Family& family : families_) {
    const bool v6 = family.group.is_v6();
    const auto& from = v6 ? packet.from_v6 : packet.from_v4;
    if (!from) continue;
    if (packet.multicast && family.joined.contains(packet.interface_index)) {
      send_to(family, packet, family.group, *from);
    }
    if (packet.broadcast && !v6) {
      send_to(family, packet, on_loopback ? kLoopbackBroadcast : kBroadcast, *from);
    }
  }
}

void BeaconService::Driver::send_to(Family& family, const beacon::SendPacket& packet,
                                    const IpAddress& to, const IpAddress& from) {
  runtime::SendBatch batch;
  batch.to = {to, options_.port, to.is_v6() ? packet.interface_index : 0};
  batch.bytes = packet.bytes;
  batch.interface_index = packet.interface_index;
  batch.from = from;
  const Result<bool> sent = family.socket->try_send(batch);
  // A packet lost here is like one lost on the wire: the next beacon repeats it.
  if (!sent) log::debug("beacon", "{}", sent.error().message());
  const auto counters = counters_.find(packet.interface_index);
  if (counters == counters_.end()) return;
  ++(sent && *sent ? counters->second.sent : counters->second.send_failed);
}

std::vector<SourceCounters> BeaconService::Driver::counters() const {
  std::vector<SourceCounters> all;
  for (const auto& [index, own] : counters_) {
    SourceCounters& each = all.emplace_back(own);
    const auto heard = machine_->counters().find(index);
    if (heard == machine_->counters().end()) continue;
    each.heard = heard->second.heard;
    each.heard_peers = heard->second.heard_peers;
    each.malformed = heard->second.malformed;
  }
  return all;
}

std::vector<BeaconLinkState> BeaconService::Driver::links() const {
  std::vector<BeaconLinkState> all;
  for (const auto& [index, own] : links_) {
    const auto counters = counters_.find(index);
    if (counters == counters_.end() || !counters->second.usable) continue;
    BeaconLinkState& each = all.emplace_back(own);
    each.broadcasting = machine_->broadcasting(index);
    const auto heard = machine_->counters().find(index);
    if (heard == machine_->counters().end()) continue;
    each.own_multicast = heard->second.own_multicast;
    each.multicast = heard->second.multicast;
    each.broadcast = heard->second.broadcast;
  }
  return all;
}

// ------------------------------------------------------------------------------------ service

BeaconService::BeaconService(runtime::Runtime& runtime, const crypto::PrivateKey& key,
                             AddressSource own_addresses, BeaconOptions options)
    : driver_(
          std::make_unique<Driver>(runtime, key, std::move(own_addresses), std::move(options))) {}
BeaconService::~BeaconService() = default;
Result<> BeaconService::start(PeerSink& sink) { return driver_->start(sink); }
awaitable<void> BeaconService::stop() { return driver_->stop(); }
void BeaconService::refresh() { driver_->refresh(); }
void BeaconService::addresses_changed() { driver_->addresses_changed(); }
std::vector<SourceCounters> BeaconService::counters() const { return driver_->counters(); }
std::vector<BeaconLinkState> BeaconService::links() const { return driver_->links(); }

std::string BeaconService::summary() const {
  std::string text = summary_of(counters());
  const std::uint64_t stale = drops().stale;
  if (stale != 0) text += fmt::format(", {} with another time than ours", stale);
  return text;
}

BeaconDrops BeaconService::drops() const {
  const BeaconMachine* machine = driver_->machine();
  return machine == nullptr ? BeaconDrops{} : machine->drops();
}

std::optional<Duration> BeaconService::clock_offset() const {
  const BeaconMachine* machine = driver_->machine();
  return machine == nullptr ? std::nullopt : machine->clock_ahead();
}

std::optional<Duration> BeaconService::stale_offset() const {
  const BeaconMachine* machine = driver_->machine();
  return machine == nullptr ? std::nullopt : machine->stale_ahead();
}

}  // namespace warren::discovery
