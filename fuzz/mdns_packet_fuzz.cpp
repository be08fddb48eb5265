// Reads arbitrary bytes as an mDNS packet, and as a list of events for the mDNS machine. Finds: a
// read outside the packet, a loop of compression pointers, a message that changes when it is
// written and read again, a broken invariant, a timer that never gets on.
// Links: warren::discovery_mdns

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "base/check.hpp"
#include "discovery/mdns/mdns_machine.hpp"

using namespace warren;
using namespace warren::discovery;

namespace {

constexpr std::size_t kEventsMax = 200;

PeerId make_peer(std::uint8_t tag) {
  Bytes key{0x08, 0x01, 0x12, 0x20};
  key.resize(36, tag);
  return PeerId::from_public_key(key);
}

MdnsInterface make_interface(std::uint32_t index) {
  if (index == 1) return {1, {IpAddress::v4(127, 0, 0, 1)}, true};
  const auto last = static_cast<std::uint8_t>(index);
  return {index, {IpAddress::v4(10, 0, 0, last), *IpAddress::parse("fe80::1")}, false};
}

void check_codec(BytesView packet) {
  const auto message = decode_dns(packet);
  if (!message) return;
  const auto written = encode_dns(*message);
  if (!written) {
    // Names that the packet shared by pointers may take more room without them.
    WARREN_CHECK(written.error().code() == ErrorCode::kTooLarge);
    return;
  }
  const auto again = decode_dns(*written);
  WARREN_CHECK(again.has_value() && *again == *message);
  const auto written_again = encode_dns(*again);
  WARREN_CHECK(written_again.has_value() && *written_again == *written);
}

/// One machine, and what must be true of all that it does.
class Harness {
 public:
  Harness() {
    MdnsConfig config;
    config.self = make_peer(0);
    config.peer_name = std::string(40, '0');
    config.limits.peers_max = 6;
    config.limits.peers_per_source_max = 4;
    config.limits.addresses_per_peer_max = 3;
    config.limits.interfaces_max = 2;
    config.limits.table_bytes_max = 4'000;
    config.limits.hints_per_second_max = 2;
    machine_.emplace(*MdnsMachine::make(config, rng_));
  }

  void handle(const LinkEvent& event) {
    const auto actions = machine_->handle(event, now_);
    machine_->check_all();
    // Two links with an answer, a goodbye, a question and a list of services each, in at most 16
    // packets; hints; the timer.
    WARREN_CHECK(actions.size() <= 100);
    for (const MdnsAction& action : actions) std::visit(*this, action);
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
    WARREN_CHECK(send.bytes.size() <= kMdnsPacketBytesMax && decode_dns(send.bytes).has_value());
  }
  void operator()(const TellFound& found) { check(found.hint, true); }
  void operator()(const TellLost& lost) { check(lost.hint, false); }
  void operator()(const SetTimer& timer) { timer_ = timer.at; }

 private:
  void check(const PeerHint& hint, bool found) {
    WARREN_CHECK(!hint.peer.empty() && hint.peer != make_peer(0));
    WARREN_CHECK(hint.addresses.empty() != found && hint.addresses.size() <= 3);
    WARREN_CHECK(hint.seen <= now_);
    for (const Multiaddr& address : hint.addresses) WARREN_CHECK(address.endpoint().has_value());
  }

  std::mt19937_64 rng_{1};
  std::optional<MdnsMachine> machine_;
  TimePoint now_{1h};
  TimePoint timer_ = kNever;
};

/// A packet as another node would write it, from few names, peers and addresses, so that they meet.
Bytes announcement(FuzzedDataProvider& in) {
  const std::string name(40, static_cast<char>('0' + in.ConsumeIntegralInRange(0, 5)));
  const MdnsNames names = *MdnsNames::make("_p2p._udp.local", name);
  std::vector<std::string> texts;
  for (int i = in.ConsumeIntegralInRange(0, 5); i > 0; --i) {
    const auto port = in.ConsumeIntegralInRange<std::uint16_t>(0, 8);
    const auto ip = IpAddress::v4(in.ConsumeBool() ? 10 : 127, 0, 0, 9);
    const PeerId peer = make_peer(in.ConsumeIntegralInRange<std::uint8_t>(0, 9));
    texts.push_back("dnsaddr=" + Multiaddr::tcp({ip, port, 0}).with_peer(peer).to_string());
  }
  const std::chrono::seconds ttl(in.ConsumeIntegralInRange(0, 200));
  const auto packets = encode_announcement(names, texts, {}, ttl);
  return packets.empty() ? Bytes{} : packets.front();
}

LinkEvent next_event(FuzzedDataProvider& in, Bytes& packet) {
  switch (in.ConsumeIntegralInRange(0, 7)) {
    case 0: {
      InterfacesChanged event;
      for (int i = in.ConsumeIntegralInRange(0, 3); i > 0; --i) {
        event.interfaces.push_back(make_interface(in.ConsumeIntegralInRange<std::uint32_t>(0, 3)));
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
    case 3: return TimerFired{};
    case 4:
      packet = in.ConsumeBytes<std::uint8_t>(in.ConsumeIntegralInRange<std::size_t>(0, 300));
      break;
    case 5:
      packet = encode_query(*MdnsNames::make("_p2p._udp.local", std::string(40, 'q')), 0);
      break;
    default: packet = announcement(in); break;
  }
  const auto source = IpAddress::v4(10, 0, 0, in.ConsumeIntegralInRange<std::uint8_t>(1, 4));
  return PacketReceived{in.ConsumeIntegralInRange<std::uint32_t>(0, 3), source, true, packet};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView packet(data, size);
  check_codec(packet);

  Harness one;
  one.handle(AddressesChanged{{Multiaddr::quic({IpAddress(), 4001, 0})}});
  one.handle(InterfacesChanged{{make_interface(1), make_interface(2)}});
  for (const std::uint32_t index : {1u, 2u}) {
    one.handle(PacketReceived{index, IpAddress::v4(10, 0, 0, 9), true, packet});
    one.pass(2s);
  }

  FuzzedDataProvider in(data, size);
  Harness many;
  for (std::size_t i = 0; i < kEventsMax && in.remaining_bytes() > 0; ++i) {
    Bytes bytes;  // What the event refers to.
    const LinkEvent event = next_event(in, bytes);
    many.handle(event);
    many.pass(std::chrono::milliseconds(in.ConsumeIntegralInRange(0, 30'000)));
  }
  many.handle(StopAsked{});
  many.handle(TimerFired{});
  return 0;
}
