#include "discovery/mdns/mdns_service.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.hpp"
#include "base/log.hpp"
#include "runtime/task_group.hpp"

namespace warren::discovery {
namespace {

using runtime::DatagramSocket;
using runtime::NetworkInterface;

// Source: RFC 6762 section 3.
constexpr IpAddress kGroupV4 = IpAddress::v4(224, 0, 0, 251);
constexpr std::string_view kGroupV6 = "ff02::fb";
// How long reading rests when packets come too fast; the kernel drops what its buffer can't hold.
constexpr Duration kPause = 20ms;
// A reader for each IP version, and the loop of timer and polls.
constexpr std::size_t kTasksMax = 3;
constexpr std::size_t kCountersMax = 64;

/// One socket, and on which interfaces it is in the group.
struct Family {
  std::unique_ptr<DatagramSocket> socket;
  IpAddress group;
  std::map<std::uint32_t, IpAddress> joined;  ///< With the address to send from.
};

}  // namespace

class MdnsService::Driver {
 public:
  Driver(runtime::Runtime& runtime, PeerId self, AddressSource own_addresses, MdnsOptions options)
      : runtime_(runtime),
        self_(std::move(self)),
        own_addresses_(std::move(own_addresses)),
        options_(std::move(options)),
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

 private:
  Result<> bind();
  awaitable<void> run();
  awaitable<void> receive_from(Family& family);
  std::size_t take_batch(const Family& family, const runtime::ReceivedBatch& batch);
  void poll();
  void poll_interfaces();
  bool join(Family& family, const NetworkInterface& interface);
  void handle(const MdnsEvent& event);
  void send(const SendPacket& packet);
  bool may_read(std::size_t packets);

  runtime::Runtime& runtime_;
  PeerId self_;
  AddressSource own_addresses_;
  MdnsOptions options_;
  PeerSink* sink_ = nullptr;
  std::unique_ptr<MdnsMachine> machine_;
  std::vector<Family> families_;
  std::vector<MdnsInterface> interfaces_;
  std::vector<Multiaddr> last_addresses_;
  std::map<std::uint32_t, SourceCounters> counters_;
  TimePoint timer_at_ = kNever;
  TimePoint poll_at_ = kNever;
  bool refresh_ = false;
  double packets_left_ = 0;
  TimePoint packets_at_{};
  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;  // Last.
};

// ---------------------------------------------------------------------------- start and stop

Result<> MdnsService::Driver::bind() {
  runtime::DatagramOptions options;
  options.reuse_port = true;
  options.multicast_loop = true;
  options.multicast_ttl = 255;  // RFC 6762 section 11.
  const IpAddress group_v6 = IpAddress::parse(kGroupV6).value();
  const IpAddress any_v6 = IpAddress::parse("::").value();
  auto v4 = runtime_.bind_datagram({IpAddress(), options_.port, 0}, options);
  auto v6 = runtime_.bind_datagram({any_v6, options_.port, 0}, options);
  if (!v4 && !v6) return fail(std::move(v4).error().in("mDNS"));
  if (!v4) log::info("mdns", "no IPv4: {}", v4.error().message());
  if (!v6) log::info("mdns", "no IPv6: {}", v6.error().message());
  if (v4) families_.push_back({std::move(*v4), kGroupV4, {}});
  if (v6) families_.push_back({std::move(*v6), group_v6, {}});
  return {};
}

Result<> MdnsService::Driver::start(PeerSink& sink) {
  WARREN_CHECK(sink_ == nullptr);
  MdnsConfig config = options_.machine;
  config.self = self_;
  config.peer_name = random_peer_name(runtime_.rng());
  WARREN_TRY(MdnsMachine machine, MdnsMachine::make(std::move(config), runtime_.rng()));
  WARREN_TRY_VOID(bind());
  machine_ = std::make_unique<MdnsMachine>(std::move(machine));
  sink_ = &sink;
  poll_at_ = runtime_.now();
  packets_left_ = options_.machine.limits.packets_per_second_max;
  WARREN_CHECK(tasks_.spawn(run()));
  for (Family& family : families_) WARREN_CHECK(tasks_.spawn(receive_from(family)));
  return {};
}

awaitable<void> MdnsService::Driver::stop() {
  co_await tasks_.join();
  if (machine_ == nullptr) co_return;
  handle(StopAsked{});
  machine_.reset();
  for (Family& family : families_) {
    for (const auto& [index, from] : family.joined) {
      family.socket->leave_multicast(family.group, index);
    }
    family.socket->close();
  }
  families_.clear();
}

// ------------------------------------------------------------------------------------- loops

awaitable<void> MdnsService::Driver::run() {
  for (;;) {
    const TimePoint now = runtime_.now();
    if (now >= poll_at_) {
      poll_at_ = options_.poll_interval ? now + *options_.poll_interval : kNever;
      poll();
    }
    if (std::exchange(refresh_, false)) handle(RefreshAsked{});
    if (now >= timer_at_) handle(TimerFired{});
    const runtime::Wake wake = co_await wake_->wait_until(std::min(timer_at_, poll_at_));
    if (wake == runtime::Wake::kCancelled) co_return;
  }
}

awaitable<void> MdnsService::Driver::receive_from(Family& family) {
  for (;;) {
    const auto batches = co_await family.socket->receive();
    if (!batches) co_return;  // Cancelled or closed: the service stops.
    std::size_t packets = 0;
    for (const runtime::ReceivedBatch& batch : *batches) {
      packets += take_batch(family, batch);
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
std::size_t MdnsService::Driver::take_batch(const Family& family,
                                            const runtime::ReceivedBatch& batch) {
  // Only what was multicast on a link that we are on: no one can ask from further away.
  // Source: RFC 6762 section 11.
  const bool ours = batch.to.ip == family.group && family.joined.contains(batch.interface_index);
  std::size_t cost = 0;
  BytesView rest = batch.bytes;
  do {
    const std::size_t size = batch.segment_bytes == 0 ? rest.size() : batch.segment_bytes;
    const BytesView segment = rest.first(std::min(size, rest.size()));
    if (ours) handle(PacketReceived{batch.interface_index, batch.from, segment});
    cost += 1 + segment.size() / kMdnsPacketBytesMax;
    rest = rest.subspan(segment.size());
  } while (!rest.empty());
  return cost;
}

bool MdnsService::Driver::may_read(std::size_t packets) {
  const double rate = options_.machine.limits.packets_per_second_max;
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

void MdnsService::Driver::poll() {
  // Addresses first, so that a new interface is announced with them at once.
  std::vector<Multiaddr> addresses = own_addresses_();
  if (addresses != last_addresses_) {
    last_addresses_ = addresses;
    handle(AddressesChanged{std::move(addresses)});
  }
  poll_interfaces();
}

void MdnsService::Driver::poll_interfaces() {
  const auto all = runtime_.network_interfaces();
  if (!all) {
    log::warn("mdns", "cannot list the network interfaces: {}", all.error().message());
    return;
  }
  std::vector<MdnsInterface> usable;
  std::map<std::uint32_t, bool> seen;
  for (const NetworkInterface& interface : *all) {
    const auto& only = options_.interfaces;
    if (!only.empty() && std::ranges::find(only, interface.name) == only.end()) continue;
    // The loopback interface has no multicast flag, and delivers multicast all the same.
    if (!interface.up || !(interface.multicast || interface.loopback)) continue;
    if (interface.addresses.empty()) continue;
    if (usable.size() == options_.machine.limits.interfaces_max) break;
    bool joined = false;
    for (Family& family : families_) joined = join(family, interface) || joined;
    if (counters_.size() < kCountersMax || counters_.contains(interface.index)) {
      SourceCounters& counters = counters_[interface.index];
      counters.interface = interface.name;
      counters.usable = joined;
    }
    if (!joined) continue;
    seen[interface.index] = true;
    usable.push_back({interface.index, interface.addresses, interface.loopback});
  }
  for (Family& family : families_) {
    std::erase_if(family.joined, [&](const auto& entry) {
      if (seen.contains(entry.first)) return false;
      family.socket->leave_multicast(family.group, entry.first);
      return true;
    });
  }
  for (auto& [index, counters] : counters_) counters.usable = seen.contains(index);
  if (usable == interfaces_) return;
  interfaces_ = usable;
  handle(InterfacesChanged{std::move(usable)});
}

bool MdnsService::Driver::join(Family& family, const NetworkInterface& interface) {
  const auto own = std::ranges::find(interface.addresses, family.group.is_v6(), &IpAddress::is_v6);
  // Loopback without the flag has no route for IPv6 multicast; IPv4 serves both there.
  const bool routed = interface.multicast || !family.group.is_v6();
  if (own == interface.addresses.end() || !routed) return false;
  const auto joined = family.joined.find(interface.index);
  if (joined != family.joined.end()) {
    joined->second = *own;
    return true;
  }
  const auto result = family.socket->join_multicast(family.group, interface.index);
  if (!result) {
    log::debug("mdns", "{}: {}", interface.name, result.error().message());
    return false;
  }
  family.joined[interface.index] = *own;
  return true;
}

// ----------------------------------------------------------------------------------- actions

void MdnsService::Driver::handle(const MdnsEvent& event) {
  struct Carry {
    Driver& self;
    void operator()(const SendPacket& packet) const { self.send(packet); }
    void operator()(const TellFound& found) const { self.sink_->peer_found(found.hint); }
    void operator()(const TellLost& lost) const { self.sink_->peer_lost(lost.hint); }
    void operator()(const SetTimer& timer) const {
      const bool sooner = timer.at < self.timer_at_;
      self.timer_at_ = timer.at;
      if (sooner) self.wake_->notify();
    }
  };
  for (const MdnsAction& action : machine_->handle(event, runtime_.now())) {
    std::visit(Carry{*this}, action);
  }
}

void MdnsService::Driver::send(const SendPacket& packet) {
  const auto counters = counters_.find(packet.interface_index);
  for (Family& family : families_) {
    const auto joined = family.joined.find(packet.interface_index);
    if (joined == family.joined.end()) continue;
    runtime::SendBatch batch;
    batch.to = {family.group, options_.port, family.group.is_v6() ? packet.interface_index : 0};
    batch.bytes = packet.bytes;
    batch.interface_index = packet.interface_index;
    // IPv6 chooses its link-local address by itself, as RFC 6762 section 11 would have it.
    if (!family.group.is_v6()) batch.from = joined->second;
    const Result<bool> sent = family.socket->try_send(batch);
    // A packet lost here is like one lost on the wire: the next question or answer repeats it.
    if (!sent) log::debug("mdns", "{}", sent.error().message());
    if (counters == counters_.end()) continue;
    ++(sent && *sent ? counters->second.sent : counters->second.send_failed);
  }
}

std::vector<SourceCounters> MdnsService::Driver::counters() const {
  std::vector<SourceCounters> all;
  for (const auto& [index, own] : counters_) {
    SourceCounters& each = all.emplace_back(own);
    if (machine_ == nullptr) continue;
    const auto heard = machine_->counters().find(index);
    if (heard == machine_->counters().end()) continue;
    each.heard = heard->second.heard;
    each.heard_peers = heard->second.heard_peers;
    each.malformed = heard->second.malformed;
  }
  return all;
}

// ------------------------------------------------------------------------------------ service

MdnsService::MdnsService(runtime::Runtime& runtime, PeerId self, AddressSource own_addresses,
                         MdnsOptions options)
    : driver_(std::make_unique<Driver>(runtime, std::move(self), std::move(own_addresses),
                                       std::move(options))) {}
MdnsService::~MdnsService() = default;
Result<> MdnsService::start(PeerSink& sink) { return driver_->start(sink); }
awaitable<void> MdnsService::stop() { return driver_->stop(); }
void MdnsService::refresh() { driver_->refresh(); }
void MdnsService::addresses_changed() { driver_->addresses_changed(); }
std::vector<SourceCounters> MdnsService::counters() const { return driver_->counters(); }

}  // namespace warren::discovery
