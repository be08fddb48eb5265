#pragma once
// For tests: machines on one link, with virtual time and without I/O.

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "discovery/beacon/beacon_machine.hpp"

namespace warren::discovery::beacon::testing {

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
inline Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }
inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

/// Of every link here.
inline std::vector<resources::Prefix> networks() {
  return {resources::Prefix::of(ip("10.0.0.0"), 16), resources::Prefix::of(ip("fe80::"), 64)};
}

struct Node {
  explicit Node(std::uint8_t number) : key(make_key(number)), id(id_of(key)), rng(number) {}
  crypto::PrivateKey key;
  PeerId id;
  Interface interface;
  std::mt19937_64 rng;
  SpareCapacity spare;
  std::unique_ptr<BeaconMachine> machine;
  TimePoint timer = kNever;
  std::map<PeerId, PeerHint> known;  ///< Found and not lost.
  std::vector<std::pair<TimePoint, PeerHint>> found;
  std::vector<std::pair<TimePoint, PeerId>> lost;
  std::vector<std::pair<TimePoint, SendPacket>> sent;
  Duration clock_ahead{0};
  std::size_t fired = 0;  ///< Times that its timer ran out.
  bool dead = false;      ///< Hears nothing, and does nothing.
};

/// One link, interface index 2 in every node, with a delay of 1 ms.
class Link {
 public:
  TimePoint now{1h};
  bool multicast_works = true;
  bool broadcast_works = true;

  WallTime wall(const Node& node) const {
    return WallTime(std::chrono::hours(490'000)) + (now - TimePoint{}) + node.clock_ahead;
  }

  /// A node at 10.0.0.`number` that listens on QUIC there; nothing happens before start().
  Node& add(std::uint8_t number, MachineConfig config = {}) {
    Node& node = *nodes_.emplace_back(std::make_unique<Node>(number));
    node.interface = {{2, {IpAddress::v4(10, 0, 0, number)}, false, networks()}, true};
    if (!config.spare) config.spare = [&node] { return node.spare; };
    node.machine = std::make_unique<BeaconMachine>(config, node.key, node.rng);
    return node;
  }

  void start(Node& node) {
    handle(node, AddressesChanged{{Multiaddr::quic({node.interface.link.addresses[0], 4001, 0})}});
    handle(node, InterfacesChanged{{node.interface}});
  }

  void handle(Node& node, const Event& event) {
    handle_unchecked(node, event);
    node.machine->check_all();
  }
  /// Without a walk over the table of the node.
  void handle_unchecked(Node& node, const Event& event) {
    const auto actions = node.machine->handle(event, {now, wall(node)});
    for (const Action& action : actions) {
      if (const auto* send = std::get_if<SendPacket>(&action)) {
        node.sent.emplace_back(now, *send);
        const IpAddress from = send->from_v4.value_or(IpAddress());
        if (send->multicast && multicast_works)
          flying_.push_back({now + 1ms, from, true, send->bytes});
        if (send->broadcast && broadcast_works)
          flying_.push_back({now + 1ms, from, false, send->bytes});
      } else if (const auto* told = std::get_if<TellFound>(&action)) {
        node.found.emplace_back(now, told->hint);
        node.known[told->hint.peer] = told->hint;
      } else if (const auto* gone = std::get_if<TellLost>(&action)) {
        node.lost.emplace_back(now, gone->hint.peer);
        node.known.erase(gone->hint.peer);
      } else {
        node.timer = std::get<SetTimer>(action).at;
      }
    }
  }

  /// Somebody's packet.
  void inject(Node& node, const IpAddress& from, BytesView bytes, bool multicast = true) {
    handle(node, PacketReceived{node.interface.link.index, from, multicast, bytes});
  }

  void inject_unchecked(Node& node, const IpAddress& from, BytesView bytes) {
    handle_unchecked(node, PacketReceived{node.interface.link.index, from, true, bytes});
  }

  /// What the peer of `key` at `at` would say now.
  Announcement announcement(const IpAddress& at, const Node& hearer) const {
    Announcement said;
    said.sent_at = std::chrono::time_point_cast<std::chrono::milliseconds>(wall(hearer));
    said.serial = static_cast<std::uint64_t>(said.sent_at.time_since_epoch().count());
    said.addresses = {Multiaddr::quic({at, 4001, 0})};
    said.interval = 2s;
    said.validity = 5s;
    return said;
  }

  void run_for(Duration duration) {
    const TimePoint end = now + duration;
    for (;;) {
      TimePoint next = flying_.empty() ? kNever : flying_.front().at;
      for (const auto& node : nodes_) {
        if (!node->dead) next = std::min(next, node->timer);
      }
      if (next > end) break;
      now = std::max(now, next);
      if (!flying_.empty() && flying_.front().at <= now) {
        const Flying packet = flying_.front();
        flying_.pop_front();
        for (const auto& node : nodes_) {
          if (!node->dead) inject(*node, packet.from, packet.bytes, packet.multicast);
        }
        continue;
      }
      for (const auto& node : nodes_) {
        if (node->dead || node->timer > now) continue;
        node->timer = kNever;
        ++node->fired;
        handle(*node, TimerFired{});
      }
    }
    now = end;
  }

 private:
  struct Flying {
    TimePoint at;
    IpAddress from;
    bool multicast;
    Bytes bytes;
  };
  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<Flying> flying_;
};

inline constexpr IpAddress kPeerIp = IpAddress::v4(10, 0, 0, 77);

/// One node that hears what the test makes up, and a peer that is not simulated.
struct Ear {
  Ear() : node(link.add(1)) { link.start(node); }
  explicit Ear(MachineConfig config) : node(link.add(1, std::move(config))) { link.start(node); }

  Announcement said(const IpAddress& at = kPeerIp) const { return link.announcement(at, node); }
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
