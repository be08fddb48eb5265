#include "discovery/mdns/mdns_service.hpp"

#include <utility>

#include "base/check.hpp"
#include "discovery/link_sockets.hpp"

namespace warren::discovery {
namespace {

// Source: RFC 6762 sections 3 and 11.
constexpr IpAddress kGroupV4 = IpAddress::v4(224, 0, 0, 251);
constexpr std::string_view kGroupV6 = "ff02::fb";
constexpr std::uint8_t kTtl = 255;

LinkOptions link_options(const MdnsOptions& options) {
  LinkOptions link;
  link.name = "mdns";
  link.port = options.port;
  link.group_v4 = kGroupV4;
  link.group_v6 = IpAddress::parse(kGroupV6).value();
  link.ttl = kTtl;
  link.interfaces = options.interfaces;
  link.interfaces_max = options.machine.limits.interfaces_max;
  link.poll_interval = options.poll_interval;
  link.packets_per_second_max = options.machine.limits.packets_per_second_max;
  link.packet_bytes_max = kMdnsPacketBytesMax;
  return link;
}

}  // namespace

class MdnsService::Driver {
 public:
  Driver(runtime::Runtime& runtime, PeerId self, AddressSource own_addresses, MdnsOptions options)
      : runtime_(runtime),
        config_(options.machine),
        sockets_(runtime, link_options(options), std::move(own_addresses),
                 [this](const LinkEvent& event) { handle(event); }) {
    config_.self = std::move(self);
  }

  Result<> start(PeerSink& sink);
  awaitable<void> stop();
  std::vector<SourceCounters> counters() const;
  LinkSockets& sockets() { return sockets_; }

 private:
  void handle(const LinkEvent& event);

  runtime::Runtime& runtime_;
  MdnsConfig config_;
  PeerSink* sink_ = nullptr;
  std::unique_ptr<MdnsMachine> machine_;
  LinkSockets sockets_;  // Last: its tasks use all of these.
};

Result<> MdnsService::Driver::start(PeerSink& sink) {
  WARREN_CHECK(sink_ == nullptr);
  config_.peer_name = random_peer_name(runtime_.rng());
  WARREN_TRY(MdnsMachine machine, MdnsMachine::make(config_, runtime_.rng()));
  machine_ = std::make_unique<MdnsMachine>(std::move(machine));
  sink_ = &sink;
  return sockets_.start();
}

awaitable<void> MdnsService::Driver::stop() {
  co_await sockets_.join();
  if (machine_ != nullptr) handle(StopAsked{});
  sockets_.close();
}

void MdnsService::Driver::handle(const LinkEvent& event) {
  struct Carry {
    Driver& self;
    void operator()(const SendPacket& packet) const {
      for (const bool v6 : {false, true}) {
        self.sockets_.multicast(packet.interface_index, v6, packet.bytes);
      }
    }
    void operator()(const TellFound& found) const { self.sink_->peer_found(found.hint); }
    void operator()(const TellLost& lost) const { self.sink_->peer_lost(lost.hint); }
    void operator()(const SetTimer& timer) const { self.sockets_.set_timer(timer.at); }
  };
  for (const MdnsAction& action : machine_->handle(event, runtime_.now())) {
    std::visit(Carry{*this}, action);
  }
}

std::vector<SourceCounters> MdnsService::Driver::counters() const {
  if (machine_ == nullptr) return {};
  return counters_of(sockets_, machine_->counters());
}

// ------------------------------------------------------------------------------------ service

MdnsService::MdnsService(runtime::Runtime& runtime, PeerId self, AddressSource own_addresses,
                         MdnsOptions options)
    : driver_(std::make_unique<Driver>(runtime, std::move(self), std::move(own_addresses),
                                       std::move(options))) {}
MdnsService::~MdnsService() = default;
Result<> MdnsService::start(PeerSink& sink) { return driver_->start(sink); }
awaitable<void> MdnsService::stop() { return driver_->stop(); }
void MdnsService::refresh() { driver_->sockets().refresh(); }
void MdnsService::addresses_changed() { driver_->sockets().addresses_changed(); }
std::vector<SourceCounters> MdnsService::counters() const { return driver_->counters(); }

}  // namespace warren::discovery
