// Reads arbitrary bytes as a beacon, and as a list of events for the beacon machine, some of them
// beacons that are correctly signed by few keys. Finds: a read outside the packet, a beacon that is
// proven and changes when it is written and read again, a broken invariant, a peer that proved
// nothing, a timer that never gets on.
// Links: warren::discovery_beacon

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/check.hpp"
#include "discovery/beacon/beacon_machine.hpp"

using namespace warren;
using namespace warren::discovery;
using namespace warren::discovery::beacon;

namespace {

constexpr std::size_t kEventsMax = 60;
constexpr std::uint8_t kKeys = 10;

const crypto::PrivateKey& key_of(std::uint8_t tag) {
  static std::map<std::uint8_t, crypto::PrivateKey> keys;
  const auto known = keys.find(tag);
  if (known != keys.end()) return known->second;
  return keys.emplace(tag, crypto::PrivateKey::from_seed(Bytes(32, tag))).first->second;
}

PeerId id_of(std::uint8_t tag) {
  return PeerId::from_public_key(key_of(tag).public_key().protobuf());
}

LinkInterface make_interface(std::uint32_t index, bool joined) {
  if (index == 1) return {1, {IpAddress::v4(127, 0, 0, 1)}, true, {}, joined};
  const auto last = static_cast<std::uint8_t>(index);
  const auto network = resources::Prefix::of(IpAddress::v4(10, 0, 0, 0), 30);
  return {index,
          {IpAddress::v4(10, 0, 0, last), *IpAddress::parse("fe80::1")},
          false,
          {network},
          joined};
}

void check_codec(BytesView packet) {
  (void)claimed_sender(packet);
  const auto said = read_unproven(packet);
  if (!said) return;
  const Bytes written = seal(key_of(1), *said);
  WARREN_CHECK(written.size() <= kPacketBytesMax && is_proven(written));
  const auto again = read_unproven(written);
  WARREN_CHECK(again.has_value() && again->serial == said->serial);
  WARREN_CHECK(again->addresses.size() <= said->addresses.size());
  (void)is_proven(packet);
}

/// One machine, and what must be true of all that it does.
class Harness {
 public:
  Harness() {
    MachineConfig config;
    config.limits.peers_max = 6;
    config.limits.addresses_per_peer_max = 3;
    config.limits.interfaces_max = 2;
    config.limits.table_bytes_max = 4'000;
    config.limits.hints_per_second_max = 2;
    config.limits.departed_max = 3;
    config.limits.sources_max = 4;
    machine_.emplace(std::move(config), key_of(0), rng_);
  }

  WallTime wall() const {
    return WallTime(std::chrono::hours(490'000)) + (now_ - TimePoint{}) + civil_shift;
  }

  void handle(const LinkEvent& event) {
    const auto actions = machine_->handle(event, {now_, wall()});
    machine_->check_all();
    WARREN_CHECK(actions.size() <= 20);  // Two links, hints found and lost, the timer.
    for (const Action& action : actions) std::visit(*this, action);
  }

  void pass(Duration time) {
    const TimePoint end = now_ + time;
    for (int fired = 0; timer_ <= end; ++fired) {
      WARREN_CHECK(fired < 2'000);
      now_ = std::max(now_, timer_);
      timer_ = kNever;
      handle(TimerFired{});
    }
    now_ = end;
  }

  void operator()(const SendPacket& send) {
    WARREN_CHECK(send.bytes.size() <= kPacketBytesMax && read_unproven(send.bytes).has_value());
    WARREN_CHECK(send.multicast || send.broadcast);
  }
  void operator()(const TellFound& found) { check(found.hint, true); }
  void operator()(const TellLost& lost) { check(lost.hint, false); }
  void operator()(const SetTimer& timer) { timer_ = timer.at; }

  Duration civil_shift{0};

 private:
  void check(const PeerHint& hint, bool found) {
    bool ours = false;  // Only these keys sign here.
    for (std::uint8_t tag = 1; tag < kKeys; ++tag) ours = ours || hint.peer == id_of(tag);
    WARREN_CHECK(ours && hint.seen <= now_);
    WARREN_CHECK(hint.addresses.empty() != found && hint.addresses.size() <= 3);
    for (const Multiaddr& address : hint.addresses) WARREN_CHECK(address.endpoint().has_value());
  }

  std::mt19937_64 rng_{1};
  std::optional<BeaconMachine> machine_;
  TimePoint now_{1h};
  TimePoint timer_ = kNever;
};

/// A packet as another node would send it, from few keys and addresses, so that they meet.
Bytes beacon_packet(FuzzedDataProvider& in, const Harness& harness) {
  Announcement said;
  said.sent_at = std::chrono::time_point_cast<std::chrono::milliseconds>(harness.wall()) +
                 std::chrono::seconds(in.ConsumeIntegralInRange(-400, 400));
  said.serial = static_cast<std::uint64_t>(said.sent_at.time_since_epoch().count()) +
                in.ConsumeIntegral<std::uint8_t>();
  for (int i = in.ConsumeIntegralInRange(0, 5); i > 0; --i) {
    const auto port = in.ConsumeIntegralInRange<std::uint16_t>(0, 8);
    const auto last = in.ConsumeIntegralInRange<std::uint8_t>(1, 4);
    const auto ip = IpAddress::v4(in.ConsumeBool() ? 10 : 127, 0, 0, last);
    said.addresses.push_back(Multiaddr::tcp({ip, port, 0}));
  }
  said.spare.free_bytes = in.ConsumeIntegral<std::uint8_t>();
  said.validity = std::chrono::seconds(in.ConsumeIntegralInRange(0, 100));
  said.goodbye = in.ConsumeIntegralInRange(0, 7) == 0;
  Bytes packet = seal(key_of(in.ConsumeIntegralInRange<std::uint8_t>(0, kKeys - 1)), said);
  if (in.ConsumeIntegralInRange(0, 5) == 0) {
    packet[in.ConsumeIntegralInRange<std::size_t>(0, packet.size() - 1)] ^= 1;
  }
  return packet;
}

LinkEvent next_event(FuzzedDataProvider& in, Harness& harness, Bytes& packet, Bytes& recorded) {
  switch (in.ConsumeIntegralInRange(0, 8)) {
    case 0: {
      InterfacesChanged event;
      for (int i = in.ConsumeIntegralInRange(0, 3); i > 0; --i) {
        const auto index = in.ConsumeIntegralInRange<std::uint32_t>(0, 3);
        event.interfaces.push_back(make_interface(index, in.ConsumeBool()));
      }
      return event;
    }
    case 1: {
      AddressesChanged event;
      for (int i = in.ConsumeIntegralInRange(0, 4); i > 0; --i) {
        const auto port = in.ConsumeIntegralInRange<std::uint16_t>(0, 4);
        event.addresses.push_back(Multiaddr::quic({IpAddress(), port, 0}));
      }
      return event;
    }
    case 2: return RefreshAsked{};
    case 3:
      harness.civil_shift = std::chrono::seconds(in.ConsumeIntegralInRange(-900, 900));
      return TimerFired{};
    case 4:
      packet = in.ConsumeBytes<std::uint8_t>(in.ConsumeIntegralInRange<std::size_t>(0, 300));
      break;
    case 5: packet = recorded; break;
    default: recorded = packet = beacon_packet(in, harness); break;
  }
  const auto source = IpAddress::v4(10, 0, 0, in.ConsumeIntegralInRange<std::uint8_t>(1, 4));
  const auto index = in.ConsumeIntegralInRange<std::uint32_t>(0, 3);
  return PacketReceived{index, source, in.ConsumeBool(), packet};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView packet(data, size);
  check_codec(packet);

  FuzzedDataProvider in(data, size);
  Harness many;
  many.handle(AddressesChanged{{Multiaddr::quic({IpAddress(), 4001, 0})}});
  many.handle(InterfacesChanged{{make_interface(1, true), make_interface(2, true)}});
  Bytes recorded;
  for (std::size_t i = 0; i < kEventsMax && in.remaining_bytes() > 0; ++i) {
    Bytes bytes;  // What the event refers to.
    const LinkEvent event = next_event(in, many, bytes, recorded);
    many.handle(event);
    many.pass(std::chrono::milliseconds(in.ConsumeIntegralInRange(0, 4'000)));
  }
  many.handle(StopAsked{});
  many.handle(TimerFired{});
  return 0;
}
