// Peers of many networks, honest or not, say what our address is, in any order and at any time.
// Finds: an address that is believed without four networks behind it, one that is private or that
// no listener could have, and tables beyond their limits.
// Links: warren::protocols

#include <fmt/core.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <map>
#include <set>

#include "base/check.hpp"
#include "protocols/observed_addresses.hpp"

using namespace warren;
using protocols::ObservedAddresses;

namespace {

PeerId peer(std::uint8_t n) {
  Bytes key = {0x08, 0x01, 0x12, 0x20};
  key.resize(36, n);
  return PeerId::from_public_key(key);
}

constexpr const char* kEnds[] = {"udp/4001/quic-v1", "tcp/4001", "tcp/4002", "tcp/4001/ws",
                                 "udp/4001/quic-v1/p2p-circuit"};
constexpr const char* kIps[] = {"ip4/203.0.113.7", "ip4/198.51.100.9", "ip4/192.168.1.5",
                                "ip4/127.0.0.1",   "ip4/0.0.0.0",      "ip6/2001:db8::7",
                                "ip6/fd00::5",     "ip4/100.64.1.1"};

Multiaddr some_address(FuzzedDataProvider& in) {
  return Multiaddr::parse(
             fmt::format("/{}/{}", in.PickValueInArray(kIps), in.PickValueInArray(kEnds)))
      .value();
}

Multiaddr somewhere(FuzzedDataProvider& in) {
  if (in.ConsumeIntegralInRange(0, 9) == 0) return some_address(in);
  return Multiaddr::parse(fmt::format("/ip4/{}.{}.7.7/udp/9/quic-v1",
                                      in.ConsumeIntegralInRange(20, 30),
                                      in.ConsumeIntegralInRange(0, 3)))
      .value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider in(data, size);
  const protocols::ObservedAddressesConfig config{.votes_max = 8, .believed_max = 2};
  ObservedAddresses observed(config);
  std::vector<Multiaddr> listening = {Multiaddr::parse("/ip4/192.168.1.5/udp/4001/quic-v1").value(),
                                      Multiaddr::parse("/ip4/192.168.1.5/tcp/4001").value(),
                                      Multiaddr::parse("/ip6/fd00::5/udp/4001/quic-v1").value()};
  // Who ever said it: the networks of an address that is believed are among them.
  std::map<Multiaddr, std::set<std::string>> said;
  TimePoint now{1h};
  while (in.remaining_bytes() > 0) {
    const std::vector<Multiaddr> before = observed.believed();
    bool changed = false;
    switch (in.ConsumeIntegralInRange(0, 8)) {
      case 0:
        now += std::chrono::minutes(in.ConsumeIntegralInRange(0, 50));
        changed =
            observed.expire([&](const PeerId& who) { return who == peer(1); }, listening, now);
        break;
      case 1:
        if (listening.size() > 1) listening.pop_back();
        changed = observed.expire([](const PeerId&) { return true; }, listening, now);
        break;
      default: {
        const Multiaddr from = somewhere(in);
        const Multiaddr seen = some_address(in);
        const std::string network(as_text(from.endpoint()->ip.bytes().first(2)));
        if (!from.endpoint()->ip.is_private()) said[seen].insert(network);
        const std::uint8_t who = in.ConsumeIntegralInRange<std::uint8_t>(1, 9);
        changed = observed.observe({peer(who), from, some_address(in), seen}, listening, now);
      }
    }
    WARREN_CHECK(changed == (observed.believed() != before));
    WARREN_CHECK(observed.votes() <= 3 * config.votes_max);
    WARREN_CHECK(observed.believed().size() <= 3 * config.believed_max);
    WARREN_CHECK((observed.votes() == 0) == (observed.next_expiry() == kNever));
    for (const Multiaddr& address : observed.believed()) {
      WARREN_CHECK(said[address].size() >= config.groups_min);
      const auto endpoint = address.endpoint();
      WARREN_CHECK(endpoint && !endpoint->ip.is_private() && !endpoint->ip.is_unspecified());
      WARREN_CHECK(!address.has(multiformats::Protocol::kP2pCircuit));
    }
  }
  return 0;
}
