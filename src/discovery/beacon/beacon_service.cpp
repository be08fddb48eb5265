#include "discovery/beacon/beacon_service.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/check.hpp"
#include "discovery/beacon/beacon_machine.hpp"
#include "discovery/link_sockets.hpp"

namespace warren::discovery {
namespace {

using beacon::BeaconMachine;

// The link and no further. Source: RFC 1112 section 6.1.
constexpr std::uint8_t kTtl = 1;
constexpr Duration kIntervalMin = 50ms;

LinkOptions link_options(const BeaconOptions& options) {
  LinkOptions link;
  link.name = "beacon";
  link.port = options.port;
  link.group_v4 = options.group;
  link.group_v6 = IpAddress::parse(kBeaconGroupV6).value();
  link.ttl = kTtl;
  link.multicast = options.mode != BeaconMode::kBroadcast;
  link.broadcast = true;
  link.loopback_only = options.mode == BeaconMode::kLoopback;
  link.interfaces = options.interfaces;
  link.interfaces_max = options.limits.interfaces_max;
  link.poll_interval = options.poll_interval;
  link.packets_per_second_max = options.limits.packets_per_second_max;
  link.packet_bytes_max = beacon::kPacketBytesMax;
  return link;
}

}  // namespace

class BeaconService::Driver {
 public:
  Driver(runtime::Runtime& runtime, const crypto::PrivateKey& key, AddressSource own_addresses,
         BeaconOptions options)
      : runtime_(runtime),
        key_(key),
        options_(std::move(options)),
        sockets_(runtime, link_options(options_), std::move(own_addresses),
                 [this](const LinkEvent& event) { handle(event); }) {}

  Result<> start(PeerSink& sink);
  awaitable<void> stop();
  std::vector<SourceCounters> counters() const;
  std::vector<BeaconLinkState> links() const;
  LinkSockets& sockets() { return sockets_; }
  const BeaconMachine* machine() const { return machine_.get(); }

 private:
  Result<> check_options() const;
  void handle(const LinkEvent& event);
  void send(const beacon::SendPacket& packet);

  runtime::Runtime& runtime_;
  crypto::PrivateKey key_;
  BeaconOptions options_;
  PeerSink* sink_ = nullptr;
  std::unique_ptr<BeaconMachine> machine_;
  LinkSockets sockets_;  // Last: its tasks use all of these.
};

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

Result<> BeaconService::Driver::start(PeerSink& sink) {
  WARREN_CHECK(sink_ == nullptr);
  WARREN_TRY_VOID(check_options());
  beacon::MachineConfig config{options_.mode,  options_.interval, options_.timeout,
                               options_.sweep, options_.spare,    options_.limits};
  machine_ = std::make_unique<BeaconMachine>(std::move(config), key_, runtime_.rng());
  sink_ = &sink;
  return sockets_.start();
}

awaitable<void> BeaconService::Driver::stop() {
  co_await sockets_.join();
  if (machine_ != nullptr) handle(StopAsked{});
  sockets_.close();
}

void BeaconService::Driver::handle(const LinkEvent& event) {
  struct Carry {
    Driver& self;
    void operator()(const beacon::SendPacket& packet) const { self.send(packet); }
    void operator()(const TellFound& found) const { self.sink_->peer_found(found.hint); }
    void operator()(const TellLost& lost) const { self.sink_->peer_lost(lost.hint); }
    void operator()(const SetTimer& timer) const { self.sockets_.set_timer(timer.at); }
  };
  const beacon::Now now{runtime_.now(), runtime_.wall_now()};
  for (const beacon::Action& action : machine_->handle(event, now)) {
    std::visit(Carry{*this}, action);
  }
}

void BeaconService::Driver::send(const beacon::SendPacket& packet) {
  const std::uint32_t index = packet.interface_index;
  for (const auto& from : {packet.from_v4, packet.from_v6}) {
    if (!from) continue;
    if (packet.multicast) sockets_.multicast(index, from->is_v6(), packet.bytes, from);
    if (packet.broadcast && !from->is_v6()) sockets_.broadcast(index, packet.bytes, *from);
  }
}

std::vector<SourceCounters> BeaconService::Driver::counters() const {
  if (machine_ == nullptr) return {};
  return counters_of(sockets_, machine_->counters());
}

std::vector<BeaconLinkState> BeaconService::Driver::links() const {
  std::vector<BeaconLinkState> all;
  for (const LinkInterface& own : sockets_.interfaces()) {
    BeaconLinkState& each = all.emplace_back();
    each.interface = sockets_.counters().at(own.index).interface;
    each.loopback = own.loopback;
    each.joined = own.joined;
    each.broadcasting = machine_->broadcasting(own.index);
    const auto heard = machine_->counters().find(own.index);
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
void BeaconService::refresh() { driver_->sockets().refresh(); }
void BeaconService::addresses_changed() { driver_->sockets().addresses_changed(); }
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
