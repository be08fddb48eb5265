#pragma once
// For tests: mDNS machines on one link.

#include "discovery/link_for_test.hpp"
#include "discovery/mdns/mdns_machine.hpp"

namespace warren::discovery::testing {

/// The peer id of an Ed25519 key whose bytes are all `tag`, with `more` in front of them.
inline PeerId make_peer(std::uint8_t tag, std::uint16_t more = 0) {
  Bytes key{0x08, 0x01, 0x12, 0x20};
  key.resize(36, tag);
  key[4] = static_cast<std::uint8_t>(more >> 8);
  key[5] = static_cast<std::uint8_t>(more);
  return PeerId::from_public_key(key);
}

struct MdnsNode : LinkNode<SendPacket> {
  explicit MdnsNode(std::uint8_t number) : LinkNode(number, make_peer(number)) {
    MdnsConfig config;
    config.self = id;
    config.peer_name = random_peer_name(rng);
    machine = std::make_unique<MdnsMachine>(MdnsMachine::make(config, rng).value());
  }
  std::vector<MdnsAction> handle(const LinkEvent& event, TimePoint now) {
    return machine->handle(event, now);
  }
  void check_all() const { machine->check_all(); }
  std::vector<Flight> flights(const SendPacket&) const { return {{interface.addresses[0], true}}; }

  std::unique_ptr<MdnsMachine> machine;
};

}  // namespace warren::discovery::testing
