#pragma once
// For tests: beacon machines on one link.

#include "discovery/beacon/beacon_machine.hpp"
#include "discovery/link_for_test.hpp"

namespace warren::discovery::beacon::testing {

using discovery::testing::address;
using discovery::testing::ip;

/// The key whose seed is all `tag`, with `more` in front.
inline crypto::PrivateKey make_key(std::uint8_t tag, std::uint16_t more = 0) {
  Bytes seed(32, tag);
  seed[0] = static_cast<std::uint8_t>(more >> 8);
  seed[1] = static_cast<std::uint8_t>(more);
  return crypto::PrivateKey::from_seed(seed);
}
inline PeerId id_of(const crypto::PrivateKey& key) {
  return PeerId::from_public_key(key.public_key().protobuf());
}

struct Node : discovery::testing::LinkNode<SendPacket> {
  explicit Node(std::uint8_t number, MachineConfig config = {})
      : LinkNode(number, id_of(make_key(number))), key(make_key(number)) {
    if (!config.spare) config.spare = [this] { return spare; };
    machine = std::make_unique<BeaconMachine>(config, key, rng);
  }
  WallTime wall(TimePoint now) const {
    return WallTime(std::chrono::hours(490'000)) + (now - TimePoint{}) + clock_ahead;
  }
  std::vector<Action> handle(const LinkEvent& event, TimePoint now) {
    return machine->handle(event, {now, wall(now)});
  }
  void check_all() const { machine->check_all(); }
  std::vector<discovery::testing::Flight> flights(const SendPacket& send) const {
    const IpAddress from = send.from_v4.value_or(IpAddress());
    std::vector<discovery::testing::Flight> all;
    if (send.multicast) all.push_back({from, true});
    if (send.broadcast) all.push_back({from, false});
    return all;
  }

  crypto::PrivateKey key;
  SpareCapacity spare;
  Duration clock_ahead{0};
  std::unique_ptr<BeaconMachine> machine;
};

using Link = discovery::testing::Link<Node>;
using Two = discovery::testing::Two<Node>;

inline constexpr IpAddress kPeerIp = IpAddress::v4(10, 0, 0, 77);

/// One node that hears what the test makes up, and a peer that is not simulated.
struct Ear {
  explicit Ear(MachineConfig config = {}) : node(link.add(1, std::move(config))) {
    link.start(node);
  }

  /// What a peer at `at` would say now.
  Announcement said(const IpAddress& at = kPeerIp) const {
    Announcement said;
    said.sent_at = std::chrono::time_point_cast<std::chrono::milliseconds>(node.wall(link.now));
    said.serial = static_cast<std::uint64_t>(said.sent_at.time_since_epoch().count());
    said.addresses = {Multiaddr::quic({at, 4001, 0})};
    said.interval = 2s;
    said.validity = 5s;
    return said;
  }
  void hear(const Announcement& said, const IpAddress& from = kPeerIp) {
    link.inject(node, from, seal(key, said));
  }
  const BeaconDrops& drops() const { return node.machine->drops(); }

  Link link;
  Node& node;
  crypto::PrivateKey key = make_key(77);
  PeerId peer = id_of(key);
};

}  // namespace warren::discovery::beacon::testing
